//! The other half of a publish: chunks to the sink, what came of them, and the end of the request.

use std::task::Poll;

use firn_ndjson::chunk::Chunk;
use firn_types::{error::LineErrorCode, mode::Mode};
use futures::{future::FutureExt, poll, stream::StreamExt};

use super::{CHUNKS_IN_FLIGHT_MAX, Publisher, Sent, Stopped};
use crate::{
    ingest::{
        answer::{Answer, Destination, Published},
        digests::BodyDigests,
        ledger_sink::plain_answer,
        refusal::{commit_problem, sink_problem},
        sink::{ChunkSink, Closing, Committed, Outgoing, SinkError},
        started::OpenChunk,
        terms::PublishContext,
    },
    problem::Problem,
};

const NOT_SENT: &str = "the record is valid, but another line was rejected, and all are taken or none";

impl<C: PublishContext, S: ChunkSink> Publisher<'_, C, S> {
    pub(super) async fn send(&mut self, chunk: Chunk, open: OpenChunk) {
        if self.in_flight.len() >= CHUNKS_IN_FLIGHT_MAX {
            self.receive().await;
        }
        let Some(started) = &mut self.started else { return };
        let mode = started.terms.destination.mode;
        let idx = started.chunk_count;
        started.chunk_count += 1;
        let digest = match (&mut self.digests, self.context.line_hash()) {
            (Some(digests), Some(fresh)) => digests.close_chunk(fresh).to_vec(),
            _ => Vec::new(),
        };
        if self.stopped == Some(Stopped::Sending) {
            return;
        }
        let outgoing = Outgoing { idx, mode, chunk, rows: open.rows, digest };
        let sink = self.sink;
        let sent = async move {
            let result = sink.stage(&outgoing).await;
            Sent { outgoing, lines: open.lines, result }
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

    pub(super) fn received(&mut self, sent: Option<Sent>) {
        let Some(sent) = sent else { return };
        if let Some(started) = &mut self.started {
            started.chunker.recycle(sent.outgoing.chunk.rows);
        }
        match sent.result {
            Ok(()) if sent.outgoing.mode == Mode::Bulk => self.tally.accept(&sent.lines),
            Ok(()) => {}
            Err(failure) if sent.outgoing.mode == Mode::Bulk => {
                let detail = "the stream did not take the chunk";
                self.tally.reject_all(&sent.lines, LineErrorCode::ChunkFailed, detail);
                // The key is another body's, or another request's: nothing more is sent under it.
                if matches!(failure, SinkError::Mismatch | SinkError::LeaseLost) {
                    self.stop_sending();
                }
                self.fail(failure);
            }
            Err(failure) => {
                self.fail(failure);
                self.stop_sending();
            }
        }
    }

    /// The first failure counts; but the lease that a mismatch costs is lost for the chunks beside it.
    fn fail(&mut self, failure: SinkError) {
        let is_told = self.sink_failure.as_ref().is_some_and(|told| *told != SinkError::LeaseLost);
        if !is_told {
            self.sink_failure = Some(failure);
        }
    }

    pub(super) async fn settle(&mut self) {
        while !self.in_flight.is_empty() {
            self.receive().await;
        }
    }

    pub(super) async fn finish(mut self, idle: &Destination) -> Result<Published, Problem> {
        let last = self
            .started
            .as_mut()
            .and_then(|started| Some((started.chunker.finish()?, std::mem::take(&mut started.open))));
        if let Some((chunk, open)) = last {
            self.send(chunk, open).await;
        }
        self.settle().await;
        let is_bulk = self.mode() == Some(Mode::Bulk);
        let is_failed = match &self.sink_failure {
            // Nothing of the body is the key's, or nothing was taken at all.
            Some(SinkError::Mismatch | SinkError::LeaseLost) => true,
            Some(_) => !is_bulk || self.tally.accepted == 0,
            None => false,
        };
        if is_failed {
            self.sink.abort().await;
            let failure = self.sink_failure.unwrap_or(SinkError::Mismatch);
            return Err(sink_problem(&failure).with_member("accepted", self.tally.accepted));
        }
        if self.tally.rejected > 0 && (!is_bulk || self.tally.accepted == 0) {
            self.sink.abort().await;
            self.tally.reject_taken(&self.taken, LineErrorCode::NotSent, NOT_SENT);
            return Ok(Published::Nothing(self.answer(idle)));
        }
        if !is_bulk {
            self.tally.accepted = self.taken.count();
            self.tally.chunks = self.started.as_ref().map_or(0, |started| started.chunk_count);
        }
        let body_digest = self.digests.take().map(BodyDigests::finish);
        let answer = self.answer(idle);
        let closing = Closing {
            chunk_count: self.started.as_ref().map_or(0, |started| started.chunk_count),
            record_count: self.started.as_ref().map_or(0, |started| started.row_count),
            body_digest,
            answer: &answer,
        };
        match self.sink.commit(&closing).await {
            Ok(committed) => Ok(Published::Taken { committed, is_partial: answer.rejected > 0 }),
            // Bulk is taken, chunk by chunk; only that it is finished could not be written down.
            Err(failure) if is_bulk && failure != SinkError::Mismatch => {
                self.sink.abort().await;
                let answer = plain_answer(&answer);
                Ok(Published::Taken { committed: Committed { answer, is_replayed: false }, is_partial: true })
            }
            Err(failure) => {
                self.sink.abort().await;
                Err(commit_problem(&failure))
            }
        }
    }

    fn answer(&mut self, idle: &Destination) -> Answer {
        let errors = self.tally.take_errors();
        let destination = self.started.as_ref().map_or(idle, |started| &started.terms.destination);
        Answer {
            accepted: self.tally.accepted,
            rejected: self.tally.rejected,
            chunks: self.tally.chunks,
            pipeline: destination.pipeline.clone(),
            mode: destination.mode.as_str(),
            estimated_available_at: destination.available_at(self.request.now).to_rfc3339(),
            errors,
            request_id: self.request.request_id.to_owned(),
        }
    }
}
