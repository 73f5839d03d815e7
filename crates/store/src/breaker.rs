//! A circuit breaker: after some failures in a row a dependency is left alone for a while, so that nobody waits for what
//! will not come, and what recovers is not met by everybody at once.

use std::cell::Cell;

use firn_types::{
    object::{ByteRange, ObjectKey},
    time::Micros,
};

use crate::read::{ObjectBytes, ObjectRead, StoreError, StoreErrorKind};

/// Failures in a row that open it: more than one lookup can have alone, which asks for each of its tables three times,
/// or repeats ten reads ([`crate::retry::RETRIES_MAX`]).
pub const FAILURES_MAX: u32 = 20;

/// How long it stays open at first; each trial that fails doubles it, up to [`OPEN_MICROS_MAX`].
pub const OPEN_MICROS_MIN: i64 = 1_000_000;

/// Longest time that it stays open.
pub const OPEN_MICROS_MAX: i64 = 15_000_000;

/// How long a trial may take, before another one is let through.
const TRIAL_MICROS: i64 = 5_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Calls go through.
    Closed { failure_count: u32 },
    /// None does until then; the next one is a trial.
    Open { until: Micros, open_micros: i64 },
    /// One is on its way; if nothing is heard of it until then, another one goes.
    Trial { until: Micros, open_micros: i64 },
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The dependency answered, whatever it said.
    Answered,
    /// It did not, or said that it cannot.
    Failed,
}

/// The breaker of one dependency, in one isolate.
#[derive(Debug)]
pub struct Breaker(Cell<State>);

impl Default for Breaker {
    fn default() -> Self {
        Self(Cell::new(State::Closed { failure_count: 0 }))
    }
}

impl Breaker {
    /// Whether a call may be made. While it is open, one is let through each time that it would close.
    ///
    /// # Errors
    /// For how long it may not, in microseconds.
    pub fn admit(&self, now: Micros) -> Result<(), i64> {
        match self.0.get() {
            State::Closed { .. } => Ok(()),
            State::Open { until, open_micros } | State::Trial { until, open_micros } => {
                let left_micros = until.0 - now.0;
                // A clock that went back does not keep it open.
                if left_micros > 0 && left_micros <= OPEN_MICROS_MAX.max(TRIAL_MICROS) {
                    return Err(left_micros);
                }
                self.0.set(State::Trial { until: Micros(now.0 + TRIAL_MICROS), open_micros });
                Ok(())
            }
        }
    }

    /// Notes what became of a call that was admitted.
    pub fn note(&self, outcome: Outcome, now: Micros) {
        let open = |open_micros: i64| {
            let open_micros = open_micros.clamp(OPEN_MICROS_MIN, OPEN_MICROS_MAX);
            State::Open { until: Micros(now.0 + open_micros), open_micros }
        };
        let next = match (self.0.get(), outcome) {
            (_, Outcome::Answered) => State::Closed { failure_count: 0 },
            (State::Closed { failure_count }, Outcome::Failed) if failure_count + 1 < FAILURES_MAX => {
                State::Closed { failure_count: failure_count + 1 }
            }
            (State::Closed { .. }, Outcome::Failed) => open(OPEN_MICROS_MIN),
            // Those that were under way when it opened say nothing new.
            (State::Open { .. }, Outcome::Failed) => return,
            (State::Trial { open_micros, .. }, Outcome::Failed) => open(open_micros * 2),
        };
        self.0.set(next);
    }
}

/// A call that was admitted. Dropped without an outcome (given up by whoever waited for it), it has failed.
#[derive(Debug)]
pub struct Attempt<'b, N: Fn() -> Micros> {
    breaker: &'b Breaker,
    now: N,
    outcome: Outcome,
}

impl<'b, N: Fn() -> Micros> Attempt<'b, N> {
    /// Begins a call.
    ///
    /// # Errors
    /// For how long none may be made, in microseconds.
    pub fn begin(breaker: &'b Breaker, now: N) -> Result<Self, i64> {
        breaker.admit(now())?;
        Ok(Self { breaker, now, outcome: Outcome::Failed })
    }

    /// Ends it.
    pub fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl<N: Fn() -> Micros> Drop for Attempt<'_, N> {
    fn drop(&mut self) {
        self.breaker.note(self.outcome, (self.now)());
    }
}

/// A store that is left alone while its breaker is open. It stands innermost, so that each attempt counts.
#[derive(Debug)]
pub struct BreakerRead<'b, R, N> {
    inner: R,
    breaker: &'b Breaker,
    now: N,
}

impl<'b, R, N: Fn() -> Micros> BreakerRead<'b, R, N> {
    /// Reads of `inner` behind `breaker`; `now` tells the time.
    pub fn new(inner: R, breaker: &'b Breaker, now: N) -> Self {
        Self { inner, breaker, now }
    }
}

impl<R: ObjectRead, N: Fn() -> Micros> ObjectRead for BreakerRead<'_, R, N> {
    async fn read(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError> {
        let Ok(attempt) = Attempt::begin(self.breaker, &self.now) else {
            return Err(StoreError::new(StoreErrorKind::LeftAlone, key));
        };
        let read = self.inner.read(key, range).await;
        let is_failure = read.as_ref().is_err_and(StoreError::is_retryable);
        attempt.end(if is_failure { Outcome::Failed } else { Outcome::Answered });
        read
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures::executor::block_on;

    use super::*;

    fn fail(breaker: &Breaker, now: i64, times: u32) {
        for _ in 0..times {
            breaker.note(Outcome::Failed, Micros(now));
        }
    }

    #[test]
    fn opens_after_failures_in_a_row_and_lets_one_trial_through() {
        let breaker = Breaker::default();
        fail(&breaker, 0, FAILURES_MAX - 1);
        assert_eq!(breaker.admit(Micros(0)), Ok(()));
        breaker.note(Outcome::Answered, Micros(0));
        fail(&breaker, 0, FAILURES_MAX - 1);
        assert_eq!(breaker.admit(Micros(0)), Ok(()), "not in a row");
        fail(&breaker, 0, 1);
        assert_eq!(breaker.admit(Micros(0)), Err(OPEN_MICROS_MIN));
        assert_eq!(breaker.admit(Micros(OPEN_MICROS_MIN - 1)), Err(1));
        assert_eq!(breaker.admit(Micros(OPEN_MICROS_MIN)), Ok(()), "the trial");
        assert!(breaker.admit(Micros(OPEN_MICROS_MIN)).is_err(), "one only");
        breaker.note(Outcome::Answered, Micros(OPEN_MICROS_MIN + 1));
        assert_eq!(breaker.admit(Micros(OPEN_MICROS_MIN + 1)), Ok(()));
    }

    #[test]
    fn trials_that_fail_grow_rare_and_one_that_vanishes_is_replaced() {
        let breaker = Breaker::default();
        fail(&breaker, 0, FAILURES_MAX);
        let mut now = OPEN_MICROS_MIN;
        for open_micros in [2, 4, 8, 15, 15].map(|secs| secs * 1_000_000) {
            assert_eq!(breaker.admit(Micros(now)), Ok(()));
            breaker.note(Outcome::Failed, Micros(now));
            assert_eq!(breaker.admit(Micros(now)), Err(open_micros));
            now += open_micros;
        }
        assert_eq!(breaker.admit(Micros(now)), Ok(()));
        assert_eq!(breaker.admit(Micros(now + 1)), Err(TRIAL_MICROS - 1));
        assert_eq!(breaker.admit(Micros(now + TRIAL_MICROS)), Ok(()));
    }

    #[test]
    fn clock_that_goes_back_does_not_keep_it_open() {
        let breaker = Breaker::default();
        fail(&breaker, 1_000_000_000_000, FAILURES_MAX);
        assert_eq!(breaker.admit(Micros(0)), Ok(()));
    }

    /// Fails as it is told, and counts.
    struct Failing(RefCell<Vec<StoreErrorKind>>, Cell<u32>);

    impl ObjectRead for Failing {
        async fn read(&self, key: &ObjectKey, _: &ByteRange) -> Result<ObjectBytes, StoreError> {
            self.1.set(self.1.get() + 1);
            Err(StoreError::new(self.0.borrow_mut().pop().unwrap_or(StoreErrorKind::Unavailable), key))
        }
    }

    #[test]
    fn store_that_fails_is_left_alone_and_one_that_lacks_an_object_is_not() {
        let (breaker, key, now) = (Breaker::default(), ObjectKey::new("k"), Cell::new(0));
        let range = ByteRange::Tail { len_bytes: 1 };
        let store = Failing(RefCell::new(vec![StoreErrorKind::NotFound; 20]), Cell::new(0));
        let read = BreakerRead::new(&store, &breaker, || Micros(now.get()));
        let kind = || block_on(read.read(&key, &range)).unwrap_err().kind;
        for _ in 0..20 {
            assert_eq!(kind(), StoreErrorKind::NotFound);
        }
        for _ in 0..FAILURES_MAX {
            assert_eq!(kind(), StoreErrorKind::Unavailable);
        }
        assert_eq!((kind(), store.1.get()), (StoreErrorKind::LeftAlone, 20 + FAILURES_MAX));
        now.set(OPEN_MICROS_MIN);
        assert_eq!(kind(), StoreErrorKind::Unavailable);
        assert_eq!(kind(), StoreErrorKind::LeftAlone);
    }

    #[test]
    fn call_that_is_given_up_has_failed() {
        let breaker = Breaker::default();
        for _ in 0..FAILURES_MAX {
            drop(Attempt::begin(&breaker, || Micros(0)).ok());
        }
        assert_eq!(Attempt::begin(&breaker, || Micros(0)).err(), Some(OPEN_MICROS_MIN));
    }
}
