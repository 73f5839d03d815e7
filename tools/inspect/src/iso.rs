//! Days and instants as ISO 8601 has them, over the whole range of Iceberg's types.
//!
//! A fraction of a second has no digits, six or nine: none where it is zero, nine only where six do not hold it. Years
//! beyond four digits have a sign.

use std::fmt::Write as _;

/// Nanoseconds of a second.
const SECOND_NANOS: i128 = 1_000_000_000;

/// Seconds of a day.
const DAY_SECONDS: i128 = 86_400;

/// A day, from days since 1970-01-01.
pub(crate) fn render_date(days: i64) -> String {
    // The calendar repeats every 400 years of 146,097 days; a year that begins in March has its leap day at its end.
    let shifted = days.saturating_add(719_468);
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    match year {
        0..=9_999 => format!("{year:04}-{month:02}-{day:02}"),
        _ => format!("{}{:04}-{month:02}-{day:02}", if year < 0 { '-' } else { '+' }, year.unsigned_abs()),
    }
}

/// A time of day, from nanoseconds since midnight. One that is no time of day is shown as it is.
pub(crate) fn render_time(nanos: i128) -> String {
    let (sign, nanos) = if nanos < 0 { ("-", -nanos) } else { ("", nanos) };
    let (seconds, fraction) = (nanos / SECOND_NANOS, nanos % SECOND_NANOS);
    let mut text = format!("{sign}{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    // Writing to a string cannot fail.
    let _ = match fraction {
        0 => Ok(()),
        _ if fraction % 1_000 == 0 => write!(text, ".{:06}", fraction / 1_000),
        _ => write!(text, ".{fraction:09}"),
    };
    text
}

/// An instant, from nanoseconds since 1970-01-01 00:00:00.
pub(crate) fn render_instant(nanos: i128) -> String {
    let day_nanos = DAY_SECONDS * SECOND_NANOS;
    let days = i64::try_from(nanos.div_euclid(day_nanos)).unwrap_or(i64::MAX);
    format!("{}T{}", render_date(days), render_time(nanos.rem_euclid(day_nanos)))
}

#[cfg(test)]
mod tests {
    use firn_iceberg::{
        schema::{PrimitiveType, Type},
        value::{Literal, Value, json::parse_value},
    };
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn instants_are_rendered_as_python_does() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00"),
            (-1_000, "1969-12-31T23:59:59.999999"),
            (1_500_000_000, "1970-01-01T00:00:01.500000"),
            (1, "1970-01-01T00:00:00.000000001"),
            (1_510_871_468_123_456_000, "2017-11-16T22:31:08.123456"),
        ] {
            assert_eq!(render_instant(nanos), text);
        }
    }

    #[test]
    fn days_far_away_have_a_sign() {
        for (days, text) in [
            (-719_528, "0000-01-01"),
            (-719_529, "-0001-12-31"),
            (2_932_896, "9999-12-31"),
            (2_932_897, "+10000-01-01"),
            (i64::from(i32::MAX), "+5881580-07-11"),
            (i64::from(i32::MIN), "-5877641-06-23"),
        ] {
            assert_eq!(render_date(days), text);
        }
    }

    fn parse(text: String, ty: PrimitiveType) -> Option<Literal> {
        let value = parse_value(&text.into(), &Type::Primitive(ty))?;
        let Value::Primitive(literal) = value else { return None };
        Some(literal)
    }

    proptest! {
        #[test]
        fn rendering_is_the_inverse_of_parsing(days: i32, instant: i64, time in 0..86_400_000_000_i64) {
            prop_assert_eq!(parse(render_date(days.into()), PrimitiveType::Date), Some(Literal::Date(days)));
            let text = render_time(i128::from(time) * 1_000);
            prop_assert_eq!(parse(text, PrimitiveType::Time), Some(Literal::Time(time)));
            let text = render_instant(i128::from(instant) * 1_000);
            prop_assert_eq!(parse(text, PrimitiveType::Timestamp), Some(Literal::Timestamp(instant)));
            let text = render_instant(instant.into());
            prop_assert_eq!(parse(text, PrimitiveType::TimestampNs), Some(Literal::TimestampNs(instant)));
        }
    }
}
