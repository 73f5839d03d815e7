//! The Pipelines binding: `send(records)`, which `worker` does not wrap.

use firn_api::ingest::sink::{SinkError, StreamPort};
use firn_ndjson::chunk::Rows;
use firn_types::mode::Mode;
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use worker::Env;

#[wasm_bindgen]
extern "C" {
    type Pipeline;

    // Resolves when the records are confirmed. Nothing is reported per record.
    #[wasm_bindgen(method, catch)]
    async fn send(this: &Pipeline, records: &JsValue) -> Result<JsValue, JsValue>;
}

// The runtime's decoder looks at each byte once; a `str` would be checked here and decoded there.
#[wasm_bindgen(module = "/src/rows.js")]
extern "C" {
    #[wasm_bindgen(js_name = rowsOfJson, catch)]
    fn rows_of_json(json: &[u8]) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = rowsOfValues, catch)]
    fn rows_of_values(texts: &[u8], words: &[u32], shared_json: &str) -> Result<JsValue, JsValue>;
}

/// The streams of the deployment, one for each mode.
pub(crate) struct Streams<'e>(pub(crate) &'e Env);

impl Streams<'_> {
    fn pipeline(&self, mode: Mode) -> Result<Pipeline, SinkError> {
        let name = format!("STREAM_{}", mode.as_str().to_ascii_uppercase());
        let binding = js_sys::Reflect::get(self.0, &name.as_str().into()).unwrap_or(JsValue::UNDEFINED);
        if binding.is_undefined() {
            return Err(SinkError::Unavailable(format!("there is no binding {name}")));
        }
        // Not `dyn_into`: the class of the binding differs between the runtimes, its method does not.
        Ok(binding.unchecked_into())
    }
}

impl Streams<'_> {
    /// Sends a JSON array of rows.
    pub(crate) async fn send_json(&self, mode: Mode, json: &[u8]) -> Result<(), SinkError> {
        self.send_records(mode, || rows_of_json(json)).await
    }

    async fn send_records(
        &self,
        mode: Mode,
        records: impl FnOnce() -> Result<JsValue, JsValue>,
    ) -> Result<(), SinkError> {
        let pipeline = self.pipeline(mode)?;
        let records = records().map_err(|error| SinkError::Refused(message(&error)))?;
        pipeline.send(&records).await.map_err(|error| classify(&error))?;
        Ok(())
    }
}

impl StreamPort for Streams<'_> {
    async fn send(&self, mode: Mode, rows: &Rows) -> Result<(), SinkError> {
        self.send_records(mode, || match rows {
            Rows::Json(json) => rows_of_json(json),
            Rows::Values(values) => rows_of_values(values.texts(), values.words(), values.shared_json()),
        })
        .await
    }
}

/// The binding has no error types. A `TypeError` and what names a limit would fail again; the rest may pass.
fn classify(error: &JsValue) -> SinkError {
    let text = message(error);
    if error.is_instance_of::<js_sys::TypeError>() || text.contains("over the limit") {
        return SinkError::Refused(text);
    }
    if text.contains("429") || text.to_ascii_lowercase().contains("too many requests") {
        return SinkError::Throttled { retry_after_ms: retry_after_ms(&text) };
    }
    SinkError::Unavailable(text)
}

/// `Retry-After: 2` in a message, as a peer's HTTP answer would have it.
fn retry_after_ms(text: &str) -> Option<u64> {
    let (_, after) = text.split_once("Retry-After: ")?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse::<u64>().ok()?.checked_mul(1_000)
}

pub(crate) fn message(error: &JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map_or_else(|| format!("{error:?}"), |e| e.message().into())
}
