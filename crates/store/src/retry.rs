//! Retrying reads: a pure decision, and a decorator that carries it out with a pause of the caller's.

use std::cell::Cell;

use firn_types::object::{ByteRange, ObjectKey};

use crate::read::{ObjectBytes, ObjectRead, StoreError, StoreErrorKind};

/// Most attempts of one read, the first included. Three bridge a connection that was closed and a moment of
/// throttling; a store that fails three times within the budget is down, and the caller's client may come back.
pub const ATTEMPTS_MAX: u32 = 3;

/// Most retries of all reads of one [`RetryRead`] together, which is one lookup. A cold lookup of nine reads may meet a
/// failure at each and still come through; one of a hundred reads does not ask a store that is down three hundred times.
pub const RETRIES_MAX: u32 = 10;

/// Longest time that the pauses of one read may take together: a tenth of the 30 s that an invocation may go on.
pub const PAUSE_BUDGET_MS: u64 = 3_000;

/// Pause after the first failure; it doubles with each further one. R2's and S3's own latency is some 30 ms, so that
/// a store that was briefly busy has had time for a few others.
const PAUSE_MS_BASE: u64 = 100;

/// A throttled caller waits this many times longer.
const THROTTLED_FACTOR: u64 = 4;

/// What a failure says about trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// The same would fail again.
    Permanent,
    /// It may succeed a little later.
    Transient,
    /// It may succeed later, and the other side asks to be called less often.
    Throttled,
}

impl From<&StoreError> for FailureClass {
    fn from(error: &StoreError) -> Self {
        match error.kind {
            StoreErrorKind::Throttled => Self::Throttled,
            // A pause of this length changes nothing of it.
            StoreErrorKind::LeftAlone => Self::Permanent,
            _ if error.is_retryable() => Self::Transient,
            _ => Self::Permanent,
        }
    }
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// Read again after this pause.
    After {
        /// The pause.
        pause_ms: u64,
    },
    /// Hand the failure on.
    GiveUp,
}

/// Decides what to do after a failure.
///
/// `attempt_count` attempts were made, pauses of `waited_ms` lie behind. `jitter` is a random number; it spreads the
/// pause over the upper half of its interval, so that callers that failed together do not return together.
pub fn decide(class: FailureClass, attempt_count: u32, waited_ms: u64, jitter: u32) -> RetryDecision {
    if class == FailureClass::Permanent || attempt_count >= ATTEMPTS_MAX {
        return RetryDecision::GiveUp;
    }
    let doublings = attempt_count.saturating_sub(1).min(16);
    let factor = if class == FailureClass::Throttled { THROTTLED_FACTOR } else { 1 };
    let half_ms = ((PAUSE_MS_BASE * factor) << doublings) / 2;
    let spread_ms = half_ms * u64::from(jitter) / u64::from(u32::MAX);
    let pause_ms = half_ms + spread_ms;
    if waited_ms.saturating_add(pause_ms) > PAUSE_BUDGET_MS {
        return RetryDecision::GiveUp;
    }
    RetryDecision::After { pause_ms }
}

/// What retrying needs of its platform.
#[expect(
    async_fn_in_trait,
    reason = "callers are generic over the platform and never need the future's name"
)]
pub trait Pause {
    /// Returns after this time.
    async fn pause(&self, pause_ms: u64);

    /// A random number.
    fn jitter(&self) -> u32;
}

impl<P: Pause> Pause for &P {
    async fn pause(&self, pause_ms: u64) {
        P::pause(self, pause_ms).await;
    }

    fn jitter(&self) -> u32 {
        P::jitter(self)
    }
}

/// Retries the reads of the store inside as [`decide`] says, [`RETRIES_MAX`] times in all.
#[derive(Debug)]
pub struct RetryRead<R, P> {
    inner: R,
    platform: P,
    retries_left: Cell<u32>,
}

impl<R, P> RetryRead<R, P> {
    /// Retries the reads of `inner`.
    pub fn new(inner: R, platform: P) -> Self {
        Self { inner, platform, retries_left: Cell::new(RETRIES_MAX) }
    }
}

impl<R: ObjectRead, P: Pause> ObjectRead for RetryRead<R, P> {
    async fn read(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError> {
        let mut waited_ms = 0;
        let mut attempt_count = 0;
        loop {
            let error = match self.inner.read(key, range).await {
                Ok(read) => return Ok(read),
                Err(error) => error,
            };
            attempt_count += 1;
            let decision =
                decide(FailureClass::from(&error), attempt_count, waited_ms, self.platform.jitter());
            match (decision, self.retries_left.get().checked_sub(1)) {
                (RetryDecision::GiveUp, _) | (_, None) => return Err(error),
                (RetryDecision::After { pause_ms }, Some(retries_left)) => {
                    self.retries_left.set(retries_left);
                    self.platform.pause(pause_ms).await;
                    waited_ms += pause_ms;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use bytes::Bytes;
    use futures::executor::block_on;

    use super::*;
    use crate::{
        counting::CountingRead,
        fault::{Fault, FaultRead},
        memory::MemoryStore,
    };

    #[track_caller]
    fn check(kind: StoreErrorKind, attempt_count: u32, waited_ms: u64, jitter: u32, expected: Option<u64>) {
        let error = StoreError::new(kind, &ObjectKey::new("a"));
        let expected = expected.map_or(RetryDecision::GiveUp, |pause_ms| RetryDecision::After { pause_ms });
        assert_eq!(decide(FailureClass::from(&error), attempt_count, waited_ms, jitter), expected);
    }

    #[test]
    fn retries_are_spread_bounded_and_only_where_they_help() {
        use StoreErrorKind as K;
        check(K::Timeout, 1, 0, 0, Some(50));
        check(K::Timeout, 1, 0, u32::MAX, Some(100));
        check(K::Unavailable, 2, 100, u32::MAX, Some(200));
        check(K::Throttled, 1, 0, u32::MAX, Some(400));
        check(K::ShortRead { asked_len_bytes: 2, found_len_bytes: 1 }, 1, 0, 0, Some(50));
        check(K::Timeout, ATTEMPTS_MAX, 0, 0, None);
        check(K::Timeout, 1, PAUSE_BUDGET_MS, 0, None);
        check(K::NotFound, 1, 0, 0, None);
        check(K::RangeInvalid { object_len_bytes: 1 }, 1, 0, 0, None);
    }

    #[derive(Default)]
    struct Pauses(RefCell<Vec<u64>>);

    impl Pause for Pauses {
        async fn pause(&self, pause_ms: u64) {
            self.0.borrow_mut().push(pause_ms);
        }

        fn jitter(&self) -> u32 {
            0
        }
    }

    #[test]
    fn read_succeeds_after_two_failures_and_fails_after_three() {
        for (failure_count, succeeds) in [(0, true), (2, true), (3, false)] {
            let (memory, key, pauses) = (MemoryStore::default(), ObjectKey::new("a"), Pauses::default());
            memory.put(&key, Bytes::from_static(b"0123"));
            let fault =
                |idx, _: &_, _: &_| (idx < failure_count).then_some(Fault::Fail(StoreErrorKind::Unavailable));
            let store = CountingRead::new(FaultRead::new(memory, fault));
            let outcome = block_on(RetryRead::new(&store, &pauses).read(&key, &ByteRange::Range(0..4)));
            assert_eq!(outcome.is_ok(), succeeds);
            assert_eq!(store.counts().requests, (failure_count + 1).min(3));
            let pause_count = usize::try_from(failure_count).unwrap().min(2);
            assert_eq!(*pauses.0.borrow(), [50, 100][..pause_count]);
        }
    }

    #[test]
    fn reads_share_one_budget_of_retries() {
        let (key, pauses) = (ObjectKey::new("a"), Pauses::default());
        let fault = |_, _: &_, _: &_| Some(Fault::Fail(StoreErrorKind::Unavailable));
        let store = CountingRead::new(FaultRead::new(MemoryStore::default(), fault));
        let retrying = RetryRead::new(&store, &pauses);
        for _ in 0..100 {
            block_on(retrying.read(&key, &ByteRange::Range(0..4))).unwrap_err();
        }
        assert_eq!(store.counts().requests, 100 + u64::from(RETRIES_MAX));
        assert_eq!(pauses.0.borrow().len(), usize::try_from(RETRIES_MAX).unwrap());
    }
}
