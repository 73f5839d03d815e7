//! Everything below `/$.content`: which kind of request it is, and what of a representation is sent.

use std::{cell::Cell, rc::Rc};

use bytes::Bytes;
use firn_types::error::ErrorCode;

use super::{
    batch::{self, read_batch},
    conditional::{Selected, head_for, select},
    edge::{EdgeBody, EdgeCache},
    load::{Body, Reading, Shared, Whole},
    path::{METHODS, parse_path},
    ports::ReadPorts,
    query::Wanted,
};
use crate::{
    cors,
    http::{RequestHead, Response},
    ports::Body as RequestBody,
    problem::Problem,
    tables::read::ReadCost,
};

/// What is sent.
#[derive(Debug)]
pub struct Sent<B> {
    /// The answer; its body is empty where `stored` is the body.
    pub response: Response,
    /// A body that lies in the edge cache.
    pub stored: Option<B>,
    /// What of it went wrong, for the log.
    pub problem: Option<Problem>,
    /// What was asked of the store.
    pub cost: ReadCost,
}

type SentBy<P> = Sent<<<P as ReadPorts>::Edge as EdgeCache>::Body>;

/// Answers a request below `/$.content`.
pub async fn serve<P: ReadPorts>(
    ports: &Rc<P>,
    shared: &Rc<Shared>,
    head: &RequestHead,
    body: &mut impl RequestBody,
) -> SentBy<P> {
    let cost = Cell::default();
    let terms = Cell::new(None);
    let answered = match head.path.as_str() {
        batch::PATH => {
            terms.set(Some(ports.open_terms()));
            answer_batch(ports, shared, head, body, &cost).await.map(|response| (response, None))
        }
        _ => answer_one(ports, shared, head, &terms, &cost).await,
    };
    let (response, stored, problem) = match answered {
        Ok((response, stored)) => (response, stored, None),
        Err(problem) => (problem.clone().into_response(&head.request_id), None, Some(problem)),
    };
    let response = match terms.take() {
        // A preflight has its own.
        Some(terms) if head.method != "OPTIONS" => cors::allow(head, &terms, response),
        _ => response,
    };
    Sent { response, stored, problem, cost: cost.get() }
}

type Answer<P> = (Response, Option<<<P as ReadPorts>::Edge as EdgeCache>::Body>);

/// One representation. Checks in their order: method, path, terms, token, query, then rights.
async fn answer_one<P: ReadPorts>(
    ports: &Rc<P>,
    shared: &Rc<Shared>,
    head: &RequestHead,
    terms_of: &Cell<Option<Rc<firn_types::tenant::TenantConfig>>>,
    cost: &Cell<ReadCost>,
) -> Result<Answer<P>, Problem> {
    if !matches!(head.method.as_str(), "GET" | "HEAD" | "OPTIONS") {
        return Err(Problem::new(ErrorCode::MethodNotAllowed, "content takes GET, HEAD, OPTIONS and DELETE")
            .with_header("Allow", METHODS));
    }
    let path = parse_path(&head.path)?;
    let terms = ports.terms(&path.key.ns).await?;
    terms_of.set(Some(Rc::clone(&terms)));
    if head.method == "OPTIONS" {
        return Ok((cors::preflight(head, Some(&terms), METHODS), None));
    }
    let caller = ports.caller(head).await?;
    let wanted = Wanted::parse(&head.query, &terms)?;
    let caller = caller.as_ref();
    let now = ports.now();
    let reading = Reading { ports, shared, path: &path, caller, terms: &terms, wanted, now, cost };
    let whole = reading.read().await?;
    finish(head, whole, now).await
}

async fn finish<B: EdgeBody>(
    head: &RequestHead,
    whole: Whole<B>,
    now: firn_types::time::Micros,
) -> Result<(Response, Option<B>), Problem> {
    let Whole { head: whole_head, len_bytes, body } = whole;
    let selected = select(head, &whole_head, len_bytes, now)?;
    let response = head_for(selected, whole_head, len_bytes);
    if head.method == "HEAD" && selected == Selected::Whole {
        return Ok((response.with("Content-Length", len_bytes.to_string()), None));
    }
    match (selected, body) {
        (Selected::Unchanged, _) => Ok((response, None)),
        (Selected::Whole, Body::Stored(stored)) => Ok((response, Some(stored))),
        (Selected::Whole, Body::Bytes(bytes)) => Ok((response.with_body(bytes), None)),
        (Selected::Part { start, end }, body) => {
            let bytes = match body {
                Body::Bytes(bytes) => bytes,
                Body::Stored(stored) => stored.bytes().await.ok_or_else(cut_short)?,
            };
            Ok((response.with_body(slice(&bytes, start, end).ok_or_else(cut_short)?), None))
        }
    }
}

fn slice(bytes: &Bytes, start: u64, end: u64) -> Option<Bytes> {
    let (start, end) = (usize::try_from(start).ok()?, usize::try_from(end).ok()?);
    (start <= end && end <= bytes.len()).then(|| bytes.slice(start..end))
}

/// A copy that is not what was noted of it.
fn cut_short() -> Problem {
    Problem::new(ErrorCode::StorageUnavailable, "try again later")
        .with_header("Retry-After", "1")
        .because("a copy in the edge cache is shorter than its note says")
}

async fn answer_batch<P: ReadPorts>(
    ports: &Rc<P>,
    shared: &Rc<Shared>,
    head: &RequestHead,
    body: &mut impl RequestBody,
    cost: &Cell<ReadCost>,
) -> Result<Response, Problem> {
    match head.method.as_str() {
        "OPTIONS" => Ok(cors::preflight(head, Some(&ports.open_terms()), batch::METHODS)),
        "POST" => {
            let caller = ports.caller(head).await?;
            read_batch(ports, shared, head, body, caller.as_ref(), cost).await
        }
        _ => Err(Problem::new(ErrorCode::MethodNotAllowed, "batches take POST and OPTIONS")
            .with_header("Allow", batch::METHODS)),
    }
}
