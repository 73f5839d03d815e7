//! Reads that a lookup's own state machine does not ask for: pointer, version hint, table metadata.

use bytes::{Bytes, BytesMut};
use firn_store::read::{ObjectRead, StoreError};
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
    store.begin_wave();
    let tail = match store.read(object, &ByteRange::Tail { len_bytes: guess_len_bytes }).await {
        Ok(tail) => tail,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    if tail.offset == 0 {
        return Ok(Some(tail.bytes));
    }
    store.begin_wave();
    let head = store.read(object, &ByteRange::Range(0..tail.offset)).await?;
    let mut whole = BytesMut::from(head.bytes.as_ref());
    whole.extend_from_slice(&tail.bytes);
    Ok(Some(whole.freeze()))
}
