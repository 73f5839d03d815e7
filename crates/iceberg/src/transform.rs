//! Partition transforms.
//!
//! Spec: "Partition Transforms"; hashes: "Appendix B: 32-bit Hash Requirements".

use crate::value::{Literal, encode_unscaled};

const MICROS_PER_HOUR: i64 = 3_600_000_000;
const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;
const NANOS_PER_MICRO: i64 = 1_000;

/// How a partition value is made of a column's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    /// The value itself.
    Identity,
    /// Hash modulo the count of buckets.
    Bucket(u32),
    /// Cut to a width.
    Truncate(u32),
    /// Years from 1970.
    Year,
    /// Months from 1970-01.
    Month,
    /// Days from 1970-01-01.
    Day,
    /// Hours from 1970-01-01 00:00.
    Hour,
    /// Always null.
    Void,
    /// One that this version does not know; nothing can be said about its values.
    Unknown,
}

impl Transform {
    /// Reads its name. Names without meaning are [`Self::Unknown`], as the spec asks of readers.
    pub fn parse(name: &str) -> Self {
        let width = |word: &str| {
            let digits = name.strip_prefix(word)?.strip_prefix('[')?.strip_suffix(']')?;
            digits.parse::<u32>().ok().filter(|n| (1..=i32::MAX.unsigned_abs()).contains(n))
        };
        match name {
            "identity" => Self::Identity,
            "year" => Self::Year,
            "month" => Self::Month,
            "day" => Self::Day,
            "hour" => Self::Hour,
            "void" => Self::Void,
            _ => match (width("bucket"), width("truncate")) {
                (Some(n), _) => Self::Bucket(n),
                (_, Some(w)) => Self::Truncate(w),
                _ => Self::Unknown,
            },
        }
    }

    /// Whether the values count time, so that old writers rounded those before 1970 towards zero.
    pub const fn is_temporal(self) -> bool {
        matches!(self, Self::Year | Self::Month | Self::Day | Self::Hour)
    }

    /// The partition value of a column value. `None` where nothing can be said: void, unknown, a type that the
    /// transform is not defined for, or a value outside what the result can hold.
    pub fn apply(self, literal: &Literal) -> Option<Literal> {
        match self {
            Self::Identity => Some(literal.clone()),
            Self::Bucket(n) => bucket(literal, n).map(Literal::Int),
            Self::Truncate(width) => truncate(literal, width),
            Self::Year => months(literal).map(|m| Literal::Int(m.div_euclid(12))),
            Self::Month => months(literal).map(Literal::Int),
            Self::Day => days(literal).map(Literal::Date),
            Self::Hour => {
                let hours = micros(literal)?.div_euclid(MICROS_PER_HOUR);
                i32::try_from(hours).ok().map(Literal::Int)
            }
            Self::Void | Self::Unknown => None,
        }
    }
}

fn micros(literal: &Literal) -> Option<i64> {
    match literal {
        Literal::Timestamp(v) | Literal::Timestamptz(v) => Some(*v),
        Literal::TimestampNs(v) | Literal::TimestamptzNs(v) => Some(v.div_euclid(NANOS_PER_MICRO)),
        _ => None,
    }
}

fn days(literal: &Literal) -> Option<i32> {
    match literal {
        Literal::Date(days) => Some(*days),
        _ => i32::try_from(micros(literal)?.div_euclid(MICROS_PER_DAY)).ok(),
    }
}

/// Months from 1970-01 of the proleptic Gregorian date. Years are counted from March, so that the leap day is the last
/// of its year and months have a linear formula.
fn months(literal: &Literal) -> Option<i32> {
    // 719,468 days lie between 0000-03-01 and 1970-01-01; 146,097 make 400 years.
    let days = i64::from(days(literal)?) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let months = (era * 400 + year_of_era - 1970) * 12 + month_from_march + 2;
    i32::try_from(months).ok()
}

fn truncate(literal: &Literal, width: u32) -> Option<Literal> {
    Some(match literal {
        Literal::Int(v) => {
            let width = i32::try_from(width).ok()?;
            Literal::Int(v.checked_sub(v.rem_euclid(width))?)
        }
        Literal::Long(v) => Literal::Long(v.checked_sub(v.rem_euclid(i64::from(width)))?),
        Literal::Decimal { unscaled, scale } => {
            let unscaled = unscaled.checked_sub(unscaled.rem_euclid(i128::from(width)))?;
            Literal::Decimal { unscaled, scale: *scale }
        }
        Literal::String(s) => Literal::String(s.chars().take(usize::try_from(width).ok()?).collect()),
        Literal::Binary(b) => Literal::Binary(b.iter().copied().take(usize::try_from(width).ok()?).collect()),
        _ => return None,
    })
}

fn bucket(literal: &Literal, count: u32) -> Option<i32> {
    let count = i32::try_from(count).ok().filter(|n| *n > 0)?;
    Some((hash(literal)? & i32::MAX) % count)
}

/// The hash that buckets are made of; `None` for types that cannot be bucketed.
#[expect(clippy::cast_possible_wrap, reason = "the spec's hash is the 32 bits read as a signed int")]
pub fn hash(literal: &Literal) -> Option<i32> {
    let of_long = |v: i64| murmur3(&v.to_le_bytes());
    let hash = match literal {
        Literal::Int(v) | Literal::Date(v) => of_long((*v).into()),
        Literal::Long(v) | Literal::Time(v) | Literal::Timestamp(v) | Literal::Timestamptz(v) => of_long(*v),
        Literal::TimestampNs(v) | Literal::TimestamptzNs(v) => of_long(v.div_euclid(NANOS_PER_MICRO)),
        Literal::Decimal { unscaled, .. } => murmur3(&encode_unscaled(*unscaled)),
        Literal::String(s) => murmur3(s.as_bytes()),
        Literal::Uuid(bytes) => murmur3(bytes),
        Literal::Fixed(bytes) | Literal::Binary(bytes) => murmur3(bytes),
        Literal::Boolean(_) | Literal::Float(_) | Literal::Double(_) => return None,
    };
    Some(hash as i32)
}

/// `MurmurHash3`, x86, 32 bits, seed 0.
fn murmur3(bytes: &[u8]) -> u32 {
    let mix = |k: u32| k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let (words, rest) = bytes.as_chunks::<4>();
    let mut h = words.iter().fold(0_u32, |h, word| {
        let h = (h ^ mix(u32::from_le_bytes(*word))).rotate_left(13);
        h.wrapping_mul(5).wrapping_add(0xe654_6b64)
    });
    if !rest.is_empty() {
        h ^= mix(rest.iter().rev().fold(0, |k, byte| (k << 8) | u32::from(*byte)));
    }
    #[expect(clippy::cast_possible_truncation, reason = "the hash is defined over the length modulo 2^32")]
    let len = bytes.len() as u32;
    h ^= len;
    h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2017-11-16T22:31:08 in microseconds, the instant of the spec's hash table.
    const INSTANT: i64 = 1_510_871_468_000_000;

    #[test]
    fn hashes_are_those_of_the_spec() {
        for (literal, expected) in [
            (Literal::Int(34), 2_017_239_379),
            (Literal::Long(34), 2_017_239_379),
            (Literal::Decimal { unscaled: 1420, scale: 2 }, -500_754_589),
            (Literal::Date(17_486), -653_330_422),
            (Literal::Time(81_068_000_000), -662_762_989),
            (Literal::Timestamp(INSTANT), -2_047_944_441),
            (Literal::Timestamp(INSTANT + 1), -1_207_196_810),
            (Literal::Timestamptz(INSTANT), -2_047_944_441),
            (Literal::TimestampNs(INSTANT * 1_000), -2_047_944_441),
            (Literal::TimestamptzNs(INSTANT * 1_000 + 1_001), -1_207_196_810),
            (Literal::String("iceberg".into()), 1_210_000_089),
            (
                Literal::Uuid([
                    0xf7, 0x9c, 0x3e, 0x09, 0x67, 0x7c, 0x4b, 0xbd, 0xa4, 0x79, 0x3f, 0x34, 0x9c, 0xb7, 0x85,
                    0xe7,
                ]),
                1_488_055_340,
            ),
            (Literal::Fixed(vec![0, 1, 2, 3]), -188_683_207),
            (Literal::Binary(vec![0, 1, 2, 3]), -188_683_207),
        ] {
            assert_eq!(hash(&literal), Some(expected), "{literal:?}");
        }
        assert_eq!(hash(&Literal::Double(1.0)), None);
    }

    #[track_caller]
    fn check(name: &str, literal: &Literal, expected: impl Into<Option<Literal>>) {
        assert_eq!(Transform::parse(name).apply(literal), expected.into(), "{name} of {literal:?}");
    }

    #[test]
    fn partition_values_are_those_of_the_spec() {
        let text = |s: &str| Literal::String(s.to_owned());
        check("identity", &Literal::Int(7), Some(Literal::Int(7)));
        check("bucket[16]", &text("iceberg"), Some(Literal::Int(1_210_000_089 % 16)));
        check("bucket[7]", &Literal::Date(17_486), Some(Literal::Int((i32::MAX - 653_330_421) % 7)));
        check("bucket[0]", &Literal::Int(1), None);
        check("bucket[16]", &Literal::Boolean(true), None);
        check("truncate[10]", &Literal::Int(1), Some(Literal::Int(0)));
        check("truncate[10]", &Literal::Int(-1), Some(Literal::Int(-10)));
        check("truncate[10]", &Literal::Long(-10), Some(Literal::Long(-10)));
        check("truncate[10]", &Literal::Int(i32::MIN), None);
        check(
            "truncate[50]",
            &Literal::Decimal { unscaled: 1065, scale: 2 },
            Some(Literal::Decimal { unscaled: 1050, scale: 2 }),
        );
        check("truncate[3]", &text("iceberg"), Some(text("ice")));
        check("truncate[2]", &text("ä😀b"), Some(text("ä😀")));
        check("truncate[9]", &text("ä"), Some(text("ä")));
        check("truncate[2]", &Literal::Binary(vec![1, 2, 3]), Some(Literal::Binary(vec![1, 2])));
        check("truncate[2]", &Literal::Double(1.0), None);
        check("void", &Literal::Int(1), None);
        check("zorder[3]", &Literal::Int(1), None);
    }

    #[test]
    fn temporal_transforms_round_down_on_both_sides_of_1970() {
        for (literal, year, month, day, hour) in [
            (Literal::Timestamp(INSTANT), 47, 574, 17_486, Some(419_686)),
            (Literal::TimestamptzNs(INSTANT * 1_000), 47, 574, 17_486, Some(419_686)),
            (Literal::Timestamp(-1), -1, -1, -1, Some(-1)),
            (Literal::Date(0), 0, 0, 0, None),
            (Literal::Date(-1), -1, -1, -1, None),
            (Literal::Date(-365), -1, -12, -365, None),
            (Literal::Date(-366), -2, -13, -366, None),
            // 2000-02-29 and 2000-03-01
            (Literal::Date(11_016), 30, 361, 11_016, None),
            (Literal::Date(11_017), 30, 362, 11_017, None),
        ] {
            check("year", &literal, Some(Literal::Int(year)));
            check("month", &literal, Some(Literal::Int(month)));
            check("day", &literal, Some(Literal::Date(day)));
            check("hour", &literal, hour.map(Literal::Int));
        }
        check("day", &Literal::Long(1), None);
    }
}
