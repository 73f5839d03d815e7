//! Table metadata.
//!
//! Spec: "Table Metadata" and "Appendix C", "Table Metadata and Snapshots". What a reader has no use for (logs,
//! statistics, sort orders, row lineage) is not kept, but what a version requires must be there.

use std::{collections::HashMap, io::Read, sync::Arc};

use serde::Deserialize;
use serde_json::Value as Json;

use crate::{
    error::{Error, Part},
    name_mapping::NameMapping,
    partition::{self, PartitionFieldJson, PartitionSpec, PartitionSpecJson},
    schema::Schema,
};

/// Longest table metadata, decompressed: 64 MiB hold some 100,000 snapshots of 600 bytes, and are half of a Worker's
/// memory.
pub const METADATA_LEN_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most schemas or partition specs: one for each day of 27 years.
pub const VERSION_COUNT_MAX: usize = 10_000;

/// Most snapshots: what fits [`METADATA_LEN_BYTES_MAX`] at 64 bytes each.
pub const SNAPSHOT_COUNT_MAX: usize = 1_000_000;

/// The newest format version that this crate reads.
const FORMAT_VERSION_MAX: i64 = 3;

const PART: Part = Part::TableMetadata;

/// The property that holds the name mapping.
const NAME_MAPPING_PROPERTY: &str = "schema.name-mapping.default";

/// Where a snapshot names its manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifests {
    /// Location of the manifest list.
    List(String),
    /// Locations of the manifests themselves (v1 only).
    Inline(Vec<String>),
}

/// A state of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id.
    pub snapshot_id: i64,
    /// The snapshot it was made from.
    pub parent_snapshot_id: Option<i64>,
    /// Its sequence number; 0 in v1.
    pub sequence_number: i64,
    /// When it was made, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Its manifests.
    pub manifests: Manifests,
    /// The schema that was current then.
    pub schema_id: Option<i32>,
    /// How many data files it has, by the summary's word.
    pub stated_data_file_count: Option<u64>,
    /// Whether its manifest list is encrypted.
    pub is_encrypted: bool,
}

/// Table metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct TableMetadata {
    /// 1, 2 or 3.
    pub format_version: u8,
    /// Identity of the table; v1 may lack it.
    pub table_uuid: Option<String>,
    /// Base location.
    pub location: String,
    /// Every schema that the table has had.
    pub schemas: Vec<Arc<Schema>>,
    /// Every partition spec that the table has had.
    pub partition_specs: Vec<Arc<PartitionSpec>>,
    /// Snapshots, oldest first by convention.
    pub snapshots: Vec<Snapshot>,
    /// Snapshot ids of branches and tags.
    pub refs: HashMap<String, i64>,
    /// Table properties.
    pub properties: HashMap<String, String>,
    /// Field ids of files that have none.
    pub name_mapping: Option<Arc<NameMapping>>,
    /// The newest sequence number; 0 in v1.
    pub last_sequence_number: i64,
    current_schema: Arc<Schema>,
    current_snapshot_id: Option<i64>,
}

impl TableMetadata {
    /// Reads a metadata file, gzip or plain.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let unzipped;
        let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
            unzipped = unzip(bytes)?;
            &unzipped
        } else {
            bytes
        };
        Error::check_limit(PART, "length in bytes", bytes.len(), METADATA_LEN_BYTES_MAX)?;
        let wire: MetadataJson = serde_json::from_slice(bytes).map_err(|source| unreadable(bytes, source))?;
        let format_version = check_version(wire.format_version)?;
        wire.into_metadata(format_version)
    }

    /// The schema of today.
    pub fn current_schema(&self) -> &Arc<Schema> {
        &self.current_schema
    }

    /// The current snapshot; `None` if the table has no rows yet.
    pub fn current_snapshot(&self) -> Option<&Snapshot> {
        self.current_snapshot_id.and_then(|id| self.snapshot(id))
    }

    /// The snapshot with this id, if it has not expired.
    pub fn snapshot(&self, snapshot_id: i64) -> Option<&Snapshot> {
        self.snapshots.iter().find(|s| s.snapshot_id == snapshot_id)
    }

    /// The partition spec with this id.
    pub fn partition_spec(&self, spec_id: i32) -> Option<&Arc<PartitionSpec>> {
        self.partition_specs.iter().find(|s| s.spec_id == spec_id)
    }

    /// The schema to read a snapshot with: its own, or the current one where it names none.
    pub fn schema_of(&self, snapshot: &Snapshot) -> &Arc<Schema> {
        let named = snapshot.schema_id.and_then(|id| self.schemas.iter().find(|s| s.schema_id == id));
        named.unwrap_or(&self.current_schema)
    }
}

fn check_version(found: i64) -> Result<u8, Error> {
    match u8::try_from(found) {
        Ok(v @ 1..=3) => Ok(v),
        _ if found > FORMAT_VERSION_MAX => Err(Error::unsupported(PART, "format-version", &found)),
        _ => Err(Error::invalid(PART, "format-version", &found, "1, 2 or 3")),
    }
}

/// Metadata without the shape of ours may be that of a later version.
fn unreadable(bytes: &[u8], source: serde_json::Error) -> Error {
    match serde_json::from_slice::<VersionJson>(bytes).map(|json| check_version(json.format_version)) {
        Ok(Err(error)) => error,
        _ => Error::Json { part: PART, source },
    }
}

fn unzip(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let limit = METADATA_LEN_BYTES_MAX as u64 + 1;
    let mut out = Vec::new();
    match flate2::read::GzDecoder::new(bytes).take(limit).read_to_end(&mut out) {
        Ok(_) => Ok(out),
        Err(cause) => Err(Error::invalid(PART, "gzip stream", &cause, "a whole gzip stream")),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct VersionJson {
    format_version: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MetadataJson {
    format_version: i64,
    table_uuid: Option<String>,
    location: String,
    last_sequence_number: Option<i64>,
    last_updated_ms: Option<i64>,
    last_column_id: Option<i32>,
    schema: Option<Json>,
    schemas: Option<Vec<Json>>,
    current_schema_id: Option<i32>,
    partition_spec: Option<Vec<PartitionFieldJson>>,
    partition_specs: Option<Vec<PartitionSpecJson>>,
    default_spec_id: Option<i32>,
    last_partition_id: Option<i32>,
    properties: Option<HashMap<String, String>>,
    current_snapshot_id: Option<i64>,
    snapshots: Option<Vec<SnapshotJson>>,
    sort_orders: Option<Vec<serde::de::IgnoredAny>>,
    default_sort_order_id: Option<i32>,
    refs: Option<HashMap<String, RefJson>>,
    next_row_id: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RefJson {
    snapshot_id: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SnapshotJson {
    snapshot_id: i64,
    parent_snapshot_id: Option<i64>,
    sequence_number: Option<i64>,
    timestamp_ms: i64,
    manifest_list: Option<String>,
    manifests: Option<Vec<String>>,
    schema_id: Option<i32>,
    key_id: Option<String>,
    summary: Option<SummaryJson>,
}

#[derive(Deserialize)]
struct SummaryJson {
    #[serde(rename = "total-data-files")]
    total_data_files: Option<String>,
}

fn require<T>(value: Option<T>, field: &'static str) -> Result<T, Error> {
    value.ok_or(Error::Missing { part: PART, field })
}

impl MetadataJson {
    fn into_metadata(mut self, format_version: u8) -> Result<TableMetadata, Error> {
        self.check_required(format_version)?;
        let (schemas, current_schema) = self.take_schemas(format_version)?;
        let partition_specs = self.take_partition_specs(format_version)?;
        let snapshots = self.snapshots.unwrap_or_default();
        Error::check_limit(PART, "snapshot count", snapshots.len(), SNAPSHOT_COUNT_MAX)?;
        let snapshots: Vec<Snapshot> =
            snapshots.into_iter().map(|s| s.into_snapshot(format_version)).collect::<Result<_, _>>()?;
        let current_snapshot_id = self.current_snapshot_id.filter(|id| *id != -1);
        if let Some(id) = current_snapshot_id
            && !snapshots.iter().any(|s| s.snapshot_id == id)
        {
            return Err(Error::invalid(PART, "current-snapshot-id", &id, "the id of a snapshot"));
        }
        let properties = self.properties.unwrap_or_default();
        let name_mapping = properties.get(NAME_MAPPING_PROPERTY).map(|text| NameMapping::parse(text));
        let name_mapping = name_mapping.transpose()?.map(Arc::new);
        let refs = self.refs.unwrap_or_default().into_iter().map(|(name, r)| (name, r.snapshot_id)).collect();
        Ok(TableMetadata {
            format_version,
            table_uuid: self.table_uuid,
            location: self.location,
            schemas,
            partition_specs,
            snapshots,
            refs,
            properties,
            name_mapping,
            last_sequence_number: self.last_sequence_number.unwrap_or(0),
            current_schema,
            current_snapshot_id,
        })
    }

    /// What the version's column of the spec's table calls required, beyond what is read.
    fn check_required(&self, format_version: u8) -> Result<(), Error> {
        require(self.last_updated_ms, "last-updated-ms")?;
        require(self.last_column_id, "last-column-id")?;
        if format_version >= 2 {
            require(self.table_uuid.as_ref(), "table-uuid")?;
            require(self.last_sequence_number, "last-sequence-number")?;
            require(self.last_partition_id, "last-partition-id")?;
            require(self.default_spec_id, "default-spec-id")?;
            require(self.sort_orders.as_ref(), "sort-orders")?;
            require(self.default_sort_order_id, "default-sort-order-id")?;
        }
        if format_version >= 3 {
            require(self.next_row_id, "next-row-id")?;
        }
        Ok(())
    }

    /// All schemas and the current one. v1's `schema` counts where `schemas` or `current-schema-id` is missing.
    fn take_schemas(&mut self, format_version: u8) -> Result<(Vec<Arc<Schema>>, Arc<Schema>), Error> {
        let list = self.schemas.take();
        let list = if format_version == 1 { list.unwrap_or_default() } else { require(list, "schemas")? };
        Error::check_limit(PART, "schema count", list.len(), VERSION_COUNT_MAX)?;
        let mut schemas: Vec<Arc<Schema>> =
            list.iter().map(|json| Schema::parse(json).map(Arc::new)).collect::<Result<_, _>>()?;
        if let Some(id) = self.current_schema_id
            && let Some(current) = schemas.iter().find(|s| s.schema_id == id).cloned()
        {
            return Ok((schemas, current));
        }
        if format_version >= 2 || (self.schema.is_none() && self.current_schema_id.is_some()) {
            let id = require(self.current_schema_id, "current-schema-id")?;
            return Err(Error::invalid(PART, "current-schema-id", &id, "the id of a schema"));
        }
        let current = Arc::new(Schema::parse(&require(self.schema.take(), "schema")?)?);
        if !schemas.contains(&current) {
            schemas.push(Arc::clone(&current));
        }
        Ok((schemas, current))
    }

    fn take_partition_specs(&mut self, format_version: u8) -> Result<Vec<Arc<PartitionSpec>>, Error> {
        let specs = match (self.partition_specs.take(), self.partition_spec.take()) {
            (Some(specs), _) => {
                Error::check_limit(PART, "partition spec count", specs.len(), VERSION_COUNT_MAX)?;
                specs.into_iter().map(PartitionSpecJson::into_spec).collect::<Result<Vec<_>, _>>()?
            }
            (None, Some(fields)) if format_version == 1 => vec![partition::parse_fields(0, fields)?],
            (None, _) => return Err(Error::Missing { part: PART, field: "partition-specs" }),
        };
        if let Some(id) = self.default_spec_id
            && !specs.iter().any(|s| s.spec_id == id)
        {
            return Err(Error::invalid(PART, "default-spec-id", &id, "the id of a partition spec"));
        }
        Ok(specs.into_iter().map(Arc::new).collect())
    }
}

impl SnapshotJson {
    fn into_snapshot(self, format_version: u8) -> Result<Snapshot, Error> {
        let manifests = match (self.manifest_list, self.manifests) {
            (Some(location), _) => Manifests::List(location),
            (None, Some(locations)) if format_version == 1 => Manifests::Inline(locations),
            (None, _) => return Err(Error::Missing { part: PART, field: "manifest-list" }),
        };
        Ok(Snapshot {
            snapshot_id: self.snapshot_id,
            parent_snapshot_id: self.parent_snapshot_id,
            sequence_number: self.sequence_number.unwrap_or(0),
            timestamp_ms: self.timestamp_ms,
            manifests,
            schema_id: self.schema_id,
            stated_data_file_count: self.summary.and_then(|s| s.total_data_files?.parse().ok()),
            is_encrypted: self.key_id.is_some(),
        })
    }
}
