//! GETs for an Iceberg REST catalog, and POSTs for the API of a zone.

use bytes::Bytes;
use firn_api::{
    ports::{Body, BodyError, Clock},
    tables::catalog::CatalogPlatform,
};
use firn_store::retry::Pause;
use firn_types::time::Micros;
use js_sys::{Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, Headers, ReadableStreamDefaultReader, RequestInit, RequestRedirect, Response,
};

use crate::{Timer, WallClock, body::describe};

/// The runtime's fetch, timers and clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct CatalogFetch;

impl Pause for CatalogFetch {
    async fn pause(&self, pause_ms: u64) {
        Timer.pause(pause_ms).await;
    }

    fn jitter(&self) -> u32 {
        Timer.jitter()
    }
}

impl Clock for CatalogFetch {
    fn now(&self) -> Micros {
        WallClock.now()
    }
}

impl CatalogPlatform for CatalogFetch {
    type Reply = ReplyBody;

    async fn get(&self, url: &str, token: Option<&str>) -> Result<(u16, ReplyBody), String> {
        let (answer, body) = send(url, token, None).await?;
        Ok((answer.status(), body))
    }
}

/// One POST of JSON with a bearer token; gives the status, `Retry-After` and the body. Redirects are not followed, and
/// dropping the future or the body ends the connection.
///
/// # Errors
/// Why there is no answer, for the log; never with the token.
pub async fn post_json(
    url: &str,
    token: &str,
    body: &str,
) -> Result<(u16, Option<String>, ReplyBody), String> {
    let (answer, reply) = send(url, Some(token), Some(body)).await?;
    let retry_after = answer.headers().get("Retry-After").ok().flatten();
    Ok((answer.status(), retry_after, reply))
}

/// A GET for JSON, or a POST of it.
async fn send(url: &str, token: Option<&str>, body: Option<&str>) -> Result<(Response, ReplyBody), String> {
    let failed = |error: JsValue| describe(&error);
    let headers = Headers::new().map_err(failed)?;
    headers.set("Accept", "application/json").map_err(failed)?;
    if let Some(token) = token {
        // The runtime's message repeats a value that no header can have.
        headers
            .set("Authorization", &format!("Bearer {token}"))
            .map_err(|_| "the token cannot stand in a header")?;
    }
    let connection = Connection(AbortController::new().map_err(failed)?);
    let init = RequestInit::new();
    if let Some(body) = body {
        headers.set("Content-Type", "application/json").map_err(failed)?;
        init.set_method("POST");
        init.set_body(&body.into());
    }
    init.set_headers(&headers);
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(&connection.0.signal()));
    let answer: Response = JsFuture::from(fetch_with(url, &init)).await.map_err(failed)?.unchecked_into();
    let reader = answer.body().map(|stream| stream.get_reader().unchecked_into());
    Ok((answer, ReplyBody { reader, _connection: connection }))
}

/// The body of an answer. Dropping it ends the connection, read or not.
#[derive(Debug)]
pub struct ReplyBody {
    /// `None`: there is no body, or its end was read.
    reader: Option<ReadableStreamDefaultReader>,
    _connection: Connection,
}

impl Body for ReplyBody {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let Some(reader) = &self.reader else { return Ok(None) };
        let broken = |error: JsValue| BodyError::Aborted(describe(&error));
        let result = JsFuture::from(reader.read()).await.map_err(broken)?;
        if Reflect::get(&result, &"done".into()).map_err(broken)?.is_truthy() {
            self.reader = None;
            return Ok(None);
        }
        let value: Uint8Array = Reflect::get(&result, &"value".into()).map_err(broken)?.unchecked_into();
        Ok(Some(Bytes::from(value.to_vec())))
    }
}

/// Aborts what it belongs to when it is dropped: a fetch that nobody awaits would keep one of the invocation's six
/// connections.
#[derive(Debug)]
struct Connection(AbortController);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

// `worker`'s fetch parses the URL in Rust, whose tables of international names are 80 KB of the module (gzip).
#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = fetch)]
    fn fetch_with(url: &str, init: &RequestInit) -> Promise;
}
