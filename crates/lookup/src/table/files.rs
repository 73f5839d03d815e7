//! Reading the data files that may hold the key, and their deletes: all at the same time.

use std::collections::{HashMap, HashSet};

use firn_iceberg::{
    data_file::{DataFile, FileContent, FileFormat},
    deletion_vector::DeletionVector,
    manifest::{DELETE_FILE_PATH_ID, DELETE_POS_ID, ManifestEntry},
    schema::{PrimitiveType, Type},
    value::{Literal, Value},
};
use firn_types::object::{ByteRange, ObjectKey};

use super::{
    error::TableError,
    plan::{DataTask, TablePlan},
    query::Resolved,
    wave::Wave,
};
use crate::{
    file::{
        ColumnRef, FileRequest, FoundRow, KeyEquals, RowSelection, WantedColumn, When, lookup::FileLookup,
    },
    held::{Held, HeldObjects},
    need::{Need, Role, Step, Supplied},
};

/// Up to so many data files their deletes are read along with them, which saves waves. With more, most hold no row of
/// the key, and deletes are read for those that do.
const EAGER_DATA_FILE_COUNT_MAX: usize = 4;

/// Up to so many delete files are read before it is known that there is a row to delete.
const EAGER_DELETE_FILE_COUNT_MAX: usize = 8;

/// Longest deletion vector (`firn_iceberg::deletion_vector::BLOB_LEN_BYTES_MAX`).
const VECTOR_LEN_BYTES_MAX: u64 = firn_iceberg::deletion_vector::BLOB_LEN_BYTES_MAX as u64;

/// A row that has the key and was not deleted.
#[derive(Debug)]
pub(crate) struct LiveRow {
    /// The data file, by its place in the plan.
    pub(crate) data_idx: usize,
    pub(crate) position: u64,
    /// The query's columns, then the version where there is one, then columns that equality deletes compare.
    pub(crate) values: Vec<Option<Value>>,
}

/// What a reader reads for.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Rows { data_idx: usize },
    Vector { delete_idx: usize },
    Positions { delete_idx: usize, data_idx: usize },
    Equalities { delete_idx: usize },
}

#[derive(Debug)]
enum Reader {
    File(Box<FileLookup>),
    Blob,
}

/// Reads files of a plan.
#[derive(Debug)]
pub(crate) struct FileReads {
    plan: TablePlan,
    readers: Vec<(Purpose, ObjectKey, Reader)>,
    wave: Wave,
    has_deletes_begun: bool,
    /// The columns of every [`LiveRow`], by field id.
    row_columns: Vec<i32>,
    rows: HashMap<usize, Vec<FoundRow>>,
    vectors: HashMap<usize, DeletionVector>,
    positions: HashMap<(usize, usize), HashSet<u64>>,
    /// Values of the compared columns that are not in the key, in the order of the delete file's equality ids.
    equalities: HashMap<usize, Vec<Vec<Option<Value>>>>,
}

impl FileReads {
    pub(crate) fn new(plan: TablePlan, query: &Resolved) -> Self {
        let compared = plan.deletes.iter().flat_map(|d| not_in_key(&d.file, query));
        let mut row_columns: Vec<i32> = query.columns.iter().copied().chain(query.version).collect();
        for field_id in compared {
            if !row_columns.contains(&field_id) {
                row_columns.push(field_id);
            }
        }
        Self {
            plan,
            readers: Vec::new(),
            wave: Wave::default(),
            has_deletes_begun: false,
            row_columns,
            rows: HashMap::new(),
            vectors: HashMap::new(),
            positions: HashMap::new(),
            equalities: HashMap::new(),
        }
    }

    /// The data file of a row.
    pub(crate) fn data(&self, data_idx: usize) -> Option<&ManifestEntry> {
        self.plan.data.get(data_idx).map(|task| &task.entry)
    }

    pub(crate) fn start(
        &mut self,
        query: &Resolved,
        held: &mut dyn HeldObjects,
    ) -> Result<Step<Vec<LiveRow>>, TableError> {
        for data_idx in 0..self.plan.data.len() {
            let Some(file) = self.data(data_idx).map(|entry| &entry.file) else { continue };
            check_readable(file, query)?;
            let request = FileRequest {
                object: query.locations.object_key(&file.location),
                stated_len_bytes: file.stated_len_bytes,
                key: query.key_of(file)?,
                columns: query.wanted(&self.row_columns, When::WithKey, file)?,
                rows: RowSelection::AllMatching,
                names: query.metadata.name_mapping.clone(),
            };
            self.open(Purpose::Rows { data_idx }, request, held)?;
        }
        let is_eager = self.plan.data.len() <= EAGER_DATA_FILE_COUNT_MAX
            && self.plan.deletes.len() <= EAGER_DELETE_FILE_COUNT_MAX;
        if is_eager {
            self.start_deletes(query, held, |_| true)?;
        }
        self.wait_or_go_on(query, held)
    }

    pub(crate) fn step(
        &mut self,
        query: &Resolved,
        supplied: &[Supplied],
        held: &mut dyn HeldObjects,
    ) -> Result<Step<Vec<LiveRow>>, TableError> {
        for (reader_idx, supplied) in std::mem::take(&mut self.wave).answer(supplied)? {
            self.advance(reader_idx, supplied, held)?;
        }
        self.wait_or_go_on(query, held)
    }

    fn wait_or_go_on(
        &mut self,
        query: &Resolved,
        held: &mut dyn HeldObjects,
    ) -> Result<Step<Vec<LiveRow>>, TableError> {
        if self.wave.is_empty() && !self.has_deletes_begun {
            let found: HashSet<usize> = self.rows.keys().copied().collect();
            self.start_deletes(query, held, |data_idx| found.contains(&data_idx))?;
        }
        if !self.wave.is_empty() {
            return Ok(Step::Need(self.wave.needs()));
        }
        Ok(Step::Done(self.take_live_rows(query)))
    }

    /// Begins to read the deletes that apply to the data files that `is_wanted` names.
    fn start_deletes(
        &mut self,
        query: &Resolved,
        held: &mut dyn HeldObjects,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Result<(), TableError> {
        self.has_deletes_begun = true;
        let tasks: Vec<(usize, DataTask)> =
            self.plan.data.iter().cloned().enumerate().filter(|(idx, _)| is_wanted(*idx)).collect();
        let mut begun = HashSet::new();
        for (data_idx, task) in tasks {
            for delete_idx in task.deletes {
                let Some(delete) = self.plan.deletes.get(delete_idx).map(|entry| entry.file.clone()) else {
                    continue;
                };
                if delete.is_deletion_vector() {
                    self.open_vector(delete_idx, &delete, query)?;
                    continue;
                }
                check_readable(&delete, query)?;
                let data = &task.entry.file;
                if delete.content == FileContent::EqualityDeletes {
                    if begun.insert(delete_idx) {
                        let request = equality_request(&delete, query)?;
                        self.open(Purpose::Equalities { delete_idx }, request, held)?;
                    }
                } else {
                    let request = position_request(&delete, data, query);
                    self.open(Purpose::Positions { delete_idx, data_idx }, request, held)?;
                }
            }
        }
        Ok(())
    }

    fn open(
        &mut self,
        purpose: Purpose,
        request: FileRequest,
        held: &mut dyn HeldObjects,
    ) -> Result<(), TableError> {
        let object = request.object.clone();
        let footer = match held.get(&object) {
            Some(Held::File(footer)) => Some(footer),
            _ => None,
        };
        let reader_idx = self.readers.len();
        self.readers.push((purpose, object, Reader::File(Box::new(FileLookup::new(request, footer)))));
        self.advance(reader_idx, Vec::new(), held)
    }

    fn open_vector(
        &mut self,
        delete_idx: usize,
        delete: &DataFile,
        query: &Resolved,
    ) -> Result<(), TableError> {
        let object = query.locations.object_key(&delete.location);
        let missing =
            |what| TableError::Inconsistent { object: object.clone(), what, found: "missing".to_owned() };
        check_unencrypted(delete, &object)?;
        let start = delete.content_offset.ok_or_else(|| missing("content_offset of a deletion vector"))?;
        let len = delete.content_size_bytes;
        let len = len.ok_or_else(|| missing("content_size_in_bytes of a deletion vector"))?;
        if len > VECTOR_LEN_BYTES_MAX {
            let what = "length of a deletion vector";
            return Err(TableError::Limit { object, what, found: len, limit: VECTOR_LEN_BYTES_MAX });
        }
        let end = start.checked_add(len).filter(|_| len > 0);
        let end = end.ok_or_else(|| missing("range of a deletion vector"))?;
        let need = Need { object: object.clone(), range: ByteRange::Range(start..end), role: Role::Deletes };
        self.wave.ask(self.readers.len(), vec![need]);
        self.readers.push((Purpose::Vector { delete_idx }, object, Reader::Blob));
        Ok(())
    }

    fn advance(
        &mut self,
        reader_idx: usize,
        supplied: Vec<Supplied>,
        held: &mut dyn HeldObjects,
    ) -> Result<(), TableError> {
        let Some((purpose, object, reader)) = self.readers.get_mut(reader_idx) else {
            return Ok(());
        };
        let lookup = match reader {
            Reader::File(lookup) => lookup,
            Reader::Blob => {
                let bytes = supplied.into_iter().next().map(|s| s.bytes).unwrap_or_default();
                let vector = DeletionVector::parse(bytes.to_vec())
                    .map_err(|source| TableError::Metadata { object: object.clone(), source })?;
                if let Purpose::Vector { delete_idx } = purpose {
                    self.vectors.insert(*delete_idx, vector);
                }
                return Ok(());
            }
        };
        let is_delete = !matches!(purpose, Purpose::Rows { .. });
        match lookup.step(supplied)? {
            Step::Need(mut needs) => {
                if is_delete {
                    for need in &mut needs {
                        need.role = Role::Deletes;
                    }
                }
                self.wave.ask(reader_idx, needs);
            }
            Step::Done(rows) => {
                if let Some(footer) = lookup.footer() {
                    let len_bytes = footer.memory_len_bytes();
                    held.put(object, Held::File(footer), len_bytes);
                }
                let purpose = *purpose;
                self.take(purpose, rows);
            }
        }
        Ok(())
    }

    fn take(&mut self, purpose: Purpose, rows: Vec<FoundRow>) {
        match purpose {
            Purpose::Rows { data_idx } if !rows.is_empty() => {
                self.rows.insert(data_idx, rows);
            }
            Purpose::Rows { .. } | Purpose::Vector { .. } => {}
            Purpose::Positions { delete_idx, data_idx } => {
                let positions = rows.into_iter().filter_map(|row| match row.values.into_iter().next() {
                    Some(Some(Value::Primitive(Literal::Long(position)))) => u64::try_from(position).ok(),
                    _ => None,
                });
                self.positions.insert((delete_idx, data_idx), positions.collect());
            }
            Purpose::Equalities { delete_idx } => {
                self.equalities.insert(delete_idx, rows.into_iter().map(|row| row.values).collect());
            }
        }
    }

    fn take_live_rows(&mut self, query: &Resolved) -> Vec<LiveRow> {
        let mut live = Vec::new();
        for (data_idx, task) in self.plan.data.iter().enumerate() {
            let rows = self.rows.remove(&data_idx).unwrap_or_default();
            live.extend(
                rows.into_iter()
                    .filter(|row| !task.deletes.iter().any(|d| self.deletes(*d, data_idx, row, query)))
                    .map(|FoundRow { position, values }| LiveRow { data_idx, position, values }),
            );
        }
        live
    }

    /// Whether a delete file deletes a row of a data file.
    fn deletes(&self, delete_idx: usize, data_idx: usize, row: &FoundRow, query: &Resolved) -> bool {
        if let Some(vector) = self.vectors.get(&delete_idx) {
            return vector.contains(row.position);
        }
        if let Some(positions) = self.positions.get(&(delete_idx, data_idx)) {
            return positions.contains(&row.position);
        }
        let Some(delete) = self.plan.deletes.get(delete_idx) else { return false };
        // The key's columns were compared by the lookup in the delete file.
        let compared = not_in_key(&delete.file, query);
        let values: Vec<&Option<Value>> = compared
            .filter_map(|id| row.values.get(self.row_columns.iter().position(|c| *c == id)?))
            .collect();
        let deleted = self.equalities.get(&delete_idx);
        deleted.is_some_and(|rows| {
            rows.iter().any(|row| row.iter().zip(&values).all(|(a, b)| is_same(a.as_ref(), b.as_ref())))
        })
    }
}

/// The columns by which a delete file deletes, without those of the key.
fn not_in_key<'a>(delete: &'a DataFile, query: &'a Resolved) -> impl Iterator<Item = i32> + 'a {
    let ids: &[i32] = if delete.content == FileContent::EqualityDeletes { &delete.equality_ids } else { &[] };
    ids.iter().copied().filter(|id| query.key.terms.iter().all(|term| term.field_id != *id))
}

/// An equality delete compares null with null as equal.
fn is_same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(Value::Primitive(a)), Some(Value::Primitive(b))) => a.is_same(b),
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// Rows of an equality delete file that can delete rows of the key.
fn equality_request(delete: &DataFile, query: &Resolved) -> Result<FileRequest, TableError> {
    let object = query.locations.object_key(&delete.location);
    if delete.equality_ids.is_empty() {
        let found = "missing".to_owned();
        return Err(TableError::Inconsistent { object, what: "equality_ids of a delete file", found });
    }
    let mut key = query.key_of(delete)?;
    key.retain(|term| delete.equality_ids.contains(&term.column.field_id));
    let compared: Vec<i32> = not_in_key(delete, query).collect();
    Ok(FileRequest {
        object,
        stated_len_bytes: delete.stated_len_bytes,
        key,
        columns: query.wanted(&compared, When::WithKey, delete)?,
        rows: RowSelection::AllMatching,
        names: query.metadata.name_mapping.clone(),
    })
}

/// Positions that a position delete file has of a data file.
fn position_request(delete: &DataFile, data: &DataFile, query: &Resolved) -> FileRequest {
    let column = |field_id, ty| ColumnRef { field_id, ty: Type::Primitive(ty), initial_default: None };
    let path = KeyEquals {
        column: column(DELETE_FILE_PATH_ID, PrimitiveType::String),
        value: Value::Primitive(Literal::String(data.location.clone())),
    };
    let position = WantedColumn { column: column(DELETE_POS_ID, PrimitiveType::Long), when: When::WithKey };
    FileRequest {
        object: query.locations.object_key(&delete.location),
        stated_len_bytes: delete.stated_len_bytes,
        key: vec![path],
        columns: vec![position],
        rows: RowSelection::AllMatching,
        names: None,
    }
}

fn check_unencrypted(file: &DataFile, object: &ObjectKey) -> Result<(), TableError> {
    if !file.is_encrypted {
        return Ok(());
    }
    let found = file.format.as_str().to_owned();
    Err(TableError::Unsupported { object: object.clone(), what: "encryption of", found })
}

fn check_readable(file: &DataFile, query: &Resolved) -> Result<(), TableError> {
    let object = query.locations.object_key(&file.location);
    check_unencrypted(file, &object)?;
    if file.format == FileFormat::Parquet {
        return Ok(());
    }
    Err(TableError::Unsupported { object, what: "file format", found: file.format.as_str().to_owned() })
}
