//! The lake's bucket, read in ranges.
//!
//! One read is one request to R2, save where R2 refuses a range: then one more asks how long the object is.

use bytes::Bytes;
use firn_store::read::{ObjectBytes, ObjectRead, StoreError, StoreErrorKind};
use firn_types::object::{ByteRange, ObjectKey};
use worker::{Bucket, Env, Error, Range, Result};

/// R2 through its binding. It passes the suite of `firn_store::conformance` on workerd (`tests/conformance`).
#[derive(Debug)]
pub struct R2Read(Bucket);

impl R2Read {
    /// The bucket of the binding `LAKE_BUCKET`.
    pub fn open(env: &Env) -> Result<Self> {
        env.bucket("LAKE_BUCKET").map(Self)
    }
}

impl ObjectRead for R2Read {
    async fn read(
        &self,
        key: &ObjectKey,
        range: &ByteRange,
    ) -> core::result::Result<ObjectBytes, StoreError> {
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
    async fn get(&self, key: &ObjectKey, range: &ByteRange) -> core::result::Result<ObjectBytes, StoreError> {
        let wanted = match range {
            // R2 takes a length of zero for the whole object.
            ByteRange::Range(range) if range.is_empty() => {
                return Err(StoreError::new(StoreErrorKind::RangeInvalid { object_len_bytes: 0 }, key));
            }
            ByteRange::Range(range) => {
                Range::OffsetWithLength { offset: range.start, length: range.end - range.start }
            }
            ByteRange::Tail { len_bytes } => Range::Suffix { suffix: *len_bytes },
        };
        let object =
            self.0.get(key.as_str()).range(wanted).execute().await.map_err(|error| failed(key, &error))?;
        let object = object.ok_or_else(|| StoreError::new(StoreErrorKind::NotFound, key))?;
        let object_len_bytes = object.size();
        let etag = Some(object.etag());
        let Some(body) = object.body() else {
            return Err(StoreError::new(StoreErrorKind::Unavailable, key));
        };
        let bytes = Bytes::from(body.bytes().await.map_err(|error| failed(key, &error))?);
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
    ) -> core::result::Result<ObjectBytes, StoreError> {
        let head = self.0.head(key.as_str()).await.map_err(|error| failed(key, &error))?;
        let object = head.ok_or_else(|| StoreError::new(StoreErrorKind::NotFound, key))?;
        let object_len_bytes = object.size();
        if matches!(range, ByteRange::Tail { .. }) && object_len_bytes == 0 {
            let etag = Some(object.etag());
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

/// R2 has no error types; its messages end in a code (<https://developers.cloudflare.com/r2/api/error-codes/>).
fn failed(key: &ObjectKey, error: &Error) -> StoreError {
    let message = error.to_string();
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
