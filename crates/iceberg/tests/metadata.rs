//! Table metadata of every version: what is kept of it, and every way to be wrong.
#![expect(clippy::unwrap_used, reason = "what fails a test may panic")]

use std::io::Write;

use firn_iceberg::{
    error::ErrorKind,
    metadata::{Manifests, TableMetadata},
    schema::{PrimitiveType, Type},
    transform::Transform,
    value::{Literal, Value},
};
use serde_json::{Value as Json, json};

fn parse(json: &Json) -> Result<TableMetadata, firn_iceberg::error::Error> {
    TableMetadata::parse(json.to_string().as_bytes())
}

fn long(id: i32, name: &str) -> Json {
    json!({"id": id, "name": name, "required": false, "type": "long"})
}

fn v3() -> Json {
    json!({
        "format-version": 3, "table-uuid": "u", "location": "s3://b/t", "last-sequence-number": 9,
        "last-updated-ms": 1, "last-column-id": 9, "next-row-id": 0, "last-partition-id": 1001,
        "schemas": [
            {"type": "struct", "schema-id": 0, "fields": [long(1, "old")]},
            {"type": "struct", "schema-id": 7, "identifier-field-ids": [1], "fields": [
                long(1, "new"),
                {"id": 2, "name": "price", "required": true, "type": "decimal(9, 2)", "initial-default": "1.50"},
                {"id": 3, "name": "tags", "required": false, "type": {
                    "type": "list", "element-id": 4, "element-required": true, "element": "string"}},
                {"id": 5, "name": "place", "required": false, "type": {"type": "struct", "fields": [
                    {"id": 6, "name": "lat", "required": false, "type": "float", "initial-default": 0.5}]}},
                {"id": 7, "name": "extra", "required": false, "type": "variant"},
                {"id": 8, "name": "shape", "required": false, "type": "geometry(srid:4326)"},
                {"id": 9, "name": "links", "required": false, "type": {
                    "type": "map", "key-id": 10, "key": "fixed[4]", "value-id": 11, "value-required": false,
                    "value": "timestamptz_ns"}}
            ]}
        ],
        "current-schema-id": 7,
        "partition-specs": [
            {"spec-id": 0, "fields": []},
            {"spec-id": 3, "fields": [
                {"name": "a", "transform": "bucket[8]", "source-id": 1, "field-id": 1000},
                {"name": "b", "transform": "zorder", "source-ids": [1, 2], "field-id": 1001},
                {"name": "c", "transform": "truncate[4]", "source-ids": [2], "field-id": 1002}]}
        ],
        "default-spec-id": 3, "sort-orders": [{"order-id": 0, "fields": []}], "default-sort-order-id": 0,
        "current-snapshot-id": 22,
        "snapshots": [
            {"snapshot-id": 11, "sequence-number": 1, "timestamp-ms": 5, "manifest-list": "s3://b/1.avro",
             "schema-id": 0, "summary": {"operation": "append", "total-data-files": "2"}},
            {"snapshot-id": 22, "parent-snapshot-id": 11, "sequence-number": 2, "timestamp-ms": 6,
             "manifest-list": "s3://b/2.avro", "key-id": "k", "first-row-id": 0}
        ],
        "refs": {"main": {"snapshot-id": 22, "type": "branch"}, "old": {"snapshot-id": 11, "type": "tag"}},
        "properties": {"schema.name-mapping.default": "[{\"field-id\": 1, \"names\": [\"old\", \"new\"]}]"}
    })
}

fn v1() -> Json {
    json!({
        "format-version": 1, "location": "s3://b/t", "last-updated-ms": 1, "last-column-id": 1,
        "schema": {"type": "struct", "fields": [long(1, "a")]},
        "partition-spec": [{"name": "a", "transform": "identity", "source-id": 1}],
        "current-snapshot-id": 11,
        "snapshots": [{"snapshot-id": 11, "timestamp-ms": 5, "manifests": ["s3://b/m1.avro", "s3://b/m2.avro"]}]
    })
}

#[test]
fn v3_metadata_is_kept_as_far_as_readers_need_it() {
    let metadata = parse(&v3()).unwrap();
    assert_eq!(metadata.format_version, 3);
    let schema = metadata.current_schema();
    assert_eq!((schema.schema_id, schema.fields.len()), (7, 7));
    assert_eq!(schema.identifier_field_ids, [1]);
    let price = schema.field(2).unwrap();
    assert_eq!(price.ty.as_primitive(), Some(PrimitiveType::Decimal { precision: 9, scale: 2 }));
    assert_eq!(price.initial_default, Some(Value::Primitive(Literal::Decimal { unscaled: 150, scale: 2 })));
    assert_eq!(schema.field(6).unwrap().initial_default, Some(Value::Primitive(Literal::Float(0.5))));
    assert_eq!(schema.field(4).unwrap().name, "element");
    assert_eq!(schema.column_named("extra").unwrap().ty, Type::Variant);
    assert_eq!(schema.field(8).unwrap().ty.as_primitive(), Some(PrimitiveType::Geometry));
    assert_eq!(schema.field(10).unwrap().ty.as_primitive(), Some(PrimitiveType::Fixed(4)));
    let spec = metadata.partition_spec(3).unwrap();
    let fields: Vec<_> = spec.fields.iter().map(|f| (f.source_id, f.transform)).collect();
    assert_eq!(
        fields,
        [(Some(1), Transform::Bucket(8)), (None, Transform::Unknown), (Some(2), Transform::Truncate(4))]
    );
    assert_eq!(metadata.refs.get("old"), Some(&11));
    assert_eq!(metadata.name_mapping.as_ref().unwrap().field_id(&["old"]), Some(1));
}

#[test]
fn snapshot_is_the_current_one_or_chosen_by_id_with_its_schema() {
    let metadata = parse(&v3()).unwrap();
    let current = metadata.current_snapshot().unwrap();
    assert_eq!((current.snapshot_id, current.is_encrypted), (22, true));
    assert_eq!(metadata.schema_of(current).schema_id, 7);
    let old = metadata.snapshot(11).unwrap();
    assert_eq!((old.stated_data_file_count, old.is_encrypted), (Some(2), false));
    assert_eq!(old.manifests, Manifests::List("s3://b/1.avro".into()));
    assert_eq!(metadata.schema_of(old).schema_id, 0);
    assert!(metadata.snapshot(33).is_none());
    for none in [json!(-1), json!(null)] {
        let mut json = v3();
        json["current-snapshot-id"] = none;
        assert!(parse(&json).unwrap().current_snapshot().is_none());
    }
}

#[test]
fn v1_metadata_may_name_manifests_and_leave_out_ids() {
    let metadata = parse(&v1()).unwrap();
    assert_eq!(metadata.table_uuid, None);
    assert_eq!(metadata.partition_spec(0).unwrap().fields.first().unwrap().field_id, 1000);
    let snapshot = metadata.current_snapshot().unwrap();
    assert_eq!(snapshot.manifests, Manifests::Inline(vec!["s3://b/m1.avro".into(), "s3://b/m2.avro".into()]));
    assert_eq!(snapshot.sequence_number, 0);
    let mut both = v1();
    both["schemas"] = json!([{"type": "struct", "schema-id": 4, "fields": [long(1, "a"), long(2, "b")]}]);
    both["current-schema-id"] = json!(4);
    assert_eq!(parse(&both).unwrap().current_schema().fields.len(), 2);
}

#[test]
fn gzip_is_read_and_a_bomb_ends_at_the_limit() {
    let zip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zipped = zip(v3().to_string().as_bytes());
    assert_eq!(TableMetadata::parse(&zipped).unwrap(), parse(&v3()).unwrap());
    let cut = TableMetadata::parse(zipped.split_last().unwrap().1).unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::Corrupt);
    let bomb = TableMetadata::parse(&zip(&vec![b' '; 65 << 20])).unwrap_err();
    assert_eq!(bomb.kind(), ErrorKind::LimitExceeded);
}

#[track_caller]
fn check(change: impl FnOnce(&mut Json), expected: ErrorKind) {
    let mut json = v3();
    change(&mut json);
    let error = parse(&json).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), expected, "{error}");
}

#[test]
fn every_way_to_be_wrong_is_told() {
    use ErrorKind::{Corrupt, LimitExceeded, Unsupported};
    check(|m| m["format-version"] = json!(4), Unsupported);
    check(|m| *m = json!({"format-version": 4, "schemas": "elsewhere"}), Unsupported);
    check(|m| m["format-version"] = json!(0), Corrupt);
    check(|m| m["format-version"] = json!("2"), Corrupt);
    for field in [
        "format-version",
        "table-uuid",
        "location",
        "last-sequence-number",
        "last-updated-ms",
        "last-column-id",
        "schemas",
        "current-schema-id",
        "partition-specs",
        "default-spec-id",
        "last-partition-id",
        "sort-orders",
        "default-sort-order-id",
        "next-row-id",
    ] {
        check(|m| drop(m.as_object_mut().unwrap().remove(field)), Corrupt);
    }
    check(|m| m["current-schema-id"] = json!(8), Corrupt);
    check(|m| m["default-spec-id"] = json!(8), Corrupt);
    check(|m| m["current-snapshot-id"] = json!(8), Corrupt);
    check(|m| m["snapshots"][0]["manifest-list"] = json!(null), Corrupt);
    check(|m| m["snapshots"][0]["snapshot-id"] = json!(null), Corrupt);
    check(|m| m["properties"]["schema.name-mapping.default"] = json!("{"), Corrupt);
    check(|m| m["partition-specs"][1]["fields"][0]["source-id"] = json!(null), Corrupt);
    check(|m| m["schemas"][1]["fields"][1]["initial-default"] = json!("1.5"), Corrupt);
    for (ty, kind) in [
        (json!("int256"), Unsupported),
        (json!({"type": "set", "element": "int"}), Unsupported),
        (json!("decimal(39, 2)"), Corrupt),
        (json!("decimal(9)"), Corrupt),
        (json!("decimal(9, 10)"), Corrupt),
        (json!("fixed[x]"), Corrupt),
        (json!(3), Corrupt),
        (json!({"type": "list", "element-id": 4, "element": "string"}), Corrupt),
        (json!({"type": "map", "key-id": 4, "key": "string", "value-id": 5, "value": "int"}), Corrupt),
        (json!({"type": "struct", "fields": {}}), Corrupt),
    ] {
        check(|m| m["schemas"][1]["fields"][0]["type"] = ty, kind);
    }
    let mut deep = json!("int");
    for _ in 0..64 {
        deep = json!({"type": "list", "element-id": 4, "element-required": true, "element": deep});
    }
    let too_deep =
        json!({"type": "struct", "fields": [{"id": 1, "name": "a", "required": true, "type": deep}]});
    check(|m| m["schemas"][0]["fields"][0]["type"] = too_deep, LimitExceeded);
}
