//! What the edge cache may answer, and what it never does.

use std::{rc::Rc, time::Duration};

use firn_types::{
    tenant::{CorsOrigins, TenantConfig},
    visibility::Visibility,
};

use crate::world::World;

const HOME: &str = "/$.content/app.do/page/home.html";

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A world whose `home` has settled in the edge cache.
fn settled() -> World {
    let world = World::new();
    world.publish("home", Visibility::Public, "v1");
    assert_eq!(world.get(HOME).brief(), "200 ledger v1");
    world.pass(secs(6));
    world.took_calls();
    world
}

#[test]
fn a_copy_answers_alone_once_it_has_settled_and_grows_stale_and_ends() {
    let world = World::new();
    world.publish("home", Visibility::Public, "v1");
    let first = world.get(HOME);
    assert_eq!(
        (first.brief().as_str(), first.header("cache-status")),
        ("200 ledger v1", "firn; fwd=uri-miss; stored")
    );
    assert_eq!(world.took_calls(), ["read", "version"]);
    world.pass(secs(1));
    assert_eq!(world.get(HOME).brief(), "200 cache v1");
    assert_eq!(world.took_calls(), ["read"], "not settled: the ledger is asked");
    world.pass(secs(10));
    let hit = world.get(HOME);
    assert_eq!((hit.brief().as_str(), hit.header("cache-status")), ("200 cache v1", "firn; hit; ttl=289"));
    assert_eq!((hit.header("age"), hit.header("etag")), ("11", first.header("etag")));
    assert_eq!(world.took_calls(), [""; 0]);
    world.pass(secs(300));
    let stale = world.get(HOME);
    assert_eq!(stale.header("cache-status"), "firn; hit; ttl=-11; detail=stale");
    assert_eq!(world.took_calls(), ["read", "version"], "refreshed behind the answer");
    world.pass(secs(10));
    assert_eq!(world.get(HOME).header("age"), "10");
    world.pass(secs(360));
    assert_eq!(world.get(HOME).header("cache-status"), "firn; fwd=uri-miss; stored");
}

#[test]
fn stale_copies_are_refreshed_once_and_removed_when_the_artifact_is_no_more_for_anyone() {
    let world = settled();
    world.publish("home", Visibility::Org, "v2");
    world.pass(secs(310));
    world.took_calls();
    let crowd: Vec<_> = (0..20).map(|_| world.start("GET", HOME, &[], "")).collect();
    let got = world.run(futures::future::join_all(crowd));
    // Its purge was lost: within max-age and stale-while-revalidate it may still be seen.
    assert!(got.iter().all(|got| got.brief() == "200 cache v1"));
    assert_eq!(world.took_calls(), ["read"]);
    assert_eq!(world.copy_count(), 0);
    assert_eq!(world.get(HOME).status, 404);
}

#[test]
fn a_purge_is_in_force_at_the_next_read() {
    for (visibility, status) in [(Visibility::Public, "200 ledger v2"), (Visibility::Org, "404")] {
        let world = settled();
        world.publish("home", visibility, "v2");
        world.purge(&["home"]);
        assert_eq!(world.get(HOME).brief(), status);
    }
    let world = settled();
    world.publish_with("home", Visibility::Public, "", "build", true);
    world.purge(&["home"]);
    assert_eq!(world.get(HOME).status, 410);
}

#[test]
fn a_copy_that_races_with_a_write_is_found_out_by_whoever_reads_it_and_removed() {
    let world = World::new();
    world.publish("home", Visibility::Public, "v1");
    let deployment = Rc::clone(&world.deployment);
    // Between the read and the storing of the copy: a write whose purge finds nothing to remove.
    *world.deployment.before_store.borrow_mut() =
        Some(Box::new(move || deployment.publish_later("home", Visibility::Org, "v2")));
    assert_eq!(world.get(HOME).brief(), "200 ledger v1");
    assert_eq!(world.copy_count(), 0, "removed again");
    assert_eq!(world.get(HOME).status, 404);
    // The same, where whoever stored it has not come to remove it.
    let world = World::new();
    world.publish("home", Visibility::Public, "v1");
    world.get(HOME);
    world.publish("home", Visibility::Org, "v2");
    assert_eq!(world.get(HOME).status, 404, "the copy is young: the ledger is asked");
}

#[test]
fn nothing_is_copied_but_what_anyone_may_read() {
    let world = World::new();
    for (visibility, caller) in
        [(Visibility::Org, "o"), (Visibility::Unlisted, "o"), (Visibility::Public, "x")]
    {
        let before = world.copy_count();
        world.publish("home", visibility, visibility.as_str());
        let got = world.send("GET", HOME, &[("authorization", caller)], "");
        assert_eq!(got.status, 200, "{visibility:?}");
        let is_open = visibility.is_open();
        assert_eq!(world.copy_count() - before, usize::from(is_open), "{visibility:?}");
        let expected =
            if is_open { "public, max-age=300, stale-while-revalidate=60" } else { "private, no-store" };
        assert_eq!(got.header("cache-control"), expected);
        world.purge(&["home"]);
    }
    let expected = world.get("/$.content/app.do/page/absent.html");
    world.publish("hidden", Visibility::Org, "secret");
    let hidden = world.get("/$.content/app.do/page/hidden.html");
    assert_eq!(hidden.status, 404);
    assert_eq!((hidden.headers, hidden.body), (expected.headers, expected.body), "equal to the absent");
    world.publish_with("draft", Visibility::Public, "d1", "preview", false);
    let draft = world.get("/$.content/app.do/page/draft.html");
    assert_eq!(
        (draft.brief().as_str(), draft.header("cache-control")),
        ("200 ledger d1", "public, max-age=0, must-revalidate")
    );
    assert_eq!(world.copy_count(), 0);
}

#[test]
fn fresh_goes_past_every_cache_and_is_kept_in_none() {
    let world = settled();
    let fresh = world.get(&format!("{HOME}?fresh=true"));
    assert_eq!((fresh.brief().as_str(), fresh.header("cache-control")), ("200 ledger v1", "no-store"));
    assert_eq!(fresh.header("cache-status"), "firn; fwd=bypass");
    assert_eq!(world.took_calls(), ["read"]);
    let younger = world.get(&format!("{HOME}?max_age=10"));
    assert_eq!(younger.header("cache-control"), "public, max-age=10, stale-while-revalidate=60");
    assert_eq!((younger.header("cache-status"), younger.header("age")), ("firn; hit; ttl=4", "6"));
    world.deployment.terms.borrow_mut().fresh = false;
    assert_eq!(world.get(&format!("{HOME}?fresh=true")).status, 400);
    assert_eq!(world.get(&format!("{HOME}?max_age=x")).status, 400);
}

#[test]
fn conditions_ranges_and_head_are_the_same_from_a_copy() {
    let world = World::new();
    world.publish("home", Visibility::Public, "0123456789");
    let plain = world.get(HOME);
    let etag = plain.header("etag").to_owned();
    let ask = |method: &str, headers: &[(&str, &str)]| {
        let mut got = world.send(method, HOME, headers, "");
        for name in ["cache-status", "age", "x-artifact-source"] {
            got.headers.remove(name);
        }
        got
    };
    let requests: [(&str, Vec<(&str, &str)>); 6] = [
        ("GET", vec![]),
        ("HEAD", vec![]),
        ("GET", vec![("if-none-match", &etag)]),
        ("GET", vec![("range", "bytes=2-4")]),
        ("GET", vec![("range", "bytes=20-")]),
        ("GET", vec![("range", "bytes=2-4"), ("if-range", "\"other\"")]),
    ];
    let copies = world.deployment.copies.take();
    let from_ledger: Vec<_> = requests
        .iter()
        .map(|(method, headers)| {
            world.deployment.copies.take();
            ask(method, headers)
        })
        .collect();
    world.deployment.copies.replace(copies);
    world.pass(secs(6));
    world.took_calls();
    let from_copy: Vec<_> = requests.iter().map(|(method, headers)| ask(method, headers)).collect();
    assert_eq!(world.took_calls(), [""; 0]);
    assert_eq!(from_copy, from_ledger);
    let statuses: Vec<_> = from_copy.iter().map(|got| got.status).collect();
    assert_eq!(statuses, [200, 200, 304, 206, 416, 200]);
    assert_eq!((from_copy[1].body.as_str(), from_copy[1].header("content-length")), ("", "10"));
    assert_eq!(from_copy[3].body, "234");
}

#[test]
fn a_ledger_that_fails_is_503_but_for_public_content_where_the_namespace_has_opted_in() {
    let world = World::new();
    let public = world.publish("home", Visibility::Public, "v1");
    let org = world.publish("team", Visibility::Org, "t1");
    world.move_to_lake(&[("home", public, Visibility::Public, "v1"), ("team", org, Visibility::Org, "t1")]);
    world.deployment.ledger.take();
    let team = "/$.content/app.do/page/team.html";
    for path in [HOME, team] {
        let got = world.get(path);
        assert_eq!((got.status, got.header("retry-after")), (503, "2"));
    }
    world.deployment.terms.borrow_mut().lake_only_public = true;
    let got = world.get(HOME);
    assert_eq!((got.brief().as_str(), got.header("cache-status")), ("200 parquet v1", "firn; fwd=uri-miss"));
    assert_eq!(world.copy_count(), 0, "nobody vouches for it");
    assert_eq!(world.send("GET", team, &[("authorization", "o")], "").status, 503);
    assert_eq!(world.get("/$.content/app.do/page/absent.html").status, 503);
}

#[test]
fn a_copy_within_its_bound_stands_in_for_a_lake_that_fails_and_for_nothing_else() {
    let world = World::new();
    let version = world.publish("home", Visibility::Public, "v1");
    world.move_to_lake(&[("home", version, Visibility::Public, "v1")]);
    assert_eq!(world.get(HOME).brief(), "200 parquet v1");
    world.pass(secs(100));
    world.deployment.lake_fails.set(true);
    let got = world.get(&format!("{HOME}?max_age=10"));
    assert_eq!(
        (got.brief().as_str(), got.header("cache-status")),
        ("200 cache v1", "firn; hit; ttl=-90; detail=failed")
    );
    let failed = world.get(&format!("{HOME}?fresh=true"));
    assert_eq!((failed.status, failed.header("cache-control")), (503, "no-store"));
    world.pass(secs(300));
    assert_eq!(world.get(HOME).status, 503, "beyond its bound");
    world.deployment.lake_fails.set(false);
    assert_eq!(world.get(HOME).brief(), "200 parquet v1", "an error is kept nowhere");
}

#[test]
fn many_keys_are_left_behind_by_a_new_generation() {
    let world = settled();
    world.publish("other", Visibility::Public, "o1");
    world.get("/$.content/app.do/page/other.html");
    world.pass(secs(6));
    let ids: Vec<String> = (0..500).map(|nth| format!("p{nth}")).chain(["home".to_owned()]).collect();
    world.publish("home", Visibility::Org, "v2");
    world.purge(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(world.get(HOME).status, 404);
    assert_eq!(
        world.get("/$.content/app.do/page/other.html").brief(),
        "200 ledger o1",
        "a miss, and no more"
    );
    // The numbers of generations are lost: what was left behind does not come back.
    world.deployment.copies.borrow_mut().retain(|place, _| place.starts_with("/c/"));
    world.pass(secs(1));
    assert_eq!(world.get(HOME).status, 404);
}

#[test]
fn copies_carry_the_tags_of_their_artifact_and_end_with_it() {
    let world = settled();
    let copies = world.deployment.copies.borrow();
    let (_, (_, tags, bytes, _)) = copies.iter().find(|(place, _)| place.starts_with("/c/")).unwrap();
    assert_eq!((tags.as_str(), bytes.as_ref()), ("tag-home", b"v1".as_ref()));
}

#[test]
fn pages_of_the_allow_list_may_read_errors_too() {
    let world = settled();
    let origins = CorsOrigins::List(vec!["https://a.example".to_owned()]);
    *world.deployment.terms.borrow_mut() = TenantConfig { cors_origins: origins, ..TenantConfig::default() };
    let from = |path: &str, origin| world.send("GET", path, &[("origin", origin)], "");
    for path in [HOME, "/$.content/app.do/page/absent.html", &format!("{HOME}?max_age=x")] {
        let got = from(path, "https://a.example");
        assert_eq!(got.header("access-control-allow-origin"), "https://a.example", "{path}");
        assert!(got.header("vary").contains("Origin"), "{path}");
        assert_eq!(from(path, "https://b.example").header("access-control-allow-origin"), "", "{path}");
    }
    let preflight = [("origin", "https://a.example"), ("access-control-request-method", "GET")];
    let got = world.send("OPTIONS", HOME, &preflight, "");
    assert_eq!((got.status, got.header("access-control-allow-methods")), (204, "GET, HEAD, OPTIONS, DELETE"));
    let refused = world.send("PUT", HOME, &[], "");
    assert_eq!((refused.status, refused.header("allow")), (405, "GET, HEAD, OPTIONS, DELETE"));
}

#[test]
fn deployment_without_ledgers_copies_what_the_tables_have() {
    let world = World::new();
    world.deployment.has_ledgers.set(false);
    world.deployment.lake.borrow_mut().insert("home".to_owned(), (1, Visibility::Public, "v1".to_owned()));
    assert_eq!(world.get(HOME).brief(), "200 parquet v1");
    assert_eq!(world.get(HOME).brief(), "200 cache v1");
    assert_eq!(world.took_calls(), ["lake"]);
}
