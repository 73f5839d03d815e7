//! One JSON object whose names are unique: the shape of a JOSE header, a claims set and a JWK.
//!
//! RFC 7515 §4 and RFC 7519 §4 let a reader refuse a name that stands twice; two readers that each take another one of
//! the two is how a check is bypassed, so it is refused.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Why bytes are not such an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectError {
    /// Not UTF-8, not JSON, or no object.
    Syntax,
    /// A name stands twice.
    DuplicateName,
}

/// A member has another JSON type than expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrongType;

/// The members of an object; values are read when asked for.
pub(crate) struct Members<'a> {
    values: BTreeMap<String, &'a RawValue>,
    has_duplicate: bool,
}

impl<'a> Members<'a> {
    /// Reads an object; its length is the caller's to limit.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, ObjectError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ObjectError::Syntax)?;
        let members: Self = serde_json::from_str(text).map_err(|_| ObjectError::Syntax)?;
        if members.has_duplicate {
            return Err(ObjectError::DuplicateName);
        }
        Ok(members)
    }

    /// Whether the member is there, whatever its value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The member as text of JSON.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a str> {
        self.values.get(name).map(|value| value.get())
    }

    /// The member as `T`; `None` where it is absent. `null` is a value of the wrong type, not an absence.
    pub(crate) fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, WrongType> {
        self.raw(name).map(|text| serde_json::from_str(text).map_err(|_| WrongType)).transpose()
    }

    /// The member as a list of texts, where a single text stands for a list of one.
    pub(crate) fn one_or_many(&self, name: &str) -> Result<Option<Vec<String>>, WrongType> {
        match self.raw(name) {
            Some(text) if text.starts_with('"') => Ok(self.get::<String>(name)?.map(|one| vec![one])),
            _ => self.get(name),
        }
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members { values: BTreeMap::new(), has_duplicate: false };
        while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
            members.has_duplicate |= members.values.insert(name, value).is_some();
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<usize, ObjectError>) {
        assert_eq!(Members::parse(text.as_bytes()).map(|m| m.values.len()), expected, "{text}");
    }

    #[test]
    fn object_has_unique_names() {
        check("{}", Ok(0));
        check(r#" {"a":1,"b":{"a":2,"a":3}} "#, Ok(2));
        check(r#"{"a":1,"a":1}"#, Err(ObjectError::DuplicateName));
        check(r#"{"a":1,"\u0061":2}"#, Err(ObjectError::DuplicateName));
        for bad in ["", "[]", "null", "1", "{", r#"{"a"}"#, "{} {}", r#"{"a":1,}"#, r#"{"\ud800":1}"#] {
            check(bad, Err(ObjectError::Syntax));
        }
        assert_eq!(Members::parse(b"{\"a\":\"\xff\"}").map(|_| ()), Err(ObjectError::Syntax));
    }

    #[test]
    fn one_text_is_a_list_of_one_and_null_is_none() {
        let members = Members::parse(br#"{"one":"a","many":["a","b"],"null":null,"mixed":["a",1]}"#).unwrap();
        assert_eq!(members.one_or_many("one"), Ok(Some(vec!["a".to_owned()])));
        assert_eq!(members.one_or_many("many"), Ok(Some(vec!["a".to_owned(), "b".to_owned()])));
        assert_eq!(members.one_or_many("absent"), Ok(None));
        assert_eq!(members.one_or_many("null"), Err(WrongType));
        assert_eq!(members.one_or_many("mixed"), Err(WrongType));
    }
}
