//! When the next call of the purge API may be made.
//!
//! Cloudflare documents a token bucket for each account (developers.cloudflare.com/cache/how-to/purge-cache, "Purge
//! limits", for tags, hostnames, prefixes and everything alike):
//!
//! | plan | calls | bucket | operations a call |
//! |---|---|---|---|
//! | Free | 5 a minute | 25 | 100 |
//! | Pro | 5 a second | 25 | 100 |
//! | Business | 10 a second | 50 | 100 |
//! | Enterprise | 50 a second | 500 | 100 |
//!
//! The bucket is kept as the one instant at which it would be full again. A 429 says that others call too, or that the
//! plan is another one: then the bucket counts as empty.

use firn_types::time::Micros;
use serde::{Deserialize, Serialize};

/// Calls a minute, unless configured: the Free plan's.
pub const CALLS_PER_MINUTE_DEFAULT: u32 = 5;

/// Calls at once, unless configured: the Free plan's.
pub const BUCKET_DEFAULT: u32 = 25;

/// Tags a call, unless configured: every plan's.
pub const TAGS_PER_CALL_DEFAULT: u32 = 100;

/// Most tags a call that can be configured; a hundred today.
pub const TAGS_PER_CALL_MAX: u32 = 1_000;

/// Most calls a minute that can be configured: twenty times the Enterprise plan's.
pub const CALLS_PER_MINUTE_MAX: u32 = 60_000;

/// Largest bucket that can be configured: twenty times the Enterprise plan's.
pub const BUCKET_MAX: u32 = 10_000;

/// Tokens that are never taken, where there is more than one: calls do not arrive as evenly as they are sent, and the
/// account's owner may purge something too.
const RESERVE: i64 = 1;

/// How long something waits for company, in microseconds. Publishes come in bursts, and the purge of a zone takes as
/// long again.
pub const LINGER_MICROS: i64 = 250_000;

/// Pause after the first failure; it doubles with each further one.
const PAUSE_MICROS: i64 = 1_000_000;

/// Longest pause after failures: by then most copies have gone by themselves.
const PAUSE_MICROS_MAX: i64 = 300_000_000;

/// Longest `Retry-After` that is honoured.
const RETRY_AFTER_MICROS_MAX: i64 = 3_600_000_000;

/// Pause after the API refused: nothing gets better before somebody changes the configuration. So that is also how
/// often it is logged.
const REFUSED_PAUSE_MICROS: i64 = 600_000_000;

/// What may be called, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls a minute, once the bucket is empty.
    pub calls_per_minute: u32,
    /// Calls at once.
    pub bucket: u32,
}

impl Rate {
    fn interval_micros(self) -> i64 {
        let calls_per_minute = i64::from(self.calls_per_minute.max(1));
        (60_000_000 + calls_per_minute - 1) / calls_per_minute
    }

    /// How far ahead of now the bucket may be owed and still allow a call.
    fn tolerance_micros(self) -> i64 {
        let usable = i64::from(self.bucket).saturating_sub(RESERVE).max(1);
        (usable - 1).saturating_mul(self.interval_micros())
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The zone was purged.
    Purged,
    /// 429, with what `Retry-After` says.
    Throttled {
        /// Seconds, if it says so.
        retry_after_secs: Option<u32>,
    },
    /// It failed, or nothing is known of it. For the log.
    Failed(String),
    /// The token, the zone or the request are not taken. For the log.
    Refused(String),
}

/// What calls there have been, as far as the next depends on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// When the bucket is full again.
    full_at: Micros,
    /// No call before it.
    not_before: Micros,
    /// No call before it; a fresh start, as after a change of the configuration, forgets it.
    #[serde(skip)]
    refused_until: Micros,
    /// Failures since the last success.
    failure_count: u32,
}

impl Pace {
    /// The earliest time of the next call, for something that waits since then. A full batch need not linger.
    pub fn next_call(&self, rate: Rate, since: Micros, is_full: bool) -> Micros {
        let linger = if is_full { since.0 } else { since.0.saturating_add(LINGER_MICROS) };
        let token = self.full_at.0.saturating_sub(rate.tolerance_micros());
        Micros(linger.max(token).max(self.not_before.0).max(self.refused_until.0))
    }

    /// Takes a token for a call that is made now.
    pub fn call(&mut self, rate: Rate, now: Micros) {
        self.full_at = Micros(self.full_at.0.max(now.0).saturating_add(rate.interval_micros()));
    }

    /// Notes how a call ended; `jitter` is a random number. Pauses lie in the upper half of their interval.
    pub fn ended(&mut self, rate: Rate, now: Micros, ending: &Ending, jitter: u32) {
        self.failure_count = match ending {
            Ending::Purged => 0,
            _ => self.failure_count.saturating_add(1),
        };
        let pause_micros = match ending {
            Ending::Purged => 0,
            Ending::Failed(_) => spread(self.backoff_micros(), jitter),
            Ending::Refused(_) => {
                self.refused_until = Micros(now.0.saturating_add(spread(REFUSED_PAUSE_MICROS, jitter)));
                0
            }
            Ending::Throttled { retry_after_secs } => {
                let empty = rate.tolerance_micros().saturating_add(rate.interval_micros());
                self.full_at = Micros(self.full_at.0.max(now.0.saturating_add(empty)));
                match retry_after_secs {
                    Some(secs) => (i64::from(*secs) * 1_000_000).min(RETRY_AFTER_MICROS_MAX),
                    None => spread(self.backoff_micros(), jitter).max(rate.interval_micros()),
                }
            }
        };
        self.not_before = Micros(now.0.saturating_add(pause_micros));
    }

    fn backoff_micros(&self) -> i64 {
        let doublings = self.failure_count.saturating_sub(1).min(16);
        (PAUSE_MICROS << doublings).min(PAUSE_MICROS_MAX)
    }
}

fn spread(micros: i64, jitter: u32) -> i64 {
    let half = micros / 2;
    half + half.saturating_mul(i64::from(jitter)) / i64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Rate = Rate { calls_per_minute: CALLS_PER_MINUTE_DEFAULT, bucket: BUCKET_DEFAULT };
    const SECOND: i64 = 1_000_000;

    /// When calls are made if one is always due.
    fn calls(rate: Rate, count: usize) -> Vec<i64> {
        let (mut pace, mut now) = (Pace::default(), Micros(0));
        let mut call = || {
            now = now.max(pace.next_call(rate, Micros(0), true));
            pace.call(rate, now);
            now.0
        };
        (0..count).map(|_| call()).collect()
    }

    #[test]
    fn a_bucket_but_for_the_reserve_is_called_at_once_and_then_evenly() {
        let at = calls(FREE, 27);
        assert!(at[..24].iter().all(|&at| at == 0), "{at:?}");
        assert_eq!(at[24..], [12 * SECOND, 24 * SECOND, 36 * SECOND]);
        assert_eq!(calls(Rate { calls_per_minute: 60, bucket: 1 }, 3), [0, SECOND, 2 * SECOND]);
        assert_eq!(calls(Rate { calls_per_minute: 7, bucket: 2 }, 2), [0, 8_571_429]);
    }

    #[test]
    fn a_bucket_fills_up_and_not_beyond() {
        let mut pace = Pace::default();
        (0..24).for_each(|_| pace.call(FREE, Micros(0)));
        let later = Micros(1_000 * 60 * SECOND);
        for _ in 0..24 {
            assert!(pace.next_call(FREE, Micros(0), true) <= later);
            pace.call(FREE, later);
        }
        assert_eq!(pace.next_call(FREE, Micros(0), true), Micros(later.0 + 12 * SECOND));
    }

    #[test]
    fn what_does_not_fill_a_call_waits_a_moment_for_company() {
        let pace = Pace::default();
        assert_eq!(pace.next_call(FREE, Micros(5), false), Micros(5 + LINGER_MICROS));
        assert_eq!(pace.next_call(FREE, Micros(5), true), Micros(5));
    }

    #[track_caller]
    fn check_pause(endings: &[Ending], jitter: u32, expected: i64) {
        let mut pace = Pace::default();
        for ending in endings {
            pace.ended(FREE, Micros(7), ending, jitter);
        }
        assert_eq!(pace.next_call(FREE, Micros(0), true), Micros(7 + expected), "{endings:?}");
    }

    #[test]
    fn failures_double_the_pause_up_to_a_bound_and_a_success_ends_it() {
        let failed = || Ending::Failed(String::new());
        check_pause(&[failed()], 0, SECOND / 2);
        check_pause(&[failed()], u32::MAX, SECOND);
        check_pause(&[failed(), failed(), failed()], u32::MAX, 4 * SECOND);
        check_pause(&vec![failed(); 1_000], u32::MAX, PAUSE_MICROS_MAX);
        check_pause(&[failed(), Ending::Purged], u32::MAX, 0);
        check_pause(&[Ending::Refused(String::new())], u32::MAX, REFUSED_PAUSE_MICROS);
    }

    #[test]
    fn a_fresh_start_forgets_a_refusal_and_nothing_else() {
        let restart =
            |pace: Pace| -> Pace { postcard::from_bytes(&postcard::to_allocvec(&pace).unwrap()).unwrap() };
        let mut pace = Pace::default();
        (0..24).for_each(|_| pace.call(FREE, Micros(0)));
        pace.ended(FREE, Micros(0), &Ending::Refused(String::new()), 0);
        assert_eq!(restart(pace).next_call(FREE, Micros(0), true), Micros(12 * SECOND));
        pace.ended(FREE, Micros(0), &Ending::Throttled { retry_after_secs: Some(60) }, 0);
        assert_eq!(restart(pace).next_call(FREE, Micros(0), true), Micros(60 * SECOND));
    }

    #[test]
    fn retry_after_is_kept_to_and_an_empty_bucket_without_it() {
        let throttled = |secs| Ending::Throttled { retry_after_secs: secs };
        check_pause(&[throttled(Some(90))], 0, 90 * SECOND);
        check_pause(&[throttled(Some(u32::MAX))], 0, RETRY_AFTER_MICROS_MAX);
        check_pause(&[throttled(Some(0))], 0, 12 * SECOND);
        check_pause(&[throttled(None)], 0, 12 * SECOND);
        check_pause(&[const { Ending::Throttled { retry_after_secs: None } }; 9], u32::MAX, 256 * SECOND);
        // The bucket stays empty.
        let mut pace = Pace::default();
        pace.ended(FREE, Micros(0), &throttled(Some(1)), 0);
        pace.call(FREE, Micros(12 * SECOND));
        assert_eq!(pace.next_call(FREE, Micros(0), true), Micros(24 * SECOND));
    }
}
