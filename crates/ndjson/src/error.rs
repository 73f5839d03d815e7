//! Why a line is rejected, in the form an answer lists it.

use firn_types::error::LineErrorCode;
use thiserror::Error;

/// Longest piece of a caller's field name that an error repeats: the longest name of a column has 17 bytes, so 64
/// show any typo of one, and 100 errors of an answer stay small.
pub const QUOTED_NAME_LEN_BYTES_MAX: usize = 64;

/// Why one line is rejected. It never holds content: at most the name of a field, cut to
/// [`QUOTED_NAME_LEN_BYTES_MAX`], or the single character of a key that is not allowed there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}: {detail}", code.as_str())]
pub struct LineError {
    /// The stable code.
    pub code: LineErrorCode,
    /// What is wrong, where (as a byte offset from the start of the line, counted from 0) and what the limit is.
    pub detail: String,
    /// The record's field it is about, where there is one.
    pub field: Option<String>,
}

impl LineError {
    /// An error about a field.
    pub fn of_field(code: LineErrorCode, field: &str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), field: Some(quoted_name(field)) }
    }

    /// An error about the line.
    pub fn of_line(code: LineErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), field: None }
    }
}

/// `name`, cut to [`QUOTED_NAME_LEN_BYTES_MAX`].
pub(crate) fn quoted_name(name: &str) -> String {
    if name.len() <= QUOTED_NAME_LEN_BYTES_MAX {
        return name.to_owned();
    }
    let end = name.floor_char_boundary(QUOTED_NAME_LEN_BYTES_MAX);
    format!("{}…", name.get(..end).unwrap_or_default())
}
