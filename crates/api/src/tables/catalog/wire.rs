//! What is read of the catalog's answers, and names as its paths have them.

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};

/// Longest location that is taken: a key has at most 1,024 bytes, a bucket 63.
const LOCATION_LEN_BYTES_MAX: usize = 2_048;

/// Longest prefix that is taken; R2's is a UUID.
const PREFIX_LEN_BYTES_MAX: usize = 512;

/// The prefix of a `CatalogConfig`: an override goes before a default. `None`: there is none.
pub(super) fn parse_prefix(body: &[u8]) -> Result<Option<String>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Config {
        defaults: Properties,
        overrides: Properties,
    }
    #[derive(Deserialize)]
    struct Properties {
        prefix: Option<String>,
    }
    let config: Config = serde_json::from_slice(body)?;
    Ok(config.overrides.prefix.or(config.defaults.prefix).filter(|prefix| !prefix.is_empty()))
}

/// Whether a prefix can stand in a path: segments, encoded already where they need it.
pub(super) fn is_prefix(prefix: &str) -> bool {
    let is_segment = |segment: &str| {
        let is_plain = segment.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\".contains(&byte));
        is_plain && !matches!(segment, "" | "." | "..")
    };
    prefix.len() <= PREFIX_LEN_BYTES_MAX && prefix.split('/').all(is_segment)
}

/// Whether an error answer says that the table, or its namespace, does not exist. Catalogs differ in the type's name
/// (`NoSuchTableException`, `TabularNotFound`); one that names something else, a warehouse perhaps, is no such answer.
pub(super) fn names_missing_table(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Answer {
        error: Model,
    }
    #[derive(Deserialize)]
    struct Model {
        #[serde(rename = "type")]
        kind: String,
        code: u16,
    }
    serde_json::from_slice::<Answer>(body).is_ok_and(|Answer { error }| {
        error.code == 404 && ["Table", "Tabular", "Namespace"].iter().any(|noun| error.kind.contains(noun))
    })
}

/// Where a table's metadata lies, as far as an answer was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Located {
    /// Here.
    At(String),
    /// What was read so far is the start of an answer; the location may come.
    Further,
    /// There is none, or this is no answer.
    Nowhere,
}

/// Finds `metadata-location` in a `LoadTableResult` of which `start` is the beginning. What comes after it is not
/// looked at.
pub(super) fn locate_metadata(start: &[u8]) -> Located {
    let mut found = None;
    let mut json = serde_json::Deserializer::from_slice(start);
    let parsed = json.deserialize_map(TableVisitor { found: &mut found });
    match (found, parsed) {
        (Some(location), _) if is_location(&location) => Located::At(location),
        (None, Err(error)) if error.is_eof() => Located::Further,
        _ => Located::Nowhere,
    }
}

fn is_location(location: &str) -> bool {
    !location.is_empty() && location.len() <= LOCATION_LEN_BYTES_MAX
}

struct TableVisitor<'a> {
    found: &'a mut Option<String>,
}

impl<'de> Visitor<'de> for TableVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a LoadTableResult")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if name == "metadata-location" {
                *self.found = map.next_value::<Option<String>>()?;
                // Nothing after it matters, and it may not have been read yet.
                return Err(A::Error::custom("found"));
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// One segment of a path or one value of a query, percent-encoded (RFC 3986 §2.1).
pub(super) fn encode_segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn location_is_found_as_soon_as_it_stands_there() {
        let at = |location: &str| Located::At(location.to_owned());
        let first = r#"{"metadata-location":"s3://b/m.json","metadata":{"snapshots":["#;
        let last =
            r#"{"config":{"a":[1,{"metadata-location":"inner"}]},"metadata-location":"s3://b/m.json"}"#;
        let long = format!(r#"{{"metadata-location":"{}"}}"#, "x".repeat(2_049));
        for (answer, expected) in [
            (first, at("s3://b/m.json")),
            (last, at("s3://b/m.json")),
            (r#"{"metadata-location":"a\/b""#, at("a/b")),
            ("", Located::Further),
            (r#"{"metadata-loc"#, Located::Further),
            (r#"{"metadata-location":"s3://b"#, Located::Further),
            (r#"{"config":{}"#, Located::Further),
            (r#"{"config":{}}"#, Located::Nowhere),
            (r#"{"metadata-location":null}"#, Located::Nowhere),
            (r#"{"metadata-location":""}"#, Located::Nowhere),
            (r#"{"metadata-location":7}"#, Located::Nowhere),
            ("[]", Located::Nowhere),
            ("<html>", Located::Nowhere),
            (&long, Located::Nowhere),
        ] {
            assert_eq!(locate_metadata(answer.as_bytes()), expected, "{answer:.60}");
        }
        for end in 0..last.len() {
            assert_ne!(locate_metadata(&last.as_bytes()[..end]), Located::Nowhere, "cut at {end}");
        }
    }

    #[test]
    fn prefix_of_overrides_goes_before_that_of_defaults() {
        for (body, expected) in [
            (r#"{"defaults":{},"overrides":{}}"#, Some(None)),
            (r#"{"defaults":{"prefix":"d"},"overrides":{"x":"y"}}"#, Some(Some("d"))),
            (r#"{"defaults":{"prefix":"d"},"overrides":{"prefix":"o"},"endpoints":[]}"#, Some(Some("o"))),
            (r#"{"defaults":{},"overrides":{"prefix":""}}"#, Some(None)),
            (r#"{"defaults":{}}"#, None),
            (r#"{"defaults":{},"overrides":{"prefix":7}}"#, None),
            ("[]", None),
            ("", None),
        ] {
            let expected = expected.map(|prefix: Option<&str>| prefix.map(str::to_owned));
            assert_eq!(parse_prefix(body.as_bytes()).ok(), expected, "{body}");
        }
    }

    #[test]
    fn prefix_cannot_leave_its_place_in_the_path() {
        for (prefix, expected) in [
            ("0192a5b2-7d0e-7c1c-9d55-1f1b9a7f0c3e", true),
            ("main%7Cwarehouse", true),
            ("a/b", true),
            ("..", false),
            ("a/../b", false),
            ("/a", false),
            ("a/", false),
            ("a?b", false),
            ("a#b", false),
            ("a b", false),
            ("é", false),
            (&"a".repeat(513), false),
        ] {
            assert_eq!(is_prefix(prefix), expected, "{prefix}");
        }
    }

    #[test]
    fn only_a_missing_table_or_namespace_is_missing() {
        let answer =
            |kind: &str, code: u16| format!(r#"{{"error":{{"message":"m","type":"{kind}","code":{code}}}}}"#);
        for (body, expected) in [
            (answer("NoSuchTableException", 404), true),
            (answer("NoSuchNamespaceException", 404), true),
            (answer("TabularNotFound", 404), true),
            (answer("NoSuchWarehouseException", 404), false),
            (answer("NoSuchTableException", 500), false),
            ("<html>Table not found</html>".to_owned(), false),
            (r#"{"error":"Table not found"}"#.to_owned(), false),
        ] {
            assert_eq!(names_missing_table(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn names_are_encoded_for_a_path() {
        for (text, expected) in
            [("artifacts_build", "artifacts_build"), ("a/b c?", "a%2Fb%20c%3F"), ("é", "%C3%A9")]
        {
            assert_eq!(encode_segment(text), expected);
        }
    }
}
