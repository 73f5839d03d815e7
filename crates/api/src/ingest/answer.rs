//! What a publish came to, and its answer (design.md §3).

use firn_ndjson::error::LineError;
use firn_types::{error::ErrorCode, mode::Mode, time::Micros};
use serde::Serialize;

use super::sink::Committed;
use crate::{http::Response, problem::Problem};

/// One rejected line, as the answer lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LineReport {
    /// Line number, from 1; blank lines count.
    pub line: u64,
    /// The stable code.
    pub code: &'static str,
    /// What is wrong.
    pub detail: String,
    /// The record's field, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl LineReport {
    /// The report of an error at a line.
    pub fn new(line: u64, error: LineError) -> Self {
        Self { line, code: error.code.as_str(), detail: error.detail, field: error.field }
    }
}

/// The body of an ingest answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Records taken.
    pub accepted: u64,
    /// Records not taken.
    pub rejected: u64,
    /// Chunks taken.
    pub chunks: u64,
    /// The stream that took them.
    pub pipeline: String,
    /// The mode.
    pub mode: &'static str,
    /// RFC 3339: when queries of the lake are expected to see the records.
    pub estimated_available_at: String,
    /// The first rejected lines; the counts are exact all the same.
    pub errors: Vec<LineReport>,
    /// The request.
    pub request_id: String,
}

/// Where a mode's records go and when they arrive there.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The mode.
    pub mode: Mode,
    /// Name of its stream.
    pub pipeline: String,
    /// Longest time from a send to the rows' commit in the table, in seconds.
    pub flush_secs: u32,
}

impl Destination {
    /// When records sent at `now` are in the table.
    pub fn available_at(&self, now: Micros) -> Micros {
        Micros(now.0.saturating_add(i64::from(self.flush_secs) * 1_000_000))
    }
}

/// What a publish came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// Something was taken, or there was nothing to take.
    Taken {
        /// The answer to send.
        committed: Committed,
        /// Whether it lists rejected lines.
        is_partial: bool,
    },
    /// No line was taken.
    Nothing(Answer),
}

/// The answer with its status: 200 all taken (or nothing to take), 207 some.
///
/// # Errors
/// 400 where no line was taken, with the answer's fields as members of the problem.
pub fn respond(published: Published) -> Result<Response, Problem> {
    match published {
        Published::Taken { committed, is_partial } => {
            let response = Response::new(if is_partial { 207 } else { 200 })
                .with("Content-Type", "application/json")
                .with("Cache-Control", "no-store")
                .with_body(committed.answer);
            Ok(if committed.is_replayed { response.with("X-Idempotency-Replayed", "true") } else { response })
        }
        Published::Nothing(answer) => {
            let detail = format!("all {} records were rejected; errors lists the first", answer.rejected);
            let problem = Problem::new(ErrorCode::NothingAccepted, detail).with_members(&answer);
            Err(problem.with_member("unchanged", 0))
        }
    }
}
