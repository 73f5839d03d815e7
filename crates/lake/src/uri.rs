//! Percent-decoding (RFC 3986 §2.1), and query strings as the two read paths need them.

/// Decodes every `%XX` once. `None` where one is incomplete or the result is not UTF-8. A plus stays a plus.
pub(crate) fn decode_percent(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

/// The first value of a query parameter, decoded. `None` if it is absent or malformed.
pub(crate) fn query_value(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then(|| decode_percent(&value.replace('+', "%20")))
    })?
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_decoded_once_and_malformed_is_none() {
        for (text, expected) in [
            ("a%20b", Some("a b")),
            ("%E9%9B%AA", Some("雪")),
            ("%2525", Some("%25")),
            ("a+b", Some("a+b")),
            ("%", None),
            ("%2", None),
            ("%zz", None),
            ("%ff", None),
        ] {
            assert_eq!(decode_percent(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn first_value_of_a_parameter_counts() {
        let query = "list-type=2&prefix=a%2Fb+c&prefix=x&flag";
        assert_eq!(query_value(query, "prefix").as_deref(), Some("a/b c"));
        assert_eq!(query_value(query, "flag").as_deref(), Some(""));
        assert_eq!(query_value(query, "pre"), None);
    }
}
