//! Offset indexes and column indexes, checked against the chunk that they describe.
//!
//! Spec: <https://parquet.apache.org/docs/file-format/pageindex/>

use std::{ops::Range, sync::Arc};

use parquet::file::page_index::{
    column_index::ColumnIndexMetaData,
    index_reader::{decode_column_index, decode_offset_index},
    offset_index::PageLocation,
};

use crate::file::{
    error::{Cause, Located},
    fetched::Fetched,
    footer::{Chunk, ChunkIndex, FileFooter, PageSpan},
    limits::{INDEX_PAYS_LEN_BYTES, PAGE_INDEX_LEN_BYTES_MAX, PAGES_MAX},
    thrift::{Layout, Shape, check_struct},
};

/// What of the page index is wanted of one row group, by leaf columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) group_idx: usize,
    /// Bounds of pages.
    pub(crate) bounds: Vec<usize>,
    /// Places of pages; those of `bounds` among them.
    pub(crate) places: Vec<usize>,
}

/// Ranges of the page index that are neither kept nor fetched, of row groups where reading them pays.
pub(crate) fn index_needs(
    footer: &FileFooter,
    wanted: &[Wanted],
    fetched: &Fetched,
) -> Result<Vec<Range<u64>>, Located> {
    let mut missing = Vec::new();
    for group in wanted {
        let (mut ranges, mut chunks_len) = (Vec::new(), 0u64);
        for leaf_idx in &group.places {
            let chunk = chunk(footer, group.group_idx, *leaf_idx)?;
            chunks_len = chunks_len.saturating_add(chunk.bytes.end - chunk.bytes.start);
            ranges.extend(unread(&chunk, group.bounds.contains(leaf_idx)));
        }
        ranges.retain(|range| fetched.get(range).is_none());
        if chunks_len >= INDEX_PAYS_LEN_BYTES {
            missing.extend(ranges);
        }
    }
    Ok(missing)
}

/// What was parsed of the page index of a chunk.
#[derive(Debug)]
pub(crate) struct ParsedIndex {
    pub(crate) group_idx: usize,
    pub(crate) leaf_idx: usize,
    pub(crate) index: ChunkIndex,
    /// Its length as stored.
    pub(crate) len_bytes: u64,
}

/// Parses what is fetched of the wanted page index and is not kept with the footer yet.
pub(crate) fn parse_indexes(
    footer: &FileFooter,
    wanted: &[Wanted],
    fetched: &Fetched,
) -> Result<Vec<ParsedIndex>, Located> {
    let mut indexes = Vec::new();
    for Wanted { group_idx, bounds, places } in wanted {
        for leaf_idx in places {
            let chunk = chunk(footer, *group_idx, *leaf_idx)?;
            let parsed = parse(&chunk, bounds.contains(leaf_idx), fetched);
            let (index, len_bytes) = parsed.map_err(|cause| footer.locate(*group_idx, *leaf_idx, cause))?;
            if len_bytes > 0 {
                let (group_idx, leaf_idx) = (*group_idx, *leaf_idx);
                indexes.push(ParsedIndex { group_idx, leaf_idx, index, len_bytes });
            }
        }
    }
    Ok(indexes)
}

fn chunk(footer: &FileFooter, group_idx: usize, leaf_idx: usize) -> Result<Chunk<'_>, Located> {
    footer.chunk(group_idx, leaf_idx).map_err(|cause| footer.locate(group_idx, leaf_idx, cause))
}

/// Where the unread parts of a chunk's index stand. Bounds are of no use without places.
fn unread(chunk: &Chunk<'_>, with_bounds: bool) -> Vec<Range<u64>> {
    let is_short = |range: &&Range<u64>| range.end - range.start <= PAGE_INDEX_LEN_BYTES_MAX;
    let places = chunk.offset_index.iter().filter(is_short);
    let has_places = places.clone().next().is_some();
    let bounds = chunk.column_index.iter().filter(is_short);
    let places = places.filter(|_| chunk.index.pages.is_none());
    let bounds = bounds.filter(|_| with_bounds && has_places && chunk.index.columns.is_none());
    bounds.chain(places).cloned().collect()
}

fn parse(chunk: &Chunk<'_>, with_bounds: bool, fetched: &Fetched) -> Result<(ChunkIndex, u64), Cause> {
    let (mut index, mut len_bytes) = (ChunkIndex::default(), 0);
    let bytes_of = |range: &Option<Range<u64>>| range.as_ref().and_then(|range| fetched.get(range));
    if chunk.index.pages.is_none()
        && let Some(bytes) = bytes_of(&chunk.offset_index)
    {
        index.pages = Some(Arc::new(parse_offset_index(&bytes, chunk)?));
        len_bytes += bytes.len() as u64;
    }
    let pages = index.pages.as_ref().or(chunk.index.pages.as_ref());
    if with_bounds
        && chunk.index.columns.is_none()
        && let (Some(bytes), Some(pages)) = (bytes_of(&chunk.column_index), pages)
    {
        index.columns = Some(Arc::new(parse_column_index(&bytes, chunk, pages.len())?));
        len_bytes += bytes.len() as u64;
    }
    Ok((index, len_bytes))
}

const OFFSET_INDEX: &Layout = {
    use Shape::{Int, List, Struct};
    &[List(&Struct(&[Int, Int, Int])), List(&Int)]
};

const COLUMN_INDEX: &Layout = {
    use Shape::{Binary, Bool, Int, List};
    &[List(&Bool), List(&Binary), List(&Binary), Int, List(&Int), List(&Int), List(&Int), List(&Int)]
};

/// Reads an offset index. Its pages lie in the chunk, in order and apart, and hold all of its rows in order.
pub(crate) fn parse_offset_index(bytes: &[u8], chunk: &Chunk<'_>) -> Result<Vec<PageSpan>, Cause> {
    check_struct(bytes, OFFSET_INDEX, "offset index")?;
    let index = decode_offset_index(bytes)?;
    let locations = index.page_locations();
    Cause::check_limit("pages of a column chunk", locations.len() as u64, PAGES_MAX as u64)?;
    let mut spans = Vec::with_capacity(locations.len());
    let mut at = chunk.bytes.start;
    for (idx, location) in locations.iter().enumerate() {
        let next_row = locations.get(idx + 1).map(|next| next.first_row_index);
        let span = span(location, next_row, chunk).filter(|span| span.bytes.start >= at);
        let span = span.ok_or(Cause::invalid("place of a page", location.offset))?;
        at = span.bytes.end;
        spans.push(span);
    }
    let first_row = spans.first().map_or(chunk.row_count, |span| span.rows.start);
    if first_row == 0 { Ok(spans) } else { Err(Cause::invalid("first row of a page", first_row)) }
}

fn span(location: &PageLocation, next_row: Option<i64>, chunk: &Chunk<'_>) -> Option<PageSpan> {
    let start = u64::try_from(location.offset).ok()?;
    let end = start.checked_add(u64::try_from(location.compressed_page_size).ok()?)?;
    let first = u64::try_from(location.first_row_index).ok()?;
    let next = next_row.map_or(Some(chunk.row_count), |row| u64::try_from(row).ok())?;
    // A page of no rows is unusual and harmless: it overlaps nothing.
    let is_inside = start < end && end <= chunk.end_max && first <= next && next <= chunk.row_count;
    is_inside.then_some(PageSpan { bytes: start..end, rows: first..next })
}

/// Reads a column index of a chunk with `page_count` pages.
pub(crate) fn parse_column_index(
    bytes: &[u8],
    chunk: &Chunk<'_>,
    page_count: usize,
) -> Result<ColumnIndexMetaData, Cause> {
    check_struct(bytes, COLUMN_INDEX, "column index")?;
    let index = decode_column_index(bytes, chunk.shape.storage.physical)?;
    let pages = index.num_pages();
    let nulls = index.null_counts().map_or(pages, |counts| counts.len() as u64);
    if pages == page_count as u64 && nulls == pages {
        Ok(index)
    } else {
        Err(Cause::invalid("pages of a column index", pages))
    }
}
