//! The lake's bucket, read in ranges.
//!
//! One read is one request to R2, save where R2 refuses a range: then one more asks how long the object is.

use bytes::Bytes;
use firn_store::read::{ObjectBytes, ObjectRead, StoreError, StoreErrorKind};
use firn_types::object::{ByteRange, ObjectKey};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use worker::Env;

use crate::{body::describe, kv::binding};

// Lengths cross as doubles, which hold those of every object (R2 takes 5 TB).
#[wasm_bindgen(module = "/src/bindings.js")]
extern "C" {
    #[wasm_bindgen(js_name = bucketGet, catch)]
    async fn bucket_get(bucket: &JsValue, key: &str, offset: f64, length: f64) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = bucketHead, catch)]
    async fn bucket_head(bucket: &JsValue, key: &str) -> Result<JsValue, JsValue>;
}

/// For `bucketGet`: the last bytes of an object.
const FROM_THE_END: f64 = -1.0;

/// R2 through its binding. It passes the suite of `firn_store::conformance` on workerd (`tests/conformance`).
#[derive(Debug)]
pub struct R2Read(JsValue);

impl R2Read {
    /// The bucket of the binding `LAKE_BUCKET`.
    ///
    /// # Errors
    /// There is none; for the log.
    pub fn open(env: &Env) -> Result<Self, String> {
        binding(env, "LAKE_BUCKET").map(Self).ok_or_else(|| "there is no binding LAKE_BUCKET".to_owned())
    }
}

impl ObjectRead for R2Read {
    async fn read(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError> {
        match self.get(key, range).await {
            // R2 does not say how long the object is.
            Err(error) if matches!(error.kind, StoreErrorKind::RangeInvalid { .. }) => {
                self.explain(key, range, error).await
            }
            outcome => outcome,
        }
    }
}

impl R2Read {
    async fn get(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError> {
        let wanted = match range {
            // R2 takes a length of zero for the whole object.
            ByteRange::Range(range) if range.is_empty() => {
                return Err(StoreError::new(StoreErrorKind::RangeInvalid { object_len_bytes: 0 }, key));
            }
            ByteRange::Range(range) => (double(range.start), double(range.end - range.start)),
            ByteRange::Tail { len_bytes } => (FROM_THE_END, double(*len_bytes)),
        };
        let found = bucket_get(&self.0, key.as_str(), wanted.0, wanted.1).await;
        let found: Array = present(key, found)?;
        let object_len_bytes = len_of(&found);
        let etag = found.get(1).as_string();
        let bytes = Bytes::from(found.get(2).unchecked_into::<Uint8Array>().to_vec());
        let found_len_bytes = bytes.len() as u64;
        let (offset, asked_len_bytes) = match range {
            ByteRange::Range(range) => (range.start, range.end.saturating_sub(range.start)),
            ByteRange::Tail { len_bytes } => {
                let asked = (*len_bytes).min(object_len_bytes);
                (object_len_bytes.saturating_sub(found_len_bytes), asked)
            }
        };
        if found_len_bytes != asked_len_bytes {
            let kind = if offset.saturating_add(asked_len_bytes) > object_len_bytes {
                StoreErrorKind::RangeInvalid { object_len_bytes }
            } else {
                StoreErrorKind::ShortRead { asked_len_bytes, found_len_bytes }
            };
            return Err(StoreError::new(kind, key));
        }
        Ok(ObjectBytes { bytes, offset, object_len_bytes, etag })
    }

    /// What a refused range means: one beyond the object, the tail of an empty one, or a failure of R2's after all.
    async fn explain(
        &self,
        key: &ObjectKey,
        range: &ByteRange,
        refused: StoreError,
    ) -> Result<ObjectBytes, StoreError> {
        let found: Array = present(key, bucket_head(&self.0, key.as_str()).await)?;
        let object_len_bytes = len_of(&found);
        if matches!(range, ByteRange::Tail { .. }) && object_len_bytes == 0 {
            let etag = found.get(1).as_string();
            return Ok(ObjectBytes { bytes: Bytes::new(), offset: 0, object_len_bytes, etag });
        }
        let lies_within = match range {
            ByteRange::Range(range) => !range.is_empty() && range.end <= object_len_bytes,
            ByteRange::Tail { .. } => true,
        };
        let kind = if lies_within {
            StoreErrorKind::Unavailable
        } else {
            StoreErrorKind::RangeInvalid { object_len_bytes }
        };
        Err(StoreError { kind, ..refused })
    }
}

/// What R2 gave, if there is such an object.
fn present(key: &ObjectKey, found: Result<JsValue, JsValue>) -> Result<Array, StoreError> {
    let found = found.map_err(|error| failed(key, &error))?;
    if found.is_null() {
        return Err(StoreError::new(StoreErrorKind::NotFound, key));
    }
    Ok(found.unchecked_into())
}

#[expect(clippy::cast_precision_loss, reason = "lengths of objects are far below 2^53")]
fn double(len_bytes: u64) -> f64 {
    len_bytes as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "R2 gives whole lengths")]
fn len_of(found: &Array) -> u64 {
    found.get(0).as_f64().unwrap_or(0.0) as u64
}

/// R2 has no error types; its messages end in a code (<https://developers.cloudflare.com/r2/api/error-codes/>).
fn failed(key: &ObjectKey, error: &JsValue) -> StoreError {
    let message = describe(error);
    // Its local twin has no code for a range that starts at the object's very end.
    let kind = if message.contains("(10039)") || message.contains("Unspecified error (0)") {
        StoreErrorKind::RangeInvalid { object_len_bytes: 0 }
    } else if message.contains("(10058)") {
        StoreErrorKind::Throttled
    } else {
        StoreErrorKind::Unavailable
    };
    StoreError { kind, key: key.clone(), source: Some(message.into()) }
}
