//! Lookups in whole tables, against the rows that they should find.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a test opens files, and what fails it may panic"
)]

mod build;
mod lake;

mod broken;
mod conversation;
mod corpora;
mod generated;
mod pyiceberg;
