//! Merging ranges of one object that lie close together, and giving every asker its part back. Pure: a plan can be
//! printed, asserted and costed before any I/O.
//!
//! ```text
//! asked    [ 0 ]   [ 1 ]                      [ 2 ]        [ 3: tail ]
//! reads    [     0     ]                      [ 1 ]        [    2    ]
//!              gap <= limit       gap > limit
//! ```

use firn_types::object::{ByteRange, ObjectKey};

use crate::read::{ObjectBytes, StoreError, StoreErrorKind};

/// Two ranges of one object become one read where at most this many bytes lie between them: bytes that nobody asked
/// for, against one request saved.
///
/// On workerd a whole object of 3 KiB costs 0.33 ms of CPU and a range of 8 KiB 0.40 ms (measured): 14 µs a KiB, and
/// 0.29 ms a request, so that a request is worth 20 KiB. In waiting time it is worth more, above all where a seventh
/// read would wait for one of six connections. But what is read is also held, and counts against a lookup's budget of
/// bytes: four fifths of the break-even.
pub const GAP_LEN_BYTES_MAX: u64 = 16 * 1024;

/// Which reads answer the ranges asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadPlan {
    /// What to ask the store, in the order of objects and offsets. Nothing in it overlaps, tails excepted.
    pub reads: Vec<(ObjectKey, ByteRange)>,
    /// For each range asked for, in its order, which of the reads holds it.
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    read_idx: usize,
    asked: ByteRange,
}

/// Plans the reads for `asked`. Ranges of one object are merged across gaps of at most [`GAP_LEN_BYTES_MAX`]; tails
/// of one object become the longest of them. A tail and a range are never merged, because where a tail starts is only
/// known after it was read.
pub fn plan_reads(asked: &[(ObjectKey, ByteRange)]) -> ReadPlan {
    let mut order: Vec<usize> = (0..asked.len()).collect();
    // By index where two are the same, so that the order is one; the standard library's stable sort is 3 KB of a Worker.
    order.sort_unstable_by_key(|idx| (asked.get(*idx).map(|(key, range)| (key, sort_key(range))), *idx));
    let mut reads: Vec<(ObjectKey, ByteRange)> = Vec::new();
    let mut parts: Vec<Option<Part>> = vec![None; asked.len()];
    for asked_idx in order {
        let Some((key, range)) = asked.get(asked_idx) else { continue };
        let joined = reads.last_mut().is_some_and(|(last_key, last)| last_key == key && join(last, range));
        if !joined {
            reads.push((key.clone(), range.clone()));
        }
        if let Some(part) = parts.get_mut(asked_idx) {
            *part = Some(Part { read_idx: reads.len() - 1, asked: range.clone() });
        }
    }
    ReadPlan { reads, parts: parts.into_iter().flatten().collect() }
}

impl ReadPlan {
    /// The bytes that the reads ask for; a tail counts in full.
    pub fn len_bytes(&self) -> u64 {
        let len_bytes = |range: &ByteRange| match range {
            ByteRange::Range(range) => range.end.saturating_sub(range.start),
            ByteRange::Tail { len_bytes } => *len_bytes,
        };
        self.reads.iter().map(|(_, range)| len_bytes(range)).sum()
    }

    /// Gives each range asked for its bytes. `done` are the answers to [`Self::reads`], in their order.
    ///
    /// # Errors
    /// An answer that does not hold its range is [`StoreErrorKind::ShortRead`].
    pub fn split(&self, done: &[ObjectBytes]) -> Result<Vec<ObjectBytes>, StoreError> {
        self.parts.iter().map(|part| self.part_of(part, done)).collect()
    }

    fn part_of(&self, part: &Part, done: &[ObjectBytes]) -> Result<ObjectBytes, StoreError> {
        let (Some(read), Some((key, _))) = (done.get(part.read_idx), self.reads.get(part.read_idx)) else {
            let kind = StoreErrorKind::ShortRead { asked_len_bytes: 0, found_len_bytes: 0 };
            return Err(StoreError::new(kind, &ObjectKey::new("")));
        };
        let wanted = match &part.asked {
            ByteRange::Range(range) => range.clone(),
            ByteRange::Tail { len_bytes } => {
                read.object_len_bytes.saturating_sub(*len_bytes)..read.object_len_bytes
            }
        };
        let start = wanted.start.checked_sub(read.offset).and_then(|start| usize::try_from(start).ok());
        let end = wanted.end.checked_sub(read.offset).and_then(|end| usize::try_from(end).ok());
        match (start, end) {
            (Some(start), Some(end)) if start <= end && end <= read.bytes.len() => Ok(ObjectBytes {
                bytes: read.bytes.slice(start..end),
                offset: wanted.start,
                object_len_bytes: read.object_len_bytes,
                etag: read.etag.clone(),
            }),
            _ => Err(StoreError::new(
                StoreErrorKind::ShortRead {
                    asked_len_bytes: wanted.end.saturating_sub(wanted.start),
                    found_len_bytes: read.bytes.len() as u64,
                },
                key,
            )),
        }
    }
}

/// Ranges by start, before tails.
fn sort_key(range: &ByteRange) -> (u8, u64, u64) {
    match range {
        ByteRange::Range(range) => (0, range.start, range.end),
        ByteRange::Tail { len_bytes } => (1, *len_bytes, 0),
    }
}

/// Widens `last` by `next` where that saves a request; false where it does not. `next` does not start before `last`.
fn join(last: &mut ByteRange, next: &ByteRange) -> bool {
    match (last, next) {
        (ByteRange::Range(last), ByteRange::Range(next))
            if next.start <= last.end.saturating_add(GAP_LEN_BYTES_MAX) =>
        {
            last.end = last.end.max(next.end);
            true
        }
        (ByteRange::Tail { len_bytes }, ByteRange::Tail { len_bytes: next }) => {
            *len_bytes = (*len_bytes).max(*next);
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use futures::executor::block_on;
    use proptest::prelude::*;

    use super::*;
    use crate::{memory::MemoryStore, read::ObjectRead};

    fn range(key: &str, range: Range<u64>) -> (ObjectKey, ByteRange) {
        (ObjectKey::new(key), ByteRange::Range(range))
    }

    fn tail(key: &str, len_bytes: u64) -> (ObjectKey, ByteRange) {
        (ObjectKey::new(key), ByteRange::Tail { len_bytes })
    }

    #[track_caller]
    fn check(asked: &[(ObjectKey, ByteRange)], reads: &[(ObjectKey, ByteRange)]) {
        assert_eq!(plan_reads(asked).reads, reads);
    }

    #[test]
    fn near_ranges_of_one_object_become_one_read() {
        const GAP: u64 = GAP_LEN_BYTES_MAX;
        check(&[], &[]);
        check(&[range("a", 5..9), range("a", 0..2)], &[range("a", 0..9)]);
        check(&[range("a", 0..2), range("a", 2 + GAP..3 + GAP)], &[range("a", 0..3 + GAP)]);
        let far = range("a", 3 + GAP..4 + GAP);
        check(&[far.clone(), range("a", 0..2)], &[range("a", 0..2), far]);
        check(&[range("a", 0..9), range("a", 2..4), range("a", 8..9)], &[range("a", 0..9)]);
        check(&[range("b", 0..2), range("a", 0..2)], &[range("a", 0..2), range("b", 0..2)]);
        check(&[tail("a", 8), range("a", 0..2), tail("a", 9)], &[range("a", 0..2), tail("a", 9)]);
        check(&[range("a", 0..u64::MAX), range("a", 1..2)], &[range("a", 0..u64::MAX)]);
    }

    #[test]
    fn answer_that_misses_its_range_is_a_short_read() {
        let plan = plan_reads(&[range("a", 2..6)]);
        let answer = |bytes: &'static [u8], offset| ObjectBytes {
            bytes: bytes.into(),
            offset,
            object_len_bytes: 9,
            etag: None,
        };
        for bad in [vec![], vec![answer(b"234", 2)], vec![answer(b"4567", 4)]] {
            let error = plan.split(&bad).unwrap_err();
            assert!(matches!(error.kind, StoreErrorKind::ShortRead { .. }), "{error}");
        }
        assert_eq!(plan.split(&[answer(b"12345678", 1)]).unwrap()[0].bytes, "2345");
    }

    proptest! {
        #[test]
        fn coalesced_reads_give_the_same_bytes(
            asked in prop::collection::vec((0..3u8, 0..60_000u64, 0..2_000u64, any::<bool>()), 0..40)
        ) {
            const LEN: u64 = 60_000;
            let store = MemoryStore::default();
            for key in ["0", "1", "2"] {
                store.put(&ObjectKey::new(key), (0..LEN).map(|i| (i % 253) as u8).collect());
            }
            let asked: Vec<_> = asked
                .into_iter()
                .map(|(key, start, len, is_tail)| {
                    let key = key.to_string();
                    if is_tail { tail(&key, len) } else { range(&key, start..(start + 1 + len).min(LEN)) }
                })
                .collect();
            let read = |(key, range): &(ObjectKey, ByteRange)| block_on(store.read(key, range)).unwrap();
            let plan = plan_reads(&asked);
            let done: Vec<_> = plan.reads.iter().map(read).collect();
            let alone: Vec<_> = asked.iter().map(read).collect();
            prop_assert_eq!(plan.split(&done).unwrap(), alone);
            prop_assert!(plan.reads.len() <= asked.len());
        }
    }
}
