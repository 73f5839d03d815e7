//! Tables that Spark, Athena and Java wrote (`FIRN_CORPORA`): the rows that PyIceberg reads of every state of each.

use std::{path::PathBuf, sync::Arc};

use firn_iceberg::{
    metadata::TableMetadata,
    value::{Literal, Value},
};
use firn_lookup::{
    held::HoldNothing,
    table::{
        Outcome, TableLookup,
        location::LocationMap,
        query::{SnapshotChoice, TableQuery},
    },
};
use sha2::{Digest, Sha256};

use crate::lake::{HoldAll, Lake, drive, scan};

/// Metadata file, count of rows, and the first bytes of the SHA-256 of the sorted rows, as PyIceberg 0.12 reads them.
const TABLES: [(&str, usize, &str); 14] = [
    ("athena/example/metadata/00000-eedf51e6-8c09-463b-8850-844ee6ec1de0", 0, "e3b0c44298fc1c14"),
    ("athena/example/metadata/00001-aaf0d033-d06b-43c7-be60-67f83abd4aca", 2, "27e02113d4cd7b78"),
    ("java/bunnies/metadata/v1", 0, "e3b0c44298fc1c14"),
    ("java/bunnies/metadata/v2", 21, "f26a0287259eb517"),
    ("java/bunnies/metadata/v3", 21, "d9a4de493e398847"),
    ("java/bunnies/metadata/v4", 15, "f2b850a208b75930"),
    ("spark/bunnies/metadata/v1", 21, "f26a0287259eb517"),
    ("spark/bunnies/metadata/v2", 21, "f26a0287259eb517"),
    ("spark/bunnies/metadata/v3", 20, "e8b526a2b856151d"),
    ("spark/bunnies/metadata/v4", 20, "41d5e66644935584"),
    ("spark/bunnies/metadata/v5", 20, "c00bcfe6bc734bb0"),
    ("spark/rename_column/metadata/v1", 0, "e3b0c44298fc1c14"),
    ("spark/rename_column/metadata/v2", 4, "5ea3dd825caabcae"),
    ("spark/rename_column/metadata/v3", 4, "0842b387e4868c9b"),
];

/// The tables, keyed by their path behind the bucket.
fn load() -> Option<Lake> {
    let Some(folder) =
        std::env::var("FIRN_CORPORA").ok().filter(|folder| !folder.is_empty()).map(PathBuf::from)
    else {
        eprintln!("skipped: FIRN_CORPORA is not set");
        return None;
    };
    Some(Lake::load(&folder.join("iceberg-tables/hyperparam-iceberg"), ""))
}

fn metadata_of(lake: &Lake, name: &str) -> Arc<TableMetadata> {
    Arc::new(TableMetadata::parse(&lake.objects[&format!("{name}.metadata.json")]).unwrap())
}

/// A query of every column.
fn everything(metadata: &Arc<TableMetadata>) -> TableQuery {
    TableQuery {
        metadata: Arc::clone(metadata),
        snapshot: SnapshotChoice::Current,
        key: Vec::new(),
        version: None,
        columns: metadata.current_schema().fields.iter().map(|f| f.id).collect(),
        target: Vec::new(),
        locations: LocationMap::default(),
    }
}

fn render(value: Option<&Value>) -> String {
    let Some(literal) = value.map(|v| v.as_literal().unwrap()) else { return "null".into() };
    match literal {
        Literal::Boolean(b) => b.to_string(),
        Literal::Int(v) => v.to_string(),
        Literal::Long(v) => v.to_string(),
        Literal::Double(v) => format!("{v:?}"),
        Literal::Decimal { unscaled, .. } => format!("{}.{:02}", unscaled / 100, unscaled % 100),
        // All days are in this January.
        Literal::Date(days) => format!("2022-01-{:02}", days - 18_992),
        Literal::String(s) => s.clone(),
        other => panic!("{other:?}"),
    }
}

fn rows_of(lake: &Lake, metadata: &Arc<TableMetadata>) -> Vec<String> {
    let names: Vec<&str> = metadata.current_schema().fields.iter().map(|f| f.name.as_str()).collect();
    let rows = scan(everything(metadata), lake, &mut HoldNothing).unwrap();
    let line = |values: Vec<Option<Value>>| {
        let fields =
            names.iter().zip(&values).map(|(name, value)| format!("{name}={}", render(value.as_ref())));
        fields.collect::<Vec<_>>().join("|")
    };
    let mut lines: Vec<String> = rows.into_iter().map(|row| line(row.values)).collect();
    lines.sort();
    lines
}

#[test]
fn every_state_of_the_test_tables_has_the_rows_of_pyiceberg() {
    let Some(lake) = load() else { return };
    for (name, count, digest) in TABLES {
        let lines = rows_of(&lake, &metadata_of(&lake, name));
        assert_eq!(lines.len(), count, "{name}");
        let hash = Sha256::digest(lines.join("\n"));
        let found = format!("{:016x}", u64::from_be_bytes(*hash.first_chunk().unwrap()));
        assert_eq!(found, digest, "{name}: {lines:#?}");
    }
}

/// The last snapshot deleted the New Zealand by value and wrote it again.
#[test]
fn equality_deletes_by_java_spare_the_rows_that_replace_the_deleted() {
    let Some(lake) = load() else { return };
    let before = rows_of(&lake, &metadata_of(&lake, "java/bunnies/metadata/v4"));
    let after = rows_of(&lake, &metadata_of(&lake, "java/bunnies/metadata/v5"));
    let changed = |line: &&String| line.starts_with("Breed Name=New Zealand|");
    let others =
        |lines: &[String]| -> Vec<String> { lines.iter().filter(|l| !changed(l)).cloned().collect() };
    assert_eq!(others(&after), others(&before));
    let of = |lines: &[String]| lines.iter().find(changed).unwrap().split_once("Rank=").unwrap().1.to_owned();
    assert_eq!((of(&before), of(&after)), ("21|__happy__=null".to_owned(), "0|__happy__=true".to_owned()));
}

#[test]
fn every_row_is_found_by_its_name() {
    let Some(lake) = load() else { return };
    for (table, column) in [
        ("spark/bunnies/metadata/v5", "Breed Name"),
        ("java/bunnies/metadata/v5", "Breed Name"),
        ("spark/rename_column/metadata/v3", "id"),
    ] {
        let metadata = metadata_of(&lake, table);
        let field = metadata.current_schema().column_named(column).unwrap().id;
        let mut held = HoldAll::default();
        for row in scan(everything(&metadata), &lake, &mut held).unwrap() {
            let place = metadata.current_schema().fields.iter().position(|f| f.id == field).unwrap();
            let Some(Value::Primitive(key)) = &row.values[place] else { panic!("{row:?}") };
            let query = TableQuery { key: vec![(field, key.clone())], ..everything(&metadata) };
            let (outcome, _) = drive(&mut TableLookup::new(query).unwrap(), &lake, &mut held).unwrap();
            let Outcome::Found(found) = outcome else { panic!("{table}: {key:?} is absent") };
            assert_eq!((found.columns, found.location), (row.values, row.location), "{table}");
        }
    }
}
