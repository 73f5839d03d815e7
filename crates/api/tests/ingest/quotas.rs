//! Quotas of a day, counted exactly.

use firn_types::mode::Mode;

use crate::world::{Outcome, World, line};

/// Seconds from the world's beginning (2027-01-15T08:00:00Z) to the next day.
const DAY_ENDS_SECS: u64 = 57_600;

#[track_caller]
fn assert_spent(outcome: &Outcome, limit: u64) {
    let Outcome::Answered { status, code, retry_after, body, .. } = outcome else { panic!("no answer") };
    assert_eq!((*status, code.as_deref()), (429, Some("quota_spent")), "{body}");
    assert_eq!((*retry_after, &body["limit"]), (Some(DAY_ENDS_SECS), &limit.into()));
}

#[test]
fn records_that_are_written_count_and_the_next_day_begins_anew() {
    for mode in [Mode::Build, Mode::Bulk] {
        let mut world = World::new();
        world.allowance.records_per_day = Some(3);
        let publish = |ids: &[&str]| {
            world.request(mode, None, &ids.iter().map(|id| line("page", id, "1", 0)).collect())
        };
        assert_eq!(publish(&["a", "b"]).brief(), "200");
        if mode == Mode::Build {
            assert_eq!(publish(&["a", "b"]).brief(), "200", "what is unchanged is not written");
        }
        // The request that spends it is still taken whole.
        assert_eq!(publish(&["c", "d"]).brief(), "200");
        assert_spent(&publish(&["e"]), 3);
        assert_eq!(world.ledger.usage(world.now()).unwrap().record_count, 4);
        world.pass(57_600);
        assert_eq!(publish(&["e"]).brief(), "200", "{mode:?}");
    }
}

#[test]
fn bytes_that_are_written_count() {
    let mut world = World::new();
    world.allowance.len_bytes_per_day = Some(1_000);
    let publish = |id| world.request(Mode::Build, None, &vec![line("page", id, "1", 600)]);
    assert_eq!((publish("a").brief(), publish("b").brief()), ("200".to_owned(), "200".to_owned()));
    assert_spent(&publish("c"), 1_000);
    assert!(world.ledger.usage(world.now()).unwrap().len_bytes > 1_200);
}

#[test]
fn failed_requests_use_up_nothing() {
    let mut world = World::new();
    world.allowance.records_per_day = Some(2);
    let bad = crate::world::Piece::Line("{".to_owned());
    for _ in 0..3 {
        let lines = vec![line("page", "a", "1", 0), bad.clone()];
        assert_eq!(world.request(Mode::Build, None, &lines).brief(), "400 nothing_accepted");
    }
    assert_eq!(world.ledger.usage(world.now()).unwrap().record_count, 0);
}
