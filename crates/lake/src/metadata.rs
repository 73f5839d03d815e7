//! Table metadata of Iceberg v2 as this writer changes it (<https://iceberg.apache.org/spec/#table-metadata-fields>).
//!
//! Fields that it does not know are carried over unchanged.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use thiserror::Error;
use uuid::Uuid;

use firn_types::{schema::COLUMNS, time::Micros};

use crate::{
    partition::{PARTITION_FIELD_ID, PARTITION_SPEC_ID},
    table_schema::{SCHEMA_ID, last_column_id, partition_fields_json, schema_json},
};

/// Snapshots that stay in the metadata; older ones expire. A snapshot is ~500 bytes of JSON, so that a lookup that
/// starts cold reads ~30 KB of metadata. A follower that sleeps longer than 60 commits compares files instead.
pub const SNAPSHOT_COUNT_MAX: usize = 60;

/// Earlier metadata files that the metadata names; ~130 bytes each.
pub const METADATA_LOG_COUNT_MAX: usize = 20;

/// Largest metadata that is read: [`SNAPSHOT_COUNT_MAX`] snapshots of 500 bytes are 30 KB; other engines may keep more.
const METADATA_LEN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Key of a snapshot's summary: the stream whose rows the snapshot adds.
pub const SUMMARY_STREAM: &str = "firn.stream";

/// Key of a snapshot's summary: the highest sequence of the stream that the table holds as of the snapshot.
pub const SUMMARY_COMMITTED_SEQUENCE: &str = "firn.committed-sequence";

const FORMAT_VERSION: u8 = 2;
const MAIN: &str = "main";

/// Why table metadata cannot be built upon.
#[derive(Debug, Error)]
pub enum MetadataError {
    /// Not the JSON of table metadata.
    #[error("table metadata")]
    Corrupt(#[from] serde_json::Error),
    /// Larger than any that is read.
    #[error("table metadata of {len_bytes} bytes; at most {limit} are read")]
    TooLarge {
        /// Length found.
        len_bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Another format version than 2.
    #[error("table format version {found}; {FORMAT_VERSION} is written")]
    FormatVersion {
        /// The version found.
        found: u8,
    },
    /// The table's columns or its partition spec are not those of this writer.
    #[error("the table's current schema or partition spec is not this writer's")]
    ForeignShape,
    /// The current snapshot is not among the snapshots.
    #[error("snapshot {0} is current, and not in the metadata")]
    CurrentSnapshotMissing(i64),
    /// Snapshots that would say how far the stream is committed have expired.
    #[error("snapshot {0} has expired, and none after it names the stream")]
    HistoryCut(i64),
    /// A summary's committed sequence is no number.
    #[error("the committed sequence of snapshot {0} is not a number")]
    CommittedSequence(i64),
}

/// How far a stream is committed to the table: the highest sequence that it holds. `None` if it holds no row of it.
///
/// Walks from the current snapshot to its parents, so that a commit of another engine in between does no harm.
pub fn committed_sequence(metadata_json: &[u8], stream: &str) -> Result<Option<u64>, MetadataError> {
    TableMetadata::parse(metadata_json)?.committed_sequence(stream)
}

/// The location of the current snapshot's manifest list. `None` if the table has no snapshot.
pub fn current_manifest_list(metadata_json: &[u8]) -> Result<Option<String>, MetadataError> {
    let metadata = TableMetadata::parse(metadata_json)?;
    Ok(metadata.current_snapshot()?.map(|snapshot| snapshot.manifest_list.clone()))
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct TableMetadata {
    format_version: u8,
    table_uuid: String,
    pub(crate) location: String,
    pub(crate) last_sequence_number: i64,
    pub(crate) last_updated_ms: i64,
    last_column_id: i32,
    schemas: Vec<Json>,
    current_schema_id: i32,
    partition_specs: Vec<Json>,
    default_spec_id: i32,
    last_partition_id: i32,
    sort_orders: Vec<Json>,
    default_sort_order_id: i32,
    #[serde(default)]
    properties: BTreeMap<String, String>,
    #[serde(default)]
    current_snapshot_id: Option<i64>,
    #[serde(default)]
    refs: BTreeMap<String, SnapshotRef>,
    #[serde(default)]
    pub(crate) snapshots: Vec<Snapshot>,
    #[serde(default)]
    snapshot_log: Vec<SnapshotLogEntry>,
    #[serde(default)]
    metadata_log: Vec<MetadataLogEntry>,
    #[serde(flatten)]
    rest: Map<String, Json>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::struct_field_names, reason = "the specification's names")]
pub(crate) struct Snapshot {
    pub(crate) snapshot_id: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent_snapshot_id: Option<i64>,
    pub(crate) sequence_number: i64,
    pub(crate) timestamp_ms: i64,
    pub(crate) manifest_list: String,
    #[serde(default)]
    pub(crate) summary: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schema_id: Option<i32>,
    #[serde(flatten)]
    pub(crate) rest: Map<String, Json>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SnapshotRef {
    snapshot_id: i64,
    #[serde(flatten)]
    rest: Map<String, Json>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SnapshotLogEntry {
    timestamp_ms: i64,
    snapshot_id: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MetadataLogEntry {
    timestamp_ms: i64,
    metadata_file: String,
}

/// What left the metadata when a snapshot was added.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) metadata_locations: Vec<String>,
}

impl TableMetadata {
    /// A table without snapshots.
    pub(crate) fn new(location: &str, uuid: Uuid, now: Micros) -> Result<Self, MetadataError> {
        let fields: Json = serde_json::from_str(partition_fields_json())?;
        Ok(Self {
            format_version: FORMAT_VERSION,
            table_uuid: uuid.to_string(),
            location: location.to_owned(),
            last_sequence_number: 0,
            last_updated_ms: millis(now),
            last_column_id: last_column_id(),
            schemas: vec![serde_json::from_str(schema_json())?],
            current_schema_id: SCHEMA_ID,
            partition_specs: vec![json!({"spec-id": PARTITION_SPEC_ID, "fields": fields})],
            default_spec_id: PARTITION_SPEC_ID,
            last_partition_id: PARTITION_FIELD_ID,
            sort_orders: vec![json!({"order-id": 0, "fields": []})],
            default_sort_order_id: 0,
            properties: table_properties(),
            current_snapshot_id: None,
            refs: BTreeMap::new(),
            snapshots: Vec::new(),
            snapshot_log: Vec::new(),
            metadata_log: Vec::new(),
            rest: Map::new(),
        })
    }

    /// Parses metadata, whoever wrote it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, MetadataError> {
        let len_bytes = bytes.len();
        if len_bytes > METADATA_LEN_BYTES_MAX {
            return Err(MetadataError::TooLarge { len_bytes, limit: METADATA_LEN_BYTES_MAX });
        }
        let metadata: Self = serde_json::from_slice(bytes)?;
        if metadata.format_version != FORMAT_VERSION {
            return Err(MetadataError::FormatVersion { found: metadata.format_version });
        }
        Ok(metadata)
    }

    /// Whether data files of this writer fit the table: its current schema and default partition spec are ours.
    pub(crate) fn check_shape(&self) -> Result<(), MetadataError> {
        let ours: Json = serde_json::from_str(schema_json())?;
        let spec: Json = serde_json::from_str(partition_fields_json())?;
        let by_id = |list: &[Json], key: &str, id: i32| {
            let found = list.iter().find(|entry| entry.get(key) == Some(&Json::from(id)));
            found.and_then(|entry| entry.get("fields")).cloned()
        };
        let schema_is_ours =
            by_id(&self.schemas, "schema-id", self.current_schema_id) == ours.get("fields").cloned();
        let spec_is_ours = self.default_spec_id == PARTITION_SPEC_ID
            && by_id(&self.partition_specs, "spec-id", PARTITION_SPEC_ID) == Some(spec);
        if schema_is_ours && spec_is_ours { Ok(()) } else { Err(MetadataError::ForeignShape) }
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, MetadataError> {
        Ok(serde_json::to_vec(self)?)
    }

    pub(crate) fn current_snapshot(&self) -> Result<Option<&Snapshot>, MetadataError> {
        // Some writers put -1 where there is none.
        match self.current_snapshot_id.filter(|id| *id != -1) {
            None => Ok(None),
            Some(id) => self.snapshot(id).ok_or(MetadataError::CurrentSnapshotMissing(id)).map(Some),
        }
    }

    fn snapshot(&self, id: i64) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.snapshot_id == id)
    }

    pub(crate) fn committed_sequence(&self, stream: &str) -> Result<Option<u64>, MetadataError> {
        let mut next = self.current_snapshot()?;
        // No chain is longer than the list, whatever parents a corrupt one names.
        for _ in 0..self.snapshots.len() {
            let Some(snapshot) = next else { break };
            if snapshot.summary.get(SUMMARY_STREAM).is_some_and(|s| s == stream) {
                let text = snapshot.summary.get(SUMMARY_COMMITTED_SEQUENCE).map_or("", String::as_str);
                let sequence =
                    text.parse().map_err(|_| MetadataError::CommittedSequence(snapshot.snapshot_id));
                return sequence.map(Some);
            }
            next = match snapshot.parent_snapshot_id {
                None => None,
                Some(parent) => Some(self.snapshot(parent).ok_or(MetadataError::HistoryCut(parent))?),
            };
        }
        Ok(None)
    }

    /// Makes `snapshot` current; drops what is over the limits.
    pub(crate) fn add_snapshot(&mut self, snapshot: Snapshot, previous_location: Option<&str>) -> Dropped {
        if let Some(location) = previous_location {
            let entry =
                MetadataLogEntry { timestamp_ms: self.last_updated_ms, metadata_file: location.to_owned() };
            self.metadata_log.push(entry);
        }
        self.last_sequence_number = snapshot.sequence_number;
        self.last_updated_ms = snapshot.timestamp_ms;
        self.current_snapshot_id = Some(snapshot.snapshot_id);
        let entry =
            SnapshotLogEntry { timestamp_ms: snapshot.timestamp_ms, snapshot_id: snapshot.snapshot_id };
        self.snapshot_log.push(entry);
        let main = self.refs.entry(MAIN.to_owned()).or_insert_with(|| SnapshotRef {
            snapshot_id: snapshot.snapshot_id,
            rest: Map::from_iter([("type".to_owned(), Json::from("branch"))]),
        });
        main.snapshot_id = snapshot.snapshot_id;
        self.snapshots.push(snapshot);
        Dropped { snapshots: self.expire_snapshots(), metadata_locations: self.trim_metadata_log() }
    }

    /// Removes the oldest snapshots over the limit, except those that a branch or a tag names.
    fn expire_snapshots(&mut self) -> Vec<Snapshot> {
        let referenced: BTreeSet<i64> = self.refs.values().map(|r| r.snapshot_id).collect();
        let mut surplus = self.snapshots.len().saturating_sub(SNAPSHOT_COUNT_MAX);
        self.snapshots.sort_by_key(|snapshot| snapshot.sequence_number);
        let (expired, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.snapshots).into_iter().partition(|s| {
                let expires = surplus > 0 && !referenced.contains(&s.snapshot_id);
                surplus = surplus.saturating_sub(usize::from(expires));
                expires
            });
        self.snapshots = kept;
        // What is before an entry of an expired snapshot is no longer a complete history.
        let is_gone = |entry: &SnapshotLogEntry| expired.iter().any(|s| s.snapshot_id == entry.snapshot_id);
        if let Some(last_gone) = self.snapshot_log.iter().rposition(is_gone) {
            self.snapshot_log.drain(..=last_gone);
        }
        expired
    }

    fn trim_metadata_log(&mut self) -> Vec<String> {
        let surplus = self.metadata_log.len().saturating_sub(METADATA_LOG_COUNT_MAX);
        self.metadata_log.drain(..surplus).map(|entry| entry.metadata_file).collect()
    }
}

pub(crate) fn millis(at: Micros) -> i64 {
    at.0.div_euclid(1_000)
}

/// What the table tells other writers of how its files are made.
fn table_properties() -> BTreeMap<String, String> {
    let metrics = COLUMNS
        .iter()
        .filter(|column| column.has_statistics())
        .map(|column| (format!("write.metadata.metrics.column.{}", column.name), "truncate(64)".to_owned()));
    let fixed = [
        ("write.format.default", "parquet".to_owned()),
        ("write.parquet.compression-codec", "zstd".to_owned()),
        ("write.metadata.metrics.default", "none".to_owned()),
        ("write.metadata.previous-versions-max", METADATA_LOG_COUNT_MAX.to_string()),
    ];
    fixed.into_iter().map(|(key, value)| (key.to_owned(), value)).chain(metrics).collect()
}
