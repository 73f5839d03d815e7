//! Why the lake gave no answer, and what a client is told of it.

use firn_lookup::table::error::TableError;
use firn_store::read::StoreError;
use firn_types::{error::ErrorCode, object::ObjectKey};
use thiserror::Error;

use super::catalog::{CatalogError, CatalogErrorKind};
use crate::problem::Problem;

/// When a client may ask again after storage failed.
const RETRY_AFTER_SECS: &str = "2";

/// Why the lake gave no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LakeError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The lookup was not done in time.
    #[error("the lookup took longer than {deadline_ms} ms")]
    Deadline {
        /// How long it might take.
        deadline_ms: u64,
    },
    /// A table.
    #[error("table {table}: {source}")]
    Table {
        /// The table's name; for the log.
        table: String,
        /// What is wrong.
        source: Box<TableError>,
    },
    /// A pointer or metadata file that is not one.
    #[error("{object}: {what}")]
    Metadata {
        /// The object; for the log.
        object: ObjectKey,
        /// What is wrong.
        what: String,
    },
    /// A table without the columns of the key.
    #[error("table {table} has no column {column} of a primitive type")]
    NoKeyColumn {
        /// The table's name; for the log.
        table: String,
        /// The column.
        column: &'static str,
    },
}

impl LakeError {
    /// Whether the same read may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Catalog(error) => error.is_retryable(),
            Self::Deadline { .. } => true,
            Self::Table { .. } | Self::Metadata { .. } | Self::NoKeyColumn { .. } => false,
        }
    }

    /// Whether an object is gone that metadata names.
    pub(super) fn is_stale(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_not_found())
    }

    /// What a client is told; what went wrong is for the log.
    pub fn to_problem(&self) -> Problem {
        let is_refused = matches!(self, Self::Catalog(error) if error.kind == CatalogErrorKind::Refused);
        let problem = if self.is_retryable() {
            Problem::new(ErrorCode::StorageUnavailable, "try again later")
                .with_header("Retry-After", RETRY_AFTER_SECS)
        } else if is_refused {
            Problem::new(
                ErrorCode::ConfigurationInvalid,
                "the deployment's configuration of its tables is not valid",
            )
        } else {
            Problem::new(ErrorCode::StorageCorrupt, "the stored artifact cannot be read")
        };
        problem.because(self)
    }
}

#[cfg(test)]
mod tests {
    use firn_store::read::StoreErrorKind;

    use super::*;

    #[track_caller]
    fn check(error: &LakeError, code: ErrorCode) {
        let problem = error.to_problem();
        assert_eq!(problem.code, code, "{error}");
        assert_eq!(problem.cause.as_deref(), Some(error.to_string().as_str()));
        let response = problem.into_response("r1");
        let may_retry = code == ErrorCode::StorageUnavailable;
        assert_eq!(response.header("retry-after"), may_retry.then_some(RETRY_AFTER_SECS), "{error}");
        let body = String::from_utf8(response.body.to_vec()).unwrap();
        assert!(!body.contains("secret"), "{body}");
    }

    #[test]
    fn client_learns_whether_to_come_back_and_nothing_of_the_cause() {
        use CatalogErrorKind as C;
        use StoreErrorKind as S;
        let store = |kind| LakeError::Store(StoreError::new(kind, &ObjectKey::new("secret/key")));
        let catalog = |kind| LakeError::Catalog(CatalogError { kind, what: "secret".into() });
        for kind in [S::Throttled, S::Timeout, S::Unavailable] {
            check(&store(kind), ErrorCode::StorageUnavailable);
        }
        check(&store(S::ShortRead { asked_len_bytes: 2, found_len_bytes: 1 }), ErrorCode::StorageUnavailable);
        check(&store(S::NotFound), ErrorCode::StorageCorrupt);
        check(&store(S::RangeInvalid { object_len_bytes: 1 }), ErrorCode::StorageCorrupt);
        for kind in [C::Throttled, C::Timeout, C::Unavailable] {
            check(&catalog(kind), ErrorCode::StorageUnavailable);
        }
        check(&catalog(C::Refused), ErrorCode::ConfigurationInvalid);
        check(&catalog(C::Invalid), ErrorCode::StorageCorrupt);
        check(&LakeError::Deadline { deadline_ms: 5 }, ErrorCode::StorageUnavailable);
        let object = ObjectKey::new("secret");
        check(&LakeError::Metadata { object, what: String::new() }, ErrorCode::StorageCorrupt);
        let table = "secret".to_owned();
        check(&LakeError::NoKeyColumn { table, column: "ns" }, ErrorCode::StorageCorrupt);
    }
}
