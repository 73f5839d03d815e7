//! What the drivers need of the platform. No trait asks for `Send`: a Worker has one thread.

use bytes::Bytes;
use firn_ndjson::chunk::Chunk;
use firn_types::{mode::Mode, time::Micros};
use thiserror::Error;

/// The wall clock.
pub trait Clock {
    /// Now.
    fn now(&self) -> Micros;
}

/// Why a body cannot be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The client went away, or the connection broke. Never the end of a complete body.
    #[error("the body broke off: {0}")]
    Aborted(String),
    /// The body is not in its `Content-Encoding`, or ends within it.
    #[error("the body is not gzip: {0}")]
    Encoding(String),
    /// The body expands beyond all reason.
    #[error("the body expands to more than {ratio_max} times its length")]
    Expands {
        /// Most bytes of content for one of the body.
        ratio_max: u64,
    },
}

/// The body of a request, as a stream.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait Body {
    /// The next bytes; `None` only at the end of a complete body.
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError>;
}

/// Why a chunk was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SinkError {
    /// The stream refused it, and would again.
    #[error("the stream refused a chunk: {0}")]
    Refused(String),
    /// The stream could not be reached or had no room; later it may.
    #[error("the stream is not available: {0}")]
    Unavailable(String),
    /// The stream asks for fewer sends.
    #[error("the stream is throttled")]
    Throttled {
        /// How long it asks to wait, where it says so.
        retry_after_ms: Option<u64>,
    },
}

/// Takes the chunks of one request, in the shape of an atomic publish: staged one by one, then committed or aborted.
///
/// A sink without a ledger behind it takes each chunk for good when it is staged; then [`Self::commit`] has nothing
/// left to do and [`Self::abort`] nothing to undo. [`Self::durability`] says which kind it is.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait ChunkSink {
    /// When a staged chunk is taken for good.
    fn durability(&self) -> Durability;

    /// Stages a chunk. Several may be under way at once, in any order.
    async fn stage(&self, mode: Mode, chunk: &Chunk) -> Result<(), SinkError>;

    /// Makes everything staged visible.
    async fn commit(&self) -> Result<(), SinkError>;

    /// Drops what is staged and not taken yet.
    async fn abort(&self);
}

/// When a chunk that a sink confirmed is taken for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// At once, by [`ChunkSink::stage`].
    WhenStaged,
    /// All chunks together, by [`ChunkSink::commit`].
    WhenCommitted,
}
