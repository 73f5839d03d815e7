//! What applies to a request, and what it needs from outside.

use firn_ndjson::digest::Sha256;
use firn_types::{key::Namespace, visibility::Visibility};

use super::{answer::Destination, ledger_sink::Naming};
use crate::problem::Problem;

/// What a request may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Records.
    pub record_count_max: u64,
    /// Bytes of the decompressed body.
    pub body_len_bytes_max: u64,
}

/// What applies to a request once its namespace is known.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Where the records go.
    pub destination: Destination,
    /// Visibility of records that name none.
    pub default_visibility: Visibility,
    /// The namespace's limits.
    pub limits: Limits,
    /// How its rows are named.
    pub naming: Naming,
}

/// What a publish needs from outside it.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait PublishContext {
    /// A hash.
    type Hash: Sha256;

    /// A fresh hash of one record; `None` where records are measured but not hashed.
    fn record_hash(&self) -> Option<Self::Hash>;

    /// A fresh hash of lines, where the request has an idempotency key.
    fn line_hash(&self) -> Option<Self::Hash>;

    /// Begins in a namespace that the caller may write; called once, before anything is staged. A namespace that is
    /// over its rate, whose configuration is broken, or where the key is taken, is a problem.
    async fn begin(&self, ns: &Namespace) -> Result<Terms, Problem>;
}
