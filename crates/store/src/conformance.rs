//! What every implementation of [`ObjectRead`] must do, as plain functions: the in-memory twin runs them here, a
//! Worker runs them against R2, the native tool against an S3 store.
//!
//! Put [`objects`] into the store, then [`run`]. Nothing panics; a Worker can answer with the outcomes.

use bytes::Bytes;
use firn_types::object::{ByteRange, ObjectKey};

use crate::read::{ObjectBytes, ObjectRead, StoreErrorKind};

/// Length of the ordinary object: more than one network packet, less than any read-ahead.
const LEN_BYTES: u64 = 5_000;

/// What was found instead of what the claim says.
pub type Outcome = Result<(), String>;

/// The objects that must be in the store before [`run`].
pub fn objects() -> Vec<(ObjectKey, Bytes)> {
    vec![(ordinary_key(), ordinary_bytes()), (empty_key(), Bytes::new())]
}

/// Checks every claim.
pub async fn run(store: &impl ObjectRead) -> Vec<(&'static str, Outcome)> {
    vec![
        ("a range gives exactly its bytes", range_gives_exactly_its_bytes(store).await),
        ("a tail gives the last bytes", tail_gives_the_last_bytes(store).await),
        ("a tail longer than the object gives all of it", long_tail_gives_all(store).await),
        ("a tail of an empty object is empty", tail_of_empty_object_is_empty(store).await),
        ("a range beyond the end is invalid", range_beyond_the_end_is_invalid(store).await),
        ("an empty range is invalid", empty_range_is_invalid(store).await),
        ("a missing object is not found", missing_object_is_not_found(store).await),
    ]
}

fn ordinary_key() -> ObjectKey {
    ObjectKey::new("conformance/a b/ordinary.bin")
}

fn empty_key() -> ObjectKey {
    ObjectKey::new("conformance/empty.bin")
}

fn ordinary_bytes() -> Bytes {
    expected(0, LEN_BYTES)
}

fn expected(start: u64, end: u64) -> Bytes {
    (start..end).map(|i| u8::try_from(i % 251).unwrap_or_default()).collect()
}

fn check(read: &ObjectBytes, start: u64, end: u64) -> Outcome {
    let found = (read.offset, read.object_len_bytes, &read.bytes);
    let wanted = (start, LEN_BYTES, &expected(start, end));
    if found == wanted { Ok(()) } else { Err(format!("{start}..{end} gave {read:?}")) }
}

async fn range_gives_exactly_its_bytes(store: &impl ObjectRead) -> Outcome {
    for (start, end) in [(0, 1), (0, LEN_BYTES), (1_000, 4_096), (LEN_BYTES - 1, LEN_BYTES)] {
        let read = store.read(&ordinary_key(), &ByteRange::Range(start..end)).await;
        check(&read.map_err(|error| error.to_string())?, start, end)?;
    }
    Ok(())
}

async fn tail_gives_the_last_bytes(store: &impl ObjectRead) -> Outcome {
    for len_bytes in [1, 8, 4_999] {
        let read = store.read(&ordinary_key(), &ByteRange::Tail { len_bytes }).await;
        check(&read.map_err(|error| error.to_string())?, LEN_BYTES - len_bytes, LEN_BYTES)?;
    }
    Ok(())
}

async fn long_tail_gives_all(store: &impl ObjectRead) -> Outcome {
    for len_bytes in [LEN_BYTES, LEN_BYTES + 1, u64::from(u32::MAX)] {
        let read = store.read(&ordinary_key(), &ByteRange::Tail { len_bytes }).await;
        check(&read.map_err(|error| error.to_string())?, 0, LEN_BYTES)?;
    }
    Ok(())
}

async fn tail_of_empty_object_is_empty(store: &impl ObjectRead) -> Outcome {
    let read = store.read(&empty_key(), &ByteRange::Tail { len_bytes: 8 }).await;
    let read = read.map_err(|error| error.to_string())?;
    if (read.offset, read.object_len_bytes, read.bytes.len()) == (0, 0, 0) {
        Ok(())
    } else {
        Err(format!("{read:?}"))
    }
}

async fn range_beyond_the_end_is_invalid(store: &impl ObjectRead) -> Outcome {
    for range in [0..LEN_BYTES + 1, LEN_BYTES..LEN_BYTES + 1, LEN_BYTES + 7..LEN_BYTES + 9] {
        fails_with(
            store,
            &ordinary_key(),
            range,
            StoreErrorKind::RangeInvalid { object_len_bytes: LEN_BYTES },
        )
        .await?;
    }
    fails_with(store, &empty_key(), 0..1, StoreErrorKind::RangeInvalid { object_len_bytes: 0 }).await
}

async fn empty_range_is_invalid(store: &impl ObjectRead) -> Outcome {
    fails_with(store, &ordinary_key(), 9..9, StoreErrorKind::RangeInvalid { object_len_bytes: LEN_BYTES })
        .await
}

async fn missing_object_is_not_found(store: &impl ObjectRead) -> Outcome {
    fails_with(store, &ObjectKey::new("conformance/missing.bin"), 0..1, StoreErrorKind::NotFound).await
}

async fn fails_with(
    store: &impl ObjectRead,
    key: &ObjectKey,
    range: std::ops::Range<u64>,
    kind: StoreErrorKind,
) -> Outcome {
    match store.read(key, &ByteRange::Range(range.clone())).await {
        Err(error) if error.kind == kind => Ok(()),
        other => Err(format!("{range:?} gave {other:?}")),
    }
}
