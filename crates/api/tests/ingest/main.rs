//! Requests of ingest over a ledger on a native SQLite, and a platform that fails where a test says.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails a test may panic")]

#[allow(dead_code, reason = "shared with the tests of the ledger")]
#[path = "../../../ledger/tests/support/sqlite.rs"]
mod sqlite;
mod world;

mod bulk;
mod deletion;
mod faults;
mod purge;
mod quotas;
