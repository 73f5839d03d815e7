//! Object reads: the trait, its in-memory twin, range coalescing and caches.
//!
//! Nothing here opens a connection, sleeps or tells the time: an adapter implements [`read::ObjectRead`] over a real
//! store, and whoever retries brings the pause and the jitter.

pub mod breaker;
pub mod cache;
pub mod coalesce;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod counting;
pub mod erased;
pub mod fault;
pub mod memory;
pub mod perform;
pub mod read;
pub mod retry;
pub mod timeout;
