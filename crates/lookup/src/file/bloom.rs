//! Bloom filters of column chunks, of which one block of 32 bytes is read instead of all.
//!
//! ```text
//! header (Thrift) │ block 0 │ block 1 │ …      block = (hash >> 32) * block count >> 32
//! ```
//! Spec: <https://parquet.apache.org/docs/file-format/bloomfilter/>

use std::ops::Range;

use bytes::Bytes;
use parquet::file::metadata::ColumnChunkMetaData;
use twox_hash::XxHash64;

use crate::file::{
    error::Cause,
    limits::BLOOM_LEN_BYTES_MAX,
    thrift::{Cursor, Kind, Walk},
};

/// Length of a block.
const BLOCK_LEN_BYTES: u64 = 32;

/// The eight odd numbers of the specification.
const SALT: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// The question whether a chunk's filter may hold a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BloomProbe {
    /// Where the header stands.
    pub(crate) header: Range<u64>,
    /// Where the value's block stands.
    pub(crate) block: Range<u64>,
    filter_len: u64,
    hash: u64,
}

impl BloomProbe {
    /// Plans the reads for `value` in its stored form. `None` where the chunk has no filter, or one whose length is
    /// not stated: without it, its header would have to be read in a wave of its own.
    pub(crate) fn new(chunk: &ColumnChunkMetaData, value: &[u8], object_len_bytes: u64) -> Option<Self> {
        let start = u64::try_from(chunk.bloom_filter_offset()?).ok()?;
        let len = u64::try_from(chunk.bloom_filter_length()?).ok()?;
        let end = start.checked_add(len).filter(|end| *end <= object_len_bytes)?;
        if len > BLOOM_LEN_BYTES_MAX {
            return None;
        }
        // A filter is a power of two of bytes, and its header shorter than one block: the length tells both.
        let filter_len = if len < BLOCK_LEN_BYTES { return None } else { 1u64 << len.ilog2() };
        let header_len = len - filter_len;
        let hash = XxHash64::oneshot(0, value);
        let block_idx = ((hash >> 32) * (filter_len / BLOCK_LEN_BYTES)) >> 32;
        let block_start = start + header_len + block_idx * BLOCK_LEN_BYTES;
        let block = block_start..block_start + BLOCK_LEN_BYTES;
        let is_planned = (1..=BLOCK_LEN_BYTES).contains(&header_len) && block.end <= end;
        is_planned.then_some(Self { header: start..start + header_len, block, filter_len, hash })
    }

    /// Length of the whole filter.
    pub(crate) fn filter_len(&self) -> u64 {
        self.filter_len
    }

    /// Whether the filter may hold the value. True also where the header is not the one that was planned for: then
    /// the filter cannot say.
    pub(crate) fn might_match(&self, header: &[u8], block: &Bytes) -> bool {
        match parse_header(header) {
            Ok(Some((filter_len, header_len)))
                if filter_len == self.filter_len && header_len == header.len() =>
            {
                self.is_in_block(block)
            }
            _ => true,
        }
    }

    fn is_in_block(&self, block: &[u8]) -> bool {
        let [a, b, c, d, ..] = self.hash.to_le_bytes();
        let low = u32::from_le_bytes([a, b, c, d]);
        let (words, _) = block.as_chunks::<4>();
        words.iter().zip(SALT).all(|(word, salt)| {
            let bit = low.wrapping_mul(salt) >> 27;
            u32::from_le_bytes(*word) & (1 << bit) != 0
        })
    }
}

/// Length of the filter and of its header; `None` where it is not the one kind that the specification knows: split
/// blocks, xxHash, uncompressed.
fn parse_header(bytes: &[u8]) -> Result<Option<(u64, usize)>, Cause> {
    let (mut cursor, mut walk, mut id) = (Cursor::new(bytes, "bloom filter header"), Walk::default(), 0);
    let (mut len, mut known) = (None, 0);
    while let Some(kind) = cursor.field(&mut id)? {
        match (id, kind) {
            (1, Kind::Int) => len = u64::try_from(cursor.int32()?).ok(),
            // Each is a union, and its first member the only one there is.
            (2..=4, Kind::Struct) => {
                let mut member = 0;
                while let Some(kind) = cursor.field(&mut member)? {
                    known += u32::from(member == 1);
                    cursor.skip(kind, &mut walk)?;
                }
            }
            _ => cursor.skip(kind, &mut walk)?,
        }
    }
    Ok(len.filter(|_| known == 3).map(|len| (len, cursor.position())))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::{
        bloom_filter::Sbbf,
        file::metadata::ColumnChunkMetaData,
        schema::types::{ColumnDescriptor, ColumnPath, Type},
    };

    use super::*;

    fn chunk(offset: i64, len: Option<i32>) -> ColumnChunkMetaData {
        let ty = Type::primitive_type_builder("id", parquet::basic::Type::BYTE_ARRAY).build().unwrap();
        let column = ColumnDescriptor::new(Arc::new(ty), 0, 0, ColumnPath::from("id"));
        let builder = ColumnChunkMetaData::builder(Arc::new(column));
        builder.set_bloom_filter_offset(Some(offset)).set_bloom_filter_length(len).build().unwrap()
    }

    #[test]
    fn one_block_says_what_the_whole_filter_says() {
        let mut filter = Sbbf::new_with_ndv_fpp(2_000, 0.05).unwrap();
        for i in (0..4_000).step_by(2) {
            filter.insert(format!("id{i}").as_str());
        }
        let mut bytes = vec![0; 100];
        filter.write(&mut bytes).unwrap();
        let object = Bytes::from(bytes);
        let len = object.len() as u64;
        let chunk = chunk(100, Some(i32::try_from(len - 100).unwrap()));
        let slice = |range: &Range<u64>| {
            object.slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap())
        };
        let mut excluded = 0;
        for i in 0..4_000 {
            let value = format!("id{i}");
            let probe = BloomProbe::new(&chunk, value.as_bytes(), len).unwrap();
            let found = probe.might_match(&slice(&probe.header), &slice(&probe.block));
            assert_eq!(found, filter.check(value.as_str()), "{value}");
            excluded += u32::from(!found);
        }
        assert!(excluded > 1_800, "{excluded}");
    }

    #[test]
    fn header_that_was_not_planned_for_says_nothing() {
        let header_of = |len| {
            let mut bytes = Vec::new();
            Sbbf::new_with_num_of_bytes(len).write(&mut bytes).unwrap();
            bytes.truncate(bytes.len() - len);
            bytes
        };
        let (planned, other) = (header_of(4_096), header_of(8_192));
        let len = 4_096 + planned.len();
        let probe = BloomProbe::new(&chunk(0, Some(i32::try_from(len).unwrap())), b"x", len as u64).unwrap();
        let empty = Bytes::from_static(&[0; 32]);
        assert!(!probe.might_match(&planned, &empty));
        for header in [&other[..], &[0], &[], &planned[1..]] {
            assert!(probe.might_match(header, &empty), "{header:?}");
        }
    }

    #[test]
    fn filter_without_a_sound_place_is_not_asked() {
        for (offset, len) in [
            (100, None),
            (-1, Some(100)),
            (100, Some(-1)),
            (100, Some(31)),
            (100, Some(32)),
            (100, Some(128)),
        ] {
            assert_eq!(BloomProbe::new(&chunk(offset, len), b"x", 200), None, "{offset} {len:?}");
        }
    }
}
