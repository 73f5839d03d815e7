//! The ingest Worker, which is also the origin's entry: it answers `POST /$.artifacts` itself and hands reads to serve.

mod context;
mod development;
mod stream;

use firn_api::{
    http::{RequestHead, Response},
    ingest::{
        admit::{Admitted, PATH, admit},
        answer::respond,
        publish::{Request as Publish, publish},
    },
    ports::Clock,
    problem::Problem,
};
use firn_platform::{
    RequestBody, WallClock, WebCrypto, log_problem, random_id, read_head, send_response, token_rules,
};
use firn_types::error::ErrorCode;
use worker::{Context, Env, Request, Result, event};

use crate::context::{CEILINGS, DeploymentContext, destination};

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> Result<worker::Response> {
    let head = read_head(&request);
    if head.path.starts_with("/$.content") {
        return env.service("SERVE")?.fetch_request(request).await;
    }
    if head.path != PATH {
        if let Some(answered) = development::route(&head, &request, &env).await? {
            return Ok(answered);
        }
        let problem = Problem::new(ErrorCode::NotFound, "there is nothing at this path");
        return send_response(problem.into_response(&head.request_id), &head);
    }
    let response = ingest(&head, &request, &env).await.unwrap_or_else(|problem| {
        log_problem(&problem, &head);
        problem.into_response(&head.request_id)
    });
    send_response(response, &head)
}

async fn ingest(head: &RequestHead, request: &Request, env: &Env) -> core::result::Result<Response, Problem> {
    let now = WallClock.now();
    let rules = token_rules(env).map_err(broken)?;
    let admitted: Admitted = admit(head, &rules, &WebCrypto, now, CEILINGS.body_len_bytes_max).await?;
    let context = DeploymentContext::new(env, &admitted);
    let sink = stream::StreamSink::new(env);
    let idle = destination(env, context.default_mode()).map_err(broken)?;
    let mut body = RequestBody::new(request);
    let publishing = Publish {
        identity: &admitted.identity,
        now,
        ingest_id: &random_id(),
        request_id: &head.request_id,
        ceilings: CEILINGS,
    };
    let answer = publish(&publishing, &context, &sink, &mut body, &idle).await?;
    respond(&answer)
}

fn broken(cause: String) -> Problem {
    Problem::new(ErrorCode::ConfigurationInvalid, "the deployment's configuration is not valid")
        .because(cause)
}
