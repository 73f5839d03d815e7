//! Finding the bytes of a JSON string that need a closer look, a block at a time: `"`, `\` and control characters
//! below 0x20 (RFC 8259 §7). The hot loop of this crate.
//!
//! Wasm with `simd128` looks at 16 bytes at once; elsewhere (and in every native test) 8 bytes of a word do. Both give
//! the same answers; only the width of a block differs.

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod block {
    use core::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_lt, u8x16_splat, u64x2, v128_or};

    pub(crate) const BLOCK_LEN_BYTES: usize = 16;
    pub(super) const BITS_PER_BYTE: u32 = 1;

    pub(super) fn special_bits(block: [u8; BLOCK_LEN_BYTES]) -> u64 {
        let word = u128::from_le_bytes(block);
        #[expect(clippy::cast_possible_truncation, reason = "the halves of the word")]
        let bytes = u64x2(word as u64, (word >> 64) as u64);
        let quote = u8x16_eq(bytes, u8x16_splat(b'"'));
        let backslash = u8x16_eq(bytes, u8x16_splat(b'\\'));
        let control = u8x16_lt(bytes, u8x16_splat(0x20));
        u64::from(u8x16_bitmask(v128_or(control, v128_or(quote, backslash))))
    }
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod block {
    pub(crate) const BLOCK_LEN_BYTES: usize = 8;
    pub(super) const BITS_PER_BYTE: u32 = 8;

    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x80 * ONES;

    pub(super) const fn special_bits(block: [u8; BLOCK_LEN_BYTES]) -> u64 {
        let word = u64::from_le_bytes(block);
        let quote = non_zero_highs(word ^ (ONES * b'"' as u64));
        let backslash = non_zero_highs(word ^ (ONES * b'\\' as u64));
        let control = non_zero_highs(word & (ONES * 0xE0));
        !(quote & backslash & control) & HIGHS
    }

    /// The high bit of every byte that is not zero is set (the bits below mean nothing). No byte carries into another.
    const fn non_zero_highs(word: u64) -> u64 {
        ((word & !HIGHS) + !HIGHS) | word
    }
}

pub(crate) use block::BLOCK_LEN_BYTES;

/// Where the special bytes of one block are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Specials(u64);

impl Specials {
    /// Looks at a block.
    #[inline]
    pub(crate) fn of(block: [u8; BLOCK_LEN_BYTES]) -> Self {
        Self(block::special_bits(block))
    }

    /// Index of the first, if there is one.
    #[inline]
    pub(crate) const fn first_idx(self) -> Option<usize> {
        if self.0 == 0 { None } else { Some((self.0.trailing_zeros() / block::BITS_PER_BYTE) as usize) }
    }

    /// Those at `idx` and after it; `idx` is below the length of a block.
    #[inline]
    pub(crate) const fn starting_at(self, idx: usize) -> Self {
        Self(self.0 & (u64::MAX << (idx * block::BITS_PER_BYTE as usize)))
    }

    /// How many there are.
    #[inline]
    pub(crate) const fn count(self) -> usize {
        self.0.count_ones() as usize
    }
}

/// Whether a byte is special.
pub(crate) const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The block that starts at `at_idx`, where the bytes reach so far.
#[inline]
pub(crate) fn block_at(bytes: &[u8], at_idx: usize) -> Option<&[u8; BLOCK_LEN_BYTES]> {
    bytes.get(at_idx..)?.first_chunk()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(block: [u8; BLOCK_LEN_BYTES]) {
        let expected: Vec<usize> = (0..BLOCK_LEN_BYTES).filter(|idx| is_special(block[*idx])).collect();
        let specials = Specials::of(block);
        assert_eq!(specials.count(), expected.len(), "{block:?}");
        for from_idx in 0..BLOCK_LEN_BYTES {
            let first_idx = specials.starting_at(from_idx).first_idx();
            assert_eq!(
                first_idx,
                expected.iter().copied().find(|idx| *idx >= from_idx),
                "{block:?} {from_idx}"
            );
        }
    }

    #[test]
    fn every_byte_is_told_in_every_place_and_among_its_like() {
        for byte in 0..=u8::MAX {
            check([byte; BLOCK_LEN_BYTES]);
            for idx in 0..BLOCK_LEN_BYTES {
                for around in [b'a', 0x1F, 0x20, 0x21, 0x22, 0x5C, 0x7F, 0x80, 0xFF] {
                    let mut block = [around; BLOCK_LEN_BYTES];
                    block[idx] = byte;
                    check(block);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_block_is_told(block: [u8; BLOCK_LEN_BYTES]) {
            check(block);
        }
    }
}
