//! A ledger anew from the lake, and compared with it.

use std::collections::BTreeSet;

use firn_api::{
    follow::{
        Lake, REQUEST_COUNT_MAX,
        rebuild::{Compared, RebuildFrom, compare_ledger, rebuild_ledger},
    },
    tables::{config::TableName, pointers::BucketPointers},
};
use firn_ledger::{
    confirm::{DataFile, SeenRow},
    row::{Owner, Standing},
};
use firn_types::key::Namespace;
use futures::executor::block_on;

use crate::{
    build::Row,
    world::{ID, NS, TABLE, World, keys, row},
};

fn compare(world: &World, ns: &str) -> Compared {
    let lake = Lake { store: &world.bucket, pointers: &BucketPointers, ledgers: &world.peers };
    let tables = TableName::parse_list(TABLE).unwrap();
    block_on(compare_ledger(&lake, &world.peers, &tables, &Namespace::parse(ns).unwrap())).unwrap()
}

/// Gives in how many calls it came to its end.
fn rebuild(world: &World, ns: &str, request_count_max: u64) -> usize {
    let lake = Lake { store: &world.bucket, pointers: &BucketPointers, ledgers: &world.peers };
    let (tables, ns) = (TableName::parse_list(TABLE).unwrap(), Namespace::parse(ns).unwrap());
    let mut from = Some(RebuildFrom::default());
    let mut calls = 0;
    while let Some(start) = from {
        let rebuilt = rebuild_ledger(&lake, &world.peers, &tables, &ns, start, request_count_max);
        from = block_on(rebuilt).unwrap().next;
        calls += 1;
    }
    calls
}

fn world() -> (World, Vec<Row>) {
    let mut world = World::new(2);
    let mut rows = Vec::new();
    for idx in 0..6 {
        let some =
            [row("b", &format!("k{}", idx % 4), idx + 1), row("alpha.example", &format!("k{idx}"), idx + 1)];
        world.table.append(&some);
        rows.extend(some);
    }
    world.table.delete_positions(5, &BTreeSet::from([0]), true);
    world.snapshot();
    world.table.delete_equal(&[NS, ID], &[row("b", "k3", 0)], &Row::new());
    world.snapshot();
    (world, rows)
}

#[test]
fn ledger_that_was_lost_is_rebuilt_as_it_was() {
    for request_count_max in [1, 20, REQUEST_COUNT_MAX] {
        let (world, rows) = world();
        world.follow();
        let expected = world.state();
        assert_eq!(compare(&world, "b").difference_count, 0);
        world.peers.forget("b");
        assert_eq!(compare(&world, "b").difference_count, 4);
        let calls = rebuild(&world, "b", request_count_max);
        assert_eq!(calls > 1, request_count_max < 100, "{calls}");
        world.check(&keys(&rows));
        assert_eq!(world.state(), expected);
        let compared = compare(&world, "b");
        assert_eq!((compared.difference_count, compared.row_count, compared.unreadable_count), (0, 4, 0));
        // What is there already stays as it is.
        rebuild(&world, "b", REQUEST_COUNT_MAX);
        assert_eq!(world.state(), expected);
    }
}

#[test]
fn comparison_names_what_differs_and_a_rebuild_corrects_it() {
    let (world, rows) = world();
    world.follow();
    let versions = world.peers.publish("b", &["waits"]);
    let ledger = world.peers.ledger("b");
    let standing = Standing { visibility: None, deleted: false, expires_at: None, size_bytes: 0 };
    let seen = |id: &str, version, row| SeenRow {
        artifact_type: "page".to_owned(),
        id: id.to_owned(),
        version: Some(version),
        owner: Owner::default(),
        standing,
        hash: None,
        row,
    };
    let file = DataFile { table: TABLE, path: "u0/none.parquet", sequence: 9 };
    ledger.confirm(world.peers.now(), &file, &[seen("invented", 77, 0), seen("k1", 2, 1)]).unwrap();
    let compared = compare(&world, "b");
    let found: BTreeSet<(String, i64, &str)> =
        compared.differences.iter().map(|d| (d.id.clone(), d.version, d.what.as_str())).collect();
    let expected = [("invented", 77, "gone"), ("k1", 2, "place"), ("k1", 2, "standing")];
    assert_eq!(found, expected.map(|(id, version, what)| (id.to_owned(), version, what)).into());
    assert_eq!(compared.version_count, 6);
    rebuild(&world, "b", REQUEST_COUNT_MAX);
    let left = compare(&world, "b");
    let left: Vec<(&str, &str)> = left.differences.iter().map(|d| (d.id.as_str(), d.what.as_str())).collect();
    // Its file is removed, so that the lookup decides; the row that it named is as the lake has it.
    assert_eq!(left, [("invented", "gone")]);
    world.check(&keys(&rows));
    assert!(
        matches!(ledger.read("page", "waits").unwrap(), firn_ledger::read::Read::Known(known) if known.version == versions[0])
    );
}
