//! `POST /$.artifacts`: the checks on the head, the body line by line, the answer (design.md §3).
//!
//! ```text
//! head ──▶ admit ──▶ body ──▶ lines ──▶ records ──▶ chunks ──▶ at most 3 in flight ──▶ answer
//!          401 …     abort    errors by line                    reading waits
//! ```

pub mod admit;
pub mod answer;
pub mod deletion;
mod digests;
pub mod gzip;
mod gzip_header;
pub mod ledger_sink;
pub mod publish;
mod refusal;
pub mod retry;
pub mod sink;
mod started;
mod tally;
pub mod terms;
mod touched;
mod visibility;
