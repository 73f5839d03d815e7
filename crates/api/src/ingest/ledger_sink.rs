//! The sink of a request over its namespace's ledger: lease, stages, commit and replay (design.md §3 "Idempotency", §4).
//!
//! Preview and build are staged in the ledger and become visible in its commit. Bulk goes straight to the stream, under
//! versions that were reserved, and the ledger keeps what was taken. A request whose key has an answer already sends
//! nothing: its body is compared with the one that was answered.

use std::cell::{Cell, RefCell};

use firn_ledger::{
    admit::Allowance,
    lease::{Begun, Lease, Offered},
    publish::{Committed as LedgerCommit, Staged},
    row::{Owner, StagedRow},
};
use firn_store::retry::Pause;
use firn_types::{error::ErrorCode, key::Namespace, mode::Mode, time::Micros};

use super::{answer::Answer, refusal::ledger_problem};
use crate::{
    ingest::sink::{AnswerStore, ChunkSink, Closing, Committed, Outgoing, SinkError, StreamPort},
    ledger::LedgerPort,
    ledger::protocol::{
        ANSWER_HEAD_LEN_BYTES, Opened, PublishCall, PublishReply, decode, encode, stored_answer,
    },
    problem::Problem,
    purge::port::PurgePort,
    tenancy::refused,
};

/// A request before its namespace is known.
#[derive(Clone, Copy, Debug)]
pub struct RequestNames<'a> {
    /// Names the request in its rows, unless it continues another.
    pub ingest_id: &'a str,
    /// The time that its rows carry, unless it continues another.
    pub now: Micros,
    /// Who owns the rows.
    pub owner: &'a Owner,
    /// Hash of idempotency key and caller, in hexadecimal, if there is a key.
    pub key: Option<&'a str>,
}

/// How a request's rows are named, once its namespace is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// The request in its rows.
    pub ingest_id: String,
    /// The time that they carry.
    pub ts: Micros,
    /// Bulk: the first version that is reserved.
    pub first_version: Option<i64>,
}

/// The sink.
#[derive(Debug)]
pub struct LedgerSink<'a, P> {
    names: RequestNames<'a>,
    pub(super) platform: &'a P,
    session: RefCell<Option<Session>>,
    /// Whether something of a bulk request went to the stream.
    has_sent: Cell<bool>,
    /// Whether the body turned out to be another one than the key's.
    is_mismatch: Cell<bool>,
}

#[derive(Clone, Debug)]
struct Session {
    ns: Namespace,
    mode: Mode,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Under a lease.
    Running(Lease),
    /// Answered before; under the lease while the ledger itself has the answer.
    Answered { stored: StoredAnswer, lease: Option<Lease> },
}

/// An answer as it is kept: a byte for the mode, the digest of the body, and the answer's JSON.
#[derive(Clone, Debug)]
struct StoredAnswer(Vec<u8>);

impl StoredAnswer {
    /// The head before an answer's JSON.
    fn head(mode: Mode, body_digest: Option<[u8; 32]>) -> Vec<u8> {
        let mode = match mode {
            Mode::Preview => b'p',
            Mode::Build => b'b',
            Mode::Bulk => b'k',
        };
        let mut head = vec![mode];
        head.extend_from_slice(&body_digest.unwrap_or_default());
        head
    }

    /// What is kept of a request but for what its commit tells.
    fn before_commit(mode: Mode, body_digest: Option<[u8; 32]>, answer: &Answer) -> Vec<u8> {
        let mut bytes = Self::head(mode, body_digest);
        // Writing into memory fails for no answer: it has no map whose keys are not strings.
        let _ = serde_json::to_writer(&mut bytes, answer);
        bytes
    }

    fn is_of(&self, mode: Mode, body_digest: Option<[u8; 32]>) -> bool {
        self.0.starts_with(&Self::head(mode, body_digest))
    }

    fn json(&self) -> &[u8] {
        self.0.get(ANSWER_HEAD_LEN_BYTES..).unwrap_or_default()
    }
}

impl<'a, P: LedgerPort + StreamPort + AnswerStore + PurgePort + Pause> LedgerSink<'a, P> {
    /// For one request.
    pub const fn new(names: RequestNames<'a>, platform: &'a P) -> Self {
        Self {
            names,
            platform,
            session: RefCell::new(None),
            has_sent: Cell::new(false),
            is_mismatch: Cell::new(false),
        }
    }

    /// Whether digests of the body are needed.
    pub const fn has_key(&self) -> bool {
        self.names.key.is_some()
    }

    /// Begins in a namespace: counts the request, takes the lease, reserves versions for bulk. `record_count_max` is
    /// the most records that the request may have.
    ///
    /// # Errors
    /// 429, 409 where the key is running, 422 where it was used in another mode, 503.
    pub async fn open(
        &self,
        ns: &Namespace,
        mode: Mode,
        allowance: &Allowance,
        record_count_max: u64,
    ) -> Result<Naming, Problem> {
        let naming =
            Naming { ingest_id: self.names.ingest_id.to_owned(), ts: self.names.now, first_version: None };
        if let Some(stored) = self.stored_answer().await {
            self.begin(ns, mode, State::Answered { stored, lease: None });
            return Ok(Naming { first_version: (mode == Mode::Bulk).then_some(1), ..naming });
        }
        let call = PublishCall::Open {
            allowance: *allowance,
            key: self.names.key.map(str::as_bytes),
            fingerprint: mode.as_str().as_bytes(),
            ingest_id: self.names.ingest_id,
            mode,
            reserve_count: (mode == Mode::Bulk).then_some(record_count_max),
        };
        let opened = match self.call(ns, &call).await {
            Ok(PublishReply::Opened(opened)) => opened,
            Ok(_) => return Err(ledger_problem(&unexpected())),
            Err(failure) => return Err(ledger_problem(&failure)),
        };
        self.opened(ns, mode, allowance, opened, naming)
    }

    /// What a ledger's word on a request's beginning means for it.
    fn opened(
        &self,
        ns: &Namespace,
        mode: Mode,
        allowance: &Allowance,
        opened: Opened,
        naming: Naming,
    ) -> Result<Naming, Problem> {
        if let Some(problem) = refused(opened.admission, allowance) {
            return Err(problem);
        }
        let first_version = opened.reserved.map(|(first, _)| first);
        let naming = Naming { first_version, ..naming };
        match opened.begun {
            Some(Begun::Started(lease)) => {
                self.begin(ns, mode, State::Running(lease));
                Ok(naming)
            }
            Some(Begun::TakenOver(taken)) => {
                self.begin(ns, mode, State::Running(taken.lease));
                // Also what was not noted as taken may have been sent.
                self.has_sent.set(true);
                Ok(Naming { ingest_id: taken.ingest_id, ts: taken.started_at, ..naming })
            }
            Some(Begun::Finished { lease, answer }) => {
                let stored = StoredAnswer(answer);
                self.begin(ns, mode, State::Answered { stored, lease: Some(lease) });
                Ok(Naming { first_version: (mode == Mode::Bulk).then_some(1), ..naming })
            }
            Some(Begun::InFlight { retry_after_secs }) => Err(in_progress(retry_after_secs)),
            Some(Begun::Mismatch) => Err(ledger_problem(&SinkError::Mismatch)),
            None => Err(ledger_problem(&SinkError::Ledger("it began nothing".to_owned()))),
        }
    }

    fn begin(&self, ns: &Namespace, mode: Mode, state: State) {
        self.session.replace(Some(Session { ns: ns.clone(), mode, state }));
    }

    async fn stored_answer(&self) -> Option<StoredAnswer> {
        self.platform.get(self.names.key?).await.map(StoredAnswer)
    }

    pub(super) async fn call(
        &self,
        ns: &Namespace,
        call: &PublishCall<'_>,
    ) -> Result<PublishReply, SinkError> {
        let message = encode(call).map_err(|error| SinkError::Ledger(error.to_string()))?;
        let reply = self.platform.call(ns, message).await.map_err(SinkError::Ledger)?;
        match decode::<PublishCall<'_>>(&reply).map_err(|error| SinkError::Ledger(error.to_string()))? {
            PublishReply::LeaseLost => Err(SinkError::LeaseLost),
            reply => Ok(reply),
        }
    }

    async fn stage_in_ledger(
        &self,
        session: &Session,
        lease: Lease,
        outgoing: &Outgoing,
    ) -> Result<(), SinkError> {
        let call = PublishCall::Stage {
            lease,
            owner: self.names.owner.clone(),
            idx: outgoing.idx,
            digest: &outgoing.digest,
            rows: staged_rows(outgoing),
        };
        match self.call(&session.ns, &call).await? {
            PublishReply::Staged(Staged::Taken | Staged::TakenBefore) => Ok(()),
            PublishReply::Staged(Staged::Mismatch) => Err(self.mismatch()),
            PublishReply::Staged(Staged::Full { retry_after_secs }) => {
                Err(SinkError::Full { retry_after_secs })
            }
            PublishReply::Staged(Staged::TooManyRows) => Err(SinkError::TooManyRows),
            _ => Err(unexpected()),
        }
    }

    async fn send_to_stream(
        &self,
        session: &Session,
        lease: Lease,
        outgoing: &Outgoing,
    ) -> Result<(), SinkError> {
        let (idx, digest) = (outgoing.idx, outgoing.digest.as_slice());
        // Only what has a key can be continued, and must then be known to have been on its way.
        if self.has_key() {
            match self.call(&session.ns, &PublishCall::Offer { lease, idx, digest }).await? {
                PublishReply::Offered(Offered::Wanted) => {}
                PublishReply::Offered(Offered::Taken) => return Ok(()),
                PublishReply::Offered(Offered::Mismatch) => return Err(self.mismatch()),
                _ => return Err(unexpected()),
            }
        }
        self.has_sent.set(true);
        self.platform.send(session.mode, &outgoing.chunk.rows).await?;
        let taken = PublishCall::ChunkTaken {
            lease,
            idx,
            digest,
            record_count: outgoing.chunk.record_count,
            len_bytes: outgoing.chunk.len_bytes as u64,
        };
        self.call(&session.ns, &taken).await.map(|_| ())
    }

    fn mismatch(&self) -> SinkError {
        self.is_mismatch.set(true);
        SinkError::Mismatch
    }

    async fn commit_running(
        &self,
        session: &Session,
        lease: Lease,
        closing: &Closing<'_>,
    ) -> Result<Committed, SinkError> {
        let answer = StoredAnswer::before_commit(session.mode, closing.body_digest, closing.answer);
        let call = if session.mode == Mode::Bulk {
            PublishCall::Finish { lease, used_count: closing.record_count, answer: &answer }
        } else {
            PublishCall::Commit { lease, chunk_count: closing.chunk_count, answer: &answer }
        };
        let stored = match self.call(&session.ns, &call).await? {
            PublishReply::Done => stored_answer(0, &answer),
            PublishReply::Committed { outcome: LedgerCommit::Done { summary, answer }, touched } => {
                self.purge(&session.ns, &summary, touched).await;
                answer
            }
            PublishReply::Committed { outcome: LedgerCommit::Conflicts(conflicts), .. } => {
                return Err(SinkError::Conflicts(conflicts));
            }
            PublishReply::Committed { outcome: LedgerCommit::Mismatch, .. } => return Err(self.mismatch()),
            _ => return Err(unexpected()),
        };
        let stored = StoredAnswer(stored);
        let answer = stored.json().to_vec();
        if let Some(key) = self.names.key {
            self.platform.put(key, stored.0).await;
        }
        Ok(Committed { answer, is_replayed: false })
    }
}

impl<P: LedgerPort + StreamPort + AnswerStore + PurgePort + Pause> ChunkSink for LedgerSink<'_, P> {
    async fn stage(&self, outgoing: &Outgoing) -> Result<(), SinkError> {
        let session = self.session.borrow().clone();
        let Some(session) = session else { return Err(not_open()) };
        match session.state {
            State::Answered { .. } => Ok(()),
            State::Running(lease) if session.mode == Mode::Bulk => {
                self.send_to_stream(&session, lease, outgoing).await
            }
            State::Running(lease) => self.stage_in_ledger(&session, lease, outgoing).await,
        }
    }

    async fn commit(&self, closing: &Closing<'_>) -> Result<Committed, SinkError> {
        let session = self.session.borrow().clone();
        // Without a record there is no namespace, and nothing to commit.
        let Some(session) = session else {
            let answer = plain_answer(closing.answer);
            return Ok(Committed { answer, is_replayed: false });
        };
        match &session.state {
            State::Running(lease) => self.commit_running(&session, *lease, closing).await,
            State::Answered { stored, lease } if stored.is_of(session.mode, closing.body_digest) => {
                // Who answered first may have died before its purge, and before KV had the answer: both once more. Where
                // that fails, the answer is true all the same.
                if let Some(lease) = lease.filter(|_| session.mode != Mode::Bulk) {
                    let _ = self.commit_running(&session, lease, closing).await;
                }
                Ok(Committed { answer: stored.json().to_vec(), is_replayed: true })
            }
            State::Answered { .. } => Err(SinkError::Mismatch),
        }
    }

    async fn abort(&self) {
        let Some(session) = self.session.borrow().clone() else { return };
        let State::Running(lease) = session.state else { return };
        // What was taken under the key stays the key's: a retry goes on from there.
        let keeps = self.is_mismatch.get() || (session.mode == Mode::Bulk && self.has_sent.get());
        let call = if keeps { PublishCall::Pause(lease) } else { PublishCall::Abort(lease) };
        // Where it fails, the lease runs out, and the stage is dropped by itself.
        let _ = self.call(&session.ns, &call).await;
    }
}

/// The JSON of an answer of which no ledger knows anything more.
pub(super) fn plain_answer(answer: &Answer) -> Vec<u8> {
    StoredAnswer(stored_answer(0, &StoredAnswer::before_commit(Mode::Bulk, None, answer))).json().to_vec()
}

/// The rows of a chunk, each with its part of the chunk's JSON: `[row,row,…]`.
fn staged_rows(outgoing: &Outgoing) -> Vec<StagedRow<'_>> {
    let mut rest = outgoing.chunk.rows.json().get(1..).unwrap_or_default();
    let mut rows = Vec::with_capacity(outgoing.rows.len());
    for head in &outgoing.rows {
        let (json, after) = rest.split_at(head.len_bytes.min(rest.len()));
        rest = after.get(1..).unwrap_or_default();
        rows.push(StagedRow {
            line: head.line,
            artifact_type: &head.artifact_type,
            id: &head.id,
            standing: head.standing,
            hash: head.hash,
            metadata_digest: head.metadata_digest,
            if_version: head.if_version,
            json,
        });
    }
    rows
}

pub(super) fn in_progress(retry_after_secs: u64) -> Problem {
    Problem::new(ErrorCode::IdempotencyInProgress, "a request with this idempotency key is still running")
        .with_header("Retry-After", retry_after_secs.to_string())
}

fn unexpected() -> SinkError {
    SinkError::Ledger("a reply to another call".to_owned())
}

fn not_open() -> SinkError {
    SinkError::Ledger("no request was begun".to_owned())
}
