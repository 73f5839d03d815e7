//! Which metadata file of a table folder is current.

use crate::support::{Folder, lines, map, metadata_of, run};

/// Metadata of a table without rows, and of one with some.
fn empty_and_full() -> (Vec<u8>, Vec<u8>) {
    let full = metadata_of("evolved").1;
    let mut empty: serde_json::Value = serde_json::from_slice(&full).unwrap();
    for name in ["snapshots", "snapshot-log", "refs", "current-snapshot-id"] {
        empty.as_object_mut().unwrap().remove(name);
    }
    (serde_json::to_vec(&empty).unwrap(), full)
}

#[track_caller]
fn check(folder: &Folder, table: &str, row_count: usize) {
    let said = run(&["scan", "--table", &folder.path(table), "--map", &map()]);
    assert_eq!((said.status, said.out.lines().count()), (0, row_count), "{}", said.err);
}

#[test]
fn version_hint_leads_to_the_last_version_that_follows() {
    let (empty, full) = empty_and_full();
    let count = lines("evolved/rows.jsonl").len();
    for (hint, row_count) in
        [("1", 0), ("2\n", count), ("3", count), ("5", 0), ("v5", 0), ("v3.metadata.json", count)]
    {
        let folder = Folder::new();
        folder.write("t/metadata/version-hint.text", hint);
        for (name, bytes) in [
            ("v1.metadata.json", &empty),
            ("v2.metadata.json", &empty),
            ("v3.metadata.json", &full),
            ("v5.metadata.json", &empty),
        ] {
            // From 1 on the next version is missing, from 2 on it is 3.
            if !(hint == "1" && name == "v2.metadata.json") {
                folder.write(&format!("t/metadata/{name}"), bytes);
            }
        }
        check(&folder, "t", row_count);
        check(&folder, "t/", row_count);
    }
}

#[test]
fn version_hint_without_its_file_is_no_table() {
    let folder = Folder::new();
    folder.write("t/metadata/version-hint.text", "7");
    let said = run(&["scan", "--table", &folder.path("t")]);
    assert!(said.status == 2 && said.err.contains("version-hint.text"), "{said:?}");
}

#[test]
fn pointer_of_a_local_lake_wins_over_newer_files() {
    let (empty, full) = empty_and_full();
    let folder = Folder::new();
    folder.write("lake/prefix/local/t/metadata/00001-a.metadata.json", full);
    folder.write("lake/prefix/local/t/metadata/00002-lost.metadata.json", empty);
    let location = folder.path("lake/prefix/local/t/metadata/00001-a.metadata.json");
    folder.write("lake/catalog/firn/t.json", format!(r#"{{"metadata-location":"{location}"}}"#));
    let count = lines("evolved/rows.jsonl").len();
    check(&folder, "lake/prefix/local/t", count);
    check(&folder, "lake/catalog/firn/t.json", count);
}

#[test]
fn highest_version_wins_where_nothing_points() {
    let (empty, full) = empty_and_full();
    let count = lines("evolved/rows.jsonl").len();
    for (newest, older) in [
        ("00010-a.metadata.json", "00009-b.metadata.json"),
        ("v10.metadata.json", "v9.metadata.json"),
        ("00010-a.gz.metadata.json", "00002-b.metadata.json"),
    ] {
        let folder = Folder::new();
        folder.write(&format!("t/metadata/{newest}"), &full);
        folder.write(&format!("t/metadata/{older}"), &empty);
        check(&folder, "t", count);
        check(&folder, "t/metadata", count);
        check(&folder, &format!("t/metadata/{older}"), 0);
    }
}

#[test]
fn two_files_of_the_newest_version_are_for_the_user_to_tell_apart() {
    let (empty, full) = empty_and_full();
    let folder = Folder::new();
    folder.write("t/metadata/00002-a.metadata.json", full);
    folder.write("t/metadata/00002-b.metadata.json", empty);
    let said = run(&["scan", "--table", &folder.path("t")]);
    assert!(said.status == 2 && said.err.contains("00002-a") && said.err.contains("00002-b"), "{said:?}");
}
