//! `POST /$.content`: many representations in one answer, each judged and found as by a GET of its own.

use std::{cell::Cell, fmt::Write, rc::Rc};

use firn_auth::identity::Identity;
use firn_types::{error::ErrorCode, key::ArtifactKey, representation::Representation};
use futures::stream::{self, StreamExt};
use serde::Deserialize;

use super::{
    edge::EdgeBody,
    load::{Body, Reading, Shared},
    path::ContentPath,
    ports::ReadPorts,
    query::{Wanted, secs},
};
use crate::{
    http::{RequestHead, Response},
    ports::{Body as RequestBody, BodyError},
    problem::Problem,
    tables::read::ReadCost,
};

/// The path.
pub const PATH: &str = "/$.content";

/// What it takes.
pub const METHODS: &str = "POST, OPTIONS";

/// Most items of one request: at six reads each in the worst case, within the subrequests of an invocation.
const ITEMS_MAX: usize = 100;

/// Longest body: a hundred items with the longest keys, escaped.
const BODY_LEN_BYTES_MAX: usize = 1024 * 1024;

/// Content in one answer, beside the item that exceeds it. It lies in memory twice.
const CONTENT_LEN_BYTES_MAX: usize = 12 * 1024 * 1024;

/// Items that are read at once: as many as an invocation has connections.
const CONCURRENCY: usize = 6;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    items: Vec<Item>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    ns: String,
    #[serde(rename = "type")]
    artifact_type: String,
    id: String,
    ext: String,
}

/// Reads what a batch asks for. Items that cannot be read have the problem of their own in their place.
///
/// # Errors
/// 400 `invalid_batch`, 413, 415, for the request as a whole.
pub(super) async fn read_batch<P: ReadPorts>(
    ports: &Rc<P>,
    shared: &Rc<Shared>,
    head: &RequestHead,
    body: &mut impl RequestBody,
    caller: Option<&Identity>,
    cost: &Cell<ReadCost>,
) -> Result<Response, Problem> {
    let items = parse(head, body).await?;
    let left_len_bytes = Cell::new(CONTENT_LEN_BYTES_MAX);
    let one = |item| read_item(ports, shared, caller, item, &left_len_bytes, cost);
    // The first one alone: what it reads of the tables' metadata, the others find held.
    let (first, rest) = items.split_at(1.min(items.len()));
    let mut answers = Vec::with_capacity(items.len());
    for item in first {
        answers.push(one(item).await);
    }
    let mut rest = stream::iter(rest).map(one).buffered(CONCURRENCY);
    while let Some(answer) = rest.next().await {
        answers.push(answer);
    }
    let mut json = String::from("{\"items\":[");
    for (idx, answer) in answers.iter().enumerate() {
        json.push_str(if idx == 0 { "" } else { "," });
        json.push_str(answer);
    }
    let _ = write!(json, "],\"requestId\":{}}}", quote(&head.request_id));
    Ok(Response::new(200)
        .with("Content-Type", "application/json")
        .with("Cache-Control", "private, no-store")
        .with("X-Content-Type-Options", "nosniff")
        .with_body(json))
}

async fn parse(head: &RequestHead, body: &mut impl RequestBody) -> Result<Vec<Item>, Problem> {
    let media_type = head.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case("application/json") {
        let detail = "a batch is application/json";
        return Err(Problem::new(ErrorCode::UnsupportedMediaType, detail));
    }
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await.map_err(|error| incomplete(&error))? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > BODY_LEN_BYTES_MAX {
            let detail = format!("a batch has at most {BODY_LEN_BYTES_MAX} bytes");
            return Err(
                Problem::new(ErrorCode::BodyTooLarge, detail).with_member("limit", BODY_LEN_BYTES_MAX)
            );
        }
    }
    let Request { items } = serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
    if items.len() > ITEMS_MAX {
        let count = items.len();
        let problem = invalid(format!("a batch has at most {ITEMS_MAX} items; this one has {count}"));
        return Err(problem.with_member("limit", ITEMS_MAX));
    }
    Ok(items)
}

/// One item of the answer, as JSON.
async fn read_item<P: ReadPorts>(
    ports: &Rc<P>,
    shared: &Rc<Shared>,
    caller: Option<&Identity>,
    item: &Item,
    left_len_bytes: &Cell<usize>,
    cost: &Cell<ReadCost>,
) -> String {
    let mut json = format!(
        r#"{{"ns":{},"type":{},"id":{},"ext":{}"#,
        quote(&item.ns),
        quote(&item.artifact_type),
        quote(&item.id),
        quote(&item.ext)
    );
    let rendered = match read_text(ports, shared, caller, item, cost).await {
        Ok((response, text)) => render(&response, &text, left_len_bytes),
        Err(problem) => Err(problem),
    };
    match rendered {
        Ok(members) => json.push_str(&members),
        Err(problem) => {
            if let Some(cause) = &problem.cause {
                ports.log(&format!("batch item: {}: {cause}", problem.code.as_str()));
            }
            let (code, detail) = (problem.code, quote(&problem.detail));
            let _ = write!(
                json,
                r#","status":{},"code":"{}","title":{},"detail":{detail}"#,
                code.status(),
                code.as_str(),
                quote(code.title())
            );
        }
    }
    json.push('}');
    json
}

async fn read_text<P: ReadPorts>(
    ports: &Rc<P>,
    shared: &Rc<Shared>,
    caller: Option<&Identity>,
    item: &Item,
    cost: &Cell<ReadCost>,
) -> Result<(Response, String), Problem> {
    let name = format!("x.{}", item.ext);
    let Some(("x", representation)) = Representation::split_extension(&name) else {
        return Err(Problem::new(ErrorCode::UnknownExtension, "ext is no known extension"));
    };
    let key = ArtifactKey::parse(&item.ns, &item.artifact_type, &item.id)
        .map_err(|error| Problem::new(ErrorCode::InvalidPath, error.to_string()))?;
    let path = ContentPath { key, representation };
    let terms = ports.terms(&path.key.ns).await?;
    let wanted = Wanted::Within(secs(terms.max_age_secs));
    let now = ports.now();
    let reading = Reading { ports, shared, path: &path, caller, terms: &terms, wanted, now, cost };
    let whole = reading.read().await?;
    let bytes = match whole.body {
        Body::Bytes(bytes) => Some(bytes),
        Body::Stored(stored) => stored.bytes().await,
    };
    let text = bytes.and_then(|bytes| String::from_utf8(Vec::from(bytes)).ok());
    let text = text.ok_or_else(|| {
        Problem::new(ErrorCode::StorageCorrupt, "the stored artifact cannot be read").because("not text")
    })?;
    Ok((whole.head, text))
}

fn render(head: &Response, text: &str, left_len_bytes: &Cell<usize>) -> Result<String, Problem> {
    let Some(left) = left_len_bytes.get().checked_sub(text.len()) else {
        let detail = format!(
            "the items before it fill the {CONTENT_LEN_BYTES_MAX} bytes of one answer; ask for it in another one"
        );
        return Err(Problem::new(ErrorCode::BodyTooLarge, detail));
    };
    left_len_bytes.set(left);
    let mut members = String::from(",\"status\":200");
    for (member, name) in [
        ("contentType", "Content-Type"),
        ("etag", "ETag"),
        ("version", "X-Artifact-Version"),
        ("lastModified", "Last-Modified"),
        ("source", "X-Artifact-Source"),
    ] {
        if let Some(value) = head.header(name) {
            let _ = write!(members, ",\"{member}\":{}", quote(value));
        }
    }
    let _ = write!(members, ",\"body\":{}", quote(text));
    Ok(members)
}

fn quote(text: &str) -> String {
    // A string always has JSON.
    serde_json::to_string(text).unwrap_or_default()
}

fn invalid(detail: String) -> Problem {
    Problem::new(ErrorCode::InvalidBatch, detail)
}

fn incomplete(error: &BodyError) -> Problem {
    Problem::new(ErrorCode::BodyIncomplete, "the body ended before it was complete").because(error)
}
