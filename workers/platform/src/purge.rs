//! The purger of edge copies, behind the binding `PURGE`: an entrypoint of the serve Worker.

use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::Env;

use crate::{body::describe, kv::binding};

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
    let purged = call_purge_entrypoint(&purger, message).await;
    purged.map(|_| ()).map_err(|error| describe(&error))
}
