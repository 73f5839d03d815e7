//! The query of a read: `?fresh=true` and `?max_age=N`. Other parameters are a caller's own, such as cache busters.

use firn_types::{error::ErrorCode, tenant::TenantConfig};

use crate::problem::Problem;

/// How fresh a caller wants its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// No older than so many seconds.
    Within(u32),
    /// From the ledger or the lake, past every cache, and kept in none.
    Fresh,
}

impl Wanted {
    /// What `query` asks for, within the terms of a namespace: an age outside its bounds counts as the nearer bound.
    ///
    /// # Errors
    /// 400 `invalid_query` for a value that is none, or where the namespace does not allow `fresh`.
    pub fn parse(query: &str, terms: &TenantConfig) -> Result<Self, Problem> {
        let mut wanted = Self::Within(secs(terms.max_age_secs));
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match (name, value) {
                ("fresh", "true") if terms.fresh => return Ok(Self::Fresh),
                ("fresh", "true") => return Err(invalid("fresh is not allowed in this namespace")),
                ("fresh", "false") => {}
                ("fresh", _) => return Err(invalid("fresh is true or false")),
                ("max_age", _) => wanted = Self::Within(secs(max_age(value, terms)?)),
                _ => {}
            }
        }
        Ok(wanted)
    }
}

fn max_age(value: &str, terms: &TenantConfig) -> Result<u64, Problem> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid("max_age is a whole number of seconds"));
    }
    // Digits beyond a u64 are more than any bound.
    let asked = value.parse().unwrap_or(u64::MAX);
    Ok(asked.clamp(terms.max_age_secs_min.min(terms.max_age_secs), terms.max_age_secs))
}

/// Bounded by [`firn_types::tenant::MAX_AGE_SECS_MAX`], so it always fits.
pub(super) fn secs(secs: u64) -> u32 {
    u32::try_from(secs).unwrap_or(u32::MAX)
}

fn invalid(detail: &str) -> Problem {
    Problem::new(ErrorCode::InvalidQuery, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: Result<Wanted, &str>) {
        let parsed = Wanted::parse(query, &TenantConfig::default());
        assert_eq!(parsed.map_err(|problem| problem.detail), expected.map_err(str::to_owned), "{query}");
    }

    #[test]
    fn age_lies_between_the_namespaces_bounds() {
        check("", Ok(Wanted::Within(300)));
        check("max_age=60", Ok(Wanted::Within(60)));
        check("max_age=9", Ok(Wanted::Within(10)));
        check("max_age=0", Ok(Wanted::Within(10)));
        check("max_age=301", Ok(Wanted::Within(300)));
        check("max_age=99999999999999999999999", Ok(Wanted::Within(300)));
        check("v=7&max_age=20&x", Ok(Wanted::Within(20)));
        for bad in ["max_age", "max_age=", "max_age=-1", "max_age=1.5", "max_age=ten", "max_age=+1"] {
            check(bad, Err("max_age is a whole number of seconds"));
        }
    }

    #[test]
    fn fresh_is_for_namespaces_that_allow_it() {
        check("fresh=true", Ok(Wanted::Fresh));
        check("fresh=false", Ok(Wanted::Within(300)));
        check("fresh=1", Err("fresh is true or false"));
        check("fresh", Err("fresh is true or false"));
        let terms = TenantConfig { fresh: false, ..TenantConfig::default() };
        assert_eq!(Wanted::parse("fresh=true", &terms).unwrap_err().code, ErrorCode::InvalidQuery);
    }
}
