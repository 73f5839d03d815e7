//! Reading the data files that may hold the key: all at the same time, and no more of each than it takes to know which
//! row wins.
//!
//! ```text
//! rows of every file ─▶ one row:  its columns, and the deletes of its file, in one wave
//!                    ─▶ several:  versions where they are missing, and deletes ─▶ content of the one that wins
//! ```

use firn_iceberg::value::{Literal, Value};
use firn_types::object::ObjectKey;

use super::{
    Row, RowLocation,
    deletes::{Asked, DeleteReads, columns_compared},
    error::TableError,
    ids::{check_has_columns, check_has_ids},
    plan::{DataTask, TablePlan},
    query::{Resolved, check_readable},
    wave::Wave,
};
use crate::{
    file::{FileRequest, FoundRow, Goal, RowSelection, When, lookup::FileLookup},
    held::{Held, HeldObjects},
    need::{Step, Supplied},
};

/// Up to so many data files their deletes are read along with them, which saves waves. Of more files most hold no row
/// of the key, and only the deletes of those that do are read.
const EAGER_DATA_FILE_COUNT_MAX: usize = 4;

/// Up to so many delete files are read before it is known that there is a row to delete.
const EAGER_DELETE_FILE_COUNT_MAX: usize = 8;

/// Most data files that are read at once. A store answers six requests at a time, so more would only wait, in memory:
/// 128 tails of 24 KiB and footers of as much again are 6 MB.
const DATA_FILES_AT_ONCE_MAX: usize = 128;

/// Reads files of a plan.
#[derive(Debug)]
pub(crate) struct FileReads {
    plan: TablePlan,
    /// Those that were begun, in the order of the plan.
    data: Vec<DataRead>,
    /// How many of them have not found their rows yet.
    at_once: usize,
    deletes: DeleteReads,
    wave: Wave<Reader>,
    /// Small columns of every row by field id: the query's, its version, those that deletes compare.
    small: Vec<i32>,
    stage: Stage,
}

#[derive(Debug)]
struct DataRead {
    object: ObjectKey,
    /// Columns that it must have.
    required: Vec<i32>,
    /// Dropped, with the bytes it holds, when there is nothing more to read of the file.
    lookup: Option<Box<FileLookup>>,
    rows: Vec<FoundRow>,
}

/// Who asked for something.
#[derive(Clone, Copy, Debug)]
enum Reader {
    Data(usize),
    Delete(usize),
}

/// How far the reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Rows that have the key are being found. Deletes are read along, or later.
    Rows { deletes: Deletes },
    /// The small columns of all rows and their deletes are being read, so that a winner can be chosen.
    Small,
    /// Every column of the only row that is left, and perhaps its deletes, are being read.
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deletes {
    Along,
    Later,
}

impl FileReads {
    /// Nothing is begun before the first step.
    pub(crate) fn new(plan: TablePlan, query: &Resolved) -> Self {
        let mut small: Vec<i32> = query.columns.iter().copied().chain(query.version).collect();
        small.extend(columns_compared(&plan, query, &small));
        let is_eager =
            plan.data.len() <= EAGER_DATA_FILE_COUNT_MAX && plan.deletes.len() <= EAGER_DELETE_FILE_COUNT_MAX;
        let deletes = if is_eager { Deletes::Along } else { Deletes::Later };
        Self {
            plan,
            data: Vec::new(),
            at_once: 0,
            deletes: DeleteReads::default(),
            wave: Wave::default(),
            small,
            stage: Stage::Rows { deletes },
        }
    }

    /// Begins to read the next data file.
    fn open(&mut self, query: &Resolved, held: &mut dyn HeldObjects) -> Result<(), TableError> {
        let data_idx = self.data.len();
        let Some(DataTask { entry, .. }) = self.plan.data.get(data_idx) else { return Ok(()) };
        let file = &entry.file;
        let object = query.locations.object_key(&file.location);
        check_readable(file, &object)?;
        let mut columns = query.wanted(&self.small, When::WithKey, file)?;
        columns.extend(query.wanted(&query.target, When::Target, file)?);
        let request = FileRequest {
            object: object.clone(),
            stated_len_bytes: file.stated_len_bytes,
            key: query.key_of(file)?,
            columns,
            rows: RowSelection::AllMatching,
            names: query.metadata.name_mapping.clone(),
        };
        let mut lookup = Box::new(FileLookup::new(request, held.file_footer(&object)));
        lookup.set_goal(Goal::Rows);
        lookup.expect_end(file.stated_end_len_bytes(query.schema.fields.len()));
        let required = query.required_of_key(file);
        self.data.push(DataRead { object, required, lookup: Some(lookup), rows: Vec::new() });
        self.at_once += 1;
        self.advance(data_idx, Vec::new(), query, held)?;
        if self.stage == (Stage::Rows { deletes: Deletes::Along }) {
            self.start_deletes(data_idx, query, held)?;
        }
        Ok(())
    }

    /// Goes on with the answers to the needs of the step before. The result is the row that wins, or none.
    pub(crate) fn step(
        &mut self,
        query: &Resolved,
        supplied: &[Supplied],
        held: &mut dyn HeldObjects,
    ) -> Result<Step<Option<Row>>, TableError> {
        for (reader, supplied) in std::mem::take(&mut self.wave).answer(supplied)? {
            match reader {
                Reader::Data(data_idx) => self.advance(data_idx, supplied, query, held)?,
                Reader::Delete(reader_idx) => {
                    let needs = self.deletes.advance(reader_idx, supplied, held)?;
                    self.ask_for_deletes(needs.map(|needs| (reader_idx, needs)).into_iter().collect());
                }
            }
        }
        while self.at_once < DATA_FILES_AT_ONCE_MAX && self.data.len() < self.plan.data.len() {
            self.open(query, held)?;
        }
        // Each stage is entered once, so this ends.
        loop {
            if !self.wave.is_empty() {
                return Ok(Step::Need(self.wave.needs()));
            }
            self.stage = match self.stage {
                Stage::Rows { deletes } => self.after_rows(deletes, query, held)?,
                Stage::Small => self.after_small(query, held)?,
                Stage::All => return Ok(Step::Done(self.take_row(query))),
            };
        }
    }

    /// All rows are known.
    fn after_rows(
        &mut self,
        deletes: Deletes,
        query: &Resolved,
        held: &mut dyn HeldObjects,
    ) -> Result<Stage, TableError> {
        let row_count: usize = self.data.iter().map(|read| read.rows.len()).sum();
        let (stage, goal) =
            if row_count <= 1 { (Stage::All, Goal::All) } else { (Stage::Small, Goal::Small) };
        for data_idx in 0..self.data.len() {
            if self.data.get(data_idx).is_none_or(|read| read.rows.is_empty()) {
                continue;
            }
            if deletes == Deletes::Later {
                self.start_deletes(data_idx, query, held)?;
            }
            self.go_on(data_idx, goal, query, held)?;
        }
        Ok(stage)
    }

    /// Versions and deletes of all rows are known.
    fn after_small(&mut self, query: &Resolved, held: &mut dyn HeldObjects) -> Result<Stage, TableError> {
        let winner = self.choose(query);
        for (data_idx, read) in self.data.iter_mut().enumerate() {
            read.rows.retain(|row| Some((data_idx, row.position)) == winner);
        }
        if let Some((data_idx, position)) = winner {
            if let Some(read) = self.data.get_mut(data_idx) {
                read.lookup.iter_mut().for_each(|lookup| lookup.keep_only(position));
            }
            self.go_on(data_idx, Goal::All, query, held)?;
        }
        Ok(Stage::All)
    }

    /// Reads more of the rows of a file, if not all was read that the goal asks for.
    fn go_on(
        &mut self,
        data_idx: usize,
        goal: Goal,
        query: &Resolved,
        held: &mut dyn HeldObjects,
    ) -> Result<(), TableError> {
        let lookup = self.data.get_mut(data_idx).and_then(|read| read.lookup.as_mut());
        let Some(lookup) = lookup else { return Ok(()) };
        let is_open = match lookup.unread() {
            None => false,
            Some(When::WithKey) => true,
            Some(When::Target) => goal == Goal::All,
        };
        if !is_open {
            return Ok(());
        }
        lookup.set_goal(goal);
        self.advance(data_idx, Vec::new(), query, held)
    }

    fn advance(
        &mut self,
        data_idx: usize,
        supplied: Vec<Supplied>,
        query: &Resolved,
        held: &mut dyn HeldObjects,
    ) -> Result<(), TableError> {
        let Some(read) = self.data.get_mut(data_idx) else { return Ok(()) };
        let Some(mut lookup) = read.lookup.take() else { return Ok(()) };
        match lookup.step(supplied)? {
            Step::Need(needs) => {
                self.wave.ask(Reader::Data(data_idx), needs);
                read.lookup = Some(lookup);
            }
            Step::Done(rows) => {
                if let Some(footer) = lookup.footer() {
                    let names = query.metadata.name_mapping.as_deref();
                    check_has_ids(&footer, names, &read.object)?;
                    check_has_columns(&footer, names, &read.required, &read.object)?;
                    let len_bytes = footer.memory_len_bytes();
                    held.put(&read.object, Held::File(footer), len_bytes);
                }
                if matches!(self.stage, Stage::Rows { .. }) {
                    self.at_once = self.at_once.saturating_sub(1);
                }
                read.rows = rows;
                read.lookup = Some(lookup).filter(|lookup| lookup.unread().is_some());
            }
        }
        Ok(())
    }

    fn start_deletes(
        &mut self,
        data_idx: usize,
        query: &Resolved,
        held: &mut dyn HeldObjects,
    ) -> Result<(), TableError> {
        let asked = self.deletes.start(data_idx, &self.plan, query, held)?;
        self.ask_for_deletes(asked);
        Ok(())
    }

    fn ask_for_deletes(&mut self, asked: Asked) {
        for (reader_idx, needs) in asked {
            self.wave.ask(Reader::Delete(reader_idx), needs);
        }
    }

    /// Whether no delete file deletes a row.
    fn is_live(&self, data_idx: usize, row: &FoundRow, query: &Resolved) -> bool {
        let value = |field_id: i32| {
            let place = self.small.iter().position(|id| *id == field_id)?;
            row.values.get(place)?.as_ref()
        };
        !self.deletes.delete(data_idx, row.position, &self.plan, query, value)
    }

    /// The row that wins: the highest version, null the lowest; among equals the highest data sequence number, then
    /// the last by object and position, so that the answer never depends on the order of reads.
    fn choose(&self, query: &Resolved) -> Option<(usize, u64)> {
        let mut best = None;
        for (data_idx, (read, task)) in self.data.iter().zip(&self.plan.data).enumerate() {
            for row in read.rows.iter().filter(|row| self.is_live(data_idx, row, query)) {
                let version = version_of(row, query);
                let rank = (version, task.entry.sequence_number, &read.object, row.position);
                if best.as_ref().is_none_or(|(highest, _)| rank > *highest) {
                    best = Some((rank, (data_idx, row.position)));
                }
            }
        }
        best.map(|(_, place)| place)
    }

    /// The only row that is left, if it is live.
    fn take_row(&mut self, query: &Resolved) -> Option<Row> {
        let (data_idx, position) = self.choose(query)?;
        let sequence_number = self.plan.data.get(data_idx)?.entry.sequence_number;
        let read = self.data.get_mut(data_idx)?;
        let row = read.rows.drain(..).find(|row| row.position == position)?;
        let version = version_of(&row, query);
        let mut columns = row.values;
        let target = columns.split_off(columns.len().saturating_sub(query.target.len()));
        columns.truncate(query.columns.len());
        let location = RowLocation { object: read.object.clone(), position, sequence_number };
        Some(Row { version, columns, target, location })
    }
}

fn version_of(row: &FoundRow, query: &Resolved) -> Option<i64> {
    query.version?;
    match row.values.get(query.columns.len()) {
        Some(Some(Value::Primitive(Literal::Long(v)))) => Some(*v),
        Some(Some(Value::Primitive(Literal::Int(v)))) => Some(i64::from(*v)),
        _ => None,
    }
}
