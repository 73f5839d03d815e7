//! Not waiting for ever: a deadline for any future, and a decorator that gives every read one.

use std::{future::Future, pin::pin};

use firn_types::object::{ByteRange, ObjectKey};
use futures::future::{Either, select};

use crate::{
    read::{ObjectBytes, ObjectRead, StoreError, StoreErrorKind},
    retry::Pause,
};

/// Longest time that one read may take. R2 answers within 30 to some 300 ms, seldom within a second; a read that took
/// twice as long is given up sooner than a lookup of 5 s, so that one more attempt fits in.
pub const READ_TIMEOUT_MS: u64 = 2_000;

/// What `future` gives; `None` if it takes longer than `deadline_ms`. It is dropped then, which ends what the platform
/// lets us end: a fetch, but no read through R2's binding.
pub async fn within<T>(
    platform: &impl Pause,
    deadline_ms: u64,
    future: impl Future<Output = T>,
) -> Option<T> {
    match select(pin!(future), pin!(platform.pause(deadline_ms))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

/// Gives every read of the store inside a deadline; one that misses it is [`StoreErrorKind::Timeout`].
#[derive(Debug)]
pub struct TimeoutRead<R, P> {
    inner: R,
    platform: P,
    timeout_ms: u64,
}

impl<R, P> TimeoutRead<R, P> {
    /// Waits at most `timeout_ms` for each read of `inner`.
    pub fn new(inner: R, platform: P, timeout_ms: u64) -> Self {
        Self { inner, platform, timeout_ms }
    }
}

impl<R: ObjectRead, P: Pause> ObjectRead for TimeoutRead<R, P> {
    async fn read(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError> {
        let read = within(&self.platform, self.timeout_ms, self.inner.read(key, range)).await;
        read.unwrap_or_else(|| Err(StoreError::new(StoreErrorKind::Timeout, key)))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        future::{pending, ready},
    };

    use futures::executor::block_on;

    use super::*;
    use crate::memory::MemoryStore;

    /// A timer that rings at once, and remembers for when it was set.
    #[derive(Default)]
    struct Rings(Cell<u64>);

    impl Pause for Rings {
        async fn pause(&self, pause_ms: u64) {
            self.0.set(pause_ms);
        }

        fn jitter(&self) -> u32 {
            0
        }
    }

    #[test]
    fn what_is_ready_wins_over_the_deadline_and_what_hangs_does_not() {
        let rings = Rings::default();
        assert_eq!(block_on(within(&rings, 7, ready(1))), Some(1));
        assert_eq!(block_on(within(&rings, 7, pending::<()>())), None);
        assert_eq!(rings.0.get(), 7);
    }

    struct HangingRead;

    impl ObjectRead for HangingRead {
        async fn read(&self, _: &ObjectKey, _: &ByteRange) -> Result<ObjectBytes, StoreError> {
            pending().await
        }
    }

    #[test]
    fn read_that_hangs_is_a_timeout_and_others_are_themselves() {
        let (rings, key, range) = (Rings::default(), ObjectKey::new("a"), ByteRange::Range(0..1));
        let error = block_on(TimeoutRead::new(HangingRead, &rings, 9).read(&key, &range)).unwrap_err();
        assert_eq!((error.kind, rings.0.get()), (StoreErrorKind::Timeout, 9));
        let store = MemoryStore::default();
        let error = block_on(TimeoutRead::new(&store, &rings, 9).read(&key, &range)).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::NotFound);
        store.put(&key, "x".into());
        assert_eq!(block_on(TimeoutRead::new(&store, &rings, 9).read(&key, &range)).unwrap().bytes, "x");
    }
}
