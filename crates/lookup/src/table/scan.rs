//! Every row of a table, or of one of its files: for tools and for whoever follows a table, not for requests.

use firn_iceberg::{manifest::ManifestEntry, value::Value};

use super::{
    RowLocation,
    deletes::{DeleteReads, columns_compared},
    error::TableError,
    ids::check_has_ids,
    plan::{DataTask, Planner, TablePlan, apply_deletes},
    query::{Resolved, TableQuery, check_readable},
    wave::Wave,
};
use crate::{
    file::{
        FoundRow,
        scan::{FileScan, ScanRequest},
    },
    held::HeldObjects,
    need::{Role, Step, Supplied},
};

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct ScannedRow {
    /// Where it lies.
    pub location: RowLocation,
    /// Whether a delete names it; only [`TableScan::of_file`] gives such rows.
    pub is_deleted: bool,
    /// Its values: the query's columns, then its target columns.
    pub values: Vec<Option<Value>>,
}

/// Reads every live row of a table.
///
/// Call [`Self::step`] like that of a lookup; each time it is done it gives the next rows, and `None` at the end.
#[derive(Debug)]
pub struct TableScan {
    query: Resolved,
    plan: TablePlan,
    deletes: DeleteReads,
    /// The columns that are read, by field id: the query's, then those that deletes compare.
    columns: Vec<i32>,
    rows: Rows,
    state: State,
}

/// Which rows a scan gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    Live,
    All,
}

#[derive(Debug)]
enum State {
    Planning(Planner),
    /// The file with this number comes next.
    Next(usize),
    /// The deletes of a file are being read.
    Deletes(usize, Wave<usize>),
    /// Its rows are.
    Rows(usize, Box<FileScan>),
}

impl TableScan {
    /// Starts a scan. The query's key and version are ignored.
    pub fn new(query: TableQuery) -> Result<Self, TableError> {
        let query = TableQuery { key: Vec::new(), version: None, ..query };
        Ok(Self {
            query: Resolved::new(query)?,
            plan: TablePlan::default(),
            deletes: DeleteReads::default(),
            columns: Vec::new(),
            rows: Rows::Live,
            state: State::Planning(Planner::default()),
        })
    }

    /// Starts a scan of one data file, of which it gives every row, and says which are deleted. Of `deletes` those
    /// count that apply to the file. The query's key, version and snapshot are ignored.
    pub fn of_file(
        query: TableQuery,
        file: ManifestEntry,
        deletes: &[ManifestEntry],
    ) -> Result<Self, TableError> {
        let mut scan = Self::new(query)?;
        scan.rows = Rows::All;
        let plan = apply_deletes(vec![file], deletes, &scan.query);
        scan.begin(plan);
        Ok(scan)
    }

    /// Goes on with the answers to the needs of the step before, in their order; with none at first and after rows.
    ///
    /// # Errors
    /// *Corrupt*, *unsupported* or *limit*; the scan is then over.
    pub fn step(
        &mut self,
        supplied: Vec<Supplied>,
        held: &mut dyn HeldObjects,
    ) -> Result<Step<Option<Vec<ScannedRow>>>, TableError> {
        let mut supplied = supplied;
        // Each turn begins the next state, or the next file.
        loop {
            let answers = std::mem::take(&mut supplied);
            match std::mem::replace(&mut self.state, State::Next(usize::MAX)) {
                State::Planning(mut planner) => match planner.step(&self.query, &answers, held)? {
                    Step::Need(needs) => {
                        self.state = State::Planning(planner);
                        return Ok(Step::Need(needs));
                    }
                    Step::Done(plan) => self.begin(plan),
                },
                State::Next(data_idx) => {
                    if data_idx >= self.plan.data.len() {
                        return Ok(Step::Done(None));
                    }
                    let mut wave = Wave::default();
                    for (reader_idx, needs) in self.deletes.start(data_idx, &self.plan, &self.query, held)? {
                        wave.ask(reader_idx, needs);
                    }
                    self.state = State::Deletes(data_idx, wave);
                }
                State::Deletes(data_idx, wave) if wave.is_empty() => self.open(data_idx, held)?,
                State::Deletes(data_idx, wave) if answers.is_empty() => {
                    let needs = wave.needs();
                    self.state = State::Deletes(data_idx, wave);
                    return Ok(Step::Need(needs));
                }
                State::Deletes(data_idx, wave) => {
                    let mut next = Wave::default();
                    for (reader_idx, supplied) in wave.answer(&answers)? {
                        if let Some(needs) = self.deletes.advance(reader_idx, supplied, held)? {
                            next.ask(reader_idx, needs);
                        }
                    }
                    self.state = State::Deletes(data_idx, next);
                }
                State::Rows(data_idx, mut scan) => match scan.step(answers)? {
                    Step::Need(needs) => {
                        self.state = State::Rows(data_idx, scan);
                        return Ok(Step::Need(needs));
                    }
                    Step::Done(Some(rows)) => {
                        self.check_ids(data_idx, &scan)?;
                        let rows = self.given_rows(data_idx, rows);
                        self.state = State::Rows(data_idx, scan);
                        return Ok(Step::Done(Some(rows)));
                    }
                    Step::Done(None) => {
                        self.deletes.forget(data_idx, &self.plan);
                        self.state = State::Next(data_idx + 1);
                    }
                },
            }
        }
    }

    fn begin(&mut self, plan: TablePlan) {
        self.columns = self.query.columns.iter().chain(&self.query.target).copied().collect();
        self.columns.extend(columns_compared(&plan, &self.query, &self.columns));
        self.plan = plan;
        self.state = State::Next(0);
    }

    fn open(&mut self, data_idx: usize, held: &mut dyn HeldObjects) -> Result<(), TableError> {
        let Some(DataTask { entry, .. }) = self.plan.data.get(data_idx) else { return Ok(()) };
        let object = self.query.locations.object_key(&entry.file.location);
        check_readable(&entry.file, &object)?;
        let columns = self.columns.iter().map(|id| self.query.column(*id, &entry.file));
        let request = ScanRequest {
            object: object.clone(),
            stated_len_bytes: entry.file.stated_len_bytes,
            columns: columns.collect::<Result<_, _>>()?,
            names: self.query.metadata.name_mapping.clone(),
            role: Role::TargetPages,
        };
        self.state = State::Rows(data_idx, Box::new(FileScan::new(request, held.file_footer(&object))));
        Ok(())
    }

    fn check_ids(&self, data_idx: usize, scan: &FileScan) -> Result<(), TableError> {
        let (Some(task), Some(footer)) = (self.plan.data.get(data_idx), scan.footer()) else { return Ok(()) };
        let object = self.query.locations.object_key(&task.entry.file.location);
        check_has_ids(&footer, self.query.metadata.name_mapping.as_deref(), &object)
    }

    fn given_rows(&self, data_idx: usize, rows: Vec<FoundRow>) -> Vec<ScannedRow> {
        let Some(DataTask { entry, .. }) = self.plan.data.get(data_idx) else { return Vec::new() };
        let object = self.query.locations.object_key(&entry.file.location);
        let column_count = self.query.columns.len() + self.query.target.len();
        let scanned = |FoundRow { position, mut values }: FoundRow| {
            let value = |field_id: i32| {
                let place = self.columns.iter().position(|id| *id == field_id)?;
                values.get(place)?.as_ref()
            };
            let is_deleted = self.deletes.delete(data_idx, position, &self.plan, &self.query, value);
            if is_deleted && self.rows == Rows::Live {
                return None;
            }
            values.truncate(column_count);
            let sequence_number = entry.sequence_number;
            let location = RowLocation { object: object.clone(), position, sequence_number };
            Some(ScannedRow { location, is_deleted, values })
        };
        rows.into_iter().filter_map(scanned).collect()
    }
}
