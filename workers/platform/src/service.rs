//! Other Workers, behind service bindings.

use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::Env;

use crate::{body::describe, kv::binding};

#[wasm_bindgen(module = "/src/bindings.js")]
extern "C" {
    #[wasm_bindgen(js_name = postTo, catch)]
    async fn post_to(service: &JsValue, url: &str) -> Result<JsValue, JsValue>;
}

/// Posts nothing to the Worker that is bound under a name.
///
/// # Errors
/// What the runtime says; for the log.
pub async fn post(env: &Env, name: &str, url: &str) -> Result<(), String> {
    let service = binding(env, name).ok_or("there is no such binding")?;
    post_to(&service, url).await.map(|_| ()).map_err(|error| describe(&error))
}
