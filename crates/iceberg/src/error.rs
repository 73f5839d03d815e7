//! What can be wrong with the metadata of a table.

use thiserror::Error;

/// Which metadata an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The table metadata file.
    TableMetadata,
    /// A schema, inside table metadata.
    Schema,
    /// A partition spec, inside table metadata.
    PartitionSpec,
    /// The property `schema.name-mapping.default`.
    NameMapping,
    /// A manifest list.
    ManifestList,
    /// A manifest.
    Manifest,
    /// A deletion vector.
    DeletionVector,
}

impl Part {
    /// The spec's noun.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TableMetadata => "table metadata",
            Self::Schema => "schema",
            Self::PartitionSpec => "partition spec",
            Self::NameMapping => "name mapping",
            Self::ManifestList => "manifest list",
            Self::Manifest => "manifest",
            Self::DeletionVector => "deletion vector",
        }
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a caller does about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes violate the spec.
    Corrupt,
    /// The bytes are valid, or may be, and need something that this crate lacks.
    Unsupported,
    /// The bytes ask for more than a limit allows.
    LimitExceeded,
}

/// Why metadata cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not JSON, or lacks the shape of the part.
    #[error("{part}: {source}")]
    Json {
        /// The part.
        part: Part,
        /// What the JSON reader found.
        source: serde_json::Error,
    },
    /// A field that must be there is not.
    #[error("{part}: {field} is missing")]
    Missing {
        /// The part.
        part: Part,
        /// The field.
        field: &'static str,
    },
    /// A field holds what the spec does not allow.
    #[error("{part}: {field} is {found}; expected {expected}")]
    Invalid {
        /// The part.
        part: Part,
        /// The field.
        field: &'static str,
        /// What it holds, shortened.
        found: String,
        /// What the spec allows.
        expected: &'static str,
    },
    /// The bytes end before the value does.
    #[error("{part}: ends at byte {len_bytes} inside {field}")]
    UnexpectedEnd {
        /// The part.
        part: Part,
        /// What was being read.
        field: &'static str,
        /// How many bytes there were.
        len_bytes: usize,
    },
    /// A checksum does not hold.
    #[error("{part}: checksum is {found:#010x}; expected {expected:#010x}")]
    Checksum {
        /// The part.
        part: Part,
        /// Computed over the bytes.
        found: u32,
        /// Stored beside them.
        expected: u32,
    },
    /// A feature this crate lacks.
    #[error("{part}: {feature} {found} is not supported")]
    Unsupported {
        /// The part.
        part: Part,
        /// The kind of feature.
        feature: &'static str,
        /// Which one.
        found: String,
    },
    /// A count or a length over its limit.
    #[error("{part}: {what} is {found}; the limit is {limit}")]
    LimitExceeded {
        /// The part.
        part: Part,
        /// What is counted.
        what: &'static str,
        /// The count.
        found: u64,
        /// The limit.
        limit: u64,
    },
}

/// Longest piece of an offending value that an error keeps: enough to recognise it in a log line.
const FOUND_LEN_BYTES_MAX: usize = 80;

impl Error {
    /// What to do about it.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Json { .. }
            | Self::Missing { .. }
            | Self::Invalid { .. }
            | Self::UnexpectedEnd { .. }
            | Self::Checksum { .. } => ErrorKind::Corrupt,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::LimitExceeded { .. } => ErrorKind::LimitExceeded,
        }
    }

    /// Whether the bytes violate the spec.
    pub const fn is_corrupt(&self) -> bool {
        matches!(self.kind(), ErrorKind::Corrupt)
    }

    pub(crate) fn invalid(
        part: Part,
        field: &'static str,
        found: &(impl ToString + ?Sized),
        expected: &'static str,
    ) -> Self {
        Self::Invalid { part, field, found: shorten(found.to_string()), expected }
    }

    pub(crate) fn unsupported(part: Part, feature: &'static str, found: &(impl ToString + ?Sized)) -> Self {
        Self::Unsupported { part, feature, found: shorten(found.to_string()) }
    }

    /// Fails where `found` is over `limit`.
    pub(crate) fn check_limit(
        part: Part,
        what: &'static str,
        found: usize,
        limit: usize,
    ) -> Result<(), Self> {
        if found <= limit {
            return Ok(());
        }
        Err(Self::LimitExceeded { part, what, found: found as u64, limit: limit as u64 })
    }
}

fn shorten(mut text: String) -> String {
    if text.len() > FOUND_LEN_BYTES_MAX {
        text.truncate(text.floor_char_boundary(FOUND_LEN_BYTES_MAX));
        text.push('…');
    }
    text
}
