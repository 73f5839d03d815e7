//! Stored values as values of Iceberg's types, older types of a column promoted.
//!
//! Spec: Iceberg "Appendix A: Format-specific Requirements", Parquet; Parquet `LogicalTypes`.

use std::cmp::Ordering;

use firn_iceberg::{
    schema::PrimitiveType,
    value::{Literal, decode_unscaled},
};
use parquet::{
    basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical},
    schema::types::Type as ParquetType,
};

use crate::file::{decode::values::Raw, error::Cause};

/// Microseconds of a day.
const DAY_MICROS: i64 = 86_400_000_000;

/// Julian day of 1970-01-01.
const EPOCH_JULIAN_DAY: i64 = 2_440_588;

/// How a stored value becomes a value of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conversion {
    source: Source,
    target: PrimitiveType,
}

/// What stored values mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Bool,
    Signed,
    Unsigned,
    Float,
    Half,
    Decimal { scale: u32 },
    Date,
    Time(Unit),
    Instant(Unit),
    Int96,
    Text,
    Bytes,
}

/// Unit of a time, as the number of nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unit(i64);

const MILLIS: Unit = Unit(1_000_000);
const MICROS: Unit = Unit(1_000);
const NANOS: Unit = Unit(1);

impl Conversion {
    /// The conversion of a leaf column, or *unsupported* where a column of `target` cannot be stored like this.
    pub(crate) fn new(leaf: &ParquetType, target: PrimitiveType) -> Result<Self, Cause> {
        use PrimitiveType as P;
        let source = source(leaf);
        let is_allowed = match target {
            P::Boolean => source == Source::Bool,
            P::Int | P::Long => matches!(source, Source::Signed | Source::Unsigned),
            P::Float | P::Double => matches!(source, Source::Float | Source::Half),
            P::Date => matches!(source, Source::Date | Source::Signed),
            // A time or an instant without annotation is in microseconds, as Iceberg stores them.
            P::Time => matches!(source, Source::Time(_)) || (source == Source::Signed && is_wide(leaf)),
            P::Timestamp | P::Timestamptz | P::TimestampNs | P::TimestamptzNs => match source {
                Source::Instant(_) | Source::Int96 => true,
                Source::Date => matches!(target, P::Timestamp | P::TimestampNs),
                Source::Signed => is_wide(leaf) && matches!(target, P::Timestamp | P::Timestamptz),
                _ => false,
            },
            P::Decimal { scale, .. } => match source {
                Source::Decimal { scale: stored } => scale == stored,
                Source::Unsigned => scale == 0,
                _ => false,
            },
            P::Uuid => source == Source::Bytes && fixed_len(leaf) == Some(16),
            P::Fixed(len) => source == Source::Bytes && fixed_len(leaf) == Some(len),
            P::String | P::Binary | P::Geometry | P::Geography => {
                matches!(source, Source::Text | Source::Bytes)
            }
            P::Unknown => false,
        };
        let is_narrowing = (target == P::Int && is_wide(leaf)) || (target == P::Float && is_wide(leaf));
        if !is_allowed || is_narrowing {
            return Err(Cause::unsupported("conversion", (source, leaf.get_physical_type(), target)));
        }
        Ok(Self { source, target })
    }

    /// Converts a value.
    pub(crate) fn convert(self, raw: Raw<'_>) -> Result<Literal, Cause> {
        use PrimitiveType as P;
        let literal = match (self.source, raw) {
            (Source::Bool, Raw::Bool(value)) => Some(Literal::Boolean(value)),
            (Source::Signed, Raw::I32(value)) => self.number(value.into()),
            (Source::Signed, Raw::I64(value)) => self.number(value.into()),
            (Source::Unsigned, Raw::I32(value)) => self.number(value.cast_unsigned().into()),
            (Source::Unsigned, Raw::I64(value)) => self.number(value.cast_unsigned().into()),
            (Source::Float, Raw::F32(value)) => Literal::Float(value).promote(self.target),
            (Source::Float, Raw::F64(value)) => Some(Literal::Double(value)),
            (Source::Half, Raw::Bytes(bytes)) => {
                half(bytes).and_then(|v| Literal::Float(v).promote(self.target))
            }
            (Source::Decimal { scale }, raw) => {
                unscaled(raw).map(|unscaled| Literal::Decimal { unscaled, scale })
            }
            (Source::Date, Raw::I32(value)) => Literal::Date(value).promote(self.target),
            (Source::Time(unit), raw) => {
                integer(raw).and_then(|value| rescale(value, unit, MICROS)).map(Literal::Time)
            }
            (Source::Instant(unit), raw) => integer(raw).and_then(|value| self.instant(value, unit)),
            (Source::Int96, Raw::I96(bytes)) => self.int96(bytes),
            (Source::Text | Source::Bytes, Raw::Bytes(bytes)) => return self.bytes(bytes),
            _ => None,
        };
        // `target` is checked against `source` when the conversion is made; what is left is a value out of range.
        let literal =
            literal.filter(|literal| literal.is_of(self.target) || matches!(self.target, P::Unknown));
        literal.ok_or(Cause::invalid("value", 0))
    }

    fn bytes(self, bytes: &[u8]) -> Result<Literal, Cause> {
        use PrimitiveType as P;
        Ok(match self.target {
            P::String => {
                let text = std::str::from_utf8(bytes).map_err(|_| Cause::NotUtf8 { what: "value" })?;
                Literal::String(text.to_owned())
            }
            P::Uuid => Literal::Uuid(
                bytes.try_into().map_err(|_| Cause::invalid("uuid length", bytes.len() as u64))?,
            ),
            P::Fixed(_) => Literal::Fixed(bytes.to_vec()),
            _ => Literal::Binary(bytes.to_vec()),
        })
    }

    fn number(self, value: i128) -> Option<Literal> {
        use PrimitiveType as P;
        match self.target {
            P::Int => i32::try_from(value).ok().map(Literal::Int),
            P::Date => i32::try_from(value).ok().map(Literal::Date),
            P::Long => i64::try_from(value).ok().map(Literal::Long),
            P::Time => i64::try_from(value).ok().map(Literal::Time),
            P::Timestamp | P::Timestamptz => self.instant(value, MICROS),
            P::Decimal { scale, .. } => Some(Literal::Decimal { unscaled: value, scale }),
            _ => None,
        }
    }

    fn instant(self, value: i128, unit: Unit) -> Option<Literal> {
        use PrimitiveType as P;
        match self.target {
            P::Timestamp => rescale(value, unit, MICROS).map(Literal::Timestamp),
            P::Timestamptz => rescale(value, unit, MICROS).map(Literal::Timestamptz),
            P::TimestampNs => rescale(value, unit, NANOS).map(Literal::TimestampNs),
            P::TimestamptzNs => rescale(value, unit, NANOS).map(Literal::TimestamptzNs),
            _ => None,
        }
    }

    /// Spec: "INT96 timestamps": nanoseconds of the day, then the Julian day.
    fn int96(self, bytes: [u8; 12]) -> Option<Literal> {
        use PrimitiveType as P;
        let nanos = bytes.first_chunk().copied().map_or(0, i64::from_le_bytes);
        let day = i64::from(bytes.last_chunk().copied().map_or(0, i32::from_le_bytes)) - EPOCH_JULIAN_DAY;
        if matches!(self.target, P::TimestampNs | P::TimestamptzNs) {
            return self.instant(i128::from(day) * i128::from(DAY_MICROS) * 1_000 + i128::from(nanos), NANOS);
        }
        // Spark, which writes them, lets days far ahead overflow, and reads them back by the same overflow.
        let micros = day.wrapping_mul(DAY_MICROS).wrapping_add(nanos.div_euclid(1_000));
        self.instant(micros.into(), MICROS)
    }

    /// Whether stored bytes are the value, in the order of their bytes.
    fn is_bytes(self) -> bool {
        matches!(self.source, Source::Text | Source::Bytes)
    }

    /// Whether minimum and maximum of this column are in the order of its values. They are not for 96-bit instants,
    /// whose order the format leaves open.
    pub(crate) fn has_order(self) -> bool {
        self.source != Source::Int96
    }

    /// Whether the old `min` and `max` fields, which compare bytes as signed, are right for it.
    pub(crate) fn has_signed_order(self) -> bool {
        matches!(
            self.source,
            Source::Bool
                | Source::Signed
                | Source::Float
                | Source::Date
                | Source::Time(_)
                | Source::Instant(_)
        )
    }
}

/// One `column = value`, ready to compare stored values with.
#[derive(Clone, Debug)]
pub(crate) struct Matcher {
    conversion: Conversion,
    key: Literal,
    /// The key as stored, where stored bytes compare as such: nothing is allocated for a row that does not match.
    bytes: Option<Vec<u8>>,
}

impl Matcher {
    /// *Unsupported* where `key` is not a value of the column's type.
    pub(crate) fn new(conversion: Conversion, key: &Literal) -> Result<Self, Cause> {
        let literal = key.clone().promote(conversion.target);
        let key = literal.ok_or_else(|| Cause::unsupported("key for a column of type", conversion.target))?;
        let bytes = conversion.is_bytes().then(|| match &key {
            Literal::String(text) => text.as_bytes().to_vec(),
            other => other.encode(),
        });
        Ok(Self { conversion, key, bytes })
    }

    /// Whether a value is the key.
    pub(crate) fn matches(&self, raw: Raw<'_>) -> Result<bool, Cause> {
        match (&self.bytes, raw) {
            (Some(key), Raw::Bytes(bytes)) => Ok(key == bytes),
            _ => Ok(self.conversion.convert(raw)?.is_same(&self.key)),
        }
    }

    /// The order of a bound and the key; `None` where it says nothing.
    pub(crate) fn compare_bound(&self, raw: Raw<'_>) -> Option<Ordering> {
        match (&self.bytes, raw) {
            (Some(key), Raw::Bytes(bytes)) => Some(bytes.cmp(key.as_slice())),
            _ => self.conversion.convert(raw).ok()?.compare(&self.key),
        }
    }

    /// The conversion.
    pub(crate) fn conversion(&self) -> Conversion {
        self.conversion
    }

    /// Whether bounds can exclude the key: they leave out NaN.
    pub(crate) fn has_bounds(&self) -> bool {
        self.conversion.has_order() && !self.key.is_nan()
    }

    /// The key in its stored form, by which bloom filters hash; `None` where several stored forms mean the key.
    pub(crate) fn stored_form(&self, leaf: &ParquetType) -> Option<Vec<u8>> {
        if let Some(bytes) = &self.bytes {
            return Some(bytes.clone());
        }
        match (self.conversion.source, &self.key, leaf.get_physical_type()) {
            (Source::Signed | Source::Date, Literal::Int(v) | Literal::Date(v), Physical::INT32) => {
                Some(v.to_le_bytes().to_vec())
            }
            (Source::Signed, Literal::Long(v), Physical::INT32) => {
                i32::try_from(*v).ok().map(|v| v.to_le_bytes().to_vec())
            }
            (Source::Signed, Literal::Long(v), Physical::INT64) => Some(v.to_le_bytes().to_vec()),
            _ => None,
        }
    }
}

fn is_wide(leaf: &ParquetType) -> bool {
    matches!(leaf.get_physical_type(), Physical::INT64 | Physical::DOUBLE)
}

fn fixed_len(leaf: &ParquetType) -> Option<u32> {
    match leaf {
        ParquetType::PrimitiveType { physical_type: Physical::FIXED_LEN_BYTE_ARRAY, type_length, .. } => {
            u32::try_from(*type_length).ok()
        }
        _ => None,
    }
}

fn source(leaf: &ParquetType) -> Source {
    let info = leaf.get_basic_info();
    if let Some(logical) = info.logical_type_ref()
        && let Some(source) = source_of_logical(logical)
    {
        return source;
    }
    match (info.converted_type(), leaf.get_physical_type()) {
        (ConvertedType::DECIMAL, _) => decimal(leaf.get_scale()),
        (ConvertedType::DATE, _) => Source::Date,
        (ConvertedType::TIME_MILLIS, _) => Source::Time(MILLIS),
        (ConvertedType::TIME_MICROS, _) => Source::Time(MICROS),
        (ConvertedType::TIMESTAMP_MILLIS, _) => Source::Instant(MILLIS),
        (ConvertedType::TIMESTAMP_MICROS, _) => Source::Instant(MICROS),
        (
            ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64,
            _,
        ) => Source::Unsigned,
        (ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON, _) => Source::Text,
        (_, Physical::BOOLEAN) => Source::Bool,
        (_, Physical::INT32 | Physical::INT64) => Source::Signed,
        (_, Physical::INT96) => Source::Int96,
        (_, Physical::FLOAT | Physical::DOUBLE) => Source::Float,
        (_, Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY) => Source::Bytes,
    }
}

fn source_of_logical(logical: &LogicalType) -> Option<Source> {
    Some(match logical {
        LogicalType::String | LogicalType::Enum | LogicalType::Json => Source::Text,
        LogicalType::Decimal(of) => decimal(of.scale),
        LogicalType::Date => Source::Date,
        LogicalType::Time(of) => Source::Time(unit(of.unit)),
        LogicalType::Timestamp(of) => Source::Instant(unit(of.unit)),
        LogicalType::Integer(of) if !of.is_signed => Source::Unsigned,
        LogicalType::Float16 => Source::Half,
        _ => return None,
    })
}

fn decimal(scale: i32) -> Source {
    // A negative scale is not allowed by the format; no column of Iceberg has this one either.
    Source::Decimal { scale: u32::try_from(scale).unwrap_or(u32::MAX) }
}

fn unit(unit: TimeUnit) -> Unit {
    match unit {
        TimeUnit::MILLIS => MILLIS,
        TimeUnit::MICROS => MICROS,
        TimeUnit::NANOS => NANOS,
    }
}

fn integer(raw: Raw<'_>) -> Option<i128> {
    match raw {
        Raw::I32(value) => Some(value.into()),
        Raw::I64(value) => Some(value.into()),
        _ => None,
    }
}

fn unscaled(raw: Raw<'_>) -> Option<i128> {
    match raw {
        Raw::Bytes(bytes) => decode_unscaled(trim_sign(bytes)),
        other => integer(other),
    }
}

/// Drops leading bytes that only repeat the sign, so that a wide fixed length does not look like a wide number.
fn trim_sign(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes {
        let repeats = rest
            .first()
            .is_some_and(|next| (*first == 0 && *next < 0x80) || (*first == 0xff && *next >= 0x80));
        if !repeats {
            break;
        }
        bytes = rest;
    }
    bytes
}

/// Into a coarser unit rounded down, as instants before the epoch are.
fn rescale(value: i128, from: Unit, to: Unit) -> Option<i64> {
    i64::try_from((value * i128::from(from.0)).div_euclid(i128::from(to.0))).ok()
}

/// IEEE 754 binary16, little-endian.
fn half(bytes: &[u8]) -> Option<f32> {
    let bits = u16::from_le_bytes(bytes.try_into().ok()?);
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from((bits >> 10) & 0x1f), f32::from(bits & 0x3ff));
    Some(match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    })
}

#[cfg(test)]
mod tests {
    use parquet::schema::parser::parse_message_type;

    use super::*;

    fn leaf(field: &str) -> ParquetType {
        let schema = parse_message_type(&format!("message m {{ required {field}; }}")).unwrap();
        schema.get_fields()[0].as_ref().clone()
    }

    #[track_caller]
    fn check(field: &str, target: PrimitiveType, raw: Raw<'_>, expected: Literal) {
        let conversion = Conversion::new(&leaf(field), target).unwrap();
        assert_eq!(conversion.convert(raw), Ok(expected));
    }

    #[test]
    fn stored_values_become_values_of_the_column() {
        use PrimitiveType as P;
        check("int32 a", P::Int, Raw::I32(-7), Literal::Int(-7));
        check("int32 a", P::Long, Raw::I32(-7), Literal::Long(-7));
        check("int32 a (INTEGER(32, false))", P::Long, Raw::I32(-1), Literal::Long(u32::MAX.into()));
        check("float a", P::Double, Raw::F32(0.5), Literal::Double(0.5));
        let decimal = P::Decimal { precision: 9, scale: 2 };
        let expected = Literal::Decimal { unscaled: -123, scale: 2 };
        check("int32 a (DECIMAL(4, 2))", decimal, Raw::I32(-123), expected.clone());
        check("int64 a (DECIMAL(4, 2))", decimal, Raw::I64(-123), expected.clone());
        check("binary a (DECIMAL(4, 2))", decimal, Raw::Bytes(&[0x85]), expected.clone());
        check(
            "fixed_len_byte_array(20) a (DECIMAL(4, 2))",
            decimal,
            Raw::Bytes(&[0xff; 20]),
            Literal::Decimal { unscaled: -1, scale: 2 },
        );
        check("int32 a (DATE)", P::Date, Raw::I32(3), Literal::Date(3));
        check("int32 a (DATE)", P::Timestamp, Raw::I32(1), Literal::Timestamp(86_400_000_000));
        check("int32 a (TIME(MILLIS, true))", P::Time, Raw::I32(2), Literal::Time(2_000));
        check("int64 a (TIME(NANOS, true))", P::Time, Raw::I64(2_999), Literal::Time(2));
        check("int64 a (TIMESTAMP(MILLIS, true))", P::Timestamptz, Raw::I64(2), Literal::Timestamptz(2_000));
        check("int64 a (TIMESTAMP(NANOS, false))", P::Timestamp, Raw::I64(-1), Literal::Timestamp(-1));
        check(
            "int64 a (TIMESTAMP(MICROS, false))",
            P::TimestampNs,
            Raw::I64(-1),
            Literal::TimestampNs(-1_000),
        );
        check("binary a", P::String, Raw::Bytes(b"x"), Literal::String("x".into()));
        check("fixed_len_byte_array(16) a", P::Uuid, Raw::Bytes(&[7; 16]), Literal::Uuid([7; 16]));
        check(
            "fixed_len_byte_array(2) a (FLOAT16)",
            P::Float,
            Raw::Bytes(&[0x00, 0xbc]),
            Literal::Float(-1.0),
        );
        // 2,440,589 is the second of January 1970.
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&1_500i64.to_le_bytes());
        bytes[8..].copy_from_slice(&2_440_589i32.to_le_bytes());
        check("int96 a", P::Timestamp, Raw::I96(bytes), Literal::Timestamp(86_400_000_001));
        check("int96 a", P::TimestamptzNs, Raw::I96(bytes), Literal::TimestamptzNs(86_400_000_001_500));
    }

    #[test]
    fn half_floats_have_their_values() {
        for (bits, expected) in [
            (0x0000u16, 0.0),
            (0x0001, 2f32.powi(-24)),
            (0x03ff, 1023.0 * 2f32.powi(-24)),
            (0x0400, 2f32.powi(-14)),
            (0x3c00, 1.0),
            (0x7bff, 65_504.0),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(half(&bits.to_le_bytes()), Some(expected), "{bits:04x}");
        }
        assert!(half(&0x7e00u16.to_le_bytes()).is_some_and(f32::is_nan));
        assert_eq!(half(&[0; 3]), None);
    }

    #[test]
    fn value_out_of_range_is_corrupt_and_a_wrong_type_unsupported() {
        let unsigned = Conversion::new(&leaf("int32 a (INTEGER(32, false))"), PrimitiveType::Int).unwrap();
        unsigned.convert(Raw::I32(-1)).unwrap_err();
        let text = Conversion::new(&leaf("binary a (UTF8)"), PrimitiveType::String).unwrap();
        assert_eq!(text.convert(Raw::Bytes(&[0xff])), Err(Cause::NotUtf8 { what: "value" }));
        let instant = Conversion::new(&leaf("int64 a (TIMESTAMP(MILLIS, true))"), PrimitiveType::Timestamptz);
        instant.unwrap().convert(Raw::I64(i64::MAX)).unwrap_err();
        for (field, target) in [
            ("int64 a", PrimitiveType::Int),
            ("double a", PrimitiveType::Float),
            ("binary a", PrimitiveType::Long),
            ("boolean a", PrimitiveType::Int),
            ("int32 a (DECIMAL(4, 2))", PrimitiveType::Decimal { precision: 4, scale: 1 }),
            ("fixed_len_byte_array(15) a", PrimitiveType::Uuid),
            ("int64 a (TIMESTAMP(MILLIS, true))", PrimitiveType::Long),
        ] {
            let error = Conversion::new(&leaf(field), target).unwrap_err();
            assert!(matches!(error, Cause::Unsupported { .. }), "{field}");
        }
    }
}
