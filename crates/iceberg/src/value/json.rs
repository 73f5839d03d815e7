//! The JSON single-value form: how table metadata holds default values.
//!
//! Spec: "Appendix D: Single-value serialization", "JSON single-value serialization".

use serde_json::Value as Json;

use super::{Literal, Value};
use crate::schema::{PrimitiveType, Type};

/// Longest run of digits in a decimal's text: 38 digits, a sign and a point fit.
const DECIMAL_DIGIT_COUNT_MAX: usize = 38;

/// Reads a value of `ty`; `None` if the JSON is not one. Types nest at most as deep as schemas may.
pub fn parse_value(json: &Json, ty: &Type) -> Option<Value> {
    let nullable = |json: &Json, ty: &Type| match json {
        Json::Null => Some(None),
        json => parse_value(json, ty).map(Some),
    };
    match ty {
        Type::Primitive(p) => parse_literal(json, *p).map(Value::Primitive),
        Type::List(element) => {
            let items = json.as_array()?.iter().map(|item| nullable(item, &element.ty));
            items.collect::<Option<_>>().map(Value::List)
        }
        Type::Map(key, value) => {
            let keys = json.get("keys")?.as_array()?;
            let values = json.get("values")?.as_array()?;
            if keys.len() != values.len() {
                return None;
            }
            let pairs = keys.iter().zip(values);
            let pairs = pairs.map(|(k, v)| Some((parse_value(k, &key.ty)?, nullable(v, &value.ty)?)));
            pairs.collect::<Option<_>>().map(Value::Map)
        }
        // Fields are named by id. One that is left out has its own default.
        Type::Struct(fields) => {
            let object = json.as_object()?;
            let values = fields.iter().map(|field| match object.get(&field.id.to_string()) {
                None => Some(field.initial_default.clone()),
                Some(json) => nullable(json, &field.ty),
            });
            values.collect::<Option<_>>().map(Value::Struct)
        }
        Type::Variant => None,
    }
}

fn parse_literal(json: &Json, ty: PrimitiveType) -> Option<Literal> {
    Some(match ty {
        PrimitiveType::Boolean => Literal::Boolean(json.as_bool()?),
        PrimitiveType::Int => Literal::Int(json.as_i64()?.try_into().ok()?),
        PrimitiveType::Long => Literal::Long(json.as_i64()?),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the text was written from an f32, or is meant as one"
        )]
        PrimitiveType::Float => Literal::Float(json.as_f64()? as f32),
        PrimitiveType::Double => Literal::Double(json.as_f64()?),
        PrimitiveType::Decimal { scale, .. } => {
            Literal::Decimal { unscaled: parse_decimal(json.as_str()?, scale)?, scale }
        }
        PrimitiveType::Date => Literal::Date(parse_date(json.as_str()?)?),
        PrimitiveType::Time => Literal::Time(parse_time_nanos(json.as_str()?)?.div_euclid(1_000)),
        PrimitiveType::Timestamp => Literal::Timestamp(parse_timestamp(json.as_str()?, 1_000)?),
        PrimitiveType::TimestampNs => Literal::TimestampNs(parse_timestamp(json.as_str()?, 1)?),
        PrimitiveType::Timestamptz => {
            Literal::Timestamptz(parse_timestamp(strip_utc(json.as_str()?)?, 1_000)?)
        }
        PrimitiveType::TimestamptzNs => {
            Literal::TimestamptzNs(parse_timestamp(strip_utc(json.as_str()?)?, 1)?)
        }
        PrimitiveType::String => Literal::String(json.as_str()?.to_owned()),
        PrimitiveType::Uuid => {
            let hex: String = json.as_str()?.split('-').collect();
            Literal::Uuid(parse_hex(&hex)?.try_into().ok()?)
        }
        PrimitiveType::Fixed(len) => {
            let bytes = parse_hex(json.as_str()?)?;
            (bytes.len() as u64 == u64::from(len)).then_some(Literal::Fixed(bytes))?
        }
        PrimitiveType::Binary => Literal::Binary(parse_hex(json.as_str()?)?),
        PrimitiveType::Unknown | PrimitiveType::Geometry | PrimitiveType::Geography => return None,
    })
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
            _ => None,
        })
        .collect()
}

/// `14.20` with scale 2 is 1420; `1420E-2`'s kind of text is only written for negative scales, which tables lack.
fn parse_decimal(text: &str, scale: u32) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fits = whole.len() + fraction.len() <= DECIMAL_DIGIT_COUNT_MAX + 1;
    if !fits || whole.is_empty() || fraction.len() as u64 != u64::from(scale) {
        return None;
    }
    let mut unscaled: i128 = 0;
    for c in whole.chars().chain(fraction.chars()) {
        unscaled = unscaled.checked_mul(10)?.checked_add(c.to_digit(10)?.into())?;
    }
    Some(if negative { -unscaled } else { unscaled })
}

fn parse_number(text: &str) -> Option<i64> {
    if text.is_empty() || text.len() > 9 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Days from 1970-01-01 of a proleptic Gregorian date, by counting years from March so that leap days come last.
fn parse_date(text: &str) -> Option<i32> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut parts = digits.splitn(3, '-');
    let year = parse_number(parts.next()?)?;
    let (month, day) = (parse_number(parts.next()?)?, parse_number(parts.next()?)?);
    let year = if negative { -year } else { year };
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let month_len = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=month_len).contains(&day) {
        return None;
    }
    let (march_year, march_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = march_year.div_euclid(400);
    let year_of_era = march_year.rem_euclid(400);
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era - 719_468).try_into().ok()
}

fn parse_time_nanos(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.splitn(3, ':');
    let hour = parse_number(parts.next()?)?;
    let minute = parse_number(parts.next()?)?;
    let second = match parts.next() {
        Some(second) => parse_number(second)?,
        None => 0,
    };
    if hour > 23 || minute > 59 || second > 59 || fraction.len() > 9 {
        return None;
    }
    let nanos = if fraction.is_empty() { 0 } else { parse_number(&format!("{fraction:0<9}"))? };
    Some(((hour * 60 + minute) * 60 + second) * 1_000_000_000 + nanos)
}

fn parse_timestamp(text: &str, nanos_per_unit: i64) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let units_per_day = 86_400_000_000_000 / nanos_per_unit;
    let day = i64::from(parse_date(date)?).checked_mul(units_per_day)?;
    day.checked_add(parse_time_nanos(time)? / nanos_per_unit)
}

fn strip_utc(text: &str) -> Option<&str> {
    ["+00:00", "Z", "-00:00"].iter().find_map(|suffix| text.strip_suffix(suffix))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::parse_primitive;

    #[track_caller]
    fn check(ty: &str, json: &Json, expected: Option<Literal>) {
        let ty = Type::Primitive(parse_primitive(ty).unwrap());
        assert_eq!(parse_value(json, &ty), expected.map(Value::Primitive), "{json}");
    }

    #[test]
    fn json_single_values_of_the_spec_are_read() {
        check("boolean", &json!(true), Some(Literal::Boolean(true)));
        check("int", &json!(34), Some(Literal::Int(34)));
        check("int", &json!(3_000_000_000_i64), None);
        check("long", &json!(34), Some(Literal::Long(34)));
        check("float", &json!(1.0), Some(Literal::Float(1.0)));
        check("double", &json!(1), Some(Literal::Double(1.0)));
        check("decimal(9, 2)", &json!("14.20"), Some(Literal::Decimal { unscaled: 1420, scale: 2 }));
        check("decimal(9, 2)", &json!("-0.05"), Some(Literal::Decimal { unscaled: -5, scale: 2 }));
        check("decimal(9, 2)", &json!("14.2"), None);
        check("date", &json!("2017-11-16"), Some(Literal::Date(17_486)));
        check("date", &json!("1969-12-31"), Some(Literal::Date(-1)));
        check("date", &json!("2000-02-29"), Some(Literal::Date(11_016)));
        check("date", &json!("1900-02-29"), None);
        check("time", &json!("22:31:08.123456"), Some(Literal::Time(81_068_123_456)));
        check(
            "timestamp",
            &json!("2017-11-16T22:31:08.123456"),
            Some(Literal::Timestamp(1_510_871_468_123_456)),
        );
        check(
            "timestamptz",
            &json!("2017-11-16T22:31:08.123456+00:00"),
            Some(Literal::Timestamptz(1_510_871_468_123_456)),
        );
        check("timestamptz", &json!("2017-11-16T22:31:08.123456"), None);
        check(
            "timestamp_ns",
            &json!("2017-11-16T22:31:08.123456789"),
            Some(Literal::TimestampNs(1_510_871_468_123_456_789)),
        );
        check("string", &json!("iceberg"), Some(Literal::String("iceberg".into())));
        check(
            "uuid",
            &json!("f79c3e09-677c-4bbd-a479-3f349cb785e7"),
            Some(Literal::Uuid([
                0xf7, 0x9c, 0x3e, 0x09, 0x67, 0x7c, 0x4b, 0xbd, 0xa4, 0x79, 0x3f, 0x34, 0x9c, 0xb7, 0x85,
                0xe7,
            ])),
        );
        check("fixed[4]", &json!("000102ff"), Some(Literal::Fixed(vec![0, 1, 2, 255])));
        check("fixed[3]", &json!("000102ff"), None);
        check("binary", &json!("000102ff"), Some(Literal::Binary(vec![0, 1, 2, 255])));
        check("binary", &json!("0"), None);
    }
}
