//! Reading rows of one column chunk: which of its bytes are needed, and its cells once they are there.
//!
//! With an offset index the places of all pages are known. Without one they are found by walking from header to header
//! through the fetched bytes, a piece of the chunk at a time, no further than the last wanted row.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use crate::file::{
    decode::values::Dictionary,
    error::Cause,
    fetched::Fetched,
    footer::{Chunk, PageSpan},
    header::{PageContent, PageHeader},
    limits::{DECODED_VALUES_MAX, PAGES_MAX, PIECE_LEN_BYTES},
    page::{Cell, LeafShape, Page, open_dictionary},
    rows::RowSet,
};

/// How many cells may still be decoded; shared by everything that one lookup reads.
#[derive(Debug)]
pub(crate) struct Budget {
    cells_left: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { cells_left: DECODED_VALUES_MAX }
    }
}

impl Budget {
    fn spend(&mut self, cells: u64) -> Result<(), Cause> {
        let left = self.cells_left.checked_sub(cells);
        let exceeded =
            Cause::Limit { what: "decoded values", found: DECODED_VALUES_MAX + 1, limit: DECODED_VALUES_MAX };
        self.cells_left = left.ok_or(exceeded)?;
        Ok(())
    }
}

/// Reads one column chunk.
#[derive(Debug)]
pub(crate) struct ChunkReader {
    shape: LeafShape,
    bytes: Range<u64>,
    /// Where the dictionary ends, by the footer's word: no more than a hint.
    values_start: u64,
    end_max: u64,
    row_count: u64,
    pages: Pages,
    dictionary_at: Option<Range<u64>>,
    dictionary: Option<Arc<Dictionary>>,
}

#[derive(Debug)]
enum Pages {
    Indexed(Arc<Vec<PageSpan>>),
    Walked(Walk),
}

#[derive(Debug)]
struct Walk {
    pages: Vec<PageSpan>,
    /// Where the next header stands.
    position: u64,
    /// Rows that began before it.
    rows_begun: u64,
    piece_len: u64,
}

impl Pages {
    fn known(&self) -> &[PageSpan] {
        match self {
            Self::Indexed(pages) => pages,
            Self::Walked(walk) => &walk.pages,
        }
    }
}

/// The pages that hold cells of `rows`, of pages in their order. A row of a repeated column may lie in several.
fn pages_of<'a>(pages: &'a [PageSpan], rows: &'a RowSet) -> impl Iterator<Item = &'a PageSpan> {
    // Pages never end before those in front of them do. One without a row may begin behind the next one's first.
    let first = pages.partition_point(|page| page.rows.end <= rows.start());
    let pages = pages.get(first..).unwrap_or_default().iter();
    pages
        .take_while(|page| page.rows.start < rows.end() || page.rows.is_empty())
        .filter(|page| rows.overlaps(&page.rows))
}

impl ChunkReader {
    /// Reads `chunk`, through its offset index where that was read.
    pub(crate) fn new(chunk: &Chunk<'_>) -> Self {
        let first_page = chunk.index.pages.as_ref().and_then(|pages| pages.first());
        // What stands before the first data page is the dictionary.
        let dictionary_at =
            first_page.map(|page| chunk.bytes.start..page.bytes.start).filter(|range| !range.is_empty());
        let walk = || Walk {
            pages: Vec::new(),
            position: chunk.bytes.start,
            rows_begun: 0,
            piece_len: PIECE_LEN_BYTES,
        };
        let pages = chunk.index.pages.clone().map_or_else(|| Pages::Walked(walk()), Pages::Indexed);
        Self {
            shape: chunk.shape.clone(),
            bytes: chunk.bytes.clone(),
            values_start: u64::try_from(chunk.metadata.data_page_offset()).unwrap_or(chunk.bytes.start),
            end_max: chunk.end_max,
            row_count: chunk.row_count,
            pages,
            dictionary_at,
            dictionary: None,
        }
    }

    /// Ranges of the object that are still missing to read `rows`. Empty when [`Self::read`] may be called; until then
    /// what is fetched next may show that more is needed.
    pub(crate) fn needs(
        &mut self,
        rows: &RowSet,
        fetched: &Fetched,
        budget: &mut Budget,
    ) -> Result<Vec<Range<u64>>, Cause> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let dictionary = self.dictionary_at.as_ref().filter(|_| self.dictionary.is_none());
        let dictionary = dictionary.filter(|range| fetched.get(range).is_none()).cloned();
        let pages = if matches!(self.pages, Pages::Walked(_)) {
            self.walk(rows, fetched, budget)?.into_iter().collect()
        } else {
            let pages = pages_of(self.pages.known(), rows).map(|page| &page.bytes);
            pages.filter(|range| fetched.get(range).is_none()).cloned().collect::<Vec<_>>()
        };
        Ok(dictionary.into_iter().chain(pages).collect())
    }

    /// The length of the pages that hold `rows`, dictionary included; of the chunk, where pages are not known.
    pub(crate) fn len_bytes_of(&self, rows: &RowSet) -> u64 {
        match &self.pages {
            Pages::Walked(_) => self.bytes.end - self.bytes.start,
            Pages::Indexed(pages) => pages_of(pages, rows)
                .map(|page| &page.bytes)
                .chain(&self.dictionary_at)
                .map(|range| range.end - range.start)
                .sum(),
        }
    }

    /// Whether the pages that hold `rows` were fetched; the whole chunk, where pages are not known.
    pub(crate) fn is_fetched(&self, rows: &RowSet, fetched: &Fetched) -> bool {
        let is_there = |range: &Range<u64>| fetched.covered_to(range.start, range.end) == range.end;
        match &self.pages {
            Pages::Walked(_) => is_there(&self.bytes),
            Pages::Indexed(pages) => {
                pages_of(pages, rows).map(|page| &page.bytes).chain(&self.dictionary_at).all(is_there)
            }
        }
    }

    /// Gives each cell of `rows` to `sink`, in order, with the number of its row.
    pub(crate) fn read(
        &mut self,
        rows: &RowSet,
        fetched: &Fetched,
        budget: &mut Budget,
        sink: &mut dyn FnMut(u64, Cell<'_>) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        let pages: Vec<PageSpan> = pages_of(self.pages.known(), rows).cloned().collect();
        for span in pages {
            let bytes = fetched.get(&span.bytes).ok_or(Cause::Truncated { what: "page" })?;
            let header = PageHeader::parse(&bytes)?;
            let mut page = self.open(&header, &bytes, fetched, budget)?;
            if self.shape.rep_max == 0 {
                read_flat(&mut page, &span.rows, rows, sink)?;
            } else {
                read_repeated(&mut page, &span.rows, rows, sink)?;
            }
        }
        Ok(())
    }

    fn open(
        &mut self,
        header: &PageHeader,
        bytes: &Bytes,
        fetched: &Fetched,
        budget: &mut Budget,
    ) -> Result<Page, Cause> {
        if header.uses_dictionary() && self.dictionary.is_none() {
            let at = self.dictionary_at.as_ref().ok_or(Cause::Truncated { what: "dictionary" })?;
            let bytes = fetched.get(at).ok_or(Cause::Truncated { what: "dictionary" })?;
            self.dictionary = Some(Arc::new(open_dictionary(&self.shape, &bytes)?));
        }
        let page = Page::open(&self.shape, header, bytes, self.dictionary.as_ref())?;
        budget.spend(page.cells_left())?;
        Ok(page)
    }

    /// Walks on until all pages of `rows` are known and fetched; the range that is missing for it.
    fn walk(
        &mut self,
        rows: &RowSet,
        fetched: &Fetched,
        budget: &mut Budget,
    ) -> Result<Option<Range<u64>>, Cause> {
        if let Some(missing) =
            pages_of(self.pages.known(), rows).find(|page| fetched.get(&page.bytes).is_none())
        {
            return Ok(Some(missing.bytes.clone()));
        }
        loop {
            let Pages::Walked(walk) = &self.pages else { return Ok(None) };
            if self.is_walked(walk, rows) {
                return Ok(None);
            }
            let position = walk.position;
            if position >= self.bytes.end {
                return Err(Cause::Truncated { what: "column chunk" });
            }
            let reached = fetched.covered_to(position, self.end_max);
            let bytes = fetched.get(&(position..reached)).unwrap_or_default();
            let header = match PageHeader::parse_partial(&bytes)? {
                Some(header) => header,
                None if reached >= self.end_max => return Err(Cause::Truncated { what: "page header" }),
                None => return Ok(Some(self.piece(reached, reached + 1, rows))),
            };
            let end = position.saturating_add(header.total_len());
            if end > self.end_max {
                return Err(Cause::Truncated { what: "page" });
            }
            if !self.step(&header, &bytes, rows, fetched, budget)? {
                return Ok(Some(self.piece(reached, end, rows)));
            }
        }
    }

    /// Whether every cell of `rows` lies in a known page. The last row of a repeated column may go on in the next page,
    /// until one starts with another row or the chunk ends.
    fn is_walked(&self, walk: &Walk, rows: &RowSet) -> bool {
        if self.shape.rep_max == 0 {
            walk.rows_begun >= rows.end()
        } else {
            let last_page_starts = walk.pages.last().map_or(0, |page| page.rows.start);
            last_page_starts >= rows.end()
                || (walk.position >= self.bytes.end && walk.rows_begun >= rows.end())
        }
    }

    /// Takes the page at the walk's position; false where more of it must be fetched first.
    fn step(
        &mut self,
        header: &PageHeader,
        bytes: &Bytes,
        rows: &RowSet,
        fetched: &Fetched,
        budget: &mut Budget,
    ) -> Result<bool, Cause> {
        let Pages::Walked(walk) = &self.pages else { return Ok(true) };
        let (start, rows_begun) = (walk.position, walk.rows_begun);
        let end = start.saturating_add(header.total_len());
        let is_there = bytes.len() as u64 >= header.total_len();
        let span = match header.content {
            PageContent::Other => None,
            PageContent::Dictionary { .. } => {
                if !is_there {
                    return Ok(false);
                }
                self.dictionary_at = Some(start..end);
                None
            }
            _ => {
                let Some(page_rows) = self.page_rows(header, bytes, rows_begun, is_there, fetched, budget)?
                else {
                    return Ok(false);
                };
                if !is_there && rows.overlaps(&page_rows) {
                    return Ok(false);
                }
                Some(page_rows)
            }
        };
        let Pages::Walked(walk) = &mut self.pages else { return Ok(true) };
        walk.position = end;
        if let Some(rows) = span {
            walk.rows_begun = rows.end;
            walk.pages.push(PageSpan { bytes: start..end, rows });
            Cause::check_limit("pages of a column chunk", walk.pages.len() as u64, PAGES_MAX as u64)?;
        }
        Ok(true)
    }

    /// The rows that have cells in a data page; `None` where more of it is needed to tell.
    fn page_rows(
        &mut self,
        header: &PageHeader,
        bytes: &Bytes,
        rows_begun: u64,
        is_there: bool,
        fetched: &Fetched,
        budget: &mut Budget,
    ) -> Result<Option<Range<u64>>, Cause> {
        let begins = match header.content {
            PageContent::DataV1 { level_count, .. } if self.shape.rep_max == 0 => level_count as u64,
            PageContent::DataV2 { level_count, row_count, .. } => {
                if self.shape.rep_max == 0 && row_count != level_count {
                    return Err(Cause::invalid("rows of a page", row_count as u64));
                }
                row_count as u64
            }
            _ if !is_there => return Ok(None),
            _ => return self.count_rows(header, bytes, rows_begun, fetched, budget).map(Some),
        };
        let end = rows_begun.saturating_add(begins);
        if end > self.row_count {
            return Err(Cause::invalid("rows of a column chunk", end));
        }
        Ok(Some(rows_begun..end))
    }

    /// Counts the rows of a v1 page of a repeated column, whose first cell may belong to the row before.
    fn count_rows(
        &mut self,
        header: &PageHeader,
        bytes: &Bytes,
        rows_begun: u64,
        fetched: &Fetched,
        budget: &mut Budget,
    ) -> Result<Range<u64>, Cause> {
        let mut page = self.open(header, bytes, fetched, budget)?;
        let continues = page.peek_rep()?.is_some_and(|rep| rep > 0);
        let start = rows_begun.checked_sub(u64::from(continues));
        let start = start.ok_or(Cause::invalid("first repetition level", 1))?;
        let begins = page.count_rows()?;
        let end = rows_begun.saturating_add(begins);
        if end > self.row_count {
            return Err(Cause::invalid("rows of a column chunk", end));
        }
        Ok(start..end)
    }

    /// The next piece to fetch, from `start`, behind which nothing is there, to behind `end_min`; all of the chunk where
    /// most of its rows are wanted. The dictionary is part of no piece's length: it is wanted whole.
    fn piece(&mut self, start: u64, end_min: u64, rows: &RowSet) -> Range<u64> {
        let wants_most = rows.row_count().saturating_mul(2) >= self.row_count;
        let end_max = if end_min > self.bytes.end { self.end_max } else { self.bytes.end };
        let Pages::Walked(walk) = &mut self.pages else { return start..end_max };
        let values_start = start.max(self.values_start);
        let end = values_start.saturating_add(walk.piece_len).max(end_min).min(end_max);
        walk.piece_len = walk.piece_len.saturating_mul(2);
        start..if wants_most { end_max } else { end }
    }
}

fn read_flat(
    page: &mut Page,
    span: &Range<u64>,
    rows: &RowSet,
    sink: &mut dyn FnMut(u64, Cell<'_>) -> Result<(), Cause>,
) -> Result<(), Cause> {
    if page.cells_left() != span.end - span.start {
        return Err(Cause::invalid("values of a page", page.cells_left()));
    }
    let mut at = span.start;
    for range in rows.within(span) {
        page.skip_flat(range.start - at)?;
        for row in range.clone() {
            sink(row, page.next()?.ok_or(Cause::Truncated { what: "page" })?)?;
        }
        at = range.end;
    }
    Ok(())
}

fn read_repeated(
    page: &mut Page,
    span: &Range<u64>,
    rows: &RowSet,
    sink: &mut dyn FnMut(u64, Cell<'_>) -> Result<(), Cause>,
) -> Result<(), Cause> {
    let mut wanted = rows.within(span).peekable();
    let (mut row, mut is_first) = (span.start, true);
    while let Some(rep) = page.peek_rep()? {
        if rep == 0 && !is_first {
            row += 1;
        }
        is_first = false;
        while wanted.next_if(|range| range.end <= row).is_some() {}
        match wanted.peek() {
            None => return Ok(()),
            Some(range) if range.contains(&row) => {
                sink(row, page.next()?.ok_or(Cause::Truncated { what: "page" })?)?;
            }
            Some(_) => page.skip_cell()?,
        }
    }
    // Rows that the page should hold and does not would look like rows without cells.
    if row + 1 == span.end { Ok(()) } else { Err(Cause::invalid("rows of a page", row)) }
}
