//! One record as it was sent to a stream, checked against the stream's schema
//! (`firn_types::schema::stream_columns`), as a structured Cloudflare Pipelines stream checks it.
//!
//! A row that violates the schema is dropped and counted by the caller: the real stream accepts the request and drops
//! the row. A violation therefore names the field and the reason and holds nothing of the row.
//!
//! What is not checked: grammars of keys, visibilities and hashes. The stream knows types only.

use serde_json::{Map, Number, Value as Json};
use thiserror::Error;

use firn_types::{
    schema::{Column, ColumnType, stream_columns},
    time::Micros,
};

/// First instant that RFC 3339 can name: 0000-01-01T00:00:00Z.
pub const TIMESTAMP_MIN: Micros = Micros(-62_167_219_200_000_000);

/// Last instant that RFC 3339 can name: 9999-12-31T23:59:59.999999Z.
pub const TIMESTAMP_MAX: Micros = Micros(253_402_300_799_999_999);

/// What becomes of a row with a field that the stream does not have. Cloudflare's behaviour is not documented, so it
/// is a setting; Firn's own senders never send one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownFields {
    /// The row violates the schema.
    #[default]
    Violate,
    /// The field is dropped, the row stays.
    Drop,
}

/// A value of a row; its variant is that of the column's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of a `String` column.
    String(String),
    /// Of an `Int64` column.
    Int64(i64),
    /// Of a `Bool` column.
    Bool(bool),
    /// Of a `Timestamp` column.
    Timestamp(Micros),
    /// Of a `StringList` column.
    StringList(Vec<String>),
}

/// A row that the stream takes: every required column is there, every value has its column's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// One for each of `stream_columns()`, in that order.
    values: Vec<Option<Value>>,
}

impl Row {
    /// Columns and values in the order of the table, `__ingest_ts` excepted: the sink adds it.
    pub fn values(&self) -> impl Iterator<Item = (&'static Column, Option<&Value>)> {
        stream_columns().zip(self.values.iter().map(Option::as_ref))
    }

    /// The value of the column `name`; `None` where it is null or there is no such column.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values().find(|(column, _)| column.name == name).and_then(|(_, value)| value)
    }

    /// Bytes of the values as they lie in memory: what a batch of rows is bounded by. Null counts as a byte.
    pub fn len_bytes(&self) -> usize {
        let text = |s: &String| s.len().saturating_add(size_of::<i32>());
        self.values.iter().fold(0_usize, |sum, value| {
            sum.saturating_add(match value {
                None | Some(Value::Bool(_)) => 1,
                Some(Value::Int64(_) | Value::Timestamp(_)) => size_of::<i64>(),
                Some(Value::String(s)) => text(s),
                Some(Value::StringList(list)) => {
                    list.iter().map(text).fold(size_of::<i32>(), usize::saturating_add)
                }
            })
        })
    }
}

/// Why a stream drops a row.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}: {reason}", field.unwrap_or("row"))]
pub struct SchemaViolation {
    /// The column; `None` where the row as a whole is wrong, or holds a field that the stream does not have (whose
    /// name is the sender's and stays out of logs).
    pub field: Option<&'static str>,
    /// The reason.
    pub reason: ViolationReason,
}

/// The reason of a [`SchemaViolation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum ViolationReason {
    /// The bytes are not JSON; also where a string holds a lone surrogate, which no UTF-8 column can store.
    #[error("not JSON")]
    NotJson,
    /// The row is no JSON object.
    #[error("not an object")]
    NotAnObject,
    /// A required field is missing or null.
    #[error("required, and missing or null")]
    Missing,
    /// The value has another JSON type than the column.
    #[error("wrong type")]
    WrongType,
    /// A string that is no RFC 3339 date-time, or an instant that RFC 3339 cannot name.
    #[error("not an RFC 3339 date-time")]
    NotATimestamp,
    /// A field that the stream does not have.
    #[error("unknown field")]
    UnknownField,
}

/// Checks one record against the stream's schema.
///
/// Null counts as missing. An `Int64` is a JSON integer of 64 bits; a `Timestamp` is RFC 3339 text (finer than a
/// microsecond is cut off) or an integer of microseconds. Where a name stands twice the last value counts, as in the
/// JavaScript object that the real stream gets.
pub fn parse_row(json: &[u8], unknown: UnknownFields) -> Result<Row, SchemaViolation> {
    let whole = |reason| SchemaViolation { field: None, reason };
    let parsed: Json = serde_json::from_slice(json).map_err(|_| whole(ViolationReason::NotJson))?;
    let Json::Object(mut fields) = parsed else {
        return Err(whole(ViolationReason::NotAnObject));
    };
    let values: Result<_, _> = stream_columns().map(|column| take_value(&mut fields, column)).collect();
    let row = Row { values: values? };
    if unknown == UnknownFields::Violate && !fields.is_empty() {
        return Err(whole(ViolationReason::UnknownField));
    }
    Ok(row)
}

/// Moves the column's value out of `fields`, so that what is left there is unknown.
fn take_value(fields: &mut Map<String, Json>, column: &Column) -> Result<Option<Value>, SchemaViolation> {
    let violation = |reason| SchemaViolation { field: Some(column.name), reason };
    match fields.remove(column.name) {
        None | Some(Json::Null) if column.required => Err(violation(ViolationReason::Missing)),
        None | Some(Json::Null) => Ok(None),
        Some(json) => parse_value(column.column_type, json).map(Some).map_err(violation),
    }
}

fn parse_value(column_type: ColumnType, json: Json) -> Result<Value, ViolationReason> {
    match (column_type, json) {
        (ColumnType::String, Json::String(text)) => Ok(Value::String(text)),
        (ColumnType::Bool, Json::Bool(value)) => Ok(Value::Bool(value)),
        (ColumnType::Int64, Json::Number(number)) => {
            number.as_i64().map(Value::Int64).ok_or(ViolationReason::WrongType)
        }
        (ColumnType::Timestamp, Json::String(text)) => {
            Micros::parse_rfc3339(&text).map(Value::Timestamp).ok_or(ViolationReason::NotATimestamp)
        }
        (ColumnType::Timestamp, Json::Number(number)) => parse_micros(&number).map(Value::Timestamp),
        (ColumnType::StringList { .. }, Json::Array(elements)) => {
            elements.into_iter().map(parse_element).collect::<Result<_, _>>().map(Value::StringList)
        }
        _ => Err(ViolationReason::WrongType),
    }
}

fn parse_micros(number: &Number) -> Result<Micros, ViolationReason> {
    let micros = number.as_i64().map(Micros).ok_or(ViolationReason::WrongType)?;
    if !(TIMESTAMP_MIN..=TIMESTAMP_MAX).contains(&micros) {
        return Err(ViolationReason::NotATimestamp);
    }
    Ok(micros)
}

fn parse_element(json: Json) -> Result<String, ViolationReason> {
    match json {
        Json::String(text) => Ok(text),
        _ => Err(ViolationReason::WrongType),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = r#""ns":"a","type":"t","id":"i","version":7"#;

    fn parse(fields: &str) -> Result<Row, SchemaViolation> {
        parse_row(format!("{{{KEY}{fields}}}").as_bytes(), UnknownFields::Violate)
    }

    #[track_caller]
    fn check_violation(json: &str, field: Option<&'static str>, reason: ViolationReason) {
        let found = parse_row(json.as_bytes(), UnknownFields::Violate);
        assert_eq!(found, Err(SchemaViolation { field, reason }), "{json}");
    }

    #[test]
    fn values_arrive_in_the_type_of_their_column() {
        let row = parse(
            r#","markdown":"雪 \u2744","deleted":true,"size_bytes":-1,"dependencies":["a",""],
               "expires_at":"2026-11-20T10:00:00.1234567+02:00","ts":1700000000000000,"mdx":"","html":null"#,
        )
        .unwrap();
        for (name, expected) in [
            ("ns", Some(Value::String("a".into()))),
            ("version", Some(Value::Int64(7))),
            ("markdown", Some(Value::String("雪 ❄".into()))),
            ("mdx", Some(Value::String(String::new()))),
            ("html", None),
            ("css", None),
            ("deleted", Some(Value::Bool(true))),
            ("size_bytes", Some(Value::Int64(-1))),
            ("dependencies", Some(Value::StringList(vec!["a".into(), String::new()]))),
            ("expires_at", Micros::parse_rfc3339("2026-11-20T08:00:00.123456Z").map(Value::Timestamp)),
            ("ts", Some(Value::Timestamp(Micros(1_700_000_000_000_000)))),
            ("no_such_column", None),
        ] {
            assert_eq!(row.get(name), expected.as_ref(), "{name}");
        }
    }

    #[test]
    fn timestamp_limits_are_the_ends_of_rfc_3339() {
        assert_eq!(Micros::parse_rfc3339("0000-01-01T00:00:00Z"), Some(TIMESTAMP_MIN));
        assert_eq!(Micros::parse_rfc3339("9999-12-31T23:59:59.999999Z"), Some(TIMESTAMP_MAX));
    }

    #[test]
    fn every_violation_is_named() {
        use ViolationReason as R;
        for (fields, field, reason) in [
            (r#","html":1"#, Some("html"), R::WrongType),
            (r#","mdast":{}"#, Some("mdast"), R::WrongType),
            (r#","deleted":"true""#, Some("deleted"), R::WrongType),
            (r#","size_bytes":"1""#, Some("size_bytes"), R::WrongType),
            (r#","size_bytes":1.5"#, Some("size_bytes"), R::WrongType),
            (r#","size_bytes":9223372036854775808"#, Some("size_bytes"), R::WrongType),
            (r#","dependencies":"a""#, Some("dependencies"), R::WrongType),
            (r#","dependencies":["a",null]"#, Some("dependencies"), R::WrongType),
            (r#","exports":[["a"]]"#, Some("exports"), R::WrongType),
            (r#","ts":true"#, Some("ts"), R::WrongType),
            (r#","ts":1.5"#, Some("ts"), R::WrongType),
            (r#","ts":"2026-11-20""#, Some("ts"), R::NotATimestamp),
            (r#","ts":253402300800000000"#, Some("ts"), R::NotATimestamp),
            (r#","secret":"x""#, None, R::UnknownField),
            (r#","__ingest_ts":"2026-11-20T10:00:00Z""#, None, R::UnknownField),
            (r#","html":"\ud800""#, None, R::NotJson),
        ] {
            check_violation(&format!("{{{KEY}{fields}}}"), field, reason);
        }
        for (json, field, reason) in [
            ("", None, R::NotJson),
            ("{", None, R::NotJson),
            ("{} {}", None, R::NotJson),
            ("[]", None, R::NotAnObject),
            ("null", None, R::NotAnObject),
            ("{}", Some("ns"), R::Missing),
            (r#"{"ns":null,"type":"t","id":"i","version":1}"#, Some("ns"), R::Missing),
            (r#"{"ns":"n","type":"t","id":"i"}"#, Some("version"), R::Missing),
            (r#"{"ns":"n","type":"t","id":"i","version":"1"}"#, Some("version"), R::WrongType),
        ] {
            check_violation(json, field, reason);
        }
        check_violation(&"[".repeat(100_000), None, R::NotJson);
    }

    #[test]
    fn unknown_field_can_be_dropped_instead() {
        let json = format!("{{{KEY},\"x\":1}}");
        let row = parse_row(json.as_bytes(), UnknownFields::Drop).unwrap();
        assert_eq!(row, parse("").unwrap());
    }

    #[test]
    fn message_holds_no_content() {
        let violation = parse(r#","html":{"secret":1}"#).unwrap_err();
        assert_eq!(violation.to_string(), "html: wrong type");
        assert_eq!(parse(r#","secret":1"#).unwrap_err().to_string(), "row: unknown field");
    }
}
