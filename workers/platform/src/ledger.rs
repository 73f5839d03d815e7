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

/// The objects of one class, by name.
#[derive(Clone, Debug)]
pub struct Objects(JsValue);

impl Objects {
    /// The objects that are bound under a name, if any are.
    pub fn open(env: &Env, name: &str) -> Option<Self> {
        binding(env, name).map(Self)
    }

    /// The ledgers of the deployment, if it has any.
    pub fn ledgers(env: &Env) -> Option<Self> {
        Self::open(env, "LEDGER")
    }

    /// Sends a message to the object of that name; gives the reply.
    ///
    /// # Errors
    /// What the runtime says; for the log.
    pub async fn call(&self, name: &str, message: &[u8]) -> Result<Vec<u8>, String> {
        let reply = call_object(&self.0, name, message).await;
        reply.map(|reply| reply.to_vec()).map_err(|error| describe(&error))
    }
}

/// Sends a message to the ledger of `ns`; gives the reply.
///
/// # Errors
/// What the runtime says; for the log.
pub async fn call_ledger(env: &Env, ns: &Namespace, message: Vec<u8>) -> Result<Vec<u8>, String> {
    let ledgers = Objects::ledgers(env).ok_or("there is no binding LEDGER")?;
    ledgers.call(ns.as_str(), &message).await
}
