//! The members of a JSON object, read without the crates that are fuzzed.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Each member with the text of its value.
pub(crate) type Members = BTreeMap<String, Box<RawValue>>;

/// Reads a whole text; `None` if it is no object, or a name stands twice.
pub(crate) fn parse_members(text: &[u8]) -> Option<Members> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let members = deserializer.deserialize_map(MembersVisitor).ok()?;
    deserializer.end().ok().map(|()| members)
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object without a name twice")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
        let mut members = Members::new();
        while let Some((name, value)) = access.next_entry()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a name twice"));
            }
        }
        Ok(members)
    }
}
