//! Reading an artifact out of tables that another engine wrote: how long it may take, what is asked again, and how long
//! a pointer is used.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test opens files, and what fails it may panic"
)]

use std::{
    cell::{Cell, RefCell},
    fs,
    future::{pending, poll_fn},
    path::{Path, PathBuf},
    task::Poll,
};

use firn_api::tables::{
    config::{LakeConfig, TableName},
    error::LakeError,
    held::HeldLake,
    pointers::BucketPointers,
    read::{Hint, Lake, ReadCost, read_artifact},
};
use firn_store::{
    memory::MemoryStore,
    perform::CONNECTIONS_MAX,
    read::{ObjectBytes, ObjectRead, StoreError, StoreErrorKind},
    retry::{ATTEMPTS_MAX, Pause},
    timeout::READ_TIMEOUT_MS,
};
use firn_types::{
    key::{ArtifactId, ArtifactKey, ArtifactType, Namespace},
    object::{ByteRange, ObjectKey},
    representation::Representation,
    time::Micros,
};
use futures::executor::block_on;

const TABLE: &str = "pyiceberg-default";
const HOLD: i64 = 5_000_000;
const DEADLINE_MS: u64 = 5_000;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/iceberg")
}

fn put_folder(store: &MemoryStore, folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            put_folder(store, &path);
        } else {
            let key = path.strip_prefix(fixtures()).unwrap().to_str().unwrap();
            store.put(&ObjectKey::new(key), fs::read(&path).unwrap().into());
        }
    }
}

fn pointer_object(table: &str) -> ObjectKey {
    ObjectKey::new(&format!("catalog/firn/{table}.json"))
}

/// A bucket with a table and its pointer.
fn bucket() -> MemoryStore {
    let store = MemoryStore::default();
    put_folder(&store, &fixtures().join(TABLE));
    put_pointer(&store, TABLE, &format!("s3://lake/{TABLE}/metadata.json"));
    store
}

fn put_pointer(store: &MemoryStore, table: &str, location: &str) {
    let pointer = format!(r#"{{"metadata-location":"{location}"}}"#);
    store.put(&pointer_object(table), pointer.into());
}

/// What the store does instead of answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Fail(StoreErrorKind),
    Hang,
}

/// Asks `fault` before each read, with its number and its object.
struct FaultyStore<F> {
    inner: MemoryStore,
    fault: F,
    asked: RefCell<Vec<ObjectKey>>,
    running: Cell<usize>,
    running_max: Cell<usize>,
}

impl<F: Fn(usize, &str) -> Option<Fault>> FaultyStore<F> {
    fn new(inner: MemoryStore, fault: F) -> Self {
        Self {
            inner,
            fault,
            asked: RefCell::default(),
            running: Cell::default(),
            running_max: Cell::default(),
        }
    }

    fn asked_for(&self, part: &str) -> usize {
        self.asked.borrow().iter().filter(|key| key.as_str().contains(part)).count()
    }
}

impl<F: Fn(usize, &str) -> Option<Fault>> ObjectRead for FaultyStore<F> {
    async fn read(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError> {
        let read_idx = self.asked.borrow().len();
        self.asked.borrow_mut().push(key.clone());
        self.running.set(self.running.get() + 1);
        self.running_max.set(self.running_max.get().max(self.running.get()));
        let mut has_yielded = false;
        poll_fn(|context| {
            context.waker().wake_by_ref();
            if std::mem::replace(&mut has_yielded, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let outcome = match (self.fault)(read_idx, key.as_str()) {
            None => self.inner.read(key, range).await,
            Some(Fault::Fail(kind)) => Err(StoreError::new(kind, key)),
            Some(Fault::Hang) => pending().await,
        };
        self.running.set(self.running.get() - 1);
        outcome
    }
}

/// Timers that ring only where nothing else happens: each is polled often before it rings, the shorter ones less often.
#[derive(Default)]
struct Timers {
    retries: Cell<u32>,
}

impl Pause for Timers {
    async fn pause(&self, pause_ms: u64) {
        if pause_ms < READ_TIMEOUT_MS {
            self.retries.set(self.retries.get() + 1);
            return;
        }
        let mut polls_left = pause_ms;
        poll_fn(|context| {
            context.waker().wake_by_ref();
            polls_left = polls_left.saturating_sub(1);
            if polls_left == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn jitter(&self) -> u32 {
        0
    }
}

fn config(tables: &[&str]) -> LakeConfig {
    let table = |name: &&str| TableName { namespace: "firn".into(), name: (*name).into() };
    LakeConfig {
        tables: tables.iter().map(table).collect(),
        pointer_hold_micros: HOLD,
        deadline_ms: DEADLINE_MS,
    }
}

fn key(ns: &str, id: &str) -> ArtifactKey {
    ArtifactKey {
        ns: Namespace::parse(ns).unwrap(),
        artifact_type: ArtifactType::parse("page").unwrap(),
        id: ArtifactId::parse(id).unwrap(),
    }
}

/// The markdown of an artifact that the fixtures hold.
fn read(
    store: &impl ObjectRead,
    held: &HeldLake,
    config: &LakeConfig,
    now: i64,
) -> (Result<Option<String>, LakeError>, ReadCost) {
    let timers = Timers::default();
    let lake = Lake { store, pointers: &BucketPointers, platform: &timers, held, config };
    let key = key("alpha.dev", "guide/0001");
    let (found, cost) =
        block_on(read_artifact(&lake, &key, Representation::Markdown, Hint::Nothing, Micros(now)));
    let markdown = |row: firn_api::content::artifact::ArtifactRow| row.text("markdown").map(str::to_owned);
    (found.map(|row| row.and_then(markdown)), cost)
}

#[track_caller]
fn assert_found(found: Result<Option<String>, LakeError>) {
    let markdown = found.unwrap().expect("the artifact is there");
    assert!(markdown.starts_with("# alpha.dev 1 v"), "{markdown}");
}

fn sound(_: usize, _: &str) -> Option<Fault> {
    None
}

#[test]
fn each_failure_that_passes_is_survived_wherever_it_strikes() {
    let count = {
        let store = FaultyStore::new(bucket(), sound);
        assert_found(read(&store, &HeldLake::default(), &config(&[TABLE]), 0).0);
        store.asked.borrow().len()
    };
    assert!(count >= 5);
    for struck in 0..count {
        for fault in [
            Fault::Hang,
            Fault::Fail(StoreErrorKind::Throttled),
            Fault::Fail(StoreErrorKind::Unavailable),
            Fault::Fail(StoreErrorKind::ShortRead { asked_len_bytes: 2, found_len_bytes: 1 }),
        ] {
            let store = FaultyStore::new(bucket(), |idx, _| (idx == struck).then_some(fault));
            let (found, cost) = read(&store, &HeldLake::default(), &config(&[TABLE]), 0);
            assert_found(found);
            assert_eq!(cost.reads, count as u64 + 1, "{fault:?} at {struck}");
        }
    }
}

#[test]
fn store_that_is_down_is_asked_thrice_and_one_that_hangs_until_the_deadline() {
    let down = FaultyStore::new(bucket(), |_, _| Some(Fault::Fail(StoreErrorKind::Unavailable)));
    let error = read(&down, &HeldLake::default(), &config(&[TABLE]), 0).0.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(down.asked.borrow().len(), ATTEMPTS_MAX as usize);

    let hangs = FaultyStore::new(bucket(), |_, _| Some(Fault::Hang));
    let error = read(&hangs, &HeldLake::default(), &config(&[TABLE]), 0).0.unwrap_err();
    assert!(matches!(error, LakeError::Deadline { deadline_ms: DEADLINE_MS }), "{error}");
    let attempts_in_time = DEADLINE_MS.div_ceil(READ_TIMEOUT_MS);
    assert_eq!(hangs.asked.borrow().len() as u64, attempts_in_time);
}

#[test]
fn pointer_is_read_again_after_its_time_and_never_used_instead_of_a_failure() {
    let (held, config) = (HeldLake::default(), config(&[TABLE]));
    let is_down = Cell::new(false);
    let store = FaultyStore::new(bucket(), |_, key| {
        let fails = is_down.get() && key.starts_with("catalog/");
        fails.then_some(Fault::Fail(StoreErrorKind::Unavailable))
    });
    assert_found(read(&store, &held, &config, 0).0);
    is_down.set(true);
    assert_found(read(&store, &held, &config, HOLD - 1).0);
    assert_eq!(store.asked_for("catalog/"), 1);
    for now in [HOLD, HOLD + 1, 100 * HOLD] {
        assert!(read(&store, &held, &config, now).0.unwrap_err().is_retryable(), "at {now}");
    }
    is_down.set(false);
    assert_found(read(&store, &held, &config, HOLD).0);
}

#[test]
fn pointer_to_what_is_gone_is_refreshed_once() {
    let (held, config, store) = (HeldLake::default(), config(&[TABLE]), bucket());
    put_pointer(&store, TABLE, "s3://lake/gone/metadata.json");
    let store = FaultyStore::new(store, sound);
    let error = read(&store, &held, &config, 0).0.unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    assert_eq!((store.asked_for("catalog/"), store.asked_for("gone/")), (2, 2));

    // What was held pointed to what is gone; the pointer of now does not.
    put_pointer(&store.inner, TABLE, &format!("s3://lake/{TABLE}/metadata.json"));
    assert_found(read(&store, &held, &config, 1).0);
    assert_eq!((store.asked_for("catalog/"), store.asked_for("gone/")), (3, 3));
}

#[test]
fn table_without_pointer_is_left_out_and_garbage_is_not() {
    let store = bucket();
    let other = config(&["none", TABLE]);
    assert_found(read(&store, &HeldLake::default(), &other, 0).0);
    assert_eq!(read(&store, &HeldLake::default(), &config(&["none"]), 0).0.unwrap(), None);
    store.put(&pointer_object("none"), "garbage".into());
    let error = read(&store, &HeldLake::default(), &other, 0).0.unwrap_err();
    assert!(matches!(error, LakeError::Metadata { .. }), "{error}");
}

#[test]
fn many_tables_take_no_more_connections_nor_waves_than_one() {
    let store = bucket();
    let names: Vec<String> = (0..20).map(|idx| format!("t{idx}")).collect();
    for name in &names {
        put_pointer(&store, name, &format!("s3://lake/{TABLE}/metadata.json"));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let one = read(&store, &HeldLake::default(), &config(&[TABLE]), 0).1;
    let store = FaultyStore::new(store, sound);
    let (found, cost) = read(&store, &HeldLake::default(), &config(&names), 0);
    assert_found(found);
    assert_eq!(cost.waves, one.waves);
    assert_eq!(store.running_max.get(), CONNECTIONS_MAX);
}
