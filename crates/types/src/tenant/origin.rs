//! Origins as browsers send them in `Origin` (RFC 6454 §6.2, §7).

/// Whether it is an origin as browsers serialise it (RFC 6454 §6.2): an entry that differs in case, ends in a slash or
/// has a path would never match.
pub(super) fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_default = matches!((scheme, port), ("http", Some("80")) | ("https", Some("443")));
    matches!(scheme, "http" | "https") && is_host(host) && port.is_none_or(is_port) && !is_default
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.contains(':') && address.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f' | ':'));
    }
    let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-');
    !host.is_empty() && host.len() <= 253 && host.chars().all(allowed)
}

fn is_port(port: &str) -> bool {
    !port.starts_with('0') && port.chars().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_is_written_as_a_browser_sends_it() {
        for origin in
            ["https://a.example", "http://127.0.0.1:1", "https://xn--a.example:65535", "http://[::1]"]
        {
            assert!(is_origin(origin), "{origin}");
        }
        for origin in [
            "",
            "*",
            "null",
            "a.example",
            "https://",
            "https://A.example",
            "https://a.example/",
            "https://a.example/x",
            "https://u@a.example",
            "https://a.example:443",
            "http://a.example:80",
            "https://a.example:",
            "https://a.example:0",
            "https://a.example:080",
            "https://a.example:65536",
            "https://a.example:+1",
            "https://*.example",
            "ftp://a.example",
            "https://[::g]",
            "https://[]",
            "https://ü.example",
        ] {
            assert!(!is_origin(origin), "{origin}");
        }
    }
}
