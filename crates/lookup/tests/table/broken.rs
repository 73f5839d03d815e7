//! Broken objects of a table: a typed error or the right answer; never a panic, never without end.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use firn_iceberg::{metadata::TableMetadata, schema::PrimitiveType, value::Literal};
use firn_lookup::{
    file::error::LookupErrorKind,
    held::HoldNothing,
    table::{
        Outcome, TableLookup,
        location::LocationMap,
        query::{SnapshotChoice, TableQuery},
    },
};

use crate::{
    build::{
        Column, Row, Table,
        avro::Codec,
        parquet::{FileColumn, Ids, Index, Layout, write},
    },
    lake::{Failure, Lake, drive, fixtures, query, text},
};

const NAME: i32 = 1;
const VERSION: i32 = 2;
const CONTENT: i32 = 3;

/// A table with three versions of a key of which deletes leave the first, by all kinds of deletes of a version.
fn deleted_twice(format_version: u8) -> (Lake, Arc<TableMetadata>) {
    let column = |id, name: &str, ty| Column { id, name: name.to_owned(), ty, initial_default: None };
    let columns = vec![
        column(NAME, "name", PrimitiveType::String),
        column(VERSION, "version", PrimitiveType::Long),
        column(CONTENT, "content", PrimitiveType::String),
    ];
    let row = |version: i64| {
        Row::from([
            (NAME, text("a")),
            (VERSION, Literal::Long(version)),
            (CONTENT, text(&format!("of {version}"))),
        ])
    };
    let mut table = Table::new(format_version, columns, Vec::new());
    table.codec = Codec::Zstandard;
    for version in 1..=3 {
        table.append(&[row(version)]);
        table.commit();
    }
    if format_version == 2 {
        table.delete_positions(2, &BTreeSet::from([0]), false);
    } else {
        table.delete_by_vector(2, &BTreeSet::from([0]));
    }
    table.delete_equal(&[VERSION, NAME], &[row(2)], &Row::new());
    table.finish()
}

fn look_up(metadata: &Arc<TableMetadata>, lake: &Lake) -> Result<Outcome, Failure> {
    let query = TableQuery {
        metadata: Arc::clone(metadata),
        snapshot: SnapshotChoice::Current,
        key: vec![(NAME, text("a"))],
        version: Some(VERSION),
        columns: vec![NAME],
        target: vec![CONTENT],
        locations: LocationMap::default(),
    };
    drive(&mut TableLookup::new(query).unwrap(), lake, &mut HoldNothing).map(|(outcome, _)| outcome)
}

/// Every n-th place is broken: files repeat themselves, and each place costs a lookup.
const STRIDE: usize = 5;

/// Calls `check` with every object and what a lookup gives where it is `break_it(object)`.
fn break_each(
    lake: &mut Lake,
    metadata: &Arc<TableMetadata>,
    break_it: impl Fn(&Bytes) -> Vec<Bytes>,
    mut check: impl FnMut(&str, usize, Result<Outcome, Failure>),
) {
    let objects: Vec<(String, Bytes)> = lake
        .objects
        .iter()
        .filter(|(key, _)| !key.contains(".metadata."))
        .map(|(k, o)| (k.clone(), o.clone()))
        .collect();
    for (key, whole) in objects {
        for (nth, broken) in break_it(&whole).into_iter().enumerate() {
            lake.objects.insert(key.clone(), broken);
            check(&key, nth * STRIDE, look_up(metadata, lake));
        }
        lake.objects.insert(key, whole);
    }
}

fn truncations(whole: &Bytes) -> Vec<Bytes> {
    (0..whole.len()).step_by(STRIDE).map(|len| whole.slice(..len)).collect()
}

fn flips(whole: &Bytes) -> Vec<Bytes> {
    let flip = |idx: usize| {
        let mut broken = whole.to_vec();
        broken[idx] ^= 0x41;
        broken.into()
    };
    (0..whole.len()).step_by(STRIDE).map(flip).collect()
}

#[test]
fn deletes_leave_the_first_version() {
    for format_version in [2, 3] {
        let (lake, metadata) = deleted_twice(format_version);
        let Outcome::Found(row) = look_up(&metadata, &lake).unwrap() else { panic!("absent") };
        assert_eq!(row.version, Some(1));
        let has_vector = lake.objects.keys().any(|key| key.contains("vectors"));
        assert_eq!(has_vector, format_version == 3);
    }
}

#[test]
fn every_truncated_object_is_a_typed_error_or_was_not_needed() {
    for format_version in [2, 3] {
        let (mut lake, metadata) = deleted_twice(format_version);
        let right = look_up(&metadata, &lake).unwrap();
        break_each(&mut lake, &metadata, truncations, |key, len, result| match result {
            Ok(outcome) => {
                // A manifest list may end before its first block: a table without rows.
                let is_empty_list = key.ends_with("list.avro") && outcome == Outcome::Absent;
                // A deletion vector is read without the file's footer.
                assert!(outcome == right || is_empty_list, "{key} cut to {len}: {outcome:?}");
            }
            Err(Failure::Table(error)) => {
                assert_eq!(error.kind(), Some(LookupErrorKind::Corrupt), "{key} cut to {len}: {error}");
            }
            Err(Failure::Missing(object)) => panic!("{key} cut to {len}: {object}"),
        });
    }
}

#[test]
fn no_corrupt_byte_is_a_panic() {
    for format_version in [2, 3] {
        let (mut lake, metadata) = deleted_twice(format_version);
        break_each(&mut lake, &metadata, flips, |key, idx, result| {
            if let Err(Failure::Table(error)) = result {
                assert!(error.kind().is_some(), "{key} at {idx}: {error}");
            }
        });
    }
}

/// PyIceberg leaves most of an Adler-32 behind every block of a manifest, so what is not in a header is covered.
#[test]
fn corrupt_byte_of_a_manifest_is_a_typed_error_or_changes_nothing() {
    let mut lake = Lake::load(&fixtures(), "pyiceberg-identity");
    let metadata = &lake.objects["pyiceberg-identity/metadata.json"];
    let metadata = Arc::new(TableMetadata::parse(metadata).unwrap());
    let key = [("ns", text("beta.dev")), ("type", text("post")), ("id", text("guide/0003"))];
    let ask = |lake: &Lake| {
        let query = query(&metadata, &key, Some("version"), &["visibility"], &["markdown"]);
        drive(&mut TableLookup::new(query).unwrap(), lake, &mut HoldNothing).map(|(outcome, _)| outcome)
    };
    let right = ask(&lake).unwrap();
    let avro: Vec<String> = lake.objects.keys().filter(|key| key.contains("/metadata/")).cloned().collect();
    for key in avro {
        let whole = lake.objects[&key].clone();
        for (idx, broken) in flips(&whole).into_iter().enumerate().step_by(2) {
            lake.objects.insert(key.clone(), broken);
            match ask(&lake) {
                Ok(outcome) => assert_eq!(outcome, right, "{key} at {idx}"),
                Err(Failure::Table(error)) => assert!(error.kind().is_some(), "{key} at {idx}: {error}"),
                Err(Failure::Missing(_)) => {}
            }
        }
        lake.objects.insert(key, whole);
    }
}

/// A file that does not say what its columns are must not pass for one that lacks them.
#[test]
fn file_without_field_ids_and_without_mapping_is_unsupported_and_a_delete_file_corrupt() {
    for (format_version, is_delete) in [(2, false), (2, true), (3, true)] {
        let (mut lake, metadata) = deleted_twice(format_version);
        let kind = if is_delete { "equal" } else { "rows" };
        let key = lake.objects.keys().find(|key| key.contains(kind)).unwrap().clone();
        let names = if is_delete { ["version", "name"] } else { ["name", "version"] };
        let value = |name: &str| match name {
            "name" => (PrimitiveType::String, Some(text("a"))),
            _ => (PrimitiveType::Long, Some(Literal::Long(2))),
        };
        let columns = names.map(|name| {
            let (ty, value) = value(name);
            FileColumn { field_id: 0, name: name.to_owned(), ty, values: vec![value] }
        });
        let layout = Layout { page_row_count: 1, group_row_count: 1, index: Index::None, ids: Ids::LeftOut };
        lake.objects.insert(key, write(&columns, layout));
        let Err(Failure::Table(error)) = look_up(&metadata, &lake) else { panic!("{kind} was read") };
        let expected = if is_delete { LookupErrorKind::Corrupt } else { LookupErrorKind::Unsupported };
        assert_eq!(error.kind(), Some(expected), "{error}");
    }
}

/// PyIceberg's key columns are required: where one is not in the file, its id was broken.
#[test]
fn data_file_without_a_required_key_column_is_corrupt() {
    let mut lake = Lake::load(&fixtures(), "pyiceberg-default");
    let metadata = &lake.objects["pyiceberg-default/metadata.json"];
    let metadata = Arc::new(TableMetadata::parse(metadata).unwrap());
    let id = metadata.current_schema().column_named("ns").unwrap().id;
    let column = |field_id, name: &str| FileColumn {
        field_id,
        name: name.to_owned(),
        ty: PrimitiveType::String,
        values: vec![Some(text("a"))],
    };
    let layout = Layout { page_row_count: 1, group_row_count: 1, index: Index::None, ids: Ids::Written };
    let files: Vec<String> = lake.objects.keys().filter(|key| key.contains("/data/")).cloned().collect();
    for key in files {
        let columns = [column(id + 64, "ns"), column(id + 1, "type"), column(id + 2, "id")];
        lake.objects.insert(key, write(&columns, layout));
    }
    let key = [("ns", text("beta.dev")), ("type", text("post")), ("id", text("guide/0003"))];
    let query = query(&metadata, &key, Some("version"), &[], &["markdown"]);
    let result = drive(&mut TableLookup::new(query).unwrap(), &lake, &mut HoldNothing);
    let Err(Failure::Table(error)) = result else { panic!("was read") };
    assert_eq!(error.kind(), Some(LookupErrorKind::Corrupt), "{error}");
}
