//! Workers KV.

use js_sys::{JsString, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use worker::Env;

use crate::body::describe;

#[wasm_bindgen(module = "/src/bindings.js")]
extern "C" {
    #[wasm_bindgen(js_name = kvGet, catch)]
    async fn kv_get(namespace: &JsValue, key: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = kvPut, catch)]
    async fn kv_put(namespace: &JsValue, key: &str, value: &[u8], ttl_secs: u32) -> Result<JsValue, JsValue>;
}

/// A namespace of KV.
#[derive(Clone, Debug)]
pub struct Kv(JsValue);

impl Kv {
    /// The namespace that is bound under a name, if one is.
    pub fn open(env: &Env, name: &str) -> Option<Self> {
        binding(env, name).map(Self)
    }

    /// The value of a key.
    ///
    /// # Errors
    /// What the runtime says; for the log.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, String> {
        let value = kv_get(&self.0, key).await.map_err(|error| describe(&error))?;
        Ok(value.dyn_into::<Uint8Array>().ok().map(|bytes| bytes.to_vec()))
    }

    /// Stores a value, for so many seconds (at least 60), or for good.
    ///
    /// # Errors
    /// What the runtime says; for the log.
    pub async fn put(&self, key: &str, value: &[u8], ttl_secs: Option<u32>) -> Result<(), String> {
        let stored = kv_put(&self.0, key, value, ttl_secs.unwrap_or(0)).await;
        stored.map(|_| ()).map_err(|error| describe(&error))
    }
}

/// What is bound under a name.
pub(crate) fn binding(env: &Env, name: &str) -> Option<JsValue> {
    Reflect::get(env, &JsString::from(name)).ok().filter(|value| !value.is_undefined())
}
