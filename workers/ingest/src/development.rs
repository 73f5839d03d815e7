//! Routes of the development origin: `/$.dev/…`, and the local lake's catalog and objects. A deployment has neither the
//! setting nor the binding that they need.

use firn_api::http::RequestHead;
use firn_platform::Setting;
use worker::{Env, Error, Method, Request, RequestInit, Response, Result};

use crate::registry::registered_ledgers;

/// Answers what only the development origin answers; `None` elsewhere.
pub(crate) async fn route(head: &RequestHead, request: &Request, env: &Env) -> Result<Option<Response>> {
    if !Setting(env).is_development() {
        return Ok(None);
    }
    if head.path == "/$.dev/forget" {
        return env.service("SERVE")?.fetch_request(request.clone()?).await.map(Some);
    }
    let lake = env.service("LAKE")?;
    if head.path != "/$.dev/flush" || head.method != "POST" {
        return lake.fetch_request(request.clone()?).await.map(Some);
    }
    // Whatever is committed goes to the streams, the streams to the tables, and the tables back to the ledgers.
    let ledgers = registered_ledgers(env).await?;
    for ns in &ledgers {
        drain(env, ns, "").await?;
    }
    let flushed = lake.fetch_request(request.clone()?).await?;
    if head.query.split('&').any(|parameter| parameter == "forget=1") {
        for ns in &ledgers {
            drain(env, ns, "?forget=1").await?;
        }
    }
    // What serve holds of the tables' pointers is older than this flush.
    env.service("SERVE")?.fetch("http://serve/$.dev/forget", Some(posting())).await?;
    Ok(Some(flushed))
}

async fn drain(env: &Env, ns: &str, query: &str) -> Result<()> {
    let stub = env.durable_object("LEDGER")?.get_by_name(ns)?;
    let request = Request::new_with_init(&format!("http://ledger/drain{query}"), &posting())?;
    let answer = stub.fetch_with_request(request).await?;
    if answer.status_code() == 200 {
        return Ok(());
    }
    Err(Error::RustError(format!("draining the ledger of {ns}: {}", answer.status_code())))
}

fn posting() -> RequestInit {
    let mut init = RequestInit::new();
    init.with_method(Method::Post);
    init
}
