//! What a commit wrote is purged, after it and before the answer.

use firn_api::purge::port::RECORD_COUNT_MAX;
use firn_types::mode::Mode;

use crate::world::{Fault, Lines, Piece, Point, World, line};

#[track_caller]
fn publish(world: &World, lines: &Lines) {
    assert_eq!(world.request(Mode::Build, None, lines).brief(), "200");
}

fn pages(ids: impl Iterator<Item = u64>) -> Lines {
    ids.enumerate().map(|(nth, id)| line("page", &id.to_string(), &nth.to_string(), 0)).collect()
}

#[test]
fn keys_whose_row_was_written_are_purged_once_each_after_the_commit() {
    let world = World::new();
    publish(&world, &vec![line("page", "a", "1", 0), line("page", "b", "1", 0), line("page", "a", "2", 0)]);
    assert_eq!(world.purged.take(), ["page/b page/a"]);
    assert_eq!(world.calls.borrow().last_chunk(), Some(&[Point::Commit, Point::Purge]));
    publish(&world, &vec![line("page", "a", "2", 0), line("page", "c", "1", 0)]);
    assert_eq!(world.purged.take(), ["page/c"], "a is unchanged");
    publish(&world, &vec![line("page", "a", "2", 0)]);
    publish(&world, &Lines::new());
    assert!(world.purged.take().is_empty(), "nothing was written");
}

#[test]
fn requests_that_write_nothing_at_once_purge_nothing() {
    let world = World::new();
    let bad = Piece::Line("{".to_owned());
    assert_eq!(
        world.request(Mode::Build, None, &vec![line("page", "a", "1", 0), bad]).brief(),
        "400 nothing_accepted"
    );
    assert_eq!(world.request(Mode::Bulk, None, &vec![line("page", "a", "1", 0)]).brief(), "200");
    assert!(world.purged.take().is_empty());
}

#[test]
fn many_keys_come_in_pages_and_still_more_become_the_namespace() {
    let world = World::new();
    // The last 500 lines write keys again that are there already; the first page is full, and so is the last.
    publish(&world, &pages((0..2_000).chain(1_500..2_000)));
    let purged = world.purged.take();
    let keys: Vec<&str> = purged[0].split(' ').collect();
    assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), 2_000);
    assert_eq!(keys.len(), 2_000);
    publish(&world, &pages(10_000..10_001 + RECORD_COUNT_MAX));
    assert_eq!(world.purged.take(), ["all"]);
}

#[test]
fn keys_that_cannot_be_listed_become_the_namespace() {
    let world = World::new();
    world.strike(Point::Touched, Fault::FailBefore, 1);
    publish(&world, &pages(0..1_500));
    assert_eq!(world.purged.take(), ["all"]);
}

#[test]
fn purge_that_fails_or_hangs_fails_nothing_and_is_logged() {
    for (fault, cause) in [(Fault::FailBefore, "struck"), (Fault::Hang, "not done within 3000 ms")] {
        let world = World::new();
        world.strike(Point::Purge, fault, 1);
        publish(&world, &vec![line("page", "a", "1", 0)]);
        assert_eq!(world.log.take(), [cause]);
        assert_eq!(world.calls.borrow().iter().filter(|call| **call == Point::Commit).count(), 1);
    }
}

#[test]
fn replay_of_a_request_that_died_before_its_purge_purges() {
    let world = World::new();
    let lines = vec![line("page", "a", "1", 0)];
    world.strike(Point::Commit, Fault::KillAfter, 1);
    assert_eq!(world.request(Mode::Build, Some("k"), &lines).brief(), "killed");
    assert!(world.purged.borrow().is_empty());
    assert_eq!(world.request(Mode::Build, Some("k"), &lines).brief(), "200 replayed");
    assert_eq!(world.purged.take(), ["page/a"]);
    // Now KV has the answer, which was kept after the purge.
    assert_eq!(world.request(Mode::Build, Some("k"), &lines).brief(), "200 replayed");
    assert!(world.purged.take().is_empty());
}
