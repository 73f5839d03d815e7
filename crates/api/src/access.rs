//! Who is asking: the `Authorization` header to an identity, or to the problem that refuses it.

use firn_auth::{
    claims::Policy,
    identity::{Identity, Scope},
    token::bearer_token,
    verify::{AuthError, SignatureCheck, authenticate},
};
use firn_types::{error::ErrorCode, time::Micros};

use crate::{http::RequestHead, keys::KeySource, problem::Problem};

/// What tokens are checked with.
#[derive(Clone, Debug)]
pub struct TokenRules<K> {
    /// The keys of the deployment. Without any, everything that needs a token is refused.
    pub keys: K,
    /// Issuers and audiences.
    pub policy: Policy,
}

/// The caller's identity; `None` where the request carries no token.
///
/// # Errors
/// 401 where a token is there and does not verify; 503 where the platform failed to check it.
pub async fn identify(
    head: &RequestHead,
    rules: &TokenRules<impl KeySource>,
    check: &impl SignatureCheck,
    now: Micros,
) -> Result<Option<Identity>, Problem> {
    let Some(authorization) = head.header("authorization") else { return Ok(None) };
    let token = bearer_token(authorization).map_err(|error| unauthorized("invalid_token").because(&error))?;
    let now_secs = now.0 / 1_000_000;
    let keys = rules.keys.keys().await?;
    let mut outcome = authenticate(check, &keys, &rules.policy, token, now_secs).await;
    if outcome.as_ref().is_err_and(AuthError::is_unknown_key)
        && let Some(newer) = rules.keys.newer_keys(&keys).await?
    {
        outcome = authenticate(check, &newer, &rules.policy, token, now_secs).await;
    }
    match outcome {
        Ok(identity) => Ok(Some(identity)),
        Err(AuthError::Crypto(error)) => {
            Err(Problem::new(ErrorCode::Internal, "the token could not be checked").because(&error))
        }
        Err(error) => Err(unauthorized("invalid_token").because(&error)),
    }
}

/// The identity of a caller who must have one with a scope.
///
/// # Errors
/// As [`identify`]; 401 without a token, 403 without the scope.
pub async fn require_scope(
    head: &RequestHead,
    rules: &TokenRules<impl KeySource>,
    check: &impl SignatureCheck,
    now: Micros,
    scope: Scope,
) -> Result<Identity, Problem> {
    let identity = identify(head, rules, check, now).await?;
    let identity = identity.ok_or_else(|| unauthorized("").because("no Authorization header"))?;
    if identity.scopes.allow(scope) {
        return Ok(identity);
    }
    let detail = format!("the scope {} is required", scope.as_str());
    Err(Problem::new(ErrorCode::ScopeMissing, detail))
}

/// RFC 6750 §3: the challenge names an error only where a token was sent.
fn unauthorized(error: &str) -> Problem {
    let challenge = if error.is_empty() {
        r#"Bearer realm="firn""#.to_owned()
    } else {
        format!(r#"Bearer realm="firn", error="{error}""#)
    };
    Problem::new(ErrorCode::Unauthorized, "send a valid token as `Authorization: Bearer <token>`")
        .with_header("WWW-Authenticate", challenge)
}
