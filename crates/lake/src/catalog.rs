//! The read-only part of the Iceberg REST catalog
//! (<https://github.com/apache/iceberg/blob/main/open-api/rest-catalog-open-api.yaml>), as functions from a request to
//! what is needed and from what was found to an answer. For the development origin: whoever can reach it can read.
//!
//! | path | needed |
//! |---|---|
//! | `/v1/config` | nothing |
//! | `/v1/namespaces` | nothing |
//! | `/v1/namespaces/{ns}` | nothing |
//! | `/v1/namespaces/{ns}/tables` | the keys under [`pointer_prefix`](firn_iceberg::pointer::pointer_prefix) |
//! | `/v1/namespaces/{ns}/tables/{table}` | the pointer, and the table metadata it names |
//!
//! There is no prefix between `v1` and the resource: `config` names none. `warehouse` may be given, and changes
//! nothing. Views, sessions, metrics and every write are refused.

use serde::Serialize;
use serde_json::{json, value::RawValue};
use thiserror::Error;

use crate::uri::{decode_percent, query_value};

/// Longest name of a namespace or a table in a path.
const NAME_LEN_BYTES_MAX: usize = 255;

/// What the catalog answers to, as `config` declares it.
const ENDPOINTS: [&str; 6] = [
    "GET /v1/{prefix}/namespaces",
    "GET /v1/{prefix}/namespaces/{namespace}",
    "HEAD /v1/{prefix}/namespaces/{namespace}",
    "GET /v1/{prefix}/namespaces/{namespace}/tables",
    "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}",
];

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// The catalog's configuration.
    Config,
    /// The namespaces below another one, or all.
    Namespaces {
        /// The one above. There are no namespaces in namespaces.
        parent: Option<String>,
    },
    /// One namespace.
    Namespace(String),
    /// The tables of a namespace.
    Tables(String),
    /// One table.
    Table {
        /// Its namespace.
        namespace: String,
        /// Its name.
        table: String,
    },
}

/// Whether the answer has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `GET`.
    Body,
    /// `HEAD`: only whether it exists.
    Existence,
}

/// An answer; with a body it is `application/json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogAnswer {
    /// Status.
    pub status: u16,
    /// Body.
    pub body: Option<String>,
}

/// Why there is no other answer. [`CatalogError::to_answer`] is the specification's error model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CatalogError {
    /// No such path.
    #[error("no such path")]
    NoSuchPath,
    /// A path with a malformed or over-long name.
    #[error("the path is not valid")]
    BadRequest,
    /// No such namespace.
    #[error("no such namespace")]
    NoSuchNamespace,
    /// No such table.
    #[error("no such table")]
    NoSuchTable,
    /// A write, or something else that this catalog does not do.
    #[error("the catalog is read-only")]
    Unsupported,
    /// The stored metadata cannot be read.
    #[error("the table's metadata cannot be read")]
    Corrupt,
}

impl CatalogError {
    /// The error model of the specification.
    pub fn to_answer(self) -> CatalogAnswer {
        let (status, kind) = match self {
            Self::NoSuchPath => (404, "NoSuchPathException"),
            Self::BadRequest => (400, "BadRequestException"),
            Self::NoSuchNamespace => (404, "NoSuchNamespaceException"),
            Self::NoSuchTable => (404, "NoSuchTableException"),
            Self::Unsupported => (406, "UnsupportedOperationException"),
            Self::Corrupt => (500, "ServerErrorException"),
        };
        let error = json!({"error": {"message": self.to_string(), "type": kind, "code": status}});
        CatalogAnswer { status, body: Some(error.to_string()) }
    }
}

/// How a client reads the objects of a table, in the words that `PyIceberg` and `DuckDB` share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectAccess<'a> {
    /// Origin (and path) of the S3-compatible read path.
    pub endpoint: &'a str,
    /// Region, for signatures that nobody checks.
    pub region: &'a str,
    /// Access key id: not a secret; clients sign with something.
    pub access_key_id: &'a str,
    /// Secret access key: likewise.
    pub secret_access_key: &'a str,
}

/// What a request asks for. `path` starts with `/v1/`; `query` is without its question mark.
pub fn route(method: &str, path: &str, query: &str) -> Result<(Wanted, Resource), CatalogError> {
    let mut segments = path.strip_prefix("/v1/").ok_or(CatalogError::NoSuchPath)?.split('/');
    let parts = [segments.next(), segments.next(), segments.next(), segments.next(), segments.next()];
    let resource = match parts {
        [Some("config"), None, ..] => Resource::Config,
        [Some("namespaces"), None, ..] => Resource::Namespaces { parent: query_value(query, "parent") },
        [Some("namespaces"), Some(namespace), None, ..] => Resource::Namespace(parse_name(namespace)?),
        [Some("namespaces"), Some(namespace), Some("tables"), None, _] => {
            Resource::Tables(parse_name(namespace)?)
        }
        [Some("namespaces"), Some(namespace), Some("tables"), Some(table), None] => {
            Resource::Table { namespace: parse_name(namespace)?, table: parse_name(table)? }
        }
        _ => return Err(CatalogError::NoSuchPath),
    };
    match (method, &resource) {
        ("GET", _) => Ok((Wanted::Body, resource)),
        ("HEAD", Resource::Namespace(_) | Resource::Table { .. }) => Ok((Wanted::Existence, resource)),
        _ => Err(CatalogError::Unsupported),
    }
}

/// The answer to a `HEAD` whose resource exists.
pub fn exists() -> CatalogAnswer {
    CatalogAnswer { status: 204, body: None }
}

/// The answer of `/v1/config`.
pub fn render_config() -> CatalogAnswer {
    ok(&json!({"defaults": {}, "overrides": {}, "endpoints": ENDPOINTS}))
}

/// The answer of `/v1/namespaces`, of those that have the asked parent.
pub fn render_namespaces(parent: Option<&str>, namespaces: &[&str]) -> Result<CatalogAnswer, CatalogError> {
    let listed: Vec<[&str; 1]> = match parent {
        None => namespaces.iter().map(|namespace| [*namespace]).collect(),
        Some(parent) if namespaces.contains(&parent) => Vec::new(),
        Some(_) => return Err(CatalogError::NoSuchNamespace),
    };
    Ok(ok(&json!({"namespaces": listed})))
}

/// The answer of `/v1/namespaces/{ns}`.
pub fn render_namespace(namespace: &str) -> CatalogAnswer {
    ok(&json!({"namespace": [namespace], "properties": {}}))
}

/// The answer of `/v1/namespaces/{ns}/tables`.
pub fn render_tables(namespace: &str, tables: &[&str]) -> CatalogAnswer {
    let identifiers: Vec<_> =
        tables.iter().map(|name| json!({"namespace": [namespace], "name": name})).collect();
    ok(&json!({"identifiers": identifiers}))
}

/// The answer of `/v1/namespaces/{ns}/tables/{table}`: the metadata as it is stored, and how to read its objects.
///
/// # Errors
/// [`CatalogError::Corrupt`] if the metadata is not JSON.
pub fn render_table(
    metadata_location: &str,
    metadata_json: &[u8],
    access: &ObjectAccess<'_>,
) -> Result<CatalogAnswer, CatalogError> {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct LoadTableResult<'a> {
        metadata_location: &'a str,
        metadata: &'a RawValue,
        config: serde_json::Value,
    }
    let metadata: &RawValue = serde_json::from_slice(metadata_json).map_err(|_| CatalogError::Corrupt)?;
    let config = json!({
        "s3.endpoint": access.endpoint,
        "s3.path-style-access": "true",
        "s3.access-key-id": access.access_key_id,
        "s3.secret-access-key": access.secret_access_key,
        "s3.region": access.region,
        "client.region": access.region,
    });
    let result = LoadTableResult { metadata_location, metadata, config };
    let body = serde_json::to_string(&result).map_err(|_| CatalogError::Corrupt)?;
    Ok(CatalogAnswer { status: 200, body: Some(body) })
}

fn ok(body: &serde_json::Value) -> CatalogAnswer {
    CatalogAnswer { status: 200, body: Some(body.to_string()) }
}

/// A name that can be part of a key: a slash or a dot segment in it would name another object. The unit separator,
/// which parts the levels of a namespace, is a control character: there is one level.
fn parse_name(segment: &str) -> Result<String, CatalogError> {
    let name = decode_percent(segment).ok_or(CatalogError::BadRequest)?;
    let fits = (1..=NAME_LEN_BYTES_MAX).contains(&name.len());
    let is_plain =
        !name.contains(|c: char| c == '/' || c == '\\' || c.is_control()) && name != "." && name != "..";
    if fits && is_plain { Ok(name) } else { Err(CatalogError::BadRequest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[track_caller]
    fn check(method: &str, target: &str, expected: &Result<(Wanted, Resource), CatalogError>) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        assert_eq!(&route(method, path, query), expected, "{method} {target}");
    }

    #[test]
    fn requests_are_routed() {
        let table = || Resource::Table { namespace: "firn".into(), table: "artifacts_build".into() };
        let all = Resource::Namespaces { parent: None };
        check("GET", "/v1/config", &Ok((Wanted::Body, Resource::Config)));
        check("GET", "/v1/config?warehouse=firn", &Ok((Wanted::Body, Resource::Config)));
        check("GET", "/v1/namespaces", &Ok((Wanted::Body, all.clone())));
        check("GET", "/v1/namespaces?warehouse=x", &Ok((Wanted::Body, all)));
        let below = Resource::Namespaces { parent: Some("firn".into()) };
        check("GET", "/v1/namespaces?parent=firn", &Ok((Wanted::Body, below)));
        check("GET", "/v1/namespaces/firn", &Ok((Wanted::Body, Resource::Namespace("firn".into()))));
        check("HEAD", "/v1/namespaces/f%69rn", &Ok((Wanted::Existence, Resource::Namespace("firn".into()))));
        check("GET", "/v1/namespaces/firn/tables", &Ok((Wanted::Body, Resource::Tables("firn".into()))));
        check("GET", "/v1/namespaces/firn/tables/artifacts_build", &Ok((Wanted::Body, table())));
        check("HEAD", "/v1/namespaces/firn/tables/artifacts_build", &Ok((Wanted::Existence, table())));
    }

    #[test]
    fn writes_and_other_paths_are_refused() {
        for (method, target) in [
            ("POST", "/v1/namespaces"),
            ("DELETE", "/v1/namespaces/firn"),
            ("POST", "/v1/namespaces/firn/tables/artifacts_build"),
            ("DELETE", "/v1/namespaces/firn/tables/artifacts_build"),
            ("HEAD", "/v1/config"),
        ] {
            check(method, target, &Err(CatalogError::Unsupported));
        }
        for target in [
            "/",
            "/v1",
            "/v1/",
            "/v2/config",
            "/v1/oauth/tokens",
            "/v1/namespaces/firn/views",
            "/v1/namespaces/firn/tables/t/metrics",
            "/v1/namespaces/firn/tables/t/u/v",
            "/v1/config/x",
        ] {
            check("GET", target, &Err(CatalogError::NoSuchPath));
        }
        for target in [
            "/v1/namespaces/",
            "/v1/namespaces/a%1Fb",
            "/v1/namespaces/..",
            "/v1/namespaces/a%2Fb",
            "/v1/namespaces/firn/tables/%2e%2e",
            "/v1/namespaces/%",
            "/v1/namespaces/firn/tables/",
        ] {
            check("GET", target, &Err(CatalogError::BadRequest));
        }
        check("GET", &format!("/v1/namespaces/{}", "a".repeat(256)), &Err(CatalogError::BadRequest));
    }

    fn body(answer: &CatalogAnswer) -> Value {
        serde_json::from_str(answer.body.as_deref().unwrap()).unwrap()
    }

    #[test]
    fn answers_have_the_specified_shape() {
        assert_eq!(body(&render_config())["overrides"], json!({}));
        let namespaces = render_namespaces(None, &["firn"]).unwrap();
        assert_eq!(body(&namespaces), json!({"namespaces": [["firn"]]}));
        let below = render_namespaces(Some("firn"), &["firn"]).unwrap();
        assert_eq!(body(&below), json!({"namespaces": []}));
        assert_eq!(render_namespaces(Some("x"), &["firn"]), Err(CatalogError::NoSuchNamespace));
        assert_eq!(body(&render_namespace("firn")), json!({"namespace": ["firn"], "properties": {}}));
        let tables = render_tables("firn", &["a"]);
        assert_eq!(body(&tables), json!({"identifiers": [{"namespace": ["firn"], "name": "a"}]}));
        assert_eq!(exists(), CatalogAnswer { status: 204, body: None });
        assert_eq!(
            body(&CatalogError::NoSuchTable.to_answer()),
            json!({"error": {"message": "no such table", "type": "NoSuchTableException", "code": 404}})
        );
        assert_eq!(CatalogError::Unsupported.to_answer().status, 406);
    }

    #[test]
    fn table_answer_holds_the_metadata_unchanged() {
        let access = ObjectAccess {
            endpoint: "http://localhost:8787/s3",
            region: "auto",
            access_key_id: "firn",
            secret_access_key: "firn-development",
        };
        let metadata = br#"{"b": 1,  "a": 9007199254740993}"#;
        let answer = render_table("s3://lake/m.json", metadata, &access).unwrap();
        assert!(answer.body.as_deref().unwrap().contains(r#""metadata":{"b": 1,  "a": 9007199254740993}"#));
        let body = body(&answer);
        assert_eq!(body["metadata-location"], "s3://lake/m.json");
        assert_eq!(body["config"]["s3.endpoint"], "http://localhost:8787/s3");
        assert_eq!(body["config"]["s3.path-style-access"], "true");
        assert_eq!(render_table("l", b"{", &access), Err(CatalogError::Corrupt));
    }
}
