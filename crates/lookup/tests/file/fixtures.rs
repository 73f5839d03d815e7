//! Files by `PyArrow` (`scripts/make-parquet-fixtures`): every type and encoding, and lookups by a key of each type.

use std::path::PathBuf;

use bytes::Bytes;
use firn_iceberg::{
    schema::{NestedField, PrimitiveType, Type},
    value::{Literal, Value},
};
use firn_lookup::{
    file::{
        ColumnRef, FileRequest, FoundRow, KeyEquals, RowSelection, WantedColumn, When, error::Cause,
        scan::ScanRequest,
    },
    need::Role,
};
use firn_types::object::ObjectKey;
use parquet::{basic::Encoding, file::metadata::RowGroupMetaData};

use crate::{
    canonical,
    conversation::{footer, look_up, scan},
    derive::derive,
};

const FILES: [&str; 6] = ["types-v1", "types-v2", "types-plain", "nested-v1", "nested-v2", "names-only"];

struct Fixture {
    object: Bytes,
    request: ScanRequest,
}

impl Fixture {
    #[expect(clippy::disallowed_methods, reason = "tests open files")]
    fn load(name: &str) -> (Self, String) {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parquet");
        let object: Bytes = std::fs::read(folder.join(format!("{name}.parquet"))).unwrap().into();
        let expected = std::fs::read_to_string(folder.join(format!("{name}.jsonl"))).unwrap();
        let empty = ScanRequest {
            object: ObjectKey::new(name),
            stated_len_bytes: object.len() as u64,
            columns: Vec::new(),
            names: None,
            role: Role::Deletes,
        };
        let footer = footer(&object, empty.clone()).unwrap();
        let (columns, names) = derive(footer.metadata().file_metadata().schema());
        (Self { object, request: ScanRequest { columns, names, ..empty } }, expected)
    }

    fn rows(&self) -> Vec<FoundRow> {
        scan(&self.object, self.request.clone()).unwrap()
    }

    fn look_up(&self, key: Vec<KeyEquals>, rows: RowSelection, stated_len_bytes: u64) -> Vec<FoundRow> {
        let columns =
            self.request.columns.iter().cloned().zip([When::WithKey, When::Target].into_iter().cycle());
        let request = FileRequest {
            object: self.request.object.clone(),
            stated_len_bytes,
            key,
            columns: columns.map(|(column, when)| WantedColumn { column, when }).collect(),
            rows,
            names: self.request.names.clone(),
        };
        look_up(&self.object, request, None).unwrap().0
    }
}

#[test]
fn fixtures_hold_what_they_are_made_for() {
    for (name, encodings, has_index) in [
        ("types-v1", &[Encoding::RLE_DICTIONARY, Encoding::PLAIN][..], true),
        (
            "types-v2",
            &[
                Encoding::DELTA_BINARY_PACKED,
                Encoding::BYTE_STREAM_SPLIT,
                Encoding::DELTA_BYTE_ARRAY,
                Encoding::DELTA_LENGTH_BYTE_ARRAY,
                Encoding::RLE,
            ],
            false,
        ),
        ("types-plain", &[Encoding::PLAIN], true),
        ("nested-v1", &[Encoding::RLE_DICTIONARY], false),
        ("nested-v2", &[Encoding::RLE_DICTIONARY], true),
    ] {
        let (fixture, _) = Fixture::load(name);
        let footer = footer(&fixture.object, fixture.request.clone()).unwrap();
        assert_eq!(footer.metadata().num_row_groups(), 2, "{name}");
        let chunks: Vec<_> =
            footer.metadata().row_groups().iter().flat_map(RowGroupMetaData::columns).collect();
        for encoding in encodings {
            assert!(chunks.iter().any(|chunk| chunk.encodings_mask().is_set(*encoding)), "{name} {encoding}");
        }
        assert!(chunks.iter().all(|chunk| chunk.offset_index_offset().is_some() == has_index), "{name}");
    }
}

#[test]
fn scan_gives_the_rows_that_pyarrow_reads() {
    for name in FILES {
        let (fixture, expected) = Fixture::load(name);
        let rows = fixture.rows();
        for (row, expected) in rows.iter().zip(expected.lines()) {
            assert_eq!(canonical::row(&row.values), expected, "{name}, row {}", row.position);
        }
        assert_eq!(rows.len(), expected.lines().count());
    }
}

#[test]
fn row_at_a_position_is_the_row_of_the_scan() {
    for name in FILES {
        let (fixture, _) = Fixture::load(name);
        for row in fixture.rows() {
            // NaN is not equal to itself: compared as text.
            let found = fixture.look_up(Vec::new(), RowSelection::At(row.position), u64::MAX);
            let text = |rows: &[FoundRow]| rows.iter().map(|r| canonical::row(&r.values)).collect::<Vec<_>>();
            assert_eq!(text(&found), text(&[row]), "{name}");
        }
    }
}

#[test]
fn key_of_any_type_finds_the_rows_that_have_it() {
    for name in FILES {
        let (fixture, _) = Fixture::load(name);
        let rows = fixture.rows();
        for (idx, column) in fixture.request.columns.iter().enumerate() {
            if column.ty.as_primitive().is_none() {
                continue;
            }
            let literal = |row: &FoundRow| row.values[idx].as_ref().and_then(Value::as_literal).cloned();
            for key in rows.iter().filter_map(literal) {
                let is_same = |row: &&FoundRow| literal(row).is_some_and(|literal| literal.is_same(&key));
                let expected: Vec<u64> = rows.iter().filter(is_same).map(|row| row.position).collect();
                let equals = vec![KeyEquals { column: column.clone(), value: key.clone().into() }];
                for stated in [0, u64::MAX] {
                    let found = fixture.look_up(equals.clone(), RowSelection::AllMatching, stated);
                    let positions: Vec<u64> = found.iter().map(|row| row.position).collect();
                    assert_eq!(positions, expected, "{name}, column {idx}, {key:?}");
                }
            }
        }
    }
}

#[test]
fn older_types_of_a_column_are_promoted() {
    use PrimitiveType as P;
    let (fixture, _) = Fixture::load("types-v1");
    let before = fixture.rows();
    let promotions =
        [(2, P::Long), (4, P::Double), (6, P::Decimal { precision: 20, scale: 2 }), (9, P::Timestamp)];
    for (field_id, ty) in promotions {
        let idx = field_id as usize - 1;
        let column = ColumnRef { field_id, ty: Type::Primitive(ty), initial_default: None };
        let request = ScanRequest { columns: vec![column.clone()], ..fixture.request.clone() };
        for (before, after) in before.iter().zip(scan(&fixture.object, request).unwrap()) {
            let promoted =
                |value: &Value| value.as_literal().cloned().and_then(|literal| literal.promote(ty));
            let promoted = before.values[idx].as_ref().and_then(promoted).map(Value::Primitive);
            // Compared as text: NaN is not equal to itself.
            assert_eq!(format!("{promoted:?}"), format!("{:?}", after.values[0]));
            // The bounds of the file are of the older type.
            if let Some(value) = promoted.filter(|value| !value.as_literal().is_some_and(Literal::is_nan)) {
                let equals = vec![KeyEquals { column: column.clone(), value }];
                let found = fixture.look_up(equals, RowSelection::AllMatching, u64::MAX);
                assert!(found.iter().any(|row| row.position == before.position));
            }
        }
    }
}

/// A struct of which the file has no wanted field is still null where it is null, also where its only leaf columns
/// repeat inside it.
#[test]
fn struct_without_its_fields_keeps_its_nulls() {
    for name in ["nested-v1", "nested-v2"] {
        let (fixture, _) = Fixture::load(name);
        let ty = Type::Primitive(PrimitiveType::String);
        let added = NestedField { id: 99, name: "added".into(), required: false, ty, initial_default: None };
        for (idx, field_id) in [(2, 3), (6, 7)] {
            let column = ColumnRef { field_id, ty: Type::Struct(vec![added.clone()]), initial_default: None };
            let request = ScanRequest { columns: vec![column], ..fixture.request.clone() };
            for (whole, alone) in fixture.rows().iter().zip(scan(&fixture.object, request).unwrap()) {
                let expected = whole.values[idx].is_some().then(|| Value::Struct(vec![None]));
                assert_eq!(alone.values, [expected], "{name}, field {field_id}, row {}", alone.position);
            }
        }
    }
}

#[test]
fn page_with_a_wrong_checksum_is_corrupt() {
    let (fixture, _) = Fixture::load("types-v1");
    let chunk = |footer: &firn_lookup::file::footer::FileFooter| {
        let chunk = footer.metadata().row_group(0).column(1);
        (chunk.data_page_offset() + chunk.compressed_size() - 100) as usize
    };
    let at = chunk(&footer(&fixture.object, fixture.request.clone()).unwrap());
    let mut wrong = 0;
    for position in at..at + 60 {
        let mut changed = fixture.object.to_vec();
        changed[position] ^= 4;
        let outcome = scan(&changed.into(), fixture.request.clone());
        wrong += u32::from(outcome.is_err_and(|error| matches!(error.cause, Cause::Checksum { .. })));
    }
    assert!(wrong > 10, "{wrong} of 60");
}
