//! A deployment in one process: a ledger on SQLite, an edge cache in memory, a lake that answers as it is told, and a
//! clock that goes on only while everybody waits.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use firn_api::{
    content::{
        artifact::ArtifactRow,
        edge::{Copy, EdgeBody, EdgeCache, purge::purge},
        flight::Found,
        load::Shared,
        ports::ReadPorts,
        serve::serve,
    },
    http::RequestHead,
    ledger::{LedgerPort, object::answer},
    ports::{Body, BodyError, Clock},
    problem::Problem,
    purge::message::{Purge, Touched, TouchedKey},
    tables::{
        error::LakeError,
        read::{Hint, ReadCost},
    },
};
use firn_auth::identity::Identity;
use firn_iceberg::value::{Literal, Value};
use firn_ledger::{
    Ledger,
    confirm::{DataFile, SeenRow},
    lease::{Begin, Begun},
    limits::Options,
    publish::{Committed, StagedChunk},
    row::{Owner, StagedRow, Standing},
};
use firn_store::retry::Pause;
use firn_types::{
    key::{ArtifactKey, Namespace},
    mode::Mode,
    representation::Representation,
    tenant::TenantConfig,
    time::Micros,
    visibility::Visibility,
};
use futures::{
    channel::oneshot,
    executor::{LocalPool, LocalSpawner},
    future::LocalBoxFuture,
    task::LocalSpawnExt,
};

use crate::sqlite::Sqlite;

pub(crate) const NS: &str = "app.do";
const T0: i64 = 1_800_000_000_000_000;

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) reads: u64,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(&name.to_ascii_lowercase()).map_or("", String::as_str)
    }

    /// Status, source and body: `200 cache v1`.
    pub(crate) fn brief(&self) -> String {
        match self.status {
            200 => format!("200 {} {}", self.header("x-artifact-source"), self.body),
            status => status.to_string(),
        }
    }
}

/// One copy: its note, its tags, its bytes and when it ends.
type Stored = (String, String, Bytes, i64);

pub(crate) struct Deployment {
    pub(crate) ledger: RefCell<Option<Ledger>>,
    pub(crate) terms: RefCell<TenantConfig>,
    pub(crate) copies: RefCell<BTreeMap<String, Stored>>,
    pub(crate) calls: RefCell<Vec<&'static str>>,
    /// What the lake has of each id: visibility and text.
    pub(crate) lake: RefCell<HashMap<String, (i64, Visibility, String)>>,
    /// How long a lookup takes, in milliseconds, and whether it fails.
    pub(crate) lookup_ms: Cell<u64>,
    pub(crate) lake_fails: Cell<bool>,
    /// What happens between reading and storing a copy.
    pub(crate) before_store: RefCell<Option<Box<dyn FnOnce()>>>,
    pub(crate) has_ledgers: Cell<bool>,
    /// Whether a lookup begun behind a request vanishes.
    pub(crate) vanishes: Cell<bool>,
    now: Cell<i64>,
    sleepers: RefCell<Vec<(i64, oneshot::Sender<()>)>>,
    spawner: LocalSpawner,
    drawn: Cell<u64>,
}

pub(crate) struct World {
    pub(crate) deployment: Rc<Deployment>,
    pub(crate) shared: Rc<Shared>,
    pool: RefCell<LocalPool>,
    ingests: Cell<u64>,
}

impl World {
    pub(crate) fn new() -> Self {
        let pool = LocalPool::new();
        let deployment = Deployment {
            ledger: RefCell::new(Some(Ledger::new(Box::new(Sqlite::new()), Options::default()))),
            terms: RefCell::default(),
            copies: RefCell::default(),
            calls: RefCell::default(),
            lake: RefCell::default(),
            lookup_ms: Cell::new(20),
            lake_fails: Cell::default(),
            before_store: RefCell::default(),
            has_ledgers: Cell::new(true),
            vanishes: Cell::default(),
            now: Cell::new(T0),
            sleepers: RefCell::default(),
            spawner: pool.spawner(),
            drawn: Cell::default(),
        };
        Self {
            deployment: Rc::new(deployment),
            shared: Rc::default(),
            pool: RefCell::new(pool),
            ingests: Cell::default(),
        }
    }

    /// Publishes one artifact; gives its version.
    pub(crate) fn publish(&self, id: &str, visibility: Visibility, text: &str) -> i64 {
        self.publish_with(id, visibility, text, "build", false)
    }

    pub(crate) fn publish_with(
        &self,
        id: &str,
        visibility: Visibility,
        text: &str,
        mode: &str,
        deleted: bool,
    ) -> i64 {
        self.deployment.publish(
            self.ingests.replace(self.ingests.get() + 1),
            id,
            visibility,
            text,
            mode,
            deleted,
        )
    }

    /// What ingest has purged after a commit.
    pub(crate) fn purge(&self, ids: &[&str]) {
        let (deployment, shared) = (Rc::clone(&self.deployment), Rc::clone(&self.shared));
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        self.run(async move {
            let keys = ids.iter().map(|id| TouchedKey { artifact_type: "page", id }).collect();
            let touched = Purge { ns: NS, touched: Touched::Keys(keys) };
            let draw = || deployment.draw();
            purge(deployment.edge(), &shared.generations, deployment.as_ref(), &draw, &touched).await;
        });
    }

    /// Moves the rows of ids to the lake, and out of the ledger.
    pub(crate) fn move_to_lake(&self, rows: &[(&str, i64, Visibility, &str)]) {
        let ledger = self.deployment.ledger.borrow();
        let ledger = ledger.as_ref().unwrap();
        let now = self.deployment.now();
        while let Some(batch) = ledger.next_batch(now, 1_000_000).unwrap() {
            ledger.sent(now, &batch).unwrap();
        }
        let seen: Vec<SeenRow> = rows
            .iter()
            .zip(0..)
            .map(|((id, version, visibility, _), row)| SeenRow {
                artifact_type: "page".to_owned(),
                id: (*id).to_owned(),
                version: Some(*version),
                owner: owner(),
                standing: Standing {
                    visibility: Some(*visibility),
                    deleted: false,
                    expires_at: None,
                    size_bytes: 1,
                },
                hash: None,
                row,
            })
            .collect();
        ledger.confirm(now, &DataFile { table: "firn.t", path: "f1", sequence: 1 }, &seen).unwrap();
        ledger.release(Micros(i64::MAX), 1_000).unwrap();
        for (id, version, visibility, text) in rows {
            self.deployment
                .lake
                .borrow_mut()
                .insert((*id).to_owned(), (*version, *visibility, (*text).to_owned()));
        }
    }

    pub(crate) fn get(&self, path: &str) -> Got {
        self.send("GET", path, &[], "")
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Got {
        let got = self.start(method, path, headers, body);
        self.run(got)
    }

    /// A request that runs when the world does.
    pub(crate) fn start(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> impl Future<Output = Got> + use<> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let head = RequestHead {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            request_id: "r1".to_owned(),
        };
        let (deployment, shared) = (Rc::clone(&self.deployment), Rc::clone(&self.shared));
        let mut body = Pieces(vec![Bytes::from(body.to_owned())]);
        async move {
            let sent = serve(&deployment, &shared, &head, &mut body).await;
            let body = match sent.stored {
                Some(stored) => stored.bytes().await.unwrap(),
                None => sent.response.body.clone(),
            };
            let headers =
                sent.response.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
            Got {
                status: sent.response.status,
                body: String::from_utf8(body.to_vec()).unwrap(),
                headers: headers.collect(),
                reads: sent.cost.reads,
            }
        }
    }

    /// Runs a future, and then whatever it left behind; time goes on when nothing else does.
    pub(crate) fn run<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> T {
        let (send, mut receive) = oneshot::channel();
        let spawner = self.pool.borrow().spawner();
        spawner
            .spawn_local(async move {
                let _ = send.send(future.await);
            })
            .unwrap();
        loop {
            self.pool.borrow_mut().run_until_stalled();
            if !self.deployment.wake_next() {
                break;
            }
        }
        receive.try_recv().unwrap().expect("the future ended")
    }

    pub(crate) fn pass(&self, duration: Duration) {
        let micros = i64::try_from(duration.as_micros()).unwrap();
        self.deployment.now.set(self.deployment.now.get() + micros);
    }

    /// The time, in milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        self.deployment.now.get() / 1_000
    }

    pub(crate) fn took_calls(&self) -> Vec<&'static str> {
        self.deployment.calls.take()
    }

    /// Places of copies, without those of generations.
    pub(crate) fn copy_count(&self) -> usize {
        self.deployment.copies.borrow().keys().filter(|place| place.starts_with("/c/")).count()
    }
}

/// Who owns everything.
fn owner() -> Owner {
    Owner { iss: Some("i".into()), org: Some("o".into()), sub: Some("u".into()) }
}

impl Deployment {
    fn publish(
        &self,
        nth: u64,
        id: &str,
        visibility: Visibility,
        text: &str,
        mode: &str,
        deleted: bool,
    ) -> i64 {
        let ledger = self.ledger.borrow();
        let ledger = ledger.as_ref().unwrap();
        let (now, word) = (self.now(), visibility.as_str());
        let json = format!(
            r#"{{"ns":"{NS}","type":"page","id":"{id}","visibility":"{word}","owner_iss":"i","owner_org":"o","owner_sub":"u","mode":"{mode}","deleted":{deleted},"ts":"2026-11-20T00:00:00Z","html":"{text}"}}"#
        );
        let standing = Standing { visibility: Some(visibility), deleted, expires_at: None, size_bytes: 1 };
        let row = StagedRow {
            line: 1,
            artifact_type: "page",
            id,
            standing,
            hash: [u8::try_from(nth % 256).unwrap(); 32],
            metadata_digest: [0; 16],
            if_version: None,
            json: json.as_bytes(),
        };
        let begin = Begin { key: None, fingerprint: b"f", ingest_id: "i", mode: Mode::Build };
        let Begun::Started(lease) = ledger.begin(now, &begin).unwrap() else { panic!("not begun") };
        ledger.stage(now, lease, &owner(), &StagedChunk { idx: 0, digest: b"d", rows: &[row] }).unwrap();
        let committed = ledger.commit(now, lease, 1, &mut |_| Vec::new()).unwrap();
        assert!(matches!(committed, Committed::Done { .. }));
        ledger.current_version("page", id).unwrap().unwrap()
    }

    /// Publishes from within an event.
    pub(crate) fn publish_later(&self, id: &str, visibility: Visibility, text: &str) {
        self.publish(99, id, visibility, text, "build", false);
    }

    fn wake_next(&self) -> bool {
        let mut sleepers = self.sleepers.borrow_mut();
        let Some(idx) = (0..sleepers.len()).min_by_key(|idx| sleepers[*idx].0) else { return false };
        let (at, sleeper) = sleepers.remove(idx);
        self.now.set(self.now.get().max(at));
        // Nobody listens where a deadline was not needed.
        let _ = sleeper.send(());
        true
    }
}

impl Clock for Deployment {
    fn now(&self) -> Micros {
        Micros(self.now.get())
    }
}

impl Pause for Deployment {
    async fn pause(&self, pause_ms: u64) {
        let (wake, woken) = oneshot::channel();
        let at = self.now.get() + i64::try_from(pause_ms).unwrap() * 1_000;
        self.sleepers.borrow_mut().push((at, wake));
        let _ = woken.await;
    }

    fn jitter(&self) -> u32 {
        7
    }
}

impl LedgerPort for Deployment {
    async fn call(&self, _: &Namespace, message: Vec<u8>) -> Result<Vec<u8>, String> {
        self.calls.borrow_mut().push(if message[1] == b'v' { "version" } else { "read" });
        match self.ledger.borrow().as_ref() {
            Some(ledger) => Ok(answer(ledger, self.now(), &message).unwrap()),
            None => Err("it does not answer".to_owned()),
        }
    }
}

pub(crate) struct Stays(Bytes);

impl EdgeBody for Stays {
    async fn bytes(self) -> Option<Bytes> {
        Some(self.0)
    }
}

impl EdgeCache for Deployment {
    type Body = Stays;

    async fn find(&self, place: &str) -> Option<(String, Stays)> {
        let copies = self.copies.borrow();
        let (note, _, bytes, ends_at) = copies.get(place)?;
        (self.now.get() < *ends_at).then(|| (note.clone(), Stays(bytes.clone())))
    }

    async fn store(&self, place: &str, copy: Copy<'_>, ttl_secs: u32) {
        if place.starts_with("/c/")
            && let Some(event) = self.before_store.take()
        {
            event();
        }
        let ends_at = self.now.get() + i64::from(ttl_secs) * 1_000_000;
        let stored = (copy.note.to_owned(), copy.tags.to_owned(), copy.body, ends_at);
        self.copies.borrow_mut().insert(place.to_owned(), stored);
    }

    async fn remove(&self, places: &[String]) {
        for place in places {
            self.copies.borrow_mut().remove(place);
        }
    }
}

impl ReadPorts for Deployment {
    type Edge = Self;
    type Ledgers = Self;

    fn edge(&self) -> &Self {
        self
    }

    fn ledgers(&self) -> Option<&Self> {
        self.has_ledgers.get().then_some(self)
    }

    async fn terms(&self, _: &Namespace) -> Result<Rc<TenantConfig>, Problem> {
        Ok(Rc::new(self.terms.borrow().clone()))
    }

    fn open_terms(&self) -> Rc<TenantConfig> {
        Rc::default()
    }

    async fn caller(&self, head: &RequestHead) -> Result<Option<Identity>, Problem> {
        use firn_auth::identity::{NsPattern, Scopes};
        Ok(head.header("authorization").map(|org| Identity {
            issuer: "i".to_owned(),
            org: Some(org.to_owned()),
            sub: Some("someone".to_owned()),
            roles: Vec::new(),
            namespaces: Vec::<NsPattern>::new(),
            scopes: Scopes::parse("artifacts:read"),
        }))
    }

    async fn read_lake(
        &self,
        key: &ArtifactKey,
        _: Representation,
        _: Hint<'_>,
        _: Micros,
    ) -> (Found, ReadCost) {
        self.calls.borrow_mut().push("lake");
        self.pause(self.lookup_ms.get()).await;
        let cost = ReadCost { reads: 1, waves: 1, len_bytes: 10 };
        if self.lake_fails.get() {
            return (Err(LakeError::Deadline { deadline_ms: 1 }), cost);
        }
        let lake = self.lake.borrow();
        let row = lake.get(key.id.as_str()).map(|(version, visibility, html)| {
            let columns = [
                ("visibility", visibility.as_str()),
                ("owner_iss", "i"),
                ("owner_org", "o"),
                ("html", html.as_str()),
            ];
            let text = |text: &str| Some(Value::Primitive(Literal::String(text.to_owned())));
            ArtifactRow::new(Some(*version), columns.map(|(name, value)| (name, text(value))))
        });
        (Ok(row), cost)
    }

    fn run_behind(&self, future: LocalBoxFuture<'static, ()>) {
        if self.vanishes.get() {
            // The runtime ends it without a word: neither polled nor dropped.
            std::mem::forget(future);
            return;
        }
        self.spawner.spawn_local(future).unwrap();
    }

    fn draw(&self) -> u64 {
        self.drawn.set(self.drawn.get() + 1);
        self.drawn.get()
    }

    fn log(&self, _: &str) {}

    fn cache_tags(&self, key: &ArtifactKey) -> String {
        format!("tag-{}", key.id.as_str())
    }
}

struct Pieces(Vec<Bytes>);

impl Body for Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        Ok(self.0.pop())
    }
}
