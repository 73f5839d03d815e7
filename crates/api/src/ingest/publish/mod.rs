//! The body of an ingest request: lines to records to chunks to the sink, with bounded memory.
//!
//! Preview and build are all-or-nothing: a line that is rejected ends the sending, and the sink drops what it staged.
//! Bulk skips bad lines. Every mode reads to the end of the body, so that the counts are exact; only a limit of the
//! request ends the reading.

use std::pin::pin;

use bytes::Bytes;
use firn_auth::identity::Identity;
use firn_ndjson::{
    chunk::Chunk,
    error::LineError,
    frame::{Framer, Line},
    record::{Record, parse_record, too_large},
};
use firn_types::{
    error::{ErrorCode, LineErrorCode},
    key::Namespace,
    mode::Mode,
    time::Micros,
};
use futures::{
    future::{Either, LocalBoxFuture, select},
    stream::{FuturesUnordered, StreamExt},
};

use crate::{
    ingest::{
        admit::{body_too_large, check_namespace},
        answer::{Destination, Published},
        digests::BodyDigests,
        refusal::body_problem,
        sink::{ChunkSink, Outgoing, SinkError},
        started::{OpenChunk, Started},
        tally::{Lines, Tally},
        terms::{Limits, PublishContext},
        visibility::resolve_visibility,
    },
    ports::{Body, BodyError},
    problem::Problem,
};

mod sending;

/// Chunks under way at once; reading waits while there are as many.
pub const CHUNKS_IN_FLIGHT_MAX: usize = 3;

/// Who publishes.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The caller.
    pub identity: &'a Identity,
    /// The time of the answer.
    pub now: Micros,
    /// Names this request in its answer and in the log.
    pub request_id: &'a str,
    /// Limits until the namespace is known.
    pub ceilings: Limits,
}

/// Publishes a body. `idle` is what an answer names where no record came, so that no namespace chose a destination.
///
/// # Errors
/// The problems of the contract that concern the whole request; then nothing was taken, except where the problem's
/// `accepted` says otherwise (a bulk body that breaks off).
pub async fn publish(
    request: &Request<'_>,
    context: &impl PublishContext,
    sink: &impl ChunkSink,
    body: &mut impl Body,
    idle: &Destination,
) -> Result<Published, Problem> {
    let mut publisher = Publisher {
        request,
        context,
        sink,
        started: None,
        in_flight: FuturesUnordered::new(),
        tally: Tally::default(),
        taken: Lines::default(),
        digests: context
            .line_hash()
            .zip(context.line_hash())
            .map(|(chunk, body)| BodyDigests::new(chunk, body)),
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

/// Why nothing more is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stopped {
    /// A bad line in an all-or-nothing mode, or a failed sink: the rest is read and counted.
    Sending,
    /// A limit of the request: nothing more is read.
    Reading,
}

struct Publisher<'a, C: PublishContext, S> {
    request: &'a Request<'a>,
    context: &'a C,
    sink: &'a S,
    started: Option<Started>,
    in_flight: FuturesUnordered<LocalBoxFuture<'a, Sent>>,
    tally: Tally,
    /// All-or-nothing: the records that are valid, staged or not.
    taken: Lines,
    digests: Option<BodyDigests<C::Hash>>,
    record_count: u64,
    stopped: Option<Stopped>,
    sink_failure: Option<SinkError>,
}

struct Sent {
    outgoing: Outgoing,
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
            Ok(closed) => {
                if let Some((chunk, open)) = closed {
                    self.send(chunk, open).await;
                }
                self.note_line(&line);
            }
            Err(error) => {
                self.note_line(&line);
                self.reject(number, error);
            }
        }
        Ok(())
    }

    /// After a chunk that closed before this line was sent: its digest ends there.
    fn note_line(&mut self, line: &Line<'_>) {
        if let Some(digests) = &mut self.digests {
            digests.push(line);
        }
    }

    /// Adds a record to the open chunk; gives the chunk that closed before it. The inner result is about the line, the
    /// outer one about the request.
    async fn push(
        &mut self,
        line: u64,
        record: &Record<'_>,
    ) -> Result<Result<Option<(Chunk, OpenChunk)>, LineError>, Problem> {
        if self.started.is_none() {
            let ns = Namespace::parse(&record.key.ns).expect("invariant: a record's namespace is valid");
            self.start(&ns).await?;
        }
        let Some(started) = &mut self.started else { return Ok(Ok(None)) };
        if record.key.ns != started.ns.as_str() {
            let detail = "ns is not the namespace of this request; one request writes one namespace";
            return Ok(Err(LineError::of_field(LineErrorCode::NamespaceMismatch, "ns", detail)));
        }
        let is_bulk = started.terms.destination.mode == Mode::Bulk;
        if is_bulk && record.if_version.is_some() {
            let detail = "if_version needs an all-or-nothing mode";
            return Ok(Err(LineError::of_field(LineErrorCode::IfVersionInBulk, "if_version", detail)));
        }
        let visibility =
            match resolve_visibility(record, started.terms.default_visibility, self.request.identity) {
                Ok(visibility) => visibility,
                Err(error) => return Ok(Err(error)),
            };
        if self.stopped.is_some() {
            self.taken.push(line);
            return Ok(Ok(None));
        }
        let pushed = started.push(line, record, visibility, self.context);
        if pushed.is_ok() && !is_bulk {
            self.taken.push(line);
        }
        Ok(pushed)
    }

    /// Fixes the namespace of the request by its first valid record.
    async fn start(&mut self, ns: &Namespace) -> Result<(), Problem> {
        if self.started.is_some() {
            return Ok(());
        }
        let ns = self.request.identity.single_namespace().unwrap_or(ns);
        check_namespace(self.request.identity, ns)?;
        let terms = self.context.begin(ns).await?;
        let mode = terms.destination.mode;
        self.started = Some(Started::new(ns, terms, self.request.identity));
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
            started.open = OpenChunk::default();
        }
    }

    /// A limit of the request was met at a line. Where nothing was taken, that is a problem; where bulk took something,
    /// the reading ends and the answer says where.
    fn meet_limit(&mut self, line: u64, problem: Problem) -> Result<(), Problem> {
        let took_something = self.mode() == Some(Mode::Bulk)
            && (self.tally.accepted > 0
                || !self.in_flight.is_empty()
                || self.started.as_ref().is_some_and(|started| !started.open.lines.is_empty()));
        if !took_something {
            return Err(problem);
        }
        self.tally.reject(line, LineError::of_line(LineErrorCode::LimitReached, problem.detail));
        self.stopped = Some(Stopped::Reading);
        Ok(())
    }
}
