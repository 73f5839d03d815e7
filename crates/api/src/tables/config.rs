//! Which tables are asked, and how long anything of them may take or be held.

/// A table by its name in the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableName {
    /// Namespace in the catalog.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl TableName {
    /// Reads a list of `namespace.table`, separated by commas. `None` if an entry has another shape or there is none.
    pub fn parse_list(text: &str) -> Option<Vec<Self>> {
        let parse = |entry: &str| {
            let (namespace, name) = entry.trim().split_once('.')?;
            let is_name = |part: &str| !part.is_empty() && !part.contains('/');
            (is_name(namespace) && is_name(name))
                .then(|| Self { namespace: namespace.to_owned(), name: name.to_owned() })
        };
        text.split(',').map(parse).collect()
    }
}

/// Which tables are asked, and for how long.
#[derive(Clone, Debug)]
pub struct LakeConfig {
    /// The tables.
    pub tables: Vec<TableName>,
    /// How long a table's pointer is used, in microseconds.
    pub pointer_hold_micros: i64,
    /// How long one lookup may take, pointers, retries and their pauses included.
    pub deadline_ms: u64,
}

/// Default of [`LakeConfig::deadline_ms`]. A cold lookup is seven waves, 30 ms each where R2 is near and some 200 ms
/// where it is not: 1.4 s, and as much again for one read that hangs for its [`firn_store::timeout::READ_TIMEOUT_MS`]
/// and is tried once more. A client that waits longer has long begun to try again.
pub const DEADLINE_MS_DEFAULT: u32 = 5_000;

/// Longest deadline that may be configured. Behind the ledger a content outlives its confirmation by 60 s, which are to
/// cover the time a pointer is held and a lookup: half for each.
pub const DEADLINE_MS_MAX: u32 = 30_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_as_a_list() {
        let name = |namespace: &str, name: &str| TableName { namespace: namespace.into(), name: name.into() };
        for (text, expected) in [
            ("firn.a", Some(vec![name("firn", "a")])),
            ("firn.a, lake.b.c", Some(vec![name("firn", "a"), name("lake", "b.c")])),
            ("", None),
            ("firn", None),
            (".a", None),
            ("firn.", None),
            ("firn.a,", None),
            ("firn/x.a", None),
            ("firn.a/b", None),
        ] {
            assert_eq!(TableName::parse_list(text), expected, "{text:?}");
        }
    }
}
