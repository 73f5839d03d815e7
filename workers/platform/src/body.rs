//! The body of a request through a BYOB reader.
//!
//! The default reader delivers 4 KiB at a time and costs ten times as much; `worker`'s own stream takes a client's
//! abort for the end of the body. Here an abort is the reader's rejection, and `done` alone is the end.

use bytes::Bytes;
use firn_api::ports::{Body, BodyError};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    ReadableStream, ReadableStreamByobReader, ReadableStreamGetReaderOptions, ReadableStreamReaderMode,
};

/// Length of the buffer that the runtime fills. 256 KiB is where its cost a byte stops falling.
const BUFFER_LEN_BYTES: u32 = 256 * 1024;

/// A request's body.
#[derive(Debug)]
pub struct RequestBody {
    source: Source,
    /// The buffer, handed to and fro between us and the runtime.
    buffer: Option<Uint8Array>,
}

#[derive(Debug)]
enum Source {
    /// Nobody has asked for it yet: most requests are never asked.
    Unopened(web_sys::Request),
    Open(ReadableStreamByobReader),
    /// There is none, or its end was read.
    Ended,
}

impl RequestBody {
    /// Takes the body of `request`.
    pub fn new(request: web_sys::Request) -> Self {
        Self { source: Source::Unopened(request), buffer: None }
    }
}

impl Body for RequestBody {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        if let Source::Unopened(request) = &self.source {
            let stream = request.body();
            self.source = stream.map_or(Source::Ended, |stream| Source::Open(byob_reader(&stream)));
        }
        let Source::Open(reader) = &self.source else { return Ok(None) };
        let buffer = self.buffer.take().unwrap_or_else(|| Uint8Array::new_with_length(BUFFER_LEN_BYTES));
        let promise = reader.read_with_array_buffer_view(&buffer);
        let result = JsFuture::from(promise).await.map_err(|error| aborted(&error))?;
        let is_done = Reflect::get(&result, &"done".into()).is_ok_and(|done| done.is_truthy());
        let value = Reflect::get(&result, &"value".into()).map_err(|error| aborted(&error))?;
        let filled: Option<Uint8Array> = value.dyn_into().ok();
        if is_done {
            self.source = Source::Ended;
            return Ok(None);
        }
        let Some(filled) = filled else { return Err(BodyError::Aborted("a read gave no bytes".to_owned())) };
        let bytes = Bytes::from(filled.to_vec());
        // The runtime detached the buffer and gave it back below the view that it filled.
        self.buffer = Some(Uint8Array::new(&filled.buffer()));
        Ok(Some(bytes))
    }
}

fn byob_reader(stream: &ReadableStream) -> ReadableStreamByobReader {
    let options = ReadableStreamGetReaderOptions::new();
    options.set_mode(ReadableStreamReaderMode::Byob);
    stream.get_reader_with_options(&options).unchecked_into()
}

fn aborted(error: &JsValue) -> BodyError {
    BodyError::Aborted(describe(error))
}

/// The message of a thrown value.
pub(crate) fn describe(error: &JsValue) -> String {
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => format!("{error:?}"),
    }
}
