//! Why a request is refused that broke off, or whose records nobody took.

use firn_types::error::ErrorCode;

use crate::{
    ports::{BodyError, SinkError},
    problem::Problem,
};

/// When a client may try a stream again that was not available.
const RETRY_AFTER_SECS: u32 = 5;

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
    match failure {
        SinkError::Refused(_) => Problem::new(ErrorCode::StreamFailed, "the stream refused the records"),
        SinkError::Unavailable(_) | SinkError::Throttled { .. } => {
            Problem::new(ErrorCode::StreamUnavailable, "try again later")
                .with_header("Retry-After", RETRY_AFTER_SECS.to_string())
        }
    }
    .because(failure)
}
