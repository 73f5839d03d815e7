//! Narrowing by bounds. Pruning may change the cost, never the answer.

use std::cmp::Ordering;

use parquet::file::page_index::column_index::{ByteArrayColumnIndex, ColumnIndexMetaData};

use crate::file::{
    convert::Matcher,
    decode::values::Raw,
    footer::{Chunk, PageSpan},
    rows::RowSet,
};

/// What bounds say of `column = key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No value is the key.
    CannotMatch,
    /// Some may be.
    MightMatch,
    /// Every value is the key: least and greatest are, and none is null.
    Certain,
}

/// Bounds of some cells of a column.
#[derive(Clone, Copy, Debug)]
struct Bounds<'a> {
    min: Option<Raw<'a>>,
    max: Option<Raw<'a>>,
    null_count: Option<u64>,
    cell_count: u64,
}

impl Bounds<'_> {
    fn verdict(self, matcher: &Matcher) -> Verdict {
        if self.null_count == Some(self.cell_count) && self.cell_count > 0 {
            return Verdict::CannotMatch;
        }
        if !matcher.has_bounds() {
            return Verdict::MightMatch;
        }
        let min = self.min.and_then(|min| matcher.compare_bound(min));
        let max = self.max.and_then(|max| matcher.compare_bound(max));
        match (min, max) {
            (Some(Ordering::Greater), _) | (_, Some(Ordering::Less)) => Verdict::CannotMatch,
            // Bounds leave out NaN, so that a float column may hold more than they say.
            (Some(Ordering::Equal), Some(Ordering::Equal))
                if self.null_count == Some(0) && !is_float(self.min) =>
            {
                Verdict::Certain
            }
            _ => Verdict::MightMatch,
        }
    }
}

fn is_float(raw: Option<Raw<'_>>) -> bool {
    matches!(raw, Some(Raw::F32(_) | Raw::F64(_)))
}

/// What the statistics of a chunk say.
pub(crate) fn prune_chunk(chunk: &Chunk<'_>, matcher: &Matcher) -> Verdict {
    let Some(statistics) = chunk.metadata.statistics() else { return Verdict::MightMatch };
    let is_trusted = if statistics.is_min_max_deprecated() {
        matcher.conversion().has_signed_order()
    } else {
        chunk.has_type_order
    };
    let storage = chunk.shape.storage;
    let is_trusted = is_trusted && statistics.physical_type() == storage.physical;
    let min = statistics.min_bytes_opt().filter(|_| is_trusted);
    let max = statistics.max_bytes_opt().filter(|_| is_trusted);
    let bounds = Bounds {
        min: min.and_then(|bytes| storage.fixed(bytes).ok()),
        max: max.and_then(|bytes| storage.fixed(bytes).ok()),
        null_count: statistics.null_count_opt(),
        cell_count: chunk.row_count,
    };
    bounds.verdict(matcher)
}

/// What the column index says of each page that holds some of `among`: the rows that might match, and whether every row
/// of these does.
pub(crate) fn prune_pages(
    index: &ColumnIndexMetaData,
    pages: &[PageSpan],
    among: &RowSet,
    has_type_order: bool,
    matcher: &Matcher,
) -> (RowSet, bool) {
    let (mut rows, mut all_match) = (RowSet::default(), true);
    for (page_idx, page) in pages.iter().enumerate().filter(|(_, page)| among.overlaps(&page.rows)) {
        let verdict = if index.is_null_page(page_idx) {
            Verdict::CannotMatch
        } else {
            let (min, max) = if has_type_order { page_bounds(index, page_idx) } else { (None, None) };
            let null_count = index.null_count(page_idx).and_then(|count| u64::try_from(count).ok());
            Bounds { min, max, null_count, cell_count: page.rows.end - page.rows.start }.verdict(matcher)
        };
        if verdict != Verdict::CannotMatch {
            rows.push(page.rows.clone());
            all_match &= verdict == Verdict::Certain;
        }
    }
    (rows, all_match)
}

fn page_bounds(index: &ColumnIndexMetaData, page_idx: usize) -> (Option<Raw<'_>>, Option<Raw<'_>>) {
    use ColumnIndexMetaData as I;
    match index {
        I::BOOLEAN(of) => {
            (of.min_value(page_idx).copied().map(Raw::Bool), of.max_value(page_idx).copied().map(Raw::Bool))
        }
        I::INT32(of) => {
            (of.min_value(page_idx).copied().map(Raw::I32), of.max_value(page_idx).copied().map(Raw::I32))
        }
        I::INT64(of) => {
            (of.min_value(page_idx).copied().map(Raw::I64), of.max_value(page_idx).copied().map(Raw::I64))
        }
        I::FLOAT(of) => {
            (of.min_value(page_idx).copied().map(Raw::F32), of.max_value(page_idx).copied().map(Raw::F32))
        }
        I::DOUBLE(of) => {
            (of.min_value(page_idx).copied().map(Raw::F64), of.max_value(page_idx).copied().map(Raw::F64))
        }
        I::BYTE_ARRAY(of) | I::FIXED_LEN_BYTE_ARRAY(of) => byte_bounds(of, page_idx),
        I::INT96(_) => (None, None),
    }
}

fn byte_bounds(index: &ByteArrayColumnIndex, page_idx: usize) -> (Option<Raw<'_>>, Option<Raw<'_>>) {
    (index.min_value(page_idx).map(Raw::Bytes), index.max_value(page_idx).map(Raw::Bytes))
}
