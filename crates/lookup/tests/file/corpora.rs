//! The files of apache/parquet-testing, found through `FIRN_CORPORA`: what Firn reads of them is what `PyArrow` reads.

use std::{collections::BTreeMap, path::PathBuf};

use bytes::Bytes;
use firn_iceberg::value::Value;
use firn_lookup::{
    file::{
        FileRequest, FoundRow, KeyEquals, RowSelection,
        error::{LookupError, LookupErrorKind},
        scan::ScanRequest,
    },
    need::Role,
};
use firn_types::object::ObjectKey;
use sha2::{Digest, Sha256};

use crate::{canonical, conversation, derive::derive};

const DIGESTS: &str = include_str!("../../../../tests/fixtures/parquet/parquet-testing.json");

/// Valid files that Firn does not read, and why. The README lists them.
const UNSUPPORTED: &[&str] = &[
    // Column metadata of a draft of the format: field 15 is a list there and a number since.
    "dict-page-offset-zero.parquet",
    "large_string_map.brotli.parquet",
];

/// Valid files that `PyArrow` reads otherwise: their last row, by their own description.
const OTHERWISE: &[(&str, &str)] = &[("int96_from_spark.parquet", "[9089380393200000000]")];

/// Files that are damaged on purpose, which `PyArrow` reads because it verifies no checksums unless it is asked to.
const CORRUPT: &[&str] =
    &["datapage_v1-corrupt-checksum.parquet", "rle-dict-uncompressed-corrupt-checksum.parquet"];

/// `None`, with a message, where the corpora are not there.
#[expect(clippy::disallowed_methods, reason = "tests find files that are not part of the project by it")]
fn files(folder: &str) -> Option<Vec<(String, Bytes)>> {
    let corpora = std::env::var("FIRN_CORPORA").ok().filter(|folder| !folder.is_empty());
    let Some(corpora) = corpora else {
        eprintln!("skipped: FIRN_CORPORA is not set");
        return None;
    };
    let folder = PathBuf::from(corpora).join("parquet-testing").join(folder);
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<(String, Bytes)> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "parquet"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap().into())
        })
        .collect();
    files.sort();
    Some(files)
}

/// All columns of a file.
fn everything(object: &Bytes) -> Result<ScanRequest, LookupError> {
    let request = ScanRequest {
        object: ObjectKey::new("corpus"),
        stated_len_bytes: object.len() as u64,
        columns: Vec::new(),
        names: None,
        role: Role::Deletes,
    };
    let footer = conversation::footer(object, request.clone())?;
    let (columns, names) = derive(footer.metadata().file_metadata().schema());
    Ok(ScanRequest { columns, names, ..request })
}

fn read(object: &Bytes) -> Result<Vec<FoundRow>, LookupError> {
    conversation::scan(object, everything(object)?)
}

#[test]
fn parquet_testing_files_have_the_values_of_pyarrow() {
    let Some(files) = files("data") else { return };
    let expected: BTreeMap<String, serde_json::Value> = serde_json::from_str(DIGESTS).unwrap();
    let mut failures = Vec::new();
    for (name, object) in &files {
        let outcome = read(object);
        let wanted = &expected[name];
        let kind = outcome.as_ref().err().map(LookupError::kind);
        let is_expected = if UNSUPPORTED.contains(&name.as_str()) {
            kind == Some(LookupErrorKind::Unsupported)
        } else if CORRUPT.contains(&name.as_str()) {
            kind == Some(LookupErrorKind::Corrupt)
        } else if let Some((_, last)) = OTHERWISE.iter().find(|(other, _)| other == name) {
            let row = outcome.as_ref().ok().and_then(|rows| rows.last());
            row.is_some_and(|row| canonical::row(&row.values) == *last)
        } else {
            let rows = outcome.as_deref().unwrap_or_default();
            let mut digest = Sha256::new();
            for row in rows {
                digest.update(format!("{}\n", canonical::row(&row.values)));
            }
            kind.is_none()
                && (wanted["sha256"] == canonical::hex(&digest.finalize()) || wanted.get("error").is_some())
        };
        if !is_expected {
            let found = outcome.map_or_else(|error| error.to_string(), |rows| format!("{} rows", rows.len()));
            failures.push(format!("{name}: {found}, expected {wanted}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(UNSUPPORTED.len() * 20 <= files.len(), "more than 5 % are unsupported");
}

/// Bounds, page indexes and bloom filters of many writers: what they exclude is not there.
#[test]
fn lookups_in_parquet_testing_files_equal_their_scans() {
    /// Keys tried of a column.
    const KEYS: usize = 12;

    let Some(files) = files("data") else { return };
    for (name, object) in &files {
        let Ok(request) = everything(object) else { continue };
        let Ok(rows) = conversation::scan(object, request.clone()) else { continue };
        for (idx, column) in request.columns.iter().enumerate() {
            let literal = |row: &FoundRow| row.values[idx].as_ref().and_then(Value::as_literal).cloned();
            let step = rows.len().div_ceil(KEYS).max(1);
            for key in rows.iter().step_by(step).filter_map(literal) {
                let is_same = |row: &&FoundRow| literal(row).is_some_and(|literal| literal.is_same(&key));
                let expected: Vec<u64> = rows.iter().filter(is_same).map(|row| row.position).collect();
                let lookup = FileRequest {
                    object: request.object.clone(),
                    stated_len_bytes: u64::MAX,
                    key: vec![KeyEquals { column: column.clone(), value: key.clone().into() }],
                    columns: Vec::new(),
                    rows: RowSelection::AllMatching,
                    names: request.names.clone(),
                };
                let (found, ..) = conversation::look_up(object, lookup, None).unwrap();
                let positions: Vec<u64> = found.iter().map(|row| row.position).collect();
                assert_eq!(positions, expected, "{name}, column {idx}, {key:?}");
            }
        }
    }
}

#[test]
fn bad_data_is_corrupt() {
    let Some(files) = files("bad_data") else { return };
    assert!(!files.is_empty());
    for (name, object) in files {
        let outcome = read(&object);
        // Indices of no bits, into a dictionary of one value: unusual, and what every reader reads.
        if name == "ARROW-GH-43605.parquet" {
            assert_eq!(outcome.unwrap().len(), 21_186);
        } else {
            assert!(outcome.as_ref().is_err_and(LookupError::is_corrupt), "{name}: {outcome:?}");
        }
    }
}
