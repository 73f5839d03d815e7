//! Table metadata, plain or gzip: what was read refers only to what it holds.
//!
//! Input: the file.

use firn_iceberg::{
    metadata::{Manifests, TableMetadata},
    schema::{NestedField, Schema},
    value::Literal,
};

pub(crate) fn check(input: &[u8]) {
    let Ok(metadata) = TableMetadata::parse(input) else { return };
    assert!((1..=3).contains(&metadata.format_version));
    assert!(metadata.schemas.iter().any(|schema| schema == metadata.current_schema()));
    for snapshot in &metadata.snapshots {
        assert!(metadata.snapshot(snapshot.snapshot_id).is_some());
        assert!(metadata.schemas.iter().any(|schema| schema == metadata.schema_of(snapshot)));
        let is_inline = matches!(snapshot.manifests, Manifests::Inline(_));
        assert!(!is_inline || metadata.format_version == 1, "only v1 names manifests itself");
    }
    if let Some(current) = metadata.current_snapshot() {
        assert!(metadata.snapshots.contains(current));
    }
    metadata.schemas.iter().for_each(|schema| check_schema(schema));
    for spec in &metadata.partition_specs {
        assert!(metadata.partition_spec(spec.spec_id).is_some());
        for field in &spec.fields {
            for literal in [
                Literal::Int(-7),
                Literal::Long(i64::MIN),
                Literal::String("ü".into()),
                Literal::Date(i32::MAX),
            ] {
                let _ = field.transform.apply(&literal);
            }
        }
    }
}

/// Every field is found by its id, and every column by its name.
fn check_schema(schema: &Schema) {
    let mut fields: Vec<&NestedField> = schema.fields.iter().collect();
    assert!(fields.iter().all(|column| schema.column_named(&column.name).is_some()));
    while let Some(field) = fields.pop() {
        assert!(schema.field(field.id).is_some(), "{}", field.id);
        fields.extend(field.ty.children());
    }
}
