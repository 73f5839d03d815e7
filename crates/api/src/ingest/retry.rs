//! Sends that are tried again: a decorator of a sink.
//!
//! A stage or a commit of a ledger may be repeated; it has its effect once. Repeating a send can store rows twice (the stream says so itself), never change them: a row's identity is key and
//! version, and a resent row carries the same. So an unknown outcome (a timeout, a broken connection) is tried again
//! rather than reported as a loss.

use firn_store::retry::Pause;
use firn_types::mode::Mode;
use futures::{
    future::{Either, select},
    pin_mut,
};

use crate::ingest::sink::{ChunkSink, Closing, Committed, Outgoing, SinkError};

/// Attempts at one chunk, the first included: with the pauses and deadlines below a chunk is settled within a minute,
/// less than a client's usual patience.
pub const ATTEMPTS_MAX: u32 = 3;

/// Deadline of one attempt. A stream takes a few hundred milliseconds for 4 MB.
pub const ATTEMPT_MS_MAX: u64 = 15_000;

/// Pause after the first failure; doubles.
const PAUSE_MS_BASE: u64 = 200;

/// Longest `Retry-After` of a stream that is waited for; beyond it the client is told to come back.
pub const RETRY_AFTER_MS_MAX: u64 = 5_000;

/// Tries the sends of the sink inside again, as [`pause_before_retry`] says.
#[derive(Debug)]
pub struct RetrySink<S, P> {
    inner: S,
    platform: P,
}

impl<S, P> RetrySink<S, P> {
    /// Tries the sends of `inner` again.
    pub const fn new(inner: S, platform: P) -> Self {
        Self { inner, platform }
    }
}

/// How long to wait before the next attempt, after `attempt_count` failed ones; `None`: give up. `jitter` spreads the
/// pause over its upper half.
pub fn pause_before_retry(error: &SinkError, attempt_count: u32, jitter: u32) -> Option<u64> {
    if attempt_count >= ATTEMPTS_MAX {
        return None;
    }
    let base_ms = PAUSE_MS_BASE << attempt_count.saturating_sub(1).min(8);
    let spread = |ms: u64| ms / 2 + ms / 2 * u64::from(jitter) / u64::from(u32::MAX);
    match error {
        SinkError::Unavailable(_) | SinkError::Ledger(_) => Some(spread(base_ms)),
        SinkError::Throttled { retry_after_ms: None } => Some(spread(base_ms * 4)),
        SinkError::Throttled { retry_after_ms: Some(asked_ms) } => {
            (*asked_ms <= RETRY_AFTER_MS_MAX).then(|| asked_ms + spread(PAUSE_MS_BASE))
        }
        _ => None,
    }
}

impl<S: ChunkSink, P: Pause> RetrySink<S, P> {
    /// Makes attempts until one succeeds, may not be repeated, or was the last. `late` is the error of one that takes too
    /// long.
    async fn repeat<T>(
        &self,
        late: fn(String) -> SinkError,
        mut attempt: impl AsyncFnMut() -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        let mut attempt_count = 0;
        loop {
            attempt_count += 1;
            let deadline = self.platform.pause(ATTEMPT_MS_MAX);
            let running = attempt();
            pin_mut!(running, deadline);
            let result = match select(running, deadline).await {
                Either::Left((result, _)) => result,
                Either::Right(((), _)) => Err(late(format!("no answer within {ATTEMPT_MS_MAX} ms"))),
            };
            let error = match result {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            match pause_before_retry(&error, attempt_count, self.platform.jitter()) {
                Some(pause_ms) => self.platform.pause(pause_ms).await,
                None => return Err(error),
            }
        }
    }
}

impl<S: ChunkSink, P: Pause> ChunkSink for RetrySink<S, P> {
    async fn stage(&self, outgoing: &Outgoing) -> Result<(), SinkError> {
        let late = if outgoing.mode == Mode::Bulk { SinkError::Unavailable } else { SinkError::Ledger };
        self.repeat(late, async || self.inner.stage(outgoing).await).await
    }

    async fn commit(&self, closing: &Closing<'_>) -> Result<Committed, SinkError> {
        self.repeat(SinkError::Ledger, async || self.inner.commit(closing).await).await
    }

    async fn abort(&self) {
        self.inner.abort().await;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        future::pending,
    };

    use firn_ndjson::chunk::{Chunk, Rows};
    use futures::executor::block_on;

    use super::*;

    /// Answers each attempt with the next result; `None` never answers.
    struct Scripted {
        results: RefCell<Vec<Option<Result<(), SinkError>>>>,
        attempts: Cell<u32>,
    }

    impl ChunkSink for Scripted {
        async fn stage(&self, _: &Outgoing) -> Result<(), SinkError> {
            self.attempts.set(self.attempts.get() + 1);
            let result = self.results.borrow_mut().remove(0);
            match result {
                Some(result) => result,
                None => pending().await,
            }
        }

        async fn commit(&self, _: &Closing<'_>) -> Result<Committed, SinkError> {
            Err(SinkError::Mismatch)
        }

        async fn abort(&self) {}
    }

    /// Time passes only where an attempt does not answer.
    struct Instant<'a>(&'a RefCell<Vec<u64>>);

    impl Pause for Instant<'_> {
        async fn pause(&self, pause_ms: u64) {
            self.0.borrow_mut().push(pause_ms);
        }

        fn jitter(&self) -> u32 {
            u32::MAX
        }
    }

    #[track_caller]
    fn check(results: Vec<Option<Result<(), SinkError>>>, expected: &Result<(), SinkError>, attempts: u32) {
        let scripted = Scripted { results: RefCell::new(results), attempts: Cell::new(0) };
        let paused = RefCell::default();
        let sink = RetrySink::new(&scripted, Instant(&paused));
        let rows = Rows::Json(b"[]".to_vec());
        let chunk = Chunk { rows, len_bytes: 2, record_count: 1, first_line: 1, last_line: 1 };
        let outgoing = Outgoing { idx: 0, mode: Mode::Bulk, chunk, rows: Vec::new(), digest: Vec::new() };
        assert_eq!(&block_on(sink.stage(&outgoing)), expected);
        assert_eq!(scripted.attempts.get(), attempts);
    }

    fn unavailable() -> SinkError {
        SinkError::Unavailable("x".to_owned())
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_not_for_ever() {
        let refused = || SinkError::Refused("x".to_owned());
        let throttled = |ms| SinkError::Throttled { retry_after_ms: ms };
        check(vec![Some(Ok(()))], &Ok(()), 1);
        check(vec![Some(Err(unavailable())), Some(Ok(()))], &Ok(()), 2);
        check(vec![Some(Err(refused()))], &Err(refused()), 1);
        check(vec![Some(Err(throttled(Some(1_000)))), Some(Ok(()))], &Ok(()), 2);
        check(vec![Some(Err(throttled(Some(60_000))))], &Err(throttled(Some(60_000))), 1);
        check((0..3).map(|_| Some(Err(unavailable()))).collect(), &Err(unavailable()), 3);
    }

    #[test]
    fn attempt_that_never_answers_ends_at_its_deadline() {
        check(vec![None, Some(Ok(()))], &Ok(()), 2);
    }

    #[test]
    fn pauses_double_and_jitter_stays_in_the_upper_half() {
        assert_eq!(pause_before_retry(&unavailable(), 1, 0), Some(100));
        assert_eq!(pause_before_retry(&unavailable(), 1, u32::MAX), Some(200));
        assert_eq!(pause_before_retry(&unavailable(), 2, u32::MAX), Some(400));
        assert_eq!(pause_before_retry(&unavailable(), 3, 0), None);
    }
}
