//! The lake Worker: off the request path. It follows the tables for their ledgers ([`follow`]) and purges the zone
//! ([`purge_object`]). On a laptop it also plays
//! Cloudflare Pipelines (the streams of [`stream_object`]) and lets PyIceberg and DuckDB read the tables in place
//! ([`gateway`]).

mod bucket;
mod flush;
mod follow;
mod gateway;
mod ledgers;
mod purge_object;
mod stream_object;
mod streams;

pub use purge_object::PurgeObject;
pub use stream_object::StreamObject;

use firn_api::problem::Problem;
use firn_platform::{Setting, log_problem, read_head, send_response};
use firn_types::{error::ErrorCode, key::Namespace};
use worker::{
    Context, Env, Method, Request, RequestInit, Response, Result, ScheduleContext, ScheduledEvent,
    console_error, event,
};

use crate::{
    follow::{compare, follow_all, follow_on_schedule, rebuild, status},
    ledgers::{drain_ledger, registered_ledgers},
    streams::configured_streams,
};

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> Result<Response> {
    let head = read_head(request.inner());
    if !Setting(&env).is_development() {
        return Ok(not_found(&head));
    }
    if head.path == "/$.dev/flush" {
        if request.method() == Method::Post {
            let forget = head.query.split('&').any(|parameter| parameter == "forget=1");
            return flush_all(&env, forget).await;
        }
        let problem =
            Problem::new(ErrorCode::MethodNotAllowed, "flush takes POST").with_header("Allow", "POST");
        return Ok(send_response(&problem.into_response(&head.request_id), &head).into());
    }
    if let Some(work) = head.path.strip_prefix("/$.dev/ledger/")
        && request.method() == Method::Post
    {
        return work_on_ledger(&env, work, &head.query).await;
    }
    match gateway::route(&head, &env).await {
        Ok(Some(response)) => Ok(response),
        Ok(None) => Ok(not_found(&head)),
        Err(error) => {
            let problem =
                Problem::new(ErrorCode::StorageUnavailable, "the local lake failed").because(&error);
            log_problem(&problem, &head);
            Ok(send_response(&problem.into_response(&head.request_id), &head).into())
        }
    }
}

/// Each minute: what new snapshots hold is confirmed to the ledgers.
#[event(scheduled)]
async fn scheduled(event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    if let Err(error) = follow_on_schedule(&env, event.schedule()).await {
        console_error!("{}", serde_json::json!({"event": "follow_failed", "cause": error.to_string()}));
    }
}

fn not_found(head: &firn_api::http::RequestHead) -> Response {
    let problem = Problem::new(ErrorCode::NotFound, "there is nothing at this path");
    send_response(&problem.into_response(&head.request_id), head).into()
}

/// `rebuild` or `compare`, of the ledger that the query names (`ns=…`).
async fn work_on_ledger(env: &Env, work: &str, query: &str) -> Result<Response> {
    let ns = query.split('&').find_map(|parameter| parameter.strip_prefix("ns="));
    let Some(ns) = ns.and_then(|ns| Namespace::parse(ns).ok()) else {
        return Response::error("ns=NAMESPACE is missing", 400);
    };
    let done = match work {
        "rebuild" => rebuild(env, &ns).await,
        "compare" => compare(env, &ns).await,
        "status" => status(env, &ns).await,
        _ => return Response::error("rebuild, compare or status", 404),
    };
    match done {
        Ok(done) => Response::from_json(&done),
        Err(error) => Response::error(error.to_string(), 502),
    }
}

/// Makes every ledger send what waits and every stream commit what it holds, follows the tables, and says what they then
/// hold. With `forget` the ledgers drop content that was confirmed.
async fn flush_all(env: &Env, forget: bool) -> Result<Response> {
    let ledgers = registered_ledgers(env).await?;
    for ns in &ledgers {
        drain_ledger(env, ns, false).await?;
    }
    let mut tables = Vec::new();
    for stream in configured_streams(env) {
        let stub = env.durable_object("STREAMS")?.get_by_name(&stream.name)?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post);
        let url = format!("http://stream/flush?stream={}", stream.name);
        let mut answer = stub.fetch_with_request(Request::new_with_init(&url, &init)?).await?;
        let body = answer.text().await?;
        if answer.status_code() != 200 {
            return Response::error(format!("stream {}: {body}", stream.name), 502);
        }
        tables.push(serde_json::from_str::<serde_json::Value>(&body)?);
    }
    let followed = match follow_all(env).await {
        Ok(followed) => followed,
        Err(error) => return Response::error(error.to_string(), 502),
    };
    if forget {
        for ns in &ledgers {
            drain_ledger(env, ns, true).await?;
        }
    }
    Response::from_json(&serde_json::json!({ "tables": tables, "followed": followed }))
}
