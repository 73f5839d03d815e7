//! From the newest row of an artifact to the answer: rights first, then tombstone and expiry, then the representation.

use firn_auth::{
    identity::Identity,
    rights::{Access, may_read},
};
use firn_types::{error::ErrorCode, representation::Representation, time::Micros, visibility::Visibility};

use super::{artifact::ArtifactRow, path::ContentPath};
use crate::{http::Response, problem::Problem};

/// How long caches may keep what anyone may read, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Freshness {
    /// `max-age`.
    pub max_age_secs: u32,
    /// `stale-while-revalidate`.
    pub stale_while_revalidate_secs: u32,
}

impl Default for Freshness {
    /// The defaults of the contract.
    fn default() -> Self {
        Self { max_age_secs: 300, stale_while_revalidate_secs: 60 }
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

/// The answer to a GET.
///
/// # Errors
/// 404, also for those who may not read; 410 for those who may; 502 where the stored row is broken.
pub fn answer(
    path: &ContentPath,
    row: Option<&ArtifactRow>,
    caller: Option<&Identity>,
    now: Micros,
    freshness: Freshness,
) -> Result<Response, Problem> {
    let row = row.ok_or_else(not_found)?;
    if may_read(row.visibility(), &row.owner(), caller, &path.key.ns) == Access::Denied {
        return Err(not_found());
    }
    let expires_at = row.expires_at();
    if row.is_deleted() || expires_at.is_some_and(|at| at <= now) {
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
    Ok(Response::new(200)
        .with("Content-Type", path.representation.content_type())
        .with("Cache-Control", cache_control(row, now, freshness))
        .with("X-Content-Type-Options", "nosniff")
        .with("Vary", "Accept-Encoding")
        .with_opt("ETag", row.version.map(|version| entity_tag(version, path.representation)))
        .with_opt("X-Artifact-Version", row.version.map(|version| version.to_string()))
        .with_opt("Last-Modified", row.written_at().map(Micros::to_http_date))
        .with_opt(
            "Content-Security-Policy",
            (path.representation == Representation::Html).then(|| "sandbox".to_owned()),
        )
        .with("X-Artifact-Source", row.source.as_str())
        .with_body(body))
}

/// Strong: key and version name one row for ever, and a representation is a function of its row.
fn entity_tag(version: i64, representation: Representation) -> String {
    format!("\"{version}{}\"", representation.extension())
}

fn cache_control(row: &ArtifactRow, now: Micros, freshness: Freshness) -> String {
    if !row.visibility().is_some_and(Visibility::is_open) {
        return "private, no-store".to_owned();
    }
    if row.mode() == Some("preview") {
        return "public, max-age=0, must-revalidate".to_owned();
    }
    let left_secs = row.expires_at().map_or(i64::MAX, |at| (at.0 - now.0) / 1_000_000);
    let max_age = i64::from(freshness.max_age_secs).min(left_secs);
    let stale = i64::from(freshness.stale_while_revalidate_secs).min(left_secs - max_age);
    format!("public, max-age={max_age}, stale-while-revalidate={stale}")
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

    fn get(row: &ArtifactRow) -> Result<Response, ErrorCode> {
        let key = ArtifactKey::parse("a", "b", "c").unwrap();
        let path = ContentPath { key, representation: Representation::Html };
        answer(&path, Some(row), None, NOW, Freshness::default()).map_err(|problem| problem.code)
    }

    #[test]
    fn public_html_is_served_sandboxed_with_a_strong_tag() {
        let response = get(&row(&[("visibility", text("public")), ("html", text("<p>"))])).unwrap();
        assert_eq!(response.header("etag"), Some("\"5.html\""));
        assert_eq!(response.header("content-security-policy"), Some("sandbox"));
        assert_eq!(response.header("cache-control"), Some("public, max-age=300, stale-while-revalidate=60"));
        assert_eq!(response.body.as_ref(), b"<p>");
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
    }

    #[test]
    fn missing_representation_is_not_found_and_an_empty_one_is_served() {
        let public = ("visibility", text("public"));
        assert_eq!(get(&row(&[public.clone(), ("markdown", text("x"))])).unwrap_err(), ErrorCode::NotFound);
        assert_eq!(get(&row(&[public, ("html", text(""))])).unwrap().status, 200);
    }
}
