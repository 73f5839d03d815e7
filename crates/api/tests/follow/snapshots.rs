//! What each kind of snapshot does to the ledgers.

use std::collections::BTreeSet;

use firn_ledger::read::{Place, Read};
use firn_types::visibility::Visibility;

use crate::{
    build::Row,
    world::{ID, NS, World, keys, row, text},
};

/// Two namespaces in one file; another of one alone.
fn two_files(world: &mut World) -> Vec<Row> {
    let first =
        [row("alpha.example", "a", 1), row("b", "x", 2), row("alpha.example", "c", 3), row("b", "y", 4)];
    let second = [row("b", "x", 5), row("b", "z", 6)];
    world.table.append(&first);
    world.snapshot();
    world.table.append(&second);
    world.snapshot();
    [first.to_vec(), second.to_vec()].concat()
}

#[test]
fn appended_rows_are_located_with_their_rights() {
    let mut world = World::new(2);
    let rows = two_files(&mut world);
    let report = world.follow();
    world.check(&keys(&rows));
    let counts = report.tables[0].counts;
    assert_eq!((counts.files, counts.rows, counts.learned, counts.skipped_rows), (2, 6, 6, 0));
    assert_eq!(report.told_count, 2);
    let Read::Known(known) = world.peers.ledger("b").read("page", "x").unwrap() else { panic!("unknown") };
    assert_eq!((known.version, known.standing.visibility), (5, Some(Visibility::Org)));
    assert_eq!((known.owner.sub.as_deref(), known.owner.iss), (Some("ada"), None));
    let followed = world.followed().unwrap();
    assert!(followed.covers(Some("u0"), Some(2)));
    // Nothing new: nothing is read but pointer, metadata and followed object, and nothing is written.
    let (state, puts) = (world.state(), world.bucket.put_count.get());
    world.bucket.faults.clear();
    world.peers.calls.borrow_mut().clear();
    world.follow();
    // Two ledgers are asked whether they wait.
    assert_eq!((world.bucket.faults.operation_count.get(), world.peers.calls.borrow().len()), (5, 2));
    assert_eq!((world.state(), world.bucket.put_count.get()), (state, puts));
}

#[test]
fn rows_that_other_engines_delete_are_gone_by_each_kind_of_delete() {
    for kind in 0..5 {
        let mut world = World::new(if kind == 2 { 3 } else { 2 });
        let rows = two_files(&mut world);
        if kind != 4 {
            world.follow();
        }
        let positions = BTreeSet::from([0, 1]);
        match kind {
            0 => world.table.delete_positions(0, &positions, false),
            1 => world.table.delete_positions(0, &positions, true),
            2 => world.table.delete_by_vector(0, &positions),
            _ => world.table.delete_equal(
                &[NS, ID],
                &[row("b", "x", 0), row("alpha.example", "a", 0)],
                &Row::new(),
            ),
        }
        world.snapshot();
        world.follow();
        world.check(&keys(&rows));
        let gone = world.peers.ledger("alpha.example").read("page", "a").unwrap();
        assert!(matches!(gone, Read::Unknown { .. }), "{kind}: {gone:?}");
    }
}

#[test]
fn compaction_moves_rows_and_removes_files() {
    let mut world = World::new(2);
    let rows = two_files(&mut world);
    world.follow();
    world.compact();
    world.snapshot();
    let report = world.follow();
    world.check(&keys(&rows));
    assert_eq!(report.tables[0].counts.removed_files, 2);
    for ns in ["alpha.example", "b"] {
        assert_eq!(world.peers.ledger(ns).files_page(crate::world::TABLE, "", 10).unwrap().len(), 1, "{ns}");
    }
}

/// Without the snapshots on the way the row would never be confirmed, and be sent and appear again.
#[test]
fn row_that_came_and_went_between_two_runs_is_not_sent_again() {
    let mut world = World::new(2);
    world.table.append(&[row("b", "other", 1)]);
    world.snapshot();
    world.follow();
    let versions = world.peers.publish("b", &["x", "y"]);
    assert_eq!(world.peers.send("b"), 2);
    world.table.append(&[row("b", "x", versions[0]), row("b", "y", versions[1])]);
    world.snapshot();
    world.table.remove(1);
    world.snapshot();
    world.follow();
    for secs in [1_000, 2_000] {
        world.peers.secs.set(secs);
        world.follow();
        assert_eq!(world.peers.send("b"), 0);
    }
    let read = world.peers.ledger("b").read("page", "x").unwrap();
    let Read::Known(known) = read else { panic!("{read:?}") };
    assert!(matches!(known.place, Place::Elsewhere { .. } | Place::Content(_)));
}

#[test]
fn row_that_never_arrived_is_sent_again_once_the_follower_saw_that() {
    let mut world = World::new(2);
    world.table.append(&[row("b", "other", 1)]);
    world.snapshot();
    world.peers.publish("b", &["x"]);
    assert_eq!(world.peers.send("b"), 1);
    world.follow();
    world.peers.secs.set(1_000);
    assert_eq!(world.peers.send("b"), 0, "nobody looked since");
    world.follow();
    assert_eq!(world.peers.send("b"), 1);
}

#[test]
fn after_expiry_what_is_not_live_is_removed() {
    let mut world = World::new(2);
    let rows = two_files(&mut world);
    world.follow();
    world.compact();
    world.snapshot();
    let more = [row("b", "x", 9), row("gamma", "n", 10)];
    world.table.append(&more);
    world.snapshot();
    world.expire();
    world.follow();
    world.check(&keys(&[rows, more.to_vec()].concat()));
    assert_eq!(world.peers.ledger("alpha.example").files_page(crate::world::TABLE, "", 10).unwrap().len(), 1);
}

#[test]
fn rows_of_a_table_that_was_made_anew_replace_the_old() {
    for gone in [false, true] {
        let mut world = World::new(2);
        two_files(&mut world);
        world.follow();
        if gone {
            for key in world.bucket.keys().into_iter().filter(|key| key.starts_with("u0/")) {
                world.bucket.remove(&key);
            }
        }
        world.make_anew();
        // Its sequence numbers begin again, and a version may lie in both.
        let rows = [row("b", "x", 5), row("b", "new", 51)];
        world.table.append(&rows);
        world.snapshot();
        world.follow();
        world.check(&keys(&rows));
        let old = world.peers.ledger("alpha.example").read("page", "a").unwrap();
        let Read::Known(old) = old else { panic!("{old:?}") };
        assert!(matches!(old.place, Place::Elsewhere { beneath: None }), "{gone}");
    }
}

#[test]
fn dropped_table_has_no_files() {
    let mut world = World::new(2);
    two_files(&mut world);
    world.follow();
    world.bucket.remove("catalog/firn/t.json");
    world.follow();
    assert!(world.followed().unwrap().covers(None, None));
    for ns in ["alpha.example", "b"] {
        assert_eq!(world.peers.ledger(ns).files_page(crate::world::TABLE, "", 10).unwrap(), [""; 0]);
    }
    let puts = world.bucket.put_count.get();
    world.follow();
    assert_eq!(world.bucket.put_count.get(), puts);
}

#[test]
fn rows_of_other_engines_that_nobody_can_ask_for_are_counted_and_skipped() {
    let mut world = World::new(2);
    let mut odd =
        vec![row("Upper", "a", 1), row("", "a", 1), row("b", "", 1), row("b", "a", 1), row("b", "n", 7)];
    odd[3].remove(&NS);
    odd[4].remove(&crate::world::VERSION);
    odd[4].insert(crate::world::VISIBILITY, text("secret"));
    world.table.append(&odd);
    world.snapshot();
    let report = world.follow();
    let counts = report.tables[0].counts;
    assert_eq!((counts.rows, counts.skipped_rows, counts.learned), (2, 4, 1));
    assert_eq!(world.peers.namespaces(), ["b"]);
    let Read::Known(known) = world.peers.ledger("b").read("page", "n").unwrap() else { panic!("unknown") };
    assert_eq!((known.version, known.standing.visibility), (0, None));
    assert!(matches!(known.place, Place::Elsewhere { .. }));
}

#[test]
fn file_that_cannot_be_read_is_named_and_stops_nothing() {
    for is_missing in [false, true] {
        let mut world = World::new(2);
        let rows = two_files(&mut world);
        let key = world.table.data_key(0);
        if is_missing {
            world.bucket.remove(&key);
        } else {
            world.bucket.put(&key, "no Parquet".into());
        }
        let report = world.follow();
        assert_eq!(report.tables[0].unreadable.len(), 1);
        let followed = world.followed().unwrap();
        assert_eq!(followed.unreadable, std::slice::from_ref(&key));
        assert!(!followed.covers(Some("u0"), Some(2)));
        let Read::Known(known) = world.peers.ledger("b").read("page", "x").unwrap() else {
            panic!("unknown")
        };
        assert_eq!(known.version, 5);
        // Gone from the table, it is no obstacle any more.
        world.table.remove(0);
        world.snapshot();
        world.follow();
        assert!(world.followed().unwrap().covers(Some("u0"), Some(3)));
        world.check(&keys(&rows[4..]));
    }
}

#[test]
fn run_that_has_no_requests_left_goes_on_where_it_was() {
    let mut world = World::new(2);
    let mut rows = Vec::new();
    for idx in 0..20 {
        let some = [row("b", &format!("k{}", idx % 7), idx + 1), row(&format!("n{idx}"), "a", idx + 1)];
        world.table.append(&some);
        rows.extend(some);
    }
    world.snapshot();
    let config = firn_api::follow::FollowConfig { request_count_max: 12, ..World::config() };
    let mut endings = Vec::new();
    while endings.last() != Some(&"current") {
        let report = futures::executor::block_on(world.run(&config));
        endings.push(report.tables[0].ending.as_str());
        assert!(endings.len() < 20, "{report:?}");
        let is_covered = world.followed().unwrap().covers(Some("u0"), Some(1));
        assert_eq!(is_covered, endings.last() == Some(&"current"));
    }
    assert!(endings.len() > 3, "{endings:?}");
    world.check(&keys(&rows));
}

/// What the ledgers cannot take back (a removal, a deletion) is left to the lookup by manifests, never served wrongly.
#[test]
fn rolled_back_snapshots_leave_nothing_that_is_not_in_the_table() {
    let mut world = World::new(2);
    let rows = two_files(&mut world);
    world.follow();
    let before = world.table.clone();
    world.table.append(&[row("b", "x", 7), row("b", "new", 8)]);
    world.snapshot();
    world.follow();
    world.roll_back(2, before);
    world.follow();
    assert!(world.followed().unwrap().covers(Some("u0"), Some(2)));
    for id in ["x", "new"] {
        let Read::Known(known) = world.peers.ledger("b").read("page", id).unwrap() else { panic!("{id}") };
        assert!(matches!(known.place, Place::Elsewhere { .. }), "{id}: {known:?}");
    }
    let others = keys(&rows).into_iter().filter(|(_, id)| id != "x").collect();
    world.check(&others);
}

/// The ledgers heard of a file that was never followed to the end: it must not stay.
#[test]
fn snapshot_that_was_given_up_half_way_leaves_nothing() {
    let mut world = World::new(2);
    let rows = two_files(&mut world);
    world.follow();
    world.table.append(&[row("b", "x", 7)]);
    world.table.append(&[row("b", "y", 8)]);
    world.snapshot();
    let config = firn_api::follow::FollowConfig { request_count_max: 6, ..World::config() };
    let report = futures::executor::block_on(world.run(&config));
    assert_eq!((report.tables[0].ending.as_str(), report.tables[0].counts.files), ("more", 1), "{report:?}");
    let mut before = world.table.clone();
    before.remove(3);
    before.remove(2);
    world.roll_back(2, before);
    world.table.append(&[row("b", "z", 9)]);
    world.snapshot();
    world.follow();
    let Read::Known(known) = world.peers.ledger("b").read("page", "x").unwrap() else { panic!("unknown") };
    assert!(matches!(known.place, Place::Elsewhere { .. }), "{known:?}");
    world.check_or_elsewhere(&keys(&rows));
}
