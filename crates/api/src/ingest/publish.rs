//! The body of an ingest request: lines to records to chunks to the sink, with bounded memory.
//!
//! Preview and build are all-or-nothing in their contract. Their sink stages chunks; while a sink takes chunks for good
//! as they are staged ([`Durability::WhenStaged`]), a bad line stops sending, and the answer tells which lines were
//! taken before it. Bulk skips bad lines. Every mode reads to the end of the body, so that the counts are exact; only a
//! limit of the request ends the reading.

use std::{pin::pin, task::Poll};

use bytes::Bytes;
use firn_auth::identity::Identity;
use firn_ndjson::{
    chunk::{Chunk, Chunker},
    digest::{Sha256, content_digest, content_size_bytes},
    error::LineError,
    frame::{Framer, Line},
    record::{Record, parse_record, too_large},
    row::{RequestFields, RowFields, RowRenderer},
};
use firn_types::{
    error::{ErrorCode, LineErrorCode},
    key::Namespace,
    mode::Mode,
    time::Micros,
    version::Version,
    visibility::Visibility,
};
use futures::{
    future::{Either, FutureExt, LocalBoxFuture, select},
    poll,
    stream::{FuturesUnordered, StreamExt},
};

use super::{
    admit::{body_too_large, check_namespace},
    answer::{Answer, Destination},
    refusal::{body_problem, sink_problem},
    tally::{Lines, Tally},
    visibility::resolve_visibility,
};
use crate::{
    ports::{Body, BodyError, ChunkSink, Durability, SinkError},
    problem::Problem,
};

/// Chunks under way at once; reading waits while there are as many.
pub const CHUNKS_IN_FLIGHT_MAX: usize = 3;

/// What a request may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Records.
    pub record_count_max: u64,
    /// Bytes of the decompressed body.
    pub body_len_bytes_max: u64,
}

/// What applies to a request once its namespace is known.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Where the records go.
    pub destination: Destination,
    /// Visibility of records that name none.
    pub default_visibility: Visibility,
    /// The namespace's limits.
    pub limits: Limits,
}

/// What a publish needs from outside it.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait PublishContext {
    /// The hash of one record.
    type Hash: Sha256;

    /// A fresh hash; `None` where records are measured but not hashed.
    fn sha256(&self) -> Option<Self::Hash>;

    /// The version of the next record. Here, and only here, versions are given while no ledger gives them.
    fn next_version(&self) -> Version;

    /// The terms of a namespace that the caller may write; called once, before anything is staged. A namespace that
    /// is over its rate, or whose configuration is broken, is a problem.
    async fn terms(&self, ns: &Namespace) -> Result<Terms, Problem>;
}

/// Who publishes and when.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The caller.
    pub identity: &'a Identity,
    /// The time that rows carry.
    pub now: Micros,
    /// Names this request in its rows. Ours, never the caller's choice, so that no two requests share it.
    pub ingest_id: &'a str,
    /// Names this request in its answer and in the log.
    pub request_id: &'a str,
    /// Limits until the namespace is known.
    pub ceilings: Limits,
}

/// Publishes a body. `idle` is what an answer names where no record came, so that no namespace chose a destination.
///
/// # Errors
/// The problems of the contract that concern the whole request; then nothing was taken, except where the problem's
/// `accepted` says otherwise (a body that breaks off while a sink takes chunks as they come).
pub async fn publish(
    request: &Request<'_>,
    context: &impl PublishContext,
    sink: &impl ChunkSink,
    body: &mut impl Body,
    idle: &Destination,
) -> Result<Answer, Problem> {
    let mut publisher = Publisher {
        request,
        context,
        sink,
        started: None,
        in_flight: FuturesUnordered::new(),
        tally: Tally::default(),
        record_count: 0,
        stopped: None,
        sink_failure: None,
    };
    let outcome = match request.identity.single_namespace() {
        // Known before the body: what refuses the namespace refuses it unread.
        Some(ns) => publisher.start(ns).await,
        None => Ok(()),
    };
    let outcome = match outcome {
        Ok(()) => publisher.read(body).await,
        refused => refused,
    };
    match outcome {
        Ok(()) => publisher.finish(idle).await,
        Err(problem) => {
            publisher.settle().await;
            sink.abort().await;
            Err(problem.with_member("accepted", publisher.tally.accepted))
        }
    }
}

/// What exists only once the namespace is known.
struct Started {
    ns: Namespace,
    terms: Terms,
    renderer: RowRenderer,
    chunker: Chunker,
    /// Lines of the records in the chunk that is still open.
    open_lines: Lines,
}

/// Why nothing more is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stopped {
    /// A bad line in an all-or-nothing mode, or a failed sink: the rest is read and counted.
    Sending,
    /// A limit of the request: nothing more is read.
    Reading,
}

struct Publisher<'a, C, S> {
    request: &'a Request<'a>,
    context: &'a C,
    sink: &'a S,
    started: Option<Started>,
    in_flight: FuturesUnordered<LocalBoxFuture<'a, Sent>>,
    tally: Tally,
    record_count: u64,
    stopped: Option<Stopped>,
    sink_failure: Option<SinkError>,
}

struct Sent {
    chunk: Chunk,
    lines: Lines,
    result: Result<(), SinkError>,
}

impl<C: PublishContext, S: ChunkSink> Publisher<'_, C, S> {
    async fn read(&mut self, body: &mut impl Body) -> Result<(), Problem> {
        let mut framer = Framer::default();
        let mut len_bytes = 0_u64;
        while self.stopped != Some(Stopped::Reading) {
            let next = self.next_bytes(body).await.map_err(|error| body_problem(&error))?;
            let Some(bytes) = next else {
                if let Some(line) = framer.finish() {
                    self.take(line).await?;
                }
                return Ok(());
            };
            // Lines within the limit count, wherever the body was cut on its way; so the cut of the limit is exact too.
            let (bytes, is_over) = self.within_limit(&bytes, len_bytes);
            len_bytes = len_bytes.saturating_add(bytes.len() as u64);
            let mut rest = bytes;
            while let Some(line) = framer.next_line(&mut rest) {
                self.take(line).await?;
                if self.stopped == Some(Stopped::Reading) {
                    return Ok(());
                }
            }
            if is_over {
                let limit = self.limits().body_len_bytes_max;
                return self.meet_limit(framer.line_count() + 1, body_too_large(len_bytes + 1, limit));
            }
        }
        Ok(())
    }

    /// The part of `bytes` that the body's limit leaves after `len_bytes`, and whether that is not all.
    fn within_limit<'b>(&self, bytes: &'b [u8], len_bytes: u64) -> (&'b [u8], bool) {
        let left = self.limits().body_len_bytes_max.saturating_sub(len_bytes);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        bytes.split_at_checked(left).map_or((bytes, false), |(within, over)| (within, !over.is_empty()))
    }

    /// The next bytes of the body, while chunks under way go on.
    async fn next_bytes(&mut self, body: &mut impl Body) -> Result<Option<Bytes>, BodyError> {
        let mut next = pin!(body.next());
        loop {
            if self.in_flight.is_empty() {
                return next.await;
            }
            match select(next.as_mut(), self.in_flight.next()).await {
                Either::Left((bytes, _)) => return bytes,
                Either::Right((sent, _)) => self.received(sent),
            }
        }
    }

    fn limits(&self) -> Limits {
        self.started.as_ref().map_or(self.request.ceilings, |started| started.terms.limits)
    }

    async fn take(&mut self, line: Line<'_>) -> Result<(), Problem> {
        let number = line.number();
        self.record_count += 1;
        let limit = self.limits().record_count_max;
        if self.record_count > limit {
            let detail = format!("the body has more than {limit} records");
            let problem = Problem::new(ErrorCode::TooManyRecords, detail).with_member("limit", limit);
            return self.meet_limit(number, problem);
        }
        let record = match line {
            Line::TooLarge { len_bytes, .. } => Err(too_large(len_bytes)),
            Line::Whole { bytes, .. } => parse_record(bytes),
        };
        let pushed = match record {
            Ok(record) => self.push(number, &record).await?,
            Err(error) => Err(error),
        };
        match pushed {
            Ok(Some((chunk, lines))) => self.send(chunk, lines).await,
            Ok(None) => {}
            Err(error) => self.reject(number, error),
        }
        Ok(())
    }

    /// Adds a record to the open chunk. The inner result is about the line, the outer one about the request.
    async fn push(
        &mut self,
        line: u64,
        record: &Record<'_>,
    ) -> Result<Result<Option<(Chunk, Lines)>, LineError>, Problem> {
        self.start(&record.key.ns).await?;
        let Some(started) = &mut self.started else { return Ok(Ok(None)) };
        if record.key.ns != started.ns {
            let detail = "ns is not the namespace of this request; one request writes one namespace";
            return Ok(Err(LineError::of_field(LineErrorCode::NamespaceMismatch, "ns", detail)));
        }
        let mode = started.terms.destination.mode;
        if mode == Mode::Bulk && record.if_version.is_some() {
            let detail = "if_version needs an all-or-nothing mode";
            return Ok(Err(LineError::of_field(LineErrorCode::IfVersionInBulk, "if_version", detail)));
        }
        let visibility =
            match resolve_visibility(record, started.terms.default_visibility, self.request.identity) {
                Ok(visibility) => visibility,
                Err(error) => return Ok(Err(error)),
            };
        if self.stopped.is_some() {
            self.tally.reject(line, not_sent());
            return Ok(Ok(None));
        }
        let digest = self.context.sha256().map(|sha256| content_digest(record, sha256));
        let fields = RowFields {
            version: self.context.next_version(),
            visibility,
            hash: digest.map(|digest| digest.hash),
            size_bytes: digest.map_or_else(|| content_size_bytes(record), |digest| digest.size_bytes),
        };
        Ok(started.renderer.plan_row(record, &fields).map(|row| {
            let closed = started.chunker.push_row(line, &row);
            let closed = closed.map(|chunk| (chunk, std::mem::take(&mut started.open_lines)));
            started.open_lines.push(line);
            closed
        }))
    }

    /// Fixes the namespace of the request by its first valid record.
    async fn start(&mut self, ns: &Namespace) -> Result<(), Problem> {
        if self.started.is_some() {
            return Ok(());
        }
        let ns = self.request.identity.single_namespace().unwrap_or(ns);
        check_namespace(self.request.identity, ns)?;
        let terms = self.context.terms(ns).await?;
        let mode = terms.destination.mode;
        let identity = self.request.identity;
        let renderer = RowRenderer::new(&RequestFields {
            owner_iss: Some(&identity.issuer),
            owner_org: identity.org.as_deref(),
            owner_sub: identity.sub.as_deref(),
            ts: self.request.now,
            mode,
            ingest_id: self.request.ingest_id,
        });
        let chunker = Chunker::new(mode.chunk_len_bytes_max());
        self.started =
            Some(Started { ns: ns.clone(), terms, renderer, chunker, open_lines: Lines::default() });
        if mode != Mode::Bulk && self.tally.rejected > 0 {
            self.stop_sending();
        }
        Ok(())
    }

    fn mode(&self) -> Option<Mode> {
        self.started.as_ref().map(|started| started.terms.destination.mode)
    }

    fn reject(&mut self, line: u64, error: LineError) {
        self.tally.reject(line, error);
        // Before a valid record came, nobody knows the mode yet; `start` looks back.
        if self.mode().is_some_and(|mode| mode != Mode::Bulk) {
            self.stop_sending();
        }
    }

    /// All-or-nothing: what waits in the open chunk is not sent any more.
    fn stop_sending(&mut self) {
        self.stopped = self.stopped.or(Some(Stopped::Sending));
        if let Some(started) = &mut self.started {
            started.chunker.finish();
            let lines = std::mem::take(&mut started.open_lines);
            self.tally.reject_all(&lines, LineErrorCode::NotSent, NOT_SENT);
        }
    }

    /// A limit of the request was met at a line. Where nothing was taken, that is a problem; where something was, the
    /// reading ends and the answer says where.
    fn meet_limit(&mut self, line: u64, problem: Problem) -> Result<(), Problem> {
        let bulk_took = self.mode() == Some(Mode::Bulk)
            && self.started.as_ref().is_some_and(|s| !s.open_lines.is_empty());
        if !bulk_took && self.tally.accepted == 0 && self.in_flight.is_empty() {
            return Err(problem);
        }
        if self.mode() != Some(Mode::Bulk) {
            self.stop_sending();
        }
        self.tally.reject(line, LineError::of_line(LineErrorCode::LimitReached, problem.detail));
        self.stopped = Some(Stopped::Reading);
        Ok(())
    }

    async fn send(&mut self, chunk: Chunk, lines: Lines) {
        if self.in_flight.len() >= CHUNKS_IN_FLIGHT_MAX {
            self.receive().await;
        }
        let Some(mode) = self.mode() else { return };
        if self.stopped == Some(Stopped::Sending) {
            self.tally.reject_all(&lines, LineErrorCode::NotSent, NOT_SENT);
            return;
        }
        let sink = self.sink;
        let sent = async move {
            let result = sink.stage(mode, &chunk).await;
            Sent { chunk, lines, result }
        };
        self.in_flight.push(sent.boxed_local());
        // A future does nothing until it is polled: this starts the send before the next line is read.
        if let Poll::Ready(sent) = poll!(self.in_flight.next()) {
            self.received(sent);
        }
    }

    /// Waits for one chunk under way.
    async fn receive(&mut self) {
        let sent = self.in_flight.next().await;
        self.received(sent);
    }

    fn received(&mut self, sent: Option<Sent>) {
        let Some(sent) = sent else { return };
        if let Some(started) = &mut self.started {
            started.chunker.recycle(sent.chunk.json);
        }
        match sent.result {
            Ok(()) => self.tally.accept(&sent.lines),
            Err(failure) => {
                self.tally.reject_all(
                    &sent.lines,
                    LineErrorCode::ChunkFailed,
                    "the stream did not take the chunk",
                );
                self.sink_failure.get_or_insert(failure);
                if self.mode() != Some(Mode::Bulk) {
                    self.stop_sending();
                }
            }
        }
    }

    async fn settle(&mut self) {
        while !self.in_flight.is_empty() {
            self.receive().await;
        }
    }

    async fn finish(mut self, idle: &Destination) -> Result<Answer, Problem> {
        let last = self
            .started
            .as_mut()
            .and_then(|started| Some((started.chunker.finish()?, std::mem::take(&mut started.open_lines))));
        if let Some((chunk, lines)) = last {
            self.send(chunk, lines).await;
        }
        self.settle().await;
        let is_failed = self.tally.rejected > 0 && self.mode() != Some(Mode::Bulk);
        if is_failed {
            self.sink.abort().await;
        } else if let Err(failure) = self.sink.commit().await {
            return Err(sink_problem(&failure));
        }
        if is_failed && self.sink.durability() == Durability::WhenCommitted {
            self.tally.accepted = 0;
        }
        if self.tally.accepted == 0
            && let Some(failure) = &self.sink_failure
        {
            return Err(sink_problem(failure));
        }
        let destination = self.started.as_ref().map_or(idle, |started| &started.terms.destination);
        Ok(Answer {
            accepted: self.tally.accepted,
            unchanged: 0,
            rejected: self.tally.rejected,
            chunks: self.tally.chunks,
            pipeline: destination.pipeline.clone(),
            mode: destination.mode.as_str(),
            estimated_available_at: destination.available_at(self.request.now).to_rfc3339(),
            errors: self.tally.into_errors(),
            request_id: self.request.request_id.to_owned(),
        })
    }
}

const NOT_SENT: &str = "the record is valid, but another line was rejected before it was sent";

fn not_sent() -> LineError {
    LineError::of_line(LineErrorCode::NotSent, NOT_SENT)
}
