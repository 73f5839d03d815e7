//! Lookups in tables that PyIceberg wrote: every key, row for row, and what it costs.

use std::{collections::BTreeMap, fs, sync::Arc};

use crate::lake::{HoldAll, Lake, drive, fixtures, query, text, text_value};
use firn_iceberg::{
    metadata::TableMetadata,
    value::{Literal, Value},
};
use firn_lookup::{
    held::{Held, HoldNothing},
    need::Role,
    table::{Outcome, TableLookup},
};
use serde_json::Value as Json;

const TABLES: [&str; 3] = ["pyiceberg-default", "pyiceberg-identity", "pyiceberg-bucket"];

const COLUMNS: [&str; 3] = ["visibility", "deleted", "ts"];

const TARGET: [&str; 2] = ["markdown", "dependencies"];

fn load(name: &str) -> (Lake, Arc<TableMetadata>, Vec<Json>) {
    let lake = Lake::load(&fixtures(), name);
    let metadata = TableMetadata::parse(&lake.objects[&format!("{name}/metadata.json")]).unwrap();
    let rows = fs::read(fixtures().join("pyiceberg-rows.json")).unwrap();
    (lake, Arc::new(metadata), serde_json::from_slice(&rows).unwrap())
}

type Key = (String, String, String);

/// The last row of the highest version of every key: batches were written in the order of the file.
fn winners(rows: &[Json]) -> BTreeMap<Key, &Json> {
    let mut winners: BTreeMap<Key, &Json> = BTreeMap::new();
    for row in rows {
        let part = |name: &str| row[name].as_str().unwrap().to_owned();
        let key = (part("ns"), part("type"), part("id"));
        let is_lower =
            winners.get(&key).is_some_and(|best| row["version"].as_i64() < best["version"].as_i64());
        if !is_lower {
            winners.insert(key, row);
        }
    }
    winners
}

fn value_of(name: &str, json: &Json) -> Option<Value> {
    Some(match (name, json) {
        (_, Json::Null) => return None,
        ("ts", json) => Value::Primitive(Literal::Timestamptz(json.as_i64().unwrap())),
        (_, Json::Bool(b)) => Value::Primitive(Literal::Boolean(*b)),
        (_, Json::String(s)) => Value::Primitive(text(s)),
        (_, Json::Array(items)) => {
            Value::List(items.iter().map(|item| Some(text_value(item.as_str().unwrap()))).collect())
        }
        (_, other) => panic!("{other}"),
    })
}

#[test]
fn manifests_tell_how_long_the_ends_of_files_are() {
    for name in TABLES {
        let (lake, metadata, _) = load(name);
        let mut held = HoldAll::default();
        let query = query(&metadata, &[], None, &COLUMNS, &TARGET);
        drive(&mut TableLookup::new(query).unwrap(), &lake, &mut held).unwrap();
        let manifests = held.0.values().filter_map(|held| match held {
            Held::Manifest(manifest) => Some(manifest),
            _ => None,
        });
        let files: Vec<_> = manifests.flat_map(|manifest| manifest.live()).collect();
        assert!(files.len() >= 3, "{name}");
        for entry in files {
            let key = entry.file.location.strip_prefix("s3://lake/").unwrap();
            let bytes = &lake.objects[key];
            // These files have no page index: behind the columns stand metadata, its length and the magic.
            let end = bytes.len() - 8;
            let footer_len = u32::from_le_bytes(bytes[end..end + 4].try_into().unwrap());
            assert_eq!(entry.file.stated_end_len_bytes(9), Some(u64::from(footer_len) + 8), "{key}");
            assert_eq!(entry.file.stated_end_len_bytes(10), None, "{key}");
        }
    }
}

#[test]
fn every_key_gives_its_winning_row() {
    for name in TABLES {
        let (lake, metadata, rows) = load(name);
        let mut held = HoldAll::default();
        let winners = winners(&rows);
        assert_eq!(winners.len(), 161, "{name}");
        for ((ns, kind, id), expected) in winners {
            let key = [("ns", text(&ns)), ("type", text(&kind)), ("id", text(&id))];
            for is_held in [false, true] {
                let query = query(&metadata, &key, Some("version"), &COLUMNS, &TARGET);
                let mut lookup = TableLookup::new(query).unwrap();
                let found = if is_held {
                    drive(&mut lookup, &lake, &mut held)
                } else {
                    drive(&mut lookup, &lake, &mut HoldNothing)
                };
                let (outcome, _) = found.unwrap();
                let Outcome::Found(row) = outcome else { panic!("{name}: {ns} {kind} {id} is absent") };
                assert_eq!(row.version, expected["version"].as_i64(), "{name}: {ns} {kind} {id}");
                let expect =
                    |names: &[&str]| -> Vec<_> { names.iter().map(|n| value_of(n, &expected[n])).collect() };
                assert_eq!(row.columns, expect(&COLUMNS), "{name}: {ns} {kind} {id}");
                assert_eq!(row.target, expect(&TARGET), "{name}: {ns} {kind} {id}");
            }
        }
    }
}

#[test]
fn key_that_no_row_has_is_absent() {
    for name in TABLES {
        let (lake, metadata, _) = load(name);
        for (ns, kind, id) in [
            ("alpha.dev", "page", "guide/0040"),
            ("alpha.dev", "page", ""),
            ("alpha.dev", "pages", "guide/0001"),
            ("gamma.dev", "page", "guide/0001"),
        ] {
            let key = [("ns", text(ns)), ("type", text(kind)), ("id", text(id))];
            let mut lookup =
                TableLookup::new(query(&metadata, &key, Some("version"), &COLUMNS, &TARGET)).unwrap();
            let (outcome, _) = drive(&mut lookup, &lake, &mut HoldNothing).unwrap();
            assert_eq!(outcome, Outcome::Absent, "{name}: {ns} {kind} {id}");
        }
    }
}

#[test]
fn pruned_table_is_read_in_as_few_requests_as_survive() {
    let (lake, metadata, _) = load("pyiceberg-identity");
    let key = [("ns", text("beta.dev")), ("type", text("page")), ("id", text("guide/0007"))];
    let new = || TableLookup::new(query(&metadata, &key, Some("version"), &COLUMNS, &TARGET)).unwrap();
    let mut held = HoldAll::default();
    let (_, cold) = drive(&mut new(), &lake, &mut held).unwrap();
    // Of three manifests one survives, of its four files one, which is small enough to be read whole.
    assert_eq!(cold.waves[0], [Role::ManifestList]);
    assert_eq!(cold.waves[1], [Role::Manifest]);
    assert_eq!(cold.waves[2], [Role::Footer]);
    assert!(cold.waves.len() <= 4, "{cold:?}");
    let (_, warm) = drive(&mut new(), &lake, &mut held).unwrap();
    assert!(warm.waves.len() <= 2 && warm.len_bytes < cold.len_bytes / 2, "{warm:?}");
}
