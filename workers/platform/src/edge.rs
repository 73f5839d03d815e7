//! The edge cache: `caches.default`, the copies of one data centre.

use bytes::Bytes;
use firn_api::content::edge::{Copy, EdgeBody, EdgeCache};
use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::Response;

use crate::body::describe;

#[wasm_bindgen(module = "/src/bindings.js")]
extern "C" {
    #[wasm_bindgen(js_name = edgeFind, catch)]
    async fn edge_find(url: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = edgeNote)]
    fn edge_note(response: &Response) -> String;

    #[wasm_bindgen(js_name = edgeStore, catch)]
    async fn edge_store(
        url: &str,
        note: &str,
        tags: &str,
        body: &[u8],
        ttl_secs: u32,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = edgeRemove, catch)]
    async fn edge_remove(urls: &str) -> Result<JsValue, JsValue>;
}

/// The copies under the deployment's own host name.
#[derive(Clone, Debug)]
pub struct EdgeCopies {
    /// `https://` and the host name.
    origin: String,
}

impl EdgeCopies {
    /// The copies under a host name. A zone's purge reaches them where it is one of the zone.
    pub fn new(host: &str) -> Self {
        Self { origin: format!("https://{host}") }
    }

    fn url(&self, place: &str) -> String {
        format!("{}{place}", self.origin)
    }
}

fn log(what: &str, error: &JsValue) {
    worker::console_error!(
        r#"{{"event":"edge_cache_failed","what":"{what}","cause":"{}"}}"#,
        describe(error)
    );
}

impl EdgeCache for EdgeCopies {
    type Body = StoredBody;

    async fn find(&self, place: &str) -> Option<(String, StoredBody)> {
        let found = edge_find(&self.url(place)).await.inspect_err(|error| log("find", error)).ok()?;
        let response: Response = found.dyn_into().ok()?;
        Some((edge_note(&response), StoredBody(response)))
    }

    async fn store(&self, place: &str, copy: Copy<'_>, ttl_secs: u32) {
        let stored = edge_store(&self.url(place), copy.note, copy.tags, &copy.body, ttl_secs).await;
        if let Err(error) = stored {
            log("store", &error);
        }
    }

    async fn remove(&self, places: &[String]) {
        let urls: Vec<_> = places.iter().map(|place| self.url(place)).collect();
        if let Err(error) = edge_remove(&urls.join("\n")).await {
            log("remove", &error);
        }
    }
}

/// The body of a copy.
#[derive(Debug)]
pub struct StoredBody(pub(crate) Response);

impl EdgeBody for StoredBody {
    async fn bytes(self) -> Option<Bytes> {
        let buffer = JsFuture::from(self.0.array_buffer().ok()?).await.ok()?;
        let buffer: ArrayBuffer = buffer.dyn_into().ok()?;
        Some(Bytes::from(Uint8Array::new(&buffer).to_vec()))
    }
}
