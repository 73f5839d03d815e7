//! Routes of the development origin: `/$.dev/…`, and the local lake's catalog and objects. A deployment has neither the
//! setting nor the binding that they need.

use firn_api::http::RequestHead;
use firn_platform::{Setting, post};
use worker::{Env, Error, Request, Response, Result};

/// Answers what only the development origin answers; `None` elsewhere.
pub(crate) async fn route(head: &RequestHead, request: &Request, env: &Env) -> Result<Option<Response>> {
    if !Setting(env).is_development() {
        return Ok(None);
    }
    if head.path == "/$.dev/forget" {
        return env.service("SERVE")?.fetch_request(request.clone()?).await.map(Some);
    }
    let lake = env.service("LAKE")?;
    if head.path != "/$.dev/flush" {
        return lake.fetch_request(request.clone()?).await.map(Some);
    }
    let flushed = lake.fetch_request(request.clone()?).await?;
    // What serve holds of the tables' pointers is older than this flush.
    post(env, "SERVE", "http://serve/$.dev/forget").await.map_err(Error::RustError)?;
    Ok(Some(flushed))
}
