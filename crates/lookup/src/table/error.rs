//! Why a lookup of a table cannot answer.

use firn_types::object::ObjectKey;
use thiserror::Error;

use crate::file::error::{LookupError, LookupErrorKind};

/// A lookup of a table that failed, and where.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TableError {
    /// A manifest list, a manifest or a deletion vector.
    #[error("{object}: {source}")]
    Metadata {
        /// The object; for the log, never for a client.
        object: ObjectKey,
        /// What is wrong with it.
        source: firn_iceberg::error::Error,
    },
    /// A data file or delete file.
    #[error(transparent)]
    File(#[from] LookupError),
    /// A feature that Firn lacks.
    #[error("{object}: {what} {found} is not supported")]
    Unsupported {
        /// The object.
        object: ObjectKey,
        /// The kind of feature.
        what: &'static str,
        /// Which one.
        found: String,
    },
    /// What one object says of another cannot be.
    #[error("{object}: {what} is {found}")]
    Inconsistent {
        /// The object that is wrong.
        object: ObjectKey,
        /// What is wrong.
        what: &'static str,
        /// The offending value.
        found: String,
    },
    /// More than a limit allows.
    #[error("{object}: {what} is {found}, the limit is {limit}")]
    Limit {
        /// The object.
        object: ObjectKey,
        /// What is limited.
        what: &'static str,
        /// The offending number.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// What is asked for is not in the table's schema.
    #[error("column {field_id} {problem}")]
    Column {
        /// The column.
        field_id: i32,
        /// Why it cannot be asked for.
        problem: &'static str,
    },
    /// The snapshot asked for is not there (any more).
    #[error("snapshot {0} is not in the table metadata")]
    NoSuchSnapshot(i64),
    /// The driver did not give one answer to each need.
    #[error("{found} answers to {expected} needs")]
    Answers {
        /// Needs.
        expected: usize,
        /// Answers.
        found: usize,
    },
}

impl TableError {
    /// The kind. A column or snapshot that does not exist, and a driver that breaks the rules, have none.
    pub fn kind(&self) -> Option<LookupErrorKind> {
        use firn_iceberg::error::ErrorKind;
        match self {
            Self::Metadata { source, .. } => Some(match source.kind() {
                ErrorKind::Unsupported => LookupErrorKind::Unsupported,
                ErrorKind::LimitExceeded => LookupErrorKind::Limit,
                _ => LookupErrorKind::Corrupt,
            }),
            Self::File(error) => Some(error.kind()),
            Self::Unsupported { .. } => Some(LookupErrorKind::Unsupported),
            Self::Inconsistent { .. } => Some(LookupErrorKind::Corrupt),
            Self::Limit { .. } => Some(LookupErrorKind::Limit),
            Self::Column { .. } | Self::NoSuchSnapshot(_) | Self::Answers { .. } => None,
        }
    }
}
