//! Finding the bytes of a JSON string that need a closer look, a block at a time: `"`, `\` and control characters
//! below 0x20 (RFC 8259 §7). The hot loop of this crate: 16 bytes at once, and four times as many where a string is
//! long, by whatever SIMD the target has.

use wide::u8x16;

pub(crate) const BLOCK_LEN_BYTES: usize = 16;
/// Four blocks, so that every bit of the word stands for a byte.
pub(crate) const WIDE_LEN_BYTES: usize = 64;

/// A bit for each byte: quotes and control characters, and backslashes.
#[inline]
fn masks(block: [u8; BLOCK_LEN_BYTES]) -> (u64, u64) {
    let bytes = u8x16::new(block);
    let controls = bytes.simd_lt(u8x16::splat(0x20));
    let ends = bytes.simd_eq(u8x16::splat(b'"')) | controls;
    let backslashes = bytes.simd_eq(u8x16::splat(b'\\'));
    (u64::from(ends.to_bitmask()), u64::from(backslashes.to_bitmask()))
}

/// Where the special bytes of several blocks are, the backslashes apart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    /// Quotes and control characters.
    ends: u64,
    backslashes: u64,
}

impl Marks {
    /// Looks at the blocks.
    #[inline]
    pub(crate) fn of(wide: [u8; WIDE_LEN_BYTES]) -> Self {
        let (blocks, _) = wide.as_chunks();
        let mut all = Self::default();
        for (block, place) in blocks.iter().zip([0, 16, 32, 48]) {
            let (ends, backslashes) = masks(*block);
            all.ends |= ends << place;
            all.backslashes |= backslashes << place;
        }
        all
    }

    /// A bit for each backslash.
    #[inline]
    pub(crate) const fn backslashes(self) -> u64 {
        self.backslashes
    }

    /// Goes through the inside of a string, past every escape for whose letter `is_simple` holds: the index of the
    /// first byte that needs a closer look, and the number of escapes before it. None of them is cut at the end.
    #[inline]
    pub(crate) fn pass(self, is_simple: impl Fn(usize) -> bool) -> (usize, usize) {
        let mut left = self.backslashes;
        let mut letters = 0;
        while left != 0 {
            let backslash = left & left.wrapping_neg();
            let letter = backslash << 1;
            if letter == 0 || !is_simple(idx_of(letter)) {
                break;
            }
            letters |= letter;
            left &= !(backslash | letter);
        }
        // A control character is no letter. What is left of the backslashes begins with the one to look at.
        let stops = (self.ends & !letters) | left;
        if stops == 0 {
            return (WIDE_LEN_BYTES, letters.count_ones() as usize);
        }
        let before = (stops & stops.wrapping_neg()) - 1;
        (idx_of(stops), (letters & before).count_ones() as usize)
    }
}

/// Index of the first byte that is marked.
#[inline]
const fn idx_of(bits: u64) -> usize {
    bits.trailing_zeros() as usize
}

/// Where the special bytes of one block are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Specials(u64);

impl Specials {
    /// Looks at a block.
    #[inline]
    pub(crate) fn of(block: [u8; BLOCK_LEN_BYTES]) -> Self {
        let (ends, backslashes) = masks(block);
        Self(ends | backslashes)
    }

    /// Index of the first, if there is one.
    #[inline]
    pub(crate) const fn first_idx(self) -> Option<usize> {
        if self.0 == 0 { None } else { Some(idx_of(self.0)) }
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

/// So many bytes that start at `at_idx`, where the bytes reach so far.
#[inline]
pub(crate) fn block_at<const LEN_BYTES: usize>(bytes: &[u8], at_idx: usize) -> Option<&[u8; LEN_BYTES]> {
    bytes.get(at_idx..)?.first_chunk()
}

/// Copies four blocks. For wasm a longer copy of a fixed length is compiled to an instruction that V8 makes a call of,
/// which costs as much as fifty bytes; one block is a load and a store.
#[inline]
pub(crate) fn copy_wide(from: &[u8; WIDE_LEN_BYTES], to: &mut [u8; WIDE_LEN_BYTES]) {
    if let ([a, b, c, d], [], ([e, f, g, h], [])) = {
        let (from, rest) = from.as_chunks::<BLOCK_LEN_BYTES>();
        (from, rest, to.as_chunks_mut::<BLOCK_LEN_BYTES>())
    } {
        (*e, *f, *g, *h) = (*a, *b, *c, *d);
    }
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
        assert_eq!(specials.first_idx(), expected.first().copied(), "{block:?}");
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

    const fn is_simple(letter: u8) -> bool {
        matches!(letter, b'n' | b'"' | b'\\')
    }

    /// What [`Marks::pass`] gives, a byte at a time.
    fn pass_by_bytes(wide: &[u8]) -> (usize, usize) {
        let (mut idx, mut escape_count) = (0, 0);
        while let Some(byte) = wide.get(idx) {
            if *byte == b'\\' && wide.get(idx + 1).is_some_and(|letter| is_simple(*letter)) {
                idx += 2;
                escape_count += 1;
            } else if is_special(*byte) {
                break;
            } else {
                idx += 1;
            }
        }
        (idx, escape_count)
    }

    proptest! {
        #[test]
        fn every_block_is_told(block: [u8; BLOCK_LEN_BYTES]) {
            check(block);
        }

        #[test]
        fn passing_ends_where_a_byte_needs_a_closer_look(
            bytes in prop::collection::vec(
                prop_oneof![4 => Just(b'\\'), 4 => Just(b'n'), 1 => Just(b'"'), 1 => Just(b'\n'), 1 => any::<u8>()],
                WIDE_LEN_BYTES,
            ),
        ) {
            let wide: [u8; WIDE_LEN_BYTES] = bytes.try_into().unwrap();
            let passed = Marks::of(wide).pass(|idx| is_simple(wide[idx]));
            prop_assert_eq!(passed, pass_by_bytes(&wide));
        }
    }
}
