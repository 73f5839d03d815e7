//! What a data file holds and how it is laid out, read back with the `parquet` crate.

use arrow_array::{
    Array, RecordBatch,
    cast::AsArray,
    types::{Int64Type, TimestampMicrosecondType},
};
use bytes::Bytes;
use parquet::{
    arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
    basic::Compression,
    file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader},
};
use proptest::prelude::*;

use firn_types::{
    schema::{COLUMNS, Column, ColumnGroup, ColumnType},
    time::Micros,
};

use super::{noise, row};
use crate::{
    data_file::{
        CONTENT_PAGE_LEN_BYTES, DataFile, DataFileWriter, EncodeError, KEY_PAGE_ROW_COUNT,
        ROW_GROUP_ROW_COUNT, SMALL_PAGE_LEN_BYTES, WRITE_BATCH_ROW_COUNT, encode_data_file,
    },
    row::{Row, UnknownFields, Value, parse_row},
};

const INGEST_TS: Micros = Micros(1_795_000_000_123_456);

#[track_caller]
fn encode(rows: &[Row]) -> DataFile {
    encode_data_file(rows, INGEST_TS).unwrap()
}

#[track_caller]
fn metadata(file: &DataFile) -> ParquetMetaData {
    ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Required)
        .parse_and_finish(&Bytes::from(file.bytes.clone()))
        .unwrap()
}

#[track_caller]
fn batches(file: &DataFile) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file.bytes.clone())).unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
}

/// The versions in a stored data file, in its order.
#[track_caller]
pub(super) fn versions_of(bytes: &[u8]) -> Vec<u64> {
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(bytes)).unwrap().build().unwrap();
    let versions = |batch: RecordBatch| batch["version"].as_primitive::<Int64Type>().values().to_vec();
    reader.flat_map(|batch| versions(batch.unwrap())).map(|version| version.try_into().unwrap()).collect()
}

/// The value of a column in a row of a batch, as a row holds it.
fn value_at(batch: &RecordBatch, column: &Column, row_idx: usize) -> Option<Value> {
    let array = batch.column_by_name(column.name).unwrap();
    if array.is_null(row_idx) {
        return None;
    }
    Some(match column.column_type {
        ColumnType::String => Value::String(array.as_string::<i32>().value(row_idx).to_owned()),
        ColumnType::Int64 => Value::Int64(array.as_primitive::<Int64Type>().value(row_idx)),
        ColumnType::Bool => Value::Bool(array.as_boolean().value(row_idx)),
        ColumnType::Timestamp => {
            Value::Timestamp(Micros(array.as_primitive::<TimestampMicrosecondType>().value(row_idx)))
        }
        ColumnType::StringList { .. } => {
            let list = array.as_list::<i32>().value(row_idx);
            Value::StringList(list.as_string::<i32>().iter().map(|s| s.unwrap().to_owned()).collect())
        }
    })
}

#[track_caller]
fn check_round_trip(rows: &[Row]) {
    let file = encode(rows);
    let mut expected = rows.iter();
    for batch in batches(&file) {
        for row_idx in 0..batch.num_rows() {
            let row = expected.next().expect("no more rows than were pushed");
            for (column, value) in row.values() {
                assert_eq!(value_at(&batch, column, row_idx).as_ref(), value, "{}", column.name);
            }
            let sink = COLUMNS.last().unwrap();
            assert_eq!(value_at(&batch, sink, row_idx), Some(Value::Timestamp(INGEST_TS)));
        }
    }
    assert_eq!(expected.next(), None);
    assert_eq!(file.metrics.record_count, rows.len() as u64);
    assert_eq!(file.metrics.file_size_bytes, file.bytes.len() as u64);
}

fn any_row() -> impl Strategy<Value = Row> {
    let text = || proptest::option::of(any::<String>());
    let list = proptest::option::of(proptest::collection::vec(any::<String>(), 0..4));
    (any::<String>(), any::<i64>(), text(), text(), list, proptest::option::of(any::<bool>()), 0..4_000_i64).prop_map(
        |(id, version, html, metadata, exports, deleted, day)| {
            let json = serde_json::json!({
                "ns": "acme", "type": "page", "id": id, "version": version, "html": html, "metadata": metadata,
                "exports": exports, "deleted": deleted, "expires_at": day * 86_400_000_000,
            });
            parse_row(json.to_string().as_bytes(), UnknownFields::Violate).unwrap()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_rows_come_back_as_they_were(rows in proptest::collection::vec(any_row(), 1..40)) {
        check_round_trip(&rows);
    }

    #[test]
    fn bounds_hold_every_value(rows in proptest::collection::vec(any_row(), 1..20)) {
        let metrics = encode(&rows).metrics;
        for column in &metrics.columns {
            for row in &rows {
                let value = row.values().find(|(c, _)| c.field_id == column.field_id).and_then(|(_, v)| v);
                match value {
                    Some(Value::String(text)) => {
                        let (lower, upper) = (column.lower_bound.as_deref(), column.upper_bound.as_deref());
                        prop_assert!(lower.is_none_or(|b| b <= text.as_bytes()));
                        prop_assert!(upper.is_none_or(|b| b >= text.as_bytes()));
                    }
                    Some(Value::Int64(number)) => {
                        let bound = |b: &Option<Vec<u8>>| i64::from_le_bytes(b.clone().unwrap().try_into().unwrap());
                        prop_assert!((bound(&column.lower_bound)..=bound(&column.upper_bound)).contains(number));
                    }
                    _ => prop_assert_eq!(column.field_id, COLUMNS.last().unwrap().field_id),
                }
            }
        }
    }
}

#[test]
fn rows_of_every_kind_come_back_across_row_groups() {
    let fields = r#","visibility":"public","markdown":"短い""#;
    let mut rows: Vec<Row> = (0..ROW_GROUP_ROW_COUNT + 10)
        .map(|n| row(&format!("id-{n}"), 20_000 - i64::try_from(n).unwrap(), fields))
        .collect();
    rows.push(row("large", 1, &format!(r#","html":"{}""#, noise(1_800_000, 1))));
    rows.push(row("empty", 2, r#","html":"","dependencies":[],"exports":["",""]"#));
    check_round_trip(&rows);
    let file = encode(&rows);
    assert_eq!(metadata(&file).num_row_groups(), 2);
    // The highest version is in the first row group, the lowest in the second.
    let version = &file.metrics.columns[3];
    assert_eq!(version.lower_bound, Some(1_i64.to_le_bytes().to_vec()));
    assert_eq!(version.upper_bound, Some(20_000_i64.to_le_bytes().to_vec()));
    assert_eq!(version.value_count, i64::try_from(rows.len()).unwrap());
    assert_eq!(file.metrics.split_offsets.len(), 2);
}

#[test]
fn no_rows_are_no_file() {
    assert!(matches!(encode_data_file([], INGEST_TS), Err(EncodeError::Empty)));
}

#[test]
fn statistics_and_column_indexes_are_kept_of_key_columns_only() {
    let file = encode(&[row("b", 2, r#","html":"x","visibility":"public","size_bytes":1"#), row("a", 9, "")]);
    let metadata = metadata(&file);
    let group = metadata.row_group(0);
    assert_eq!(group.columns().len(), COLUMNS.len());
    for (chunk, column) in group.columns().iter().zip(COLUMNS) {
        assert_eq!(chunk.column_path().parts()[0], column.name);
        assert!(matches!(chunk.compression(), Compression::ZSTD(_)), "{}", column.name);
        assert_eq!(chunk.statistics().is_some_and(|s| s.min_bytes_opt().is_some()), column.has_statistics());
        assert!(chunk.offset_index_offset().is_some(), "{}", column.name);
        assert_eq!(chunk.column_index_offset().is_some(), column.has_statistics(), "{}", column.name);
        assert_eq!(chunk.bloom_filter_offset(), None);
        let may_have_dictionary = column.group < ColumnGroup::Content || column.group == ColumnGroup::Sink;
        assert!(chunk.dictionary_page_offset().is_none() || may_have_dictionary, "{}", column.name);
    }
    let declared: Vec<i32> = file.metrics.columns.iter().map(|c| c.field_id).collect();
    assert_eq!(declared, [1, 2, 3, 4, 36]);
    let id = &file.metrics.columns[2];
    assert_eq!((id.lower_bound.as_deref(), id.upper_bound.as_deref()), (Some(&b"a"[..]), Some(&b"b"[..])));
    let version = &file.metrics.columns[3];
    assert_eq!(version.lower_bound, Some(2_i64.to_le_bytes().to_vec()));
    assert_eq!(version.upper_bound, Some(9_i64.to_le_bytes().to_vec()));
    assert_eq!((version.value_count, version.null_count), (2, 0));
    assert_eq!(file.metrics.split_offsets, [4]);
}

#[test]
fn leaves_carry_their_field_ids() {
    let file = encode(&[row("a", 1, "")]);
    let metadata = metadata(&file);
    let schema = metadata.file_metadata().schema();
    for (field, column) in schema.get_fields().iter().zip(COLUMNS) {
        assert_eq!(field.get_basic_info().id(), column.field_id);
        if let ColumnType::StringList { element_id } = column.column_type {
            assert_eq!(field.get_fields()[0].get_fields()[0].get_basic_info().id(), element_id);
        }
    }
}

/// A point read of one row costs about one page for each column: no page holds more than its limit and one value.
#[test]
fn pages_are_small_and_large_values_end_theirs() {
    let value_len_bytes = |n: i64| if n % 400 == 399 { 300_000 } else { 3_400 };
    let rows: Vec<Row> = (0..2_000_i64)
        .map(|n| {
            let (id, hash, html) = (noise(40, n.unsigned_abs()), noise(64, 5), noise(value_len_bytes(n), 3));
            row(&id, n, &format!(r#","html":"{html}","hash":"{hash}""#))
        })
        .collect();
    let metadata = metadata(&encode(&rows));
    let mut page_count_of_html = 0;
    for (group_idx, group) in metadata.row_groups().iter().enumerate() {
        let index = metadata.page_index_for_row_group(group_idx);
        for (column_idx, column) in COLUMNS.iter().enumerate() {
            let offset_index = index.offset_index(column_idx).unwrap();
            let pages = offset_index.page_locations();
            let starts = pages.iter().map(|page| page.first_row_index).chain([group.num_rows()]);
            let row_counts: Vec<i64> = starts.clone().zip(starts.skip(1)).map(|(a, b)| b - a).collect();
            // Pages of columns that hold nothing but null may be twice as long, and are a few bytes.
            if column.required && column.group < ColumnGroup::Small {
                let limit = i64::try_from(KEY_PAGE_ROW_COUNT + WRITE_BATCH_ROW_COUNT).unwrap();
                assert!(row_counts.iter().all(|count| *count < limit), "{}: {row_counts:?}", column.name);
            }
            let Some(len_bytes) = offset_index.unencoded_byte_array_data_bytes() else { continue };
            let limit = match column.name {
                "html" => CONTENT_PAGE_LEN_BYTES + 3_400,
                "id" | "hash" => SMALL_PAGE_LEN_BYTES + 64,
                _ => continue,
            };
            for (page_len_bytes, row_count) in len_bytes.iter().zip(&row_counts) {
                let page_len_bytes = usize::try_from(*page_len_bytes).unwrap();
                let besides_large = page_len_bytes.checked_sub(300_000).unwrap_or(page_len_bytes);
                assert!(besides_large <= limit, "{}: {row_count} rows, {page_len_bytes} bytes", column.name);
            }
            page_count_of_html += usize::from(column.name == "html") * pages.len();
        }
    }
    // Nor are pages smaller than they need to be: three to six values of 3,400 bytes each.
    assert!((350..=600).contains(&page_count_of_html), "{page_count_of_html}");
}

/// What a lookup reads first is the last 16 KiB of a file.
#[test]
fn footer_and_page_index_of_a_full_file_fit_a_lookups_first_read() {
    let mut writer = DataFileWriter::new(INGEST_TS).unwrap();
    for n in 0_i64.. {
        let row = row(&noise(60, n.unsigned_abs()), n, &format!(r#","esm":"{}""#, noise(3_400, 3)));
        if !writer.has_room_for(&row) {
            break;
        }
        writer.push(&row).unwrap();
    }
    let file = writer.finish().unwrap();
    let metadata = metadata(&file);
    assert_eq!(metadata.num_row_groups(), 1);
    assert!(file.metrics.record_count > 2_000);
    let chunks_end = metadata.row_group(0).columns().iter().map(|chunk| {
        let (start, len_bytes) = chunk.byte_range();
        start + len_bytes
    });
    let rest_len_bytes = file.bytes.len() as u64 - chunks_end.max().unwrap();
    assert!(rest_len_bytes <= 16 * 1024, "{rest_len_bytes} bytes");
}
