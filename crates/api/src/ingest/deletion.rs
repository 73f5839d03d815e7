//! `DELETE /$.content/{ns}/{type}/{id}`: a tombstone in the namespace's ledger, in force on return (design.md §3, §4).
//!
//! Checks come in this order: 401, 403 (scope), 400, 403 (namespace), 429, 409/422 (idempotency), 404, 412.

use super::{
    admit::{check_namespace, parse_idempotency_key},
    answer::{Published, respond},
    ledger_sink::in_progress,
    refusal::ledger_problem,
    sink::{Committed, SinkError},
};
use crate::{
    access::{TokenRules, require_scope},
    artifact_path::{invalid_path, split_path},
    http::{RequestHead, Response},
    keys::KeySource,
    ledger::{
        LedgerPort,
        deletion::{Condition, DeleteCall, Deleted},
        protocol::{decode, encode},
    },
    problem::Problem,
    purge::{
        message::{Purge, Touched, TouchedKey},
        port::{PurgePort, purge_in_time},
    },
    tenancy::refused,
};
use firn_auth::{
    identity::{Identity, Scope},
    verify::SignatureCheck,
};
use firn_ledger::{admit::Allowance, row::Owner};
use firn_store::retry::Pause;
use firn_types::{error::ErrorCode, key::ArtifactKey, time::Micros};

/// Entity tags of one `If-Match`: more than a cache holds of one artifact.
const TAG_COUNT_MAX: usize = 100;

/// A deletion whose head passed.
#[derive(Clone, Debug)]
pub struct Deletion {
    /// Who deletes.
    pub identity: Identity,
    /// What.
    pub key: ArtifactKey,
    /// `Idempotency-Key`, unquoted, if sent.
    pub idempotency_key: Option<String>,
    /// `If-Match`, if sent.
    pub condition: Option<Condition>,
    /// Its text.
    pub if_match: String,
}

/// Names of one deletion.
#[derive(Clone, Copy, Debug)]
pub struct DeletionNames<'a> {
    /// The request in its answer.
    pub request_id: &'a str,
    /// The request in its row.
    pub ingest_id: &'a str,
    /// Hash of idempotency key and caller, in hexadecimal, if there is a key.
    pub key: Option<&'a str>,
    /// Digest of what must be the same under that key: of [`Deletion::preimage`].
    pub fingerprint: [u8; 32],
}

impl Deletion {
    /// Who deletes, as an owner of rows.
    pub fn deleter(&self) -> Owner {
        let Identity { issuer, org, sub, .. } = &self.identity;
        Owner { iss: Some(issuer.clone()), org: org.clone(), sub: sub.clone() }
    }

    /// What must be the same under one idempotency key, beside the namespace.
    pub fn preimage(&self) -> Vec<u8> {
        // No part but the last can hold a NUL.
        let parts = [self.key.artifact_type.as_str(), self.key.id.as_str(), &self.if_match];
        parts.join("\0").into_bytes()
    }
}

/// Checks a head.
///
/// # Errors
/// 401, 403, 400; the first that applies.
pub async fn admit_deletion(
    head: &RequestHead,
    rules: &TokenRules<impl KeySource>,
    check: &impl SignatureCheck,
    now: Micros,
) -> Result<Deletion, Problem> {
    let identity = require_scope(head, rules, check, now, Scope::Write).await?;
    let key = parse_path(&head.path)?;
    let condition = head.header("if-match").map(parse_if_match).transpose()?;
    let idempotency_key = parse_idempotency_key(head)?;
    check_namespace(&identity, &key.ns)?;
    let if_match = head.header("if-match").unwrap_or_default().to_owned();
    Ok(Deletion { identity, key, idempotency_key, condition, if_match })
}

/// Deletes, and purges what is gone.
///
/// # Errors
/// 429, 409, 422, 404, 412, 503.
pub async fn delete<P: LedgerPort + PurgePort + Pause>(
    deletion: &Deletion,
    names: &DeletionNames<'_>,
    allowance: &Allowance,
    platform: &P,
) -> Result<Response, Problem> {
    let ArtifactKey { ns, artifact_type, id } = &deletion.key;
    let call = DeleteCall {
        allowance: *allowance,
        key: names.key.map(str::as_bytes),
        fingerprint: &names.fingerprint,
        ingest_id: names.ingest_id,
        ns: ns.as_str(),
        artifact_type: artifact_type.as_str(),
        id: id.as_str(),
        deleter: deletion.deleter(),
        condition: deletion.condition.clone(),
        request_id: names.request_id,
    };
    let message = encode(&call).map_err(|error| unavailable(&error.to_string()))?;
    let reply = platform.call(ns, message).await.map_err(|cause| unavailable(&cause))?;
    let committed = match decode::<DeleteCall<'_>>(&reply).map_err(|error| unavailable(&error.to_string()))? {
        Deleted::Done(answer) => Committed { answer, is_replayed: false },
        Deleted::Replayed(answer) => Committed { answer, is_replayed: true },
        other => return Err(refusal(&other, allowance)),
    };
    let key = TouchedKey { artifact_type: artifact_type.as_str(), id: id.as_str() };
    // Also of a replay: who answered first may have died before.
    purge_in_time(platform, &Purge { ns: ns.as_str(), touched: Touched::Keys(vec![key]) }).await;
    respond(Published::Taken { committed, is_partial: false })
}

fn unavailable(cause: &str) -> Problem {
    ledger_problem(&SinkError::Ledger(cause.to_owned()))
}

fn refusal(deleted: &Deleted, allowance: &Allowance) -> Problem {
    match deleted {
        Deleted::NotAdmitted(admission) => {
            refused(*admission, allowance).unwrap_or_else(|| unavailable("admitted"))
        }
        Deleted::InFlight { retry_after_secs } => in_progress(*retry_after_secs),
        Deleted::Mismatch => ledger_problem(&SinkError::Mismatch),
        Deleted::NotLive => Problem::new(ErrorCode::NotFound, "there is nothing to delete"),
        Deleted::ConditionFailed { found } => {
            let found = found.map_or_else(|| "0".to_owned(), |version| version.to_string());
            Problem::new(ErrorCode::PreconditionFailed, "If-Match does not hold; nothing was deleted")
                .with_member("found", found)
        }
        Deleted::Full { retry_after_secs } => {
            ledger_problem(&SinkError::Full { retry_after_secs: *retry_after_secs })
        }
        Deleted::Done(_) | Deleted::Replayed(_) => unavailable("it is done"),
    }
}

/// The artifact of a path without extension. Each part is percent-decoded once; the id may hold `/`.
fn parse_path(path: &str) -> Result<ArtifactKey, Problem> {
    let shape = "the path is /$.content/{ns}/{type}/{id}, without an extension";
    let (ns, artifact_type, id) = split_path(path, shape)?;
    ArtifactKey::parse(&ns, &artifact_type, &id).map_err(|error| invalid_path(&error.to_string()))
}

/// RFC 9110 §13.1.1, with strong comparison: what is weak, or no tag of an artifact, equals no version. A tag is the
/// version, alone or as that of a representation: `"5"`, `"5.md"`.
fn parse_if_match(text: &str) -> Result<Condition, Problem> {
    let malformed = || {
        let detail = format!("If-Match is * or at most {TAG_COUNT_MAX} entity tags, as \"<version>\"");
        Problem::new(ErrorCode::InvalidHeader, detail)
    };
    if text == "*" {
        return Ok(Condition::Any);
    }
    let mut versions = Vec::new();
    for (idx, tag) in text.split(',').map(str::trim).enumerate() {
        let strong = tag.strip_prefix("W/").unwrap_or(tag);
        let opaque = strong.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let opaque =
            opaque.filter(|opaque| idx < TAG_COUNT_MAX && !opaque.contains('"')).ok_or_else(malformed)?;
        let version = opaque.split('.').next().and_then(|digits| digits.parse::<i64>().ok());
        versions.extend(version.filter(|_| strong.len() == tag.len()));
    }
    Ok(Condition::OneOf(versions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_names_an_artifact() {
        let check = |path: &str, expected: Option<(&str, &str, &str)>| {
            let parsed = parse_path(path);
            let parsed = parsed.as_ref().ok();
            let parsed = parsed.map(|key| (key.ns.as_str(), key.artifact_type.as_str(), key.id.as_str()));
            assert_eq!(parsed, expected, "{path}");
        };
        check("/$.content/App.do/Page/home", Some(("app.do", "Page", "home")));
        check("/$.content/a/b/c/d%2Fe%2520.md", Some(("a", "b", "c/d/e%20.md")));
        for path in [
            "/$.content/a/b",
            "/$.content/a/b/",
            "/$.content/a/b/c//d",
            "/$.content/a/b/x@v1",
            "/$.content/a/b/%zz",
        ] {
            check(path, None);
        }
    }

    #[test]
    fn if_match_is_a_star_or_strong_tags_whose_version_counts() {
        let check = |text: &str, expected: Option<Condition>| {
            assert_eq!(parse_if_match(text).ok(), expected, "{text}");
        };
        check("*", Some(Condition::Any));
        check(r#""5""#, Some(Condition::OneOf(vec![5])));
        check(r#""5.md" , "6.d.ts""#, Some(Condition::OneOf(vec![5, 6])));
        check(r#"W/"5", "x", "", "-""#, Some(Condition::OneOf(vec![])));
        for text in ["5", "", r#""5"#, r#""5","#, r#""5"x"#, r#""a"b""#] {
            check(text, None);
        }
        check(&vec![r#""5""#; TAG_COUNT_MAX + 1].join(","), None);
    }
}
