//! Where the objects of a table lie: files, and one S3-compatible store, told apart by their keys.

use firn_s3::S3Read;
use firn_store::read::{ObjectBytes, ObjectRead, StoreError, StoreErrorKind};
use firn_types::object::{ByteRange, ObjectKey};
use thiserror::Error;

use crate::file::FileRead;

/// What the key of an object in an S3-compatible store begins with; bucket, slash and its key there follow.
pub(crate) const S3_SCHEME: &str = "s3://";

/// Files, and an S3-compatible store.
#[derive(Debug)]
pub(crate) struct Stores {
    s3: S3Read,
}

/// A location of a store that this tool does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no such kind of store is known; --map can name a folder that holds a copy")]
pub(crate) struct NoStore;

impl Stores {
    /// The store takes keys that begin with their bucket.
    pub(crate) const fn new(s3: S3Read) -> Self {
        Self { s3 }
    }
}

impl ObjectRead for Stores {
    async fn read(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError> {
        if let Some(of_bucket) = key.as_str().strip_prefix(S3_SCHEME) {
            let read = self.s3.read(&ObjectKey::new(of_bucket), range).await;
            return read.map_err(|error| StoreError { key: key.clone(), ..error });
        }
        if key.as_str().contains("://") {
            let (kind, source) = (StoreErrorKind::Unavailable, Some(Box::from(NoStore)));
            return Err(StoreError { kind, key: key.clone(), source });
        }
        FileRead.read(key, range).await
    }
}
