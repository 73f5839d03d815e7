//! The edge cache (design.md §6): copies of what anyone may read, in the data centre of their readers.
//!
//! The platform's Cache API holds bytes under URLs and drops them after a time; it knows nothing of conditions, ranges,
//! freshness or who may read. So it is asked with a bare GET of a canonical URL, and everything else is ours: what may
//! lie there and for how long ([`entry`]), where ([`place`]), and how a great number of copies is left behind at once
//! ([`generation`]).
//!
//! **Filling races with writing.** A copy may be put after the purge that was to remove it. So who puts one asks the
//! ledger again afterwards and deletes it if the artifact has changed; and until that has surely been done
//! ([`entry::SETTLES_MICROS`]), who finds the copy asks the ledger, too.

pub mod entry;
pub mod generation;
pub mod place;
pub mod purge;

use bytes::Bytes;

/// The cache of one data centre. What fails in it is a miss, logged by whoever implements it.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait EdgeCache {
    /// The body of a copy, which has not been read.
    type Body: EdgeBody;

    /// What lies at a place: the note that it was stored with, and its body.
    async fn find(&self, place: &str) -> Option<(String, Self::Body)>;

    /// Stores a copy for `ttl_secs`, over what lies there.
    async fn store(&self, place: &str, copy: Copy<'_>, ttl_secs: u32);

    /// Removes what lies at these places, if anything does.
    async fn remove(&self, places: &[String]);
}

/// What is stored.
#[derive(Clone, Debug)]
pub struct Copy<'a> {
    /// What [`EdgeCache::find`] gives back.
    pub note: &'a str,
    /// What the zone's purge knows it by, separated by commas; empty for none.
    pub tags: &'a str,
    /// The bytes.
    pub body: Bytes,
}

/// The body of a copy.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait EdgeBody {
    /// Its bytes; `None` where they cannot be read any more.
    async fn bytes(self) -> Option<Bytes>;
}
