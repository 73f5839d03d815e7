//! What is asked of a table, resolved against its schema.

use std::sync::Arc;

use firn_iceberg::{
    data_file::{DataFile, FileFormat, PartitionValue, coerce},
    metadata::{Snapshot, TableMetadata},
    partition::PartitionField,
    prune::{KeyPredicate, KeyTerm},
    schema::{NestedField, Schema},
    transform::Transform,
    value::{Literal, Value},
};
use firn_types::object::ObjectKey;

use super::{error::TableError, location::LocationMap};
use crate::file::{ColumnRef, KeyEquals, WantedColumn, When};

/// Which state of the table is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotChoice {
    /// The current one.
    Current,
    /// The one with this id, with the schema of its time.
    Id(i64),
}

/// What is asked of a table. Columns are named by their field ids.
#[derive(Clone, Debug)]
pub struct TableQuery {
    /// The table.
    pub metadata: Arc<TableMetadata>,
    /// Its state.
    pub snapshot: SnapshotChoice,
    /// The columns of the key, and the value of each. Primitive columns at the top of the schema.
    pub key: Vec<(i32, Literal)>,
    /// The column that decides between rows of one key: the highest wins, null is the lowest.
    pub version: Option<i32>,
    /// Small columns, fetched of every row that has the key.
    pub columns: Vec<i32>,
    /// Large columns, fetched of the row that wins.
    pub target: Vec<i32>,
    /// From locations to object keys.
    pub locations: LocationMap,
}

/// A query whose columns were found.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) metadata: Arc<TableMetadata>,
    pub(crate) schema: Arc<Schema>,
    /// `None` if the table has no rows.
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) key: KeyPredicate,
    pub(crate) version: Option<i32>,
    pub(crate) columns: Vec<i32>,
    pub(crate) target: Vec<i32>,
    pub(crate) locations: LocationMap,
    /// The columns whose statistics manifests keep.
    pub(crate) stats_fields: Vec<i32>,
}

impl Resolved {
    pub(crate) fn new(query: TableQuery) -> Result<Self, TableError> {
        let TableQuery { metadata, snapshot, key, version, columns, target, locations } = query;
        let (snapshot, schema) = match snapshot {
            SnapshotChoice::Current => (metadata.current_snapshot(), metadata.current_schema()),
            SnapshotChoice::Id(id) => {
                let snapshot = metadata.snapshot(id).ok_or(TableError::NoSuchSnapshot(id))?;
                (Some(snapshot), metadata.schema_of(snapshot))
            }
        };
        let (snapshot, schema) = (snapshot.cloned(), Arc::clone(schema));
        let terms = key.into_iter().map(|(field_id, value)| key_term(&schema, field_id, value));
        let key = KeyPredicate { terms: terms.collect::<Result<_, _>>()? };
        for field_id in version.iter().chain(&columns).chain(&target) {
            top_level(&schema, *field_id)?;
        }
        let stats_fields = key.terms.iter().map(|term| term.field_id).chain(version).collect();
        Ok(Self { metadata, schema, snapshot, key, version, columns, target, locations, stats_fields })
    }

    /// The key as the file-level lookup takes it. `file` is where the columns are looked for.
    pub(crate) fn key_of(&self, file: &DataFile) -> Result<Vec<KeyEquals>, TableError> {
        let equals = |term: &KeyTerm| {
            let column = self.column(term.field_id, file)?;
            Ok(KeyEquals { column, value: Value::Primitive(term.value.clone()) })
        };
        self.key.terms.iter().map(equals).collect()
    }

    /// The columns of the key that a data file must have: those of which every row has a value that stands nowhere else.
    pub(crate) fn required_of_key(&self, file: &DataFile) -> Vec<i32> {
        let is_in_file = |field: &&NestedField| {
            field.required
                && field.initial_default.is_none()
                && self.identity_partition(field, file) == PartitionValue::Unknown
        };
        let fields = self.key.terms.iter().filter_map(|term| self.field(term.field_id).ok());
        fields.filter(is_in_file).map(|field| field.id).collect()
    }

    /// Wanted columns of a file.
    pub(crate) fn wanted(
        &self,
        field_ids: &[i32],
        when: When,
        file: &DataFile,
    ) -> Result<Vec<WantedColumn>, TableError> {
        let wanted = |id: &i32| Ok(WantedColumn { column: self.column(*id, file)?, when });
        field_ids.iter().map(wanted).collect()
    }

    /// A column, as rows of `file` have it. Where the file lacks the column its rows hold the partition's value, if it
    /// is partitioned by the column itself, and the column's initial default otherwise ("Column Projection").
    pub(crate) fn column(&self, field_id: i32, file: &DataFile) -> Result<ColumnRef, TableError> {
        let field = self.field(field_id)?;
        let initial_default = match self.identity_partition(field, file) {
            PartitionValue::Null => None,
            PartitionValue::Is(value) => Some(Value::Primitive(value)),
            PartitionValue::Unknown => field.initial_default.clone(),
        };
        Ok(ColumnRef { field_id, ty: field.ty.clone(), initial_default })
    }

    /// Whether there is, or was, such a column at the top of the schema, and it is primitive.
    pub(crate) fn is_primitive(&self, field_id: i32) -> bool {
        self.field(field_id).is_ok_and(|field| field.ty.as_primitive().is_some())
    }

    /// A top-level field of the schema, or of an earlier one: equality deletes outlive the columns they compare.
    fn field(&self, field_id: i32) -> Result<&NestedField, TableError> {
        let of = |schema: &'_ Arc<Schema>| top_level(schema, field_id).is_ok();
        let schema = if of(&self.schema) {
            &self.schema
        } else {
            self.metadata.schemas.iter().rev().find(|s| of(s)).unwrap_or(&self.schema)
        };
        top_level(schema, field_id)
    }

    /// The value of a partition field that is this column itself; unknown where the file's spec has none.
    fn identity_partition(&self, field: &NestedField, file: &DataFile) -> PartitionValue {
        let spec = self.metadata.partition_spec(file.spec_id);
        let pairs = spec.into_iter().flat_map(|spec| spec.fields.iter().zip(&file.partition));
        let is_identity =
            |of: &PartitionField| of.source_id == Some(field.id) && of.transform == Transform::Identity;
        let value = pairs.into_iter().find(|(of, _)| is_identity(of)).map(|(_, value)| value);
        match (value, field.ty.as_primitive()) {
            (Some(PartitionValue::Null), _) => PartitionValue::Null,
            (Some(PartitionValue::Is(raw)), Some(ty)) => {
                coerce(raw, ty).map_or(PartitionValue::Unknown, PartitionValue::Is)
            }
            _ => PartitionValue::Unknown,
        }
    }
}

fn top_level(schema: &Schema, field_id: i32) -> Result<&NestedField, TableError> {
    let problem = "is no top-level column of the schema";
    schema.fields.iter().find(|f| f.id == field_id).ok_or(TableError::Column { field_id, problem })
}

fn key_term(schema: &Schema, field_id: i32, value: Literal) -> Result<KeyTerm, TableError> {
    let field = top_level(schema, field_id)?;
    let problem = |problem| TableError::Column { field_id, problem };
    let ty = field.ty.as_primitive().ok_or(problem("is not primitive"))?;
    let value = value.promote(ty).ok_or(problem("is of another type than the key's value"))?;
    Ok(KeyTerm { field_id, ty, value })
}

/// Fails for an encrypted file.
pub(crate) fn check_unencrypted(file: &DataFile, object: &ObjectKey) -> Result<(), TableError> {
    if !file.is_encrypted {
        return Ok(());
    }
    let found = file.format.as_str().to_owned();
    Err(TableError::Unsupported { object: object.clone(), what: "encryption of", found })
}

/// Fails for a file that the file-level lookup does not read.
pub(crate) fn check_readable(file: &DataFile, object: &ObjectKey) -> Result<(), TableError> {
    check_unencrypted(file, object)?;
    if file.format == FileFormat::Parquet {
        return Ok(());
    }
    let found = file.format.as_str().to_owned();
    Err(TableError::Unsupported { object: object.clone(), what: "file format", found })
}
