//! Reads with retries, and those that no state machine asks for: pointer, version hint, table metadata.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    thread,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use firn_store::{
    read::{ObjectRead, StoreError},
    retry::{Pause, RetryRead},
};
use firn_types::object::{ByteRange, ObjectKey};

use crate::trace::Trace;

/// What a small object is read with: pointers and hints have some 200 bytes.
pub(crate) const SMALL_LEN_BYTES: u64 = 4 * 1024;

/// A whole object: its tail, and in a second wave what the tail did not reach. `None` if there is no such object.
pub(crate) async fn read_whole(
    store: &Trace<impl ObjectRead>,
    object: &ObjectKey,
    guess_len_bytes: u64,
) -> Result<Option<Bytes>, StoreError> {
    let retrying = retrying(store);
    store.begin_wave();
    let tail = match retrying.read(object, &ByteRange::Tail { len_bytes: guess_len_bytes }).await {
        Ok(tail) => tail,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    if tail.offset == 0 {
        return Ok(Some(tail.bytes));
    }
    store.begin_wave();
    let head = retrying.read(object, &ByteRange::Range(0..tail.offset)).await?;
    let mut whole = BytesMut::from(head.bytes.as_ref());
    whole.extend_from_slice(&tail.bytes);
    Ok(Some(whole.freeze()))
}

/// The store, each of whose reads is tried again where that can help.
pub(crate) fn retrying<R: ObjectRead>(store: &Trace<R>) -> impl ObjectRead {
    RetryRead::new(store, ThreadPause)
}

/// Pauses the only thread that asks: reads that are under way have threads of their own.
#[derive(Clone, Copy, Debug)]
struct ThreadPause;

impl Pause for ThreadPause {
    async fn pause(&self, pause_ms: u64) {
        thread::sleep(Duration::from_millis(pause_ms));
    }

    fn jitter(&self) -> u32 {
        // Keys of hash maps are the random numbers that the standard library has.
        let hash = RandomState::new().build_hasher().finish();
        u32::try_from(hash & u64::from(u32::MAX)).unwrap_or_default()
    }
}
