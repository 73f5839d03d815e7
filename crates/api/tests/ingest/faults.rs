//! Requests with an idempotency key, struck anywhere, and what a retry then meets: true answers, and one effect.

use firn_types::mode::Mode;

use crate::world::{Fault, Lines, Outcome, Piece, Point, World, line};

const KEY: Option<&str> = Some("key");

/// A chunk of preview holds one record of this content.
const RECORD_LEN_BYTES: usize = 60_000;

/// Tries that ingest makes by itself.
const FOR_GOOD: u32 = 3;

#[derive(Clone, Copy, Debug)]
enum Struck {
    At(Point, Fault, u32),
    /// The body breaks off before this line.
    Abort(usize),
}

/// What follows a struck request: the same body or one whose first chunk is another, at once or when its lease is over.
const RETRIES: [(&str, bool, i64); 4] =
    [("same", false, 0), ("same, later", false, 31), ("other", true, 0), ("other, later", true, 31)];

fn body(other: bool) -> Lines {
    let content = |id: &str| if other && id == "a" { "other" } else { "same" };
    ["a", "b", "c"].map(|id| line("page", id, content(id), RECORD_LEN_BYTES)).to_vec()
}

/// Runs a struck request and then each retry, and compares what they are answered; whichever body was taken is there
/// once, and it alone.
#[track_caller]
fn check(struck: Struck, first: &str, retried: [&str; 4]) {
    for ((name, other, secs), expected) in RETRIES.into_iter().zip(retried) {
        let what = format!("{struck:?}, then {name}");
        let world = World::new();
        let mut lines = body(false);
        match struck {
            Struck::At(point, fault, times) => world.strike(point, fault, times),
            Struck::Abort(idx) => {
                lines.truncate(idx);
                lines.push(Piece::BreaksOff);
            }
        }
        let answered = world.request(Mode::Preview, KEY, &lines);
        assert_eq!(answered.brief(), first, "{what}");
        if answered.brief() == "200" {
            assert_eq!(world.versions(), 3, "{what}");
        }
        world.pass(secs);
        world.alarm();
        let again = world.request(Mode::Preview, KEY, &body(other));
        assert_eq!(again.brief(), expected, "{what}");
        if let Outcome::Answered { retry_after: Some(secs), .. } = again {
            assert!((1..=30).contains(&secs), "{what}: {secs}");
        }
        if again.brief() == "200 replayed" && answered.brief() == "200" {
            assert_eq!(again.body(), answered.body(), "{what}");
        }
        let is_others = other && expected == "200";
        // A refused body changed nothing: the key's own is taken still.
        world.pass(31);
        world.alarm();
        let last = world.request(Mode::Preview, KEY, &body(false)).brief();
        let expected = if is_others { "422 idempotency_mismatch" } else { "200" };
        assert!(last.starts_with(expected), "{what}, then same: {last}");
        assert_one_effect(&world, is_others, &what);
    }
}

#[track_caller]
fn assert_one_effect(world: &World, is_others: bool, what: &str) {
    world.pass(3_600);
    world.alarm();
    let batch = world.ledger.next_batch(world.now(), 4_000_000).unwrap().expect("rows to send");
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&batch.json).unwrap();
    let found: Vec<_> = rows
        .iter()
        .map(|row| {
            let content = row["markdown"].as_str().unwrap().split(' ').next().unwrap();
            (row["id"].as_str().unwrap(), content)
        })
        .collect();
    let a = if is_others { "other" } else { "same" };
    assert_eq!(found, [("a", a), ("b", "same"), ("c", "same")], "{what}");
    assert_eq!(world.versions(), 3, "{what}");
    for table in ["staged", "chunks", "ingests"] {
        assert_eq!(world.db.number(&format!("SELECT COUNT(*) FROM {table}")), 0, "{what}: {table}");
    }
    assert_eq!(world.db.number("SELECT COUNT(*) FROM content"), 3, "{what}");
}

const STAGES: [Point; 3] = [Point::Stage(0), Point::Stage(1), Point::Stage(2)];
const REPLAYED: [&str; 4] =
    ["200 replayed", "200 replayed", "422 idempotency_mismatch", "422 idempotency_mismatch"];
const NEW: [&str; 4] = ["200"; 4];
const RUNNING: &str = "409 idempotency_in_progress";

#[test]
fn what_fails_once_is_done_all_the_same() {
    for point in [Point::Stage(0), Point::Stage(1), Point::Stage(2), Point::Commit] {
        for fault in [Fault::FailBefore, Fault::FailAfter, Fault::Hang] {
            check(Struck::At(point, fault, 1), "200", REPLAYED);
        }
    }
}

#[test]
fn what_fails_for_good_before_the_commit_took_nothing_and_leaves_the_key_free() {
    for point in STAGES {
        for fault in [Fault::FailBefore, Fault::FailAfter] {
            check(Struck::At(point, fault, FOR_GOOD), "503 storage_unavailable", NEW);
        }
        check(Struck::At(point, Fault::Hang, FOR_GOOD), "503 storage_unavailable", NEW);
    }
    check(Struck::At(Point::Commit, Fault::FailBefore, FOR_GOOD), "503 storage_unavailable", NEW);
}

#[test]
fn commit_whose_answer_never_came_is_answered_to_the_retry() {
    for fault in [Fault::FailAfter, Fault::Hang] {
        check(Struck::At(Point::Commit, fault, FOR_GOOD), "503 storage_unavailable", REPLAYED);
    }
    check(Struck::At(Point::Commit, Fault::KillAfter, 1), "killed", REPLAYED);
    check(Struck::At(Point::Purge, Fault::KillAfter, 1), "killed", REPLAYED);
}

#[test]
fn answer_whose_commit_is_unknown_does_not_say_that_nothing_was_taken() {
    let world = World::new();
    world.strike(Point::Commit, Fault::FailAfter, FOR_GOOD);
    let answered = world.request(Mode::Preview, KEY, &body(false));
    assert!(answered.body().get("accepted").is_none(), "{answered:?}");
    assert!(answered.body()["detail"].as_str().unwrap().contains("not known"), "{answered:?}");
    let world = World::new();
    world.strike(Point::Stage(1), Fault::FailAfter, FOR_GOOD);
    assert_eq!(world.request(Mode::Preview, KEY, &body(false)).body()["accepted"], 0);
}

#[test]
fn body_that_breaks_off_took_nothing_and_leaves_the_key_free() {
    for idx in 0..=3 {
        check(Struck::Abort(idx), "400 body_incomplete", NEW);
    }
}

#[test]
fn request_that_died_is_running_until_its_lease_ends_and_then_goes_on() {
    let other = "422 idempotency_mismatch";
    check(Struck::At(Point::Open, Fault::KillBefore, 1), "killed", NEW);
    // Nothing was taken under the key: any body may have it.
    check(Struck::At(Point::Open, Fault::KillAfter, 1), "killed", [RUNNING, "200", RUNNING, "200"]);
    check(Struck::At(Point::Stage(0), Fault::KillBefore, 1), "killed", [RUNNING, "200", RUNNING, "200"]);
    check(Struck::At(Point::Stage(0), Fault::KillAfter, 1), "killed", [RUNNING, "200", RUNNING, other]);
    for point in [Point::Stage(1), Point::Stage(2)] {
        for fault in [Fault::KillBefore, Fault::KillAfter] {
            check(Struck::At(point, fault, 1), "killed", [RUNNING, "200", RUNNING, other]);
        }
    }
    check(Struck::At(Point::Commit, Fault::KillBefore, 1), "killed", [RUNNING, "200", RUNNING, other]);
}

#[test]
fn request_that_cannot_even_be_aborted_is_running_until_its_lease_ends() {
    let world = World::new();
    let mut lines = body(false);
    lines[2] = Piece::BreaksOff;
    world.strike(Point::Abort, Fault::FailBefore, 1);
    assert_eq!(world.request(Mode::Preview, KEY, &lines).brief(), "400 body_incomplete");
    assert_eq!(world.request(Mode::Preview, KEY, &body(false)).brief(), RUNNING);
    world.pass(31);
    assert_eq!(world.request(Mode::Preview, KEY, &body(false)).brief(), "200");
    assert_one_effect(&world, false, "abort that failed");
}

#[test]
fn answer_that_kv_has_not_yet_is_the_ledgers() {
    let world = World::new();
    let first = world.request(Mode::Preview, KEY, &body(false));
    world.forget_answers();
    let again = world.request(Mode::Preview, KEY, &body(false));
    assert_eq!((again.brief().as_str(), again.body()), ("200 replayed", first.body()));
    // Which gave it to KV again, for when the ledger has dropped it.
    world.pass(3_600);
    world.alarm();
    assert_eq!(world.request(Mode::Preview, KEY, &body(false)).body(), first.body());
    assert_eq!(world.versions(), 3);
}
