//! Locations, as metadata has them, to keys of objects.

use firn_types::object::ObjectKey;

/// How locations become object keys.
///
/// A location is a URL whose authority is the bucket, or a path. It is not percent-encoded: what looks like an escape
/// is part of the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocationMap {
    /// Pairs of a location's prefix and what stands in its place.
    prefixes: Vec<(String, String)>,
}

impl LocationMap {
    /// Replaces these prefixes; the longest that fits wins. Without one, scheme and bucket are left out.
    pub fn new(prefixes: Vec<(String, String)>) -> Self {
        Self { prefixes }
    }

    /// The key of the object at a location.
    pub fn object_key(&self, location: &str) -> ObjectKey {
        let fitting = self.prefixes.iter();
        let fitting = fitting.filter_map(|(prefix, by)| Some((location.strip_prefix(prefix.as_str())?, by)));
        let mapped = fitting.min_by_key(|(rest, _)| rest.len());
        if let Some((rest, by)) = mapped {
            return ObjectKey::new(&format!("{by}{rest}"));
        }
        ObjectKey::new(without_bucket(location))
    }
}

fn without_bucket(location: &str) -> &str {
    match location.split_once("://") {
        // `file://` has no bucket, only an empty authority.
        Some(("file", path)) => path.trim_start_matches('/'),
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, key)| key),
        None => location.strip_prefix("file:").unwrap_or(location).trim_start_matches('/'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_of_any_scheme_become_keys() {
        let map = LocationMap::new(vec![
            ("s3://other/".into(), "o/".into()),
            ("s3://other/deep/".into(), "d/".into()),
            ("memory:".into(), String::new()),
        ]);
        for (location, key) in [
            ("s3://bucket/a/b.parquet", "a/b.parquet"),
            ("s3a://bucket/a=1%2F2/b", "a=1%2F2/b"),
            ("r2://bucket/a", "a"),
            ("gs://bucket/a//b", "a//b"),
            ("abfss://container@account.dfs.core.windows.net/a", "a"),
            ("file:///tmp/a", "tmp/a"),
            ("file:/tmp/a", "tmp/a"),
            ("/tmp/a", "tmp/a"),
            ("tmp/a", "tmp/a"),
            ("s3://other/a", "o/a"),
            ("s3://other/deep/a", "d/a"),
            ("memory:a", "a"),
            ("s3://bucket", ""),
        ] {
            assert_eq!(map.object_key(location).as_str(), key, "{location}");
        }
    }
}
