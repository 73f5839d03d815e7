//! Where a request's records go: the shape of an atomic publish, and what it needs of the platform.

use firn_ledger::{publish::Conflict, row::Standing};
use firn_ndjson::chunk::{Chunk, Rows};
use firn_types::mode::Mode;
use thiserror::Error;

use super::answer::Answer;

/// Why a chunk or a whole request was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
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
    /// The ledger could not be reached, or failed; later it may not.
    #[error("the ledger is not available: {0}")]
    Ledger(String),
    /// Too much content waits in the ledger for the lake to hold it.
    #[error("the ledger holds as much as it may")]
    Full {
        /// Seconds to wait.
        retry_after_secs: u64,
    },
    /// The key was used with another body.
    #[error("the idempotency key was used with another body")]
    Mismatch,
    /// Another request with the same key took over.
    #[error("another request with the same idempotency key took over")]
    LeaseLost,
    /// More records than one all-or-nothing request may have, whatever its namespace allows.
    #[error("more records than a ledger takes at once")]
    TooManyRows,
    /// Conditions of records did not hold.
    #[error("{} conditions did not hold", .0.len())]
    Conflicts(Vec<Conflict>),
}

/// The server's side of one row, as a ledger keeps it beside the row's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowHead {
    /// Line in the body.
    pub line: u64,
    /// The artifact's type.
    pub artifact_type: String,
    /// The artifact's id.
    pub id: String,
    /// Rights and the like.
    pub standing: Standing,
    /// Hash of the content; zeros where none was made.
    pub hash: [u8; 32],
    /// The first half of the SHA-256 of the metadata's text; zeros where there is none.
    pub metadata_digest: [u8; 16],
    /// The version that must be current; 0: there must be none.
    pub if_version: Option<i64>,
    /// Bytes of the row in its chunk.
    pub len_bytes: usize,
}

/// A chunk on its way.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Its place in the body, from 0.
    pub idx: u64,
    /// Of its request.
    pub mode: Mode,
    /// The rows.
    pub chunk: Chunk,
    /// The head of each row, in order; none in bulk, where no ledger keeps the rows.
    pub rows: Vec<RowHead>,
    /// Digest of the lines from the end of the chunk before to the end of this one; empty where nothing can be resumed.
    pub digest: Vec<u8>,
}

/// What a request came to, when all of it was staged.
#[derive(Clone, Copy, Debug)]
pub struct Closing<'a> {
    /// Chunks.
    pub chunk_count: u64,
    /// Records sent.
    pub record_count: u64,
    /// Digest of the whole body, where the request has an idempotency key.
    pub body_digest: Option<[u8; 32]>,
    /// Its answer, but for what only the commit tells.
    pub answer: &'a Answer,
}

/// Takes the chunks of one request: staged one by one, then committed or aborted. In preview and build nothing is taken
/// before the commit; in bulk each chunk is taken when it is staged.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait ChunkSink {
    /// Stages a chunk. Several may be under way at once, in any order; repeating one has no further effect.
    async fn stage(&self, outgoing: &Outgoing) -> Result<(), SinkError>;

    /// Makes everything staged visible, and keeps the answer under the idempotency key; gives the answer to send.
    async fn commit(&self, closing: &Closing<'_>) -> Result<Committed, SinkError>;

    /// Drops what is staged and not taken yet.
    async fn abort(&self);
}

impl<S: ChunkSink> ChunkSink for &S {
    async fn stage(&self, outgoing: &Outgoing) -> Result<(), SinkError> {
        S::stage(self, outgoing).await
    }

    async fn commit(&self, closing: &Closing<'_>) -> Result<Committed, SinkError> {
        S::commit(self, closing).await
    }

    async fn abort(&self) {
        S::abort(self).await;
    }
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The answer to send, as JSON.
    pub answer: Vec<u8>,
    /// Whether it is that of an earlier request with the same key, which did it all.
    pub is_replayed: bool,
}

/// The streams of the deployment.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait StreamPort {
    /// Sends rows to the stream of a mode.
    async fn send(&self, mode: Mode, rows: &Rows) -> Result<(), SinkError>;
}

/// Finished answers by the hash of their idempotency key, for 24 hours. A store that fails forgets: the ledger knows a
/// running request, and a finished one for ten minutes.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait AnswerStore {
    /// The answer, if there is one.
    async fn get(&self, key: &str) -> Option<Vec<u8>>;

    /// Keeps an answer.
    async fn put(&self, key: &str, answer: Vec<u8>);
}
