//! The serve Worker: `GET /$.content/…` straight from the lake's tables.

mod bucket;

use std::rc::Rc;

use firn_api::{
    access::identify,
    content::{
        answer::{Freshness, answer, not_found},
        path::parse_request,
    },
    http::{RequestHead, Response},
    ports::Clock,
    problem::Problem,
    tables::{HeldLake, LakeConfig, LakeError, ReadCost, TableName, read_artifact},
};
use firn_platform::{Setting, WallClock, WebCrypto, log_problem, read_head, send_response, token_rules};
use firn_types::error::ErrorCode;
use worker::{Context, Env, Request, Result, event};

use crate::bucket::R2Read;

/// When a client may ask again after storage failed.
const RETRY_AFTER_SECS: &str = "2";

thread_local! {
    /// Parsed objects and pointers of this isolate. No borrow of it is held across an await.
    static HELD: Rc<HeldLake> = Rc::default();
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<worker::Response> {
    let head = read_head(&request);
    let is_development = Setting(&env).is_development();
    if is_development && head.path == "/$.dev/forget" {
        HELD.with(|held| match head.query.as_str() {
            "held=1" => held.forget_all(),
            _ => held.forget_pointers(),
        });
        return worker::Response::empty();
    }
    let mut cost = ReadCost::default();
    let context = Rc::new(context);
    let response = serve(&head, &env, &context, &mut cost).await.unwrap_or_else(|problem| {
        if problem.code.status() >= 500 {
            log_problem(&problem, &head);
        }
        problem.into_response(&head.request_id)
    });
    let response = if is_development { response.with("X-Firn-Cost", render_cost(cost)) } else { response };
    let response = if head.method == "HEAD" { response.without_body() } else { response };
    send_response(response, &head)
}

async fn serve(
    head: &RequestHead,
    env: &Env,
    context: &Rc<Context>,
    cost: &mut ReadCost,
) -> core::result::Result<Response, Problem> {
    let now = WallClock.now();
    let path = parse_request(head)?;
    let rules = token_rules(env, context).map_err(broken)?;
    let caller = identify(head, &rules, &WebCrypto, now).await?;
    let config = lake_config(env).map_err(broken)?;
    let store = R2Read::open(env).map_err(|error| broken(error.to_string()))?;
    let lake = HELD.with(Rc::clone);
    let (found, spent) = read_artifact(&store, &lake, &config, &path.key, path.representation, now).await;
    *cost = spent;
    let row = found.map_err(|error| lake_problem(&error))?;
    if row.is_none() {
        return Err(not_found());
    }
    answer(&path, row.as_ref(), caller.as_ref(), now, Freshness::default())
}

fn lake_config(env: &Env) -> core::result::Result<LakeConfig, String> {
    let setting = Setting(env);
    let tables = setting.text("FIRN_TABLES").ok_or("FIRN_TABLES is not set")?;
    let tables = TableName::parse_list(&tables).ok_or("FIRN_TABLES is not a list of namespace.table")?;
    let hold_secs = setting.number("FIRN_POINTER_HOLD_SECONDS", 5)?;
    Ok(LakeConfig { tables, pointer_hold_micros: i64::from(hold_secs) * 1_000_000 })
}

fn render_cost(cost: ReadCost) -> String {
    format!("reads={}; waves={}; bytes={}", cost.reads, cost.waves, cost.len_bytes)
}

fn lake_problem(error: &LakeError) -> Problem {
    let problem = if error.is_retryable() {
        Problem::new(ErrorCode::StorageUnavailable, "try again later")
            .with_header("Retry-After", RETRY_AFTER_SECS)
    } else {
        Problem::new(ErrorCode::StorageCorrupt, "the stored artifact cannot be read")
    };
    problem.because(error)
}

fn broken(cause: String) -> Problem {
    Problem::new(ErrorCode::ConfigurationInvalid, "the deployment's configuration is not valid")
        .because(cause)
}
