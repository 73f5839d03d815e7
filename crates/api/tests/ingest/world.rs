//! A namespace's ledger, a stream, kept answers and a purger, and requests to them that are struck somewhere.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::pending,
    pin::pin,
    task::{Context as TaskContext, Poll, Waker},
};

use bytes::Bytes;
use firn_api::{
    http::Response,
    ingest::{
        answer::{Destination, Published, respond},
        ledger_sink::{LedgerSink, RequestNames},
        publish::{Request, publish},
        retry::RetrySink,
        sink::{AnswerStore, SinkError, StreamPort},
        terms::{Limits, PublishContext, Terms},
    },
    ledger::{LedgerPort, object::answer, protocol::PublishCall},
    ports::{Body, BodyError},
    problem::Problem,
    purge::{
        message::{Purge, Touched},
        port::PurgePort,
    },
};
use firn_auth::identity::{Identity, NsPattern, Scopes};
use firn_ledger::{Ledger, admit::Allowance, limits::Options, row::Owner, sweep::Upkeep};
use firn_ndjson::{chunk::Rows, digest::SoftwareSha256};
use firn_store::retry::Pause;
use firn_types::{key::Namespace, mode::Mode, time::Micros, visibility::Visibility};
use serde_json::Value as Json;

#[path = "../../../../tests/fuzz/checks/values.rs"]
mod values;

use crate::sqlite::Sqlite;

pub(crate) const NS: &str = "app.do";
const T0: i64 = 1_800_000_000_000_000;

/// Polls of one request beyond which it hangs.
const POLL_COUNT_MAX: usize = 10_000;

/// An operation of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    Open,
    Stage(u64),
    Commit,
    Send(u64),
    ChunkTaken(u64),
    Finish,
    Abort,
    Purge,
    Touched,
    Delete,
}

/// What happens there instead of success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not done, and fails.
    FailBefore,
    /// It is done, and fails.
    FailAfter,
    /// It is done, and never answers.
    Hang,
    /// The process dies before it is done.
    KillBefore,
    /// The process dies after it was done.
    KillAfter,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Strike {
    pub(crate) point: Point,
    pub(crate) fault: Fault,
    pub(crate) times: u32,
}

pub(crate) struct World {
    pub(crate) ledger: Ledger,
    pub(crate) db: Sqlite,
    pub(crate) allowance: Allowance,
    /// Rows that the stream stored.
    pub(crate) stored: RefCell<Vec<Json>>,
    /// `page/a page/b`, `types 3`, `all`.
    pub(crate) purged: RefCell<Vec<String>>,
    pub(crate) log: RefCell<Vec<String>>,
    pub(crate) calls: RefCell<Vec<Point>>,
    kept: RefCell<BTreeMap<String, Vec<u8>>>,
    secs: Cell<i64>,
    strike: Cell<Option<Strike>>,
    is_killed: Cell<bool>,
    /// First versions of the bulk chunks that were sent.
    sends: RefCell<Vec<i64>>,
}

/// What a client gets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Answered {
        status: u16,
        is_replayed: bool,
        code: Option<String>,
        retry_after: Option<u64>,
        body: Json,
    },
    /// The process died.
    Nothing,
}

impl Outcome {
    /// `200`, `200 replayed`, `409 idempotency_in_progress`, `killed`.
    pub(crate) fn brief(&self) -> String {
        match self {
            Self::Answered { status, is_replayed: true, .. } => format!("{status} replayed"),
            Self::Answered { status, code: Some(code), .. } => format!("{status} {code}"),
            Self::Answered { status, .. } => status.to_string(),
            Self::Nothing => "killed".to_owned(),
        }
    }

    pub(crate) fn body(&self) -> &Json {
        match self {
            Self::Answered { body, .. } => body,
            Self::Nothing => &Json::Null,
        }
    }
}

/// What comes of a body.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Line(String),
    /// The client goes away.
    BreaksOff,
}

pub(crate) type Lines = Vec<Piece>;

pub(crate) fn namespace() -> Namespace {
    Namespace::parse(NS).unwrap()
}

pub(crate) fn identity() -> Identity {
    Identity {
        issuer: "https://issuer".to_owned(),
        org: Some("o".to_owned()),
        sub: Some("ada".to_owned()),
        roles: Vec::new(),
        namespaces: vec![NsPattern::Exact(namespace())],
        scopes: Scopes::parse("artifacts:write"),
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let db = Sqlite::new();
        Self {
            ledger: Ledger::new(Box::new(db.clone()), Options::default()),
            db,
            allowance: Allowance {
                requests_per_minute: 1_000,
                records_per_day: None,
                len_bytes_per_day: None,
            },
            stored: RefCell::default(),
            purged: RefCell::default(),
            log: RefCell::default(),
            calls: RefCell::default(),
            kept: RefCell::default(),
            secs: Cell::new(0),
            strike: Cell::new(None),
            is_killed: Cell::new(false),
            sends: RefCell::default(),
        }
    }

    pub(crate) fn now(&self) -> Micros {
        Micros(T0 + self.secs.get() * 1_000_000)
    }

    pub(crate) fn pass(&self, secs: i64) {
        self.secs.set(self.secs.get() + secs);
    }

    /// Answers in KV are gone, as where it has not caught up.
    pub(crate) fn forget_answers(&self) {
        self.kept.borrow_mut().clear();
    }

    /// The ledger's upkeep, which comes between any two requests.
    pub(crate) fn alarm(&self) {
        while self.ledger.sweep(self.now()).unwrap().upkeep == Upkeep::More {}
    }

    pub(crate) fn strike(&self, point: Point, fault: Fault, times: u32) {
        self.strike.set(Some(Strike { point, fault, times }));
    }

    /// One request, until it is answered or the process dies.
    pub(crate) fn request(&self, mode: Mode, key: Option<&str>, lines: &Lines) -> Outcome {
        self.is_killed.set(false);
        self.sends.borrow_mut().clear();
        let identity = identity();
        let owner = Owner {
            iss: Some(identity.issuer.clone()),
            org: identity.org.clone(),
            sub: identity.sub.clone(),
        };
        let names = RequestNames { ingest_id: "i", now: self.now(), owner: &owner, key };
        let sink = LedgerSink::new(names, self);
        let context = Context { world: self, sink: &sink, mode };
        let ceilings = Limits { record_count_max: 1_000_000, body_len_bytes_max: 1_000_000_000 };
        let request = Request { identity: &identity, now: self.now(), request_id: "r", ceilings };
        let mut body = Script(lines.iter().cloned().collect());
        let idle = destination(mode);
        let retrying = RetrySink::new(&sink, self);
        let publishing = publish(&request, &context, &retrying, &mut body, &idle);
        let answered = self.run(publishing);
        self.strike.set(None);
        answered.map_or(Outcome::Nothing, outcome)
    }

    /// Polls until it is done; `None` where the process died first.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let mut context = TaskContext::from_waker(Waker::noop());
        for _ in 0..POLL_COUNT_MAX {
            let polled = future.as_mut().poll(&mut context);
            if self.is_killed.get() {
                return None;
            }
            if let Poll::Ready(done) = polled {
                return Some(done);
            }
        }
        panic!("the request hangs");
    }

    /// Does an operation, as the strike has it.
    async fn struck<T>(&self, point: Point, operation: impl FnOnce() -> T) -> Result<T, String> {
        self.calls.borrow_mut().push(point);
        let due = self.strike.get().filter(|strike| strike.point == point && strike.times > 0);
        let Some(strike) = due else { return Ok(operation()) };
        self.strike.set(Some(Strike { times: strike.times - 1, ..strike }));
        if !matches!(strike.fault, Fault::FailBefore | Fault::KillBefore) {
            operation();
        }
        match strike.fault {
            Fault::FailBefore | Fault::FailAfter => Err("struck".to_owned()),
            Fault::Hang => pending().await,
            Fault::KillBefore | Fault::KillAfter => {
                self.is_killed.set(true);
                pending().await
            }
        }
    }

    /// Rows that the ledger holds, by id, each as often as it is there, and those that it still has to send.
    pub(crate) fn versions(&self) -> i64 {
        self.db.number("SELECT COUNT(*) FROM (SELECT 1 FROM sqlite_master WHERE name = 'versions')")
            * self.db.number("SELECT COUNT(*) FROM versions")
    }
}

fn outcome(published: Result<Published, Problem>) -> Outcome {
    outcome_of(published.and_then(respond))
}

pub(crate) fn outcome_of(answered: Result<Response, Problem>) -> Outcome {
    let response = match answered {
        Ok(response) => response,
        Err(problem) => problem.into_response("r"),
    };
    let body: Json = serde_json::from_slice(&response.body).unwrap();
    Outcome::Answered {
        status: response.status,
        is_replayed: response.header("X-Idempotency-Replayed").is_some(),
        code: body["code"].as_str().map(str::to_owned),
        retry_after: response.header("Retry-After").map(|secs| secs.parse().unwrap()),
        body,
    }
}

fn destination(mode: Mode) -> Destination {
    Destination { mode, pipeline: format!("artifacts_{}", mode.as_str()), flush_secs: 60 }
}

impl LedgerPort for World {
    async fn call(&self, ns: &Namespace, message: Vec<u8>) -> Result<Vec<u8>, String> {
        assert_eq!(ns.as_str(), NS);
        let perform = || answer(&self.ledger, self.now(), &message).unwrap();
        if message[1] == b'd' {
            return self.struck(Point::Delete, perform).await;
        }
        let point = match postcard::from_bytes(&message[2..]).unwrap() {
            PublishCall::Open { .. } => Point::Open,
            PublishCall::Stage { idx, .. } => Point::Stage(idx),
            PublishCall::Commit { .. } => Point::Commit,
            PublishCall::ChunkTaken { idx, .. } => Point::ChunkTaken(idx),
            PublishCall::Finish { .. } => Point::Finish,
            PublishCall::Abort(_) | PublishCall::Pause(_) => Point::Abort,
            PublishCall::Touched { .. } => Point::Touched,
            PublishCall::Offer { .. } => return Ok(perform()),
        };
        self.struck(point, perform).await
    }
}

impl StreamPort for World {
    async fn send(&self, _: Mode, rows: &Rows) -> Result<(), SinkError> {
        let Rows::Values(values) = rows else { panic!("bulk is sent as values") };
        let rows = values::rows_of(values);
        let first = rows[0]["version"].as_i64().unwrap();
        let nth = {
            let mut sends = self.sends.borrow_mut();
            let nth = sends.iter().position(|sent| *sent == first).unwrap_or(sends.len());
            if nth == sends.len() {
                sends.push(first);
            }
            nth as u64
        };
        let store = || self.stored.borrow_mut().extend(rows);
        self.struck(Point::Send(nth), store).await.map_err(SinkError::Unavailable)
    }
}

impl AnswerStore for World {
    async fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.kept.borrow().get(key).cloned()
    }

    async fn put(&self, key: &str, answer: Vec<u8>) {
        self.kept.borrow_mut().insert(key.to_owned(), answer);
    }
}

impl PurgePort for World {
    async fn purge(&self, purge: &Purge<'_>) -> Result<(), String> {
        assert_eq!(purge.ns, NS);
        let told = match &purge.touched {
            Touched::Keys(keys) => {
                let keys: Vec<String> =
                    keys.iter().map(|key| format!("{}/{}", key.artifact_type, key.id)).collect();
                keys.join(" ")
            }
            Touched::Types(types) => format!("types {}", types.len()),
            Touched::Namespace => "all".to_owned(),
        };
        self.struck(Point::Purge, || self.purged.borrow_mut().push(told)).await
    }

    fn purge_failed(&self, _: &str, cause: &str) {
        self.log.borrow_mut().push(cause.to_owned());
    }
}

/// Time passes only where something does not answer, and for nobody once the process is dead.
impl Pause for World {
    async fn pause(&self, _: u64) {
        if self.is_killed.get() {
            pending::<()>().await;
        }
    }

    fn jitter(&self) -> u32 {
        0
    }
}

struct Context<'w> {
    world: &'w World,
    sink: &'w LedgerSink<'w, World>,
    mode: Mode,
}

impl PublishContext for Context<'_> {
    type Hash = SoftwareSha256;

    fn record_hash(&self) -> Option<Self::Hash> {
        Some(SoftwareSha256::default())
    }

    fn line_hash(&self) -> Option<Self::Hash> {
        self.sink.has_key().then(SoftwareSha256::default)
    }

    async fn begin(&self, ns: &Namespace) -> Result<Terms, Problem> {
        let limits = Limits { record_count_max: 200_000, body_len_bytes_max: 1_000_000_000 };
        let naming = self.sink.open(ns, self.mode, &self.world.allowance, limits.record_count_max).await?;
        let destination = destination(self.mode);
        Ok(Terms { destination, default_visibility: Visibility::Public, limits, naming })
    }
}

struct Script(VecDeque<Piece>);

impl Body for Script {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        match self.0.pop_front() {
            None => Ok(None),
            Some(Piece::Line(line)) => Ok(Some(Bytes::from(line + "\n"))),
            Some(Piece::BreaksOff) => Err(BodyError::Aborted("the client went away".to_owned())),
        }
    }
}

/// A record with so much content.
pub(crate) fn line(artifact_type: &str, id: &str, content: &str, len_bytes: usize) -> Piece {
    let padding = "x".repeat(len_bytes);
    let record =
        format!(r#"{{"ns":"{NS}","type":"{artifact_type}","id":"{id}","markdown":"{content} {padding}"}}"#);
    Piece::Line(record)
}
