//! The footer of a file, and what was read of its page index and of its keys, for this lookup and later ones.
//!
//! ```text
//! "PAR1" │ column chunks … │ column indexes │ offset indexes │ FileMetaData │ its length: 4 │ "PAR1"
//!                                                            └──────────── tail ─────────────────┘
//! ```
//! Spec: <https://parquet.apache.org/docs/file-format/>. The `parquet` crate parses; what it would trust is walked
//! first ([`crate::file::footer_check`]), what it leaves unchecked is checked here when it is used.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use bytes::Bytes;
use parquet::{
    basic::{ColumnOrder, SortOrder, Type as Physical},
    file::{
        metadata::{
            ColumnChunkMetaData, FooterTail, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader,
            ParquetStatisticsPolicy, RowGroupMetaData,
        },
        page_index::column_index::ColumnIndexMetaData,
    },
};

use crate::file::{
    codec::check_codec,
    decode::values::Storage,
    error::{Cause, Located},
    fetched::Fetched,
    footer_check::check_footer,
    index::ParsedIndex,
    limits::{
        FOOTER_LEN_BYTES_MAX, KEPT_PAGES_LEN_BYTES_MAX, TAIL_GROWTH, TAIL_LEN_BYTES_MAX, TAIL_LEN_BYTES_MIN,
        WHOLE_FILE_LEN_BYTES_MAX,
    },
    page::LeafShape,
};

/// Length of the fixed end: length of the metadata and magic.
const FIXED_LEN_BYTES: u64 = 8;

/// Old versions of parquet-mr forgot the header of the dictionary page in a chunk's length; no header is longer. Bytes
/// behind a chunk do no harm: pages are read by their own lengths. (`PARQUET-816`.)
const CHUNK_LEN_SLACK: u64 = 100;

/// How long a tail to read first of an object that is said to have `stated_len_bytes`. The statement is a hint only.
pub fn first_tail_len_bytes(stated_len_bytes: u64) -> u64 {
    if stated_len_bytes <= WHOLE_FILE_LEN_BYTES_MAX {
        return WHOLE_FILE_LEN_BYTES_MAX;
    }
    TAIL_LEN_BYTES_MIN.saturating_add(stated_len_bytes / TAIL_GROWTH).min(TAIL_LEN_BYTES_MAX)
}

/// The same where it is also said how much lies behind the columns: then just that, unless it is more than pays.
pub(crate) fn tail_len_bytes(stated_len_bytes: u64, stated_end_len_bytes: Option<u64>) -> u64 {
    let guess = first_tail_len_bytes(stated_len_bytes);
    let stated = stated_end_len_bytes.filter(|end| (FIXED_LEN_BYTES..=TAIL_LEN_BYTES_MAX).contains(end));
    if stated_len_bytes <= WHOLE_FILE_LEN_BYTES_MAX { guess } else { stated.unwrap_or(guess) }
}

/// A parsed footer. Immutable: a lookup that reads more of the page index makes a new one that shares the rest.
#[derive(Clone, Debug)]
pub struct FileFooter {
    object_len_bytes: u64,
    metadata: Arc<ParquetMetaData>,
    indexes: BTreeMap<(usize, usize), ChunkIndex>,
    index_len_bytes: u64,
    pages: Arc<Fetched>,
}

/// What was read of the page index of one column chunk.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChunkIndex {
    /// Bounds by page.
    pub(crate) columns: Option<Arc<ColumnIndexMetaData>>,
    /// Places of pages.
    pub(crate) pages: Option<Arc<Vec<PageSpan>>>,
}

/// The place of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageSpan {
    /// Header and page, in the object.
    pub(crate) bytes: Range<u64>,
    /// Rows of the row group that have cells in it.
    pub(crate) rows: Range<u64>,
}

/// What the end of an object says.
#[derive(Debug)]
pub(crate) enum Tail {
    /// The footer is all there.
    Footer(FileFooter),
    /// This range holds the rest of it.
    Need(Range<u64>),
}

impl FileFooter {
    /// Length of the object that it ends.
    pub fn object_len_bytes(&self) -> u64 {
        self.object_len_bytes
    }

    /// About how much memory it takes, for a cache's budget.
    pub fn memory_len_bytes(&self) -> u64 {
        let parsed = (self.metadata.memory_size() as u64).saturating_add(self.index_len_bytes);
        parsed.saturating_add(self.pages.len_bytes())
    }

    /// Whether it knows more of the file's pages than `earlier` did, of which it was made.
    pub fn knows_more_than(&self, earlier: &Self) -> bool {
        let kept = |footer: &Self| footer.index_len_bytes.saturating_add(footer.pages.len_bytes());
        kept(self) > kept(earlier)
    }

    /// What the file says of itself: schema, row groups, statistics.
    pub fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }

    /// Reads the footer of an object of `object_len_bytes` bytes out of what was fetched of its end.
    pub(crate) fn parse_tail(fetched: &Fetched, object_len_bytes: u64) -> Result<Tail, Cause> {
        let truncated = Cause::Truncated { what: "footer" };
        let end = object_len_bytes.checked_sub(FIXED_LEN_BYTES).ok_or(truncated.clone())?;
        let fixed = fetched.get(&(end..object_len_bytes)).ok_or(truncated.clone())?;
        let fixed = FooterTail::try_new(fixed.first_chunk().ok_or(truncated)?)?;
        if fixed.is_encrypted_footer() {
            return Err(Cause::unsupported("footer", "encrypted"));
        }
        let len = fixed.metadata_length() as u64;
        Cause::check_limit("footer length", len, FOOTER_LEN_BYTES_MAX)?;
        let start = end.checked_sub(len).ok_or(Cause::invalid("footer length", len))?;
        match fetched.get(&(start..end)) {
            Some(bytes) => Self::parse(&bytes, object_len_bytes).map(Tail::Footer),
            None => Ok(Tail::Need(start..fetched.start_of(end).max(start))),
        }
    }

    fn parse(bytes: &[u8], object_len_bytes: u64) -> Result<Self, Cause> {
        check_footer(bytes)?;
        // Histograms of sizes and encodings: nothing here reads them, some writers get their types wrong.
        let options = ParquetMetaDataOptions::new()
            .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll);
        let metadata = ParquetMetaDataReader::decode_metadata_with_options(bytes, Some(&options))?;
        let column_count = metadata.file_metadata().schema_descr().num_columns();
        let mut rows = 0u64;
        for group in metadata.row_groups() {
            if group.num_columns() != column_count {
                return Err(Cause::invalid("columns of a row group", group.num_columns() as u64));
            }
            let group_rows = row_count(group)?;
            rows = rows.checked_add(group_rows).ok_or(Cause::invalid("rows", group_rows))?;
        }
        Ok(Self {
            object_len_bytes,
            metadata: Arc::new(metadata),
            indexes: BTreeMap::new(),
            index_len_bytes: 0,
            pages: Arc::default(),
        })
    }

    /// The row groups, by number: rows before it in the file, and its own.
    pub(crate) fn row_groups(&self) -> impl Iterator<Item = (usize, Range<u64>)> {
        let mut first = 0u64;
        self.metadata.row_groups().iter().enumerate().map(move |(idx, group)| {
            let start = first;
            // Checked when the footer was parsed.
            first = row_count(group).map_or(start, |count| start.saturating_add(count));
            (idx, start..first)
        })
    }

    /// A chunk, by the numbers of its row group and its leaf column.
    pub(crate) fn chunk(&self, group_idx: usize, leaf_idx: usize) -> Result<Chunk<'_>, Cause> {
        let group =
            self.metadata.row_groups().get(group_idx).ok_or(Cause::Truncated { what: "row groups" })?;
        let chunk =
            group.columns().get(leaf_idx).ok_or(Cause::Truncated { what: "columns of a row group" })?;
        let index = self.indexes.get(&(group_idx, leaf_idx));
        Chunk::new(group, chunk, index, leaf_idx, self)
    }

    /// Says where `cause` was met.
    pub(crate) fn locate(&self, group_idx: usize, leaf_idx: usize, cause: Cause) -> Located {
        let columns = self.metadata.file_metadata().schema_descr().columns();
        let column = columns.get(leaf_idx).map(|column| column.path().string());
        Located { row_group: Some(group_idx), column, cause }
    }

    /// Keeps what was read of a chunk's page index.
    pub(crate) fn keep_index(&mut self, parsed: ParsedIndex) {
        let ParsedIndex { group_idx, leaf_idx, index, len_bytes } = parsed;
        let kept = self.indexes.entry((group_idx, leaf_idx)).or_default();
        kept.columns = index.columns.or(kept.columns.take());
        kept.pages = index.pages.or(kept.pages.take());
        // Parsed, numbers take some three times their stored length, texts as much as before.
        self.index_len_bytes = self.index_len_bytes.saturating_add(len_bytes.saturating_mul(3));
    }
}

impl FileFooter {
    /// Pages of earlier lookups.
    pub(crate) fn pages(&self) -> &Arc<Fetched> {
        &self.pages
    }

    /// Keeps fetched pages of small columns, if all of them fit. A copy: what was fetched with them can go.
    pub(crate) fn keep_pages(&mut self, ranges: Vec<Range<u64>>, fetched: &Fetched) {
        let lens = ranges.iter().map(|range| range.end.saturating_sub(range.start));
        if lens.fold(self.pages.len_bytes(), u64::saturating_add) > KEPT_PAGES_LEN_BYTES_MAX {
            return;
        }
        let pages = Arc::make_mut(&mut self.pages);
        for range in ranges {
            if let Some(bytes) = fetched.get(&range) {
                pages.insert(range.start, Bytes::copy_from_slice(&bytes));
            }
        }
    }
}

fn row_count(group: &RowGroupMetaData) -> Result<u64, Cause> {
    u64::try_from(group.num_rows()).map_err(|_| Cause::invalid("rows of a row group", group.num_rows()))
}

/// One column chunk, its numbers checked.
#[derive(Debug)]
pub(crate) struct Chunk<'a> {
    pub(crate) metadata: &'a ColumnChunkMetaData,
    /// Its pages.
    pub(crate) bytes: Range<u64>,
    /// How far its last page may reach.
    pub(crate) end_max: u64,
    /// Rows of the row group.
    pub(crate) row_count: u64,
    /// How its pages are read.
    pub(crate) shape: LeafShape,
    /// Its column index in the object, if it has one that is not read yet.
    pub(crate) column_index: Option<Range<u64>>,
    /// Its offset index in the object, if it has one that is not read yet.
    pub(crate) offset_index: Option<Range<u64>>,
    /// What was read of them.
    pub(crate) index: ChunkIndex,
    /// Whether `min_value` and `max_value` are in the order of the column's type.
    pub(crate) has_type_order: bool,
}

impl<'a> Chunk<'a> {
    fn new(
        group: &RowGroupMetaData,
        metadata: &'a ColumnChunkMetaData,
        index: Option<&ChunkIndex>,
        leaf_idx: usize,
        footer: &FileFooter,
    ) -> Result<Self, Cause> {
        if metadata.file_path().is_some_and(|path| !path.is_empty()) {
            return Err(Cause::unsupported("column chunk", "in another file"));
        }
        let index = index.cloned().unwrap_or_default();
        let within = |range: Option<Range<u64>>| range.filter(|range| range.end <= footer.object_len_bytes);
        let bytes = chunk_bytes(metadata, footer.object_len_bytes)?;
        Ok(Self {
            end_max: bytes.end.saturating_add(CHUNK_LEN_SLACK).min(footer.object_len_bytes),
            bytes,
            row_count: row_count(group)?,
            shape: shape(metadata)?,
            column_index: within(index_range(metadata.column_index_offset(), metadata.column_index_length())),
            offset_index: within(index_range(metadata.offset_index_offset(), metadata.offset_index_length())),
            index,
            has_type_order: has_type_order(footer.metadata(), leaf_idx),
            metadata,
        })
    }
}

fn chunk_bytes(metadata: &ColumnChunkMetaData, object_len_bytes: u64) -> Result<Range<u64>, Cause> {
    let data = metadata.data_page_offset();
    // Writers that keep no dictionary may state an offset of zero.
    let start = metadata.dictionary_page_offset().filter(|at| *at > 0 && *at < data).unwrap_or(data);
    let (Ok(start), Ok(len)) = (u64::try_from(start), u64::try_from(metadata.compressed_size())) else {
        return Err(Cause::invalid("place of a column chunk", start));
    };
    let end = start.checked_add(len).filter(|end| *end <= object_len_bytes);
    let end = end.ok_or(Cause::invalid("end of a column chunk", i128::from(start) + i128::from(len)))?;
    Ok(start..end)
}

fn index_range(offset: Option<i64>, len: Option<i32>) -> Option<Range<u64>> {
    let (start, len) = (u64::try_from(offset?).ok()?, u64::try_from(len?).ok()?);
    start.checked_add(len).map(|end| start..end).filter(|range| !range.is_empty())
}

fn shape(metadata: &ColumnChunkMetaData) -> Result<LeafShape, Cause> {
    let column = metadata.column_descr();
    let physical = column.physical_type();
    let fixed_len = if physical == Physical::FIXED_LEN_BYTE_ARRAY {
        let len = column.type_length();
        usize::try_from(len).map_err(|_| Cause::invalid("length of a fixed-length type", len))?
    } else {
        0
    };
    check_codec(metadata.compression())?;
    let level = |level: i16| u32::try_from(level).map_err(|_| Cause::invalid("level", level));
    Ok(LeafShape {
        storage: Storage { physical, fixed_len },
        def_max: level(column.max_def_level())?,
        rep_max: level(column.max_rep_level())?,
        codec: metadata.compression(),
    })
}

/// A file without `column_orders` was written before they existed; its new bounds, if any, are in the type's order.
fn has_type_order(metadata: &ParquetMetaData, leaf_idx: usize) -> bool {
    match metadata.file_metadata().column_orders().and_then(|orders| orders.get(leaf_idx)) {
        None => true,
        Some(order) => {
            matches!(order, ColumnOrder::TYPE_DEFINED_ORDER(sort) if *sort != SortOrder::UNDEFINED)
        }
    }
}
