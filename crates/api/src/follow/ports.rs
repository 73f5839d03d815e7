//! What the follower needs of the platform.

use firn_store::read::{ObjectRead, StoreError};
use firn_types::{key::Namespace, object::ObjectKey};
use thiserror::Error;

use crate::ledger::LedgerPort;

/// What became of a conditional put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is stored.
    Stored {
        /// With this `ETag`.
        etag: String,
    },
    /// The object is another one than expected; nothing was stored.
    Conflict,
}

/// The lake's store, with the one write that the follower does.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait FollowStore: ObjectRead {
    /// Stores an object if it still has this `ETag`; with `None`, if there is none yet. After an error it may be stored
    /// or not.
    async fn put_if(&self, key: &ObjectKey, bytes: Vec<u8>, etag: Option<&str>) -> Result<Put, StoreError>;
}

/// A ledger that could not be asked. Whether it did what was asked is not known; every call may be repeated.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the ledger of {namespace}: {cause}")]
pub struct CallError {
    /// The namespace.
    pub namespace: Namespace,
    /// What is wrong; for the log.
    pub cause: String,
}

/// Some of the ledgers that were ever written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgersPage {
    /// Their namespaces.
    pub namespaces: Vec<Namespace>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

/// The ledgers of all namespaces.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait Ledgers: LedgerPort {
    /// The ledgers that were ever written, a page at a time. One that was written within the last minute may be
    /// missing. The error is for the log.
    async fn list(&self, cursor: Option<&str>) -> Result<LedgersPage, String>;
}
