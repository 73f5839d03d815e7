//! The lake's bucket: whole objects in and out, and the one conditional put.

use firn_types::object::ObjectKey;
use worker::{Bucket, Conditional, Env, Error, Result};

/// The R2 bucket of the lake.
pub(crate) struct LakeBucket(pub(crate) Bucket);

/// The bytes of an object with their ETag.
pub(crate) struct StoredObject {
    pub(crate) bytes: Vec<u8>,
    pub(crate) etag: String,
}

/// What became of a conditional put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    Stored,
    /// The object is another one than expected; nothing was stored.
    Conflict,
}

impl LakeBucket {
    pub(crate) fn open(env: &Env) -> Result<Self> {
        env.bucket("LAKE_BUCKET").map(Self)
    }

    pub(crate) async fn get(&self, key: &ObjectKey) -> Result<Option<StoredObject>> {
        let Some(object) = self.0.get(key.as_str()).execute().await? else { return Ok(None) };
        let etag = object.etag();
        let body = object.body().ok_or_else(|| Error::RustError(format!("{key} came without a body")))?;
        Ok(Some(StoredObject { bytes: body.bytes().await?, etag }))
    }

    pub(crate) async fn require(&self, key: &ObjectKey) -> Result<Vec<u8>> {
        let found = self.get(key).await?;
        found.map(|object| object.bytes).ok_or_else(|| Error::RustError(format!("{key} is missing")))
    }

    pub(crate) async fn put(&self, key: &ObjectKey, bytes: Vec<u8>) -> Result<()> {
        self.0.put(key.as_str(), bytes).execute().await.map(|_| ())
    }

    /// Stores `bytes` if the object still has this ETag; with `None`, if there is none yet.
    pub(crate) async fn put_if(&self, key: &ObjectKey, bytes: Vec<u8>, etag: Option<&str>) -> Result<Put> {
        let stored = self.put_if_etag(key, bytes, etag).await?;
        Ok(if stored.is_some() { Put::Stored } else { Put::Conflict })
    }

    /// As [`Self::put_if`]; gives the new `ETag`, or none where nothing was stored.
    pub(crate) async fn put_if_etag(
        &self,
        key: &ObjectKey,
        bytes: Vec<u8>,
        etag: Option<&str>,
    ) -> Result<Option<String>> {
        let condition = match etag {
            Some(etag) => Conditional { etag_matches: Some(etag.to_owned()), ..Conditional::default() },
            None => Conditional { etag_does_not_match: Some("*".to_owned()), ..Conditional::default() },
        };
        let stored = self.0.put(key.as_str(), bytes).only_if(condition).execute().await?;
        Ok(stored.map(|object| object.etag()))
    }
}
