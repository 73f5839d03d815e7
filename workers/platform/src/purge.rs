//! The purger of edge copies, behind the binding `PURGE`: an entrypoint of the serve Worker. And the queue that purges
//! the zone, the Durable Object behind `PURGE_QUEUE`.

use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::Env;

use crate::{Objects, Setting, body::describe, kv::binding};

/// The one object that purges the zone: its calls are counted for the account.
const PURGE_OBJECT: &str = "zone";

#[wasm_bindgen(module = "/src/bindings.js")]
extern "C" {
    #[wasm_bindgen(js_name = callPurge, catch)]
    async fn call_purge_entrypoint(purger: &JsValue, message: &[u8]) -> Result<JsValue, JsValue>;
}

/// Hands a message of `firn_api::purge` to the purger. Without one there are no edge copies to purge.
///
/// # Errors
/// What the runtime says; for the log.
pub async fn call_purge(env: &Env, message: &[u8]) -> Result<(), String> {
    let Some(purger) = binding(env, "PURGE") else { return Ok(()) };
    let outcome = call_purge_entrypoint(&purger, message).await;
    outcome.map(|_| ()).map_err(|error| describe(&error))
}

/// Queues what was touched (a [`firn_api::purge::message`]) for the purge of the zone, if one is configured.
///
/// # Errors
/// What the runtime says; for the log. Then copies elsewhere go when their time is over.
pub async fn queue_purge(env: &Env, message: &[u8]) -> Result<(), String> {
    if Setting(env).text("FIRN_PURGE_ZONE").is_none() {
        return Ok(());
    }
    let queue = Objects::open(env, "PURGE_QUEUE").ok_or("there is no binding PURGE_QUEUE")?;
    queue.call(PURGE_OBJECT, message).await.map(|_| ())
}
