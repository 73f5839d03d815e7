//! Manifest lists.
//!
//! Spec: "Manifest Lists". Fields are found by their field id, or by name where the writer gave no ids.

use crate::{
    avro::{
        Container,
        cursor::Cursor,
        schema::{AvroSchema, TypeIdx, slots_of},
    },
    error::{Error, Part},
};

/// Most manifests of a snapshot: at 300 bytes each, 30 MB of a Worker's 128.
pub const MANIFEST_COUNT_MAX: usize = 100_000;

const PART: Part = Part::ManifestList;

/// What a manifest holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestContent {
    /// Data files.
    Data,
    /// Delete files.
    Deletes,
}

/// What the partition values of a manifest's files have in common, for one field of its spec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionSummary {
    /// Whether a value may be null.
    pub contains_null: bool,
    /// Whether a value may be NaN; `None` if the writer did not say.
    pub contains_nan: Option<bool>,
    /// A single value that no value is below.
    pub lower_bound: Option<Box<[u8]>>,
    /// A single value that no value is above.
    pub upper_bound: Option<Box<[u8]>>,
}

/// A manifest, as its list describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFile {
    /// Where it is.
    pub location: String,
    /// Its length by the writer's word, which can be wrong.
    pub stated_len_bytes: u64,
    /// The partition spec of its files.
    pub partition_spec_id: i32,
    /// What it holds.
    pub content: ManifestContent,
    /// The sequence number that its added files inherit; 0 in v1.
    pub sequence_number: i64,
    /// The lowest data sequence number of its live files; 0 in v1.
    pub min_sequence_number: i64,
    /// The snapshot that its added files inherit.
    pub added_snapshot_id: Option<i64>,
    /// Added and existing files; `None` if the writer did not say.
    pub live_file_count: Option<u64>,
    /// One for each field of the spec; empty if the writer gave none.
    pub partitions: Vec<PartitionSummary>,
    /// Whether it is encrypted.
    pub is_encrypted: bool,
}

impl ManifestFile {
    /// A manifest that v1 metadata names directly: nothing but its location is known.
    pub fn inline(location: &str) -> Self {
        Self {
            location: location.to_owned(),
            stated_len_bytes: 0,
            partition_spec_id: 0,
            content: ManifestContent::Data,
            sequence_number: 0,
            min_sequence_number: 0,
            added_snapshot_id: None,
            live_file_count: None,
            partitions: Vec::new(),
            is_encrypted: false,
        }
    }
}

/// The manifests of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestList {
    /// In stored order.
    pub manifests: Vec<ManifestFile>,
}

impl ManifestList {
    /// About how much memory it takes, for a cache's budget.
    pub fn memory_len_bytes(&self) -> usize {
        let bound = |bound: &Option<Box<[u8]>>| bound.as_ref().map_or(0, |bytes| bytes.len());
        let summary = |s: &PartitionSummary| {
            size_of::<PartitionSummary>() + bound(&s.lower_bound) + bound(&s.upper_bound)
        };
        let of = |manifest: &ManifestFile| {
            let summaries = manifest.partitions.iter().map(summary).sum::<usize>();
            size_of::<ManifestFile>() + manifest.location.len() + summaries
        };
        self.manifests.iter().map(of).sum::<usize>() + size_of::<Self>()
    }

    /// Reads a manifest list of any version.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let container = Container::parse(bytes, PART)?;
        let schema = &container.schema;
        let fields = schema.record(schema.root());
        let fields = fields.ok_or_else(|| Error::invalid(PART, "Avro schema", "another type", "a record"))?;
        let slots = slots_of(fields, SLOTS, Slot::Other, PART)?;
        let mut manifests = Vec::new();
        container.for_each_datum(|cursor, schema, _| {
            Error::check_limit(PART, "manifest count", manifests.len() + 1, MANIFEST_COUNT_MAX)?;
            manifests.push(read_manifest_file(cursor, schema, &slots)?);
            Ok(())
        })?;
        Ok(Self { manifests })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    Path,
    Length,
    SpecId,
    Content,
    SequenceNumber,
    MinSequenceNumber,
    AddedSnapshotId,
    AddedFileCount,
    ExistingFileCount,
    Partitions,
    KeyMetadata,
    Other,
}

/// Field id, name and meaning.
const SLOTS: &[(i32, &str, Slot)] = &[
    (500, "manifest_path", Slot::Path),
    (501, "manifest_length", Slot::Length),
    (502, "partition_spec_id", Slot::SpecId),
    (517, "content", Slot::Content),
    (515, "sequence_number", Slot::SequenceNumber),
    (516, "min_sequence_number", Slot::MinSequenceNumber),
    (503, "added_snapshot_id", Slot::AddedSnapshotId),
    (504, "added_files_count", Slot::AddedFileCount),
    (504, "added_data_files_count", Slot::AddedFileCount),
    (505, "existing_files_count", Slot::ExistingFileCount),
    (505, "existing_data_files_count", Slot::ExistingFileCount),
    (507, "partitions", Slot::Partitions),
    (519, "key_metadata", Slot::KeyMetadata),
];

fn read_manifest_file(
    cursor: &mut Cursor<'_>,
    schema: &AvroSchema,
    slots: &[(Slot, TypeIdx)],
) -> Result<ManifestFile, Error> {
    let mut manifest = ManifestFile::inline("");
    let (mut location, mut spec_id, mut added, mut existing) = (None, None, None, None);
    for (slot, ty) in slots.iter().copied() {
        match slot {
            Slot::Path => location = cursor.text(schema, ty, "manifest_path")?,
            Slot::Length => {
                let length = cursor.integer(schema, ty, "manifest_length")?;
                manifest.stated_len_bytes = length.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
            }
            Slot::SpecId => spec_id = cursor.integer(schema, ty, "partition_spec_id")?,
            Slot::Content => {
                manifest.content = match cursor.integer(schema, ty, "content")? {
                    None | Some(0) => ManifestContent::Data,
                    Some(1) => ManifestContent::Deletes,
                    Some(other) => return Err(Error::invalid(PART, "content", &other, "0 or 1")),
                }
            }
            Slot::SequenceNumber => {
                manifest.sequence_number = cursor.integer(schema, ty, "sequence_number")?.unwrap_or(0);
            }
            Slot::MinSequenceNumber => {
                manifest.min_sequence_number =
                    cursor.integer(schema, ty, "min_sequence_number")?.unwrap_or(0);
            }
            Slot::AddedSnapshotId => {
                manifest.added_snapshot_id = cursor.integer(schema, ty, "added_snapshot_id")?;
            }
            Slot::AddedFileCount => added = cursor.integer(schema, ty, "added_files_count")?,
            Slot::ExistingFileCount => existing = cursor.integer(schema, ty, "existing_files_count")?,
            Slot::Partitions => manifest.partitions = read_summaries(cursor, schema, ty)?,
            Slot::KeyMetadata => {
                let key = cursor.bytes(schema, ty, "key_metadata")?;
                manifest.is_encrypted = key.is_some_and(|key| !key.is_empty());
            }
            Slot::Other => cursor.skip(schema, ty)?,
        }
    }
    let location = location.ok_or(Error::Missing { part: PART, field: "manifest_path" })?;
    location.clone_into(&mut manifest.location);
    let spec_id = spec_id.ok_or(Error::Missing { part: PART, field: "partition_spec_id" })?;
    manifest.partition_spec_id =
        i32::try_from(spec_id).map_err(|_| Error::invalid(PART, "partition_spec_id", &spec_id, "an int"))?;
    // Some writers leave -1 where they do not know.
    let known = |count: Option<i64>| count.and_then(|n| u64::try_from(n).ok());
    manifest.live_file_count = known(added).zip(known(existing)).map(|(a, e)| a.saturating_add(e));
    Ok(manifest)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SummarySlot {
    ContainsNull,
    ContainsNan,
    LowerBound,
    UpperBound,
    Other,
}

/// Field id, name and meaning.
const SUMMARY_SLOTS: &[(i32, &str, SummarySlot)] = &[
    (509, "contains_null", SummarySlot::ContainsNull),
    (518, "contains_nan", SummarySlot::ContainsNan),
    (510, "lower_bound", SummarySlot::LowerBound),
    (511, "upper_bound", SummarySlot::UpperBound),
];

fn read_summaries(
    cursor: &mut Cursor<'_>,
    schema: &AvroSchema,
    ty: TypeIdx,
) -> Result<Vec<PartitionSummary>, Error> {
    let fields = schema.items(ty).and_then(|item| schema.record(item)).unwrap_or_default();
    let slots = slots_of(fields, SUMMARY_SLOTS, SummarySlot::Other, PART)?;
    let mut summaries = Vec::new();
    cursor.array(schema, ty, "partitions", |cursor, item| {
        if cursor.enter(schema, item)?.is_none() {
            return Err(Error::Missing { part: PART, field: "partition summary" });
        }
        // Where the writer leaves it out, a null must be expected.
        let mut summary = PartitionSummary { contains_null: true, ..PartitionSummary::default() };
        for (slot, ty) in slots.iter().copied() {
            match slot {
                SummarySlot::ContainsNull => {
                    summary.contains_null = cursor.boolean(schema, ty, "contains_null")?.unwrap_or(true);
                }
                SummarySlot::ContainsNan => {
                    summary.contains_nan = cursor.boolean(schema, ty, "contains_nan")?;
                }
                SummarySlot::LowerBound => {
                    summary.lower_bound = cursor.bytes(schema, ty, "lower_bound")?.map(Box::from);
                }
                SummarySlot::UpperBound => {
                    summary.upper_bound = cursor.bytes(schema, ty, "upper_bound")?.map(Box::from);
                }
                SummarySlot::Other => cursor.skip(schema, ty)?,
            }
        }
        summaries.push(summary);
        Ok(())
    })?;
    Ok(summaries)
}
