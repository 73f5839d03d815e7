//! Tables that Spark, Athena and Java wrote (`FIRN_CORPORA`): the rows that PyIceberg reads of every state of each.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::support::{Said, run};

/// Metadata file, count of rows, and the first bytes of the SHA-256 of the sorted lines, made by PyIceberg 0.12 and
/// `read_back` of `scripts/make-inspect-fixtures`.
const TABLES: [(&str, usize, &str); 14] = [
    ("athena/example/metadata/00000-eedf51e6-8c09-463b-8850-844ee6ec1de0", 0, "e3b0c44298fc1c14"),
    ("athena/example/metadata/00001-aaf0d033-d06b-43c7-be60-67f83abd4aca", 2, "dbe197284f021c68"),
    ("java/bunnies/metadata/v1", 0, "e3b0c44298fc1c14"),
    ("java/bunnies/metadata/v2", 21, "f9c2a7a92ac4dd5d"),
    ("java/bunnies/metadata/v3", 21, "dc5e477d425762f9"),
    ("java/bunnies/metadata/v4", 15, "5964f29381ae5449"),
    ("spark/bunnies/metadata/v1", 21, "f9c2a7a92ac4dd5d"),
    ("spark/bunnies/metadata/v2", 21, "f9c2a7a92ac4dd5d"),
    ("spark/bunnies/metadata/v3", 20, "d2656053a249e085"),
    ("spark/bunnies/metadata/v4", 20, "ffd414a8adbc2e51"),
    ("spark/bunnies/metadata/v5", 20, "a9803ca4753c0d05"),
    ("spark/rename_column/metadata/v1", 0, "e3b0c44298fc1c14"),
    ("spark/rename_column/metadata/v2", 4, "cab0e64c2f500bd7"),
    ("spark/rename_column/metadata/v3", 4, "34db98f35efc45d9"),
];

fn folder() -> Option<PathBuf> {
    let Some(folder) = std::env::var("FIRN_CORPORA").ok() else {
        eprintln!("skipped: FIRN_CORPORA is not set");
        return None;
    };
    Some(PathBuf::from(folder).join("iceberg-tables/hyperparam-iceberg"))
}

fn ask(folder: &Path, command: &str, table: &str, more: &[&str]) -> Said {
    let table = folder.join(table);
    let map = format!("s3://hyperparam-iceberg/={}", folder.display());
    let said = run(&[&[command, "--table", table.to_str().unwrap(), "--map", &map], more].concat());
    assert!(said.err.is_empty(), "{}: {}", table.display(), said.err);
    said
}

#[test]
fn every_state_of_the_test_tables_has_the_rows_of_pyiceberg() {
    let Some(folder) = folder() else { return };
    for (name, count, digest) in TABLES {
        let said = ask(&folder, "scan", &format!("{name}.metadata.json"), &[]);
        let mut hash = Sha256::new();
        said.sorted().iter().for_each(|line| hash.update(format!("{line}\n")));
        let found = format!("{:016x}", u64::from_be_bytes(*hash.finalize().first_chunk().unwrap()));
        assert_eq!((said.out.lines().count(), found.as_str()), (count, digest), "{name}: {}", said.out);
    }
}

/// The last snapshot, which PyIceberg does not read, deleted a row by value and wrote it again.
#[test]
fn equality_deletes_spare_the_row_that_replaces_the_deleted() {
    let Some(folder) = folder() else { return };
    let before = ask(&folder, "scan", "java/bunnies/metadata/v4.metadata.json", &[]);
    let after = ask(&folder, "scan", "java/bunnies", &[]);
    let changed = r#"{"Breed Name":"New Zealand","Average Weight":4.0,"Fur Length":2.7,"Lifespan":8,"Origin Country":"New Zealand","Ear Type":"Erect","Temperament":"Affectionate","Popularity Rank":"#;
    let mut expected: Vec<String> = before.sorted().iter().map(|line| (*line).to_owned()).collect();
    let place = expected.iter().position(|line| line.starts_with(changed)).unwrap();
    assert_eq!(expected[place], format!("{changed}21,\"__happy__\":null}}"));
    expected[place] = format!("{changed}0,\"__happy__\":true}}");
    assert_eq!(after.sorted(), expected);
}

#[test]
fn every_row_is_found_by_its_name() {
    let Some(folder) = folder() else { return };
    for table in ["java/bunnies", "spark/bunnies"] {
        for line in ask(&folder, "scan", table, &[]).out.lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let key = format!("Breed Name={}", row["Breed Name"].as_str().unwrap());
            let found = ask(&folder, "get", table, &["--key", &key]);
            assert_eq!((found.status, found.out.trim_end()), (0, line));
        }
    }
}
