//! Values of table columns, and their binary single-value form.
//!
//! Spec: "Appendix D: Single-value serialization", "Binary single-value serialization".

use std::cmp::Ordering;

use crate::schema::{DECIMAL_PRECISION_MAX, PrimitiveType};

pub mod json;

/// Microseconds of a day.
const DAY_MICROS: i64 = 86_400_000_000;

/// Longest binary decimal: 38 digits need 127 bits and a sign.
const DECIMAL_LEN_BYTES_MAX: usize = 16;

/// A value of a primitive type, never null.
///
/// `==` is Rust's, so NaN differs from itself; what a key equality means is [`Self::is_same`].
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `boolean`
    Boolean(bool),
    /// `int`
    Int(i32),
    /// `long`
    Long(i64),
    /// `float`
    Float(f32),
    /// `double`
    Double(f64),
    /// `decimal(P, S)`: `unscaled / 10^scale`.
    Decimal {
        /// The digits.
        unscaled: i128,
        /// How many of them are behind the point.
        scale: u32,
    },
    /// `date`: days since 1970-01-01.
    Date(i32),
    /// `time`: microseconds since midnight.
    Time(i64),
    /// `timestamp`: microseconds since 1970-01-01 00:00:00, no zone.
    Timestamp(i64),
    /// `timestamptz`: microseconds since 1970-01-01 00:00:00 UTC.
    Timestamptz(i64),
    /// `timestamp_ns`: nanoseconds, no zone.
    TimestampNs(i64),
    /// `timestamptz_ns`: nanoseconds, UTC.
    TimestamptzNs(i64),
    /// `string`
    String(String),
    /// `uuid`, in network byte order.
    Uuid([u8; 16]),
    /// `fixed(L)`
    Fixed(Vec<u8>),
    /// `binary`, and `geometry` and `geography` as well-known binary.
    Binary(Vec<u8>),
}

/// A value of any type; null is `Option::None` around it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a primitive type.
    Primitive(Literal),
    /// Of a list.
    List(Vec<Option<Value>>),
    /// Of a struct: one value for each field, in the order of the struct's type.
    Struct(Vec<Option<Value>>),
    /// Of a map: pairs in stored order.
    Map(Vec<(Value, Option<Value>)>),
}

impl From<Literal> for Value {
    fn from(literal: Literal) -> Self {
        Self::Primitive(literal)
    }
}

impl Value {
    /// The primitive value, if it is one.
    pub const fn as_literal(&self) -> Option<&Literal> {
        match self {
            Self::Primitive(literal) => Some(literal),
            _ => None,
        }
    }
}

impl Literal {
    /// Order within one type: numbers by value, text and bytes by unsigned bytes. `None` where the types differ or a
    /// NaN is involved. Negative zero equals zero.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Boolean(a), Self::Boolean(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) | (Self::Date(a), Self::Date(b)) => Some(a.cmp(b)),
            (Self::Long(a), Self::Long(b))
            | (Self::Time(a), Self::Time(b))
            | (Self::Timestamp(a), Self::Timestamp(b))
            | (Self::Timestamptz(a), Self::Timestamptz(b))
            | (Self::TimestampNs(a), Self::TimestampNs(b))
            | (Self::TimestamptzNs(a), Self::TimestamptzNs(b)) => Some(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(b),
            (Self::Decimal { unscaled: a, scale: s }, Self::Decimal { unscaled: b, scale: t }) if s == t => {
                Some(a.cmp(b))
            }
            (Self::String(a), Self::String(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            (Self::Uuid(a), Self::Uuid(b)) => Some(a.cmp(b)),
            (Self::Fixed(a), Self::Fixed(b)) | (Self::Binary(a), Self::Binary(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// What a key equality and an equality delete mean: equal in [`Self::compare`], or both NaN.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) if a.is_nan() && b.is_nan() => true,
            (Self::Double(a), Self::Double(b)) if a.is_nan() && b.is_nan() => true,
            _ => self.compare(other) == Some(Ordering::Equal),
        }
    }

    /// Whether it is a floating-point NaN, which bounds leave out.
    pub const fn is_nan(&self) -> bool {
        match self {
            Self::Float(f) => f.is_nan(),
            Self::Double(d) => d.is_nan(),
            _ => false,
        }
    }

    /// Reads the binary single-value form of a column that is `ty` today. The bytes may have been written before the
    /// column was promoted (`int` to `long`, `float` to `double`, `date` to a timestamp). `None` if they are neither.
    pub fn decode(bytes: &[u8], ty: PrimitiveType) -> Option<Self> {
        Some(match ty {
            PrimitiveType::Boolean => Self::Boolean(match bytes {
                [0] => false,
                [_] => true,
                _ => return None,
            }),
            PrimitiveType::Int => Self::Int(i32::from_le_bytes(bytes.try_into().ok()?)),
            PrimitiveType::Date => Self::Date(i32::from_le_bytes(bytes.try_into().ok()?)),
            PrimitiveType::Long => Self::Long(decode_long(bytes)?),
            PrimitiveType::Float => Self::Float(f32::from_le_bytes(bytes.try_into().ok()?)),
            PrimitiveType::Double => Self::Double(match <[u8; 4]>::try_from(bytes) {
                Ok(four) => f64::from(f32::from_le_bytes(four)),
                Err(_) => f64::from_le_bytes(bytes.try_into().ok()?),
            }),
            PrimitiveType::Decimal { scale, .. } => {
                Self::Decimal { unscaled: decode_unscaled(bytes)?, scale }
            }
            PrimitiveType::Time => Self::Time(i64::from_le_bytes(bytes.try_into().ok()?)),
            PrimitiveType::Timestamp => Self::Timestamp(decode_instant(bytes, 1)?),
            PrimitiveType::TimestampNs => Self::TimestampNs(decode_instant(bytes, 1_000)?),
            PrimitiveType::Timestamptz => Self::Timestamptz(i64::from_le_bytes(bytes.try_into().ok()?)),
            PrimitiveType::TimestamptzNs => Self::TimestamptzNs(i64::from_le_bytes(bytes.try_into().ok()?)),
            PrimitiveType::String => Self::String(String::from_utf8(bytes.to_vec()).ok()?),
            PrimitiveType::Uuid => Self::Uuid(bytes.try_into().ok()?),
            PrimitiveType::Fixed(_) => Self::Fixed(bytes.to_vec()),
            PrimitiveType::Binary => Self::Binary(bytes.to_vec()),
            PrimitiveType::Unknown | PrimitiveType::Geometry | PrimitiveType::Geography => return None,
        })
    }

    /// The binary single-value form; the inverse of [`Self::decode`].
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Boolean(b) => vec![u8::from(*b)],
            Self::Int(v) | Self::Date(v) => v.to_le_bytes().to_vec(),
            Self::Long(v)
            | Self::Time(v)
            | Self::Timestamp(v)
            | Self::Timestamptz(v)
            | Self::TimestampNs(v)
            | Self::TimestamptzNs(v) => v.to_le_bytes().to_vec(),
            Self::Float(v) => v.to_le_bytes().to_vec(),
            Self::Double(v) => v.to_le_bytes().to_vec(),
            Self::Decimal { unscaled, .. } => encode_unscaled(*unscaled),
            Self::String(s) => s.as_bytes().to_vec(),
            Self::Uuid(u) => u.to_vec(),
            Self::Fixed(b) | Self::Binary(b) => b.clone(),
        }
    }

    /// Turns a value of an older type of the column into the column's type of today ("Schema Evolution", allowed
    /// promotions). `None` if there is no such promotion, or the value does not fit.
    pub fn promote(self, ty: PrimitiveType) -> Option<Self> {
        Some(match (self, ty) {
            (Self::Int(v), PrimitiveType::Long) => Self::Long(v.into()),
            (Self::Float(v), PrimitiveType::Double) => Self::Double(v.into()),
            (Self::Date(days), PrimitiveType::Timestamp) => Self::Timestamp(days_to_instant(days, 1)?),
            (Self::Date(days), PrimitiveType::TimestampNs) => {
                Self::TimestampNs(days_to_instant(days, 1_000)?)
            }
            (literal, ty) if literal.is_of(ty) => literal,
            _ => return None,
        })
    }

    /// The type it is of. A decimal does not know its precision and gives the largest.
    pub fn primitive_type(&self) -> PrimitiveType {
        use PrimitiveType as P;
        match self {
            Self::Boolean(_) => P::Boolean,
            Self::Int(_) => P::Int,
            Self::Long(_) => P::Long,
            Self::Float(_) => P::Float,
            Self::Double(_) => P::Double,
            Self::Decimal { scale, .. } => P::Decimal { precision: DECIMAL_PRECISION_MAX, scale: *scale },
            Self::Date(_) => P::Date,
            Self::Time(_) => P::Time,
            Self::Timestamp(_) => P::Timestamp,
            Self::Timestamptz(_) => P::Timestamptz,
            Self::TimestampNs(_) => P::TimestampNs,
            Self::TimestamptzNs(_) => P::TimestamptzNs,
            Self::String(_) => P::String,
            Self::Uuid(_) => P::Uuid,
            Self::Fixed(bytes) => P::Fixed(u32::try_from(bytes.len()).unwrap_or(u32::MAX)),
            Self::Binary(_) => P::Binary,
        }
    }

    /// Whether it is a value of `ty`.
    pub const fn is_of(&self, ty: PrimitiveType) -> bool {
        use PrimitiveType as P;
        match (self, ty) {
            (Self::Boolean(_), P::Boolean)
            | (Self::Int(_), P::Int)
            | (Self::Long(_), P::Long)
            | (Self::Float(_), P::Float)
            | (Self::Double(_), P::Double)
            | (Self::Date(_), P::Date)
            | (Self::Time(_), P::Time)
            | (Self::Timestamp(_), P::Timestamp)
            | (Self::Timestamptz(_), P::Timestamptz)
            | (Self::TimestampNs(_), P::TimestampNs)
            | (Self::TimestamptzNs(_), P::TimestamptzNs)
            | (Self::String(_), P::String)
            | (Self::Uuid(_), P::Uuid)
            | (Self::Fixed(_), P::Fixed(_))
            | (Self::Binary(_), P::Binary | P::Geometry | P::Geography) => true,
            (Self::Decimal { scale, .. }, P::Decimal { scale: of, .. }) => *scale == of,
            _ => false,
        }
    }
}

fn decode_long(bytes: &[u8]) -> Option<i64> {
    match <[u8; 4]>::try_from(bytes) {
        Ok(four) => Some(i32::from_le_bytes(four).into()),
        Err(_) => Some(i64::from_le_bytes(bytes.try_into().ok()?)),
    }
}

fn decode_instant(bytes: &[u8], per_micro: i64) -> Option<i64> {
    match <[u8; 4]>::try_from(bytes) {
        Ok(four) => days_to_instant(i32::from_le_bytes(four), per_micro),
        Err(_) => Some(i64::from_le_bytes(bytes.try_into().ok()?)),
    }
}

fn days_to_instant(days: i32, per_micro: i64) -> Option<i64> {
    i64::from(days).checked_mul(DAY_MICROS)?.checked_mul(per_micro)
}

/// Reads two's complement, most significant byte first. `None` if it is empty or over 16 bytes.
pub fn decode_unscaled(bytes: &[u8]) -> Option<i128> {
    let first = *bytes.first()?;
    if bytes.len() > DECIMAL_LEN_BYTES_MAX {
        return None;
    }
    let sign: i128 = if first >= 0x80 { -1 } else { 0 };
    Some(bytes.iter().fold(sign, |acc, byte| (acc << 8) | i128::from(*byte)))
}

/// The shortest two's complement, most significant byte first.
pub fn encode_unscaled(unscaled: i128) -> Vec<u8> {
    let bytes = unscaled.to_be_bytes();
    let sign = if unscaled < 0 { 0xff } else { 0 };
    // A leading byte may go as long as the next one still carries the sign.
    let redundant =
        bytes.windows(2).take_while(|w| matches!(w, [a, b] if *a == sign && (b ^ sign) < 0x80)).count();
    bytes.into_iter().skip(redundant).collect()
}
