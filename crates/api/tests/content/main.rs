//! Reads over a real ledger, an edge cache in memory and a lake that answers as it is told.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod batch;
mod caching;
mod crowd;
#[path = "../../../ledger/tests/support/sqlite.rs"]
#[expect(dead_code, reason = "shared with the ledger's own tests, which count rows")]
mod sqlite;
mod world;
