//! The follower over generated tables and ledgers on a native SQLite.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "what fails a test may panic"
)]

#[allow(dead_code, reason = "shared with the tests of the lookup")]
#[path = "../../../lookup/tests/table/build/mod.rs"]
mod build;
mod lake;
#[allow(dead_code, reason = "shared with the tests of the ledger")]
#[path = "../../../ledger/tests/support/sqlite.rs"]
mod sqlite;
mod world;

mod faults;
mod fixtures;
mod generated;
mod rebuild;
mod snapshots;
