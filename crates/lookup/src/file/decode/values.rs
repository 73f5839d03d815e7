//! The values of one page, in any encoding, one at a time.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::Type as Physical;

use crate::file::{
    decode::{delta::Delta, rle::Rle, split_array},
    error::Cause,
};

/// Encodings of the format that Firn reads, by their number (`Encoding` of parquet.thrift).
mod encoding {
    pub(super) const PLAIN: i32 = 0;
    pub(super) const PLAIN_DICTIONARY: i32 = 2;
    pub(super) const RLE: i32 = 3;
    pub(super) const DELTA_BINARY_PACKED: i32 = 5;
    pub(super) const DELTA_LENGTH_BYTE_ARRAY: i32 = 6;
    pub(super) const DELTA_BYTE_ARRAY: i32 = 7;
    pub(super) const RLE_DICTIONARY: i32 = 8;
    pub(super) const BYTE_STREAM_SPLIT: i32 = 9;
}

/// Whether values of this encoding are indices into a dictionary.
pub(crate) fn is_dictionary(number: i32) -> bool {
    matches!(number, encoding::PLAIN_DICTIONARY | encoding::RLE_DICTIONARY)
}

/// A value of a physical type; bytes are borrowed from the page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Raw<'a> {
    /// `BOOLEAN`
    Bool(bool),
    /// `INT32`
    I32(i32),
    /// `INT64`
    I64(i64),
    /// `INT96`
    I96([u8; 12]),
    /// `FLOAT`
    F32(f32),
    /// `DOUBLE`
    F64(f64),
    /// `BYTE_ARRAY` and `FIXED_LEN_BYTE_ARRAY`
    Bytes(&'a [u8]),
}

/// How values of a leaf column are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Storage {
    /// Physical type.
    pub(crate) physical: Physical,
    /// Length of a `FIXED_LEN_BYTE_ARRAY`.
    pub(crate) fixed_len: usize,
}

impl Storage {
    /// Length of a value, where all have the same.
    fn width(self) -> Option<usize> {
        match self.physical {
            Physical::INT32 | Physical::FLOAT => Some(4),
            Physical::INT64 | Physical::DOUBLE => Some(8),
            Physical::INT96 => Some(12),
            Physical::FIXED_LEN_BYTE_ARRAY => Some(self.fixed_len),
            Physical::BOOLEAN | Physical::BYTE_ARRAY => None,
        }
    }

    /// Reads a value of [`Self::width`] bytes.
    pub(crate) fn fixed(self, bytes: &[u8]) -> Result<Raw<'_>, Cause> {
        const WHAT: &str = "value";
        Ok(match self.physical {
            Physical::INT32 => Raw::I32(i32::from_le_bytes(split_array(bytes, WHAT)?.0)),
            Physical::INT64 => Raw::I64(i64::from_le_bytes(split_array(bytes, WHAT)?.0)),
            Physical::INT96 => Raw::I96(split_array(bytes, WHAT)?.0),
            Physical::FLOAT => Raw::F32(f32::from_le_bytes(split_array(bytes, WHAT)?.0)),
            Physical::DOUBLE => Raw::F64(f64::from_le_bytes(split_array(bytes, WHAT)?.0)),
            Physical::FIXED_LEN_BYTE_ARRAY | Physical::BYTE_ARRAY => Raw::Bytes(bytes),
            Physical::BOOLEAN => Raw::Bool(bytes.first().is_some_and(|byte| *byte != 0)),
        })
    }
}

/// The values of a dictionary page, for access by index.
#[derive(Debug)]
pub(crate) struct Dictionary {
    storage: Storage,
    bytes: Bytes,
    value_count: u32,
    /// Where each value of varying length starts, and where the last one ends.
    starts: Vec<u32>,
}

impl Dictionary {
    /// Reads a dictionary page. It is plain whatever of its two numbers its header states.
    pub(crate) fn new(
        storage: Storage,
        bytes: Bytes,
        value_count: usize,
        number: i32,
    ) -> Result<Self, Cause> {
        const WHAT: &str = "dictionary";
        if !matches!(number, encoding::PLAIN | encoding::PLAIN_DICTIONARY) {
            return Err(Cause::unsupported("dictionary encoding", number));
        }
        let truncated = Cause::Truncated { what: WHAT };
        let value_count_u32 =
            u32::try_from(value_count).map_err(|_| Cause::invalid(WHAT, value_count as u64))?;
        let mut starts = Vec::new();
        match storage.width() {
            Some(width) => {
                let needed = value_count.checked_mul(width);
                if needed.is_none_or(|needed| needed > bytes.len()) {
                    return Err(truncated);
                }
            }
            None if storage.physical == Physical::BOOLEAN => {
                return Err(Cause::unsupported("dictionary of", Physical::BOOLEAN));
            }
            None => {
                // Each value takes at least the four bytes of its length.
                if value_count.checked_mul(4).is_none_or(|needed| needed > bytes.len()) {
                    return Err(truncated);
                }
                starts = plain_starts(&bytes, value_count)?;
            }
        }
        Ok(Self { storage, bytes, value_count: value_count_u32, starts })
    }

    fn get(&self, idx: u32) -> Result<Raw<'_>, Cause> {
        if idx >= self.value_count {
            return Err(Cause::invalid("dictionary index", idx));
        }
        let at = idx as usize;
        let range = match self.storage.width() {
            Some(width) => at.saturating_mul(width)..at.saturating_add(1).saturating_mul(width),
            None => match (self.starts.get(at), self.starts.get(at + 1)) {
                // Each start lies behind the value's length.
                (Some(start), Some(next)) => *start as usize..(*next as usize).saturating_sub(4),
                _ => return Err(Cause::invalid("dictionary index", idx)),
            },
        };
        self.storage.fixed(self.bytes.get(range).ok_or(Cause::Truncated { what: "dictionary" })?)
    }
}

/// Offsets behind the lengths of `count` plain byte arrays, and the end plus a length that is not there.
fn plain_starts(bytes: &[u8], count: usize) -> Result<Vec<u32>, Cause> {
    let mut starts = Vec::with_capacity(count + 1);
    let mut position = 0usize;
    for _ in 0..count {
        let (start, len) = plain_value(bytes, position)?;
        starts.push(u32::try_from(start).map_err(|_| Cause::Truncated { what: "dictionary" })?);
        position = start + len;
    }
    starts.push(u32::try_from(position + 4).map_err(|_| Cause::Truncated { what: "dictionary" })?);
    Ok(starts)
}

/// Start and length of the plain byte array whose length stands at `position`; both lie within `bytes`.
fn plain_value(bytes: &[u8], position: usize) -> Result<(usize, usize), Cause> {
    const WHAT: &str = "byte array";
    let rest = bytes.get(position..).ok_or(Cause::Truncated { what: WHAT })?;
    let (len, len_len) = split_array::<4>(rest, WHAT)?;
    let len = usize::try_from(u32::from_le_bytes(len)).map_err(|_| Cause::Truncated { what: WHAT })?;
    if len > rest.len() - len_len {
        return Err(Cause::Truncated { what: WHAT });
    }
    Ok((position + len_len, len))
}

/// The values of a page that are not null, in order.
#[derive(Debug)]
pub(crate) enum Values {
    /// `PLAIN` of one length, `BYTE_STREAM_SPLIT` not among them.
    Fixed { storage: Storage, width: usize, bytes: Bytes, position: usize },
    /// `PLAIN` booleans, one bit each.
    Bits { bytes: Bytes, bit: usize },
    /// `PLAIN` byte arrays, each after its length.
    Arrays { bytes: Bytes, position: usize },
    /// Indices into a dictionary.
    Indices { dictionary: Arc<Dictionary>, indices: Rle },
    /// `RLE` booleans.
    Runs(Rle),
    /// `DELTA_BINARY_PACKED` numbers.
    Deltas { physical: Physical, numbers: Delta },
    /// `DELTA_LENGTH_BYTE_ARRAY`: lengths, then all bytes.
    Lengths { lengths: Delta, bytes: Bytes, position: usize },
    /// `DELTA_BYTE_ARRAY`: how much of the value before to keep, and what to add.
    Prefixes { prefixes: Delta, lengths: Delta, bytes: Bytes, position: usize, last: Vec<u8> },
    /// `BYTE_STREAM_SPLIT`: the first bytes of all values, then the second ones, …
    Split { storage: Storage, width: usize, count: usize, bytes: Bytes, idx: usize, value: Vec<u8> },
}

impl Values {
    /// Reads the values of a page. A dictionary is needed for its two encodings alone.
    pub(crate) fn new(
        storage: Storage,
        number: i32,
        bytes: Bytes,
        dictionary: Option<&Arc<Dictionary>>,
    ) -> Result<Self, Cause> {
        use Physical as P;
        let physical = storage.physical;
        Ok(match (number, physical) {
            (encoding::PLAIN, P::BOOLEAN) => Self::Bits { bytes, bit: 0 },
            (encoding::PLAIN, P::BYTE_ARRAY) => Self::Arrays { bytes, position: 0 },
            (encoding::PLAIN, _) => {
                let width = storage.width().unwrap_or(0);
                Self::Fixed { storage, width, bytes, position: 0 }
            }
            (encoding::PLAIN_DICTIONARY | encoding::RLE_DICTIONARY, _) => Self::indices(&bytes, dictionary)?,
            (encoding::RLE, P::BOOLEAN) => Self::Runs(Rle::new(after_len(&bytes)?, 1)?),
            (encoding::DELTA_BINARY_PACKED, P::INT32) => {
                Self::Deltas { physical, numbers: Delta::new(bytes, 32)? }
            }
            (encoding::DELTA_BINARY_PACKED, P::INT64) => {
                Self::Deltas { physical, numbers: Delta::new(bytes, 64)? }
            }
            (encoding::DELTA_LENGTH_BYTE_ARRAY, P::BYTE_ARRAY) => Self::lengths(&bytes)?,
            (encoding::DELTA_BYTE_ARRAY, P::BYTE_ARRAY | P::FIXED_LEN_BYTE_ARRAY) => Self::prefixes(&bytes)?,
            (encoding::BYTE_STREAM_SPLIT, P::BOOLEAN | P::BYTE_ARRAY | P::INT96) | (_, P::INT96) => {
                return Err(Cause::unsupported("encoding", (number, physical)));
            }
            (encoding::BYTE_STREAM_SPLIT, _) => Self::split(storage, bytes)?,
            _ => return Err(Cause::unsupported("encoding", (number, physical))),
        })
    }

    fn indices(bytes: &Bytes, dictionary: Option<&Arc<Dictionary>>) -> Result<Self, Cause> {
        let dictionary = dictionary.ok_or(Cause::Truncated { what: "dictionary" })?;
        // A page of nulls alone may lack even the width.
        let width = bytes.first().copied().unwrap_or(0);
        let indices = Rle::new(bytes.slice(bytes.len().min(1)..), u32::from(width))?;
        Ok(Self::Indices { dictionary: Arc::clone(dictionary), indices })
    }

    fn lengths(bytes: &Bytes) -> Result<Self, Cause> {
        let (lengths, bytes) = split_delta(bytes)?;
        Ok(Self::Lengths { lengths, bytes, position: 0 })
    }

    fn prefixes(bytes: &Bytes) -> Result<Self, Cause> {
        let (prefixes, rest) = split_delta(bytes)?;
        let (lengths, bytes) = split_delta(&rest)?;
        Ok(Self::Prefixes { prefixes, lengths, bytes, position: 0, last: Vec::new() })
    }

    fn split(storage: Storage, bytes: Bytes) -> Result<Self, Cause> {
        let width = storage.width().unwrap_or(0);
        let count = bytes.len().checked_div(width).unwrap_or(0);
        if count.checked_mul(width) != Some(bytes.len()) {
            return Err(Cause::invalid("length of a byte stream", bytes.len() as u64));
        }
        Ok(Self::Split { storage, width, count, bytes, idx: 0, value: Vec::new() })
    }

    /// The next value.
    pub(crate) fn next(&mut self) -> Result<Raw<'_>, Cause> {
        match self {
            Self::Fixed { storage, width, bytes, position } => {
                let end = position.saturating_add(*width);
                let value = bytes.get(*position..end).ok_or(Cause::Truncated { what: "value" })?;
                *position = end;
                storage.fixed(value)
            }
            Self::Bits { bytes, bit } => {
                let byte = bytes.get(*bit / 8).ok_or(Cause::Truncated { what: "booleans" })?;
                let value = (byte >> (*bit % 8)) & 1 == 1;
                *bit += 1;
                Ok(Raw::Bool(value))
            }
            Self::Arrays { bytes, position } => {
                let (start, len) = plain_value(bytes, *position)?;
                *position = start + len;
                Ok(Raw::Bytes(bytes.get(start..*position).unwrap_or_default()))
            }
            Self::Indices { dictionary, indices } => dictionary.get(indices.next()?),
            Self::Runs(runs) => Ok(Raw::Bool(runs.next()? == 1)),
            Self::Deltas { physical: Physical::INT32, numbers } => {
                let number = numbers.next()?;
                i32::try_from(number).map(Raw::I32).map_err(|_| Cause::invalid("value", number))
            }
            Self::Deltas { numbers, .. } => Ok(Raw::I64(numbers.next()?)),
            Self::Lengths { lengths, bytes, position } => next_part(lengths, bytes, position).map(Raw::Bytes),
            Self::Prefixes { prefixes, lengths, bytes, position, last } => {
                let prefix = prefixes.next()?;
                let kept = usize::try_from(prefix).ok().filter(|kept| *kept <= last.len());
                last.truncate(kept.ok_or(Cause::invalid("length of a prefix", prefix))?);
                last.extend_from_slice(next_part(lengths, bytes, position)?);
                Ok(Raw::Bytes(last))
            }
            Self::Split { storage, width, count, bytes, idx, value } => {
                if *idx >= *count {
                    return Err(Cause::Truncated { what: "byte stream" });
                }
                value.clear();
                value.extend((0..*width).filter_map(|stream| bytes.get(stream * *count + *idx)));
                *idx += 1;
                storage.fixed(value)
            }
        }
    }

    /// Passes over `count` values.
    pub(crate) fn skip(&mut self, count: u64) -> Result<(), Cause> {
        let steps = usize::try_from(count).map_err(|_| Cause::Truncated { what: "value" })?;
        match self {
            Self::Fixed { width, position, .. } => {
                *position = position.saturating_add(width.saturating_mul(steps));
            }
            Self::Bits { bit, .. } => *bit = bit.saturating_add(steps),
            Self::Split { idx, .. } => *idx = idx.saturating_add(steps),
            Self::Indices { indices: runs, .. } | Self::Runs(runs) => drop(runs.skip(count, 0)?),
            Self::Lengths { lengths, position, .. } => {
                for _ in 0..steps {
                    *position = position.saturating_add(next_length(lengths)?);
                }
            }
            _ => {
                for _ in 0..steps {
                    self.next()?;
                }
            }
        }
        Ok(())
    }
}

/// Numbers in the delta encoding, and the bytes behind them.
fn split_delta(bytes: &Bytes) -> Result<(Delta, Bytes), Cause> {
    let numbers = Delta::new(bytes.clone(), 32)?;
    let end = numbers.clone().end()?;
    if end > bytes.len() {
        return Err(Cause::Truncated { what: "delta-encoded numbers" });
    }
    Ok((numbers, bytes.slice(end..)))
}

/// The next bytes of `bytes`, as many as the next of `lengths` says.
fn next_part<'a>(lengths: &mut Delta, bytes: &'a Bytes, position: &mut usize) -> Result<&'a [u8], Cause> {
    let end = position.saturating_add(next_length(lengths)?);
    let part = bytes.get(*position..end).ok_or(Cause::Truncated { what: "byte array" })?;
    *position = end;
    Ok(part)
}

fn next_length(lengths: &mut Delta) -> Result<usize, Cause> {
    let len = lengths.next()?;
    usize::try_from(len).map_err(|_| Cause::invalid("length of a byte array", len))
}

/// The bytes of a run-length stream that stands behind its own length (32 bits, little-endian).
pub(crate) fn after_len(bytes: &Bytes) -> Result<Bytes, Cause> {
    const WHAT: &str = "length of a run-length stream";
    let (len, start) = split_array::<4>(bytes, WHAT)?;
    let len = usize::try_from(u32::from_le_bytes(len)).ok();
    let end = len.and_then(|len| len.checked_add(start)).filter(|end| *end <= bytes.len());
    Ok(bytes.slice(start..end.ok_or(Cause::Truncated { what: WHAT })?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: Storage = Storage { physical: Physical::BYTE_ARRAY, fixed_len: 0 };
    const INTS: Storage = Storage { physical: Physical::INT32, fixed_len: 0 };

    fn values(storage: Storage, number: i32, bytes: &[u8], dictionary: Option<&Arc<Dictionary>>) -> Values {
        Values::new(storage, number, Bytes::copy_from_slice(bytes), dictionary).unwrap()
    }

    fn dictionary(storage: Storage, bytes: &[u8], count: usize) -> Result<Dictionary, Cause> {
        Dictionary::new(storage, Bytes::copy_from_slice(bytes), count, encoding::PLAIN)
    }

    #[test]
    fn dictionary_holds_what_it_promises_and_no_index_leaves_it() {
        let ab = [1, 0, 0, 0, b'a', 2, 0, 0, 0, b'b', b'c'];
        let texts = Arc::new(dictionary(BYTES, &ab, 2).unwrap());
        // Indices of two bits: 1, 0, 2, …
        let mut indices = values(BYTES, encoding::RLE_DICTIONARY, &[2, 3, 0b0010_0001, 0], Some(&texts));
        assert_eq!(indices.next(), Ok(Raw::Bytes(b"bc")));
        assert_eq!(indices.next(), Ok(Raw::Bytes(b"a")));
        assert_eq!(indices.next(), Err(Cause::invalid("dictionary index", 2)));
        for (bytes, count) in [(&ab[..], 3), (&ab[..10], 2), (&[], 1), (&[255, 255, 255, 255], 1)] {
            dictionary(BYTES, bytes, count).unwrap_err();
        }
        dictionary(INTS, &[0; 8], 2).unwrap();
        dictionary(INTS, &[0; 7], 2).unwrap_err();
        dictionary(INTS, &[0; 8], usize::MAX).unwrap_err();
        Values::new(BYTES, encoding::PLAIN_DICTIONARY, Bytes::new(), None).unwrap_err();
    }

    #[test]
    fn values_that_the_bytes_do_not_hold_are_errors() {
        let mut plain = values(INTS, encoding::PLAIN, &[1, 0, 0, 0, 2, 0, 0], None);
        assert_eq!(plain.next(), Ok(Raw::I32(1)));
        plain.next().unwrap_err();
        let mut arrays = values(BYTES, encoding::PLAIN, &[1, 0, 0, 0, 7, 9, 0, 0, 0], None);
        assert_eq!(arrays.next(), Ok(Raw::Bytes(&[7])));
        arrays.next().unwrap_err();
        // Lengths 5 and 5, and four bytes.
        let lengths = [128, 1, 4, 2, 10, 0, 0, 0, 0, 0, 1, 2, 3, 4];
        values(BYTES, encoding::DELTA_LENGTH_BYTE_ARRAY, &lengths, None).next().unwrap_err();
        // A first value that keeps one byte of the value before it.
        let prefixes = [128, 1, 4, 1, 2, 128, 1, 4, 1, 0];
        values(BYTES, encoding::DELTA_BYTE_ARRAY, &prefixes, None).next().unwrap_err();
        Values::new(INTS, encoding::BYTE_STREAM_SPLIT, Bytes::from_static(&[0; 7]), None).unwrap_err();
        let mut split = values(INTS, encoding::BYTE_STREAM_SPLIT, &[1, 2, 0, 0, 0, 0, 0, 0], None);
        assert_eq!(split.next(), Ok(Raw::I32(1)));
        assert_eq!(split.next(), Ok(Raw::I32(2)));
        split.next().unwrap_err();
    }

    #[test]
    fn encodings_of_other_types_are_unsupported() {
        for (storage, number) in [
            (BYTES, encoding::DELTA_BINARY_PACKED),
            (BYTES, encoding::BYTE_STREAM_SPLIT),
            (INTS, encoding::DELTA_BYTE_ARRAY),
            (INTS, encoding::RLE),
            (INTS, 1),
            (INTS, 10),
            (INTS, -1),
        ] {
            let error = Values::new(storage, number, Bytes::from_static(&[0; 16]), None).unwrap_err();
            assert!(matches!(error, Cause::Unsupported { .. }), "{storage:?} {number}: {error}");
        }
    }
}
