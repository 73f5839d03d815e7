//! A table's schema and partition spec in Iceberg's JSON (<https://iceberg.apache.org/spec/#appendix-c-json-serialization>),
//! derived from `firn_types::schema::COLUMNS`.

use std::sync::LazyLock;

use firn_types::schema::{COLUMNS, Column, ColumnType, INGEST_TS, column_named};

use crate::partition::{PARTITION_FIELD_ID, PARTITION_FIELD_NAME};

/// Id of the only schema of a table.
pub(crate) const SCHEMA_ID: i32 = 0;

/// The schema as JSON text.
pub(crate) fn schema_json() -> &'static str {
    static JSON: LazyLock<String> = LazyLock::new(|| {
        let fields: Vec<String> = COLUMNS.iter().map(field_json).collect();
        format!(r#"{{"type":"struct","schema-id":{SCHEMA_ID},"fields":[{}]}}"#, fields.join(","))
    });
    &JSON
}

/// The fields of the partition spec as JSON text.
pub(crate) fn partition_fields_json() -> &'static str {
    static JSON: LazyLock<String> = LazyLock::new(|| {
        let source_id = column_named(INGEST_TS).map_or(0, |column| column.field_id);
        format!(
            r#"[{{"source-id":{source_id},"field-id":{PARTITION_FIELD_ID},"name":"{PARTITION_FIELD_NAME}","transform":"day"}}]"#
        )
    });
    &JSON
}

/// Highest field id of the schema, those of list elements included.
pub(crate) fn last_column_id() -> i32 {
    let ids = COLUMNS.iter().map(|column| match column.column_type {
        ColumnType::StringList { element_id } => element_id.max(column.field_id),
        _ => column.field_id,
    });
    ids.max().unwrap_or(0)
}

fn field_json(column: &Column) -> String {
    let kind = match column.column_type {
        ColumnType::String => r#""string""#.to_owned(),
        ColumnType::Int64 => r#""long""#.to_owned(),
        ColumnType::Bool => r#""boolean""#.to_owned(),
        ColumnType::Timestamp => r#""timestamptz""#.to_owned(),
        ColumnType::StringList { element_id } => format!(
            r#"{{"type":"list","element-id":{element_id},"element":"string","element-required":true}}"#
        ),
    };
    let Column { field_id, name, required, .. } = column;
    format!(r#"{{"id":{field_id},"name":"{name}","required":{required},"type":{kind}}}"#)
}
