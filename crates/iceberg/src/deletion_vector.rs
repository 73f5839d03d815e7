//! Deletion vectors: positions of deleted rows of one data file, as a blob inside a Puffin file.
//!
//! Spec: Puffin, "deletion-vector-v1"; the bitmaps: <https://github.com/RoaringBitmap/RoaringFormatSpec>, "64-bit".
//!
//! ```text
//! length of magic and vector (u32 BE) | D1 D3 39 64 | vector | CRC-32 of magic and vector (u32 BE)
//! vector = count (u64 LE) | (high 32 bits (u32 LE) | bitmap)*
//! bitmap = cookie | keys and cardinalities | offsets | container*
//! ```
//!
//! The manifest names the blob's offset and length, so the Puffin footer is not read. Containers are searched where
//! they lie: nothing is unpacked.

use std::ops::Range;

use crate::error::{Error, Part};

/// Longest blob: a bit for each of 134 million rows. In the worst case (containers of one value, 10 bytes each) the list
/// of containers takes four times as much, half of a Worker's memory.
pub const BLOB_LEN_BYTES_MAX: usize = 16 * 1024 * 1024;

const PART: Part = Part::DeletionVector;

const MAGIC: [u8; 4] = [0xd1, 0xd3, 0x39, 0x64];

/// Cookie of a bitmap without run containers; the count of containers follows.
const COOKIE_NO_RUNS: u32 = 12_346;

/// Cookie of a bitmap with run containers, in the low 16 bits; the high ones hold the count less one.
const COOKIE_RUNS: u32 = 12_347;

/// Bitmaps with run containers and fewer containers than this have no offsets.
const NO_OFFSET_COUNT: usize = 4;

/// Most values of an array container; above it is a bitset.
const ARRAY_COUNT_MAX: usize = 4_096;

/// Length of a bitset container: 2^16 bits.
const BITSET_LEN_BYTES: usize = 8_192;

/// The deleted positions of one data file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletionVector {
    blob: Vec<u8>,
    /// By ascending high 48 bits.
    containers: Vec<Container>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Container {
    /// The high 48 bits of its positions.
    key: u64,
    kind: Kind,
    /// Where its values are in the blob.
    bytes: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Ascending u16s.
    Array,
    /// A bit for each.
    Bitset,
    /// Ascending pairs of u16s: start, and length less one.
    Runs,
}

impl DeletionVector {
    /// Reads a blob.
    pub fn parse(blob: Vec<u8>) -> Result<Self, Error> {
        Error::check_limit(PART, "length in bytes", blob.len(), BLOB_LEN_BYTES_MAX)?;
        let mut reader = Reader { bytes: &blob, position: 0 };
        let len_bytes = u32::from_be_bytes(reader.array()?);
        if u64::from(len_bytes) + 8 != blob.len() as u64 {
            return Err(Error::invalid(PART, "length", &len_bytes, "the blob's without length and checksum"));
        }
        let magic = reader.array::<4>()?;
        if magic != MAGIC {
            return Err(Error::invalid(PART, "magic", &format!("{magic:02x?}"), "d1 d3 39 64"));
        }
        check_crc(&blob)?;
        let bitmap_count = u64::from_le_bytes(reader.array()?);
        let mut containers: Vec<Container> = Vec::new();
        let mut last_high = None;
        // Each bitmap takes at least eight bytes, so a false count ends soon.
        for _ in 0..bitmap_count {
            let high = u32::from_le_bytes(reader.array()?);
            // Of two bitmaps with one key other readers take the second alone.
            if last_high.replace(high).is_some_and(|last| high <= last) {
                return Err(Error::invalid(PART, "bitmap key", &high, "ascending keys"));
            }
            reader.bitmap(high, &mut containers)?;
        }
        if !containers.is_sorted_by(|a, b| a.key < b.key) {
            return Err(Error::invalid(PART, "container keys", "not ascending", "ascending keys"));
        }
        if reader.position + 4 != blob.len() {
            return Err(Error::invalid(PART, "vector", "longer than its bitmaps", "no byte after the last"));
        }
        Ok(Self { blob, containers })
    }

    /// Whether the row at this position is deleted.
    pub fn contains(&self, position: u64) -> bool {
        let (key, low) = (position >> 16, (position & 0xffff) as u16);
        let found = self.containers.binary_search_by_key(&key, |c| c.key).ok();
        let Some(container) = found.and_then(|idx| self.containers.get(idx)) else {
            return false;
        };
        let bytes = self.blob.get(container.bytes.clone()).unwrap_or_default();
        match container.kind {
            Kind::Array => {
                let (values, _) = bytes.as_chunks::<2>();
                values.binary_search_by_key(&low, |v| u16::from_le_bytes(*v)).is_ok()
            }
            Kind::Bitset => bytes.get(usize::from(low / 8)).is_some_and(|byte| byte & (1 << (low % 8)) != 0),
            Kind::Runs => {
                let (runs, _) = bytes.as_chunks::<4>();
                let start = |run: &[u8; 4]| u16::from_le_bytes([run[0], run[1]]);
                let after = runs.partition_point(|run| start(run) <= low);
                let run = after.checked_sub(1).and_then(|idx| runs.get(idx));
                run.is_some_and(|run| low - start(run) <= u16::from_le_bytes([run[2], run[3]]))
            }
        }
    }

    /// How many bytes it keeps.
    pub fn len_bytes(&self) -> usize {
        self.blob.len() + self.containers.len() * size_of::<Container>()
    }
}

fn check_crc(blob: &[u8]) -> Result<(), Error> {
    let Some((checked, expected)) = blob.get(4..).and_then(|rest| rest.split_last_chunk::<4>()) else {
        return Err(Error::UnexpectedEnd { part: PART, field: "checksum", len_bytes: blob.len() });
    };
    let mut crc = flate2::Crc::new();
    crc.update(checked);
    let (found, expected) = (crc.sum(), u32::from_be_bytes(*expected));
    if found == expected { Ok(()) } else { Err(Error::Checksum { part: PART, found, expected }) }
}

struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Reader<'_> {
    fn take(&mut self, len_bytes: usize) -> Result<Range<usize>, Error> {
        let end = self.position.checked_add(len_bytes).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else {
            return Err(Error::UnexpectedEnd { part: PART, field: "bitmap", len_bytes: self.bytes.len() });
        };
        let range = self.position..end;
        self.position = end;
        Ok(range)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let range = self.take(N)?;
        let taken = self.bytes.get(range).and_then(|bytes| <[u8; N]>::try_from(bytes).ok());
        taken.ok_or(Error::UnexpectedEnd { part: PART, field: "bitmap", len_bytes: self.bytes.len() })
    }

    fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_le_bytes)
    }

    fn bitmap(&mut self, high: u32, containers: &mut Vec<Container>) -> Result<(), Error> {
        let cookie = u32::from_le_bytes(self.array()?);
        let (count, run_flags) = if cookie & 0xffff == COOKIE_RUNS {
            let count = (cookie >> 16) as usize + 1;
            (count, Some(self.take(count.div_ceil(8))?))
        } else if cookie == COOKIE_NO_RUNS {
            let count = u32::from_le_bytes(self.array()?);
            let count = usize::try_from(count).ok().filter(|count| *count <= 1 << 16);
            (count.ok_or_else(|| Error::invalid(PART, "container count", &cookie, "at most 65,536"))?, None)
        } else {
            return Err(Error::invalid(PART, "cookie", &cookie, "12346 or 12347"));
        };
        let descriptions = self.take(count * 4)?;
        let has_offsets = run_flags.is_none() || count >= NO_OFFSET_COUNT;
        if has_offsets {
            self.take(count * 4)?;
        }
        let flags = run_flags.and_then(|range| self.bytes.get(range)).unwrap_or_default();
        let (descriptions, _) = self.bytes.get(descriptions).unwrap_or_default().as_chunks::<4>();
        for (idx, description) in descriptions.iter().enumerate() {
            let low_key = u16::from_le_bytes([description[0], description[1]]);
            let cardinality = usize::from(u16::from_le_bytes([description[2], description[3]])) + 1;
            let has_runs = flags.get(idx / 8).is_some_and(|byte| byte & (1 << (idx % 8)) != 0);
            let (kind, bytes) = if has_runs {
                let run_count = usize::from(self.u16()?);
                (Kind::Runs, self.take(run_count * 4)?)
            } else if cardinality <= ARRAY_COUNT_MAX {
                (Kind::Array, self.take(cardinality * 2)?)
            } else {
                (Kind::Bitset, self.take(BITSET_LEN_BYTES)?)
            };
            containers.push(Container { key: (u64::from(high) << 16) | u64::from(low_key), kind, bytes });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use roaring::RoaringTreemap;

    use super::*;
    use crate::error::ErrorKind;

    /// The blob of the bitmaps, with what Iceberg puts around them.
    fn blob(bitmaps: &RoaringTreemap) -> Vec<u8> {
        let mut checked = MAGIC.to_vec();
        bitmaps.serialize_into(&mut checked).unwrap();
        seal(&checked)
    }

    fn seal(checked: &[u8]) -> Vec<u8> {
        let mut crc = flate2::Crc::new();
        crc.update(checked);
        let len = u32::try_from(checked.len()).unwrap().to_be_bytes();
        [&len, checked, &crc.sum().to_be_bytes()].concat()
    }

    /// Array, bitset and run containers, in the first 32 bits and beyond.
    fn mixed() -> RoaringTreemap {
        let mut bitmaps: RoaringTreemap =
            [0, 1, 5, 65_535, 65_536, 1 << 32, (1 << 40) + 7].into_iter().collect();
        bitmaps.extend((200_000..230_000).step_by(3));
        bitmaps.insert_range(1_000_000..1_100_000);
        bitmaps.optimize();
        bitmaps
    }

    #[test]
    fn every_kind_of_container_is_searched() {
        let bitmaps = mixed();
        let vector = DeletionVector::parse(blob(&bitmaps)).unwrap();
        let near = bitmaps.iter().flat_map(|p| [p.saturating_sub(1), p, p + 1]);
        for position in near.chain([u64::MAX, 1 << 48]) {
            assert_eq!(vector.contains(position), bitmaps.contains(position), "{position}");
        }
        let kinds: Vec<Kind> = vector.containers.iter().map(|c| c.kind).collect();
        assert!([Kind::Array, Kind::Bitset, Kind::Runs].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    }

    #[test]
    fn vector_without_positions_deletes_nothing() {
        let vector = DeletionVector::parse(blob(&RoaringTreemap::new())).unwrap();
        assert!(!vector.contains(0));
    }

    #[test]
    fn broken_blobs_are_typed_errors() {
        let whole = blob(&mixed());
        for len in 0..whole.len() {
            assert_eq!(DeletionVector::parse(whole[..len].to_vec()).unwrap_err().kind(), ErrorKind::Corrupt);
        }
        for idx in 0..whole.len() {
            let mut broken = whole.clone();
            broken[idx] ^= 0x10;
            assert_eq!(DeletionVector::parse(broken).unwrap_err().kind(), ErrorKind::Corrupt, "{idx}");
        }
        let bad_count = [MAGIC.as_slice(), &u64::MAX.to_le_bytes()].concat();
        let bad_cookie = [MAGIC.as_slice(), &1_u64.to_le_bytes(), &[0; 4], &7_u32.to_le_bytes()].concat();
        // Bitmaps of one key, whose containers ascend or do not.
        let twice = |low_key| {
            let count = 2_u64.to_le_bytes();
            [MAGIC.as_slice(), &count, &[0; 4], &one(0), &[0; 4], &one(low_key)].concat()
        };
        for checked in [bad_count, bad_cookie, twice(0), twice(1)] {
            let error = DeletionVector::parse(seal(&checked)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        }
        let long = vec![0; BLOB_LEN_BYTES_MAX + 1];
        assert_eq!(DeletionVector::parse(long).unwrap_err().kind(), ErrorKind::LimitExceeded);
    }

    /// A bitmap of one position.
    fn one(low_key: u8) -> Vec<u8> {
        let (cookie, count) = (COOKIE_NO_RUNS.to_le_bytes(), 1_u32.to_le_bytes());
        [cookie, count, [low_key, 0, 0, 0], [16, 0, 0, 0]].concat().into_iter().chain([3, 0]).collect()
    }

    proptest! {
        #[test]
        fn vector_holds_the_positions_of_its_bitmaps(
            positions in prop::collection::btree_set(prop_oneof![0..70_000_u64, any::<u64>()], 0..300),
            runs in prop::collection::vec((0..200_000_u64, 1..5_000_u64), 0..5),
            probes in prop::collection::vec(0..210_000_u64, 0..300),
        ) {
            let mut bitmaps: RoaringTreemap = positions.iter().copied().collect();
            for (start, len) in runs {
                bitmaps.insert_range(start..start + len);
            }
            bitmaps.optimize();
            let vector = DeletionVector::parse(blob(&bitmaps)).unwrap();
            for position in positions.iter().chain(&probes) {
                prop_assert_eq!(vector.contains(*position), bitmaps.contains(*position));
            }
        }

        #[test]
        fn noise_with_a_checksum_is_never_a_panic(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            for count in [1_u64, 3] {
                let checked = [MAGIC.as_slice(), &count.to_le_bytes(), &[0; 4], &COOKIE_RUNS.to_le_bytes(), &noise].concat();
                if let Ok(vector) = DeletionVector::parse(seal(&checked)) {
                    let _ = vector.contains(77);
                }
            }
        }
    }
}
