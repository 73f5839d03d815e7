//! The partition of a table: `day(__ingest_ts)` (<https://iceberg.apache.org/spec/#partition-transforms>).

use std::fmt;

use firn_types::time::Micros;

/// Field id of the partition field; Iceberg numbers partition fields from here.
pub const PARTITION_FIELD_ID: i32 = 1000;

/// Name of the partition field.
pub const PARTITION_FIELD_NAME: &str = "__ingest_ts_day";

/// Id of the only partition spec of a table.
pub const PARTITION_SPEC_ID: i32 = 0;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// A day in UTC, as days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionDay(i32);

impl PartitionDay {
    /// The day of an instant; before 1970 it is the day that has begun, not the nearer one.
    pub fn of(at: Micros) -> Self {
        // 64 bits of microseconds are at most 106,751,992 days.
        Self(i32::try_from(at.0.div_euclid(MICROS_PER_DAY)).unwrap_or(i32::MAX))
    }

    /// From days since 1970-01-01.
    pub const fn from_days(days: i32) -> Self {
        Self(days)
    }

    /// Days since 1970-01-01.
    pub const fn days(self) -> i32 {
        self.0
    }

    /// Iceberg's single-value serialisation.
    pub fn to_bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }
}

impl fmt::Display for PartitionDay {
    /// ISO 8601, as partition folders are named.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Micros(i64::from(self.0).saturating_mul(MICROS_PER_DAY)).to_rfc3339();
        f.write_str(text.split_once('T').map_or(text.as_str(), |(day, _)| day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn day_is_the_one_that_has_begun_in_utc() {
        for (instant, day, text) in [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01"),
            ("1969-12-31T23:59:59.999999Z", -1, "1969-12-31"),
            ("2026-11-20T23:59:59.999999Z", 20_777, "2026-11-20"),
            ("2026-11-21T01:00:00+02:00", 20_777, "2026-11-20"),
        ] {
            let found = PartitionDay::of(Micros::parse_rfc3339(instant).unwrap());
            assert_eq!((found.days(), found.to_string().as_str()), (day, text), "{instant}");
        }
        assert_eq!(PartitionDay::of(Micros(i64::MIN)).days(), -106_751_992);
    }
}
