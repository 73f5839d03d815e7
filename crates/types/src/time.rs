//! Instants as microseconds since the Unix epoch, and their RFC 3339 text.

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};

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
        DateTime::from_timestamp_micros(self.0)
            .unwrap_or_default()
            .to_rfc3339_opts(SecondsFormat::Micros, true)
    }

    /// IMF-fixdate of RFC 9110 §5.6.7, for `Last-Modified`; whole seconds, cut off.
    pub fn to_http_date(self) -> String {
        DateTime::from_timestamp_micros(self.0)
            .unwrap_or_default()
            .format("%a, %d %b %Y %H:%M:%S GMT")
            .to_string()
    }
}

#[cfg(test)]
mod tests {
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
}
