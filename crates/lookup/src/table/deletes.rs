//! Reading what deletes rows: deletion vectors, position delete files, equality delete files.
//!
//! A delete file is looked up like a data file: for the path of the data file, or for the key. So of a large one only
//! a few pages are read.

use std::collections::{HashMap, HashSet};

use firn_iceberg::{
    data_file::{DataFile, FileContent},
    deletion_vector::{BLOB_LEN_BYTES_MAX, DeletionVector},
    manifest::{DELETE_FILE_PATH_ID, DELETE_POS_ID},
    schema::{PrimitiveType, Type},
    value::{Literal, Value},
};
use firn_types::object::{ByteRange, ObjectKey};

use super::{
    error::TableError,
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
    /// `None` for a deletion vector, which is one range.
    lookup: Option<Box<FileLookup>>,
}

/// What was read of delete files.
#[derive(Debug, Default)]
pub(crate) struct DeleteReads {
    readers: Vec<Reader>,
    vectors: HashMap<usize, DeletionVector>,
    /// By delete file and data file.
    positions: HashMap<(usize, usize), HashSet<u64>>,
    /// Values of the compared columns that are not in the key, in the order of the file's equality ids.
    equalities: HashMap<usize, Vec<Vec<Option<Value>>>>,
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
        let Some(Reader { purpose, object, lookup }) = self.readers.get_mut(reader_idx) else {
            return Ok(None);
        };
        let Some(lookup) = lookup else {
            let bytes = supplied.into_iter().next().map(|s| s.bytes).unwrap_or_default();
            let vector = DeletionVector::parse(bytes.to_vec());
            let vector = vector.map_err(|source| TableError::Metadata { object: object.clone(), source })?;
            if let Purpose::Vector { delete_idx } = purpose {
                self.vectors.insert(*delete_idx, vector);
            }
            return Ok(None);
        };
        match lookup.step(supplied)? {
            Step::Need(needs) => {
                Ok(Some(needs.into_iter().map(|need| Need { role: Role::Deletes, ..need }).collect()))
            }
            Step::Done(rows) => {
                if let Some(footer) = lookup.footer() {
                    let len_bytes = footer.memory_len_bytes();
                    held.put(object, Held::File(footer), len_bytes);
                }
                let purpose = *purpose;
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
                let Some(delete) = plan.deletes.get(*delete_idx) else { return false };
                // The columns of the key were compared when the delete file was looked up.
                let row: Vec<Option<&Value>> = compared(&delete.file, query).map(&value).collect();
                let stored = self.equalities.get(delete_idx).map(Vec::as_slice).unwrap_or_default();
                stored.iter().any(|of| of.iter().zip(&row).all(|(a, b)| is_same(a.as_ref(), *b)))
            };
            vector.is_some_and(|v| v.contains(position))
                || positions.is_some_and(|p| p.contains(&position))
                || is_equal()
        })
    }

    fn open(
        &mut self,
        purpose: Purpose,
        request: FileRequest,
        held: &mut dyn HeldObjects,
    ) -> Result<Option<(usize, Vec<Need>)>, TableError> {
        let object = request.object.clone();
        let footer = held.file_footer(&object);
        let lookup = Some(Box::new(FileLookup::new(request, footer)));
        let reader_idx = self.readers.len();
        self.readers.push(Reader { purpose, object, lookup });
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
        self.readers.push(Reader { purpose: Purpose::Vector { delete_idx }, object, lookup: None });
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
                self.equalities.insert(delete_idx, values.collect());
            }
        }
    }
}

/// The columns by which an equality delete file deletes, without those of the key.
pub(crate) fn compared<'a>(delete: &'a DataFile, query: &'a Resolved) -> impl Iterator<Item = i32> + 'a {
    let ids: &[i32] = if delete.content == FileContent::EqualityDeletes { &delete.equality_ids } else { &[] };
    ids.iter().copied().filter(|id| query.key.terms.iter().all(|term| term.field_id != *id))
}

/// An equality delete takes null and null for equal.
fn is_same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(Value::Primitive(a)), Some(Value::Primitive(b))) => a.is_same(b),
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
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
        names: None,
    })
}
