//! The serve Worker: everything below `/$.content`, and the purge of this data centre's copies.

mod deployment;
mod development;
mod guarded;
mod lake;
mod purge;
mod site;

use std::rc::Rc;

use firn_api::{
    content::{
        load::Shared,
        serve::{Sent, serve},
    },
    problem::Problem,
};
use firn_platform::{RequestBody, log_problem, read_head, send_response, send_stored};
use firn_types::error::ErrorCode;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::{Env, worker_sys};

use crate::{deployment::Deployment, site::Site};

pub use purge::purge;

thread_local! {
    /// What the requests of this isolate share. No borrow of it is held across an await.
    static SHARED: Rc<Shared> = Rc::default();
}

/// Answers a request below `/$.content`.
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
    let site = Site::of(env);
    if site.is_development
        && let Some(answered) = development::route(&head)
    {
        return Ok(send_response(&answered, &head));
    }
    let shared = SHARED.with(Rc::clone);
    let sent = match Deployment::open(&site, Rc::new(worker::Context::new(context))) {
        Ok(deployment) => serve(&Rc::new(deployment), &shared, &head, &mut RequestBody::new(request)).await,
        Err(cause) => refused(&broken(cause), &head.request_id),
    };
    let Sent { response, stored, problem, cost } = sent;
    if let Some(problem) = problem.filter(|problem| problem.code.status() >= 500) {
        log_problem(&problem, &head);
    }
    let response =
        if site.is_development { response.with("X-Firn-Cost", cost.to_string()) } else { response };
    let response = if head.method == "HEAD" { response.without_body() } else { response };
    Ok(match stored {
        Some(body) => send_stored(&response, &head, &body),
        None => send_response(&response, &head),
    })
}

fn refused<B>(problem: &Problem, request_id: &str) -> Sent<B> {
    let response = problem.clone().into_response(request_id);
    Sent {
        response,
        stored: None,
        problem: Some(problem.clone()),
        cost: firn_api::tables::read::ReadCost::default(),
    }
}

fn broken(cause: String) -> Problem {
    Problem::new(ErrorCode::ConfigurationInvalid, "the deployment's configuration is not valid")
        .because(cause)
}
