//! The rows of one row group: which bytes are needed for which columns, which rows match, and their values.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::Range,
};

use firn_iceberg::value::{Literal, Value};

use crate::file::{
    assemble::{OwnedCell, RowCells},
    chunk::{Budget, ChunkReader},
    columns::{LeafRef, Node, Projection},
    error::{Cause, Located},
    fetched::Fetched,
    footer::FileFooter,
    limits::HELD_LEN_BYTES_MAX,
    plan::{Candidate, KeyColumn},
    rows::RowSet,
};

/// What one lookup may still do, whatever the file says.
#[derive(Debug)]
pub(crate) struct Allowance {
    /// Cells to decode.
    pub(crate) cells: Budget,
    /// Values to keep.
    values: ValueBudget,
}

impl Default for Allowance {
    fn default() -> Self {
        let values = ValueBudget { len_bytes_left: HELD_LEN_BYTES_MAX };
        Self { cells: Budget::default(), values }
    }
}

/// How many bytes of values may still be kept.
#[derive(Debug)]
struct ValueBudget {
    len_bytes_left: u64,
}

/// What a value is counted as beside its own bytes: an enum of 32 bytes in a list of cells.
const VALUE_LEN_BYTES: u64 = 64;

impl ValueBudget {
    fn keep(&mut self, literal: Option<&Literal>) -> Result<(), Cause> {
        let own = match literal {
            Some(Literal::String(text)) => text.len(),
            Some(Literal::Fixed(bytes) | Literal::Binary(bytes)) => bytes.len(),
            _ => 0,
        };
        let left = self.len_bytes_left.checked_sub(VALUE_LEN_BYTES + own as u64);
        let (found, limit) = (HELD_LEN_BYTES_MAX + 1, HELD_LEN_BYTES_MAX);
        self.len_bytes_left = left.ok_or(Cause::Limit { what: "bytes of found values", found, limit })?;
        Ok(())
    }
}

/// One row group under way.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) idx: usize,
    /// Position of its first row in the file.
    pub(crate) first_position: u64,
    /// Rows that might match, or, once keys were read, that do.
    pub(crate) rows: RowSet,
    /// Keys that are still to be read.
    pub(crate) open_keys: Vec<usize>,
    readers: Readers,
}

/// The readers of a row group's columns, by the numbers of these.
#[derive(Debug, Default)]
struct Readers(BTreeMap<usize, ChunkReader>);

impl Readers {
    fn of(
        &mut self,
        footer: &FileFooter,
        group_idx: usize,
        leaf_idx: usize,
    ) -> Result<&mut ChunkReader, Located> {
        Ok(match self.0.entry(leaf_idx) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let chunk = footer.chunk(group_idx, leaf_idx);
                let chunk = chunk.map_err(|cause| footer.locate(group_idx, leaf_idx, cause))?;
                entry.insert(ChunkReader::new(&chunk))
            }
        })
    }
}

impl Group {
    /// Starts with the rows of a candidate, narrowed to `rows` (positions in the row group).
    pub(crate) fn new(candidate: &Candidate, rows: RowSet) -> Self {
        Self {
            idx: candidate.group_idx,
            first_position: candidate.rows.start,
            rows,
            open_keys: candidate.open_keys.clone(),
            readers: Readers::default(),
        }
    }

    /// The length of the pages of a leaf column that hold the rows.
    pub(crate) fn len_bytes_of(&mut self, footer: &FileFooter, leaf_idx: usize) -> Result<u64, Located> {
        Ok(self.readers.of(footer, self.idx, leaf_idx)?.len_bytes_of(&self.rows))
    }

    /// Whether all pages of the rows were fetched, of these leaf columns.
    pub(crate) fn is_fetched(
        &mut self,
        footer: &FileFooter,
        leaves: &[usize],
        fetched: &Fetched,
    ) -> Result<bool, Located> {
        for leaf_idx in leaves {
            if !self.readers.of(footer, self.idx, *leaf_idx)?.is_fetched(&self.rows, fetched) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ranges that are missing to read the rows of these leaf columns.
    pub(crate) fn needs(
        &mut self,
        footer: &FileFooter,
        leaves: &[usize],
        fetched: &Fetched,
        allowance: &mut Allowance,
    ) -> Result<Vec<Range<u64>>, Located> {
        let mut missing = Vec::new();
        for leaf_idx in leaves {
            let reader = self.readers.of(footer, self.idx, *leaf_idx)?;
            let needs = reader.needs(&self.rows, fetched, &mut allowance.cells);
            missing.extend(needs.map_err(|cause| footer.locate(self.idx, *leaf_idx, cause))?);
        }
        Ok(missing)
    }

    /// Narrows the rows to those where every open key is equal; afterwards none is open. All of their pages are
    /// fetched.
    pub(crate) fn match_keys(
        &mut self,
        footer: &FileFooter,
        keys: &[KeyColumn],
        fetched: &Fetched,
        allowance: &mut Allowance,
    ) -> Result<(), Located> {
        for key_idx in std::mem::take(&mut self.open_keys) {
            let Some(key) = keys.get(key_idx) else { continue };
            let mut found = RowSet::default();
            let reader = self.readers.of(footer, self.idx, key.leaf_idx)?;
            let read = reader.read(&self.rows, fetched, &mut allowance.cells, &mut |row, cell| {
                if cell.value.map_or(Ok(false), |raw| key.matcher.matches(raw))? {
                    found.push(row..row + 1);
                }
                Ok(())
            });
            read.map_err(|cause| footer.locate(self.idx, key.leaf_idx, cause))?;
            self.rows = found;
        }
        Ok(())
    }

    /// Turns to other rows, of which none was read yet.
    pub(crate) fn turn_to(&mut self, rows: Range<u64>) {
        self.rows = RowSet::one(rows);
    }

    /// The values of a column in the rows, in their order. All pages are fetched.
    pub(crate) fn read_column(
        &mut self,
        footer: &FileFooter,
        projection: &Projection,
        fetched: &Fetched,
        allowance: &mut Allowance,
    ) -> Result<Vec<Option<Value>>, Located> {
        let row_count = usize::try_from(self.rows.row_count()).unwrap_or(usize::MAX);
        if let Node::Constant(value) = &projection.node {
            return Ok(vec![value.clone(); row_count]);
        }
        let mut slots = Vec::with_capacity(projection.leaves.len());
        for leaf in &projection.leaves {
            slots.push(self.read_leaf(footer, leaf, fetched, allowance)?.into_iter());
        }
        let mut values = Vec::new();
        for _ in 0..row_count {
            let cells = slots.iter_mut().map(|slot| slot.next().unwrap_or_default()).collect();
            let value = RowCells::assemble(&projection.node, cells);
            let leaf_idx = projection.leaves.first().map_or(0, |leaf| leaf.leaf_idx);
            values.push(value.map_err(|cause| footer.locate(self.idx, leaf_idx, cause))?);
        }
        Ok(values)
    }

    /// The cells of a leaf column, by row.
    fn read_leaf(
        &mut self,
        footer: &FileFooter,
        leaf: &LeafRef,
        fetched: &Fetched,
        allowance: &mut Allowance,
    ) -> Result<Vec<Vec<OwnedCell>>, Located> {
        let mut by_row: Vec<Vec<OwnedCell>> = Vec::new();
        let mut last_row = None;
        let reader = self.readers.of(footer, self.idx, leaf.leaf_idx)?;
        let Allowance { cells, values } = allowance;
        let read = reader.read(&self.rows, fetched, cells, &mut |row, cell| {
            let value = match (cell.value, leaf.conversion) {
                (Some(raw), Some(conversion)) => Some(conversion.convert(raw)?),
                _ => None,
            };
            values.keep(value.as_ref())?;
            if last_row != Some(row) {
                by_row.push(Vec::new());
                last_row = Some(row);
            }
            if let Some(cells) = by_row.last_mut() {
                cells.push(OwnedCell { rep: cell.rep, def: cell.def, value });
            }
            Ok(())
        });
        read.map_err(|cause| footer.locate(self.idx, leaf.leaf_idx, cause))?;
        if by_row.len() as u64 == self.rows.row_count() {
            Ok(by_row)
        } else {
            let cause = Cause::invalid("rows of a column chunk", by_row.len() as u64);
            Err(footer.locate(self.idx, leaf.leaf_idx, cause))
        }
    }
}
