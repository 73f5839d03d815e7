//! Deletion vectors: what was read holds the positions that another implementation reads, and no others.
//!
//! Input: the vector, without length, magic and checksum, which the fuzzer would never find.

use firn_iceberg::deletion_vector::DeletionVector;
use roaring::RoaringTreemap;

/// Positions that are compared, at most.
const COMPARED_MAX: usize = 10_000;

pub(crate) fn check(input: &[u8]) {
    let mut checked = vec![0xd1, 0xd3, 0x39, 0x64];
    checked.extend_from_slice(input);
    let Ok(len_bytes) = u32::try_from(checked.len()) else { return };
    let mut blob = len_bytes.to_be_bytes().to_vec();
    blob.extend_from_slice(&checked);
    blob.extend_from_slice(&crc32fast::hash(&checked).to_be_bytes());
    let Ok(vector) = DeletionVector::parse(blob.clone()) else { return };
    assert!(vector.len_bytes() >= blob.len());
    let Ok(other) = RoaringTreemap::deserialize_from(input) else { return };
    for position in other.iter().take(COMPARED_MAX) {
        assert!(vector.contains(position), "{position}");
        for near in
            [position.wrapping_sub(1), position.wrapping_add(1), position ^ 0xffff, position ^ (1 << 40)]
        {
            assert_eq!(vector.contains(near), other.contains(near), "{near}");
        }
    }
}
