//! The followed object: one small object a table, beside its pointer, that says up to which snapshot every ledger knows
//! the table's rows (design.md §4 "Audit", §5).
//!
//! The follower puts it, on condition that it is the one it read, after every ledger concerned took what the snapshot
//! holds. So a reader whose pointer names the same snapshot may take a key that its ledger does not know for absent,
//! unless [`Followed::unreadable`] names a file.

use firn_types::{object::ObjectKey, time::Micros};
use serde::{Deserialize, Serialize};

use crate::pointer::pointer_prefix;

/// Most files that [`Followed::unreadable`] names: at 200 bytes each they take a third of the object.
pub const UNREADABLE_COUNT_MAX: usize = 100;

/// Longest object that is read: [`UNREADABLE_COUNT_MAX`] keys of 500 bytes, and a few hundred bytes.
pub const FOLLOWED_LEN_BYTES_MAX: u64 = 64 * 1024;

/// How far a table was followed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Followed {
    /// Identity of the table; none where there was no table.
    pub table_uuid: Option<String>,
    /// The snapshot; none where there was none.
    pub snapshot_id: Option<i64>,
    /// Its sequence number. Data files of a higher one were not followed.
    pub sequence_number: i64,
    /// Location of its manifest list.
    pub manifest_list: Option<String>,
    /// When the pointer was read that named it. 0: nothing was followed to its end yet.
    pub as_of: Micros,
    /// Keys of live data files whose rows no ledger knows, because they or their deletes cannot be read. A table that
    /// has one has rows that only a lookup by manifests could find.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
    /// The next snapshot, once ledgers may have heard of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub underway: Option<Underway>,
}

/// A snapshot that is followed in part: for the follower, which goes on there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Underway {
    /// Identity of its table.
    pub table_uuid: Option<String>,
    /// The snapshot; none where the table is gone.
    pub snapshot_id: Option<i64>,
    /// Files of its changes that are done, in the order in which they are planned.
    pub done_count: u64,
}

impl Followed {
    /// Whether every row of this snapshot is known to its ledger.
    pub fn covers(&self, table_uuid: Option<&str>, snapshot_id: Option<i64>) -> bool {
        self.as_of.0 > 0
            && self.unreadable.is_empty()
            && self.table_uuid.as_deref() == table_uuid
            && self.snapshot_id == snapshot_id
    }

    /// The object's bytes.
    pub fn render(&self) -> Vec<u8> {
        // Through `Value`, whose rendering cannot fail.
        serde_json::json!(self).to_string().into_bytes()
    }

    /// The inverse of [`Self::render`]; unknown fields are ignored. `None` if the bytes are no such object.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// Key of a table's followed object. No table's pointer has such a key.
pub fn followed_key(namespace: &str, table: &str) -> ObjectKey {
    ObjectKey::new(&format!("{}followed/{table}.json", pointer_prefix(namespace)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pointer::table_of_pointer;

    fn followed() -> Followed {
        Followed {
            table_uuid: Some("u".into()),
            snapshot_id: Some(9_007_199_254_740_993),
            sequence_number: 7,
            manifest_list: Some("s3://lake/t/metadata/snap-1.avro".into()),
            as_of: Micros(5),
            ..Followed::default()
        }
    }

    #[test]
    fn followed_round_trips_and_its_bytes_are_fixed() {
        let bytes = followed().render();
        let text = r#"{"as-of":5,"manifest-list":"s3://lake/t/metadata/snap-1.avro","sequence-number":7,"snapshot-id":9007199254740993,"table-uuid":"u"}"#;
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), text);
        assert_eq!(Followed::parse(&bytes), Some(followed()));
        let underway = Some(Underway { table_uuid: Some("v".into()), snapshot_id: None, done_count: 3 });
        let partly = Followed { unreadable: vec!["a".into()], underway, ..followed() };
        assert_eq!(Followed::parse(&partly.render()), Some(partly));
        assert_eq!(Followed::parse(b"{}"), None);
    }

    #[test]
    fn only_the_snapshot_followed_to_its_end_is_covered() {
        let covers = |followed: &Followed| followed.covers(Some("u"), Some(9_007_199_254_740_993));
        assert!(covers(&followed()));
        assert!(
            !followed().covers(Some("u"), Some(1)) && !followed().covers(Some("v"), followed().snapshot_id)
        );
        assert!(!covers(&Followed { unreadable: vec!["a".into()], ..followed() }));
        assert!(!covers(&Followed { as_of: Micros(0), ..followed() }));
    }

    #[test]
    fn followed_keys_are_no_pointers() {
        let key = followed_key("firn", "artifacts_build");
        assert_eq!(key.as_str(), "catalog/firn/followed/artifacts_build.json");
        assert_eq!(table_of_pointer("firn", key.as_str()), None);
    }
}
