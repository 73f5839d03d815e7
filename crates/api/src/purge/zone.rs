//! Calls of Cloudflare's purge API (<https://developers.cloudflare.com/api/resources/cache/methods/purge/>).
//!
//! | | |
//! |---|---|
//! | request | `POST {api}/client/v4/zones/{zone}/purge_cache`, `Authorization: Bearer …`, `{"tags":["…"]}` |
//! | answer | `{"success":true,"errors":[],"messages":[],"result":{"id":"…"}}` |
//! | refusal | 4xx, `{"success":false,"errors":[{"code":1012,"message":"…"}],…}` |
//!
//! A purge may be repeated, so every outcome that is not known to be a success is treated as none.

use std::fmt;

use serde::Deserialize;

use super::pace::Ending;
use crate::{cache_tags::CacheTag, tables::catalog::Transport};

/// Where the API is, unless configured.
pub const API_DEFAULT: &str = "https://api.cloudflare.com";

/// Longest answer that is read: it lists a few errors.
pub const ANSWER_LEN_BYTES_MAX: usize = 64 * 1024;

/// Longest time that one call may take; a purge is answered within a second or two.
pub const CALL_TIMEOUT_MS: u64 = 10_000;

/// Most errors of an answer that are repeated in the log.
const LOGGED_ERRORS_MAX: usize = 3;

/// Longest message of an error in the log, in characters.
const LOGGED_MESSAGE_LEN_MAX: usize = 200;

/// Longest name of a zone; Cloudflare's have 32 characters.
const ZONE_LEN_MAX: usize = 64;

/// A zone and the right to purge it.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone {
    url: String,
    token: String,
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zone").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Zone {
    /// The zone of that id behind the API at this URL. `None` where the one is no id, or the other no URL within
    /// `transport`.
    pub fn new(api: &str, zone: &str, token: String, transport: Transport) -> Option<Self> {
        let api = transport.base_uri(api)?;
        let is_id =
            (1..=ZONE_LEN_MAX).contains(&zone.len()) && zone.bytes().all(|b| b.is_ascii_alphanumeric());
        is_id.then(|| Self { url: format!("{api}/client/v4/zones/{zone}/purge_cache"), token })
    }

    /// Where a call goes.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The bearer token.
    pub fn token(&self) -> &str {
        &self.token
    }
}

/// The body of a call.
pub fn render_purge(tags: &[CacheTag]) -> String {
    // A tag has nothing that JSON would escape.
    let tags: Vec<String> = tags.iter().map(|tag| format!("\"{tag}\"")).collect();
    format!("{{\"tags\":[{}]}}", tags.join(","))
}

#[derive(Deserialize)]
struct Answer {
    success: bool,
    #[serde(default)]
    errors: Vec<AnswerError>,
}

#[derive(Deserialize)]
struct AnswerError {
    code: i64,
    #[serde(default)]
    message: String,
}

/// What an answer means.
pub fn read_answer(status: u16, retry_after: Option<&str>, body: &[u8]) -> Ending {
    let answer = serde_json::from_slice::<Answer>(body).ok();
    let said = || {
        let errors = answer.as_ref().map(|answer| answer.errors.as_slice()).unwrap_or_default();
        let texts: Vec<String> = errors.iter().take(LOGGED_ERRORS_MAX).map(render_error).collect();
        format!("status {status}: {}", texts.join(", "))
    };
    match status {
        200..=299 if answer.as_ref().is_some_and(|answer| answer.success) => Ending::Purged,
        429 => Ending::Throttled { retry_after_secs: retry_after.and_then(|text| text.trim().parse().ok()) },
        408 | 500..=599 => Ending::Failed(said()),
        300..=499 => Ending::Refused(said()),
        _ => Ending::Failed(said()),
    }
}

fn render_error(error: &AnswerError) -> String {
    let message: String = error.message.chars().take(LOGGED_MESSAGE_LEN_MAX).collect();
    format!("{} {message}", error.code)
}

#[cfg(test)]
mod tests {
    use firn_ndjson::digest::SoftwareSha256;

    use super::*;

    const ID: &str = "023e105f4ecef8ad9ca31a8372d0c353";

    fn zone(api: &str, id: &str, transport: Transport) -> Option<Zone> {
        Zone::new(api, id, "t0ken".to_owned(), transport)
    }

    #[test]
    fn a_zone_is_behind_an_encrypted_url_and_its_token_is_not_printed() {
        let zone_of_id = zone(API_DEFAULT, ID, Transport::Encrypted).unwrap();
        let url = format!("https://api.cloudflare.com/client/v4/zones/{ID}/purge_cache");
        assert_eq!((zone_of_id.url(), zone_of_id.token()), (url.as_str(), "t0ken"));
        assert!(!format!("{zone_of_id:?}").contains("t0ken"));
        assert_eq!(zone("http://127.0.0.1:1", ID, Transport::Encrypted), None);
        let local = zone("http://127.0.0.1:1/", ID, Transport::Any).unwrap();
        assert_eq!(local.url(), format!("http://127.0.0.1:1/client/v4/zones/{ID}/purge_cache"));
        for id in ["", "a/b", "..", "a?b", "a b", &"a".repeat(65)] {
            assert_eq!(zone(API_DEFAULT, id, Transport::Any), None, "{id}");
        }
    }

    #[test]
    fn a_call_names_its_tags() {
        let tags = ["a", "b"].map(CacheTag::of_namespace::<SoftwareSha256>);
        let body: serde_json::Value = serde_json::from_str(&render_purge(&tags)).unwrap();
        assert_eq!(body, serde_json::json!({ "tags": tags.map(|tag| tag.to_string()) }));
    }

    #[track_caller]
    fn check(status: u16, retry_after: Option<&str>, body: &str, expected: &Ending) {
        assert_eq!(&read_answer(status, retry_after, body.as_bytes()), expected, "{status} {body}");
    }

    #[test]
    fn only_a_success_is_one() {
        let failed = |what: &str| Ending::Failed(what.to_owned());
        let refused = |what: &str| Ending::Refused(what.to_owned());
        let throttled = |secs| Ending::Throttled { retry_after_secs: secs };
        let refusal =
            r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"},{"code":7}]}"#;
        check(
            200,
            None,
            r#"{"success":true,"errors":[],"messages":[],"result":{"id":"x"}}"#,
            &Ending::Purged,
        );
        check(200, None, r#"{"success":false,"errors":[]}"#, &failed("status 200: "));
        check(200, None, "", &failed("status 200: "));
        check(200, None, "<html>", &failed("status 200: "));
        check(401, None, refusal, &refused("status 401: 10000 Authentication error, 7 "));
        check(403, None, "no", &refused("status 403: "));
        check(400, None, refusal, &refused("status 400: 10000 Authentication error, 7 "));
        check(301, None, "", &refused("status 301: "));
        check(429, Some(" 17 "), refusal, &throttled(Some(17)));
        check(429, None, "", &throttled(None));
        check(429, Some("Wed, 21 Oct 2026 07:28:00 GMT"), "", &throttled(None));
        check(429, Some("-1"), "", &throttled(None));
        check(500, None, "", &failed("status 500: "));
        check(408, None, "", &failed("status 408: "));
        check(100, None, "", &failed("status 100: "));
    }

    #[test]
    fn the_log_repeats_only_the_beginning_of_what_the_api_says() {
        let error = format!(r#"{{"code":1,"message":"{}"}}"#, "é".repeat(1_000));
        let body = format!(r#"{{"success":false,"errors":[{}]}}"#, vec![error; 9].join(","));
        let Ending::Refused(said) = read_answer(403, None, body.as_bytes()) else { panic!("not refused") };
        assert_eq!(said.matches("1 é").count(), LOGGED_ERRORS_MAX);
        assert!(said.chars().count() < LOGGED_ERRORS_MAX * (LOGGED_MESSAGE_LEN_MAX + 8) + 20, "{said}");
    }
}
