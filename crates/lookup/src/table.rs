//! A point lookup in one Iceberg table: a state machine that asks for byte ranges (design.md §5).
//!
//! ```text
//! manifest list ─▶ manifests that survive it ─▶ data files that survive them, and their deletes ─▶ the winner's target
//!      one wave          one wave                 footers, [page indexes], key pages                    one wave
//! ```
//! What is held from an earlier lookup takes no wave. All data files that may hold the key are read at the same time,
//! and of all rows that have it only small columns; content is read of the row that wins. So a lookup that meets a
//! hundred versions of a key in as many files takes as many waves as one that meets one, and reads one row's content.
//!
//! Not here: who may read the row, whether it is expired, and which of several tables wins.

use firn_iceberg::value::{Literal, Value};
use firn_types::object::ObjectKey;

pub mod error;
pub mod location;
pub mod query;

mod files;
mod plan;
mod wave;
mod whole;

use self::{
    error::TableError,
    files::{FileReads, LiveRow},
    plan::Planner,
    query::{Resolved, TableQuery},
};
use crate::{
    file::{FileRequest, RowSelection, When, lookup::FileLookup},
    held::{Held, HeldObjects},
    need::{Step, Supplied},
};

/// Where a row lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLocation {
    /// The data file.
    pub object: ObjectKey,
    /// Its position in the file.
    pub position: u64,
    /// The data sequence number of the file.
    pub sequence_number: i64,
}

/// The row that wins.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The query's version column; null is the lowest.
    pub version: Option<i64>,
    /// The query's columns, in its order.
    pub columns: Vec<Option<Value>>,
    /// The query's target columns, in its order.
    pub target: Vec<Option<Value>>,
    /// Where it lies.
    pub location: RowLocation,
}

/// What a lookup found.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The snapshot has no row with the key.
    Absent,
    /// The row with the highest version.
    Found(Row),
}

/// Looks up a key in a table.
///
/// Call [`Self::step`] with nothing, perform the needs it returns, step again with what they gave, until it is done.
#[derive(Debug)]
pub struct TableLookup {
    query: Resolved,
    state: State,
}

#[derive(Debug)]
enum State {
    Planning(Planner),
    Reading(Box<FileReads>),
    Target(Row, Box<FileLookup>),
    Over,
}

impl TableLookup {
    /// Starts a lookup. Fails where the query names a column or snapshot that the table does not have.
    pub fn new(query: TableQuery) -> Result<Self, TableError> {
        Ok(Self { query: Resolved::new(query)?, state: State::Planning(Planner::new()) })
    }

    /// Goes on with the answers to the needs of the step before, in their order; with none at first.
    ///
    /// # Errors
    /// *Corrupt*, *unsupported* or *limit*; the lookup is then over.
    pub fn step(
        &mut self,
        supplied: Vec<Supplied>,
        held: &mut dyn HeldObjects,
    ) -> Result<Step<Outcome>, TableError> {
        let mut supplied = supplied;
        loop {
            let answers = std::mem::take(&mut supplied);
            match std::mem::replace(&mut self.state, State::Over) {
                State::Planning(mut planner) => match planner.step(&self.query, &answers, held)? {
                    Step::Need(needs) => {
                        self.state = State::Planning(planner);
                        return Ok(Step::Need(needs));
                    }
                    Step::Done(plan) => {
                        let mut reads = Box::new(FileReads::new(plan, &self.query));
                        let step = reads.start(&self.query, held)?;
                        if let Some(step) = self.after_reading(reads, step, held)? {
                            return Ok(step);
                        }
                    }
                },
                State::Reading(mut reads) => {
                    let step = reads.step(&self.query, &answers, held)?;
                    if let Some(step) = self.after_reading(reads, step, held)? {
                        return Ok(step);
                    }
                }
                State::Target(mut row, mut lookup) => match lookup.step(answers)? {
                    Step::Need(needs) => {
                        self.state = State::Target(row, lookup);
                        return Ok(Step::Need(needs));
                    }
                    Step::Done(found) => {
                        if let Some(footer) = lookup.footer() {
                            let len_bytes = footer.memory_len_bytes();
                            held.put(&row.location.object, Held::File(footer), len_bytes);
                        }
                        let found = found.into_iter().next().ok_or_else(|| vanished(&row))?;
                        row.target = found.values;
                        return Ok(Step::Done(Outcome::Found(row)));
                    }
                },
                State::Over => return Ok(Step::Done(Outcome::Absent)),
            }
        }
    }

    /// What follows a step of reading files; `None` where the target comes next.
    fn after_reading(
        &mut self,
        reads: Box<FileReads>,
        step: Step<Vec<LiveRow>>,
        held: &mut dyn HeldObjects,
    ) -> Result<Option<Step<Outcome>>, TableError> {
        let rows = match step {
            Step::Need(needs) => {
                self.state = State::Reading(reads);
                return Ok(Some(Step::Need(needs)));
            }
            Step::Done(rows) => rows,
        };
        let Some((row, data_idx)) = choose(&self.query, &reads, rows) else {
            return Ok(Some(Step::Done(Outcome::Absent)));
        };
        let Some(data) = reads.data(data_idx).filter(|_| !self.query.target.is_empty()) else {
            return Ok(Some(Step::Done(Outcome::Found(row))));
        };
        let request = FileRequest {
            object: row.location.object.clone(),
            stated_len_bytes: data.file.stated_len_bytes,
            key: Vec::new(),
            columns: self.query.wanted(&self.query.target, When::Target, &data.file)?,
            rows: RowSelection::At(row.location.position),
            names: self.query.metadata.name_mapping.clone(),
        };
        let footer = match held.get(&request.object) {
            Some(Held::File(footer)) => Some(footer),
            _ => None,
        };
        self.state = State::Target(row, Box::new(FileLookup::new(request, footer)));
        Ok(None)
    }
}

fn vanished(row: &Row) -> TableError {
    let found = row.location.position.to_string();
    TableError::Inconsistent { object: row.location.object.clone(), what: "position of a row", found }
}

/// The row that wins: the highest version, null the lowest; among equals the highest data sequence number, then the
/// last in its file, so that the answer never depends on the order of reads.
fn choose(query: &Resolved, reads: &FileReads, rows: Vec<LiveRow>) -> Option<(Row, usize)> {
    let located = rows.into_iter().filter_map(|row| {
        let data = reads.data(row.data_idx)?;
        let version = query.version.and_then(|_| row.values.get(query.columns.len()));
        let version = match version {
            Some(Some(Value::Primitive(Literal::Long(v)))) => Some(*v),
            Some(Some(Value::Primitive(Literal::Int(v)))) => Some(i64::from(*v)),
            _ => None,
        };
        let mut columns = row.values;
        columns.truncate(query.columns.len());
        let location = RowLocation {
            object: query.locations.object_key(&data.file.location),
            position: row.position,
            sequence_number: data.sequence_number,
        };
        Some((Row { version, columns, target: Vec::new(), location }, row.data_idx))
    });
    located.max_by(|(a, _), (b, _)| {
        let rank = |row: &Row| (row.version, row.location.sequence_number);
        rank(a)
            .cmp(&rank(b))
            .then_with(|| a.location.object.cmp(&b.location.object))
            .then_with(|| a.location.position.cmp(&b.location.position))
    })
}
