//! The bytes of one object that were fetched so far.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use bytes::{Buf, Bytes, BytesMut};

/// Pieces of an object by their offset; no two overlap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fetched {
    /// What earlier lookups left: shared, and never added to.
    earlier: Option<Arc<Fetched>>,
    pieces: BTreeMap<u64, Bytes>,
    len_bytes: u64,
}

impl Fetched {
    /// Begins with what earlier lookups left.
    pub(crate) fn after(earlier: Arc<Self>) -> Self {
        Self { earlier: Some(earlier), ..Self::default() }
    }

    /// Adds what is new of a piece.
    pub(crate) fn insert(&mut self, offset: u64, mut bytes: Bytes) {
        let mut at = offset;
        while !bytes.is_empty() {
            let known = self.prefix(at).map_or(0, |known| known.len().min(bytes.len()));
            at = at.saturating_add(known as u64);
            bytes.advance(known);
            let gap = self.next_from(at).map_or(u64::MAX, |next| next - at);
            let new = bytes.split_to(usize::try_from(gap).unwrap_or(usize::MAX).min(bytes.len()));
            if !new.is_empty() {
                let len = new.len() as u64;
                self.pieces.insert(at, new);
                self.len_bytes = self.len_bytes.saturating_add(len);
                at = at.saturating_add(len);
            }
        }
    }

    /// How many bytes are held.
    pub(crate) fn len_bytes(&self) -> u64 {
        let earlier = self.earlier.as_ref().map_or(0, |earlier| earlier.len_bytes());
        self.len_bytes.saturating_add(earlier)
    }

    /// Drops every piece.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The bytes of `range`, if all of them are there. Copies only where they lie in several pieces.
    pub(crate) fn get(&self, range: &Range<u64>) -> Option<Bytes> {
        let first = self.prefix(range.start)?;
        let len = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
        if first.len() >= len {
            return Some(first.slice(..len));
        }
        let mut joined = BytesMut::with_capacity(first.len());
        joined.extend_from_slice(&first);
        while joined.len() < len {
            let next = self.prefix(range.start.checked_add(joined.len() as u64)?)?;
            let wanted = next.len().min(len - joined.len());
            joined.extend_from_slice(next.get(..wanted)?);
        }
        Some(joined.freeze())
    }

    /// The bytes from `offset` to the end of the piece that holds it. Never empty.
    pub(crate) fn prefix(&self, offset: u64) -> Option<Bytes> {
        let (start, bytes) = self.last_up_to(offset)?;
        let skipped = usize::try_from(offset - start).ok()?;
        (skipped < bytes.len()).then(|| bytes.slice(skipped..))
    }

    /// The start of the piece that holds the byte at `offset`; `offset` where none does.
    pub(crate) fn start_of(&self, offset: u64) -> u64 {
        let holds = |(start, bytes): &(u64, &Bytes)| offset - start < bytes.len() as u64;
        self.last_up_to(offset).filter(holds).map_or(offset, |(start, _)| start)
    }

    /// The last piece that starts at `offset` or before it.
    fn last_up_to(&self, offset: u64) -> Option<(u64, &Bytes)> {
        let own = self.pieces.range(..=offset).next_back().map(|(start, bytes)| (*start, bytes));
        let earlier = self.earlier.as_ref().and_then(|earlier| earlier.last_up_to(offset));
        own.into_iter().chain(earlier).max_by_key(|(start, _)| *start)
    }

    /// Where the first piece starts that does so at `offset` or behind it.
    fn next_from(&self, offset: u64) -> Option<u64> {
        let own = self.pieces.range(offset..).next().map(|(start, _)| *start);
        let earlier = self.earlier.as_ref().and_then(|earlier| earlier.next_from(offset));
        own.into_iter().chain(earlier).min()
    }

    /// Where the bytes that follow `offset` without a gap end, at most at `end`.
    pub(crate) fn covered_to(&self, offset: u64, end: u64) -> u64 {
        let mut reached = offset;
        while reached < end {
            let Some(piece) = self.prefix(reached) else { break };
            reached = reached.saturating_add(piece.len() as u64);
        }
        reached.min(end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_range_whose_bytes_came_is_there(
            pieces in prop::collection::vec((0..100u8, 0..30u8), 0..12),
            earlier_count in 0..6usize,
            asked in prop::collection::vec((0..100u8, 1..40u8), 0..12),
        ) {
            let whole: Bytes = (0..140u8).collect();
            let slice = |range: &Range<u8>| whole.slice(usize::from(range.start)..usize::from(range.end));
            let mut fetched = Fetched::default();
            let pieces: Vec<Range<u8>> = pieces.into_iter().map(|(start, len)| start..start + len).collect();
            for (idx, piece) in pieces.iter().enumerate() {
                if idx == earlier_count {
                    fetched = Fetched::after(Arc::new(fetched));
                }
                fetched.insert(piece.start.into(), slice(piece));
            }
            let came = |byte: u8| pieces.iter().any(|piece| piece.contains(&byte));
            prop_assert_eq!(fetched.len_bytes(), (0..140).filter(|byte| came(*byte)).count() as u64);
            for (start, len) in asked {
                let range = start..start + len;
                let expected = range.clone().all(came).then(|| slice(&range));
                let asked = u64::from(range.start)..u64::from(range.end);
                prop_assert_eq!(fetched.get(&asked), expected);
                let reached = range.clone().find(|byte| !came(*byte)).unwrap_or(range.end);
                prop_assert_eq!(fetched.covered_to(asked.start, asked.end), u64::from(reached));
            }
            fetched.clear();
            prop_assert_eq!(fetched.get(&(0..1)), None);
        }
    }
}
