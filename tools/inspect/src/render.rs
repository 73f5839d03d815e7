//! Values as JSON.
//!
//! | type | JSON |
//! |---|---|
//! | boolean; int, long, float, double | itself; a float as the double of the same value; text `NaN`, `Infinity`, `-Infinity`, which JSON's numbers lack |
//! | decimal | text with all digits of its scale, `-14.20` |
//! | date, time, timestamp, timestamp_ns | ISO 8601 text, the last two with `T` and without a zone |
//! | timestamptz, timestamptz_ns | the same with `+00:00` |
//! | string; uuid | text; text in lower case, `f79c3e09-677c-4bbd-a479-3f349cb785e7` |
//! | binary, fixed, geometry, geography | text: base64 with padding (geometries as well-known binary) |
//! | struct; list; map | object, fields in order of the schema; array; array of `[key, value]` |
//! | null, unknown | null |

use base64::{Engine as _, engine::general_purpose::STANDARD};
use firn_iceberg::{
    schema::{NestedField, Type},
    value::{Literal, Value},
};
use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeMap as _},
};

use crate::iso::{render_date, render_instant, render_time};

/// A row, as an object whose fields are columns.
#[derive(Debug)]
pub(crate) struct RowJson<'a> {
    pub(crate) columns: &'a [NestedField],
    pub(crate) values: &'a [Option<Value>],
}

impl Serialize for RowJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_fields(self.columns, self.values, serializer)
    }
}

/// A value of a type, or null.
struct ValueJson<'a> {
    ty: &'a Type,
    value: Option<&'a Value>,
}

impl Serialize for ValueJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.value, self.ty) {
            (None, _) => serializer.serialize_unit(),
            (Some(Value::Primitive(literal)), _) => serialize_literal(literal, serializer),
            (Some(Value::List(items)), Type::List(element)) => {
                serializer.collect_seq(items.iter().map(|item| json_of(element, item.as_ref())))
            }
            (Some(Value::Map(pairs)), Type::Map(key, value)) => serializer
                .collect_seq(pairs.iter().map(|(k, v)| [json_of(key, Some(k)), json_of(value, v.as_ref())])),
            (Some(Value::Struct(values)), Type::Struct(fields)) => {
                serialize_fields(fields, values, serializer)
            }
            (Some(_), ty) => {
                Err(S::Error::custom(format!("invariant: a value is of its column's type {ty:?}")))
            }
        }
    }
}

fn json_of<'a>(field: &'a NestedField, value: Option<&'a Value>) -> ValueJson<'a> {
    ValueJson { ty: &field.ty, value }
}

fn serialize_fields<S: Serializer>(
    fields: &[NestedField],
    values: &[Option<Value>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut object = serializer.serialize_map(Some(fields.len()))?;
    for (field, value) in fields.iter().zip(values) {
        object.serialize_entry(&field.name, &json_of(field, value.as_ref()))?;
    }
    object.end()
}

fn serialize_literal<S: Serializer>(literal: &Literal, serializer: S) -> Result<S::Ok, S::Error> {
    match literal {
        Literal::Boolean(v) => serializer.serialize_bool(*v),
        Literal::Int(v) => serializer.serialize_i32(*v),
        Literal::Long(v) => serializer.serialize_i64(*v),
        Literal::Float(v) => serialize_double((*v).into(), serializer),
        Literal::Double(v) => serialize_double(*v, serializer),
        text => serializer.serialize_str(&render_text(text)),
    }
}

fn serialize_double<S: Serializer>(value: f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() { serializer.serialize_f64(value) } else { serializer.serialize_str(name_of(value)) }
}

/// The name of a number that JSON lacks.
fn name_of(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// A value without quotes: what stands in a JSON string, or the JSON of a number or boolean.
pub(crate) fn render_text(literal: &Literal) -> String {
    match literal {
        Literal::Boolean(v) => v.to_string(),
        Literal::Int(v) => v.to_string(),
        Literal::Long(v) => v.to_string(),
        Literal::Float(v) => f64::from(*v).to_string(),
        Literal::Double(v) => v.to_string(),
        Literal::Decimal { unscaled, scale } => render_decimal(*unscaled, *scale),
        Literal::Date(days) => render_date((*days).into()),
        Literal::Time(micros) => render_time(i128::from(*micros) * 1_000),
        Literal::Timestamp(micros) => render_instant(i128::from(*micros) * 1_000),
        Literal::Timestamptz(micros) => render_instant(i128::from(*micros) * 1_000) + "+00:00",
        Literal::TimestampNs(nanos) => render_instant((*nanos).into()),
        Literal::TimestamptzNs(nanos) => render_instant((*nanos).into()) + "+00:00",
        Literal::String(text) => text.clone(),
        Literal::Uuid(bytes) => render_uuid(u128::from_be_bytes(*bytes)),
        Literal::Fixed(bytes) | Literal::Binary(bytes) => STANDARD.encode(bytes),
    }
}

fn render_decimal(unscaled: i128, scale: u32) -> String {
    let scale = usize::try_from(scale).unwrap_or(usize::MAX);
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = unscaled.unsigned_abs().to_string();
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    // At least one digit stands before the point.
    let zeros = "0".repeat((scale + 1).saturating_sub(digits.len()));
    let digits = zeros + &digits;
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

fn render_uuid(value: u128) -> String {
    let hex = format!("{value:032x}");
    let mut text = String::with_capacity(36);
    for (place, digit) in hex.chars().enumerate() {
        if matches!(place, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use firn_iceberg::schema::{PrimitiveType, parse_primitive};

    use super::*;

    fn field(name: &str, ty: Type) -> NestedField {
        NestedField { id: 1, name: name.to_owned(), required: false, ty, initial_default: None }
    }

    #[track_caller]
    fn check(ty: Type, value: Option<Value>, expected: &str) {
        let row = RowJson { columns: &[field("c", ty)], values: &[value] };
        assert_eq!(serde_json::to_string(&row).unwrap(), format!(r#"{{"c":{expected}}}"#));
    }

    #[track_caller]
    fn check_literal(ty: &str, literal: Literal, expected: &str) {
        check(Type::Primitive(parse_primitive(ty).unwrap()), Some(literal.into()), expected);
    }

    #[test]
    fn every_primitive_type_has_its_json() {
        check_literal("boolean", Literal::Boolean(true), "true");
        check_literal("int", Literal::Int(-34), "-34");
        check_literal("long", Literal::Long(i64::MAX), "9223372036854775807");
        check_literal("float", Literal::Float(0.1), "0.10000000149011612");
        check_literal("float", Literal::Float(f32::NAN), r#""NaN""#);
        check_literal("double", Literal::Double(0.1), "0.1");
        check_literal("double", Literal::Double(-0.0), "-0.0");
        check_literal("double", Literal::Double(f64::NAN), r#""NaN""#);
        check_literal("double", Literal::Double(f64::INFINITY), r#""Infinity""#);
        check_literal("double", Literal::Double(f64::NEG_INFINITY), r#""-Infinity""#);
        check_literal("decimal(9, 2)", Literal::Decimal { unscaled: 1420, scale: 2 }, r#""14.20""#);
        check_literal("decimal(9, 2)", Literal::Decimal { unscaled: -5, scale: 2 }, r#""-0.05""#);
        check_literal("decimal(9, 0)", Literal::Decimal { unscaled: -5, scale: 0 }, r#""-5""#);
        check_literal(
            "decimal(38, 38)",
            Literal::Decimal { unscaled: 0, scale: 38 },
            &format!("\"0.{}\"", "0".repeat(38)),
        );
        check_literal("date", Literal::Date(17_486), r#""2017-11-16""#);
        check_literal("time", Literal::Time(81_068_123_456), r#""22:31:08.123456""#);
        check_literal("time", Literal::Time(60_000_000), r#""00:01:00""#);
        let (micros, nanos) = (1_510_871_468_123_456, 1_510_871_468_123_456_789);
        check_literal("timestamp", Literal::Timestamp(micros), r#""2017-11-16T22:31:08.123456""#);
        check_literal("timestamptz", Literal::Timestamptz(micros), r#""2017-11-16T22:31:08.123456+00:00""#);
        check_literal("timestamptz", Literal::Timestamptz(0), r#""1970-01-01T00:00:00+00:00""#);
        check_literal("timestamp_ns", Literal::TimestampNs(nanos), r#""2017-11-16T22:31:08.123456789""#);
        check_literal(
            "timestamptz_ns",
            Literal::TimestamptzNs(nanos),
            r#""2017-11-16T22:31:08.123456789+00:00""#,
        );
        check_literal("string", Literal::String("a\"\u{1}ü".into()), r#""a\"\u0001ü""#);
        let uuid = 0xf79c_3e09_677c_4bbd_a479_3f34_9cb7_85e7_u128.to_be_bytes();
        check_literal("uuid", Literal::Uuid(uuid), r#""f79c3e09-677c-4bbd-a479-3f349cb785e7""#);
        check_literal("fixed[4]", Literal::Fixed(vec![0, 1, 2, 255]), r#""AAEC/w==""#);
        check_literal("binary", Literal::Binary(vec![]), r#""""#);
        check_literal("geometry", Literal::Binary(vec![255, 255]), r#""//8=""#);
        check(Type::Primitive(PrimitiveType::Unknown), None, "null");
    }

    #[test]
    fn nested_types_have_their_json() {
        let text = |text: &str| Value::Primitive(Literal::String(text.to_owned()));
        let string = || Type::Primitive(PrimitiveType::String);
        let list = Type::List(Box::new(field("element", string())));
        check(list, Some(Value::List(vec![Some(text("a")), None])), r#"["a",null]"#);
        let map = Type::Map(Box::new(field("key", string())), Box::new(field("value", string())));
        check(
            map,
            Some(Value::Map(vec![(text("k"), Some(text("v"))), (text("l"), None)])),
            r#"[["k","v"],["l",null]]"#,
        );
        let of = Type::Struct(vec![field("z", string()), field("a", string())]);
        check(of, Some(Value::Struct(vec![Some(text("1")), None])), r#"{"z":"1","a":null}"#);
    }
}
