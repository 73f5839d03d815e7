//! A decorator that injects faults, for tests of whatever reads.

use std::cell::Cell;

use bytes::{Bytes, BytesMut};
use firn_types::object::{ByteRange, ObjectKey};

use crate::read::{ObjectBytes, ObjectRead, StoreError, StoreErrorKind};

/// What goes wrong with one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The read fails.
    Fail(StoreErrorKind),
    /// One bit of the answer is wrong, and the store does not notice.
    FlipBit {
        /// Which byte of the answer; beyond its end nothing is wrong.
        byte_idx: usize,
        /// Which bit of it, 0–7.
        bit_idx: u8,
    },
    /// The store believes that the object is shorter than it was, and gives a shorter answer: what a stale replica or
    /// an overwritten object looks like.
    Truncate {
        /// How many bytes are missing at the end.
        len_bytes: u64,
    },
}

/// Injects faults into the reads of the store inside. `choose` is asked once for each read, with its number.
pub struct FaultRead<R, F> {
    inner: R,
    choose: F,
    read_count: Cell<u64>,
}

impl<R: std::fmt::Debug, F> std::fmt::Debug for FaultRead<R, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultRead").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<R, F: Fn(u64, &ObjectKey, &ByteRange) -> Option<Fault>> FaultRead<R, F> {
    /// `choose` gets the zero-based number of the read, its object and its range.
    pub fn new(inner: R, choose: F) -> Self {
        Self { inner, choose, read_count: Cell::new(0) }
    }
}

impl<R: ObjectRead, F: Fn(u64, &ObjectKey, &ByteRange) -> Option<Fault>> ObjectRead for FaultRead<R, F> {
    async fn read(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError> {
        let read_idx = self.read_count.replace(self.read_count.get() + 1);
        match (self.choose)(read_idx, key, range) {
            None => self.inner.read(key, range).await,
            Some(Fault::Fail(kind)) => Err(StoreError::new(kind, key)),
            Some(Fault::FlipBit { byte_idx, bit_idx }) => {
                let mut read = self.inner.read(key, range).await?;
                read.bytes = flip_bit(&read.bytes, byte_idx, bit_idx);
                Ok(read)
            }
            Some(Fault::Truncate { len_bytes }) => {
                let read = self.inner.read(key, range).await?;
                truncate(read, key, range, len_bytes)
            }
        }
    }
}

fn flip_bit(bytes: &Bytes, byte_idx: usize, bit_idx: u8) -> Bytes {
    let mut changed = BytesMut::from(bytes.as_ref());
    if let Some(byte) = changed.get_mut(byte_idx) {
        *byte ^= 1u8.wrapping_shl(u32::from(bit_idx));
    }
    changed.freeze()
}

fn truncate(
    read: ObjectBytes,
    key: &ObjectKey,
    range: &ByteRange,
    len_bytes: u64,
) -> Result<ObjectBytes, StoreError> {
    let object_len_bytes = read.object_len_bytes.saturating_sub(len_bytes);
    let end = read.offset.saturating_add(read.bytes.len() as u64);
    if matches!(range, ByteRange::Range(_)) && end > object_len_bytes {
        return Err(StoreError::new(StoreErrorKind::RangeInvalid { object_len_bytes }, key));
    }
    let lost = usize::try_from(end.saturating_sub(object_len_bytes)).unwrap_or(usize::MAX);
    let kept = read.bytes.len().saturating_sub(lost);
    Ok(ObjectBytes { bytes: read.bytes.slice(..kept), object_len_bytes, ..read })
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::{counting::CountingRead, memory::MemoryStore};

    #[test]
    fn faults_are_injected_and_counted() {
        let (memory, key) = (MemoryStore::default(), ObjectKey::new("a"));
        memory.put(&key, Bytes::from_static(b"0123456789"));
        let faults = [
            None,
            Some(Fault::Fail(StoreErrorKind::Timeout)),
            Some(Fault::FlipBit { byte_idx: 0, bit_idx: 0 }),
            Some(Fault::Truncate { len_bytes: 1 }),
        ];
        let store = CountingRead::new(FaultRead::new(memory, |idx, _: &_, _: &_| {
            faults[usize::try_from(idx).unwrap()]
        }));
        let tail = ByteRange::Tail { len_bytes: 4 };
        let read = || block_on(store.read(&key, &tail));
        assert_eq!(read().unwrap().bytes, "6789");
        assert!(read().unwrap_err().is_retryable());
        assert_eq!(read().unwrap().bytes, "7789");
        let truncated = read().unwrap();
        assert_eq!((truncated.bytes.as_ref(), truncated.object_len_bytes), (b"678".as_ref(), 9));
        let counts = store.counts();
        assert_eq!((counts.requests, counts.len_bytes, counts.failures), (4, 11, 1));
    }
}
