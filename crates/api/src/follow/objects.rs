//! The objects that the follower reads whole: pointer, metadata, manifest lists, manifests, the followed object.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use firn_iceberg::{
    followed::{FOLLOWED_LEN_BYTES_MAX, Followed, followed_key},
    manifest::{Manifest, StatsOf},
    manifest_list::{ManifestFile, ManifestList},
    metadata::TableMetadata,
    partition::PartitionSpec,
};
use firn_lookup::table::location::LocationMap;
use firn_types::object::{ByteRange, ObjectKey};

use super::{
    FollowError, Run,
    ports::{FollowStore, Ledgers},
};
use crate::tables::{config::TableName, pointers::TablePointers};

/// Longest object that is read whole: what the readers of metadata, manifest lists and manifests would refuse anyway.
const WHOLE_LEN_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// First read of a metadata file or a manifest list: a longer one costs a second request.
const GUESS_LEN_BYTES: u64 = 256 * 1024;

/// How much more of a manifest is asked for than its list says it has, because writers have counted wrongly.
const MANIFEST_LEN_BYTES_SLACK: u64 = 4 * 1024;

/// The key of the object at a location.
pub(super) fn object_key(location: &str) -> ObjectKey {
    LocationMap::default().object_key(location)
}

/// An object with its entity tag.
struct Whole {
    bytes: Bytes,
    etag: Option<String>,
}

impl<S: FollowStore, P: TablePointers, L: Ledgers> Run<'_, S, P, L> {
    /// `None` where there is no such object.
    async fn read_whole(&self, key: &ObjectKey, guess: u64) -> Result<Option<Whole>, FollowError> {
        let tail = ByteRange::Tail { len_bytes: guess.clamp(1, WHOLE_LEN_BYTES_MAX) };
        let read = match self.read(&[(key.clone(), tail)]).await {
            Err(error) if error.is_not_found() => return Ok(None),
            read => read?,
        };
        let Some(tail) = read.into_iter().next() else { return Ok(None) };
        if tail.object_len_bytes > WHOLE_LEN_BYTES_MAX {
            return Err(broken(key, &format!("it has {} bytes", tail.object_len_bytes)));
        }
        if tail.offset == 0 {
            return Ok(Some(Whole { bytes: tail.bytes, etag: tail.etag }));
        }
        let head = self.read(&[(key.clone(), ByteRange::Range(0..tail.offset))]).await?;
        let mut bytes = BytesMut::new();
        for piece in head {
            bytes.extend_from_slice(&piece.bytes);
        }
        bytes.extend_from_slice(&tail.bytes);
        Ok(Some(Whole { bytes: bytes.freeze(), etag: tail.etag }))
    }

    /// The current metadata; `None` where there is no table.
    pub(super) async fn read_metadata(
        &self,
        name: &TableName,
    ) -> Result<Option<Arc<TableMetadata>>, FollowError> {
        self.spend(1);
        let located = self.lake.pointers.locate(self.lake.store, &[name]).await?;
        let Some(key) = located.into_iter().next().flatten() else { return Ok(None) };
        let found = self.read_whole(&key, GUESS_LEN_BYTES).await?;
        let found = found.ok_or_else(|| FollowError::Gone(key.clone()))?;
        let metadata =
            TableMetadata::parse(&found.bytes).map_err(|error| broken(&key, &error.to_string()))?;
        Ok(Some(Arc::new(metadata)))
    }

    /// How far the table was followed, with the object's entity tag. What is no such object counts as nothing followed.
    pub(super) async fn read_followed(
        &self,
        name: &TableName,
    ) -> Result<(Option<Followed>, Option<String>), FollowError> {
        let key = followed_key(&name.namespace, &name.name);
        let found = self.read_whole(&key, FOLLOWED_LEN_BYTES_MAX).await?;
        Ok(found.map_or((None, None), |found| (Followed::parse(&found.bytes), found.etag)))
    }

    /// `None` where the list is gone.
    pub(super) async fn read_manifest_list(
        &self,
        location: &str,
    ) -> Result<Option<Vec<ManifestFile>>, FollowError> {
        let key = object_key(location);
        let Some(found) = self.read_whole(&key, GUESS_LEN_BYTES).await? else { return Ok(None) };
        let list = ManifestList::parse(&found.bytes).map_err(|error| broken(&key, &error.to_string()))?;
        Ok(Some(list.manifests))
    }

    /// `None` where the manifest is gone.
    pub(super) async fn read_manifest(
        &self,
        of: &ManifestFile,
        spec: &PartitionSpec,
        stats: StatsOf<'_>,
    ) -> Result<Option<Manifest>, FollowError> {
        let key = object_key(&of.location);
        if of.is_encrypted {
            return Err(broken(&key, "it is encrypted"));
        }
        let guess = match of.stated_len_bytes {
            0 => GUESS_LEN_BYTES,
            stated => stated.saturating_add(MANIFEST_LEN_BYTES_SLACK),
        };
        let Some(found) = self.read_whole(&key, guess).await? else { return Ok(None) };
        let manifest = Manifest::parse(&found.bytes, of, spec, stats);
        manifest.map(Some).map_err(|error| broken(&key, &error.to_string()))
    }
}

fn broken(object: &ObjectKey, what: &str) -> FollowError {
    FollowError::Metadata { object: object.clone(), what: what.to_owned() }
}
