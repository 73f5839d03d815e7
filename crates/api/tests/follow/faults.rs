//! The follower killed at any operation, and two of them at once.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use futures::executor::block_on;
use proptest::prelude::*;

use crate::{
    build::Row,
    lake::When,
    world::{ID, NS, World, keys, row},
};

/// A world that is followed, and then changed in every way at once: a namespace that waits, new files, deletes of each
/// kind, a compaction of some.
fn changed_world() -> (World, Vec<Row>) {
    let mut world = World::new(2);
    let mut rows = vec![row("alpha.example", "a", 1), row("b", "x", 2), row("b", "y", 3), row("b", "w", 4)];
    world.table.append(&rows[..2]);
    world.table.append(&rows[2..]);
    world.snapshot();
    world.follow();
    let versions = world.peers.publish("b", &["p", "q"]);
    world.peers.send("b");
    let published = [row("b", "p", versions[0]), row("gamma", "n", 11), row("b", "r", 12)];
    world.table.append(&published);
    world.table.delete_positions(1, &[1].into(), true);
    world.snapshot();
    world.table.delete_equal(&[NS, ID], &[row("b", "x", 0), row("b", "r", 0)], &Row::new());
    world.snapshot();
    world.table.remove(1);
    let rewritten = [row("b", "y", 3), row("b", "z", 13)];
    world.table.append(&rewritten);
    world.snapshot();
    rows.extend(published.into_iter().chain(rewritten));
    (world, rows)
}

#[test]
fn follower_killed_at_any_operation_comes_to_the_same_state() {
    let (world, rows) = changed_world();
    world.bucket.faults.clear();
    world.follow();
    let operation_count = world.bucket.faults.operation_count.get();
    assert!(operation_count > 30, "{operation_count}");
    world.check(&keys(&rows));
    let expected = world.state();
    for operation in 0..operation_count {
        for when in [When::Before, When::After] {
            let (world, _) = changed_world();
            world.bucket.faults.kill_at(operation, when);
            let report = block_on(world.run(&World::config()));
            let is_reported = report.tables[0].ending.as_str() == "failed" || report.tell_error.is_some();
            assert!(is_reported, "{operation} {when:?}: {report:?}");
            world.bucket.faults.clear();
            world.follow();
            assert_eq!(world.state(), expected, "{operation} {when:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn two_followers_at_once_come_to_the_state_of_one(turns in prop::collection::vec(any::<bool>(), 400)) {
        let (world, rows) = changed_world();
        world.follow();
        let expected = world.state();
        let (world, _) = changed_world();
        world.bucket.faults.yields.set(true);
        let config = World::config();
        {
            let (mut first, mut second) = (pin!(world.run(&config)), pin!(world.run(&config)));
            let mut context = Context::from_waker(Waker::noop());
            let (mut first_report, mut second_report) = (None, None);
            for turn in turns.into_iter().cycle() {
                if (turn || second_report.is_some()) && first_report.is_none() {
                    if let Poll::Ready(report) = first.as_mut().poll(&mut context) {
                        first_report = Some(report);
                    }
                } else if second_report.is_none() {
                    if let Poll::Ready(report) = second.as_mut().poll(&mut context) {
                        second_report = Some(report);
                    }
                } else {
                    break;
                }
            }
            for report in [first_report, second_report].into_iter().flatten() {
                let ending = report.tables[0].ending.as_str();
                prop_assert!(["current", "overtaken"].contains(&ending), "{report:?}");
            }
        }
        world.bucket.faults.yields.set(false);
        world.follow();
        world.check(&keys(&rows));
        prop_assert_eq!(world.state(), expected);
    }
}
