//! The ingest Worker, which is also the origin's entry: it answers `POST /$.artifacts` itself and hands reads to serve.

mod context;
mod development;
mod ledger_object;
mod registry;
mod sql;
mod stream;
mod tenants;

use std::rc::Rc;

use bytes::Bytes;
use firn_api::{
    artifact_path, cors,
    http::{RequestHead, Response},
    ingest::{
        admit::{Admitted, ContentEncoding, METHODS, PATH, admit},
        answer::{Published, respond},
        deletion,
        gzip::GzipBody,
        ledger_sink::{LedgerSink, RequestNames},
        publish::{Request as Publish, publish},
        retry::RetrySink,
    },
    ports::{Body, BodyError, Clock},
    problem::Problem,
    tenancy::{Tenancy, allowance},
};
use firn_ledger::row::Owner;
use firn_ndjson::digest::{ContentHash, Sha256};
use firn_platform::{
    HostSha256, RequestBody, Setting, Timer, WallClock, WebCrypto, forward, log_problem, random_id,
    read_head, send_response, token_rules,
};
use firn_types::{error::ErrorCode, mode::Mode, tenant::TenantConfig};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::{Context, Env, event, worker_sys};

pub use ledger_object::LedgerObject;

use crate::{
    context::{Deployment, DeploymentContext, ceilings, register},
    tenants::Tenants,
};

/// What the chunks of one request in build mode take at most: three under way and one being filled, each 1 MiB; the
/// message that stages one, here and in the ledger's object; and the rest of the heap.
const HEAP_LEN_BYTES: usize = 7 * 1024 * 1024;

/// Lets the heap grow once, before any request, to what an ordinary one needs. Memory never shrinks, so nothing is lost;
/// pages that nobody touches cost nothing; and growing piece by piece leaves gaps that no chunk fits into.
#[event(start)]
fn start() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(HEAP_LEN_BYTES)));
}

/// Answers a request to the origin.
///
/// # Errors
/// What the runtime throws; the rim answers 500.
#[wasm_bindgen]
pub async fn fetch(
    request: web_sys::Request,
    env: Env,
    context: worker_sys::Context,
) -> Result<web_sys::Response, JsValue> {
    let head = read_head(&request);
    let deletes = head.method == "DELETE" && head.path.starts_with(artifact_path::PREFIX);
    if head.path.starts_with("/$.content") && !deletes {
        return forward(&env, "SERVE", &request).await.map_err(JsValue::from);
    }
    if head.path != PATH && !deletes {
        if let Some(answered) = development::route(&head, &request, &env).await? {
            return Ok(answered);
        }
        let problem = Problem::new(ErrorCode::NotFound, "there is nothing at this path");
        return Ok(send_response(&problem.into_response(&head.request_id), &head));
    }
    let context = Rc::new(Context::new(context));
    let answered = if head.method == "OPTIONS" {
        Ok(cors::preflight(&head, Some(&open_terms(&env)), METHODS))
    } else if deletes {
        delete(&head, &env, &context).await
    } else {
        ingest(&head, request, &env, &context).await
    };
    let response = answered.unwrap_or_else(|problem| {
        log_problem(&problem, &head);
        problem.into_response(&head.request_id)
    });
    // A preflight has its own.
    if head.method == "OPTIONS" || head.header("origin").is_none() {
        return Ok(send_response(&response, &head));
    }
    let terms = if deletes { terms_of_path(&head.path, &env).await } else { open_terms(&env) };
    Ok(send_response(&cors::allow(&head, &terms, response), &head))
}

/// The terms of requests whose namespace is not known from their path.
fn open_terms(env: &Env) -> TenantConfig {
    cors::terms_of_origins(&Setting(env).text("FIRN_CORS_ORIGINS").unwrap_or_default())
}

/// The terms of the namespace of an artifact's path; the defaults where it has none, or they cannot be read.
async fn terms_of_path(path: &str, env: &Env) -> TenantConfig {
    match artifact_path::namespace(path) {
        Some(ns) => Tenants(env).config(&ns).await.unwrap_or_default(),
        None => TenantConfig::default(),
    }
}

async fn delete(head: &RequestHead, env: &Env, context: &Rc<Context>) -> Result<Response, Problem> {
    let rules = token_rules(env, context).map_err(broken)?;
    let deletion = deletion::admit_deletion(head, &rules, &WebCrypto, WallClock.now()).await?;
    let allowance = allowance(&Tenants(env).config(&deletion.key.ns).await?);
    register(env, &deletion.key.ns).await?;
    let ingest_id = random_id();
    let key = deletion.idempotency_key.as_deref().map(|key| answer_name(&deletion.deleter(), key));
    let names = deletion::DeletionNames {
        request_id: &head.request_id,
        ingest_id: &ingest_id,
        key: key.as_deref(),
        fingerprint: HostSha256::default().finish(&deletion.preimage()),
    };
    deletion::delete(&deletion, &names, &allowance, &Deployment(env)).await
}

async fn ingest(
    head: &RequestHead,
    request: web_sys::Request,
    env: &Env,
    context: &Rc<Context>,
) -> Result<Response, Problem> {
    let now = WallClock.now();
    let rules = token_rules(env, context).map_err(broken)?;
    let ceilings = ceilings(env).map_err(broken)?;
    let admitted = admit(head, &rules, &WebCrypto, now, ceilings.body_len_bytes_max).await?;
    let publishing = Publish { identity: &admitted.identity, now, request_id: &head.request_id, ceilings };
    let body = RequestBody::new(request);
    let body = match admitted.encoding {
        ContentEncoding::Identity => DecodedBody::Plain(body),
        ContentEncoding::Gzip => DecodedBody::Gzip(Box::new(GzipBody::new(body))),
    };
    let published = run(env, &admitted, &publishing, body).await?;
    respond(published)
}

/// A body out of its `Content-Encoding`. One type, so that what reads it is compiled once.
enum DecodedBody {
    Plain(RequestBody),
    Gzip(Box<GzipBody<RequestBody>>),
}

impl Body for DecodedBody {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        match self {
            Self::Plain(body) => body.next().await,
            Self::Gzip(body) => body.next().await,
        }
    }
}

async fn run(
    env: &Env,
    admitted: &Admitted,
    publishing: &Publish<'_>,
    mut body: DecodedBody,
) -> Result<Published, Problem> {
    let deployment = Deployment(env);
    let identity = &admitted.identity;
    let owner =
        Owner { iss: Some(identity.issuer.clone()), org: identity.org.clone(), sub: identity.sub.clone() };
    let ingest_id = random_id();
    let key = admitted.idempotency_key.as_deref().map(|key| answer_name(&owner, key));
    let names =
        RequestNames { ingest_id: &ingest_id, now: publishing.now, owner: &owner, key: key.as_deref() };
    let sink = LedgerSink::new(names, &deployment);
    let context = DeploymentContext::new(env, admitted, &sink);
    let idle = Tenants(env).destination(admitted.mode.unwrap_or(Mode::Build))?;
    publish(publishing, &context, &RetrySink::new(&sink, Timer), &mut body, &idle).await
}

/// Under which an answer is kept: hex of SHA-256 over length-prefixed parts. A key is its caller's own.
fn answer_name(owner: &Owner, key: &str) -> String {
    let mut parts = Vec::new();
    for part in [owner.iss.as_deref(), owner.org.as_deref(), owner.sub.as_deref(), Some(key)] {
        // A missing part is not an empty one.
        let len = part.map_or(u64::MAX, |part| part.len() as u64);
        parts.extend_from_slice(&len.to_be_bytes());
        parts.extend_from_slice(part.unwrap_or_default().as_bytes());
    }
    ContentHash(HostSha256::default().finish(&parts)).to_hex()
}

fn broken(cause: String) -> Problem {
    Problem::new(ErrorCode::ConfigurationInvalid, "the deployment's configuration is not valid")
        .because(cause)
}
