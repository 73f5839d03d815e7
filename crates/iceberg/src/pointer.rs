//! The pointer object: one small object a table that names its current metadata file.
//!
//! A commit is the conditional put of this object (`If-Match` with the `ETag` it was read with, `If-None-Match: *` where
//! there was none): whoever loses starts again from the winner's metadata. The newest file under `metadata/` is no
//! such truth, because it may belong to a commit that lost.

use serde::{Deserialize, Serialize};

use firn_types::object::ObjectKey;

/// Largest pointer that is read; one of ours is about 200 bytes.
const POINTER_LEN_BYTES_MAX: usize = 4 * 1024;

/// What the pointer object holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pointer {
    /// Location of the current table metadata.
    pub metadata_location: String,
}

impl Pointer {
    /// The object's bytes.
    pub fn render(&self) -> Vec<u8> {
        // Through `Value`, whose rendering cannot fail.
        serde_json::json!(self).to_string().into_bytes()
    }

    /// The inverse of [`Self::render`]; unknown fields are ignored. `None` if the bytes are no pointer.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > POINTER_LEN_BYTES_MAX {
            return None;
        }
        serde_json::from_slice(bytes).ok()
    }
}

/// Prefix of the pointers of a namespace's tables.
pub fn pointer_prefix(namespace: &str) -> String {
    format!("catalog/{namespace}/")
}

/// Key of a table's pointer.
pub fn pointer_key(namespace: &str, table: &str) -> ObjectKey {
    ObjectKey::new(&format!("{}{table}.json", pointer_prefix(namespace)))
}

/// The table whose pointer has this key. `None` if it is no pointer of the namespace.
pub fn table_of_pointer<'a>(namespace: &str, key: &'a str) -> Option<&'a str> {
    let table = key.strip_prefix(&pointer_prefix(namespace))?.strip_suffix(".json")?;
    (!table.is_empty() && !table.contains('/')).then_some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointer_round_trips_and_its_bytes_are_fixed() {
        let pointer = Pointer { metadata_location: "s3://lake/t/metadata/00000-a.metadata.json".into() };
        let bytes = pointer.render();
        assert_eq!(bytes, br#"{"metadata-location":"s3://lake/t/metadata/00000-a.metadata.json"}"#);
        assert_eq!(Pointer::parse(&bytes), Some(pointer));
    }

    #[test]
    fn what_is_no_pointer_is_none() {
        for bytes in [&b""[..], b"{}", b"[]", b"\xff", &[b' '; 5_000]] {
            assert_eq!(Pointer::parse(bytes), None);
        }
    }

    #[test]
    fn pointer_keys_name_their_tables() {
        let key = pointer_key("firn", "artifacts_build");
        assert_eq!(key.as_str(), "catalog/firn/artifacts_build.json");
        assert_eq!(table_of_pointer("firn", key.as_str()), Some("artifacts_build"));
        for other in ["catalog/firn/.json", "catalog/firn/a/b.json", "catalog/firn/a", "catalog/other/a.json"]
        {
            assert_eq!(table_of_pointer("firn", other), None, "{other}");
        }
    }
}
