//! Calls of a namespace's ledger, the Durable Object behind the binding `LEDGER`.

use firn_types::key::Namespace;
use js_sys::Uint8Array;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::Env;

use crate::{body::describe, kv::binding};

#[wasm_bindgen(module = "/src/bindings.js")]
extern "C" {
    #[wasm_bindgen(js_name = callObject, catch)]
    async fn call_object(namespace: &JsValue, name: &str, message: &[u8]) -> Result<Uint8Array, JsValue>;
}

/// Whether the deployment has ledgers.
pub fn has_ledgers(env: &Env) -> bool {
    binding(env, "LEDGER").is_some()
}

/// Sends a message to the ledger of `ns`; gives the reply.
///
/// # Errors
/// What the runtime says; for the log.
pub async fn call_ledger(env: &Env, ns: &Namespace, message: Vec<u8>) -> Result<Vec<u8>, String> {
    call_named(env, "LEDGER", ns.as_str(), &message).await
}

/// Sends a message to the object of that name behind a binding.
pub(crate) async fn call_named(
    env: &Env,
    name: &str,
    object: &str,
    message: &[u8],
) -> Result<Vec<u8>, String> {
    let namespace = binding(env, name).ok_or_else(|| format!("there is no binding {name}"))?;
    let reply = call_object(&namespace, object, message).await;
    reply.map(|reply| reply.to_vec()).map_err(|error| describe(&error))
}
