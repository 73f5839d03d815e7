//! One wave of reads: coalesced, bounded in their concurrency, each asker given its bytes.

use firn_types::object::{ByteRange, ObjectKey};
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::{
    coalesce::plan_reads,
    read::{ObjectBytes, ObjectRead, StoreError},
};

/// Most reads under way at once: Cloudflare lets one invocation hold six connections, and a seventh would wait inside
/// the runtime, invisible to our deadlines.
pub const CONNECTIONS_MAX: usize = 6;

/// Reads every range of `asked`, at most [`CONNECTIONS_MAX`] at a time, near ones of one object with one request.
/// The answers come in the order of `asked`. The first failure ends the wave.
pub async fn perform(
    store: &impl ObjectRead,
    asked: &[(ObjectKey, ByteRange)],
) -> Result<Vec<ObjectBytes>, StoreError> {
    let plan = plan_reads(asked);
    let done: Vec<ObjectBytes> = stream::iter(&plan.reads)
        .map(|(key, range)| store.read(key, range))
        .buffered(CONNECTIONS_MAX)
        .try_collect()
        .await?;
    plan.split(&done)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::poll_fn, task::Poll};

    use bytes::Bytes;
    use futures::executor::block_on;

    use super::*;
    use crate::{counting::CountingRead, memory::MemoryStore, read::StoreErrorKind};

    /// Gives way once before each read, so that several are under way.
    struct SlowRead {
        inner: MemoryStore,
        running: Cell<usize>,
        running_max: Cell<usize>,
    }

    impl ObjectRead for SlowRead {
        async fn read(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError> {
            self.running.set(self.running.get() + 1);
            self.running_max.set(self.running_max.get().max(self.running.get()));
            let mut yielded = false;
            poll_fn(|context| {
                if std::mem::replace(&mut yielded, true) {
                    return Poll::Ready(());
                }
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            self.running.set(self.running.get() - 1);
            self.inner.read(key, range).await
        }
    }

    #[test]
    fn wave_is_coalesced_and_bounded() {
        let inner = MemoryStore::default();
        for i in 0..20 {
            inner.put(&ObjectKey::new(&format!("{i}")), Bytes::from(vec![i; 100]));
        }
        let slow = SlowRead { inner, running: Cell::new(0), running_max: Cell::new(0) };
        let store = CountingRead::new(slow);
        let asked: Vec<_> = (0..40u64)
            .map(|i| (ObjectKey::new(&format!("{}", i % 20)), ByteRange::Range(i..i + 2)))
            .collect();
        let given = block_on(perform(&store, &asked)).unwrap();
        assert!(given.iter().zip(0..).all(|(g, i)| g.offset == i && g.bytes == vec![(i % 20) as u8; 2]));
        assert_eq!(store.counts().requests, 20);
    }

    #[test]
    fn at_most_six_reads_are_under_way() {
        let inner = MemoryStore::default();
        let asked: Vec<_> =
            (0..20).map(|i| (ObjectKey::new(&format!("{i}")), ByteRange::Range(0..1))).collect();
        for (key, _) in &asked {
            inner.put(key, Bytes::from_static(b"x"));
        }
        let slow = SlowRead { inner, running: Cell::new(0), running_max: Cell::new(0) };
        block_on(perform(&slow, &asked)).unwrap();
        assert_eq!(slow.running_max.get(), CONNECTIONS_MAX);
    }

    #[test]
    fn missing_object_ends_the_wave() {
        let asked = [(ObjectKey::new("a"), ByteRange::Range(0..1))];
        let error = block_on(perform(&MemoryStore::default(), &asked)).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::NotFound);
    }
}
