//! From the newest row of an artifact to the answer: rights first, then tombstone and expiry, then the representation.

use bytes::Bytes;
use firn_auth::{
    identity::Identity,
    rights::{Access, may_read},
};
use firn_types::{
    error::ErrorCode, representation::Representation, tenant::TenantConfig, time::Micros,
    visibility::Visibility,
};

use super::{
    artifact::{ArtifactRow, Source},
    path::ContentPath,
    query::{Wanted, secs},
};
use crate::{http::Response, problem::Problem};

/// What the head of an answer says of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The version; `None` in a row of another engine that gave none.
    pub version: Option<i64>,
    /// Who may read; `None` where it is null or an unknown word.
    pub visibility: Option<Visibility>,
    /// When it was written.
    pub written_at: Option<Micros>,
    /// When it expires.
    pub expires_at: Option<Micros>,
    /// Whether it was written in preview: caches then ask each time.
    pub is_preview: bool,
}

impl Facts {
    fn of(row: &ArtifactRow) -> Self {
        Self {
            version: row.version,
            visibility: row.visibility(),
            written_at: row.written_at(),
            expires_at: row.expires_at(),
            is_preview: row.mode() == Some("preview"),
        }
    }
}

/// How long caches may keep what anyone may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// `max-age`, in seconds.
    pub max_age_secs: u32,
    /// `stale-while-revalidate`, in seconds.
    pub stale_secs: u32,
}

impl Freshness {
    /// By a caller's wish and a namespace's terms; `None` where nothing may be kept.
    pub fn of(wanted: Wanted, terms: &TenantConfig) -> Option<Self> {
        match wanted {
            Wanted::Fresh => None,
            Wanted::Within(max_age_secs) => {
                Some(Self { max_age_secs, stale_secs: secs(terms.stale_while_revalidate_secs) })
            }
        }
    }

    /// What is left of it for a row that was read at `read_at`, in seconds: both end when the row expires.
    #[must_use]
    pub fn until(self, expires_at: Option<Micros>, read_at: Micros) -> Self {
        let left_secs = expires_at.map_or(i64::MAX, |at| (at.0 - read_at.0) / 1_000_000).max(0);
        let left_secs = u32::try_from(left_secs).unwrap_or(u32::MAX);
        let max_age_secs = self.max_age_secs.min(left_secs);
        Self { max_age_secs, stale_secs: self.stale_secs.min(left_secs - max_age_secs) }
    }
}

/// 404: there is no such artifact or representation, or the caller may not read it. Always the same.
pub fn not_found() -> Problem {
    Problem::new(ErrorCode::NotFound, "there is no such artifact, or you may not read it")
}

/// 410, to those alone who may read it.
pub fn gone() -> Problem {
    Problem::new(ErrorCode::Gone, "the artifact was deleted or has expired")
}

/// The representation that a row has for a caller, with the facts of its head.
///
/// # Errors
/// 404, also for those who may not read; 410 for those who may; 502 where the stored row is broken.
pub fn represent(
    path: &ContentPath,
    row: Option<&ArtifactRow>,
    caller: Option<&Identity>,
    now: Micros,
) -> Result<(Facts, Bytes), Problem> {
    let row = row.ok_or_else(not_found)?;
    if may_read(row.visibility(), &row.owner(), caller, &path.key.ns) == Access::Denied {
        return Err(not_found());
    }
    let facts = Facts::of(row);
    if row.is_deleted() || facts.expires_at.is_some_and(|at| at <= now) {
        return Err(gone());
    }
    let body = match path.representation {
        Representation::Artifact => row.render_artifact(&path.key).map_err(|error| {
            Problem::new(ErrorCode::StorageCorrupt, "the stored artifact cannot be read").because(&error)
        })?,
        other => {
            let text = other.column().and_then(|column| row.text(column));
            text.ok_or_else(not_found)?.to_owned()
        }
    };
    Ok((facts, Bytes::from(body)))
}

/// The head of a 200. The same row gives the same head, wherever it was read, but for its source.
///
/// `read_at` is when the row was read: where a cache has it, before now.
pub fn head_of(
    facts: &Facts,
    representation: Representation,
    source: Source,
    freshness: Option<Freshness>,
    read_at: Micros,
    terms: &TenantConfig,
) -> Response {
    let is_sandboxed = representation == Representation::Html && terms.html_sandbox;
    Response::new(200)
        .with("Content-Type", representation.content_type())
        .with("Cache-Control", cache_control(facts, freshness, read_at))
        .with("X-Content-Type-Options", "nosniff")
        .with("Vary", "Accept-Encoding")
        .with_opt("ETag", facts.version.map(|version| entity_tag(version, representation)))
        .with_opt("X-Artifact-Version", facts.version.map(|version| version.to_string()))
        .with_opt("Last-Modified", facts.written_at.map(Micros::to_http_date))
        .with_opt("Content-Security-Policy", is_sandboxed.then(|| "sandbox".to_owned()))
        .with("X-Artifact-Source", source.as_str())
}

/// Strong: key and version name one row for ever, and a representation is a function of its row.
fn entity_tag(version: i64, representation: Representation) -> String {
    format!("\"{version}{}\"", representation.extension())
}

fn cache_control(facts: &Facts, freshness: Option<Freshness>, read_at: Micros) -> String {
    if !facts.visibility.is_some_and(Visibility::is_open) {
        return "private, no-store".to_owned();
    }
    let Some(freshness) = freshness else { return "no-store".to_owned() };
    if facts.is_preview {
        return "public, max-age=0, must-revalidate".to_owned();
    }
    let Freshness { max_age_secs, stale_secs } = freshness.until(facts.expires_at, read_at);
    format!("public, max-age={max_age_secs}, stale-while-revalidate={stale_secs}")
}

#[cfg(test)]
mod tests {
    use firn_iceberg::value::{Literal, Value};
    use firn_types::key::ArtifactKey;

    use super::*;

    const NOW: Micros = Micros(1_000_000_000);

    fn row(pairs: &[(&'static str, Literal)]) -> ArtifactRow {
        let pairs = pairs.iter().map(|(name, literal)| (*name, Some(Value::Primitive(literal.clone()))));
        ArtifactRow::new(Some(5), pairs)
    }

    fn text(value: &str) -> Literal {
        Literal::String(value.to_owned())
    }

    fn get_under(row: &ArtifactRow, wanted: Wanted, terms: &TenantConfig) -> Result<Response, ErrorCode> {
        let key = ArtifactKey::parse("a", "b", "c").unwrap();
        let path = ContentPath { key, representation: Representation::Html };
        let (facts, body) = represent(&path, Some(row), None, NOW).map_err(|problem| problem.code)?;
        let freshness = Freshness::of(wanted, terms);
        Ok(head_of(&facts, path.representation, row.source, freshness, NOW, terms).with_body(body))
    }

    fn get(row: &ArtifactRow) -> Result<Response, ErrorCode> {
        get_under(row, Wanted::Within(300), &TenantConfig::default())
    }

    #[test]
    fn public_html_is_served_sandboxed_with_a_strong_tag() {
        let public = row(&[("visibility", text("public")), ("html", text("<p>"))]);
        let response = get(&public).unwrap();
        assert_eq!(response.header("etag"), Some("\"5.html\""));
        assert_eq!(response.header("content-security-policy"), Some("sandbox"));
        assert_eq!(response.header("cache-control"), Some("public, max-age=300, stale-while-revalidate=60"));
        assert_eq!(response.body.as_ref(), b"<p>");
        let terms = TenantConfig { html_sandbox: false, ..TenantConfig::default() };
        let response = get_under(&public, Wanted::Within(20), &terms).unwrap();
        assert_eq!(response.header("content-security-policy"), None);
        assert_eq!(response.header("cache-control"), Some("public, max-age=20, stale-while-revalidate=60"));
        let response = get_under(&public, Wanted::Fresh, &terms).unwrap();
        assert_eq!(response.header("cache-control"), Some("no-store"));
    }

    #[test]
    fn what_is_written_in_preview_is_asked_for_each_time() {
        let preview =
            row(&[("visibility", text("public")), ("mode", text("preview")), ("html", text("<p>"))]);
        let response = get(&preview).unwrap();
        assert_eq!(response.header("cache-control"), Some("public, max-age=0, must-revalidate"));
    }

    #[test]
    fn what_an_anonymous_caller_may_not_read_looks_absent() {
        for visibility in ["org", "user", "secret"] {
            let hidden = row(&[("visibility", text(visibility)), ("html", text("<p>"))]);
            assert_eq!(get(&hidden).unwrap_err(), ErrorCode::NotFound, "{visibility}");
            let hidden_tombstone =
                row(&[("visibility", text(visibility)), ("deleted", Literal::Boolean(true))]);
            assert_eq!(get(&hidden_tombstone).unwrap_err(), ErrorCode::NotFound, "{visibility}");
        }
        assert_eq!(get(&row(&[("html", text("<p>"))])).unwrap_err(), ErrorCode::NotFound);
    }

    #[test]
    fn tombstone_and_expiry_are_gone_to_those_who_may_read() {
        let public = ("visibility", text("public"));
        let deleted = row(&[public.clone(), ("deleted", Literal::Boolean(true))]);
        assert_eq!(get(&deleted).unwrap_err(), ErrorCode::Gone);
        let expires =
            |at| row(&[public.clone(), ("html", text("")), ("expires_at", Literal::Timestamptz(at))]);
        assert_eq!(get(&expires(NOW.0)).unwrap_err(), ErrorCode::Gone);
        let lives_on = get(&expires(NOW.0 + 30_000_000)).unwrap();
        assert_eq!(lives_on.header("cache-control"), Some("public, max-age=30, stale-while-revalidate=0"));
        let longer = get(&expires(NOW.0 + 310_000_000)).unwrap();
        assert_eq!(longer.header("cache-control"), Some("public, max-age=300, stale-while-revalidate=10"));
    }

    #[test]
    fn missing_representation_is_not_found_and_an_empty_one_is_served() {
        let public = ("visibility", text("public"));
        assert_eq!(get(&row(&[public.clone(), ("markdown", text("x"))])).unwrap_err(), ErrorCode::NotFound);
        assert_eq!(get(&row(&[public, ("html", text(""))])).unwrap().status, 200);
    }
}
