//! The checks on a request's head, in the order of the contract: 405, 401, 403 scope, 415, 400 headers, 413 length.

use firn_auth::{
    identity::{Identity, Scope},
    verify::SignatureCheck,
};
use firn_types::{error::ErrorCode, key::Namespace, mode::Mode, time::Micros};

use crate::{
    access::{TokenRules, require_scope},
    http::RequestHead,
    keys::KeySource,
    problem::Problem,
};

/// The path of ingest.
pub const PATH: &str = "/$.artifacts";

/// What it takes.
pub const METHODS: &str = "POST, OPTIONS";

const MEDIA_TYPES: [&str; 3] = ["application/x-ndjson", "application/jsonl", "application/x-jsonlines"];
const IDEMPOTENCY_KEY_LEN_BYTES_MAX: usize = 256;

/// `Content-Encoding` of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentEncoding {
    /// None.
    Identity,
    /// gzip; its content is limited like a plain body.
    Gzip,
}

/// A head that passed.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Who writes.
    pub identity: Identity,
    /// The mode that the caller names, if any.
    pub mode: Option<Mode>,
    /// How the body is encoded.
    pub encoding: ContentEncoding,
    /// `Content-Length`, if sent: of the body as encoded.
    pub declared_len_bytes: Option<u64>,
    /// `Idempotency-Key`, unquoted, if sent.
    pub idempotency_key: Option<String>,
}

/// Checks a head.
///
/// # Errors
/// 405, 401, 403, 415, 400, 413; the first that applies.
pub async fn admit(
    head: &RequestHead,
    rules: &TokenRules<impl KeySource>,
    check: &impl SignatureCheck,
    now: Micros,
    ceiling_len_bytes: u64,
) -> Result<Admitted, Problem> {
    if head.method != "POST" {
        let detail = format!("{PATH} takes POST");
        return Err(Problem::new(ErrorCode::MethodNotAllowed, detail).with_header("Allow", METHODS));
    }
    let identity = require_scope(head, rules, check, now, Scope::Write).await?;
    check_media_type(head)?;
    let encoding = parse_encoding(head)?;
    let mode = parse_mode(head)?;
    let idempotency_key = parse_idempotency_key(head)?;
    let declared_len_bytes = parse_content_length(head)?;
    if let Some(len_bytes) = declared_len_bytes.filter(|len| *len > ceiling_len_bytes) {
        return Err(body_too_large(len_bytes, ceiling_len_bytes));
    }
    Ok(Admitted { identity, mode, encoding, declared_len_bytes, idempotency_key })
}

/// The namespace may be written by this caller.
///
/// # Errors
/// 403.
pub fn check_namespace(identity: &Identity, ns: &Namespace) -> Result<(), Problem> {
    if identity.may_write(ns) {
        return Ok(());
    }
    Err(Problem::new(
        ErrorCode::NamespaceForbidden,
        "the token does not name the namespace of the first record",
    ))
}

/// 413 for a body over a limit.
pub fn body_too_large(len_bytes: u64, limit: u64) -> Problem {
    let detail = format!("the body has at least {len_bytes} bytes; at most {limit} are allowed");
    Problem::new(ErrorCode::BodyTooLarge, detail).with_member("limit", limit)
}

fn check_media_type(head: &RequestHead) -> Result<(), Problem> {
    let given = head.header("content-type").unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if MEDIA_TYPES.contains(&essence.as_str()) {
        return Ok(());
    }
    let detail = format!("send NDJSON as one of {}", MEDIA_TYPES.join(", "));
    Err(Problem::new(ErrorCode::UnsupportedMediaType, detail)
        .with_header("Accept-Post", MEDIA_TYPES.join(", ")))
}

fn parse_encoding(head: &RequestHead) -> Result<ContentEncoding, Problem> {
    match head.header("content-encoding").unwrap_or("identity").to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(ContentEncoding::Identity),
        "gzip" | "x-gzip" => Ok(ContentEncoding::Gzip),
        _ => Err(Problem::new(ErrorCode::UnsupportedEncoding, "send the body as it is, or as gzip")
            .with_header("Accept-Encoding", "gzip, identity")),
    }
}

fn parse_mode(head: &RequestHead) -> Result<Option<Mode>, Problem> {
    let Some(word) = head.header("x-artifact-mode") else { return Ok(None) };
    Mode::parse(word)
        .map(Some)
        .ok_or_else(|| Problem::new(ErrorCode::InvalidMode, "X-Artifact-Mode is one of preview, build, bulk"))
}

/// RFC 9110 §8.6. The runtime holds the body to it; here it only has to be a number.
fn parse_content_length(head: &RequestHead) -> Result<Option<u64>, Problem> {
    let Some(text) = head.header("content-length") else { return Ok(None) };
    let is_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_digits
        .then(|| text.parse().unwrap_or(u64::MAX))
        .map(Some)
        .ok_or_else(|| Problem::new(ErrorCode::InvalidHeader, "Content-Length is not a number"))
}

pub(super) fn parse_idempotency_key(head: &RequestHead) -> Result<Option<String>, Problem> {
    let given = head.header("idempotency-key").or_else(|| head.header("x-idempotency-key"));
    let Some(text) = given else { return Ok(None) };
    // The IETF draft makes the key a structured-field string, which is quoted.
    let key = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    let is_valid = (1..=IDEMPOTENCY_KEY_LEN_BYTES_MAX).contains(&key.len())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'=' | b'-'));
    if is_valid {
        return Ok(Some(key.to_owned()));
    }
    let detail = format!("Idempotency-Key is 1 to {IDEMPOTENCY_KEY_LEN_BYTES_MAX} of [A-Za-z0-9._=-]");
    Err(Problem::new(ErrorCode::InvalidIdempotencyKey, detail))
}
