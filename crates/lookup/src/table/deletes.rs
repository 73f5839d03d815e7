//! Reading what deletes rows: deletion vectors, position delete files, equality delete files.
//!
//! A delete file is looked up like a data file: for the path of the data file, or for the key. So of a large one only
//! a few pages are read.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use firn_iceberg::{
    data_file::{DataFile, FileContent},
    deletion_vector::{BLOB_LEN_BYTES_MAX, DeletionVector},
    manifest::{DELETE_FILE_PATH_ID, DELETE_POS_ID},
    name_mapping::NameMapping,
    schema::{PrimitiveType, Type},
    value::{Literal, Value},
};
use firn_types::object::{ByteRange, ObjectKey};

use super::{
    error::TableError,
    ids::check_has_columns,
    plan::{DataTask, TablePlan},
    query::{Resolved, check_readable, check_unencrypted},
};
use crate::{
    file::{
        ColumnRef, FileRequest, FoundRow, KeyEquals, RowSelection, WantedColumn, When, lookup::FileLookup,
    },
    held::{Held, HeldObjects},
    need::{Need, Role, Step, Supplied},
};

/// What a reader reads for. Delete files are named by their place in the plan.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Vector { delete_idx: usize },
    Positions { delete_idx: usize, data_idx: usize },
    Equalities { delete_idx: usize },
}

#[derive(Debug)]
struct Reader {
    purpose: Purpose,
    object: ObjectKey,
    /// The columns by which the file deletes.
    columns: Vec<i32>,
    names: Option<Arc<NameMapping>>,
    /// `None` for a deletion vector, which is one range.
    lookup: Option<Box<FileLookup>>,
}

/// What was read of delete files.
#[derive(Debug, Default)]
pub(crate) struct DeleteReads {
    /// By number; one that is done is dropped.
    readers: Vec<Option<Reader>>,
    vectors: HashMap<usize, DeletionVector>,
    /// By delete file and data file.
    positions: HashMap<(usize, usize), HashSet<u64>>,
    /// What [`tuple_of`] makes of the compared columns that are not in the key, in the order of the equality ids.
    equalities: HashMap<usize, HashSet<Vec<u8>>>,
    begun: HashSet<usize>,
}

/// The needs of a reader, by its number.
pub(crate) type Asked = Vec<(usize, Vec<Need>)>;

impl DeleteReads {
    /// Begins to read the deletes that apply to a data file, as far as they were not begun for another.
    pub(crate) fn start(
        &mut self,
        data_idx: usize,
        plan: &TablePlan,
        query: &Resolved,
        held: &mut dyn HeldObjects,
    ) -> Result<Asked, TableError> {
        let mut asked = Vec::new();
        let Some(DataTask { entry, deletes }) = plan.data.get(data_idx) else { return Ok(asked) };
        for delete_idx in deletes.iter().copied() {
            let Some(delete) = plan.deletes.get(delete_idx).map(|entry| &entry.file) else { continue };
            if delete.is_deletion_vector() {
                asked.push(self.start_vector(delete_idx, delete, query)?);
            } else if delete.content == FileContent::PositionDeletes {
                let purpose = Purpose::Positions { delete_idx, data_idx };
                let request = position_request(delete, &entry.file, query)?;
                asked.extend(self.open(purpose, request, held)?);
            } else if self.begun.insert(delete_idx) {
                let request = equality_request(delete, query)?;
                asked.extend(self.open(Purpose::Equalities { delete_idx }, request, held)?);
            }
        }
        Ok(asked)
    }

    /// Takes the answers to what a reader asked.
    pub(crate) fn advance(
        &mut self,
        reader_idx: usize,
        supplied: Vec<Supplied>,
        held: &mut dyn HeldObjects,
    ) -> Result<Option<Vec<Need>>, TableError> {
        let Some(reader) = self.readers.get_mut(reader_idx).and_then(Option::take) else {
            return Ok(None);
        };
        let Reader { purpose, object, columns, names, lookup } = reader;
        let Some(mut lookup) = lookup else {
            let bytes = supplied.into_iter().next().map(|s| s.bytes).unwrap_or_default();
            let vector = DeletionVector::parse(bytes.to_vec());
            let vector = vector.map_err(|source| TableError::Metadata { object, source })?;
            if let Purpose::Vector { delete_idx } = purpose {
                self.vectors.insert(delete_idx, vector);
            }
            return Ok(None);
        };
        match lookup.step(supplied)? {
            Step::Need(needs) => {
                if let Some(place) = self.readers.get_mut(reader_idx) {
                    *place = Some(Reader { purpose, object, columns, names, lookup: Some(lookup) });
                }
                Ok(Some(needs.into_iter().map(|need| Need { role: Role::Deletes, ..need }).collect()))
            }
            Step::Done(rows) => {
                if let Some(footer) = lookup.footer() {
                    check_has_columns(&footer, names.as_deref(), &columns, &object)?;
                    let len_bytes = footer.memory_len_bytes();
                    held.put(&object, Held::File(footer), len_bytes);
                }
                self.take(purpose, rows);
                Ok(None)
            }
        }
    }

    /// Whether a row of a data file is deleted. `value` gives a row's value of a column.
    pub(crate) fn delete<'a>(
        &self,
        data_idx: usize,
        position: u64,
        plan: &TablePlan,
        query: &Resolved,
        value: impl Fn(i32) -> Option<&'a Value>,
    ) -> bool {
        let deletes = plan.data.get(data_idx).map(|task| task.deletes.as_slice()).unwrap_or_default();
        deletes.iter().any(|delete_idx| {
            let vector = self.vectors.get(delete_idx);
            let positions = self.positions.get(&(*delete_idx, data_idx));
            let is_equal = || {
                let (Some(delete), Some(tuples)) =
                    (plan.deletes.get(*delete_idx), self.equalities.get(delete_idx))
                else {
                    return false;
                };
                // The columns of the key were compared when the delete file was looked up.
                tuples.contains(&tuple_of(compared(&delete.file, query).map(&value)))
            };
            vector.is_some_and(|v| v.contains(position))
                || positions.is_some_and(|p| p.contains(&position))
                || is_equal()
        })
    }

    /// Drops what only one data file's rows needed.
    pub(crate) fn forget(&mut self, data_idx: usize, plan: &TablePlan) {
        let deletes = plan.data.get(data_idx).map(|task| task.deletes.as_slice()).unwrap_or_default();
        for delete_idx in deletes {
            self.vectors.remove(delete_idx);
            self.positions.remove(&(*delete_idx, data_idx));
        }
    }

    fn open(
        &mut self,
        purpose: Purpose,
        request: FileRequest,
        held: &mut dyn HeldObjects,
    ) -> Result<Option<(usize, Vec<Need>)>, TableError> {
        let object = request.object.clone();
        let names = request.names.clone();
        let by_key = request.key.iter().map(|term| term.column.field_id);
        let columns = by_key.chain(request.columns.iter().map(|wanted| wanted.column.field_id)).collect();
        let footer = held.file_footer(&object);
        let lookup = Some(Box::new(FileLookup::new(request, footer)));
        let reader_idx = self.readers.len();
        self.readers.push(Some(Reader { purpose, object, columns, names, lookup }));
        Ok(self.advance(reader_idx, Vec::new(), held)?.map(|needs| (reader_idx, needs)))
    }

    fn start_vector(
        &mut self,
        delete_idx: usize,
        delete: &DataFile,
        query: &Resolved,
    ) -> Result<(usize, Vec<Need>), TableError> {
        let object = query.locations.object_key(&delete.location);
        check_unencrypted(delete, &object)?;
        let missing = |what| {
            let found = "missing".to_owned();
            TableError::Inconsistent { object: object.clone(), what, found }
        };
        let start = delete.content_offset.ok_or_else(|| missing("content_offset of a deletion vector"))?;
        let len = delete.content_size_bytes.filter(|len| *len > 0);
        let len = len.ok_or_else(|| missing("content_size_in_bytes of a deletion vector"))?;
        let limit = BLOB_LEN_BYTES_MAX as u64;
        if len > limit {
            let what = "length of a deletion vector";
            return Err(TableError::Limit { object, what, found: len, limit });
        }
        let range = ByteRange::Range(start..start.saturating_add(len));
        let need = Need { object: object.clone(), range, role: Role::Deletes };
        let purpose = Purpose::Vector { delete_idx };
        let (columns, names) = (Vec::new(), None);
        self.readers.push(Some(Reader { purpose, object, columns, names, lookup: None }));
        Ok((self.readers.len() - 1, vec![need]))
    }

    fn take(&mut self, purpose: Purpose, rows: Vec<FoundRow>) {
        let values = rows.into_iter().map(|row| row.values);
        match purpose {
            Purpose::Vector { .. } => {}
            Purpose::Positions { delete_idx, data_idx } => {
                let position = |values: Vec<Option<Value>>| match values.into_iter().next() {
                    Some(Some(Value::Primitive(Literal::Long(position)))) => u64::try_from(position).ok(),
                    _ => None,
                };
                self.positions.insert((delete_idx, data_idx), values.filter_map(position).collect());
            }
            Purpose::Equalities { delete_idx } => {
                let tuples = values.map(|values| tuple_of(values.iter().map(Option::as_ref)));
                self.equalities.insert(delete_idx, tuples.collect());
            }
        }
    }
}

/// The columns by which an equality delete file deletes, without those of the key.
fn compared<'a>(delete: &'a DataFile, query: &'a Resolved) -> impl Iterator<Item = i32> + 'a {
    let ids: &[i32] = if delete.content == FileContent::EqualityDeletes { &delete.equality_ids } else { &[] };
    ids.iter().copied().filter(|id| query.key.terms.iter().all(|term| term.field_id != *id))
}

/// The columns that all delete files of a plan compare and the key lacks, without those in `known`.
pub(crate) fn columns_compared(plan: &TablePlan, query: &Resolved, known: &[i32]) -> Vec<i32> {
    let mut columns = Vec::new();
    for field_id in plan.deletes.iter().flat_map(|delete| compared(&delete.file, query)) {
        // A nested one is reported when the delete file is opened.
        if !known.contains(&field_id) && !columns.contains(&field_id) && query.is_primitive(field_id) {
            columns.push(field_id);
        }
    }
    columns
}

/// Values as bytes that are the same for values that an equality delete takes for equal: null and null, NaN and NaN,
/// both zeros.
fn tuple_of<'a>(values: impl Iterator<Item = Option<&'a Value>>) -> Vec<u8> {
    let mut tuple = Vec::new();
    for value in values {
        let Some(literal) = value.and_then(Value::as_literal) else {
            tuple.push(0);
            continue;
        };
        let bytes = match literal {
            Literal::Float(v) if *v == 0.0 => Literal::Float(0.0).encode(),
            Literal::Double(v) if *v == 0.0 => Literal::Double(0.0).encode(),
            Literal::Float(v) if v.is_nan() => Literal::Float(f32::NAN).encode(),
            Literal::Double(v) if v.is_nan() => Literal::Double(f64::NAN).encode(),
            other => other.encode(),
        };
        tuple.push(1);
        tuple.extend((bytes.len() as u64).to_le_bytes());
        tuple.extend(bytes);
    }
    tuple
}

/// Asks an equality delete file for the rows that can delete rows of the key.
fn equality_request(delete: &DataFile, query: &Resolved) -> Result<FileRequest, TableError> {
    let object = query.locations.object_key(&delete.location);
    check_readable(delete, &object)?;
    if delete.equality_ids.is_empty() {
        let found = "missing".to_owned();
        return Err(TableError::Inconsistent { object, what: "equality_ids of a delete file", found });
    }
    let mut key = query.key_of(delete)?;
    key.retain(|term| delete.equality_ids.contains(&term.column.field_id));
    let compared: Vec<i32> = compared(delete, query).collect();
    if let Some(id) = compared.iter().find(|id| !query.is_primitive(**id)) {
        let found = format!("column {id}");
        return Err(TableError::Unsupported { object, what: "equality delete by nested", found });
    }
    Ok(FileRequest {
        object,
        stated_len_bytes: delete.stated_len_bytes,
        key,
        columns: query.wanted(&compared, When::WithKey, delete)?,
        rows: RowSelection::AllMatching,
        names: query.metadata.name_mapping.clone(),
    })
}

/// Asks a position delete file for the positions that it has of a data file.
fn position_request(delete: &DataFile, data: &DataFile, query: &Resolved) -> Result<FileRequest, TableError> {
    let object = query.locations.object_key(&delete.location);
    check_readable(delete, &object)?;
    let column = |field_id, ty| ColumnRef { field_id, ty: Type::Primitive(ty), initial_default: None };
    let path = KeyEquals {
        column: column(DELETE_FILE_PATH_ID, PrimitiveType::String),
        value: Value::Primitive(Literal::String(data.location.clone())),
    };
    let position = column(DELETE_POS_ID, PrimitiveType::Long);
    Ok(FileRequest {
        object,
        stated_len_bytes: delete.stated_len_bytes,
        key: vec![path],
        columns: vec![WantedColumn { column: position, when: When::WithKey }],
        rows: RowSelection::AllMatching,
        names: Some(Arc::new(NameMapping::of_columns([
            ("file_path", DELETE_FILE_PATH_ID),
            ("pos", DELETE_POS_ID),
        ]))),
    })
}
