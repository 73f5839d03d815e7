//! What applies to a namespace: its configuration, its rate, and the terms of a request that follow.

use firn_ledger::admit::{Admission, Allowance, Quota};
use firn_types::{
    error::ErrorCode, key::Namespace, mode::Mode, tenant::TenantConfig, visibility::Visibility,
};

use crate::{
    ingest::{
        admit::{Admitted, body_too_large},
        answer::Destination,
        terms::Limits,
    },
    problem::Problem,
};

const DAY_SECS: u32 = 86_400;

/// What the deployment knows of its namespaces.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait Tenancy {
    /// The configuration of a namespace; the defaults where it has none.
    ///
    /// # Errors
    /// 503 where it is broken or cannot be read.
    async fn config(&self, ns: &Namespace) -> Result<TenantConfig, Problem>;

    /// Where a mode's records go.
    ///
    /// # Errors
    /// 503 where the deployment's settings are broken.
    fn destination(&self, mode: Mode) -> Result<Destination, Problem>;
}

/// What a namespace allows a request.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// Where its records go.
    pub destination: Destination,
    /// Visibility of records that name none.
    pub default_visibility: Visibility,
    /// Limits of the request.
    pub limits: Limits,
    /// What its ledger counts it against.
    pub allowance: Allowance,
}

/// What a namespace allows a request, in the order of the contract: mode, length. The rate is its ledger's to count.
///
/// # Errors
/// 400 a mode that the namespace does not allow; 413; 503.
pub async fn allowed(
    tenancy: &impl Tenancy,
    admitted: &Admitted,
    ns: &Namespace,
) -> Result<Allowed, Problem> {
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
    Ok(Allowed {
        destination: tenancy.destination(mode)?,
        default_visibility: config.default_visibility,
        limits: Limits {
            record_count_max: config.records_per_request,
            body_len_bytes_max: config.request_len_bytes,
        },
        allowance: allowance(&config),
    })
}

/// What a namespace's ledger counts its requests against.
pub const fn allowance(config: &TenantConfig) -> Allowance {
    Allowance {
        requests_per_minute: config.requests_per_minute,
        records_per_day: config.records_per_day,
        len_bytes_per_day: config.len_bytes_per_day,
    }
}

/// Why a ledger did not admit a request: 429 with the fields of the `RateLimit` draft of the IETF; `None` where it did.
pub(crate) fn refused(admission: Admission, allowance: &Allowance) -> Option<Problem> {
    let (code, what, limit, window_secs, retry_after_secs) = match admission {
        Admission::Admitted { .. } => return None,
        Admission::RateLimited { retry_after_secs } => {
            (ErrorCode::RateLimited, "requests a minute", allowance.requests_per_minute, 60, retry_after_secs)
        }
        Admission::QuotaSpent { quota: Quota::Records, retry_after_secs } => {
            let limit = allowance.records_per_day.unwrap_or_default();
            (ErrorCode::QuotaSpent, "records a day", limit, DAY_SECS, retry_after_secs)
        }
        Admission::QuotaSpent { quota: Quota::LenBytes, retry_after_secs } => {
            let limit = allowance.len_bytes_per_day.unwrap_or_default();
            (ErrorCode::QuotaSpent, "bytes of records a day", limit, DAY_SECS, retry_after_secs)
        }
    };
    let problem = Problem::new(code, format!("at most {limit} {what} are allowed in this namespace"))
        .with_member("limit", limit)
        .with_header("Retry-After", retry_after_secs.to_string())
        .with_header("RateLimit-Policy", format!(r#""namespace";q={limit};w={window_secs}"#))
        .with_header("RateLimit", format!(r#""namespace";r=0;t={retry_after_secs}"#));
    Some(problem)
}
