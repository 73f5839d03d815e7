//! Table metadata files: read, parsed, held.

use std::{collections::HashMap, sync::Arc};

use firn_iceberg::metadata::TableMetadata;
use firn_store::read::ObjectBytes;
use firn_types::object::{ByteRange, ObjectKey};

use super::{config::TableName, error::LakeError, read::Reader};

/// First read of a metadata file: one of a hundred snapshots has some 60 KB; a longer one costs a second request.
const METADATA_TAIL_LEN_BYTES: u64 = 128 * 1024;

/// A parsed object takes more memory than its bytes; measured on table metadata, about three times as much.
const PARSED_FACTOR: u64 = 3;

impl<'a> Reader<'a> {
    /// The metadata of each table, one wave for all that is not held (two where a file is long).
    pub(super) async fn read_metadata(
        &self,
        wanted: Vec<(&'a TableName, ObjectKey)>,
    ) -> Result<Vec<(&'a TableName, Arc<TableMetadata>)>, LakeError> {
        let of = |(_, object): &(_, ObjectKey)| Some((object.clone(), self.held.metadata(object)?));
        let mut known: HashMap<ObjectKey, Arc<TableMetadata>> = wanted.iter().filter_map(of).collect();
        let missing = wanted.iter().map(|(_, object)| object).filter(|object| !known.contains_key(object));
        let asked: Vec<_> = missing
            .map(|object| (object.clone(), ByteRange::Tail { len_bytes: METADATA_TAIL_LEN_BYTES }))
            .collect();
        let tails = self.wave(&asked).await?;
        let rest: Vec<_> = asked
            .iter()
            .zip(&tails)
            .filter(|(_, tail)| tail.offset > 0)
            .map(|((object, _), tail)| (object.clone(), ByteRange::Range(0..tail.offset)))
            .collect();
        let mut heads = self.wave(&rest).await?.into_iter();
        for ((object, _), tail) in asked.iter().zip(&tails) {
            let head = if tail.offset > 0 { heads.next() } else { None };
            let metadata = Arc::new(parse(object, head.as_ref(), tail)?);
            let len_bytes = tail.object_len_bytes.saturating_mul(PARSED_FACTOR);
            self.held.put_metadata(object, &metadata, len_bytes);
            known.insert(object.clone(), metadata);
        }
        let of = |(table, object): (&'a TableName, ObjectKey)| Some((table, known.get(&object)?.clone()));
        Ok(wanted.into_iter().filter_map(of).collect())
    }
}

fn parse(
    object: &ObjectKey,
    head: Option<&ObjectBytes>,
    tail: &ObjectBytes,
) -> Result<TableMetadata, LakeError> {
    let parsed = match head {
        None => TableMetadata::parse(&tail.bytes),
        Some(head) => TableMetadata::parse(&[head.bytes.as_ref(), tail.bytes.as_ref()].concat()),
    };
    parsed.map_err(|error| LakeError::Metadata { object: object.clone(), what: error.to_string() })
}
