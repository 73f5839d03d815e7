//! Bulk with an idempotency key, struck at its chunks: the stream may have a row twice, never two rows of one identity.

use std::collections::BTreeMap;

use firn_types::mode::Mode;

use crate::world::{Fault, Lines, Point, World, line};

const KEY: Option<&str> = Some("key");

/// Two of these fill a chunk.
const RECORD_LEN_BYTES: usize = 1_890_000;

const RUNNING: &str = "409 idempotency_in_progress";
const MISMATCH: &str = "422 idempotency_mismatch";
const REPLAYED: &str = "200 replayed";

/// Three records in two chunks; of another body the first record is another.
fn body(other: bool) -> Lines {
    let content = |id: &str| if other && id == "a" { "other" } else { "same" };
    let len_bytes = |id: &str| if id == "c" { 300_000 } else { RECORD_LEN_BYTES };
    ["a", "b", "c"].map(|id| line("page", id, content(id), len_bytes(id))).to_vec()
}

/// Runs a struck request, then the same body at once, the same after its lease, and another one after its lease.
#[track_caller]
fn check(point: Point, fault: Fault, times: u32, first: &str, retried: [&str; 3]) {
    for ((other, secs), expected) in [(false, 0), (false, 31), (true, 31)].into_iter().zip(retried) {
        let what = format!("{fault:?} at {point:?}, then other: {other}, after {secs} s");
        let world = World::new();
        world.strike(point, fault, times);
        assert_eq!(world.request(Mode::Bulk, KEY, &body(false)).brief(), first, "{what}");
        world.pass(secs);
        world.alarm();
        let sent_count = world.stored.borrow().len();
        let again = world.request(Mode::Bulk, KEY, &body(other)).brief();
        assert_eq!(again, expected, "{what}");
        if !expected.starts_with("200") || expected == REPLAYED {
            assert_eq!(world.stored.borrow().len(), sent_count, "{what}: nothing more is sent");
        }
        if again != "200" {
            world.pass(31);
            world.alarm();
            let last = world.request(Mode::Bulk, KEY, &body(false)).brief();
            assert!(last.starts_with("20"), "{what}, then same: {last}");
        }
        assert_one_row_a_version(&world, &what);
    }
}

#[track_caller]
fn assert_one_row_a_version(world: &World, what: &str) {
    let mut rows = BTreeMap::new();
    for row in world.stored.borrow().iter() {
        let identity = (row["id"].to_string(), row["version"].as_i64());
        let known = rows.entry(identity.clone()).or_insert_with(|| row.clone());
        assert_eq!(known["hash"], row["hash"], "{what}: two rows are {identity:?}");
        assert_eq!(known, row, "{what}");
    }
    let ids: Vec<&str> = rows.values().filter_map(|row| row["id"].as_str()).collect();
    assert_eq!(ids, ["a", "b", "c"], "{what}");
}

const SENDS: [Point; 2] = [Point::Send(0), Point::Send(1)];

#[test]
fn what_fails_once_is_sent_all_the_same() {
    for point in [Point::Send(0), Point::Send(1), Point::ChunkTaken(0), Point::ChunkTaken(1)] {
        for fault in [Fault::FailBefore, Fault::FailAfter, Fault::Hang] {
            check(point, fault, 1, "200", [REPLAYED, REPLAYED, MISMATCH]);
        }
    }
}

#[test]
fn request_that_died_goes_on_after_its_lease_and_takes_no_other_body() {
    for point in SENDS {
        for fault in [Fault::KillBefore, Fault::KillAfter] {
            check(point, fault, 1, "killed", [RUNNING, "200", MISMATCH]);
        }
    }
    for point in [Point::ChunkTaken(0), Point::ChunkTaken(1), Point::Finish] {
        check(point, Fault::KillBefore, 1, "killed", [RUNNING, "200", MISMATCH]);
    }
    check(Point::ChunkTaken(0), Fault::KillAfter, 1, "killed", [RUNNING, "200", MISMATCH]);
}

#[test]
fn request_that_died_before_its_answer_is_answered_to_the_retry() {
    check(Point::Finish, Fault::KillAfter, 1, "killed", [REPLAYED, REPLAYED, MISMATCH]);
}
