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
    fn body(self, text: &[u8]) -> &[u8] {
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

    pub(super) fn remember(&mut self, start_idx: usize, len_bytes: usize, value_len_bytes: usize) {
        self.has_escape |= value_len_bytes < len_bytes;
        let narrow = |value| u32::try_from(value).unwrap_or(u32::MAX);
        self.names.push(Name { start_idx: narrow(start_idx), len_bytes: narrow(len_bytes) });
    }

    /// Forgets the names of the innermost object, those after the first `names_before`. If one of them repeats an
    /// earlier one: where the first that does so starts.
    pub(super) fn forget_object(&mut self, names_before: usize, text: &str) -> Option<usize> {
        let text = text.as_bytes();
        let names = self.names.get_mut(names_before..).unwrap_or_default();
        let repeated = if self.has_escape {
            first_repeated_sorted(names, |a, b| order_decoded(a.body(text), b.body(text)))
        } else if names.len() > PAIRWISE_COUNT_MAX {
            first_repeated_sorted(names, |a, b| a.body(text).cmp(b.body(text)))
        } else {
            first_repeated_pairwise(names, text)
        };
        self.names.truncate(names_before);
        repeated.map(|start_idx| start_idx as usize)
    }
}

fn first_repeated_pairwise(names: &[Name], text: &[u8]) -> Option<u32> {
    let mut earlier: &[Name] = &[];
    for (idx, name) in names.iter().enumerate() {
        let body = name.body(text);
        if earlier.iter().any(|other| other.len_bytes == name.len_bytes && other.body(text) == body) {
            return Some(name.start_idx);
        }
        earlier = names.get(..=idx).unwrap_or_default();
    }
    None
}

fn first_repeated_sorted(names: &mut [Name], order: impl Fn(Name, Name) -> Ordering) -> Option<u32> {
    names.sort_unstable_by(|a, b| order(*a, *b).then(a.start_idx.cmp(&b.start_idx)));
    let neighbours = names.iter().zip(names.iter().skip(1));
    neighbours.filter(|(a, b)| order(**a, **b).is_eq()).map(|(_, b)| b.start_idx).min()
}

/// Order of two names' values. A name is a part of a text, between ASCII quotes, and so UTF-8.
fn order_decoded(a: &[u8], b: &[u8]) -> Ordering {
    let value = |name| Pieces::new(std::str::from_utf8(name).unwrap_or_default()).bytes();
    value(a).cmp(value(b))
}
