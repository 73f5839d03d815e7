//! Rates and quotas: fixed windows, counted exactly.

use firn_types::time::Micros;

use crate::{
    Ledger, LedgerError,
    limits::{DAY, MINUTE, SECOND},
    row::{instant, stored},
    sql::Param,
};

/// What a namespace may use. A quota that is spent refuses requests until the next day (UTC) begins; the request that
/// spends it is still taken whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Allowance {
    /// Requests a minute.
    pub requests_per_minute: u64,
    /// Records a day that are written.
    pub records_per_day: Option<u64>,
    /// Bytes a day of the JSON that is written.
    pub len_bytes_per_day: Option<u64>,
}

/// What a quota counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Quota {
    /// Records.
    Records,
    /// Bytes of their JSON.
    LenBytes,
}

/// Whether a request is within its allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Admission {
    /// It is, and so many more are in this minute.
    Admitted {
        /// Requests left.
        remaining: u64,
    },
    /// Too many in this minute; it was not counted.
    RateLimited {
        /// Seconds until the next minute, at least 1.
        retry_after_secs: u64,
    },
    /// A quota is spent; it was not counted.
    QuotaSpent {
        /// Which.
        quota: Quota,
        /// Seconds until the next day, at least 1.
        retry_after_secs: u64,
    },
}

/// What was written in the current day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Records.
    pub record_count: u64,
    /// Bytes of their JSON.
    pub len_bytes: u64,
}

const REQUESTS: &str = "requests";
const RECORDS: &str = "records";
const LEN_BYTES: &str = "len_bytes";

/// A counter in its window.
struct Window {
    start: i64,
    count: u64,
}

impl Ledger {
    /// Counts a request, if it is within the allowance. A clock that steps back opens no new window.
    pub fn admit(&self, now: Micros, allowance: &Allowance) -> Result<Admission, LedgerError> {
        let now = instant(now);
        self.write(|| {
            for (quota, name, limit) in [
                (Quota::Records, RECORDS, allowance.records_per_day),
                (Quota::LenBytes, LEN_BYTES, allowance.len_bytes_per_day),
            ] {
                let Some(limit) = limit else { continue };
                let window = self.window(name, now, DAY)?;
                if window.count >= limit {
                    let retry_after_secs = window.left_secs(now, DAY);
                    return Ok(Admission::QuotaSpent { quota, retry_after_secs });
                }
            }
            let window = self.window(REQUESTS, now, MINUTE)?;
            let limit = allowance.requests_per_minute;
            if window.count >= limit {
                let retry_after_secs = window.left_secs(now, MINUTE);
                return Ok(Admission::RateLimited { retry_after_secs });
            }
            let count = window.count + 1;
            self.set_window(REQUESTS, &Window { start: window.start, count })?;
            Ok(Admission::Admitted { remaining: limit - count })
        })
    }

    /// What was written today. Writes nothing.
    pub fn usage(&self, now: Micros) -> Result<Usage, LedgerError> {
        if !self.is_ready()? {
            return Ok(Usage::default());
        }
        let count = |name| self.window(name, instant(now), DAY).map(|window| window.count);
        Ok(Usage { record_count: count(RECORDS)?, len_bytes: count(LEN_BYTES)? })
    }

    /// Counts what a request wrote.
    pub(crate) fn use_up(&self, now: i64, record_count: u64, len_bytes: u64) -> Result<(), LedgerError> {
        for (name, amount) in [(RECORDS, record_count), (LEN_BYTES, len_bytes)] {
            let Window { start, count } = self.window(name, now, DAY)?;
            self.set_window(name, &Window { start, count: count.saturating_add(amount) })?;
        }
        Ok(())
    }

    fn window(&self, name: &str, now: i64, len: i64) -> Result<Window, LedgerError> {
        let start = now.div_euclid(len) * len;
        let found =
            self.one("SELECT start, count FROM counters WHERE name = ?1", &[Param::Text(name)], |row| {
                Window { start: row.int(), count: row.count() }
            })?;
        // A clock that steps back finds a later window, and stays in it.
        Ok(found.filter(|found| found.start >= start).unwrap_or(Window { start, count: 0 }))
    }

    fn set_window(&self, name: &str, window: &Window) -> Result<(), LedgerError> {
        self.run(
            "INSERT OR REPLACE INTO counters (name, start, count) VALUES (?1, ?2, ?3)",
            &[Param::Text(name), Param::Int(window.start), Param::Int(stored(window.count))],
        )
    }
}

impl Window {
    fn left_secs(&self, now: i64, len: i64) -> u64 {
        u64::try_from((self.start + len - now).div_euclid(SECOND)).unwrap_or(0).max(1)
    }
}
