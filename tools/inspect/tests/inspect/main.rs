//! The binary, as a user runs it: what it prints, and its exit status.
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test opens files, and what fails it may panic"
)]

mod support;

#[path = "../../../s3/tests/s3/peer.rs"]
#[expect(dead_code, reason = "the S3 adapter's own tests use all of it")]
mod peer;

mod broken;
mod corpora;
mod folders;
mod plans;
mod rows;
mod s3;
mod usage;
