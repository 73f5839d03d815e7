//! A decorator that counts what a store is asked for.

use std::cell::Cell;

use firn_types::object::{ByteRange, ObjectKey};

use crate::read::{ObjectBytes, ObjectRead, StoreError};

/// What was asked and given. Waves are counted by [`crate::perform::perform`], which alone knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadCounts {
    /// Requests, those included that failed or were given up.
    pub requests: u64,
    /// Bytes that arrived.
    pub len_bytes: u64,
    /// Requests that failed.
    pub failures: u64,
}

/// Counts reads of the store inside.
#[derive(Debug)]
pub struct CountingRead<R> {
    inner: R,
    counts: Cell<ReadCounts>,
}

impl<R> CountingRead<R> {
    /// Counts from zero.
    pub fn new(inner: R) -> Self {
        Self { inner, counts: Cell::default() }
    }

    /// The counts so far.
    pub fn counts(&self) -> ReadCounts {
        self.counts.get()
    }
}

impl<R: ObjectRead> ObjectRead for CountingRead<R> {
    async fn read(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError> {
        let mut counts = self.counts.get();
        counts.requests += 1;
        self.counts.set(counts);
        let outcome = self.inner.read(key, range).await;
        // Read anew after the await: other reads may have been counted meanwhile.
        let mut counts = self.counts.get();
        match &outcome {
            Ok(read) => counts.len_bytes += read.bytes.len() as u64,
            Err(_) => counts.failures += 1,
        }
        self.counts.set(counts);
        outcome
    }
}
