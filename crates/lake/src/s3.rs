//! A read path that S3 clients understand, path-style: `GET|HEAD /{bucket}/{key}` with `Range`, and `ListObjectsV2`
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>).
//!
//! For the development origin. Signatures are not checked, and nothing can be written.

use std::{fmt::Write as _, ops::Range};

use thiserror::Error;

use firn_types::{object::ObjectKey, time::Micros};

use crate::uri::{decode_percent, query_value};

/// Longest key, as S3 has it.
const KEY_LEN_BYTES_MAX: usize = 1024;

/// Most objects in one page of a listing, as S3 has it.
pub const LIST_COUNT_MAX: u16 = 1000;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum S3Request {
    /// `GetObject`.
    Get {
        /// The object.
        key: ObjectKey,
        /// The part of it that is wanted.
        range: Option<RangeSpec>,
    },
    /// `HeadObject`.
    Head {
        /// The object.
        key: ObjectKey,
        /// The part of it that is asked about.
        range: Option<RangeSpec>,
    },
    /// `HeadBucket`: the bucket is there.
    HeadBucket,
    /// `ListObjectsV2`.
    List(ListRequest),
}

/// What a listing is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRequest {
    /// Only keys that start with it.
    pub prefix: String,
    /// Keys are grouped up to the next one of it after the prefix.
    pub delimiter: Option<String>,
    /// Where an earlier page ended: its `next_token`.
    pub continuation_token: Option<String>,
    /// Only keys after it.
    pub start_after: Option<String>,
    /// Most keys and groups wanted.
    pub count_max: u16,
}

/// A part of an object (RFC 9110 §14.1.2), before the object's length is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeSpec {
    /// `bytes=a-b`, both included.
    FromTo(u64, u64),
    /// `bytes=a-`.
    From(u64),
    /// `bytes=-n`.
    Last(u64),
}

/// Why there is no other answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum S3Error {
    /// No such object.
    #[error("The specified key does not exist.")]
    NoSuchKey,
    /// Another bucket than the lake's.
    #[error("The specified bucket does not exist.")]
    NoSuchBucket,
    /// The range starts behind the object's end.
    #[error("The requested range is not satisfiable.")]
    InvalidRange {
        /// The object's length.
        len_bytes: u64,
    },
    /// A key that is malformed or too long, or a parameter that is not a number.
    #[error("The request is not valid.")]
    InvalidRequest,
    /// A write.
    #[error("The specified method is not allowed against this resource.")]
    MethodNotAllowed,
    /// The store failed.
    #[error("We encountered an internal error.")]
    Internal,
}

/// What is known of a stored object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectHead {
    /// Its key.
    pub key: ObjectKey,
    /// Its length.
    pub len_bytes: u64,
    /// Its `ETag`, without quotes.
    pub etag: String,
    /// When it was stored.
    pub last_modified: Micros,
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The objects, by key.
    pub objects: Vec<ObjectHead>,
    /// What keys were grouped to, each with its delimiter.
    pub common_prefixes: Vec<String>,
    /// Given where more follows.
    pub next_token: Option<String>,
}

/// Status and headers of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Head {
    /// Status.
    pub status: u16,
    /// Headers, `Content-Length` among them.
    pub headers: Vec<(&'static str, String)>,
}

impl S3Error {
    /// Status.
    pub const fn status(self) -> u16 {
        match self {
            Self::NoSuchKey | Self::NoSuchBucket => 404,
            Self::InvalidRange { .. } => 416,
            Self::InvalidRequest => 400,
            Self::MethodNotAllowed => 405,
            Self::Internal => 500,
        }
    }

    /// S3's word for it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoSuchKey => "NoSuchKey",
            Self::NoSuchBucket => "NoSuchBucket",
            Self::InvalidRange { .. } => "InvalidRange",
            Self::InvalidRequest => "InvalidRequest",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::Internal => "InternalError",
        }
    }

    /// The body: `application/xml`. An answer to `HEAD` has none.
    pub fn render(self, resource: &str, request_id: &str) -> String {
        format!(
            "{XML_HEAD}<Error><Code>{}</Code><Message>{self}</Message><Resource>{}</Resource><RequestId>{}</RequestId></Error>",
            self.code(),
            escape_xml(resource),
            escape_xml(request_id),
        )
    }

    /// Headers besides the usual: what a range is measured against.
    pub fn headers(self) -> Vec<(&'static str, String)> {
        match self {
            Self::InvalidRange { len_bytes } => vec![("Content-Range", format!("bytes */{len_bytes}"))],
            Self::MethodNotAllowed => vec![("Allow", "GET, HEAD".to_owned())],
            _ => Vec::new(),
        }
    }
}

/// What a request asks for. `path` is `/{bucket}/{key}`, still percent-encoded; `query` is without its question mark.
pub fn parse_request(
    method: &str,
    bucket: &str,
    path: &str,
    query: &str,
    range: Option<&str>,
) -> Result<S3Request, S3Error> {
    let rest = path.strip_prefix('/').ok_or(S3Error::InvalidRequest)?;
    let (asked_bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    if asked_bucket != bucket {
        return Err(S3Error::NoSuchBucket);
    }
    let key = decode_percent(key).ok_or(S3Error::InvalidRequest)?;
    if key.len() > KEY_LEN_BYTES_MAX || key.contains('\0') {
        return Err(S3Error::InvalidRequest);
    }
    let range = range.and_then(RangeSpec::parse);
    match (method, key.is_empty()) {
        ("GET", false) => Ok(S3Request::Get { key: ObjectKey::new(&key), range }),
        ("HEAD", false) => Ok(S3Request::Head { key: ObjectKey::new(&key), range }),
        ("HEAD", true) => Ok(S3Request::HeadBucket),
        ("GET", true) => parse_list(query).map(S3Request::List),
        _ => Err(S3Error::MethodNotAllowed),
    }
}

impl RangeSpec {
    /// Reads a `Range` header. `None` where it is malformed, has another unit or several ranges: the whole object is
    /// the answer then (RFC 9110 §14.2).
    pub fn parse(header: &str) -> Option<Self> {
        let number = |digits: &str| {
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            // More digits than fit are a number behind every object's end.
            is_number.then(|| digits.parse().unwrap_or(u64::MAX))
        };
        match header.trim().strip_prefix("bytes=")?.split_once('-')? {
            ("", last) => Some(Self::Last(number(last)?)),
            (first, "") => Some(Self::From(number(first)?)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::FromTo(first, last))
            }
        }
    }

    /// The bytes of an object of this length.
    pub fn resolve(self, len_bytes: u64) -> Result<Range<u64>, S3Error> {
        let range = match self {
            Self::FromTo(first, last) => first..len_bytes.min(last.saturating_add(1)),
            Self::From(first) => first..len_bytes,
            Self::Last(count) => len_bytes.saturating_sub(count)..len_bytes,
        };
        if range.is_empty() { Err(S3Error::InvalidRange { len_bytes }) } else { Ok(range) }
    }
}

/// Status and headers of an object's answer: 206 with a range, 200 without.
pub fn object_head(object: &ObjectHead, range: Option<&Range<u64>>) -> S3Head {
    let mut headers = vec![
        ("Accept-Ranges", "bytes".to_owned()),
        ("Content-Type", "application/octet-stream".to_owned()),
        ("ETag", format!("\"{}\"", object.etag)),
        ("Last-Modified", object.last_modified.to_http_date()),
    ];
    let (status, len_bytes) = match range {
        None => (200, object.len_bytes),
        Some(Range { start, end }) => {
            let last = end.saturating_sub(1);
            headers.push(("Content-Range", format!("bytes {start}-{last}/{}", object.len_bytes)));
            (206, end.saturating_sub(*start))
        }
    };
    headers.push(("Content-Length", len_bytes.to_string()));
    S3Head { status, headers }
}

/// The body of a listing: `application/xml`.
pub fn render_listing(bucket: &str, request: &ListRequest, listing: &Listing) -> String {
    let mut xml = format!(r#"{XML_HEAD}<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">"#);
    let mut element = |name: &str, text: &str| {
        // Writing to a string cannot fail.
        let _ = write!(xml, "<{name}>{}</{name}>", escape_xml(text));
    };
    element("Name", bucket);
    element("Prefix", &request.prefix);
    if let Some(delimiter) = &request.delimiter {
        element("Delimiter", delimiter);
    }
    element("MaxKeys", &request.count_max.to_string());
    element("KeyCount", &listing.objects.len().saturating_add(listing.common_prefixes.len()).to_string());
    element("IsTruncated", if listing.next_token.is_some() { "true" } else { "false" });
    if let Some(token) = &listing.next_token {
        element("NextContinuationToken", token);
    }
    for ObjectHead { key, len_bytes, etag, last_modified } in &listing.objects {
        let _ = write!(
            xml,
            "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>&quot;{}&quot;</ETag><Size>{len_bytes}</Size><StorageClass>STANDARD</StorageClass></Contents>",
            escape_xml(key.as_str()),
            last_modified.to_rfc3339(),
            escape_xml(etag),
        );
    }
    for prefix in &listing.common_prefixes {
        let _ = write!(xml, "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escape_xml(prefix));
    }
    xml.push_str("</ListBucketResult>");
    xml
}

const XML_HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

fn parse_list(query: &str) -> Result<ListRequest, S3Error> {
    // Version 1 lists differently; nobody here asks for it.
    if query_value(query, "list-type").as_deref() != Some("2") {
        return Err(S3Error::InvalidRequest);
    }
    let count_max = match query_value(query, "max-keys") {
        None => LIST_COUNT_MAX,
        Some(digits) => digits.parse().map_err(|_| S3Error::InvalidRequest)?,
    };
    let non_empty = |name: &str| query_value(query, name).filter(|value| !value.is_empty());
    Ok(ListRequest {
        prefix: query_value(query, "prefix").unwrap_or_default(),
        delimiter: non_empty("delimiter"),
        continuation_token: non_empty("continuation-token"),
        start_after: non_empty("start-after"),
        count_max: count_max.min(LIST_COUNT_MAX),
    })
}

/// Escapes text for an element. Control characters that XML 1.0 cannot name become spaces; no key of ours has one.
fn escape_xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &str, target: &str, range: Option<&str>) -> Result<S3Request, S3Error> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        parse_request(method, "lake", path, query, range)
    }

    #[test]
    fn requests_are_parsed() {
        let key = ObjectKey::new("a/b c=雪.parquet");
        let target = "/lake/a/b%20c=%E9%9B%AA.parquet";
        let whole = S3Request::Get { key: key.clone(), range: None };
        assert_eq!(parse("GET", target, None), Ok(whole.clone()));
        let part = S3Request::Get { key: key.clone(), range: Some(RangeSpec::FromTo(1, 2)) };
        assert_eq!(parse("GET", target, Some("bytes=1-2")), Ok(part));
        assert_eq!(parse("GET", target, Some("rows=1-2")), Ok(whole));
        assert_eq!(parse("HEAD", target, None), Ok(S3Request::Head { key, range: None }));
        assert_eq!(parse("HEAD", "/lake", None), Ok(S3Request::HeadBucket));
        assert_eq!(parse("HEAD", "/lake/", None), Ok(S3Request::HeadBucket));
        let list = S3Request::List(ListRequest {
            prefix: "a/b".into(),
            delimiter: Some("/".into()),
            continuation_token: None,
            start_after: Some("a/b c".into()),
            count_max: 2,
        });
        let query = "list-type=2&prefix=a%2Fb&delimiter=%2F&continuation-token=&start-after=a/b+c&max-keys=2";
        assert_eq!(parse("GET", &format!("/lake?{query}"), None), Ok(list));
    }

    #[test]
    fn refused_requests_say_why() {
        for (method, target, error) in [
            ("GET", "/other/a", S3Error::NoSuchBucket),
            ("GET", "lake/a", S3Error::InvalidRequest),
            ("GET", "/lake/%", S3Error::InvalidRequest),
            ("GET", "/lake/a%00", S3Error::InvalidRequest),
            ("GET", "/lake", S3Error::InvalidRequest),
            ("GET", "/lake?list-type=2&max-keys=x", S3Error::InvalidRequest),
            ("PUT", "/lake/a", S3Error::MethodNotAllowed),
            ("DELETE", "/lake/a", S3Error::MethodNotAllowed),
            ("POST", "/lake?delete", S3Error::MethodNotAllowed),
        ] {
            assert_eq!(parse(method, target, None), Err(error), "{method} {target}");
        }
        assert_eq!(parse("GET", &format!("/lake/{}", "a".repeat(1025)), None), Err(S3Error::InvalidRequest));
    }

    #[test]
    fn ranges_resolve_against_the_length() {
        let invalid = Err(S3Error::InvalidRange { len_bytes: 10 });
        for (header, expected) in [
            ("bytes=0-0", Ok(0..1)),
            ("bytes=2-5", Ok(2..6)),
            ("bytes=2-99", Ok(2..10)),
            ("bytes=2-99999999999999999999999", Ok(2..10)),
            ("bytes=9-", Ok(9..10)),
            ("bytes=10-", invalid.clone()),
            ("bytes=10-12", invalid.clone()),
            ("bytes=-3", Ok(7..10)),
            ("bytes=-99", Ok(0..10)),
            ("bytes=-0", invalid),
        ] {
            assert_eq!(RangeSpec::parse(header).unwrap().resolve(10), expected, "{header}");
        }
        for malformed in
            ["", "bytes", "bytes=", "bytes=-", "bytes=5-2", "bytes=a-b", "bytes=0-1,3-4", "bytes=+1-2"]
        {
            assert_eq!(RangeSpec::parse(malformed), None, "{malformed}");
        }
    }

    fn object(key: &str) -> ObjectHead {
        ObjectHead {
            key: ObjectKey::new(key),
            len_bytes: 10,
            etag: "e1".into(),
            last_modified: Micros::parse_rfc3339("2026-11-20T08:00:00Z").unwrap(),
        }
    }

    #[test]
    fn object_answers_carry_the_headers_of_s3() {
        let header = |head: &S3Head, name: &str| {
            head.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let whole = object_head(&object("a"), None);
        assert_eq!((whole.status, header(&whole, "Content-Length").as_str()), (200, "10"));
        assert_eq!(header(&whole, "ETag"), "\"e1\"");
        assert_eq!(header(&whole, "Last-Modified"), "Fri, 20 Nov 2026 08:00:00 GMT");
        let part = object_head(&object("a"), Some(&(2..6)));
        assert_eq!((part.status, header(&part, "Content-Length").as_str()), (206, "4"));
        assert_eq!(header(&part, "Content-Range"), "bytes 2-5/10");
        let invalid = S3Error::InvalidRange { len_bytes: 10 };
        assert_eq!(
            (invalid.status(), invalid.headers()),
            (416, vec![("Content-Range", "bytes */10".to_owned())])
        );
    }

    #[test]
    fn bodies_are_escaped_xml() {
        assert_eq!(
            S3Error::NoSuchKey.render("/lake/<&>", "r1"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>NoSuchKey</Code><Message>The specified key does not \
             exist.</Message><Resource>/lake/&lt;&amp;&gt;</Resource><RequestId>r1</RequestId></Error>"
        );
        let Ok(S3Request::List(request)) = parse("GET", "/lake?list-type=2&prefix=a%26", None) else {
            panic!()
        };
        let listing = Listing {
            objects: vec![object("a&/x")],
            common_prefixes: vec!["a&/y/".into()],
            next_token: Some("t".into()),
        };
        assert_eq!(
            render_listing("lake", &request, &listing),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Name>lake</Name><Prefix>a&amp;</Prefix><MaxKeys>1000</MaxKeys><KeyCount>2</KeyCount>\
             <IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>\
             <Contents><Key>a&amp;/x</Key><LastModified>2026-11-20T08:00:00.000000Z</LastModified>\
             <ETag>&quot;e1&quot;</ETag><Size>10</Size><StorageClass>STANDARD</StorageClass></Contents>\
             <CommonPrefixes><Prefix>a&amp;/y/</Prefix></CommonPrefixes></ListBucketResult>"
        );
    }
}
