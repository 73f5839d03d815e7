//! Whether an object has a name twice.
//!
//! Most objects have a few names: they are compared pair by pair. Larger ones are sorted: there is no hash to attack,
//! and the comparisons look at no more bytes than the line has, times the logarithm of the number of its names.

use crate::escape;

/// Names up to which every pair is compared: 28 comparisons, mostly of lengths, beat a sort.
const PAIRWISE_COUNT_MAX: usize = 8;

/// One name. A line, and so all that is decoded of it, has fewer than 2^32 bytes.
#[derive(Clone, Copy, Debug)]
struct Name {
    /// Where it starts in the text, after its quote.
    start_idx: u32,
    /// Where its value starts: in the text, or in what was decoded.
    value_idx: u32,
    value_len_bytes: u32,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Text,
    Decoded,
}

/// The names of all objects that are open, the innermost last.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: Vec<Name>,
    /// The values of names with escapes, one after the other; shorter than the text.
    decoded: String,
}

impl Names {
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Remembers a name without escapes.
    pub(super) fn remember(&mut self, start_idx: usize, len_bytes: usize) {
        self.push(start_idx, start_idx, len_bytes, Place::Text);
    }

    /// Remembers a name with escapes.
    pub(super) fn remember_decoded(&mut self, start_idx: usize, body: &str) {
        let value_idx = self.decoded.len();
        escape::decode(body, &mut self.decoded);
        self.push(start_idx, value_idx, self.decoded.len() - value_idx, Place::Decoded);
    }

    /// Forgets the names of the innermost object, those after the first `names_before`. If one of them repeats an
    /// earlier one: where the first that does so starts.
    pub(super) fn forget_object(&mut self, names_before: usize, text: &str) -> Option<usize> {
        let (text, decoded) = (text.as_bytes(), self.decoded.as_bytes());
        let value = |name: &Name| {
            let start_idx = name.value_idx as usize;
            let bytes = match name.place {
                Place::Text => text,
                Place::Decoded => decoded,
            };
            bytes.get(start_idx..start_idx.saturating_add(name.value_len_bytes as usize)).unwrap_or_default()
        };
        let names = self.names.get_mut(names_before..).unwrap_or_default();
        let repeated = if names.len() <= PAIRWISE_COUNT_MAX {
            first_repeated_pairwise(names, value)
        } else {
            first_repeated_sorted(names, value)
        };
        self.names.truncate(names_before);
        repeated.map(|start_idx| start_idx as usize)
    }

    fn push(&mut self, start_idx: usize, value_idx: usize, value_len_bytes: usize, place: Place) {
        let narrow = |value| u32::try_from(value).unwrap_or(u32::MAX);
        self.names.push(Name {
            start_idx: narrow(start_idx),
            value_idx: narrow(value_idx),
            value_len_bytes: narrow(value_len_bytes),
            place,
        });
    }
}

fn first_repeated_pairwise<'v>(names: &[Name], value: impl Fn(&Name) -> &'v [u8]) -> Option<u32> {
    for (idx, name) in names.iter().enumerate() {
        let repeats =
            |earlier: &Name| earlier.value_len_bytes == name.value_len_bytes && value(earlier) == value(name);
        if names.iter().take(idx).any(repeats) {
            return Some(name.start_idx);
        }
    }
    None
}

fn first_repeated_sorted<'v>(names: &mut [Name], value: impl Fn(&Name) -> &'v [u8]) -> Option<u32> {
    heap_sort(names, &|a, b| (value(a), a.start_idx) < (value(b), b.start_idx));
    let neighbours = names.iter().zip(names.iter().skip(1));
    neighbours.filter(|(a, b)| value(a) == value(b)).map(|(_, b)| b.start_idx).min()
}

/// Sorts in place, whatever the order before, in n log n steps. For objects of so many names that how fast hardly
/// matters; the standard library's sort is 5 KB of a Worker.
fn heap_sort<T>(items: &mut [T], is_less: &dyn Fn(&T, &T) -> bool) {
    for root in (0..items.len() / 2).rev() {
        sift_down(items, root, is_less);
    }
    for end in (1..items.len()).rev() {
        items.swap(0, end);
        sift_down(items.get_mut(..end).unwrap_or_default(), 0, is_less);
    }
}

/// Moves the item at `root` below its larger children, until none is.
fn sift_down<T>(items: &mut [T], mut root: usize, is_less: &dyn Fn(&T, &T) -> bool) {
    loop {
        let mut largest = root;
        for child in [2 * root + 1, 2 * root + 2] {
            if let (Some(item), Some(than)) = (items.get(child), items.get(largest))
                && is_less(than, item)
            {
                largest = child;
            }
        }
        if largest == root {
            return;
        }
        items.swap(root, largest);
        root = largest;
    }
}
