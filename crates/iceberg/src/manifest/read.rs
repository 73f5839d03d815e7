//! Reading manifest entries along the writer's schema.

use std::collections::BTreeMap;

use super::{ManifestEntry, StatsOf, Status};
use crate::{
    avro::{
        cursor::Cursor,
        schema::{AvroField, AvroSchema, AvroType, Logical, TypeIdx, check_unique_ids, slots_of},
    },
    data_file::{ColumnStats, DataFile, FileContent, FileFormat, PartitionValue},
    error::{Error, Part},
    manifest_list::{ManifestContent, ManifestFile},
    partition::PartitionSpec,
    value::{Literal, decode_unscaled},
};

const PART: Part = Part::Manifest;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    Status,
    SnapshotId,
    SequenceNumber,
    DataFile,
    Other,
}

/// Field id, name and meaning.
const SLOTS: &[(i32, &str, Slot)] = &[
    (0, "status", Slot::Status),
    (1, "snapshot_id", Slot::SnapshotId),
    (3, "sequence_number", Slot::SequenceNumber),
    (2, "data_file", Slot::DataFile),
];

/// A count or bound of [`ColumnStats`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stat {
    ValueCount,
    NullCount,
    NanCount,
    LowerBound,
    UpperBound,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FileSlot {
    Content,
    Path,
    Format,
    Partition,
    RecordCount,
    FileSize,
    ColumnSizes,
    Stat(Stat),
    KeyMetadata,
    EqualityIds,
    SortOrderId,
    ReferencedDataFile,
    ContentOffset,
    ContentSize,
    Other,
}

/// Field id, name and meaning.
const FILE_SLOTS: &[(i32, &str, FileSlot)] = &[
    (134, "content", FileSlot::Content),
    (100, "file_path", FileSlot::Path),
    (101, "file_format", FileSlot::Format),
    (102, "partition", FileSlot::Partition),
    (103, "record_count", FileSlot::RecordCount),
    (104, "file_size_in_bytes", FileSlot::FileSize),
    (108, "column_sizes", FileSlot::ColumnSizes),
    (109, "value_counts", FileSlot::Stat(Stat::ValueCount)),
    (110, "null_value_counts", FileSlot::Stat(Stat::NullCount)),
    (137, "nan_value_counts", FileSlot::Stat(Stat::NanCount)),
    (125, "lower_bounds", FileSlot::Stat(Stat::LowerBound)),
    (128, "upper_bounds", FileSlot::Stat(Stat::UpperBound)),
    (131, "key_metadata", FileSlot::KeyMetadata),
    (135, "equality_ids", FileSlot::EqualityIds),
    (140, "sort_order_id", FileSlot::SortOrderId),
    (143, "referenced_data_file", FileSlot::ReferencedDataFile),
    (144, "content_offset", FileSlot::ContentOffset),
    (145, "content_size_in_bytes", FileSlot::ContentSize),
];

/// Where in the writer's schema the known fields are.
pub(super) struct Layout {
    entry: Vec<(Slot, TypeIdx)>,
    file: Vec<(FileSlot, TypeIdx)>,
    /// For each field of the partition record, the field of the spec it belongs to.
    partition: Vec<(Option<usize>, TypeIdx)>,
    partition_field_count: usize,
}

impl Layout {
    pub(super) fn of(schema: &AvroSchema, spec: &PartitionSpec) -> Result<Self, Error> {
        let not_a_record = |field| Error::invalid(PART, field, "of another Avro type", "a record");
        let entry = schema.record(schema.root()).ok_or_else(|| not_a_record("manifest entry"))?;
        let entry = slots_of(entry, SLOTS, Slot::Other, PART)?;
        let file = entry.iter().find(|(slot, _)| matches!(slot, Slot::DataFile));
        let (_, file) = *file.ok_or(Error::Missing { part: PART, field: "data_file" })?;
        let file = schema.record(file).ok_or_else(|| not_a_record("data_file"))?;
        let file = slots_of(file, FILE_SLOTS, FileSlot::Other, PART)?;
        let partition = file.iter().find(|(slot, _)| matches!(slot, FileSlot::Partition));
        let partition = match partition {
            Some((_, ty)) => schema.record(*ty).ok_or_else(|| not_a_record("partition"))?,
            None => &[],
        };
        check_unique_ids(partition, PART)?;
        let in_spec = |field: &AvroField| {
            spec.fields.iter().position(|of| match field.field_id {
                Some(id) => of.field_id == id,
                None => of.name == field.name,
            })
        };
        let partition = partition.iter().map(|f| (in_spec(f), f.ty)).collect();
        Ok(Self { entry, file, partition, partition_field_count: spec.fields.len() })
    }
}

/// Reads entries of one manifest.
pub(super) struct EntryReader<'a> {
    pub(super) schema: &'a AvroSchema,
    pub(super) layout: &'a Layout,
    pub(super) of: &'a ManifestFile,
    pub(super) stats: StatsOf<'a>,
}

impl EntryReader<'_> {
    pub(super) fn read(&self, cursor: &mut Cursor<'_>) -> Result<ManifestEntry, Error> {
        let schema = self.schema;
        let (mut status, mut snapshot_id, mut sequence_number, mut file) = (None, None, None, None);
        for (slot, ty) in self.layout.entry.iter().copied() {
            match slot {
                Slot::Status => status = cursor.integer(schema, ty, "status")?,
                Slot::SnapshotId => snapshot_id = cursor.integer(schema, ty, "snapshot_id")?,
                Slot::SequenceNumber => sequence_number = cursor.integer(schema, ty, "sequence_number")?,
                Slot::DataFile => file = Some(self.read_file(cursor, ty)?),
                Slot::Other => cursor.skip(schema, ty)?,
            }
        }
        let status = match status {
            Some(0) => Status::Existing,
            Some(1) => Status::Added,
            Some(2) => Status::Deleted,
            Some(other) => return Err(Error::invalid(PART, "status", &other, "0, 1 or 2")),
            None => return Err(Error::Missing { part: PART, field: "status" }),
        };
        let file = file.ok_or(Error::Missing { part: PART, field: "data_file" })?;
        let sequence_number = match sequence_number {
            Some(number) => number,
            // "Sequence Number Inheritance": by added files, and by all of a manifest from before v2.
            None if status == Status::Added || self.of.sequence_number == 0 => self.of.sequence_number,
            // Of no consequence: the file is not part of the table.
            None if status == Status::Deleted => self.of.sequence_number,
            None => return Err(Error::Missing { part: PART, field: "sequence_number" }),
        };
        let inherited = self.of.added_snapshot_id.filter(|_| status == Status::Added);
        Ok(ManifestEntry { status, snapshot_id: snapshot_id.or(inherited), sequence_number, file })
    }

    fn read_file(&self, cursor: &mut Cursor<'_>, ty: TypeIdx) -> Result<DataFile, Error> {
        let schema = self.schema;
        if cursor.enter(schema, ty)?.is_none() {
            return Err(Error::Missing { part: PART, field: "data_file" });
        }
        let mut file = self.blank_file();
        let (mut location, mut format, mut record_count) = (None, None, None);
        let mut stats = BTreeMap::new();
        for (slot, ty) in self.layout.file.iter().copied() {
            match slot {
                FileSlot::Content => {
                    if let Some(content) = cursor.integer(schema, ty, "content")? {
                        file.content = parse_content(content)?;
                    }
                }
                FileSlot::Path => location = cursor.text(schema, ty, "file_path")?,
                FileSlot::Format => format = cursor.text(schema, ty, "file_format")?,
                FileSlot::Partition => file.partition = self.read_partition(cursor, ty)?,
                FileSlot::RecordCount => record_count = cursor.integer(schema, ty, "record_count")?,
                FileSlot::FileSize => {
                    let size = cursor.integer(schema, ty, "file_size_in_bytes")?;
                    file.stated_len_bytes = size.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
                }
                FileSlot::ColumnSizes => self.read_column_sizes(cursor, ty, &mut file)?,
                FileSlot::Stat(stat) => self.read_stats(cursor, ty, stat, &mut stats)?,
                FileSlot::KeyMetadata => {
                    let key = cursor.bytes(schema, ty, "key_metadata")?;
                    file.is_encrypted = key.is_some_and(|key| !key.is_empty());
                }
                FileSlot::EqualityIds => file.equality_ids = read_ids(cursor, schema, ty)?,
                FileSlot::SortOrderId => {
                    let id = cursor.integer(schema, ty, "sort_order_id")?;
                    file.sort_order_id = id.and_then(|id| i32::try_from(id).ok());
                }
                FileSlot::ReferencedDataFile => {
                    file.referenced_data_file =
                        cursor.text(schema, ty, "referenced_data_file")?.map(str::to_owned);
                }
                FileSlot::ContentOffset => {
                    file.content_offset = read_len(cursor, schema, ty, "content_offset")?;
                }
                FileSlot::ContentSize => {
                    file.content_size_bytes = read_len(cursor, schema, ty, "content_size_in_bytes")?;
                }
                FileSlot::Other => cursor.skip(schema, ty)?,
            }
        }
        file.stats = stats.into_values().collect();
        let missing = |field| Error::Missing { part: PART, field };
        location.ok_or(missing("file_path"))?.clone_into(&mut file.location);
        file.format = FileFormat::parse(format.ok_or(missing("file_format"))?);
        let record_count = record_count.ok_or(missing("record_count"))?;
        file.record_count = u64::try_from(record_count)
            .map_err(|_| Error::invalid(PART, "record_count", &record_count, "a count"))?;
        Ok(file)
    }

    /// What a file is before its fields were read.
    fn blank_file(&self) -> DataFile {
        DataFile {
            content: match self.of.content {
                ManifestContent::Data => FileContent::Data,
                ManifestContent::Deletes => FileContent::PositionDeletes,
            },
            location: String::new(),
            format: FileFormat::Unknown,
            spec_id: self.of.partition_spec_id,
            partition: vec![PartitionValue::Unknown; self.layout.partition_field_count],
            record_count: 0,
            stated_len_bytes: 0,
            stated_column_count: 0,
            stated_columns_len_bytes: 0,
            stats: Vec::new(),
            equality_ids: Vec::new(),
            sort_order_id: None,
            referenced_data_file: None,
            content_offset: None,
            content_size_bytes: None,
            is_encrypted: false,
        }
    }

    fn read_partition(&self, cursor: &mut Cursor<'_>, ty: TypeIdx) -> Result<Vec<PartitionValue>, Error> {
        let mut values = vec![PartitionValue::Unknown; self.layout.partition_field_count];
        if cursor.enter(self.schema, ty)?.is_none() {
            return Ok(values);
        }
        for (idx, ty) in self.layout.partition.iter().copied() {
            match idx.and_then(|idx| values.get_mut(idx)) {
                Some(value) => *value = read_partition_value(cursor, self.schema, ty)?,
                None => cursor.skip(self.schema, ty)?,
            }
        }
        Ok(values)
    }

    fn read_column_sizes(
        &self,
        cursor: &mut Cursor<'_>,
        ty: TypeIdx,
        file: &mut DataFile,
    ) -> Result<(), Error> {
        let schema = self.schema;
        let Some([key, value]) = schema.items(ty).and_then(|item| schema.record(item)) else {
            return cursor.skip(schema, ty);
        };
        cursor.array(schema, ty, "column_sizes", |cursor, item| {
            cursor.enter(schema, item)?;
            cursor.skip(schema, key.ty)?;
            let size = cursor.integer(schema, value.ty, "column size")?;
            let size = size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
            file.stated_column_count = file.stated_column_count.saturating_add(1);
            file.stated_columns_len_bytes = file.stated_columns_len_bytes.saturating_add(size);
            Ok(())
        })?;
        Ok(())
    }

    /// Reads one of the maps from field id to a count or bound; Avro has maps of strings only, so it is an array of
    /// pairs.
    fn read_stats(
        &self,
        cursor: &mut Cursor<'_>,
        ty: TypeIdx,
        stat: Stat,
        stats: &mut BTreeMap<i32, ColumnStats>,
    ) -> Result<(), Error> {
        let schema = self.schema;
        let pair = schema.items(ty).and_then(|item| schema.record(item));
        let Some([key, value]) = pair else {
            return cursor.skip(schema, ty);
        };
        cursor.array(schema, ty, "statistics", |cursor, item| {
            cursor.enter(schema, item)?;
            let id = cursor.integer(schema, key.ty, "field id")?.and_then(|id| i32::try_from(id).ok());
            match id.filter(|id| self.stats.includes(*id)) {
                Some(field_id) => {
                    let blank = || ColumnStats { field_id, ..ColumnStats::default() };
                    read_stat(cursor, schema, value.ty, stat, stats.entry(field_id).or_insert_with(blank))
                }
                None => cursor.skip(schema, value.ty),
            }
        })?;
        Ok(())
    }
}

fn read_stat(
    cursor: &mut Cursor<'_>,
    schema: &AvroSchema,
    ty: TypeIdx,
    stat: Stat,
    of: &mut ColumnStats,
) -> Result<(), Error> {
    match stat {
        Stat::ValueCount => of.value_count = cursor.integer(schema, ty, "value count")?,
        Stat::NullCount => of.null_count = cursor.integer(schema, ty, "null count")?,
        Stat::NanCount => of.nan_count = cursor.integer(schema, ty, "NaN count")?,
        Stat::LowerBound => of.lower_bound = cursor.bytes(schema, ty, "lower bound")?.map(Box::from),
        Stat::UpperBound => of.upper_bound = cursor.bytes(schema, ty, "upper bound")?.map(Box::from),
    }
    Ok(())
}

fn parse_content(content: i64) -> Result<FileContent, Error> {
    match content {
        0 => Ok(FileContent::Data),
        1 => Ok(FileContent::PositionDeletes),
        2 => Ok(FileContent::EqualityDeletes),
        other => Err(Error::invalid(PART, "content", &other, "0, 1 or 2")),
    }
}

fn read_ids(cursor: &mut Cursor<'_>, schema: &AvroSchema, ty: TypeIdx) -> Result<Vec<i32>, Error> {
    let mut ids = Vec::new();
    cursor.array(schema, ty, "equality_ids", |cursor, item| {
        let id = cursor.integer(schema, item, "equality id")?;
        let id = id.and_then(|id| i32::try_from(id).ok());
        ids.push(id.ok_or(Error::Missing { part: PART, field: "equality id" })?);
        Ok(())
    })?;
    Ok(ids)
}

fn read_len(
    cursor: &mut Cursor<'_>,
    schema: &AvroSchema,
    ty: TypeIdx,
    field: &'static str,
) -> Result<Option<u64>, Error> {
    let value = cursor.integer(schema, ty, field)?;
    let length =
        |v: i64| u64::try_from(v).map_err(|_| Error::invalid(PART, field, &v, "an offset or length"));
    value.map(length).transpose()
}

fn read_partition_value(
    cursor: &mut Cursor<'_>,
    schema: &AvroSchema,
    ty: TypeIdx,
) -> Result<PartitionValue, Error> {
    const FIELD: &str = "partition value";
    let Some(idx) = cursor.enter(schema, ty)? else {
        return Ok(PartitionValue::Null);
    };
    Ok(PartitionValue::Is(match schema.get(idx) {
        AvroType::Integer(logical) => {
            let value = cursor.long(FIELD)?;
            match logical {
                Logical::Date => match i32::try_from(value) {
                    Ok(days) => Literal::Date(days),
                    Err(_) => return Ok(PartitionValue::Unknown),
                },
                Logical::TimeMicros => Literal::Time(value),
                Logical::TimestampMicros => Literal::Timestamp(value),
                Logical::TimestampNanos => Literal::TimestampNs(value),
                Logical::None | Logical::Decimal { .. } | Logical::Uuid => Literal::Long(value),
            }
        }
        AvroType::Boolean => Literal::Boolean(cursor.take(1, FIELD)? != [0]),
        AvroType::Float => Literal::Float(f32::from_le_bytes(take_array(cursor, FIELD)?)),
        AvroType::Double => Literal::Double(f64::from_le_bytes(take_array(cursor, FIELD)?)),
        AvroType::String => match std::str::from_utf8(cursor.len_prefixed(FIELD)?) {
            Ok(text) => Literal::String(text.to_owned()),
            Err(cause) => return Err(Error::invalid(PART, FIELD, &cause, "UTF-8")),
        },
        AvroType::Bytes(logical) => bytes_literal(cursor.len_prefixed(FIELD)?, *logical),
        AvroType::Fixed(len_bytes, logical) => bytes_literal(cursor.take(*len_bytes, FIELD)?, *logical),
        AvroType::Null | AvroType::Array(_) | AvroType::Map(_) | AvroType::Union(_) | AvroType::Record(_) => {
            return Err(Error::invalid(PART, FIELD, "of a nested type", "a primitive value"));
        }
    }))
}

fn bytes_literal(bytes: &[u8], logical: Logical) -> Literal {
    match (logical, decode_unscaled(bytes), <[u8; 16]>::try_from(bytes)) {
        (Logical::Decimal { scale }, Some(unscaled), _) => Literal::Decimal { unscaled, scale },
        (Logical::Uuid, _, Ok(uuid)) => Literal::Uuid(uuid),
        _ => Literal::Binary(bytes.to_vec()),
    }
}

fn take_array<const N: usize>(cursor: &mut Cursor<'_>, field: &'static str) -> Result<[u8; N], Error> {
    let len_bytes = cursor.position();
    let taken = cursor.take(N, field)?;
    taken.try_into().map_err(|_| Error::UnexpectedEnd { part: PART, field, len_bytes })
}
