//! Rows to one Parquet data file, laid out so that a point read of one row costs about a page for each column it asks
//! for (<https://parquet.apache.org/docs/file-format/>, design.md §5).
//!
//! ```text
//! "PAR1"
//! row group 0:  ns · type · id · version · rights · small columns · content · __ingest_ts
//!                 each a column chunk: [dictionary page] data page*
//! row group 1 …
//! column indexes (only of the columns with statistics), offset indexes (of every column)
//! footer, its length, "PAR1"
//! ```
//!
//! - zstd; an offset index always; a column index, chunk statistics and Iceberg bounds only where
//!   `Column::has_statistics` holds; no bloom filters.
//! - A dictionary only for columns whose values repeat, and none that is larger than a page. Content has none.
//! - Rows keep the order of [`DataFileWriter::push`]: the sink does not sort, and a row's position is the number of
//!   rows before it.
//! - A file holds one instant of `__ingest_ts` and so lies in one partition.
//!
//! The `parquet` crate writes no page checksums, so there are none.

use arrow_schema::ArrowError;
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, Encoding, ZstdLevel},
    errors::ParquetError,
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData},
        properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder},
        statistics::Statistics,
    },
    schema::types::ColumnPath,
};
use thiserror::Error;

use firn_types::{
    schema::{COLUMNS, Column, ColumnGroup, ColumnType, INGEST_TS},
    time::Micros,
};

use crate::{
    batch::{BatchBuilder, arrow_schema},
    partition::PartitionDay,
    row::Row,
};

/// Most that a data page of a key, rights or small column holds, uncompressed, and one value more: some 200 ids of 40
/// bytes, 2–3 KB compressed. The `id` column of a full row group of 3.4 KB rows (2,400 of them) is then 12 to 24 pages,
/// whose indexes take ~80 bytes each.
pub const SMALL_PAGE_LEN_BYTES: usize = 8 * 1024;

/// Most that a data page of a content column holds, uncompressed, and one value more: a value of 3.4 KB shares its page
/// with two to six others and compresses with them, to some 6 KB. With 8 MiB a row group there are at most 820 pages of
/// at least half this size, mostly 450, with 18 bytes for each in the offset indexes: 8 KB.
pub const CONTENT_PAGE_LEN_BYTES: usize = 20 * 1024;

/// The writer ends a page once it holds its limit, looking after every run of values that is itself about the limit: a
/// page holds less than twice the limit it is given, and one value.
const PAGE_OVERSHOOT: usize = 2;

/// Rows in a page of a column whose values take a few bits (versions are delta-encoded, null takes none): 1,024 x 8
/// bytes is [`SMALL_PAGE_LEN_BYTES`] at the worst. Only for the columns that every point read asks for.
pub const KEY_PAGE_ROW_COUNT: usize = 1_024;

/// Rows between two looks at the page's size, where the writer does not split runs by bytes.
pub(crate) const WRITE_BATCH_ROW_COUNT: usize = 16;

/// Values of a row group, uncompressed: what the writer holds in memory besides the finished part of the file, and
/// what its offset indexes are bounded by (see [`CONTENT_PAGE_LEN_BYTES`]). A row group costs 2.7 KB of footer.
///
/// A file of one row group has a footer and page index below the 16 KiB that a lookup reads first (measured: 3.3 + 10.0
/// KB with 2,150 rows of 3.8 KB); a larger file costs it one more wave. See [`DataFileWriter::has_room_for`].
pub const ROW_GROUP_LEN_BYTES: usize = 8 * 1024 * 1024;

/// Rows of a row group: 16,384 ids of 40 bytes are 80 to 160 pages, whose indexes take some 80 bytes each.
pub const ROW_GROUP_ROW_COUNT: usize = 16_384;

/// Values that wait in Arrow arrays before they are encoded; with the largest record it is 3 MB.
const BATCH_LEN_BYTES: usize = 1024 * 1024;

/// Rows that wait in Arrow arrays.
const BATCH_ROW_COUNT: usize = 1_024;

/// Longest bound of a text in a chunk's statistics and in the manifest; longer ones are cut (and the upper one rounded
/// up). Enough for a namespace's and a type's usual length and the head of an id.
const BOUND_LEN_BYTES: usize = 64;

/// Longest bound of a text in the column index. Rows are unsorted, so that most pages' bounds hold most ids: a longer
/// bound prunes hardly more, and would make the index of a full row group's ids 2 KB larger.
const PAGE_BOUND_LEN_BYTES: usize = 32;

/// zstd's own default: measured by its authors as the knee of size against speed.
const ZSTD_LEVEL: i32 = 3;

/// Why rows became no data file.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// A data file has at least one row.
    #[error("no rows")]
    Empty,
    /// Arrow refused a batch.
    #[error("batch")]
    Batch(#[from] ArrowError),
    /// The Parquet writer failed.
    #[error("data file")]
    Parquet(#[from] ParquetError),
}

/// A finished data file.
#[derive(Clone, Debug)]
pub struct DataFile {
    /// The object to be stored.
    pub bytes: Vec<u8>,
    /// What the table's manifests say of it.
    pub metrics: DataFileMetrics,
}

/// What a manifest says of a data file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFileMetrics {
    /// Number of rows.
    pub record_count: u64,
    /// Length of the object.
    pub file_size_bytes: u64,
    /// The partition.
    pub day: PartitionDay,
    /// Of the columns with statistics, by field id.
    pub columns: Vec<ColumnMetrics>,
    /// Where row groups start, rising.
    pub split_offsets: Vec<i64>,
}

/// Size, counts and bounds of one column in a data file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnMetrics {
    /// Field id.
    pub field_id: i32,
    /// Compressed bytes, page headers included.
    pub size_bytes: i64,
    /// Values, null included.
    pub value_count: i64,
    /// Null values.
    pub null_count: i64,
    /// Not above any value; in Iceberg's single-value serialisation, which for texts, integers and instants is that of
    /// Parquet's statistics. None where it is unknown.
    pub lower_bound: Option<Vec<u8>>,
    /// Not below any value.
    pub upper_bound: Option<Vec<u8>>,
}

/// Writes one data file, row by row. Memory: the file so far (compressed), one row group's pages, one batch.
#[derive(Debug)]
pub struct DataFileWriter {
    writer: ArrowWriter<Vec<u8>>,
    batch: BatchBuilder,
    ingest_ts: Micros,
    group_len_bytes: usize,
    group_row_count: usize,
    record_count: u64,
}

impl DataFileWriter {
    /// A file whose rows all have this `__ingest_ts`.
    pub fn new(ingest_ts: Micros) -> Result<Self, EncodeError> {
        // Without the Arrow schema's copy (8 KB in base64): the field ids say all of it.
        let options = ArrowWriterOptions::new()
            .with_skip_arrow_metadata(true)
            .with_schema_root("table".to_owned())
            .with_properties(writer_properties()?);
        Ok(Self {
            writer: ArrowWriter::try_new_with_options(Vec::new(), arrow_schema(), options)?,
            batch: BatchBuilder::default(),
            ingest_ts,
            group_len_bytes: 0,
            group_row_count: 0,
            record_count: 0,
        })
    }

    /// Appends a row. Its position in the file is [`Self::record_count`] before the call.
    pub fn push(&mut self, row: &Row) -> Result<(), EncodeError> {
        if !self.has_room_for(row) {
            self.write_batch()?;
            self.writer.flush()?;
            (self.group_len_bytes, self.group_row_count) = (0, 0);
        }
        self.batch.push(row, self.ingest_ts);
        self.group_len_bytes = self.group_len_bytes.saturating_add(row.len_bytes());
        self.group_row_count = self.group_row_count.saturating_add(1);
        self.record_count = self.record_count.saturating_add(1);
        if self.batch.row_count() >= BATCH_ROW_COUNT || self.batch.len_bytes() >= BATCH_LEN_BYTES {
            self.write_batch()?;
        }
        Ok(())
    }

    /// Whether the row fits into the row group that is being written; otherwise [`Self::push`] starts another. Finish
    /// the file instead where rows can wait for the next one: a file of one row group is the cheapest to look up.
    pub fn has_room_for(&self, row: &Row) -> bool {
        let len_bytes = self.group_len_bytes.saturating_add(row.len_bytes());
        self.group_row_count == 0
            || (self.group_row_count < ROW_GROUP_ROW_COUNT && len_bytes <= ROW_GROUP_LEN_BYTES)
    }

    /// Rows pushed so far.
    pub fn record_count(&self) -> u64 {
        self.record_count
    }

    /// Bytes of the file so far, with what is encoded and waits for its row group's end.
    pub fn len_bytes(&self) -> usize {
        self.writer.bytes_written().saturating_add(self.writer.in_progress_size())
    }

    /// Completes the file.
    pub fn finish(mut self) -> Result<DataFile, EncodeError> {
        if self.record_count == 0 {
            return Err(EncodeError::Empty);
        }
        self.write_batch()?;
        let metadata = self.writer.finish()?;
        let bytes = std::mem::take(self.writer.inner_mut());
        let metrics = DataFileMetrics {
            record_count: self.record_count,
            file_size_bytes: bytes.len() as u64,
            day: PartitionDay::of(self.ingest_ts),
            columns: column_metrics(&metadata),
            split_offsets: split_offsets(&metadata),
        };
        Ok(DataFile { bytes, metrics })
    }

    fn write_batch(&mut self) -> Result<(), EncodeError> {
        if self.batch.row_count() > 0 {
            self.writer.write(&self.batch.take_batch()?)?;
        }
        Ok(())
    }
}

/// One data file of these rows.
pub fn encode_data_file<'a>(
    rows: impl IntoIterator<Item = &'a Row>,
    ingest_ts: Micros,
) -> Result<DataFile, EncodeError> {
    let mut writer = DataFileWriter::new(ingest_ts)?;
    for row in rows {
        writer.push(row)?;
    }
    writer.finish()
}

fn writer_properties() -> Result<WriterProperties, ParquetError> {
    let properties = WriterProperties::builder()
        .set_created_by(concat!("firn-lake ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_write_batch_size(WRITE_BATCH_ROW_COUNT)
        .set_max_row_group_row_count(None)
        .set_max_row_group_bytes(None)
        .set_dictionary_page_size_limit(SMALL_PAGE_LEN_BYTES)
        .set_statistics_truncate_length(Some(BOUND_LEN_BYTES))
        .set_column_index_truncate_length(Some(PAGE_BOUND_LEN_BYTES));
    Ok(COLUMNS.iter().fold(properties, column_properties).build())
}

fn column_properties(properties: WriterPropertiesBuilder, column: &Column) -> WriterPropertiesBuilder {
    let path = column_path(column);
    let statistics = if column.has_statistics() { EnabledStatistics::Page } else { EnabledStatistics::None };
    let page_len_bytes =
        if column.group == ColumnGroup::Content { CONTENT_PAGE_LEN_BYTES } else { SMALL_PAGE_LEN_BYTES };
    let mut properties = properties
        .set_column_statistics_enabled(path.clone(), statistics)
        .set_column_data_page_size_limit(path.clone(), page_len_bytes / PAGE_OVERSHOOT)
        .set_column_dictionary_enabled(path.clone(), values_repeat(column));
    if column.group < ColumnGroup::Small {
        properties = properties.set_column_data_page_row_count_limit(path.clone(), KEY_PAGE_ROW_COUNT);
    }
    if matches!(column.name, "version" | "ts") {
        properties = properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    properties
}

/// Whether a file's rows share few values of the column, so that a dictionary makes it smaller. A dictionary of
/// distinct values would be a second page to read for nothing.
fn values_repeat(column: &Column) -> bool {
    matches!(
        column.name,
        "ns" | "type"
            | "visibility"
            | "owner_iss"
            | "owner_org"
            | "owner_sub"
            | "mode"
            | "ingest_id"
            | "blob_content_type"
            | "signature_key_id"
            | INGEST_TS
    )
}

/// The path of the column's only leaf.
fn column_path(column: &Column) -> ColumnPath {
    match column.column_type {
        ColumnType::StringList { .. } => {
            ColumnPath::new(vec![column.name.to_owned(), "list".to_owned(), "element".to_owned()])
        }
        _ => ColumnPath::from(column.name),
    }
}

fn column_metrics(metadata: &ParquetMetaData) -> Vec<ColumnMetrics> {
    // No column with statistics is a list, and every column has one leaf: the indices agree.
    let with_statistics = COLUMNS.iter().enumerate().filter(|(_, column)| column.has_statistics());
    with_statistics
        .map(|(column_idx, column)| {
            let chunks = || metadata.row_groups().iter().filter_map(|group| group.columns().get(column_idx));
            ColumnMetrics {
                field_id: column.field_id,
                size_bytes: chunks().map(ColumnChunkMetaData::compressed_size).sum(),
                value_count: chunks().map(ColumnChunkMetaData::num_values).sum(),
                // Key, version and `__ingest_ts` are required columns.
                null_count: 0,
                lower_bound: bound(chunks(), Statistics::min_bytes_opt, |a, b| precedes(column, a, b)),
                upper_bound: bound(chunks(), Statistics::max_bytes_opt, |a, b| precedes(column, b, a)),
            }
        })
        .collect()
}

/// The outermost of the chunks' bounds; `None` if a chunk has none. `is_further_out` holds if its first argument is.
fn bound<'a>(
    chunks: impl Iterator<Item = &'a ColumnChunkMetaData>,
    bound_of: fn(&Statistics) -> Option<&[u8]>,
    is_further_out: impl Fn(&[u8], &[u8]) -> bool,
) -> Option<Vec<u8>> {
    let mut outermost: Option<&[u8]> = None;
    for chunk in chunks {
        let next = chunk.statistics().and_then(bound_of)?;
        if outermost.is_none_or(|known| is_further_out(next, known)) {
            outermost = Some(next);
        }
    }
    outermost.map(<[u8]>::to_vec)
}

/// The order of a column's values, as their bytes in statistics.
fn precedes(column: &Column, a: &[u8], b: &[u8]) -> bool {
    match column.column_type {
        ColumnType::String => a < b,
        _ => le_i64(a) < le_i64(b),
    }
}

fn le_i64(bytes: &[u8]) -> Option<i64> {
    bytes.try_into().ok().map(i64::from_le_bytes)
}

fn split_offsets(metadata: &ParquetMetaData) -> Vec<i64> {
    let starts = metadata.row_groups().iter().filter_map(|group| group.columns().first());
    starts.map(|chunk| chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset())).collect()
}
