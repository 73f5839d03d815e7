//! Why a request is refused that broke off, or whose records nobody took.

use firn_ledger::{limits::STAGE_ROW_COUNT_MAX, publish::Conflict};
use firn_types::error::ErrorCode;
use serde_json::{Value, json};

use crate::{ingest::sink::SinkError, ports::BodyError, problem::Problem};

/// When a client may try a stream again that was not available.
const RETRY_AFTER_SECS: u64 = 5;

/// A body that could not be read to its end.
pub(super) fn body_problem(error: &BodyError) -> Problem {
    let problem = match error {
        BodyError::Aborted(_) => {
            let detail =
                "the body ended before it was complete; nothing after the last whole chunk was taken";
            Problem::new(ErrorCode::BodyIncomplete, detail)
        }
        BodyError::Encoding(_) => {
            Problem::new(ErrorCode::BodyIncomplete, "the body is not gzip, or ends before its gzip does")
        }
        BodyError::Expands { ratio_max } => {
            let detail = format!("the gzip body expands to more than {ratio_max} times its length");
            Problem::new(ErrorCode::BodyTooLarge, detail).with_member("limit", *ratio_max)
        }
    };
    problem.because(error)
}

/// A sink that took none of the records.
pub(super) fn sink_problem(failure: &SinkError) -> Problem {
    let later =
        |code, secs: u64| Problem::new(code, "try again later").with_header("Retry-After", secs.to_string());
    match failure {
        SinkError::Refused(_) => Problem::new(ErrorCode::StreamFailed, "the stream refused the records"),
        SinkError::Unavailable(_) | SinkError::Throttled { .. } => {
            later(ErrorCode::StreamUnavailable, RETRY_AFTER_SECS)
        }
        SinkError::Ledger(_) => later(ErrorCode::StorageUnavailable, RETRY_AFTER_SECS),
        SinkError::Full { retry_after_secs } => {
            let detail = "too many records of this namespace still wait for the lake; try again later";
            Problem::new(ErrorCode::StorageUnavailable, detail)
                .with_header("Retry-After", retry_after_secs.to_string())
        }
        SinkError::Mismatch => {
            let detail = "this idempotency key was used with another body or mode; nothing was sent";
            Problem::new(ErrorCode::IdempotencyMismatch, detail)
        }
        SinkError::LeaseLost => {
            let detail = "another request with this idempotency key took over";
            Problem::new(ErrorCode::IdempotencyInProgress, detail).with_header("Retry-After", "1")
        }
        SinkError::TooManyRows => {
            let detail = format!("preview and build take at most {STAGE_ROW_COUNT_MAX} records a request");
            Problem::new(ErrorCode::TooManyRecords, detail).with_member("limit", STAGE_ROW_COUNT_MAX)
        }
        SinkError::Conflicts(conflicts) => version_conflict(conflicts),
    }
    .because(failure)
}

/// As [`sink_problem`], of a commit. Where the ledger did not answer, it may be done all the same.
pub(super) fn commit_problem(failure: &SinkError) -> Problem {
    let mut problem = sink_problem(failure);
    if !matches!(failure, SinkError::Ledger(_)) {
        return problem.with_member("accepted", 0);
    }
    "whether the records were taken is not known; send them again, best with an idempotency key from the first time on"
        .clone_into(&mut problem.detail);
    problem
}

/// As [`sink_problem`], before a sink was asked to take anything.
pub(super) use sink_problem as ledger_problem;

/// 409 with each line whose `if_version` did not hold, and the version that was found.
fn version_conflict(conflicts: &[Conflict]) -> Problem {
    let errors: Vec<Value> = conflicts
        .iter()
        .map(|conflict| {
            let found = conflict.found.map_or_else(|| "0".to_owned(), |version| version.to_string());
            json!({ "line": conflict.line, "field": "if_version", "code": "version_conflict", "found": found })
        })
        .collect();
    let detail = format!("if_version did not hold in {} lines; nothing was written", conflicts.len());
    Problem::new(ErrorCode::VersionConflict, detail)
        .with_member("line", conflicts.first().map_or(0, |conflict| conflict.line))
        .with_member("field", "if_version")
        .with_member("errors", errors)
}
