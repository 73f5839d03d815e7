//! What applies to a namespace: its configuration, its rate, and the terms of a request that follow.

use firn_types::{error::ErrorCode, key::Namespace, mode::Mode, tenant::TenantConfig, time::Micros};

use crate::{
    ingest::{
        admit::{Admitted, body_too_large},
        answer::Destination,
        publish::{Limits, Terms},
    },
    problem::Problem,
};

const MINUTE_MICROS: i64 = 60_000_000;

/// Requests of a namespace in the current minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateWindow {
    /// Minutes since the epoch.
    pub minute: i64,
    /// Requests taken in it.
    pub count: u64,
}

/// Whether a request is within the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateDecision {
    /// It is, and so many more are in this minute.
    Allowed {
        /// Requests left.
        remaining: u64,
    },
    /// It is not; the next minute begins in so many seconds.
    Limited {
        /// Seconds, at least 1.
        retry_after_secs: u64,
    },
}

impl RateWindow {
    /// Counts a request against `limit` requests a minute. A refused request is not counted; a clock that steps back
    /// opens no new window.
    pub fn take(&mut self, now: Micros, limit: u64) -> RateDecision {
        let minute = now.0.div_euclid(MINUTE_MICROS);
        if minute > self.minute {
            *self = Self { minute, count: 0 };
        }
        if self.count < limit {
            self.count += 1;
            return RateDecision::Allowed { remaining: limit - self.count };
        }
        let left_micros = (self.minute + 1) * MINUTE_MICROS - now.0;
        let retry_after_secs = u64::try_from(left_micros.div_euclid(1_000_000)).unwrap_or(0).max(1);
        RateDecision::Limited { retry_after_secs }
    }
}

/// What the deployment knows of its namespaces.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait Tenancy {
    /// The configuration of a namespace; the defaults where it has none.
    ///
    /// # Errors
    /// 503 where it is broken or cannot be read.
    async fn config(&self, ns: &Namespace) -> Result<TenantConfig, Problem>;

    /// Counts a request against the namespace's rate.
    ///
    /// # Errors
    /// 503 where it cannot be counted.
    async fn take(&self, ns: &Namespace, limit: u64) -> Result<RateDecision, Problem>;

    /// Where a mode's records go.
    ///
    /// # Errors
    /// 503 where the deployment's settings are broken.
    fn destination(&self, mode: Mode) -> Result<Destination, Problem>;
}

/// The terms of a request to a namespace, in the order of the contract: mode, length, rate.
///
/// # Errors
/// 400 a mode that the namespace does not allow; 413; 429; 503.
pub async fn terms(tenancy: &impl Tenancy, admitted: &Admitted, ns: &Namespace) -> Result<Terms, Problem> {
    let config = tenancy.config(ns).await?;
    let mode = admitted.mode.unwrap_or(config.default_mode);
    if !config.allows_mode(mode) {
        let allowed: Vec<&str> = config.modes.iter().map(|m| m.as_str()).collect();
        let detail = format!(
            "mode {} is not allowed in this namespace; allowed: {}",
            mode.as_str(),
            allowed.join(", ")
        );
        return Err(Problem::new(ErrorCode::InvalidMode, detail));
    }
    if let Some(len_bytes) = admitted.declared_len_bytes.filter(|len| *len > config.request_len_bytes) {
        return Err(body_too_large(len_bytes, config.request_len_bytes));
    }
    let destination = tenancy.destination(mode)?;
    let limit = config.requests_per_minute;
    if let RateDecision::Limited { retry_after_secs } = tenancy.take(ns, limit).await? {
        return Err(rate_limited(limit, retry_after_secs));
    }
    let limits =
        Limits { record_count_max: config.records_per_request, body_len_bytes_max: config.request_len_bytes };
    Ok(Terms { destination, default_visibility: config.default_visibility, limits })
}

/// 429 with the fields of the `RateLimit` draft of the IETF.
fn rate_limited(limit: u64, retry_after_secs: u64) -> Problem {
    Problem::new(
        ErrorCode::RateLimited,
        format!("at most {limit} requests a minute are allowed in this namespace"),
    )
    .with_member("limit", limit)
    .with_header("Retry-After", retry_after_secs.to_string())
    .with_header("RateLimit-Policy", format!(r#""namespace";q={limit};w=60"#))
    .with_header("RateLimit", format!(r#""namespace";r=0;t={retry_after_secs}"#))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_a_fixed_window_that_a_clock_cannot_reopen() {
        use RateDecision::{Allowed, Limited};
        let mut window = RateWindow::default();
        let at = |secs: i64| Micros(1_000 * MINUTE_MICROS + secs * 1_000_000);
        assert_eq!(window.take(at(0), 2), Allowed { remaining: 1 });
        assert_eq!(window.take(at(30), 2), Allowed { remaining: 0 });
        assert_eq!(window.take(at(30), 2), Limited { retry_after_secs: 30 });
        assert_eq!(window.take(at(-10), 2), Limited { retry_after_secs: 70 });
        assert_eq!(window.take(at(59), 3), Allowed { remaining: 0 });
        assert_eq!(window.take(at(60), 2), Allowed { remaining: 1 });
        assert_eq!(RateWindow::default().take(at(59), 0), Limited { retry_after_secs: 1 });
    }
}
