//! Rows as Arrow record batches, with the Arrow schema derived from `firn_types::schema::COLUMNS`.
//!
//! Field ids stand in the metadata of fields (`PARQUET:field_id`), where the Parquet writer finds them. A list's
//! element is named `element`, as the Parquet format asks
//! (<https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#lists>).

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{BooleanBuilder, Int64Builder, ListBuilder, StringBuilder, TimestampMicrosecondBuilder},
};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use firn_types::{
    schema::{COLUMNS, Column, ColumnType},
    time::Micros,
};

use crate::row::{Row, Value};

/// Time zone of instants, which makes them Iceberg's `timestamptz`.
const UTC: &str = "UTC";

/// The Arrow schema of a table, `__ingest_ts` included.
pub fn arrow_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> =
        LazyLock::new(|| Arc::new(Schema::new(COLUMNS.iter().map(arrow_field).collect::<Vec<_>>())));
    Arc::clone(&SCHEMA)
}

/// Builds record batches out of rows.
#[derive(Debug)]
pub struct BatchBuilder {
    /// One for each of `COLUMNS`.
    columns: Vec<ColumnBuilder>,
    row_count: usize,
    len_bytes: usize,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self { columns: COLUMNS.iter().map(ColumnBuilder::new).collect(), row_count: 0, len_bytes: 0 }
    }
}

impl BatchBuilder {
    /// Appends a row.
    pub fn push(&mut self, row: &Row, ingest_ts: Micros) {
        let sink = Value::Timestamp(ingest_ts);
        let values = row.values().map(|(_, value)| value).chain([Some(&sink)]);
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.append(value);
        }
        self.row_count = self.row_count.saturating_add(1);
        self.len_bytes = self.len_bytes.saturating_add(row.len_bytes());
    }

    /// Rows since the last batch.
    pub fn row_count(&self) -> usize {
        self.row_count
    }

    /// Bytes of values since the last batch.
    pub fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// The rows since the last batch, as one.
    ///
    /// # Errors
    /// Arrow's own checks; none fails for rows that [`crate::row::parse_row`] made.
    pub fn take_batch(&mut self) -> Result<RecordBatch, ArrowError> {
        let columns = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        (self.row_count, self.len_bytes) = (0, 0);
        RecordBatch::try_new(arrow_schema(), columns)
    }
}

#[derive(Debug)]
enum ColumnBuilder {
    String(StringBuilder),
    Int64(Int64Builder),
    Bool(BooleanBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    StringList(ListBuilder<StringBuilder>),
}

impl ColumnBuilder {
    fn new(column: &Column) -> Self {
        match column.column_type {
            ColumnType::String => Self::String(StringBuilder::new()),
            ColumnType::Int64 => Self::Int64(Int64Builder::new()),
            ColumnType::Bool => Self::Bool(BooleanBuilder::new()),
            ColumnType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone(UTC)),
            ColumnType::StringList { element_id } => {
                Self::StringList(ListBuilder::new(StringBuilder::new()).with_field(element_field(element_id)))
            }
        }
    }

    fn append(&mut self, value: Option<&Value>) {
        match (self, value) {
            (Self::String(b), Some(Value::String(text))) => b.append_value(text),
            (Self::Int64(b), Some(Value::Int64(number))) => b.append_value(*number),
            (Self::Bool(b), Some(Value::Bool(value))) => b.append_value(*value),
            (Self::Timestamp(b), Some(Value::Timestamp(at))) => b.append_value(at.0),
            (Self::StringList(b), Some(Value::StringList(list))) => b.append_value(list.iter().map(Some)),
            // A `Row` holds no value of another type than its column's: what is left is null.
            (Self::String(b), _) => b.append_null(),
            (Self::Int64(b), _) => b.append_null(),
            (Self::Bool(b), _) => b.append_null(),
            (Self::Timestamp(b), _) => b.append_null(),
            (Self::StringList(b), _) => b.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::String(b) => Arc::new(b.finish()),
            Self::Int64(b) => Arc::new(b.finish()),
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Timestamp(b) => Arc::new(b.finish()),
            Self::StringList(b) => Arc::new(b.finish()),
        }
    }
}

fn arrow_field(column: &Column) -> FieldRef {
    let data_type = match column.column_type {
        ColumnType::String => DataType::Utf8,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        ColumnType::StringList { element_id } => DataType::List(element_field(element_id)),
    };
    with_id(Field::new(column.name, data_type, !column.required), column.field_id)
}

fn element_field(element_id: i32) -> FieldRef {
    with_id(Field::new("element", DataType::Utf8, false), element_id)
}

fn with_id(field: Field, field_id: i32) -> FieldRef {
    let metadata = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), field_id.to_string())]);
    Arc::new(field.with_metadata(metadata))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{UnknownFields, parse_row};
    use arrow_array::{Array, cast::AsArray};

    #[test]
    fn schema_has_every_column_with_its_id_and_nullability() {
        let schema = arrow_schema();
        for (field, column) in schema.fields().iter().zip(COLUMNS) {
            assert_eq!(field.name(), column.name);
            assert_eq!(field.is_nullable(), !column.required);
            assert_eq!(field.metadata()[PARQUET_FIELD_ID_META_KEY], column.field_id.to_string());
        }
        assert_eq!(schema.fields().len(), COLUMNS.len());
    }

    #[test]
    fn builder_starts_anew_after_a_batch() {
        let json = br#"{"ns":"a","type":"t","id":"i","version":7,"exports":["x"]}"#;
        let row = parse_row(json, UnknownFields::Violate).unwrap();
        let mut builder = BatchBuilder::default();
        builder.push(&row, Micros(5));
        builder.push(&row, Micros(5));
        assert_eq!((builder.row_count(), builder.len_bytes()), (2, 2 * row.len_bytes()));
        assert_eq!(builder.take_batch().unwrap().num_rows(), 2);
        assert_eq!((builder.row_count(), builder.len_bytes()), (0, 0));
        builder.push(&row, Micros(6));
        let batch = builder.take_batch().unwrap();
        assert_eq!(batch.num_rows(), 1);
        let ingest_ts = batch.column_by_name("__ingest_ts").unwrap();
        assert_eq!(ingest_ts.as_primitive::<arrow_array::types::TimestampMicrosecondType>().value(0), 6);
        assert!(batch.column_by_name("html").unwrap().is_null(0));
    }
}
