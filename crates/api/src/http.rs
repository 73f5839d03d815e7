//! The small part of HTTP that Firn speaks, free of any platform: what a Worker hands in and takes back.

use bytes::Bytes;

/// Longest `X-Request-Id` that is taken over from a caller.
const REQUEST_ID_LEN_BYTES_MAX: usize = 128;

/// Method, path and headers of a request. The body is read elsewhere, as a stream.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// Upper-case method.
    pub method: String,
    /// Path as it was sent, percent-encoded, without the query.
    pub path: String,
    /// Query without its `?`; empty where there is none.
    pub query: String,
    /// Headers with lower-case names, in the order sent.
    pub headers: Vec<(String, String)>,
    /// Identifies the request in answers and logs.
    pub request_id: String,
}

impl RequestHead {
    /// The first header of that lower-case name, trimmed.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.trim())
    }

    /// The caller's `X-Request-Id` where it is well-formed, else a generated one.
    pub fn choose_request_id(headers: &[(String, String)], generate: impl FnOnce() -> String) -> String {
        headers
            .iter()
            .find(|(name, _)| name == "x-request-id")
            .map(|(_, value)| value.trim())
            .filter(|value| is_request_id(value))
            .map_or_else(generate, str::to_owned)
    }
}

fn is_request_id(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= REQUEST_ID_LEN_BYTES_MAX
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status.
    pub status: u16,
    /// Headers, each name once.
    pub headers: Vec<(&'static str, String)>,
    /// Body; empty for answers to HEAD.
    pub body: Bytes,
}

impl Response {
    /// An answer without headers or body.
    pub const fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds a header that has a value.
    #[must_use]
    pub fn with_opt(self, name: &'static str, value: Option<String>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Sets the body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The answer to HEAD: the same head, with the length that the body has, and no body. A 304 has no length of its
    /// own to tell: there it would be that of the 200 (RFC 9110 §8.6).
    #[must_use]
    pub fn without_body(mut self) -> Self {
        if self.status != 304 && self.header("Content-Length").is_none() {
            self.headers.push(("Content-Length", self.body.len().to_string()));
        }
        self.body = Bytes::new();
        self
    }
}

/// Decodes `%XX` once. `None` where an escape is malformed or the result is not UTF-8.
pub fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let high = hex_digit(bytes.next()?)?;
        let low = hex_digit(bytes.next()?)?;
        decoded.push(high << 4 | low);
    }
    String::from_utf8(decoded).ok()
}

/// Encodes every byte but `/` and the unreserved characters of RFC 3986 §2.3.
pub fn percent_encode(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_decoding_is_done_once_and_strictly() {
        for (text, expected) in [
            ("a%20b", Some("a b")),
            ("%2520", Some("%20")),
            ("%C3%BC", Some("ü")),
            ("a+b", Some("a+b")),
            ("%", None),
            ("%2", None),
            ("%zz", None),
            ("%+1", None),
            ("%FF", None),
        ] {
            assert_eq!(percent_decode(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn encoding_is_undone_by_decoding_and_leaves_slashes() {
        for (text, encoded) in
            [("a/b-c.d_e~f", "a/b-c.d_e~f"), ("%2F ?", "%252F%20%3F"), ("ü@+", "%C3%BC%40%2B"), ("", "")]
        {
            assert_eq!(percent_encode(text), encoded);
            assert_eq!(percent_decode(encoded).as_deref(), Some(text));
        }
    }

    #[test]
    fn request_id_is_the_callers_only_if_well_formed() {
        let choose = |value: &str| {
            RequestHead::choose_request_id(&[("x-request-id".into(), value.into())], || "made".into())
        };
        assert_eq!(choose("abc-1.2_3"), "abc-1.2_3");
        assert_eq!(choose("a b"), "made");
        assert_eq!(choose(""), "made");
        assert_eq!(choose(&"a".repeat(129)), "made");
    }
}
