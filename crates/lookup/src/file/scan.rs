//! Every row of one file, a window of rows at a time: for delete files, for tests of pruning, for tools.

use std::{ops::Range, sync::Arc};

use firn_iceberg::{name_mapping::NameMapping, value::Value};
use firn_types::object::{ByteRange, ObjectKey};

use crate::{
    file::{
        ColumnRef, FoundRow,
        columns::{Projection, Resolver},
        error::{Cause, Located, LookupError},
        fetched::Fetched,
        footer::{FileFooter, Tail, first_tail_len_bytes},
        group::{Allowance, Group},
        limits::{HELD_LEN_BYTES_MAX, SCAN_WINDOW_LEN_BYTES, SCAN_WINDOW_ROWS_MAX},
        plan::Candidate,
        rows::RowSet,
    },
    need::{Need, Role, Step, Supplied},
};

/// What to read of a file.
#[derive(Clone, Debug)]
pub struct ScanRequest {
    /// The file.
    pub object: ObjectKey,
    /// Its length according to table metadata: a hint for the first read, never trusted.
    pub stated_len_bytes: u64,
    /// The wanted columns.
    pub columns: Vec<ColumnRef>,
    /// Field ids for a file that has none; without it such a file has no known column.
    pub names: Option<Arc<NameMapping>>,
    /// What the pages are read for.
    pub role: Role,
}

/// Reads every row of one file.
///
/// Call [`Self::step`] like that of a lookup; each time it is done it gives the next rows, and `None` at the end. A
/// few bytes can stand for a great many rows: whoever keeps them must count them.
#[derive(Debug)]
pub struct FileScan {
    request: ScanRequest,
    footer: Option<FileFooter>,
    fetched: Fetched,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Reading(Box<Reading>),
    Done,
}

#[derive(Debug)]
struct Reading {
    columns: Vec<Projection>,
    leaves: Vec<usize>,
    /// Row groups that were not begun, with the positions of their rows.
    waiting: std::vec::IntoIter<(usize, Range<u64>)>,
    window: Option<Window>,
    allowance: Allowance,
}

/// Rows of the row group that is being read.
#[derive(Debug)]
struct Window {
    group: Group,
    row_count: u64,
    /// Rows of a window.
    step: u64,
    rows: Range<u64>,
}

impl FileScan {
    /// Starts a scan. `held` is the footer that an earlier read of the same object left.
    pub fn new(request: ScanRequest, held: Option<Arc<FileFooter>>) -> Self {
        let footer = held.map(|footer| footer.as_ref().clone());
        Self { request, footer, fetched: Fetched::default(), state: State::Start }
    }

    /// The footer, for a cache.
    pub fn footer(&self) -> Option<Arc<FileFooter>> {
        self.footer.clone().map(Arc::new)
    }

    /// Goes on with the answers to the needs of the step before, in their order; with none at first and after rows.
    ///
    /// # Errors
    /// *Corrupt*, *unsupported* or *limit*; the scan is then over.
    pub fn step(&mut self, supplied: Vec<Supplied>) -> Result<Step<Option<Vec<FoundRow>>>, LookupError> {
        let mut object_len_bytes = None;
        for piece in supplied {
            object_len_bytes = Some(piece.object_len_bytes);
            self.fetched.insert(piece.offset, piece.bytes);
        }
        self.advance(object_len_bytes).map_err(|error| error.in_object(&self.request.object))
    }

    fn advance(&mut self, object_len_bytes: Option<u64>) -> Result<Step<Option<Vec<FoundRow>>>, Located> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Done => Ok(Step::Done(None)),
            State::Reading(reading) => self.read(reading),
            State::Start => {
                if self.footer.is_none() {
                    let parsed =
                        object_len_bytes.map(|len| FileFooter::parse_tail(&self.fetched, len)).transpose()?;
                    let range = match parsed {
                        Some(Tail::Footer(footer)) => {
                            self.footer = Some(footer);
                            return self.start();
                        }
                        Some(Tail::Need(range)) => ByteRange::Range(range),
                        None => {
                            let len_bytes = first_tail_len_bytes(self.request.stated_len_bytes);
                            ByteRange::Tail { len_bytes }
                        }
                    };
                    self.state = State::Start;
                    return Ok(Step::Need(vec![self.need(range, Role::Footer)]));
                }
                self.start()
            }
        }
    }

    fn need(&self, range: ByteRange, role: Role) -> Need {
        Need { object: self.request.object.clone(), range, role }
    }

    fn start(&mut self) -> Result<Step<Option<Vec<FoundRow>>>, Located> {
        let footer = self.footer.as_ref().ok_or(Cause::Truncated { what: "footer" })?;
        let schema = footer.metadata().file_metadata().schema_descr();
        let resolver = Resolver::new(schema, self.request.names.as_deref());
        let columns = self.request.columns.iter().map(|column| resolver.resolve(column));
        let columns = columns.collect::<Result<Vec<Projection>, Cause>>()?;
        let mut leaves: Vec<usize> =
            columns.iter().flat_map(|column| &column.leaves).map(|leaf| leaf.leaf_idx).collect();
        leaves.sort_unstable();
        leaves.dedup();
        let waiting = footer.row_groups().collect::<Vec<_>>().into_iter();
        let reading = Reading { columns, leaves, waiting, window: None, allowance: Allowance::default() };
        self.read(Box::new(reading))
    }

    fn read(&mut self, mut reading: Box<Reading>) -> Result<Step<Option<Vec<FoundRow>>>, Located> {
        let footer = self.footer.as_ref().ok_or(Cause::Truncated { what: "footer" })?;
        if !reading.open_window(footer)? {
            return Ok(Step::Done(None));
        }
        let Reading { columns, leaves, window: Some(window), allowance, waiting } = reading.as_mut() else {
            return Ok(Step::Done(None));
        };
        let mut missing = window.group.needs(footer, leaves, &self.fetched, allowance)?;
        if !missing.is_empty() {
            // Of what was read before, at most a page at the edge of a window is needed again.
            if self.fetched.len_bytes() > SCAN_WINDOW_LEN_BYTES {
                self.fetched.clear();
                missing = window.group.needs(footer, leaves, &self.fetched, allowance)?;
            }
            read_ahead(&mut missing, waiting.as_slice(), leaves, footer, &self.fetched)?;
            let held = self.fetched.len_bytes().saturating_add(len_bytes_of(&missing));
            Cause::check_limit("bytes held of a file", held, HELD_LEN_BYTES_MAX)?;
            let needs =
                missing.into_iter().map(|r| self.need(ByteRange::Range(r), self.request.role)).collect();
            self.state = State::Reading(reading);
            return Ok(Step::Need(needs));
        }
        let mut values = Vec::with_capacity(columns.len());
        for column in columns {
            values.push(window.group.read_column(footer, column, &self.fetched, allowance)?.into_iter());
        }
        let rows = window.rows_of(values);
        window.rows = window.rows.end..window.rows.end;
        self.state = State::Reading(reading);
        Ok(Step::Done(Some(rows)))
    }
}

fn len_bytes_of(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum()
}

/// Adds the chunks of the next row groups, as long as all together is no more than a window: small row groups share a
/// wave.
fn read_ahead(
    ranges: &mut Vec<Range<u64>>,
    waiting: &[(usize, Range<u64>)],
    leaves: &[usize],
    footer: &FileFooter,
    fetched: &Fetched,
) -> Result<(), Located> {
    let mut len_bytes = len_bytes_of(ranges);
    for (group_idx, _) in waiting {
        let chunk = |leaf_idx: &usize| {
            let chunk = footer.chunk(*group_idx, *leaf_idx);
            chunk.map(|chunk| chunk.bytes).map_err(|cause| footer.locate(*group_idx, *leaf_idx, cause))
        };
        let mut next = leaves.iter().map(chunk).collect::<Result<Vec<_>, Located>>()?;
        next.retain(|range| !range.is_empty() && fetched.get(range).is_none());
        len_bytes = len_bytes.saturating_add(len_bytes_of(&next));
        if len_bytes > SCAN_WINDOW_LEN_BYTES {
            return Ok(());
        }
        ranges.extend(next);
    }
    Ok(())
}

impl Reading {
    /// Turns to the next rows, where those before were read; false at the end.
    fn open_window(&mut self, footer: &FileFooter) -> Result<bool, Located> {
        if self.window.as_ref().is_some_and(|window| !window.rows.is_empty()) {
            return Ok(true);
        }
        self.allowance = Allowance::default();
        loop {
            if let Some(window) = &mut self.window
                && window.advance()
            {
                return Ok(true);
            }
            let Some((group_idx, rows)) = self.waiting.next() else { return Ok(false) };
            self.window = Some(Window::new(group_idx, rows, &self.leaves, footer)?);
        }
    }
}

impl Window {
    /// Stands before the first row of a row group.
    fn new(
        group_idx: usize,
        positions: Range<u64>,
        leaves: &[usize],
        footer: &FileFooter,
    ) -> Result<Self, Located> {
        let row_count = positions.end - positions.start;
        let candidate = Candidate { group_idx, rows: positions, open_keys: Vec::new() };
        let mut group = Group::new(&candidate, RowSet::one(0..row_count));
        let mut len_bytes = 0u64;
        for leaf_idx in leaves {
            len_bytes = len_bytes.saturating_add(group.len_bytes_of(footer, *leaf_idx)?);
        }
        let windows = len_bytes.div_ceil(SCAN_WINDOW_LEN_BYTES).max(1);
        let step = row_count.div_ceil(windows).clamp(1, SCAN_WINDOW_ROWS_MAX);
        Ok(Self { group, row_count, step, rows: 0..0 })
    }

    fn advance(&mut self) -> bool {
        let start = self.rows.end;
        self.rows = start..start.saturating_add(self.step).min(self.row_count);
        self.group.turn_to(self.rows.clone());
        !self.rows.is_empty()
    }

    fn rows_of(&self, mut columns: Vec<std::vec::IntoIter<Option<Value>>>) -> Vec<FoundRow> {
        let first = self.group.first_position;
        let rows = self.rows.clone();
        rows.map(|row| FoundRow {
            position: first + row,
            values: columns.iter_mut().map(|column| column.next().flatten()).collect(),
        })
        .collect()
    }
}
