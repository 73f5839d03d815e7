//! Snapshot commits: what must be stored, in which order, so that new data files become part of a table
//! (<https://iceberg.apache.org/spec/#optimistic-concurrency>).
//!
//! ```text
//! pointer -> table metadata -> manifest list -> manifests -> data files
//! ```
//! Objects are stored from right to left; the pointer, put on condition, makes the commit visible as a whole.
//!
//! # Exactly once
//! A snapshot's summary carries the stream and the highest sequence of its rows that the table holds. A writer that
//! numbers the rows of its stream 1, 2, 3, … and keeps them until they are committed does this:
//!
//! 1. read the pointer with its `ETag`, the metadata it names, the manifest list that
//!    [`current_manifest_list`](crate::metadata::current_manifest_list) names, and the manifests that [`plan_merge`]
//!    names;
//! 2. ask [`committed_sequence`](crate::metadata::committed_sequence); rows up to it are in the table: forget them;
//! 3. encode the rows after it, store the data file under a new name;
//! 4. [`plan_commit`] with the sequences of those rows; store its objects in order;
//! 5. put the pointer if its `ETag` is still that of step 1. If it is not, or if the answer is lost: from step 1.
//!
//! A crash after any step repeats nothing: either the pointer names the new snapshot, and step 2 drops its rows, or it
//! does not, and the objects of the lost attempt are garbage that nothing names. [`plan_commit`] refuses sequences
//! that the table already holds, so that a writer that skips step 2 fails instead of storing rows twice.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Map;
use thiserror::Error;
use uuid::Uuid;

use firn_iceberg::pointer::{Pointer, pointer_key};
use firn_types::{object::ObjectKey, time::Micros};

use crate::{
    avro::AvroError,
    data_file::DataFileMetrics,
    manifest::{
        CONTENT_DATA, CommitIdentity, ManifestEntry, ManifestFile, decode_manifest_list, encode_added,
        encode_manifest_list, encode_merged,
    },
    metadata::{MetadataError, Snapshot, TableMetadata, millis},
    partition::{PARTITION_FIELD_NAME, PARTITION_SPEC_ID, PartitionDay},
    summary::summarise_snapshot,
    table_schema::SCHEMA_ID,
};

/// Manifests of one size class that are merged into one. With [`SIZE_CLASS_FACTOR`] 8 and three classes below
/// [`FULL_MANIFEST_LEN_BYTES`] a table has at most 3 x 4 manifests that are not full, and an entry is rewritten about
/// four times in each class. A manifest costs a lookup one request and 6 KB of header (mostly the schemas' texts).
const MERGE_COUNT: usize = 4;

/// Upper end of the smallest class: an entry is ~200 bytes deflated, so this is some 50 flushes after the header.
const SMALLEST_CLASS_LEN_BYTES: u64 = 16 * 1024;

/// From class to class.
const SIZE_CLASS_FACTOR: u64 = 8;

/// A manifest that is not merged again: some 5,000 data files.
const FULL_MANIFEST_LEN_BYTES: u64 = 1024 * 1024;

/// Manifests merged in one commit, so that its reads stay bounded: 8 of the largest class are below 8 MiB, half of what
/// is ever read of one container.
const MERGE_READ_COUNT_MAX: usize = 8;

/// Where a table lies, and under which name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableConfig {
    /// What comes before an object's key in a location: `s3://bucket` or `file:///folder`, without a slash at the end.
    pub root: String,
    /// Key prefix of the table's objects, without a slash at the end.
    pub prefix: String,
    /// Namespace in the catalog.
    pub namespace: String,
    /// Name in the catalog.
    pub name: String,
}

impl TableConfig {
    /// The location of an object of this bucket.
    pub fn location_of(&self, key: &ObjectKey) -> String {
        format!("{}/{key}", self.root)
    }

    /// The key of a location. `None` if it lies in another bucket.
    pub fn key_of(&self, location: &str) -> Option<ObjectKey> {
        location.strip_prefix(&self.root)?.strip_prefix('/').map(ObjectKey::new)
    }

    /// Key for a new data file.
    pub fn data_file_key(&self, day: PartitionDay, uuid: Uuid) -> ObjectKey {
        ObjectKey::new(&format!("{}/data/{PARTITION_FIELD_NAME}={day}/{uuid}.parquet", self.prefix))
    }

    fn metadata_key(&self, name: &str) -> ObjectKey {
        ObjectKey::new(&format!("{}/metadata/{name}", self.prefix))
    }
}

/// A data file that is stored.
#[derive(Clone, Debug)]
pub struct StoredDataFile {
    /// Its key.
    pub key: ObjectKey,
    /// What its writer said of it.
    pub metrics: DataFileMetrics,
}

/// The rows of a stream that a commit adds: all with a sequence from `first` to `last`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRange {
    /// Name of the stream.
    pub stream: String,
    /// Lowest sequence.
    pub first: u64,
    /// Highest sequence.
    pub last: u64,
}

/// The table as it is.
#[derive(Clone, Copy, Debug)]
pub struct CurrentTable<'a> {
    /// What the pointer says.
    pub metadata_location: &'a str,
    /// The object there.
    pub metadata_json: &'a [u8],
    /// The object that [`current_manifest_list`](crate::metadata::current_manifest_list) names; `None` if it names none.
    pub manifest_list: Option<&'a [u8]>,
    /// Location and bytes of manifests that [`plan_merge`] asked for; the commit merges them. May be empty: then
    /// nothing is merged.
    pub manifests: &'a [(String, Vec<u8>)],
}

/// What is new in a commit.
#[derive(Clone, Debug)]
pub struct Append<'a> {
    /// The data files; at least one.
    pub files: &'a [StoredDataFile],
    /// The rows in them.
    pub range: &'a StreamRange,
    /// More for the snapshot's summary; standard keys win.
    pub summary: BTreeMap<String, String>,
}

/// Ids that a commit needs and must not make itself. Every attempt has new ones.
#[derive(Clone, Copy, Debug)]
pub struct CommitIds {
    /// Names the objects of the attempt.
    pub commit: Uuid,
    /// Used where the commit makes the table.
    pub table: Uuid,
    /// Id of the snapshot: positive, and random enough to be new.
    pub snapshot_id: i64,
}

/// Objects to be stored, in this order.
pub type Objects = Vec<(ObjectKey, Vec<u8>)>;

/// What a commit stores.
#[derive(Clone, Debug)]
pub struct CommitPlan {
    /// Objects under new names, to be stored in this order and before the pointer.
    pub objects: Objects,
    /// The pointer's key and new bytes, to be put on condition.
    pub pointer: (ObjectKey, Vec<u8>),
    /// Location of the new table metadata.
    pub metadata_location: String,
    /// The new table metadata, which is also the last of the objects.
    pub metadata_json: Vec<u8>,
    /// Objects that the new metadata no longer names: manifest lists of expired snapshots and metadata files that left
    /// the log. They may be deleted a while after the commit; readers may still hold the old metadata.
    pub obsolete: Vec<ObjectKey>,
}

/// Why a commit cannot be planned.
#[derive(Debug, Error)]
pub enum CommitError {
    /// The current metadata.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A manifest or the manifest list.
    #[error("manifest")]
    Avro(#[from] AvroError),
    /// Nothing to add.
    #[error("no data files")]
    NoFiles,
    /// `first` is above `last`.
    #[error("sequences {first} to {last} are no range")]
    Range {
        /// Lowest sequence.
        first: u64,
        /// Highest sequence.
        last: u64,
    },
    /// The table already holds rows of the range.
    #[error("rows from sequence {first} on; the table holds those up to {committed}")]
    AlreadyCommitted {
        /// Lowest sequence of the commit.
        first: u64,
        /// Highest sequence of the table.
        committed: u64,
    },
    /// A snapshot id that is not positive or that the table has.
    #[error("snapshot id {0} is not positive, or taken")]
    SnapshotId(i64),
    /// The current snapshot's manifest list was not given.
    #[error("the manifest list {0} is needed")]
    ManifestListMissing(String),
}

/// Which manifests the next commit should merge, as locations: read them and pass them on in
/// [`CurrentTable::manifests`]. Empty most of the time.
pub fn plan_merge(manifest_list: &[u8]) -> Result<Vec<String>, AvroError> {
    let mut classes: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for manifest in decode_manifest_list(manifest_list)? {
        if let Some(class) = size_class(&manifest) {
            classes.entry(class).or_default().push(manifest.manifest_path);
        }
    }
    let due = classes.into_values().find(|manifests| manifests.len() >= MERGE_COUNT);
    Ok(due
        .map(|mut manifests| {
            manifests.truncate(MERGE_READ_COUNT_MAX);
            manifests
        })
        .unwrap_or_default())
}

/// Plans the metadata of an empty table, to be stored where no pointer exists (`If-None-Match: *`).
pub fn plan_create(table: &TableConfig, ids: &CommitIds, now: Micros) -> Result<CommitPlan, CommitError> {
    let metadata = TableMetadata::new(&table.root_of_table(), ids.table, now)?;
    finish_plan(table, ids, 0, &metadata, Vec::new(), Vec::new())
}

/// Plans the commit of new data files. Without a current table it makes one.
pub fn plan_commit(
    table: &TableConfig,
    current: Option<&CurrentTable<'_>>,
    append: &Append<'_>,
    ids: &CommitIds,
    now: Micros,
) -> Result<CommitPlan, CommitError> {
    let mut metadata = match current {
        Some(current) => TableMetadata::parse(current.metadata_json)?,
        None => TableMetadata::new(&table.root_of_table(), ids.table, now)?,
    };
    check_append(&metadata, append, ids)?;
    let parent = metadata.current_snapshot()?.cloned();
    let commit = CommitIdentity {
        snapshot_id: ids.snapshot_id,
        parent_snapshot_id: parent.as_ref().map(|p| p.snapshot_id),
        sequence_number: metadata.last_sequence_number.saturating_add(1),
        uuid: ids.commit,
    };
    let (mut objects, manifests) = plan_manifests(table, &commit, parent.as_ref(), current, append)?;
    let list_key = table.metadata_key(&format!("snap-{}-0-{}.avro", ids.snapshot_id, ids.commit));
    objects.push((list_key.clone(), encode_manifest_list(&commit, &manifests)?));

    let snapshot = Snapshot {
        snapshot_id: commit.snapshot_id,
        parent_snapshot_id: commit.parent_snapshot_id,
        sequence_number: commit.sequence_number,
        // Wall clocks step back; the specification's history does not.
        timestamp_ms: millis(now).max(metadata.last_updated_ms),
        manifest_list: table.location_of(&list_key),
        summary: summarise_snapshot(append, parent.as_ref()),
        schema_id: Some(SCHEMA_ID),
        rest: Map::new(),
    };
    let dropped = metadata.add_snapshot(snapshot, current.map(|c| c.metadata_location));
    let gone = dropped.snapshots.into_iter().map(|s| s.manifest_list).chain(dropped.metadata_locations);
    let obsolete = gone.filter_map(|location| table.key_of(&location)).collect();
    let metadata_idx = current.map_or(0, |c| next_metadata_idx(c.metadata_location));
    finish_plan(table, ids, metadata_idx, &metadata, objects, obsolete)
}

impl TableConfig {
    fn root_of_table(&self) -> String {
        format!("{}/{}", self.root, self.prefix)
    }
}

fn check_append(metadata: &TableMetadata, append: &Append<'_>, ids: &CommitIds) -> Result<(), CommitError> {
    let &StreamRange { first, last, .. } = append.range;
    metadata.check_shape()?;
    if append.files.is_empty() {
        return Err(CommitError::NoFiles);
    }
    if first > last {
        return Err(CommitError::Range { first, last });
    }
    let taken = metadata.snapshots.iter().any(|s| s.snapshot_id == ids.snapshot_id);
    if ids.snapshot_id <= 0 || taken {
        return Err(CommitError::SnapshotId(ids.snapshot_id));
    }
    match metadata.committed_sequence(&append.range.stream)? {
        Some(committed) if first <= committed => Err(CommitError::AlreadyCommitted { first, committed }),
        _ => Ok(()),
    }
}

/// The new manifests, and the lines of the new manifest list: the new one first, then the merged, then the others.
fn plan_manifests(
    table: &TableConfig,
    commit: &CommitIdentity,
    parent: Option<&Snapshot>,
    current: Option<&CurrentTable<'_>>,
    append: &Append<'_>,
) -> Result<(Objects, Vec<ManifestFile>), CommitError> {
    let key = |idx: u8| table.metadata_key(&format!("{}-m{idx}.avro", commit.uuid));
    let entries: Vec<ManifestEntry> = append
        .files
        .iter()
        .map(|file| ManifestEntry::added(commit.snapshot_id, table.location_of(&file.key), &file.metrics))
        .collect();
    let (bytes, line) = encode_added(commit, table.location_of(&key(0)), &entries)?;
    let (mut objects, mut manifests) = (vec![(key(0), bytes)], vec![line]);

    let mut old = match (parent, current.and_then(|c| c.manifest_list)) {
        (None, _) => Vec::new(),
        (Some(_), Some(list)) => decode_manifest_list(list)?,
        (Some(parent), None) => return Err(CommitError::ManifestListMissing(parent.manifest_list.clone())),
    };
    let given: BTreeMap<&str, &[u8]> = current
        .map_or(&[][..], |c| c.manifests)
        .iter()
        .map(|(location, bytes)| (location.as_str(), bytes.as_slice()))
        .collect();
    let sources: Vec<(&ManifestFile, &[u8])> = old
        .iter()
        .filter(|manifest| size_class(manifest).is_some())
        .filter_map(|manifest| Some((manifest, *given.get(manifest.manifest_path.as_str())?)))
        .collect();
    // One manifest alone would be copied for nothing.
    if sources.len() > 1 {
        let merged = encode_merged(commit, table.location_of(&key(1)), &sources)?;
        let replaced: BTreeSet<String> = sources.iter().map(|(m, _)| m.manifest_path.clone()).collect();
        old.retain(|manifest| !replaced.contains(&manifest.manifest_path));
        if let Some((bytes, line)) = merged {
            objects.push((key(1), bytes));
            manifests.push(line);
        }
    }
    manifests.extend(old);
    Ok((objects, manifests))
}

/// The class by which manifests are merged. `None` for those that are not: full ones, deletes, other partition specs.
fn size_class(manifest: &ManifestFile) -> Option<u32> {
    let len_bytes = u64::try_from(manifest.manifest_length).ok()?;
    let is_ours = manifest.content == CONTENT_DATA && manifest.partition_spec_id == PARTITION_SPEC_ID;
    if !is_ours || len_bytes >= FULL_MANIFEST_LEN_BYTES {
        return None;
    }
    Some(
        (len_bytes / SMALLEST_CLASS_LEN_BYTES)
            .checked_ilog(SIZE_CLASS_FACTOR)
            .map_or(0, |class| class.saturating_add(1)),
    )
}

/// The number that a metadata file's name starts with, and one more. Names only help people; 0 if there is none.
fn next_metadata_idx(location: &str) -> u64 {
    let name = location.rsplit('/').next().unwrap_or_default();
    let number = name.split('-').next().and_then(|digits| digits.parse::<u64>().ok());
    number.map_or(0, |number| number.saturating_add(1))
}

fn finish_plan(
    table: &TableConfig,
    ids: &CommitIds,
    metadata_idx: u64,
    metadata: &TableMetadata,
    mut objects: Objects,
    obsolete: Vec<ObjectKey>,
) -> Result<CommitPlan, CommitError> {
    let key = table.metadata_key(&format!("{metadata_idx:05}-{}.metadata.json", ids.commit));
    let metadata_location = table.location_of(&key);
    let metadata_json = metadata.encode()?;
    objects.push((key, metadata_json.clone()));
    let pointer = Pointer { metadata_location: metadata_location.clone() }.render();
    let pointer = (pointer_key(&table.namespace, &table.name), pointer);
    Ok(CommitPlan { objects, pointer, metadata_location, metadata_json, obsolete })
}
