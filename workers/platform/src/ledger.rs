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
    let namespace = binding(env, "LEDGER").ok_or("there is no binding LEDGER")?;
    let reply = call_object(&namespace, ns.as_str(), &message).await;
    reply.map(|reply| reply.to_vec()).map_err(|error| describe(&error))
}
