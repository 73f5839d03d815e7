//! Reading ranges of objects: the one seam between Firn's reading side and a store.

use std::error::Error;

use bytes::Bytes;
use firn_types::object::{ByteRange, ObjectKey};
use thiserror::Error;

/// Reads ranges of immutable objects.
///
/// No `Send`: a Worker runs on one thread, and its futures hold JavaScript values.
#[expect(async_fn_in_trait, reason = "callers are generic over the store and never need the future's name")]
pub trait ObjectRead {
    /// Reads one range of one object, with one request to the store.
    ///
    /// The bytes are exactly those asked for, never fewer: a [`ByteRange::Range`] gives `end - start` bytes from
    /// `start`; a [`ByteRange::Tail`] gives the last `len_bytes`, or the whole object where it is shorter. The length
    /// of the whole object always comes with them, so that no caller needs a request for it alone.
    ///
    /// An implementation does not retry; [`crate::retry::RetryRead`] does, for every implementation alike.
    async fn read(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError>;
}

impl<R: ObjectRead> ObjectRead for &R {
    async fn read(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError> {
        R::read(self, key, range).await
    }
}

/// Bytes of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectBytes {
    /// The bytes asked for.
    pub bytes: Bytes,
    /// Offset of the first of them in the object.
    pub offset: u64,
    /// Length of the whole object, as the store reports it.
    pub object_len_bytes: u64,
    /// The store's entity tag, where it gives one.
    pub etag: Option<String>,
}

/// Why a read failed, in the few kinds that callers treat differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// There is no such object.
    #[error("no such object")]
    NotFound,
    /// The store asks to be called less often.
    #[error("throttled")]
    Throttled,
    /// The store did not answer in time.
    #[error("timed out")]
    Timeout,
    /// The store cannot be reached, or answered with an error of its own.
    #[error("unavailable")]
    Unavailable,
    /// The store was not asked: it has failed too often just now ([`crate::breaker`]).
    #[error("left alone after failures")]
    LeftAlone,
    /// The store ended its answer before the range was complete.
    #[error("{found_len_bytes} bytes instead of {asked_len_bytes}")]
    ShortRead {
        /// How many bytes the range has.
        asked_len_bytes: u64,
        /// How many arrived.
        found_len_bytes: u64,
    },
    /// The range is empty or ends beyond the object.
    #[error("range lies outside the object of {object_len_bytes} bytes")]
    RangeInvalid {
        /// Length of the object.
        object_len_bytes: u64,
    },
}

/// A failed read.
#[derive(Debug, Error)]
#[error("reading {key}: {kind}")]
pub struct StoreError {
    /// What kind of failure.
    pub kind: StoreErrorKind,
    /// The object; for the log, never for a client.
    pub key: ObjectKey,
    /// What the store's client said.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// A failure without a cause of its own.
    pub fn new(kind: StoreErrorKind, key: &ObjectKey) -> Self {
        Self { kind, key: key.clone(), source: None }
    }

    /// Whether the same read may succeed a little later. Reads have no effect, so repeating one is always safe.
    pub fn is_retryable(&self) -> bool {
        match self.kind {
            StoreErrorKind::Throttled
            | StoreErrorKind::Timeout
            | StoreErrorKind::Unavailable
            | StoreErrorKind::LeftAlone
            | StoreErrorKind::ShortRead { .. } => true,
            StoreErrorKind::NotFound | StoreErrorKind::RangeInvalid { .. } => false,
        }
    }

    /// Whether the object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.kind == StoreErrorKind::NotFound
    }
}
