//! The claims of a token whose signature holds (RFC 7519 §4.1, design.md §3 "Tokens").

use thiserror::Error;

use crate::{
    identity::{Identity, NsPattern, Scopes},
    json::{Members, ObjectError},
};

/// How far clocks may differ.
pub const LEEWAY_SECS: i64 = 60;

/// Longest `iss`, `sub` and `org`: they are stored with every row. OIDC ends `sub` at 255 ASCII characters,
/// and issuers are URLs.
pub const NAME_LEN_BYTES_MAX: usize = 512;

/// Most entries of `ns` and of `roles`: with [`crate::token::TOKEN_LEN_BYTES_MAX`] it bounds the work of each check.
pub const LIST_LEN_MAX: usize = 256;

/// Largest date (in seconds): what a double holds exactly, far beyond any date.
const DATE_MAX: f64 = 9_007_199_254_740_992.0;

/// Which issuers and audiences are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    issuers: Vec<String>,
    audiences: Vec<String>,
}

impl Policy {
    /// Reads two lists, separated by spaces or commas. An empty text of issuers takes every issuer that the keys vouch
    /// for, an empty text of audiences does not look at `aud`.
    pub fn parse(issuers: &str, audiences: &str) -> Result<Self, PolicyError> {
        Ok(Self { issuers: words("issuers", issuers)?, audiences: words("audiences", audiences)? })
    }
}

/// Why a policy cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// A list has separators and no entry: taken for an empty one, it would lift the restriction that it was to be.
    #[error("the list of {0} is not empty and names none")]
    NamesNone(&'static str),
    /// An entry is longer than any claim may be.
    #[error("an entry of the list of {list} has {len_bytes} bytes; at most {limit} are allowed")]
    TooLong {
        /// The list.
        list: &'static str,
        /// The length found.
        len_bytes: usize,
        /// The limit.
        limit: usize,
    },
}

fn words(list: &'static str, text: &str) -> Result<Vec<String>, PolicyError> {
    let words: Vec<&str> =
        text.split(|c: char| c == ',' || c.is_ascii_whitespace()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() && !text.is_empty() {
        return Err(PolicyError::NamesNone(list));
    }
    let limit = NAME_LEN_BYTES_MAX;
    match words.iter().map(|word| word.len()).find(|len_bytes| *len_bytes > limit) {
        Some(len_bytes) => Err(PolicyError::TooLong { list, len_bytes, limit }),
        None => Ok(words.into_iter().map(str::to_owned).collect()),
    }
}

/// Which claim refused a token. Holds names of claims, never their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ClaimError {
    /// The payload is not a JSON object.
    #[error("the claims are not a JSON object")]
    NotAnObject,
    /// A name stands twice.
    #[error("a claim stands twice")]
    DuplicateName,
    /// A required claim is missing.
    #[error("the claim {0:?} is missing")]
    Missing(&'static str),
    /// A claim has another JSON type, or a date is out of range.
    #[error("the claim {0:?} has the wrong type")]
    WrongType(&'static str),
    /// A claim is there and empty.
    #[error("the claim {0:?} is empty")]
    Empty(&'static str),
    /// A claim, or an entry of one, is too long.
    #[error("the claim {claim:?} has {len_bytes} bytes; at most {limit} are allowed")]
    TooLong {
        /// The claim.
        claim: &'static str,
        /// The length found.
        len_bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A list has too many entries.
    #[error("the claim {claim:?} has {count} entries; at most {limit} are allowed")]
    TooMany {
        /// The claim.
        claim: &'static str,
        /// The number found.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// An entry of `ns` is neither a namespace nor `*.suffix`.
    #[error("entry {entry_idx} of the claim \"ns\" is neither a namespace nor \"*.suffix\"")]
    NsPattern {
        /// Its position.
        entry_idx: usize,
    },
    /// `exp` is in the past.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iat` is in the future.
    #[error("the token was issued in the future")]
    IssuedInFuture,
    /// `iss` is none of the issuers taken.
    #[error("the token's issuer is not allowed")]
    Issuer,
    /// `aud` names none of our audiences.
    #[error("the token is for another audience")]
    Audience,
}

/// Checks the claims and reads the identity.
pub(crate) fn read_claims(payload: &[u8], policy: &Policy, now_secs: i64) -> Result<Identity, ClaimError> {
    let claims = Members::parse(payload).map_err(|error| match error {
        ObjectError::Syntax => ClaimError::NotAnObject,
        ObjectError::DuplicateName => ClaimError::DuplicateName,
    })?;
    check_dates(&claims, now_secs)?;
    let issuer = name(&claims, "iss")?.ok_or(ClaimError::Missing("iss"))?;
    if !policy.issuers.is_empty() && !policy.issuers.contains(&issuer) {
        return Err(ClaimError::Issuer);
    }
    check_audience(&claims, policy)?;
    Ok(Identity {
        issuer,
        org: name(&claims, "org")?,
        sub: name(&claims, "sub")?,
        roles: roles(&claims)?,
        namespaces: namespaces(&claims)?,
        scopes: Scopes::parse(&list(&claims, "scope")?.join(" ")),
    })
}

fn check_dates(claims: &Members<'_>, now_secs: i64) -> Result<(), ClaimError> {
    let exp = date(claims, "exp")?.ok_or(ClaimError::Missing("exp"))?;
    if now_secs >= exp.saturating_add(LEEWAY_SECS) {
        return Err(ClaimError::Expired);
    }
    let soon = now_secs.saturating_add(LEEWAY_SECS);
    if date(claims, "nbf")?.is_some_and(|nbf| nbf > soon) {
        return Err(ClaimError::NotYetValid);
    }
    if date(claims, "iat")?.is_some_and(|iat| iat > soon) {
        return Err(ClaimError::IssuedInFuture);
    }
    Ok(())
}

fn check_audience(claims: &Members<'_>, policy: &Policy) -> Result<(), ClaimError> {
    let audiences = list(claims, "aud")?;
    let is_ours = |aud: &String| policy.audiences.contains(aud);
    if policy.audiences.is_empty() || audiences.iter().any(is_ours) {
        return Ok(());
    }
    Err(if claims.has("aud") { ClaimError::Audience } else { ClaimError::Missing("aud") })
}

/// Seconds since the epoch; a fraction is cut off (RFC 7519 §2).
fn date(claims: &Members<'_>, claim: &'static str) -> Result<Option<i64>, ClaimError> {
    let Some(secs) = claims.get::<f64>(claim).map_err(|_| ClaimError::WrongType(claim))? else {
        return Ok(None);
    };
    if !(0.0..=DATE_MAX).contains(&secs) {
        return Err(ClaimError::WrongType(claim));
    }
    #[expect(clippy::cast_possible_truncation, reason = "in range, and the fraction is to be cut off")]
    Ok(Some(secs as i64))
}

/// A claim that is part of the identity.
fn name(claims: &Members<'_>, claim: &'static str) -> Result<Option<String>, ClaimError> {
    let Some(text) = claims.get::<String>(claim).map_err(|_| ClaimError::WrongType(claim))? else {
        return Ok(None);
    };
    if text.is_empty() {
        return Err(ClaimError::Empty(claim));
    }
    at_most(claim, text.len())?;
    Ok(Some(text))
}

fn roles(claims: &Members<'_>) -> Result<Vec<String>, ClaimError> {
    let roles: Vec<String> =
        claims.get("roles").map_err(|_| ClaimError::WrongType("roles"))?.unwrap_or_default();
    few("roles", roles.len())?;
    roles.iter().try_for_each(|role| at_most("roles", role.len()))?;
    Ok(roles)
}

fn namespaces(claims: &Members<'_>) -> Result<Vec<NsPattern>, ClaimError> {
    let entries = list(claims, "ns")?;
    few("ns", entries.len())?;
    let parse = |(entry_idx, text): (usize, &String)| {
        NsPattern::parse(text).map_err(|_| ClaimError::NsPattern { entry_idx })
    };
    entries.iter().enumerate().map(parse).collect()
}

fn list(claims: &Members<'_>, claim: &'static str) -> Result<Vec<String>, ClaimError> {
    Ok(claims.one_or_many(claim).map_err(|_| ClaimError::WrongType(claim))?.unwrap_or_default())
}

fn at_most(claim: &'static str, len_bytes: usize) -> Result<(), ClaimError> {
    let limit = NAME_LEN_BYTES_MAX;
    if len_bytes > limit { Err(ClaimError::TooLong { claim, len_bytes, limit }) } else { Ok(()) }
}

fn few(claim: &'static str, count: usize) -> Result<(), ClaimError> {
    let limit = LIST_LEN_MAX;
    if count > limit { Err(ClaimError::TooMany { claim, count, limit }) } else { Ok(()) }
}
