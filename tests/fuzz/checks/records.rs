//! Record validation against an oracle made of `serde_json`: the same lines are records, an error about JSON is one,
//! and the row of a record is JSON that holds exactly what the caller wrote.
//!
//! Input: one line.

use std::collections::BTreeSet;
use std::fmt;

use firn_ndjson::chunk::{Chunker, Rows};
use firn_ndjson::digest::{SoftwareSha256, content_digest, content_size_bytes};
use firn_ndjson::record::{EXPIRES_AT_MAX, EXPIRES_AT_MIN, IF_VERSION, Record, parse_record};
use firn_ndjson::row::{RequestFields, RowFields, RowRenderer};
use firn_ndjson::values::Values;
use firn_types::error::LineErrorCode as Code;
use firn_types::key::ArtifactKey;
use firn_types::limits::{JSON_DEPTH_MAX, METADATA_LEN_BYTES_MAX, RECORD_LEN_BYTES_MAX};
use firn_types::mode::Mode;
use firn_types::schema::{self, CallerValue};
use firn_types::time::Micros;
use firn_types::version::{VERSION_MAX, Version};
use firn_types::visibility::Visibility;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

#[path = "values.rs"]
mod values;

/// Nesting that the oracle, which recurses, is asked about.
const ORACLE_DEPTH_MAX: usize = 300;

pub(crate) fn check(line: &[u8]) {
    let verdict = parse_record(line);
    let Ok(text) = std::str::from_utf8(line) else {
        let code = if line.len() > RECORD_LEN_BYTES_MAX { Code::RecordTooLarge } else { Code::InvalidUtf8 };
        assert_eq!(verdict.map(drop).map_err(|error| error.code), Err(code));
        return;
    };
    if depth_of(text) > ORACLE_DEPTH_MAX {
        assert!(verdict.is_err());
        return;
    }
    let value = parse_strictly(text);
    let members = value.as_ref().and_then(|_| Members::parse(text));
    let is_record =
        text.len() <= RECORD_LEN_BYTES_MAX && members.as_ref().is_some_and(|m| m.are_record(text));
    match verdict {
        Ok(record) => {
            assert!(is_record, "the oracle takes it for no record");
            check_row(&record, &members.expect("a record has members"));
        }
        Err(error) => {
            assert!(!is_record, "the oracle takes it for a record: {error}");
            let is_about_json = matches!(
                error.code,
                Code::InvalidUtf8
                    | Code::InvalidJson
                    | Code::LoneSurrogate
                    | Code::NumberOutOfRange
                    | Code::DuplicateKey
            );
            assert!(!(is_about_json && value.is_some()), "the oracle takes it for JSON: {error}");
            if error.code == Code::NestingTooDeep {
                assert!(depth_of(text) > JSON_DEPTH_MAX);
            }
        }
    }
}

/// A JSON value whose objects have no name twice.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Strict {
    Null,
    Bool(bool),
    Number,
    String(String),
    Array(Vec<Strict>),
    Object(Vec<(String, Strict)>),
}

/// Reads a whole text; `None` if it is no JSON, or has a name twice, a lone surrogate or a number that overflows.
pub(crate) fn parse_strictly(text: &str) -> Option<Strict> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.disable_recursion_limit();
    let value = Strict::deserialize(&mut deserializer).ok()?;
    deserializer.end().ok().map(|()| value)
}

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without a name twice")
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict::Bool(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Strict, E> {
        Ok(Strict::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Strict, E> {
        Ok(Strict::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Strict, E> {
        Ok(Strict::Number)
    }

    fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
        Ok(Strict::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Strict, A::Error> {
        let mut array = Vec::new();
        while let Some(element) = elements.next_element()? {
            array.push(element);
        }
        Ok(Strict::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Strict, A::Error> {
        let (mut object, mut names) = (Vec::new(), BTreeSet::new());
        while let Some((name, value)) = members.next_entry::<String, Strict>()? {
            if !names.insert(name.clone()) {
                return Err(de::Error::custom("a name twice"));
            }
            object.push((name, value));
        }
        Ok(Strict::Object(object))
    }
}

/// The members of a line's object, with the text of each value.
struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    fn parse(text: &str) -> Option<Self> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = access.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        let mut deserializer = serde_json::Deserializer::from_str(text);
        deserializer.disable_recursion_limit();
        deserializer.deserialize_map(MembersVisitor).ok()
    }

    fn raw(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, raw)| raw.get())
    }

    fn value(&self, name: &str) -> Option<Strict> {
        self.raw(name).map(|raw| parse_strictly(raw).expect("a part of JSON is JSON"))
    }

    fn string(&self, name: &str) -> Option<String> {
        match self.value(name)? {
            Strict::String(value) => Some(value),
            other => panic!("{name} is {other:?}"),
        }
    }

    /// Whether a text with these members is a record, as design.md §2 has it.
    fn are_record(&self, text: &str) -> bool {
        let is_typed = |(name, raw): &(String, Box<RawValue>)| {
            let value = parse_strictly(raw.get()).expect("a part of JSON is JSON");
            let caller = match schema::column_named(name) {
                Some(column) => column.caller,
                None if name == IF_VERSION => CallerValue::String,
                None => return false,
            };
            match caller {
                CallerValue::None => false,
                CallerValue::String => matches!(value, Strict::String(_)),
                CallerValue::Timestamp => matches!(value, Strict::String(text) if is_expiry(&text)),
                CallerValue::Bool => matches!(value, Strict::Bool(_)),
                CallerValue::Object => matches!(value, Strict::Object(_)),
                CallerValue::Json => true,
                CallerValue::StringList => matches!(
                    value,
                    Strict::Array(elements) if elements.iter().all(|e| matches!(e, Strict::String(_)))
                ),
            }
        };
        let part = |name| self.string(name);
        depth_of(text) <= JSON_DEPTH_MAX
            && self.0.iter().all(is_typed)
            && part("ns")
                .zip(part("type"))
                .zip(part("id"))
                .is_some_and(|((ns, kind), id)| ArtifactKey::parse(&ns, &kind, &id).is_ok())
            && part("visibility")
                .is_none_or(|word| ["public", "unlisted", "org", "user"].contains(&word.as_str()))
            && part(IF_VERSION).is_none_or(|version| {
                version
                    .parse::<i64>()
                    .is_ok_and(|n| (0..=VERSION_MAX).contains(&n) && n.to_string() == version)
            })
            && self.raw("metadata").is_none_or(|raw| raw.len() <= METADATA_LEN_BYTES_MAX)
    }
}

fn is_expiry(text: &str) -> bool {
    Micros::parse_rfc3339(text).is_some_and(|at| (EXPIRES_AT_MIN..=EXPIRES_AT_MAX).contains(&at))
}

/// Deepest nesting of a text, whatever it is otherwise.
fn depth_of(text: &str) -> usize {
    let (mut depth, mut depth_max, mut in_string, mut is_escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth_max = depth_max.max(depth);
    }
    depth_max
}

/// The row holds what the caller wrote and what the server sets, in the order of the table, and the hash covers it.
fn check_row(record: &Record<'_>, members: &Members) {
    let hash = content_digest(record, SoftwareSha256::default(), &mut Values::default());
    let size_bytes = content_size_bytes(record);
    assert_eq!((hash.0, size_bytes), expected_digest(members));
    assert_eq!(record.deleted, members.value("deleted") == Some(Strict::Bool(true)));
    let renderer = RowRenderer::new(&RequestFields {
        owner_iss: Some("https://issuer.example/\"\u{1}"),
        owner_org: None,
        owner_sub: Some("alice"),
        ts: Micros(1_795_000_000_000_001),
        mode: Mode::Bulk,
        ingest_id: "i-1",
    });
    let fields = RowFields {
        version: Version::new(VERSION_MAX),
        visibility: record.visibility.unwrap_or(Visibility::User),
        hash: Some(hash),
        size_bytes,
    };
    let mut row = b"before".to_vec();
    match renderer.render_row(record, &fields, &mut row) {
        Ok(len_bytes) => assert_eq!(row.len(), len_bytes + 6),
        Err(error) => {
            assert_eq!((error.code, row.as_slice()), (Code::RecordTooLarge, b"before".as_slice()));
            return;
        }
    }
    assert!(row.len() <= RECORD_LEN_BYTES_MAX + 6);
    let row =
        std::str::from_utf8(&row).expect("a row is UTF-8").strip_prefix("before").expect("it is appended");
    let Some(Strict::Object(found)) = parse_strictly(row) else { panic!("a row is an object") };
    let expected: Vec<(String, Strict)> = schema::stream_columns()
        .filter_map(|column| {
            Some((column.name.to_owned(), expected_value(column.name, record, members, &fields)?))
        })
        .collect();
    assert_eq!(found, expected);
    assert!(row.contains(&format!(",\"version\":{VERSION_MAX},")), "numbers are numbers");
    check_values(record, &renderer, &fields, row);
}

/// As values the row is the same, and counts as much.
fn check_values(record: &Record<'_>, renderer: &RowRenderer, fields: &RowFields, row: &str) {
    let mut chunker = Chunker::new(0);
    let planned = renderer.plan_values(record, fields, Some(SoftwareSha256::default()));
    chunker.push_values(1, planned.expect("as JSON it is within the limit"));
    let chunk = chunker.finish().expect("it holds a row");
    assert_eq!(chunk.len_bytes, row.len() + 2);
    let Rows::Values(values) = chunk.rows else { panic!("the row is values") };
    let expected: serde_json::Value = serde_json::from_str(row).expect("a row is JSON");
    let found = values::rows_of(&values);
    assert!(values.texts().is_ascii() || !is_ascii(&expected), "only characters are beyond ASCII");
    assert_eq!(found, [expected]);
}

/// Whether a JSON value holds ASCII alone.
fn is_ascii(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text.is_ascii(),
        serde_json::Value::Array(elements) => elements.iter().all(is_ascii),
        serde_json::Value::Object(members) => members.values().all(is_ascii),
        _ => true,
    }
}

fn expected_value(name: &str, record: &Record<'_>, members: &Members, fields: &RowFields) -> Option<Strict> {
    let string = |text: &str| Some(Strict::String(text.to_owned()));
    match name {
        "ns" => string(&members.string("ns")?.to_ascii_lowercase()),
        "version" | "size_bytes" => Some(Strict::Number),
        "visibility" => string(fields.visibility.as_str()),
        "owner_iss" => string("https://issuer.example/\"\u{1}"),
        "owner_sub" => string("alice"),
        "deleted" => Some(Strict::Bool(record.deleted)),
        "expires_at" => {
            let at = Micros::parse_rfc3339(&members.string(name)?);
            assert_eq!(record.expires_at, at);
            string(&at?.to_rfc3339())
        }
        "ts" => string(&Micros(1_795_000_000_000_001).to_rfc3339()),
        "hash" => string(&fields.hash?.to_string()),
        "mode" => string("bulk"),
        "ingest_id" => string("i-1"),
        _ => match schema::column_named(name)?.caller {
            CallerValue::None => None,
            CallerValue::Json | CallerValue::Object => string(members.raw(name)?),
            _ => members.value(name),
        },
    }
}

fn expected_digest(members: &Members) -> ([u8; 32], u64) {
    let (mut preimage, mut size_bytes) = (Vec::new(), 0);
    let add = |preimage: &mut Vec<u8>, bytes: &[u8]| {
        preimage.extend((bytes.len() as u64).to_be_bytes());
        preimage.extend(bytes);
        bytes.len() as u64
    };
    for column in schema::content_columns() {
        let Some(raw) = members.raw(column.name) else { continue };
        add(&mut preimage, column.name.as_bytes());
        match (column.caller, parse_strictly(raw)) {
            (CallerValue::String, Some(Strict::String(text))) => {
                size_bytes += add(&mut preimage, text.as_bytes());
            }
            (CallerValue::StringList, Some(Strict::Array(elements))) => {
                preimage.extend((elements.len() as u64).to_be_bytes());
                for element in elements {
                    let Strict::String(text) = element else { panic!("an element is a string") };
                    size_bytes += add(&mut preimage, text.as_bytes());
                }
            }
            _ => size_bytes += add(&mut preimage, raw.as_bytes()),
        }
    }
    (Sha256::digest(&preimage).into(), size_bytes)
}
