//! Many requests for one artifact at once.

use firn_types::visibility::Visibility;
use futures::future::join_all;

use crate::world::{Got, World};

const HOME: &str = "/$.content/app.do/page/home.html";

/// A world whose `home` lies in the lake.
fn in_lake(visibility: Visibility) -> World {
    let world = World::new();
    let version = world.publish("home", visibility, "v1");
    world.move_to_lake(&[("home", version, visibility, "v1")]);
    world.took_calls();
    world
}

fn crowd(world: &World, count: usize, headers: &[(&str, &str)]) -> Vec<Got> {
    let requests: Vec<_> = (0..count).map(|_| world.start("GET", HOME, headers, "")).collect();
    world.run(join_all(requests))
}

fn lookups(world: &World) -> usize {
    world.took_calls().iter().filter(|call| **call == "lake").count()
}

#[test]
fn a_crowd_costs_one_lookup_and_each_asks_the_ledger() {
    let world = in_lake(Visibility::Public);
    let got = crowd(&world, 200, &[]);
    assert!(got.iter().all(|got| got.brief() == "200 parquet v1"));
    assert_eq!(got.iter().map(|got| got.reads).sum::<u64>(), 1);
    let calls = world.took_calls();
    assert_eq!(calls.iter().filter(|call| **call == "lake").count(), 1);
    assert_eq!(calls.iter().filter(|call| **call == "read").count(), 200);
    assert_eq!(world.shared.flights.count(), 0);
}

#[test]
fn followers_are_judged_for_themselves() {
    let world = in_lake(Visibility::Org);
    let mut requests = Vec::new();
    for caller in ["o", "x", "o", "y"] {
        requests.push(world.start("GET", HOME, &[("authorization", caller)], ""));
    }
    requests.push(world.start("GET", HOME, &[], ""));
    let got = world.run(join_all(requests));
    let briefs: Vec<_> = got.iter().map(Got::brief).collect();
    assert_eq!(briefs, ["200 parquet v1", "404", "200 parquet v1", "404", "404"]);
    assert_eq!(lookups(&world), 1);
    assert_eq!(world.copy_count(), 0);
}

#[test]
fn a_leader_that_vanishes_holds_nobody_beyond_its_deadline_and_the_key_is_usable() {
    let world = in_lake(Visibility::Public);
    world.deployment.vanishes.set(true);
    // Its client waits for ever, as the runtime would end it.
    drop(Box::pin(world.start("GET", HOME, &[], "")));
    let leader = world.start("GET", HOME, &[], "");
    let mut leader = Box::pin(leader);
    let waker = std::task::Waker::noop();
    assert!(leader.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
    world.deployment.vanishes.set(false);
    let before = world.now_ms();
    let got = crowd(&world, 10, &[]);
    assert!(got.iter().all(|got| got.brief() == "200 parquet v1"));
    let waited = world.now_ms() - before;
    assert!(waited < 2_200, "{waited} ms");
    std::mem::forget(leader);
    assert_eq!(crowd(&world, 3, &[]).len(), 3);
}

#[test]
fn a_lookup_that_fails_fails_those_who_waited_and_nobody_after_them() {
    let world = in_lake(Visibility::Public);
    world.deployment.lake_fails.set(true);
    let got = crowd(&world, 30, &[]);
    assert!(got.iter().all(|got| got.status == 503));
    assert_eq!(lookups(&world), 1);
    world.deployment.lake_fails.set(false);
    assert!(crowd(&world, 30, &[]).iter().all(|got| got.brief() == "200 parquet v1"));
}

#[test]
fn a_slow_leader_is_left_by_those_who_come_later() {
    let world = in_lake(Visibility::Public);
    world.deployment.lookup_ms.set(4_000);
    let before = world.now_ms();
    let got = crowd(&world, 5, &[]);
    assert!(got.iter().all(|got| got.brief() == "200 parquet v1"));
    // The followers waited 2 s, then looked for themselves.
    assert!(world.now_ms() - before < 6_400);
    assert_eq!(world.shared.flights.count(), 0);
}

#[test]
fn a_thousand_different_ones_take_their_turns() {
    let world = World::new();
    let ids: Vec<String> = (0..300).map(|nth| format!("p{nth}")).collect();
    let mut rows = Vec::new();
    for id in &ids {
        rows.push((id.as_str(), world.publish(id, Visibility::Public, id), Visibility::Public, id.as_str()));
    }
    world.move_to_lake(&rows);
    world.took_calls();
    let path = |id: &String| format!("/$.content/app.do/page/{id}.html");
    let requests: Vec<_> = ids.iter().map(|id| world.start("GET", &path(id), &[], "")).collect();
    let got = world.run(join_all(requests));
    assert!(got.iter().zip(&ids).all(|(got, id)| got.body == *id));
    assert_eq!(lookups(&world), 300);
}
