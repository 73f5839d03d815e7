//! Requests of pages from elsewhere (Fetch Standard, "CORS protocol"): which pages may read and delete is a namespace's
//! allow-list; which may publish and send batches, whose namespace nobody knows yet, is the deployment's.

use firn_types::tenant::{CorsOrigins, TenantConfig};

use crate::http::{RequestHead, Response};

/// What a page may see of an answer beyond the few headers that it always may.
const EXPOSED: &str = "Accept-Ranges, Age, Cache-Status, Content-Length, Content-Range, ETag, RateLimit, \
                       RateLimit-Policy, Retry-After, X-Artifact-Source, X-Artifact-Version, \
                       X-Idempotency-Replayed, X-Request-Id";

/// What a page may send.
const ALLOWED_HEADERS: &str = "Authorization, Content-Encoding, Content-Type, Idempotency-Key, If-Match, \
                               If-Modified-Since, If-None-Match, If-Range, Range, X-Artifact-Mode, \
                               X-Idempotency-Key, X-Request-Id";

/// How long a browser may keep the answer to a preflight: two hours, the most that Chromium does.
const PREFLIGHT_SECS: &str = "7200";

/// Adds to an answer, of whatever status, what lets a page of the allow-list read it, and what keeps caches from
/// giving one origin's answer to another.
#[must_use]
pub fn allow(head: &RequestHead, terms: &TenantConfig, response: Response) -> Response {
    let mut response = response;
    if !matches!(terms.cors_origins, CorsOrigins::Any) && has_origins(terms) {
        vary_by_origin(&mut response);
    }
    match allowed_origin(head, terms) {
        None => response,
        Some(origin) => response
            .with("Access-Control-Allow-Origin", origin)
            .with("Access-Control-Expose-Headers", EXPOSED),
    }
}

/// The answer to OPTIONS: the methods, and for a preflight of an allowed page what it may send. A page that is not on
/// the list learns nothing, which its browser takes for a refusal.
pub fn preflight(head: &RequestHead, terms: Option<&TenantConfig>, methods: &'static str) -> Response {
    let response = Response::new(204).with("Allow", methods).with("Cache-Control", "no-store");
    let Some(terms) = terms else { return response };
    let response = allow(head, terms, response);
    if response.header("Access-Control-Allow-Origin").is_none()
        || head.header("access-control-request-method").is_none()
    {
        return response;
    }
    response
        .with("Access-Control-Allow-Methods", methods)
        .with("Access-Control-Allow-Headers", ALLOWED_HEADERS)
        .with("Access-Control-Max-Age", PREFLIGHT_SECS)
}

/// Terms that differ from the defaults in their origins alone: those of a setting, separated by commas; `*` for any.
pub fn terms_of_origins(setting: &str) -> TenantConfig {
    let origins = setting.split(',').map(str::trim).filter(|origin| !origin.is_empty());
    let origins: Vec<String> = origins.map(str::to_owned).collect();
    let cors_origins = if origins == ["*"] { CorsOrigins::Any } else { CorsOrigins::List(origins) };
    TenantConfig { cors_origins, ..TenantConfig::default() }
}

fn has_origins(terms: &TenantConfig) -> bool {
    !matches!(&terms.cors_origins, CorsOrigins::List(origins) if origins.is_empty())
}

fn allowed_origin(head: &RequestHead, terms: &TenantConfig) -> Option<String> {
    let origin = head.header("origin")?;
    match &terms.cors_origins {
        // Credentials are never allowed: a token is sent by the page itself.
        CorsOrigins::Any => Some("*".to_owned()),
        CorsOrigins::List(_) => terms.allows_origin(origin).then(|| origin.to_owned()),
    }
}

fn vary_by_origin(response: &mut Response) {
    match response.headers.iter_mut().find(|(name, _)| *name == "Vary") {
        Some((_, vary)) => vary.push_str(", Origin"),
        None => response.headers.push(("Vary", "Origin".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(origins: &[&str]) -> TenantConfig {
        let cors_origins = match origins {
            ["*"] => CorsOrigins::Any,
            list => CorsOrigins::List(list.iter().map(|origin| (*origin).to_owned()).collect()),
        };
        TenantConfig { cors_origins, ..TenantConfig::default() }
    }

    fn head(headers: &[(&str, &str)]) -> RequestHead {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        RequestHead {
            method: "GET".to_owned(),
            path: String::new(),
            query: String::new(),
            headers: headers.iter().map(owned).collect(),
            request_id: "r1".to_owned(),
        }
    }

    #[track_caller]
    fn check(origins: &[&str], origin: Option<&str>, expected: (Option<&str>, &str)) {
        let headers: Vec<_> = origin.map(|origin| ("origin", origin)).into_iter().collect();
        let response = Response::new(200).with("Vary", "Accept-Encoding");
        let response = allow(&head(&headers), &terms(origins), response);
        let found = (response.header("access-control-allow-origin"), response.header("vary").unwrap());
        assert_eq!(found, expected, "{origins:?} {origin:?}");
    }

    #[test]
    fn only_listed_origins_may_read_and_caches_tell_them_apart() {
        let (plain, by_origin) = ("Accept-Encoding", "Accept-Encoding, Origin");
        let a = "https://a.example";
        check(&[], Some(a), (None, plain));
        check(&[a], Some(a), (Some(a), by_origin));
        check(&[a], Some("https://b.example"), (None, by_origin));
        check(&[a], Some("null"), (None, by_origin));
        check(&[a], None, (None, by_origin));
        check(&["*"], Some("https://b.example"), (Some("*"), plain));
        check(&["*"], None, (None, plain));
    }

    #[test]
    fn a_setting_lists_origins_or_means_any() {
        assert_eq!(terms_of_origins("*").cors_origins, CorsOrigins::Any);
        assert_eq!(terms_of_origins("").cors_origins, CorsOrigins::List(Vec::new()));
        let listed = CorsOrigins::List(vec!["https://a.example".to_owned(), "https://b.example".to_owned()]);
        assert_eq!(terms_of_origins(" https://a.example, ,https://b.example").cors_origins, listed);
    }

    #[test]
    fn preflight_tells_a_listed_page_what_it_may_send_and_others_nothing() {
        let asks = |origin| head(&[("origin", origin), ("access-control-request-method", "GET")]);
        let terms = terms(&["https://a.example"]);
        let yes = preflight(&asks("https://a.example"), Some(&terms), "GET, HEAD");
        assert_eq!((yes.status, yes.header("access-control-allow-methods")), (204, Some("GET, HEAD")));
        assert!(yes.header("access-control-allow-headers").unwrap().contains("Authorization"));
        assert_eq!(yes.header("access-control-allow-credentials"), None);
        let no = preflight(&asks("https://b.example"), Some(&terms), "GET, HEAD");
        assert_eq!((no.status, no.header("access-control-allow-methods")), (204, None));
        assert_eq!(no.header("access-control-allow-origin"), None);
        let plain = preflight(&head(&[]), None, "GET, HEAD");
        assert_eq!((plain.status, plain.header("allow")), (204, Some("GET, HEAD")));
    }
}
