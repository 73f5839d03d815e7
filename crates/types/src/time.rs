//! Instants as microseconds since the Unix epoch, and their texts by RFC 3339 and RFC 9110.

use chrono::{DateTime, Datelike, NaiveDate, Timelike};
use serde::{Deserialize, Serialize};

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// From JavaScript's milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Reads an RFC 3339 date-time; finer than a microsecond is cut off. `None` if it is not one.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|t| Self(t.timestamp_micros()))
    }

    /// RFC 3339 in UTC with six decimals, as streams and answers hold it. An instant that chrono cannot name
    /// (before -262143 or after 262142) gives the epoch; [`Self::parse_rfc3339`] never makes one.
    pub fn to_rfc3339(self) -> String {
        let at = DateTime::from_timestamp_micros(self.0).unwrap_or_default();
        let (year, month, day) = (at.year(), at.month(), at.day());
        let (hour, minute, second, micros) =
            (at.hour(), at.minute(), at.second(), at.timestamp_subsec_micros());
        // RFC 3339 knows years of four digits alone; others are written as ISO 8601 has them.
        let sign = if (0..=9999).contains(&year) {
            ""
        } else if year < 0 {
            "-"
        } else {
            "+"
        };
        let year = year.unsigned_abs();
        format!("{sign}{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }

    /// IMF-fixdate of RFC 9110 §5.6.7, for `Last-Modified`; whole seconds, cut off.
    pub fn to_http_date(self) -> String {
        let at = DateTime::from_timestamp_micros(self.0).unwrap_or_default();
        let weekday = WEEKDAYS.get(at.weekday().num_days_from_sunday() as usize).unwrap_or(&"");
        let month = MONTHS.get(at.month0() as usize).unwrap_or(&"");
        let (day, year) = (at.day(), at.year());
        let (hour, minute, second) = (at.hour(), at.minute(), at.second());
        format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }

    /// Reads an HTTP date in any of its three forms (RFC 9110 §5.6.7). Two digits of a year are of the century of `now`,
    /// or of the one before where that lies more than 50 years ahead. The name of the weekday is not checked. `None` if
    /// it is not one.
    pub fn parse_http_date(text: &str, now: Self) -> Option<Self> {
        let mut parts = text.split([' ', ',', '-']).filter(|part| !part.is_empty());
        let parts: [Option<&str>; 7] = core::array::from_fn(|_| parts.next());
        let (day, month, year, time) = match parts {
            [Some(_), Some(day), Some(month), Some(year), Some(time), Some("GMT"), None] => {
                (day, month, year, time)
            }
            [Some(_), Some(month), Some(day), Some(time), Some(year), None, None] => (day, month, year, time),
            _ => return None,
        };
        let month = MONTHS.iter().zip(1..).find_map(|(name, number)| (*name == month).then_some(number))?;
        let year = match (year.len(), i32::try_from(digits(year)?).ok()?) {
            (4, year) => year,
            (2, year) => {
                let this_year = DateTime::from_timestamp_micros(now.0)?.year();
                let year = this_year - this_year.rem_euclid(100) + year;
                if year > this_year + 50 { year - 100 } else { year }
            }
            _ => return None,
        };
        let mut time = time.split(':').map(digits);
        let (Some(hour), Some(minute), Some(second), None) =
            (time.next()?, time.next()?, time.next()?, time.next())
        else {
            return None;
        };
        let at = NaiveDate::from_ymd_opt(year, month, digits(day)?)?.and_hms_opt(hour, minute, second)?;
        Some(Self(at.and_utc().timestamp_micros()))
    }
}

/// At most four digits, and nothing else.
fn digits(text: &str) -> Option<u32> {
    let is_number = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rfc3339_round_trips_and_offsets_are_applied() {
        let at = Micros::parse_rfc3339("2026-11-20T10:00:00.123456+02:00").unwrap();
        assert_eq!(at.to_rfc3339(), "2026-11-20T08:00:00.123456Z");
        assert_eq!(Micros::parse_rfc3339(&at.to_rfc3339()), Some(at));
        assert_eq!(at.to_http_date(), "Fri, 20 Nov 2026 08:00:00 GMT");
        for bad in ["", "2026-11-20", "2026-11-20T10:00:00", "2026-13-01T00:00:00Z", "1"] {
            assert_eq!(Micros::parse_rfc3339(bad), None, "{bad}");
        }
    }

    proptest! {
        /// All years that chrono can name.
        #[test]
        fn texts_are_chronos_own(micros in -8_000_000_000_000_000_000i64..8_000_000_000_000_000_000) {
            let at = DateTime::from_timestamp_micros(micros).unwrap();
            prop_assert_eq!(Micros(micros).to_rfc3339(), at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true));
            if (0..=9999).contains(&at.year()) {
                let expected = at.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
                prop_assert_eq!(Micros(micros).to_http_date(), expected);
            }
        }
    }

    #[test]
    fn http_dates_are_read_in_all_three_forms() {
        let now = Micros::parse_rfc3339("2026-11-20T00:00:00Z").unwrap();
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some("1994-11-06T08:49:37Z")),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some("1994-11-06T08:49:37Z")),
            ("Sun Nov  6 08:49:37 1994", Some("1994-11-06T08:49:37Z")),
            ("Sun Nov 16 08:49:37 1994", Some("1994-11-16T08:49:37Z")),
            ("Friday, 01-Jan-76 00:00:00 GMT", Some("2076-01-01T00:00:00Z")),
            ("Friday, 01-Jan-77 00:00:00 GMT", Some("1977-01-01T00:00:00Z")),
            ("Thu, 29 Feb 2024 00:00:00 GMT", Some("2024-02-29T00:00:00Z")),
            ("Wed, 29 Feb 2023 00:00:00 GMT", None),
            ("Sun, 06 Nov 1994 24:00:00 GMT", None),
            ("Sun, 06 Nov 1994 08:49 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37:00 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, +6 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 994 08:49:37 GMT", None),
            ("1994-11-06T08:49:37Z", None),
            ("0", None),
            ("", None),
        ] {
            let expected = expected.map(|text| Micros::parse_rfc3339(text).unwrap());
            assert_eq!(Micros::parse_http_date(text, now), expected, "{text}");
        }
    }

    proptest! {
        /// From year 0 to the end of 9999, which is what four digits can name.
        #[test]
        fn http_date_round_trips_by_the_second(secs in -62_167_219_200i64..253_402_300_800) {
            let at = Micros(secs * 1_000_000);
            prop_assert_eq!(Micros::parse_http_date(&at.to_http_date(), Micros(0)), Some(at));
        }

        #[test]
        fn no_text_panics_as_a_date(text in any::<String>(), now in any::<i64>()) {
            let _ = Micros::parse_http_date(&text, Micros(now));
        }
    }
}
