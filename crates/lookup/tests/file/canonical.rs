//! Values as text that another reader can write too; `scripts/parquet-testing-digests` says how.

use std::fmt::Write;

use firn_iceberg::value::{Literal, Value};

/// A row: its columns in brackets.
pub(crate) fn row(values: &[Option<Value>]) -> String {
    let mut text = String::new();
    list(&mut text, values.iter().map(Option::as_ref));
    text
}

fn list<'a>(text: &mut String, values: impl Iterator<Item = Option<&'a Value>>) {
    text.push('[');
    for (idx, item) in values.enumerate() {
        if idx > 0 {
            text.push(',');
        }
        value(text, item);
    }
    text.push(']');
}

fn value(text: &mut String, of: Option<&Value>) {
    match of {
        None => text.push_str("null"),
        Some(Value::Primitive(of)) => literal(text, of),
        Some(Value::List(items) | Value::Struct(items)) => list(text, items.iter().map(Option::as_ref)),
        Some(Value::Map(pairs)) => {
            text.push('[');
            for (idx, (key, of)) in pairs.iter().enumerate() {
                if idx > 0 {
                    text.push(',');
                }
                list(text, [Some(key), of.as_ref()].into_iter());
            }
            text.push(']');
        }
    }
}

fn literal(text: &mut String, of: &Literal) {
    match of {
        Literal::Boolean(of) => write!(text, "{of}"),
        Literal::Int(of) | Literal::Date(of) => write!(text, "{of}"),
        Literal::Long(of)
        | Literal::Time(of)
        | Literal::Timestamp(of)
        | Literal::Timestamptz(of)
        | Literal::TimestampNs(of)
        | Literal::TimestamptzNs(of) => write!(text, "{of}"),
        Literal::Float(of) => bits(text, f64::from(*of)),
        Literal::Double(of) => bits(text, *of),
        Literal::Decimal { unscaled, .. } => write!(text, "\"{unscaled}\""),
        Literal::String(of) => write!(text, "{}", serde_json::Value::from(of.as_str())),
        Literal::Uuid(of) => write!(text, "\"0x{}\"", hex(of)),
        Literal::Fixed(of) | Literal::Binary(of) => write!(text, "\"0x{}\"", hex(of)),
    }
    .unwrap();
}

fn bits(text: &mut String, of: f64) -> std::fmt::Result {
    if of.is_nan() { text.write_str("\"nan\"") } else { write!(text, "\"{:016x}\"", of.to_bits()) }
}

/// Two digits a byte.
pub(crate) fn hex(of: &[u8]) -> String {
    of.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
