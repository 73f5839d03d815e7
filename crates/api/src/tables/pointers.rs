//! Where the current metadata of a table lies: asked of a REST catalog, or of the pointer object that the local lake
//! commits with.

use firn_iceberg::pointer::{Pointer, pointer_key};
use firn_lookup::table::location::LocationMap;
use firn_store::{perform::CONNECTIONS_MAX, read::ObjectRead};
use firn_types::object::{ByteRange, ObjectKey};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::{
    catalog::{CatalogPlatform, RestCatalog},
    config::TableName,
    error::LakeError,
};

/// Longest pointer object; one of ours is about 200 bytes.
const POINTER_TAIL_LEN_BYTES: u64 = 4 * 1024;

/// Finds the current metadata of tables.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait TablePointers {
    /// The key of each table's current metadata file, in the order of `tables`; `None` for a table that does not exist
    /// yet. Asks anew each time (who holds it for how long is the caller's business), at most
    /// [`CONNECTIONS_MAX`] times at once. `store` is the lake's own.
    async fn locate(
        &self,
        store: &impl ObjectRead,
        tables: &[&TableName],
    ) -> Result<Vec<Option<ObjectKey>>, LakeError>;
}

/// The pointer objects in the lake's own bucket.
#[derive(Clone, Copy, Debug, Default)]
pub struct BucketPointers;

impl TablePointers for BucketPointers {
    async fn locate(
        &self,
        store: &impl ObjectRead,
        tables: &[&TableName],
    ) -> Result<Vec<Option<ObjectKey>>, LakeError> {
        stream::iter(tables)
            .map(|table| read_pointer(store, table))
            .buffered(CONNECTIONS_MAX)
            .try_collect()
            .await
    }
}

/// What the deployment is configured with.
#[derive(Debug)]
pub enum ConfiguredPointers<'a, P> {
    /// The lake's bucket.
    Bucket(BucketPointers),
    /// An Iceberg REST catalog.
    Catalog(RestCatalog<'a, P>),
}

impl<P: CatalogPlatform> TablePointers for ConfiguredPointers<'_, P> {
    async fn locate(
        &self,
        store: &impl ObjectRead,
        tables: &[&TableName],
    ) -> Result<Vec<Option<ObjectKey>>, LakeError> {
        match self {
            Self::Bucket(pointers) => pointers.locate(store, tables).await,
            Self::Catalog(pointers) => pointers.locate(store, tables).await,
        }
    }
}

/// `None` where there is no pointer, so no table yet.
async fn read_pointer(store: &impl ObjectRead, table: &TableName) -> Result<Option<ObjectKey>, LakeError> {
    let object = pointer_key(&table.namespace, &table.name);
    let read = store.read(&object, &ByteRange::Tail { len_bytes: POINTER_TAIL_LEN_BYTES }).await;
    match read {
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
        Ok(found) => {
            let pointer = Pointer::parse(&found.bytes)
                .ok_or_else(|| LakeError::Metadata { object, what: "not a pointer".to_owned() })?;
            Ok(Some(LocationMap::default().object_key(&pointer.metadata_location)))
        }
    }
}
