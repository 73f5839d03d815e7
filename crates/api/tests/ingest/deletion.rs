//! Deletions: what is current is gone at once, for whoever could read it.

use firn_api::{
    ingest::deletion::{Deletion, DeletionNames, delete},
    ledger::deletion::Condition,
};
use firn_auth::identity::{Identity, Scopes};
use firn_ledger::{
    confirm::{DataFile, SeenRow},
    read::{Known, Place, Read},
    row::{Owner, Standing},
};
use firn_types::{key::ArtifactKey, mode::Mode, visibility::Visibility};
use serde_json::Value as Json;

use crate::world::{Fault, Outcome, Piece, Point, World, identity, line, outcome_of};

/// Somebody else who may write the namespace.
fn eve() -> Identity {
    Identity {
        org: Some("other".to_owned()),
        sub: Some("eve".to_owned()),
        scopes: Scopes::parse("artifacts:write"),
        ..identity()
    }
}

fn owner_of(identity: &Identity) -> Owner {
    Owner { iss: Some(identity.issuer.clone()), org: identity.org.clone(), sub: identity.sub.clone() }
}

struct Asked<'a> {
    id: &'a str,
    condition: Option<Condition>,
    key: Option<&'a str>,
}

const fn asked(id: &str) -> Asked<'_> {
    Asked { id, condition: None, key: None }
}

fn ask(world: &World, asked: Asked<'_>) -> Outcome {
    let key = ArtifactKey::parse("app.do", "page", asked.id).unwrap();
    let if_match = format!("{:?}", asked.condition);
    let deletion =
        Deletion { identity: eve(), key, idempotency_key: None, condition: asked.condition, if_match };
    // Whatever digest: it only has to differ where the preimage does.
    let mut fingerprint = [0_u8; 32];
    for (idx, byte) in deletion.preimage().into_iter().enumerate() {
        fingerprint[idx % 32] = fingerprint[idx % 32].rotate_left(3) ^ byte;
    }
    let names = DeletionNames { request_id: "r", ingest_id: "d", key: asked.key, fingerprint };
    let deleting = delete(&deletion, &names, &world.allowance, world);
    world.run(deleting).map_or(Outcome::Nothing, outcome_of)
}

fn publish(world: &World, id: &str, more: &str) -> i64 {
    let record = format!(r#"{{"ns":"app.do","type":"page","id":"{id}","markdown":"x"{more}}}"#);
    assert_eq!(world.request(Mode::Build, None, &vec![Piece::Line(record)]).brief(), "200");
    world.purged.take();
    known(world, id).version
}

fn known(world: &World, id: &str) -> Known {
    match world.ledger.read("page", id).unwrap() {
        Read::Known(known) => known,
        other @ Read::Unknown { .. } => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_tombstone(world: &World, id: &str, visibility: Visibility, owner: &Owner) -> Json {
    let known = known(world, id);
    let standing = Standing { visibility: Some(visibility), deleted: true, expires_at: None, size_bytes: 0 };
    assert_eq!((known.standing, &known.owner), (standing, owner));
    let Place::Content(row) = known.place else { panic!("{:?}", known.place) };
    let row: Json = serde_json::from_slice(&row).unwrap();
    assert_eq!(row["version"], known.version);
    assert_eq!(row["visibility"], visibility.as_str());
    assert_eq!(row["owner_sub"].as_str(), owner.sub.as_deref());
    row
}

#[test]
fn tombstone_is_current_on_return_and_purged() {
    let world = World::new();
    let version = publish(&world, "a", "");
    let deleted = ask(&world, asked("a"));
    assert_eq!(deleted.brief(), "200");
    let now = known(&world, "a").version;
    assert!(now > version);
    assert_eq!(deleted.body(), &serde_json::json!({ "version": now.to_string(), "requestId": "r" }));
    assert_eq!(world.purged.take(), ["page/a"]);
    let row = assert_tombstone(&world, "a", Visibility::Public, &owner_of(&identity()));
    for (member, value) in
        [("ns", "app.do"), ("type", "page"), ("id", "a"), ("mode", "build"), ("ingest_id", "d")]
    {
        assert_eq!(row[member], value);
    }
    assert_eq!((&row["deleted"], &row["size_bytes"]), (&true.into(), &0.into()));
    assert_eq!(row["hash"], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    let batch = world.ledger.next_batch(world.now(), 4_000_000).unwrap().unwrap();
    assert_eq!(batch.versions, [version, now], "it goes to the lake");
}

#[test]
fn whoever_could_read_it_and_nobody_else_may_read_the_tombstone() {
    let world = World::new();
    for (visibility, id) in [(Visibility::User, "u"), (Visibility::Org, "o"), (Visibility::Unlisted, "l")] {
        publish(&world, id, &format!(r#","visibility":"{}""#, visibility.as_str()));
        assert_eq!(ask(&world, asked(id)).brief(), "200");
        assert_tombstone(&world, id, visibility, &owner_of(&identity()));
    }
    // Another engine's row, for admins alone.
    let standing = Standing { visibility: None, deleted: false, expires_at: None, size_bytes: 1 };
    let row = SeenRow {
        artifact_type: "page".to_owned(),
        id: "x".to_owned(),
        version: Some(1),
        owner: owner_of(&identity()),
        standing,
        hash: None,
        row: 0,
    };
    let file = DataFile { table: "t", path: "f", sequence: 1 };
    world.ledger.confirm(world.now(), &file, &[row]).unwrap();
    assert_eq!(ask(&world, asked("x")).brief(), "200");
    assert_tombstone(&world, "x", Visibility::User, &Owner::default());
}

#[test]
fn what_only_the_lake_may_know_is_deleted_and_what_is_gone_is_not_there() {
    let mut world = World::new();
    assert_eq!(ask(&world, asked("nobody")).brief(), "200");
    assert_tombstone(&world, "nobody", Visibility::User, &owner_of(&eve()));
    assert_eq!(ask(&world, asked("nobody")).brief(), "404 not_found");
    publish(&world, "expired", r#","expires_at":"2000-01-01T00:00:00Z""#);
    assert_eq!(ask(&world, asked("expired")).brief(), "404 not_found");
    // It can be written again, and deleted again.
    publish(&world, "nobody", "");
    assert_eq!(ask(&world, asked("nobody")).brief(), "200");
    world.allowance.requests_per_minute = 1;
    assert_eq!(ask(&world, asked("nobody")).brief(), "429 rate_limited");
}

#[test]
fn condition_is_of_the_current_version() {
    let world = World::new();
    let version = publish(&world, "a", "");
    let on = |id, condition| ask(&world, Asked { condition: Some(condition), ..asked(id) });
    let failed = on("a", Condition::OneOf(vec![version - 1, version + 1]));
    assert_eq!(
        (failed.brief().as_str(), &failed.body()["found"]),
        ("412 precondition_failed", &version.to_string().into())
    );
    assert_eq!(known(&world, "a").version, version, "nothing was written");
    assert_eq!(on("a", Condition::OneOf(vec![1, version])).brief(), "200");
    // Without the condition it would be 404, so it does not count (RFC 9110 §13.2.1).
    assert_eq!(on("a", Condition::Any).brief(), "404 not_found");
    let failed = on("unknown", Condition::Any);
    assert_eq!((failed.brief().as_str(), &failed.body()["found"]), ("412 precondition_failed", &"0".into()));
    publish(&world, "a", "");
    assert_eq!(on("a", Condition::Any).brief(), "200");
    assert_eq!(world.purged.take(), ["page/a"]);
}

#[test]
fn under_a_key_it_has_its_effect_once() {
    let world = World::new();
    publish(&world, "a", "");
    let under = |id, key| ask(&world, Asked { key: Some(key), ..asked(id) });
    let first = under("a", "k");
    let again = under("a", "k");
    assert_eq!((again.brief().as_str(), again.body()), ("200 replayed", first.body()));
    assert_eq!(world.purged.take().len(), 2, "who answered first may have died before its purge");
    assert_eq!(under("b", "k").brief(), "422 idempotency_mismatch");
    let lines = vec![line("page", "c", "1", 0)];
    assert_eq!(world.request(Mode::Build, Some("k"), &lines).brief(), "422 idempotency_mismatch");
    // Refusals are not kept.
    assert_eq!(under("a", "again").brief(), "404 not_found");
    publish(&world, "a", "");
    assert_eq!(under("a", "again").brief(), "200");
    assert_eq!(world.versions(), 4);
}

#[test]
fn purge_that_fails_or_hangs_fails_nothing_and_a_ledger_that_fails_is_503() {
    let world = World::new();
    publish(&world, "a", "");
    world.strike(Point::Purge, Fault::Hang, 1);
    assert_eq!(ask(&world, asked("a")).brief(), "200");
    assert_eq!(world.log.take(), ["not done within 3000 ms"]);
    world.strike(Point::Delete, Fault::FailBefore, 1);
    assert_eq!(ask(&world, asked("a")).brief(), "503 storage_unavailable");
}
