//! Whether an object has a name twice.
//!
//! Most objects have a few names: they are compared pair by pair. Larger ones are sorted: no hash to attack, and at
//! most a line's bytes times the logarithm of its names in comparisons.

use std::cmp::Ordering;

use crate::escape::Pieces;

/// Names up to which every pair is compared: 28 comparisons, mostly of lengths, beat a sort.
const PAIRWISE_COUNT_MAX: usize = 8;

/// Where a name lies in the text, without its quotes. A line has less than 2^32 bytes.
#[derive(Clone, Copy, Debug)]
struct Name {
    start_idx: u32,
    len_bytes: u32,
}

impl Name {
    fn body(self, text: &str) -> &str {
        let start_idx = self.start_idx as usize;
        text.get(start_idx..start_idx.saturating_add(self.len_bytes as usize)).unwrap_or_default()
    }
}

/// The names of all objects that are open, the innermost last.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: Vec<Name>,
    /// Whether any name of this text had an escape, so that two spellings may be one name.
    has_escape: bool,
}

impl Names {
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn remember(&mut self, start_idx: usize, len_bytes: usize, has_escape: bool) {
        self.has_escape |= has_escape;
        let narrow = |value| u32::try_from(value).unwrap_or(u32::MAX);
        self.names.push(Name { start_idx: narrow(start_idx), len_bytes: narrow(len_bytes) });
    }

    /// Forgets the names of the innermost object, those after the first `names_before`. If one of them repeats an
    /// earlier one: where the first that does so starts.
    pub(super) fn forget_object(&mut self, names_before: usize, text: &str) -> Option<usize> {
        let order = if self.has_escape { order_decoded } else { order_as_written };
        let names = self.names.get_mut(names_before..).unwrap_or_default();
        let repeated = if names.len() <= PAIRWISE_COUNT_MAX {
            first_repeated(names, text, order)
        } else {
            first_repeated_of_many(names, text, order)
        };
        self.names.truncate(names_before);
        repeated.map(|start_idx| start_idx as usize)
    }
}

/// Order of two names' values.
type Order = fn(&str, &str) -> Ordering;

fn first_repeated(names: &[Name], text: &str, order: Order) -> Option<u32> {
    let mut later = names.iter().enumerate();
    let repeats = |idx: usize, name: &Name| {
        names.iter().take(idx).any(|earlier| order(earlier.body(text), name.body(text)).is_eq())
    };
    later.find(|(idx, name)| repeats(*idx, name)).map(|(_, name)| name.start_idx)
}

fn first_repeated_of_many(names: &mut [Name], text: &str, order: Order) -> Option<u32> {
    names.sort_unstable_by(|a, b| order(a.body(text), b.body(text)).then(a.start_idx.cmp(&b.start_idx)));
    let neighbours = names.iter().zip(names.iter().skip(1));
    neighbours.filter(|(a, b)| order(a.body(text), b.body(text)).is_eq()).map(|(_, b)| b.start_idx).min()
}

fn order_as_written(a: &str, b: &str) -> Ordering {
    a.cmp(b)
}

fn order_decoded(a: &str, b: &str) -> Ordering {
    Pieces::new(a).bytes().cmp(Pieces::new(b).bytes())
}
