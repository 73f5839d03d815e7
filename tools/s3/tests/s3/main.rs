//! The adapter against a peer in this process: the conformance suite, the requests it sends, and every fault.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "what fails a test may panic")]

mod conformance;
mod faults;
mod peer;
mod requests;
mod signature;
