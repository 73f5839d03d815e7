//! Sets of rows, as sorted ranges.

use std::ops::Range;

/// Rows of one row group: disjoint, rising, never empty ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RowSet(Vec<Range<u64>>);

impl RowSet {
    /// The rows `range`.
    pub(crate) fn one(range: Range<u64>) -> Self {
        Self::from_ranges([range])
    }

    /// The union of ranges that come in the order of their starts.
    pub(crate) fn from_ranges(ranges: impl IntoIterator<Item = Range<u64>>) -> Self {
        let mut set = Self::default();
        for range in ranges {
            set.push(range);
        }
        set
    }

    /// Adds a range that starts at or behind the start of the last one.
    pub(crate) fn push(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => self.0.push(range),
        }
    }

    /// Rows in both sets.
    pub(crate) fn intersect(&self, other: &Self) -> Self {
        let (mut both, mut mine, mut theirs) = (Self::default(), self.0.iter(), other.0.iter());
        let (mut a, mut b) = (mine.next(), theirs.next());
        while let (Some(x), Some(y)) = (a, b) {
            both.push(x.start.max(y.start)..x.end.min(y.end));
            if x.end <= y.end {
                a = mine.next();
            } else {
                b = theirs.next();
            }
        }
        both
    }

    /// The ranges that overlap `span`, cut to it.
    pub(crate) fn within(&self, span: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let first = self.0.partition_point(|range| range.end <= span.start);
        let span = span.clone();
        self.0
            .get(first..)
            .unwrap_or_default()
            .iter()
            .map(move |range| range.start.max(span.start)..range.end.min(span.end))
            .take_while(|range| !range.is_empty())
    }

    /// Whether a row lies within `span`.
    pub(crate) fn overlaps(&self, span: &Range<u64>) -> bool {
        self.within(span).next().is_some()
    }

    /// The ranges.
    pub(crate) fn ranges(&self) -> &[Range<u64>] {
        &self.0
    }

    /// The rows, one by one.
    pub(crate) fn rows(&self) -> impl Iterator<Item = u64> {
        self.0.iter().cloned().flatten()
    }

    /// How many rows.
    pub(crate) fn row_count(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first row; 0 where there is none.
    pub(crate) fn start(&self) -> u64 {
        self.0.first().map_or(0, |range| range.start)
    }

    /// The row behind the last one; 0 where there is none.
    pub(crate) fn end(&self) -> u64 {
        self.0.last().map_or(0, |range| range.end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(set: &RowSet) -> Vec<u64> {
        set.rows().collect()
    }

    fn set(mut ranges: Vec<(u64, u64)>) -> RowSet {
        ranges.sort_unstable();
        RowSet::from_ranges(ranges.into_iter().map(|(start, len)| start..start + len))
    }

    proptest! {
        #[test]
        fn sets_hold_the_rows_of_their_ranges(
            a in prop::collection::vec((0..60u64, 0..9u64), 0..9),
            b in prop::collection::vec((0..60u64, 0..9u64), 0..9),
            span in (0..60u64, 0..30u64),
        ) {
            let (a, b, span) = (set(a), set(b), span.0..span.0 + span.1);
            let (in_a, in_b) = (rows(&a), rows(&b));
            prop_assert!(a.ranges().windows(2).all(|pair| pair[0].end < pair[1].start));
            prop_assert_eq!(a.row_count(), in_a.len() as u64);
            let both: Vec<u64> = in_a.iter().copied().filter(|row| in_b.contains(row)).collect();
            prop_assert_eq!(rows(&a.intersect(&b)), both);
            let inside: Vec<u64> = in_a.into_iter().filter(|row| span.contains(row)).collect();
            prop_assert_eq!(a.overlaps(&span), !inside.is_empty());
            prop_assert_eq!(a.within(&span).flatten().collect::<Vec<_>>(), inside);
        }
    }
}
