//! Rows of the fixtures, as `scan` and `get` print them.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::support::{fixture, lines, map, metadata_of, run};

const TABLES: [&str; 3] = ["every-primitive", "version-3", "evolved"];

fn column_types(table: &str) -> BTreeSet<String> {
    let metadata: Json = serde_json::from_slice(&metadata_of(table).1).unwrap();
    let schemas = metadata["schemas"].as_array().unwrap().iter();
    let fields = schemas.flat_map(|schema| schema["fields"].as_array().unwrap());
    fields
        .filter_map(|field| field["type"].as_str())
        .map(|ty| ty.split(['(', '[']).next().unwrap().to_owned())
        .collect()
}

#[test]
fn fixtures_have_every_primitive_type() {
    let types = &column_types("every-primitive") | &column_types("version-3");
    for ty in [
        "boolean",
        "int",
        "long",
        "float",
        "double",
        "decimal",
        "date",
        "time",
        "timestamp",
        "timestamptz",
        "timestamp_ns",
        "timestamptz_ns",
        "string",
        "uuid",
        "fixed",
        "binary",
        "unknown",
    ] {
        assert!(types.contains(ty), "{ty}: {types:?}");
    }
}

#[test]
fn scan_prints_every_live_row() {
    for table in TABLES {
        let said = run(&["scan", "--table", &fixture(table), "--map", &map()]);
        assert_eq!((said.status, said.err.as_str()), (0, ""), "{table}");
        assert_eq!(said.sorted(), lines(&format!("{table}/rows.jsonl")), "{table}");
    }
}

#[test]
fn snapshot_is_read_with_the_schema_of_its_time() {
    let metadata: Json = serde_json::from_slice(&metadata_of("evolved").1).unwrap();
    let id = metadata["snapshots"][0]["snapshot-id"].to_string();
    let said = run(&["scan", "--table", &fixture("evolved"), "--map", &map(), "--snapshot", &id]);
    assert_eq!(said.sorted(), lines("evolved/rows-of-first-snapshot.jsonl"));
}

#[test]
fn columns_are_projected_in_the_order_named() {
    let table = fixture("evolved");
    let said = run(&["scan", "--table", &table, "--map", &map(), "--column", "price", "--column", "id"]);
    let mut expected: Vec<String> = lines("evolved/rows.jsonl")
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .map(|row: Json| format!(r#"{{"price":{},"id":{}}}"#, row["price"], row["id"]))
        .collect();
    expected.sort_unstable();
    assert_eq!(said.sorted(), expected);
}

/// A value as `--key` takes it.
fn text_of(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

#[test]
fn get_finds_each_row_by_each_of_its_values() {
    for (table, of_row) in [("every-primitive", "key"), ("version-3", "key"), ("evolved", "id")] {
        for line in lines(&format!("{table}/rows.jsonl")) {
            let row: Json = serde_json::from_str(&line).unwrap();
            let of_row = format!("{of_row}={}", text_of(&row[of_row]));
            for (name, value) in row.as_object().unwrap() {
                if value.is_null() || value.is_array() || value.is_object() {
                    continue;
                }
                let key = format!("{name}={}", text_of(value));
                let said = run(&[
                    "get",
                    "--table",
                    &fixture(table),
                    "--map",
                    &map(),
                    "--key",
                    &of_row,
                    "--key",
                    &key,
                ]);
                assert_eq!(
                    (said.status, said.out.trim_end_matches('\n')),
                    (0, line.as_str()),
                    "{key}: {}",
                    said.err
                );
            }
        }
    }
}

#[test]
fn get_without_a_row_is_absent() {
    for key in ["key=99", "string=none", "double=0.7", "boolean=true"] {
        let said = run(&[
            "get",
            "--table",
            &fixture("every-primitive"),
            "--map",
            &map(),
            "--key",
            key,
            "--key",
            "int=77",
        ]);
        assert_eq!((said.status, said.out.as_str()), (1, ""), "{key}");
        assert!(said.err.starts_with("absent: "), "{}", said.err);
    }
}

#[test]
fn scan_with_a_key_prints_the_rows_that_have_it() {
    let said =
        run(&["scan", "--table", &fixture("every-primitive"), "--map", &map(), "--key", "boolean=true"]);
    let expected: Vec<String> = lines("every-primitive/rows.jsonl")
        .into_iter()
        .filter(|line| line.contains(r#""boolean":true"#))
        .collect();
    assert!(expected.len() == 2 && said.sorted() == expected, "{said:?}");
}

/// Three appends wrote new versions of some rows, null ones among them.
#[test]
fn get_gives_the_highest_version() {
    let table = fixture("../iceberg/pyiceberg-identity/metadata.json");
    let map = format!("s3://lake={}", fixture("../iceberg"));
    for (ns, kind, id, versions, version) in [
        ("alpha.dev", "page", "guide/0004", 2, "504"),
        ("beta.dev", "post", "guide/0001", 2, "101"),
        ("beta.dev", "post", "guide/0003", 2, "103"),
        ("beta.dev", "post", "guide/0090", 1, "null"),
    ] {
        let (ns, kind, id) = (format!("ns={ns}"), format!("type={kind}"), format!("id={id}"));
        let ask = |command: &str, more: &[&str]| {
            let key = ["--key", &ns, "--key", &kind, "--key", &id, "--column", "version"];
            run(&[&[command, "--table", &table, "--map", &map], key.as_slice(), more].concat())
        };
        assert_eq!(ask("scan", &[]).out.lines().count(), versions, "{id}");
        for more in [[].as_slice(), &["--version-column", "version"]] {
            assert_eq!(ask("get", more).out, format!("{{\"version\":{version}}}\n"), "{id}");
        }
    }
}
