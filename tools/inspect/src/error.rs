//! Why there is no answer, and the exit status that says so.

use std::io;

use firn_iceberg::error::ErrorKind;
use firn_lookup::{file::error::LookupErrorKind, table::error::TableError};
use firn_s3::config::EndpointError;
use firn_store::read::{StoreError, StoreErrorKind};
use firn_types::object::ObjectKey;
use thiserror::Error;

use crate::stores::NoStore;

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum InspectError {
    /// Of a manifest, a data file, a delete file.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Of the table metadata file.
    #[error("{object}: {source}")]
    Metadata { object: ObjectKey, source: firn_iceberg::error::Error },
    /// Of the store.
    #[error("{0}{cause}", cause = cause(.0))]
    Store(#[from] StoreError),
    /// There is no such table.
    #[error("{table}: {problem}")]
    NoTable { table: String, problem: &'static str },
    /// Two metadata files have the newest version.
    #[error("{first} and {second} have the same version; name the one that was committed")]
    TwoNewest { first: String, second: String },
    /// A text that is not `PREFIX=FOLDER`.
    #[error("--map {found}: expected PREFIX=FOLDER with a folder that exists, or an s3:// URL")]
    Map { found: String },
    /// An argument that needs another.
    #[error("{0}")]
    Missing(&'static str),
    /// A column that is not there, or not of this kind.
    #[error("column {name}: {problem}")]
    Column { name: String, problem: &'static str },
    /// A value that is none of its column's type.
    #[error("--key {column}: {found:?} is no {expected}")]
    Key { column: String, found: String, expected: String },
    /// The endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Standard output.
    #[error("standard output: {0}")]
    Output(#[source] io::Error),
}

/// What the user does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Usage,
    Unsupported,
    Limit,
    Corrupt,
    Storage,
}

impl InspectError {
    /// 2 usage, 3 unsupported, 4 corrupt, 5 storage.
    pub(crate) fn exit_status(&self) -> u8 {
        match self.class() {
            Class::Usage => 2,
            // Beyond a limit: valid, perhaps, and not read.
            Class::Unsupported | Class::Limit => 3,
            Class::Corrupt => 4,
            Class::Storage => 5,
        }
    }

    /// The first word of the message.
    pub(crate) fn label(&self) -> &'static str {
        match self.class() {
            Class::Usage => "usage",
            Class::Unsupported => "unsupported",
            Class::Limit => "unsupported, beyond a limit",
            Class::Corrupt => "corrupt",
            Class::Storage => "storage",
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Table(error) => match error.kind() {
                Some(LookupErrorKind::Unsupported) => Class::Unsupported,
                Some(LookupErrorKind::Limit) => Class::Limit,
                Some(_) => Class::Corrupt,
                None => Class::Usage,
            },
            Self::Metadata { source, .. } => match source.kind() {
                ErrorKind::Unsupported => Class::Unsupported,
                ErrorKind::LimitExceeded => Class::Limit,
                _ => Class::Corrupt,
            },
            Self::Store(error) => match error.kind {
                // What the table names is not there, or ends before the place that it names.
                StoreErrorKind::NotFound | StoreErrorKind::RangeInvalid { .. } => Class::Corrupt,
                _ if error.source.as_ref().is_some_and(|source| source.is::<NoStore>()) => Class::Unsupported,
                _ => Class::Storage,
            },
            Self::Output(_) => Class::Storage,
            Self::NoTable { .. }
            | Self::TwoNewest { .. }
            | Self::Map { .. }
            | Self::Missing(_)
            | Self::Column { .. }
            | Self::Key { .. }
            | Self::Endpoint(_) => Class::Usage,
        }
    }
}

/// What the store's client said, behind what a [`StoreError`] shows.
fn cause(error: &StoreError) -> String {
    error.source.as_ref().map(|source| format!(": {source}")).unwrap_or_default()
}
