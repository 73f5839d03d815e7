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

use firn_iceberg::value::Value;
use firn_types::object::ObjectKey;

pub mod error;
pub mod location;
pub mod query;
pub mod scan;

mod deletes;
mod files;
mod ids;
mod plan;
mod wave;
mod whole;

use self::{
    error::TableError,
    files::FileReads,
    plan::Planner,
    query::{Resolved, TableQuery},
};
use crate::{
    held::HeldObjects,
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
    Over,
}

impl TableLookup {
    /// Starts a lookup. Fails where the query names a column or snapshot that the table does not have.
    pub fn new(query: TableQuery) -> Result<Self, TableError> {
        Ok(Self { query: Resolved::new(query)?, state: State::Planning(Planner::default()) })
    }

    /// Goes on with the answers to the needs of the step before, in their order; with none at first.
    ///
    /// # Errors
    /// *Corrupt*, *unsupported* or *limit*; the lookup is then over.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the shape of every step; the answers' bytes are freed here"
    )]
    pub fn step(
        &mut self,
        supplied: Vec<Supplied>,
        held: &mut dyn HeldObjects,
    ) -> Result<Step<Outcome>, TableError> {
        let query = &self.query;
        let mut reads = match std::mem::replace(&mut self.state, State::Over) {
            State::Planning(mut planner) => match planner.step(query, &supplied, held)? {
                Step::Need(needs) => {
                    self.state = State::Planning(planner);
                    return Ok(Step::Need(needs));
                }
                Step::Done(plan) => {
                    let mut reads = Box::new(FileReads::new(plan, query));
                    let step = reads.step(query, &[], held)?;
                    return Ok(self.after_reading(reads, step));
                }
            },
            State::Reading(reads) => reads,
            State::Over => return Ok(Step::Done(Outcome::Absent)),
        };
        let step = reads.step(query, &supplied, held)?;
        Ok(self.after_reading(reads, step))
    }

    fn after_reading(&mut self, reads: Box<FileReads>, step: Step<Option<Row>>) -> Step<Outcome> {
        match step {
            Step::Need(needs) => {
                self.state = State::Reading(reads);
                Step::Need(needs)
            }
            Step::Done(row) => Step::Done(row.map_or(Outcome::Absent, Outcome::Found)),
        }
    }
}
