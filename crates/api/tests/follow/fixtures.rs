//! Tables whose rows another engine deleted, for the end-to-end tests: no engine at hand writes all three kinds.

use std::{collections::BTreeSet, fmt::Write as _, io::Write as _};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Map, Value as Json, json};

use crate::{
    build::Row,
    world::{ID, NS, World, row},
};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/e2e/fixtures/deletes.json.gz");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Six rows in two files, of which `delete` then deletes `alpha.example/a` and `b/x`; the objects of both snapshots, and
/// the pointer to each.
fn table(format_version: u8, delete: impl FnOnce(&mut World)) -> Json {
    let mut world = World::new(format_version);
    let rows = |keys: &[(&str, &str, i64)]| -> Vec<Row> {
        keys.iter().map(|(ns, id, version)| row(ns, id, *version)).collect()
    };
    world.table.append(&rows(&[
        ("alpha.example", "a", 1),
        ("b", "x", 2),
        ("alpha.example", "c", 3),
        ("b", "y", 4),
    ]));
    world.snapshot();
    world.table.append(&rows(&[("b", "z", 6)]));
    world.snapshot();
    let before = String::from_utf8(world.pointer().to_vec()).unwrap();
    delete(&mut world);
    world.snapshot();
    let after = String::from_utf8(world.pointer().to_vec()).unwrap();
    let keys = world.bucket.keys().into_iter();
    let objects: Map<String, Json> = keys.map(|key| (key.clone(), hex(&world.object(&key)).into())).collect();
    json!({ "before": before, "after": after, "objects": objects })
}

#[test]
#[ignore = "writes the fixture tests/e2e/fixtures/deletes.json.gz: cargo test -p firn-api --test follow -- --ignored fixtures"]
fn tables_whose_rows_another_engine_deleted() {
    let positions = BTreeSet::from([0, 1]);
    let equal = [row("b", "x", 0), row("alpha.example", "a", 0)];
    let tables = json!({
        "position deletes": table(2, |world| world.table.delete_positions(0, &positions, true)),
        "a deletion vector": table(3, |world| world.table.delete_by_vector(0, &positions)),
        "equality deletes": table(2, |world| world.table.delete_equal(&[NS, ID], &equal, &Row::new())),
    });
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(tables.to_string().as_bytes()).unwrap();
    std::fs::write(FILE, packed.finish().unwrap()).unwrap();
}
