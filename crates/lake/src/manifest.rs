//! Manifests and manifest lists of an Iceberg v2 table that is partitioned by day
//! (<https://iceberg.apache.org/spec/#manifests>, <https://iceberg.apache.org/spec/#manifest-lists>).
//!
//! Only what the writing side needs: entries of its own making, and lists whose foreign entries pass through
//! unchanged. The reading side is `firn-iceberg`.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    avro::{AvroError, decode_container, encode_container},
    data_file::{ColumnMetrics, DataFileMetrics},
    partition::{PARTITION_SPEC_ID, PartitionDay},
    table_schema::{SCHEMA_ID, partition_fields_json, schema_json},
};

/// Avro schemas as text without white space: a manifest's header holds the text, uncompressed.
static ENTRY_SCHEMA: LazyLock<String> = LazyLock::new(|| compact(include_str!("manifest_entry.avsc")));
static LIST_SCHEMA: LazyLock<String> = LazyLock::new(|| compact(include_str!("manifest_file.avsc")));

/// Value of a manifest's `content` that holds data files, not deletes.
pub(crate) const CONTENT_DATA: i32 = 0;

const STATUS_EXISTING: i32 = 0;
const STATUS_ADDED: i32 = 1;
const STATUS_DELETED: i32 = 2;

/// A manifest entry; what it does not say is inherited from its line in the manifest list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ManifestEntry {
    status: i32,
    snapshot_id: Option<i64>,
    sequence_number: Option<i64>,
    file_sequence_number: Option<i64>,
    data_file: ManifestDataFile,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ManifestDataFile {
    content: i32,
    file_path: String,
    file_format: String,
    partition: Partition,
    record_count: i64,
    file_size_in_bytes: i64,
    column_sizes: Option<Vec<KeyLong>>,
    value_counts: Option<Vec<KeyLong>>,
    null_value_counts: Option<Vec<KeyLong>>,
    nan_value_counts: Option<Vec<KeyLong>>,
    lower_bounds: Option<Vec<KeyBytes>>,
    upper_bounds: Option<Vec<KeyBytes>>,
    #[serde(with = "apache_avro::serde::bytes_opt")]
    key_metadata: Option<Vec<u8>>,
    split_offsets: Option<Vec<i64>>,
    equality_ids: Option<Vec<i32>>,
    sort_order_id: Option<i32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Partition {
    #[serde(rename = "__ingest_ts_day")]
    day: Option<i32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeyLong {
    key: i32,
    value: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeyBytes {
    key: i32,
    #[serde(with = "apache_avro::serde::bytes")]
    value: Vec<u8>,
}

/// A line of a manifest list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ManifestFile {
    pub(crate) manifest_path: String,
    pub(crate) manifest_length: i64,
    pub(crate) partition_spec_id: i32,
    pub(crate) content: i32,
    pub(crate) sequence_number: i64,
    pub(crate) min_sequence_number: i64,
    pub(crate) added_snapshot_id: i64,
    pub(crate) added_files_count: i32,
    pub(crate) existing_files_count: i32,
    pub(crate) deleted_files_count: i32,
    pub(crate) added_rows_count: i64,
    pub(crate) existing_rows_count: i64,
    pub(crate) deleted_rows_count: i64,
    partitions: Option<Vec<FieldSummary>>,
    #[serde(with = "apache_avro::serde::bytes_opt")]
    key_metadata: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FieldSummary {
    contains_null: bool,
    contains_nan: Option<bool>,
    #[serde(with = "apache_avro::serde::bytes_opt")]
    lower_bound: Option<Vec<u8>>,
    #[serde(with = "apache_avro::serde::bytes_opt")]
    upper_bound: Option<Vec<u8>>,
}

impl ManifestFile {
    /// A container that was cut off between two blocks is a valid one with fewer files. Merged, they would be lost.
    fn check_live_count(&self, found: usize) -> Result<(), AvroError> {
        let stated = self.added_files_count.saturating_add(self.existing_files_count);
        if i32::try_from(found) == Ok(stated) { Ok(()) } else { Err(AvroError::LiveCount { found, stated }) }
    }
}

/// The commit that a manifest or a manifest list is written by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommitIdentity {
    pub(crate) snapshot_id: i64,
    pub(crate) parent_snapshot_id: Option<i64>,
    pub(crate) sequence_number: i64,
    pub(crate) uuid: Uuid,
}

impl ManifestEntry {
    /// A file that the commit adds. Its sequence numbers are inherited.
    pub(crate) fn added(snapshot_id: i64, file_path: String, metrics: &DataFileMetrics) -> Self {
        let longs = |value: fn(&ColumnMetrics) -> i64| {
            Some(metrics.columns.iter().map(|c| KeyLong { key: c.field_id, value: value(c) }).collect())
        };
        let bounds = |bound: fn(&ColumnMetrics) -> &Option<Vec<u8>>| {
            let known = metrics.columns.iter().filter_map(|c| Some((c.field_id, bound(c).clone()?)));
            Some(known.map(|(key, value)| KeyBytes { key, value }).collect())
        };
        Self {
            status: STATUS_ADDED,
            snapshot_id: Some(snapshot_id),
            sequence_number: None,
            file_sequence_number: None,
            data_file: ManifestDataFile {
                content: CONTENT_DATA,
                file_path,
                file_format: "PARQUET".to_owned(),
                partition: Partition { day: Some(metrics.day.days()) },
                record_count: saturating_i64(metrics.record_count),
                file_size_in_bytes: saturating_i64(metrics.file_size_bytes),
                column_sizes: longs(|c| c.size_bytes),
                value_counts: longs(|c| c.value_count),
                null_value_counts: longs(|c| c.null_count),
                nan_value_counts: None,
                lower_bounds: bounds(|c| &c.lower_bound),
                upper_bounds: bounds(|c| &c.upper_bound),
                key_metadata: None,
                split_offsets: Some(metrics.split_offsets.clone()),
                equality_ids: None,
                sort_order_id: Some(0),
            },
        }
    }

    /// The entry as it stands in a manifest that is rewritten: what it inherited is written out. `None` if its file
    /// was deleted, which only the snapshot that did it has to say.
    fn carried_over(mut self, from: &ManifestFile) -> Option<Self> {
        if self.status == STATUS_DELETED {
            return None;
        }
        // Inheritance is for entries that their manifest's own commit added; others must have their numbers.
        let inherited = (self.status == STATUS_ADDED).then_some(from.sequence_number);
        self.snapshot_id = self.snapshot_id.or(Some(from.added_snapshot_id));
        self.sequence_number = self.sequence_number.or(inherited);
        self.file_sequence_number = self.file_sequence_number.or(inherited);
        self.status = STATUS_EXISTING;
        Some(self)
    }
}

/// Encodes the manifest of the files that a commit adds, and its line for the manifest list.
pub(crate) fn encode_added(
    commit: &CommitIdentity,
    manifest_path: String,
    entries: &[ManifestEntry],
) -> Result<(Vec<u8>, ManifestFile), AvroError> {
    encode_manifest(commit, manifest_path, entries, marker(commit.uuid, 0))
}

/// Rewrites several manifests as one that has the same live files. `None` if none is live.
pub(crate) fn encode_merged(
    commit: &CommitIdentity,
    manifest_path: String,
    sources: &[(&ManifestFile, &[u8])],
) -> Result<Option<(Vec<u8>, ManifestFile)>, AvroError> {
    let mut entries = Vec::new();
    for (from, bytes) in sources {
        let decoded: Vec<ManifestEntry> = decode_container(bytes)?;
        let live: Vec<_> = decoded.into_iter().filter_map(|entry| entry.carried_over(from)).collect();
        from.check_live_count(live.len())?;
        entries.extend(live);
    }
    if entries.is_empty() {
        return Ok(None);
    }
    encode_manifest(commit, manifest_path, &entries, marker(commit.uuid, 1)).map(Some)
}

fn encode_manifest(
    commit: &CommitIdentity,
    manifest_path: String,
    entries: &[ManifestEntry],
    marker: [u8; 16],
) -> Result<(Vec<u8>, ManifestFile), AvroError> {
    let (schema_id, spec_id) = (SCHEMA_ID.to_string(), PARTITION_SPEC_ID.to_string());
    let metadata = [
        ("schema", schema_json()),
        ("schema-id", &schema_id),
        ("partition-spec", partition_fields_json()),
        ("partition-spec-id", &spec_id),
        ("format-version", "2"),
        ("content", "data"),
    ];
    let bytes = encode_container(&ENTRY_SCHEMA, &metadata, marker, entries)?;
    let with_status =
        |status| entries.iter().filter(move |e| e.status == status).map(|e| e.data_file.record_count);
    let (added, existing) = (with_status(STATUS_ADDED), with_status(STATUS_EXISTING));
    let line = ManifestFile {
        manifest_path,
        manifest_length: saturating_i64(bytes.len() as u64),
        partition_spec_id: PARTITION_SPEC_ID,
        content: CONTENT_DATA,
        sequence_number: commit.sequence_number,
        min_sequence_number: entries
            .iter()
            .map(|e| e.sequence_number.unwrap_or(commit.sequence_number))
            .min()
            .unwrap_or(commit.sequence_number),
        added_snapshot_id: commit.snapshot_id,
        added_files_count: saturating_i32(added.clone().count()),
        existing_files_count: saturating_i32(existing.clone().count()),
        deleted_files_count: 0,
        added_rows_count: added.sum(),
        existing_rows_count: existing.sum(),
        deleted_rows_count: 0,
        partitions: Some(vec![summarise(entries)]),
        key_metadata: None,
    };
    Ok((bytes, line))
}

/// Encodes a manifest list.
pub(crate) fn encode_manifest_list(
    commit: &CommitIdentity,
    manifests: &[ManifestFile],
) -> Result<Vec<u8>, AvroError> {
    let snapshot_id = commit.snapshot_id.to_string();
    let parent = commit.parent_snapshot_id.map_or("null".to_owned(), |id| id.to_string());
    let sequence_number = commit.sequence_number.to_string();
    let metadata = [
        ("snapshot-id", snapshot_id.as_str()),
        ("parent-snapshot-id", &parent),
        ("sequence-number", &sequence_number),
        ("format-version", "2"),
    ];
    encode_container(&LIST_SCHEMA, &metadata, marker(commit.uuid, 2), manifests)
}

/// The lines of a manifest list.
pub(crate) fn decode_manifest_list(bytes: &[u8]) -> Result<Vec<ManifestFile>, AvroError> {
    decode_container(bytes)
}

fn summarise(entries: &[ManifestEntry]) -> FieldSummary {
    let days = || entries.iter().filter_map(|e| e.data_file.partition.day);
    let bound = |day: Option<i32>| day.map(|day| PartitionDay::from_days(day).to_bytes().to_vec());
    FieldSummary {
        contains_null: entries.iter().any(|e| e.data_file.partition.day.is_none()),
        contains_nan: Some(false),
        lower_bound: bound(days().min()),
        upper_bound: bound(days().max()),
    }
}

/// A sync marker of its own for each container of a commit.
fn marker(uuid: Uuid, container_idx: u8) -> [u8; 16] {
    let mut marker = *uuid.as_bytes();
    if let Some(last) = marker.last_mut() {
        *last ^= container_idx;
    }
    marker
}

fn compact(json: &str) -> String {
    // No string in the two schemas holds white space.
    json.split_whitespace().collect()
}

fn saturating_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn saturating_i32(value: usize) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
