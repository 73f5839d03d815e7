//! Why a lookup cannot answer: the bytes are *corrupt*, the file uses a feature that Firn lacks (*unsupported*), or a
//! *limit* was met. A row that is not there is none of these, but an empty answer.

use std::fmt;

use firn_types::object::ObjectKey;
use parquet::errors::ParquetError;
use thiserror::Error;

/// The kinds that callers treat differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LookupErrorKind {
    /// The bytes violate the specification.
    Corrupt,
    /// A valid file with a feature that Firn does not read.
    Unsupported,
    /// A file beyond a limit that protects the memory and time of the reader.
    Limit,
}

/// What is wrong, with its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Cause {
    /// The bytes end before what they promise is complete.
    #[error("{what} ends too early")]
    Truncated {
        /// What was read.
        what: &'static str,
    },
    /// A value that the specification, or what stands elsewhere in the file, does not allow.
    #[error("{what} is {found}")]
    Invalid {
        /// What was read.
        what: &'static str,
        /// The offending value.
        found: i128,
    },
    /// Text that is not UTF-8.
    #[error("{what} is not UTF-8")]
    NotUtf8 {
        /// What was read.
        what: &'static str,
    },
    /// The CRC-32 of a page is not the one its header states.
    #[error("checksum of a page is {found:08x}, its header states {expected:08x}")]
    Checksum {
        /// Of the bytes.
        found: u32,
        /// Of the header.
        expected: u32,
    },
    /// Compressed bytes that their codec rejects.
    #[error("{codec} rejects a page")]
    Compression {
        /// The codec.
        codec: &'static str,
    },
    /// What the `parquet` crate says of a footer or a page index.
    #[error("metadata: {0}")]
    Metadata(String),
    /// A feature that Firn lacks.
    #[error("{what} {found} is not supported")]
    Unsupported {
        /// Which kind of feature.
        what: &'static str,
        /// The feature.
        found: String,
    },
    /// More than a limit allows.
    #[error("{what} is {found}, the limit is {limit}")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// The offending number.
        found: u64,
        /// The limit.
        limit: u64,
    },
}

impl Cause {
    /// A value that is not allowed.
    pub(crate) fn invalid(what: &'static str, found: impl Into<i128>) -> Self {
        Self::Invalid { what, found: found.into() }
    }

    /// A feature that is not supported.
    pub(crate) fn unsupported(what: &'static str, found: impl fmt::Debug) -> Self {
        Self::Unsupported { what, found: format!("{found:?}") }
    }

    /// `Ok` where `found` is within `limit`.
    pub(crate) fn check_limit(what: &'static str, found: u64, limit: u64) -> Result<(), Self> {
        if found <= limit { Ok(()) } else { Err(Self::Limit { what, found, limit }) }
    }

    /// The kind it belongs to.
    pub const fn kind(&self) -> LookupErrorKind {
        match self {
            Self::Unsupported { .. } => LookupErrorKind::Unsupported,
            Self::Limit { .. } => LookupErrorKind::Limit,
            Self::Truncated { .. }
            | Self::Invalid { .. }
            | Self::NotUtf8 { .. }
            | Self::Checksum { .. }
            | Self::Compression { .. }
            | Self::Metadata(_) => LookupErrorKind::Corrupt,
        }
    }
}

impl From<ParquetError> for Cause {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::NYI(feature) => Self::Unsupported { what: "feature", found: feature },
            other => Self::Metadata(other.to_string()),
        }
    }
}

/// A lookup that failed, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{object}{}{}: {cause}", row_group.map(|idx| format!(", row group {idx}")).unwrap_or_default(),
    column.as_ref().map(|name| format!(", column {name}")).unwrap_or_default())]
pub struct LookupError {
    /// The object that was read; for the log, never for a client.
    pub object: ObjectKey,
    /// The row group, where one was read.
    pub row_group: Option<usize>,
    /// The column, where one was read.
    pub column: Option<String>,
    /// What is wrong.
    #[source]
    pub cause: Cause,
}

impl LookupError {
    /// An error about a whole object.
    pub fn new(object: &ObjectKey, cause: Cause) -> Self {
        Self { object: object.clone(), row_group: None, column: None, cause }
    }

    /// The kind.
    pub const fn kind(&self) -> LookupErrorKind {
        self.cause.kind()
    }

    /// Whether the bytes violate the specification.
    pub fn is_corrupt(&self) -> bool {
        self.kind() == LookupErrorKind::Corrupt
    }

    /// Whether the file is valid and beyond what Firn reads.
    pub fn is_unsupported(&self) -> bool {
        self.kind() == LookupErrorKind::Unsupported
    }

    /// Whether a limit was met.
    pub fn is_limit(&self) -> bool {
        self.kind() == LookupErrorKind::Limit
    }
}

/// A cause inside a file, with what is known of its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) row_group: Option<usize>,
    pub(crate) column: Option<String>,
    pub(crate) cause: Cause,
}

impl From<Cause> for Located {
    fn from(cause: Cause) -> Self {
        Self { row_group: None, column: None, cause }
    }
}

impl Located {
    /// Names the object.
    pub(crate) fn in_object(self, object: &ObjectKey) -> LookupError {
        let Self { row_group, column, cause } = self;
        LookupError { object: object.clone(), row_group, column, cause }
    }
}
