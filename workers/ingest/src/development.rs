//! Routes of the development origin: `/$.dev/…`, and the local lake's catalog and objects. A deployment has neither the
//! setting nor the binding that they need.

use firn_api::http::RequestHead;
use firn_platform::{Setting, forward, post};
use worker::Env;

/// What serve answers of them.
const OF_SERVE: [&str; 3] = ["/$.dev/isolate", "/$.dev/forget", "/$.dev/clock"];

/// Answers what only the development origin answers; `None` elsewhere.
pub(crate) async fn route(
    head: &RequestHead,
    request: &web_sys::Request,
    env: &Env,
) -> Result<Option<web_sys::Response>, String> {
    if !Setting(env).is_development() {
        return Ok(None);
    }
    if OF_SERVE.contains(&head.path.as_str()) {
        return forward(env, "SERVE", request).await.map(Some);
    }
    let answered = forward(env, "LAKE", request).await?;
    if head.path == "/$.dev/flush" {
        // What serve holds of the tables' pointers is older than this flush; with `forget` reads are to come from the lake.
        let forgets = head.query.split('&').any(|parameter| parameter == "forget=1");
        let url = if forgets { "http://serve/$.dev/forget?copies=1" } else { "http://serve/$.dev/forget" };
        post(env, "SERVE", url).await?;
    }
    Ok(Some(answered))
}
