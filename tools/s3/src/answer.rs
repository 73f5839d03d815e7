//! What a store answers to a GET with a `Range` (RFC 9110 §14, §15.3.7, §15.5.17).

use std::{error::Error, io, io::Read as _};

use bytes::Bytes;
use firn_store::read::{ObjectBytes, StoreErrorKind};
use firn_types::object::ByteRange;
use thiserror::Error;
use ureq::{
    Body,
    http::{HeaderMap, Response, StatusCode, header},
};

/// Longest part of an error's body that is read: S3's are some 300 bytes of XML.
const ERROR_LEN_BYTES_MAX: u64 = 4 * 1024;

/// Memory that is set aside for a body before any of it arrived; more only as it arrives.
const BODY_CAPACITY_LEN_BYTES_MAX: u64 = 1024 * 1024;

/// An answer that is no failure of the store's.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The bytes asked for.
    Bytes(ObjectBytes),
    /// The range does not lie within the object.
    NotSatisfiable {
        /// `None` where the store did not tell.
        object_len_bytes: Option<u64>,
    },
}

/// A read that failed, before its key is named.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: StoreErrorKind,
    pub(crate) source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    pub(crate) fn unavailable(source: Box<dyn Error + Send + Sync>) -> Self {
        Self { kind: StoreErrorKind::Unavailable, source: Some(source) }
    }

    pub(crate) fn from_client(error: ureq::Error) -> Self {
        let kind = match &error {
            ureq::Error::Timeout(_) => StoreErrorKind::Timeout,
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => StoreErrorKind::Timeout,
            _ => StoreErrorKind::Unavailable,
        };
        Self { kind, source: Some(Box::new(error)) }
    }
}

/// An answer that tells a failure.
#[derive(Debug, Error)]
#[error("HTTP {status} {code} {message}")]
struct StatusError {
    status: u16,
    /// S3's code, such as `SlowDown`; empty where there is none.
    code: String,
    message: String,
}

/// An answer that is none to the request.
#[derive(Debug, Error)]
enum ProtocolError {
    #[error("status {0}: the store does not honour ranges")]
    NoRange(u16),
    #[error("Content-Range {found:?} does not answer {asked:?}")]
    OtherRange { found: String, asked: ByteRange },
}

/// Reads the answer to a request of `asked`, which is not empty.
pub(crate) fn read(response: Response<Body>, asked: &ByteRange) -> Result<Answer, Failure> {
    let status = response.status();
    match status {
        StatusCode::PARTIAL_CONTENT => read_part(response, asked),
        StatusCode::OK => read_whole(response, asked),
        StatusCode::RANGE_NOT_SATISFIABLE => {
            let headers = response.headers().clone();
            let body = error_body(response);
            let object_len_bytes = object_len_of_refusal(&headers, &body);
            Ok(match (asked, object_len_bytes) {
                // Only of an empty object a tail cannot be given.
                (ByteRange::Tail { .. }, None | Some(0)) => empty(asked, &headers),
                (_, object_len_bytes) => Answer::NotSatisfiable { object_len_bytes },
            })
        }
        status if status.is_success() => {
            Err(Failure::unavailable(ProtocolError::NoRange(status.as_u16()).into()))
        }
        status => Err(refusal(status, &error_body(response))),
    }
}

fn empty(asked: &ByteRange, headers: &HeaderMap) -> Answer {
    match asked {
        ByteRange::Range(_) => Answer::NotSatisfiable { object_len_bytes: Some(0) },
        ByteRange::Tail { .. } => Answer::Bytes(ObjectBytes {
            bytes: Bytes::new(),
            offset: 0,
            object_len_bytes: 0,
            etag: header_text(headers, header::ETAG),
        }),
    }
}

/// A store may answer with the whole object, above all where all of it is asked for, or where it is empty.
fn read_whole(response: Response<Body>, asked: &ByteRange) -> Result<Answer, Failure> {
    let object_len_bytes = response.body().content_length();
    let is_all = match (asked, object_len_bytes) {
        (_, Some(0)) => return Ok(empty(asked, response.headers())),
        (ByteRange::Range(range), Some(len_bytes)) => *range == (0..len_bytes),
        (ByteRange::Tail { len_bytes: asked }, Some(len_bytes)) => *asked >= len_bytes,
        (_, None) => false,
    };
    let (Some(object_len_bytes), true) = (object_len_bytes, is_all) else {
        return Err(Failure::unavailable(ProtocolError::NoRange(response.status().as_u16()).into()));
    };
    let etag = header_text(response.headers(), header::ETAG);
    let bytes = read_body(response.into_body(), object_len_bytes)?;
    Ok(Answer::Bytes(ObjectBytes { bytes, offset: 0, object_len_bytes, etag }))
}

fn read_part(response: Response<Body>, asked: &ByteRange) -> Result<Answer, Failure> {
    let stated = header_text(response.headers(), header::CONTENT_RANGE).unwrap_or_default();
    let other = || {
        let (found, asked) = (stated.clone(), asked.clone());
        Failure::unavailable(ProtocolError::OtherRange { found, asked }.into())
    };
    let (start, end, object_len_bytes) = parse_content_range(&stated).ok_or_else(other)?;
    let wanted = match asked {
        ByteRange::Range(range) if range.end > object_len_bytes => {
            return Ok(Answer::NotSatisfiable { object_len_bytes: Some(object_len_bytes) });
        }
        ByteRange::Range(range) => range.clone(),
        ByteRange::Tail { len_bytes } => object_len_bytes.saturating_sub(*len_bytes)..object_len_bytes,
    };
    if (start..end) != wanted {
        return Err(other());
    }
    let etag = header_text(response.headers(), header::ETAG);
    let bytes = read_body(response.into_body(), end - start)?;
    Ok(Answer::Bytes(ObjectBytes { bytes, offset: start, object_len_bytes, etag }))
}

/// Exactly `len_bytes` bytes.
fn read_body(body: Body, len_bytes: u64) -> Result<Bytes, Failure> {
    let mut bytes =
        Vec::with_capacity(usize::try_from(len_bytes.min(BODY_CAPACITY_LEN_BYTES_MAX)).unwrap_or_default());
    let ended = body.into_reader().take(len_bytes).read_to_end(&mut bytes);
    let found_len_bytes = bytes.len() as u64;
    let short = StoreErrorKind::ShortRead { asked_len_bytes: len_bytes, found_len_bytes };
    match ended {
        Ok(_) if found_len_bytes == len_bytes => Ok(Bytes::from(bytes)),
        Ok(_) => Err(Failure { kind: short, source: None }),
        Err(error) => {
            let is_timeout = error.kind() == io::ErrorKind::TimedOut
                || matches!(
                    error.get_ref().and_then(|inner| inner.downcast_ref()),
                    Some(ureq::Error::Timeout(_))
                );
            let kind = if is_timeout { StoreErrorKind::Timeout } else { short };
            Err(Failure { kind, source: Some(Box::new(error)) })
        }
    }
}

/// What a status other than 2xx and 416 means.
fn refusal(status: StatusCode, body: &str) -> Failure {
    let element = |name| element(body, name).unwrap_or_default().to_owned();
    let (code, message) = (element("Code"), element("Message"));
    let kind = match (status, code.as_str()) {
        (StatusCode::NOT_FOUND, _) => StoreErrorKind::NotFound,
        (StatusCode::TOO_MANY_REQUESTS, _) | (_, "SlowDown" | "TooManyRequests") => StoreErrorKind::Throttled,
        (StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT, _) => StoreErrorKind::Timeout,
        _ => StoreErrorKind::Unavailable,
    };
    let status = status.as_u16();
    Failure { kind, source: Some(StatusError { status, code, message }.into()) }
}

/// The object's length, as a 416 tells it: in its header, or as S3 does in its body.
fn object_len_of_refusal(headers: &HeaderMap, body: &str) -> Option<u64> {
    let of_header = header_text(headers, header::CONTENT_RANGE)
        .and_then(|stated| stated.strip_prefix("bytes */").and_then(|len_bytes| len_bytes.parse().ok()));
    of_header.or_else(|| element(body, "ActualObjectSize")?.parse().ok())
}

/// `bytes first-last/length`, as first, one behind the last, and length.
fn parse_content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, object_len_bytes) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (start, end) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?.checked_add(1)?);
    let object_len_bytes = object_len_bytes.parse().ok()?;
    (start < end && end <= object_len_bytes).then_some((start, end, object_len_bytes))
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// As much of an error's body as is text and arrives.
fn error_body(response: Response<Body>) -> String {
    let mut bytes = Vec::new();
    // What did arrive is still worth showing.
    let _ = response.into_body().into_reader().take(ERROR_LEN_BYTES_MAX).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Text of an element of an S3 error, which has no attributes and no nesting.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once("</")?.0)
}
