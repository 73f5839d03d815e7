//! What cannot be read: status 3 where a feature is lacking, 4 where bytes are wrong, and never anything else.

use serde_json::{Value as Json, json};

use crate::support::{Folder, files, fixtures, lines, map, metadata_of, run};

/// Runs a scan of `evolved` with its metadata changed.
fn scan_changed(change: impl FnOnce(&mut Json)) -> crate::support::Said {
    let mut metadata: Json = serde_json::from_slice(&metadata_of("evolved").1).unwrap();
    change(&mut metadata);
    let folder = Folder::new();
    folder.write("metadata.json", metadata.to_string());
    run(&["scan", "--table", &folder.path("metadata.json"), "--map", &map()])
}

#[track_caller]
fn check(change: impl FnOnce(&mut Json), status: i32, label: &str) {
    let said = scan_changed(change);
    assert_eq!((said.status, said.out.as_str()), (status, ""), "{}", said.err);
    assert!(said.err.starts_with(label) && said.err.ends_with('\n'), "{}", said.err);
}

#[test]
fn missing_feature_is_status_3() {
    check(|m| m["format-version"] = json!(4), 3, "unsupported: ");
    check(
        |m| {
            let schemas = m["schemas"].as_array_mut().unwrap().iter_mut();
            let fields = schemas.flat_map(|schema| schema["fields"].as_array_mut().unwrap());
            fields.filter(|field| field["name"] == "tags").for_each(|field| field["type"] = json!("variant"));
        },
        3,
        "unsupported: ",
    );
    // A location of a store that is not known, and none is mapped for.
    check(|m| change_lists(m, |list| list.replace("s3://", "gs://")), 3, "unsupported: ");
}

#[test]
fn broken_metadata_is_status_4() {
    check(|m| m["current-schema-id"] = json!(77), 4, "corrupt: ");
    check(|m| m["schemas"] = json!([]), 4, "corrupt: ");
    check(|m| change_lists(m, |list| format!("{list}.lost")), 4, "corrupt: ");
    let folder = Folder::new();
    for bytes in ["", "{", "PAR1", "[]"] {
        folder.write("t.metadata.json", bytes);
        let said = run(&["scan", "--table", &folder.path("t.metadata.json")]);
        assert!(said.status == 4 && said.err.starts_with("corrupt: "), "{said:?}");
    }
}

fn change_lists(metadata: &mut Json, change: impl Fn(&str) -> String) {
    for snapshot in metadata["snapshots"].as_array_mut().unwrap() {
        snapshot["manifest-list"] = json!(change(snapshot["manifest-list"].as_str().unwrap()));
    }
}

/// The library's tests cut at every byte and flip every bit; here each object of the table is cut once in each eighth.
#[test]
fn cut_objects_are_typed_errors() {
    let whole = files(&fixtures().join("evolved"));
    let expected = lines("evolved/rows.jsonl");
    for name in whole.keys() {
        for eighth in 0..8 {
            let folder = Folder::new();
            for (other, bytes) in &whole {
                let len = if other == name { bytes.len() * eighth / 8 } else { bytes.len() };
                folder.write(&format!("evolved/{other}"), &bytes[..len]);
            }
            let map = format!("s3://lake={}", folder.path(""));
            let said = run(&["scan", "--table", &folder.path("evolved"), "--map", &map]);
            // An object of another snapshot is not read, nor are the expected rows.
            let is_right = said.status == 0 && said.sorted() == expected;
            let is_typed = said.status == 4 && said.err.starts_with("corrupt: ");
            assert!(is_right || is_typed, "{name} cut to {eighth}/8: {said:?}");
        }
    }
}
