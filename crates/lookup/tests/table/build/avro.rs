//! Manifest lists and manifests by hand.

use firn_iceberg::value::Literal;

/// Avro's zigzag variable-length integer.
pub(crate) fn long(value: i64) -> Vec<u8> {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let mut out = Vec::new();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out
}

/// A length and so many bytes.
pub(crate) fn bytes(value: &[u8]) -> Vec<u8> {
    [long(value.len() as i64), value.to_vec()].concat()
}

/// A value of `["null", …]`.
pub(crate) fn optional(value: Option<Vec<u8>>) -> Vec<u8> {
    value.map_or_else(|| long(0), |value| [long(1), value].concat())
}

/// An array.
pub(crate) fn array(items: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    if !items.is_empty() {
        out.extend(long(items.len() as i64));
        out.extend(items.concat());
    }
    out.extend(long(0));
    out
}

/// Compression of blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Codec {
    Null,
    Deflate,
    Zstandard,
}

/// A container file; `metadata` stands in its header beside schema and codec.
pub(crate) fn container(schema: &str, metadata: &[(&str, &str)], codec: Codec, data: &[Vec<u8>]) -> Vec<u8> {
    let (name, block) = match codec {
        Codec::Null => ("null", data.concat()),
        Codec::Deflate => {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            std::io::Write::write_all(&mut encoder, &data.concat()).unwrap();
            ("deflate", encoder.finish().unwrap())
        }
        Codec::Zstandard => ("zstandard", zstd::bulk::compress(&data.concat(), 3).unwrap()),
    };
    let mut header: Vec<Vec<u8>> = Vec::new();
    for (key, value) in [("avro.schema", schema), ("avro.codec", name)].iter().chain(metadata) {
        header.push([bytes(key.as_bytes()), bytes(value.as_bytes())].concat());
    }
    let sync = [7_u8; 16];
    let mut file = [b"Obj\x01".to_vec(), array(&header), sync.to_vec()].concat();
    if !data.is_empty() {
        file.extend(long(data.len() as i64));
        file.extend(bytes(&block));
        file.extend(sync);
    }
    file
}

/// A partition value, and its Avro type.
pub(crate) fn partition_value(value: Option<&Literal>) -> Vec<u8> {
    optional(value.map(|literal| match literal {
        Literal::Int(v) | Literal::Date(v) => long((*v).into()),
        Literal::Long(v) => long(*v),
        Literal::String(s) => bytes(s.as_bytes()),
        other => panic!("{other:?}"),
    }))
}

/// The schema of a manifest list or manifest in v1: without what v2 added.
pub(crate) fn v1(schema: &str) -> String {
    let added = [
        "content",
        "sequence_number",
        "min_sequence_number",
        "file_sequence_number",
        "equality_ids",
        "referenced_data_file",
        "content_offset",
        "content_size_in_bytes",
    ];
    let mut json: serde_json::Value = serde_json::from_str(schema).unwrap();
    remove_fields(&mut json, &added);
    json.to_string()
}

fn remove_fields(json: &mut serde_json::Value, names: &[&str]) {
    match json {
        serde_json::Value::Array(items) => {
            items.retain(|item| !item["name"].as_str().is_some_and(|name| names.contains(&name)));
            for item in items {
                remove_fields(item, names);
            }
        }
        serde_json::Value::Object(object) => {
            for value in object.values_mut() {
                remove_fields(value, names);
            }
        }
        _ => {}
    }
}

/// The fields of `manifest_file`.
pub(crate) const MANIFEST_FILE: &str = r#"{"type": "record", "name": "manifest_file", "fields": [
    {"name": "manifest_path", "type": "string", "field-id": 500},
    {"name": "manifest_length", "type": "long", "field-id": 501},
    {"name": "partition_spec_id", "type": "int", "field-id": 502},
    {"name": "content", "type": "int", "field-id": 517},
    {"name": "sequence_number", "type": "long", "field-id": 515},
    {"name": "min_sequence_number", "type": "long", "field-id": 516},
    {"name": "added_snapshot_id", "type": "long", "field-id": 503},
    {"name": "added_files_count", "type": "int", "field-id": 504},
    {"name": "existing_files_count", "type": "int", "field-id": 505},
    {"name": "deleted_files_count", "type": "int", "field-id": 506},
    {"name": "added_rows_count", "type": "long", "field-id": 512},
    {"name": "existing_rows_count", "type": "long", "field-id": 513},
    {"name": "deleted_rows_count", "type": "long", "field-id": 514},
    {"name": "partitions", "field-id": 507, "type": ["null", {"type": "array", "element-id": 508, "items":
        {"type": "record", "name": "r508", "fields": [
            {"name": "contains_null", "type": "boolean", "field-id": 509},
            {"name": "contains_nan", "type": ["null", "boolean"], "field-id": 518},
            {"name": "lower_bound", "type": ["null", "bytes"], "field-id": 510},
            {"name": "upper_bound", "type": ["null", "bytes"], "field-id": 511}]}}]}
]}"#;

/// The fields of `manifest_entry`; PARTITION stands for those of the partition.
pub(crate) const MANIFEST_ENTRY: &str = r#"{"type": "record", "name": "manifest_entry", "fields": [
    {"name": "status", "type": "int", "field-id": 0},
    {"name": "snapshot_id", "type": ["null", "long"], "field-id": 1},
    {"name": "sequence_number", "type": ["null", "long"], "field-id": 3},
    {"name": "file_sequence_number", "type": ["null", "long"], "field-id": 4},
    {"name": "data_file", "field-id": 2, "type": {"type": "record", "name": "r2", "fields": [
        {"name": "content", "type": "int", "field-id": 134},
        {"name": "file_path", "type": "string", "field-id": 100},
        {"name": "file_format", "type": "string", "field-id": 101},
        {"name": "partition", "field-id": 102, "type": {"type": "record", "name": "r102", "fields": [PARTITION]}},
        {"name": "record_count", "type": "long", "field-id": 103},
        {"name": "file_size_in_bytes", "type": "long", "field-id": 104},
        {"name": "value_counts", "field-id": 109, "type": ["null", {"type": "array", "logicalType": "map", "items":
            {"type": "record", "name": "k119_v120", "fields": [
                {"name": "key", "type": "int", "field-id": 119}, {"name": "value", "type": "long", "field-id": 120}]}}]},
        {"name": "null_value_counts", "field-id": 110, "type": ["null", {"type": "array", "logicalType": "map", "items":
            {"type": "record", "name": "k121_v122", "fields": [
                {"name": "key", "type": "int", "field-id": 121}, {"name": "value", "type": "long", "field-id": 122}]}}]},
        {"name": "lower_bounds", "field-id": 125, "type": ["null", {"type": "array", "logicalType": "map", "items":
            {"type": "record", "name": "k126_v127", "fields": [
                {"name": "key", "type": "int", "field-id": 126}, {"name": "value", "type": "bytes", "field-id": 127}]}}]},
        {"name": "upper_bounds", "field-id": 128, "type": ["null", {"type": "array", "logicalType": "map", "items":
            {"type": "record", "name": "k129_v130", "fields": [
                {"name": "key", "type": "int", "field-id": 129}, {"name": "value", "type": "bytes", "field-id": 130}]}}]},
        {"name": "equality_ids", "field-id": 135, "type": ["null", {"type": "array", "element-id": 136, "items": "int"}]},
        {"name": "sort_order_id", "type": ["null", "int"], "field-id": 140},
        {"name": "referenced_data_file", "type": ["null", "string"], "field-id": 143},
        {"name": "content_offset", "type": ["null", "long"], "field-id": 144},
        {"name": "content_size_in_bytes", "type": ["null", "long"], "field-id": 145}
    ]}}
]}"#;
