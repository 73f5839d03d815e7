//! The bytes of one object that were fetched so far.

use std::{collections::BTreeMap, ops::Range};

use bytes::{Bytes, BytesMut};

/// Pieces of an object by their offset.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fetched(BTreeMap<u64, Bytes>);

impl Fetched {
    /// Adds a piece.
    pub(crate) fn insert(&mut self, offset: u64, bytes: Bytes) {
        let longer_is_there = self.0.get(&offset).is_some_and(|there| there.len() >= bytes.len());
        if !longer_is_there && !bytes.is_empty() {
            self.0.insert(offset, bytes);
        }
    }

    /// How many bytes are held.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.0.values().map(|bytes| bytes.len() as u64).sum()
    }

    /// Drops every piece.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
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

    /// The bytes from `offset` to the end of the piece that reaches furthest behind it. Never empty.
    pub(crate) fn prefix(&self, offset: u64) -> Option<Bytes> {
        // A short piece may start between a longer one's start and `offset`.
        let covering = self.0.range(..=offset).rev().filter_map(|(start, bytes)| {
            let skipped = usize::try_from(offset - start).ok()?;
            (skipped < bytes.len()).then(|| bytes.slice(skipped..))
        });
        covering.max_by_key(Bytes::len)
    }

    /// The start of the piece that holds the byte at `offset`; `offset` where none does.
    pub(crate) fn start_of(&self, offset: u64) -> u64 {
        let holds = |(start, bytes): &(&u64, &Bytes)| offset - **start < bytes.len() as u64;
        self.0.range(..=offset).find(holds).map_or(offset, |(start, _)| *start)
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
    use super::*;

    #[test]
    fn pieces_are_joined_where_they_touch() {
        let whole: Bytes = (0..100u8).collect();
        let mut fetched = Fetched::default();
        for (start, end) in [(10u8, 20), (20, 30), (25, 28), (12, 14), (40, 50), (45, 60), (40, 41)] {
            fetched.insert(start.into(), whole.slice(usize::from(start)..end));
        }
        for (range, there) in [
            (10u8..20, true),
            (13..30, true),
            (26..30, true),
            (19..21, true),
            (29..31, false),
            (30..31, false),
            (40..60, true),
            (0..11, false),
            (59..61, false),
        ] {
            let expected = there.then(|| whole.slice(usize::from(range.start)..usize::from(range.end)));
            assert_eq!(fetched.get(&(range.start.into()..range.end.into())), expected, "{range:?}");
        }
        assert_eq!(fetched.covered_to(11, 100), 30);
        assert_eq!(fetched.covered_to(11, 15), 15);
        assert_eq!(fetched.covered_to(30, 40), 30);
        fetched.clear();
        assert_eq!(fetched.get(&(10..11)), None);
    }
}
