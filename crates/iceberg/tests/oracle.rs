//! The same manifests, read by apache-avro into values: every field that is kept is the one that stands there.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test opens files, and what fails it may panic"
)]
#![expect(unreachable_pub, dead_code, reason = "a test uses a part of its support")]

mod support;

use apache_avro::{Reader, types::Value};
use firn_iceberg::{
    data_file::FileContent,
    manifest::{Manifest, StatsOf, Status},
    manifest_list::ManifestList,
    metadata::TableMetadata,
};
use support::{fixture, metadata};

fn field<'a>(record: &'a Value, name: &str) -> &'a Value {
    let Value::Record(fields) = bare(record) else { panic!("{record:?} is no record") };
    bare(&fields.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no {name}")).1)
}

fn bare(value: &Value) -> &Value {
    match value {
        Value::Union(_, inner) => bare(inner),
        other => other,
    }
}

fn long(value: &Value) -> i64 {
    match value {
        Value::Int(v) => (*v).into(),
        Value::Long(v) => *v,
        other => panic!("{other:?}"),
    }
}

fn text(value: &Value) -> &str {
    match value {
        Value::String(s) => s,
        other => panic!("{other:?}"),
    }
}

fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Bytes(b) => Some(b),
        Value::Null => None,
        other => panic!("{other:?}"),
    }
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        Value::Null => &[],
        other => panic!("{other:?}"),
    }
}

/// The value of a field id in one of the maps of a file.
fn of_field<'a>(file: &'a Value, map: &str, field_id: i32) -> Option<&'a Value> {
    let pairs = items(field(file, map));
    pairs.iter().find(|pair| long(field(pair, "key")) == i64::from(field_id)).map(|pair| field(pair, "value"))
}

#[test]
fn both_readers_see_the_same_manifest_lists() {
    for table in ["pyiceberg-default", "pyiceberg-identity", "pyiceberg-bucket"] {
        let raw = &fixture(table, "list")[0];
        let list = ManifestList::parse(raw).unwrap();
        let values: Vec<Value> = Reader::new(raw.as_slice()).unwrap().map(Result::unwrap).collect();
        assert_eq!(list.manifests.len(), values.len());
        for (manifest, value) in list.manifests.iter().zip(&values) {
            assert_eq!(manifest.location, text(field(value, "manifest_path")));
            assert_eq!(manifest.stated_len_bytes.cast_signed(), long(field(value, "manifest_length")));
            assert_eq!(i64::from(manifest.partition_spec_id), long(field(value, "partition_spec_id")));
            assert_eq!(manifest.sequence_number, long(field(value, "sequence_number")));
            assert_eq!(manifest.min_sequence_number, long(field(value, "min_sequence_number")));
            assert_eq!(manifest.added_snapshot_id, Some(long(field(value, "added_snapshot_id"))));
            let live = long(field(value, "added_files_count")) + long(field(value, "existing_files_count"));
            assert_eq!(manifest.live_file_count.unwrap().cast_signed(), live);
            let summaries = items(field(value, "partitions"));
            assert_eq!(manifest.partitions.len(), summaries.len());
            for (summary, value) in manifest.partitions.iter().zip(summaries) {
                assert_eq!(Value::Boolean(summary.contains_null), *field(value, "contains_null"));
                assert_eq!(summary.lower_bound.as_deref(), bytes(field(value, "lower_bound")));
                assert_eq!(summary.upper_bound.as_deref(), bytes(field(value, "upper_bound")));
            }
        }
    }
}

#[test]
fn both_readers_see_the_same_manifests() {
    let mut file_count = 0;
    for table in ["pyiceberg-default", "pyiceberg-identity", "pyiceberg-bucket"] {
        let metadata = TableMetadata::parse(&metadata(table)).unwrap();
        let list = ManifestList::parse(&fixture(table, "list")[0]).unwrap();
        for raw in fixture(table, "manifest") {
            let of = &list.manifests[0];
            let spec = metadata.partition_spec(0).unwrap();
            let manifest = Manifest::parse(&raw, of, spec, StatsOf::All).unwrap();
            let values: Vec<Value> = Reader::new(raw.as_slice()).unwrap().map(Result::unwrap).collect();
            assert_eq!(manifest.entries.len(), values.len());
            for (entry, value) in manifest.entries.iter().zip(&values) {
                file_count += 1;
                assert_eq!((entry.status, long(field(value, "status"))), (Status::Added, 1));
                assert_eq!(entry.snapshot_id, Some(long(field(value, "snapshot_id"))));
                let (file, value) = (&entry.file, field(value, "data_file"));
                assert_eq!((file.content, long(field(value, "content"))), (FileContent::Data, 0));
                assert_eq!(file.location, text(field(value, "file_path")));
                assert_eq!(file.record_count.cast_signed(), long(field(value, "record_count")));
                assert_eq!(file.stated_len_bytes.cast_signed(), long(field(value, "file_size_in_bytes")));
                let sizes = items(field(value, "column_sizes"));
                let sum: i64 = sizes.iter().map(|pair| long(field(pair, "value"))).sum();
                assert_eq!(file.stated_column_count, sizes.len());
                assert_eq!(file.stated_columns_len_bytes.cast_signed(), sum);
                assert!(sum > 0 && file.stats.len() > 3);
                for stats in &file.stats {
                    let count = |map| of_field(value, map, stats.field_id).map(long);
                    let bound = |map| of_field(value, map, stats.field_id).and_then(bytes);
                    assert_eq!(stats.value_count, count("value_counts"));
                    assert_eq!(stats.null_count, count("null_value_counts"));
                    assert_eq!(stats.nan_count, count("nan_value_counts"));
                    assert_eq!(stats.lower_bound.as_deref(), bound("lower_bounds"));
                    assert_eq!(stats.upper_bound.as_deref(), bound("upper_bounds"));
                }
            }
        }
    }
    assert!(file_count > 10, "{file_count}");
}
