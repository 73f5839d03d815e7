//! `DELTA_BINARY_PACKED`: numbers as differences, in blocks of bit-packed mini blocks.
//!
//! ```text
//! header  varint block size, varint mini blocks a block, varint count, zigzag first value
//! block   zigzag least delta, one byte of width a mini block, the mini blocks
//! ```

use bytes::Bytes;

use crate::file::{decode::rle::unpack_wide, error::Cause, limits::PAGE_VALUES_MAX};

const WHAT: &str = "delta-encoded numbers";

/// Largest block: writers use 128 or 256 values; a mini block's bits are counted in `usize`.
const BLOCK_VALUES_MAX: u64 = 1 << 20;

/// A stream of numbers of 32 or 64 bits.
#[derive(Clone, Debug)]
pub(crate) struct Delta {
    bytes: Bytes,
    position: usize,
    bits: u32,
    mini_block_values: u64,
    mini_blocks: usize,
    count_left: u64,
    first: Option<i64>,
    last: i64,
    least: i64,
    /// Where the widths of the current block stand, and which of them is next.
    widths_at: usize,
    mini_block_idx: usize,
    width: u32,
    bit: usize,
    mini_block_left: u64,
}

impl Delta {
    /// Reads numbers of `bits` (32 or 64) bits.
    pub(crate) fn new(bytes: Bytes, bits: u32) -> Result<Self, Cause> {
        let mut delta = Self {
            bytes,
            position: 0,
            bits,
            mini_block_values: 0,
            mini_blocks: 0,
            count_left: 0,
            first: None,
            last: 0,
            least: 0,
            widths_at: 0,
            mini_block_idx: 0,
            width: 0,
            bit: 0,
            mini_block_left: 0,
        };
        delta.read_header()?;
        Ok(delta)
    }

    /// The next number; 32-bit numbers wrap as such.
    pub(crate) fn next(&mut self) -> Result<i64, Cause> {
        self.count_left = self.count_left.checked_sub(1).ok_or(Cause::Truncated { what: WHAT })?;
        if let Some(first) = self.first.take() {
            self.last = first;
            return Ok(first);
        }
        if self.mini_block_left == 0 {
            self.next_mini_block()?;
        }
        let raw = unpack_wide(&self.bytes, self.bit, self.width).ok_or(Cause::Truncated { what: WHAT })?;
        self.bit = self.bit.saturating_add(self.width as usize);
        self.mini_block_left -= 1;
        let sum = self.last.wrapping_add(self.least).wrapping_add(raw.cast_signed());
        // Differences of 32-bit numbers wrap at 32 bits.
        self.last = if self.bits == 32 { i64::from(low_32(sum)) } else { sum };
        Ok(self.last)
    }

    /// Reads to the end and gives the offset of the byte after it: other encodings put their bytes there.
    pub(crate) fn end(mut self) -> Result<usize, Cause> {
        self.count_left -= u64::from(self.first.take().is_some()).min(self.count_left);
        while self.count_left > 0 {
            if self.mini_block_left == 0 {
                self.next_mini_block()?;
            }
            // What lies behind the bytes is met by whoever reads the numbers, or what follows them.
            let passed = self.mini_block_left.min(self.count_left);
            let passed_bits =
                usize::try_from(passed).unwrap_or(usize::MAX).saturating_mul(self.width as usize);
            self.bit = self.bit.saturating_add(passed_bits);
            self.mini_block_left -= passed;
            self.count_left -= passed;
        }
        if self.widths_at == 0 {
            return Ok(self.position);
        }
        // The mini block that holds the last number is stored in full; those after it are not stored.
        let padding = usize::try_from(self.mini_block_left).unwrap_or(usize::MAX);
        let end_bit = self.bit.saturating_add(padding.saturating_mul(self.width as usize));
        Ok(end_bit.div_ceil(8))
    }

    fn read_header(&mut self) -> Result<(), Cause> {
        let block_values = self.varint()?;
        let mini_blocks = self.varint()?;
        let count = self.varint()?;
        let first = self.zigzag()?;
        Cause::check_limit("values of a delta block", block_values, BLOCK_VALUES_MAX)?;
        Cause::check_limit("delta-encoded values", count, PAGE_VALUES_MAX)?;
        let values = block_values.checked_div(mini_blocks).unwrap_or(0);
        if values == 0 || values % 8 != 0 || values.checked_mul(mini_blocks) != Some(block_values) {
            return Err(Cause::invalid("mini blocks of a delta block", mini_blocks));
        }
        self.mini_block_values = values;
        self.mini_blocks = usize::try_from(mini_blocks).map_err(|_| Cause::invalid(WHAT, mini_blocks))?;
        self.mini_block_idx = self.mini_blocks;
        self.count_left = count;
        self.first = Some(if self.bits == 32 { i64::from(low_32(first)) } else { first });
        Ok(())
    }

    fn next_mini_block(&mut self) -> Result<(), Cause> {
        if self.mini_block_idx >= self.mini_blocks {
            // The position after the last mini block of a block; before the first block it is the header's end.
            if self.widths_at != 0 {
                self.position = self.bit.div_ceil(8);
            }
            self.least = self.zigzag()?;
            self.widths_at = self.position;
            self.mini_block_idx = 0;
            let after = self.position.saturating_add(self.mini_blocks);
            self.bit = after.checked_mul(8).ok_or(Cause::Truncated { what: WHAT })?;
        }
        let width_at = self.widths_at.saturating_add(self.mini_block_idx);
        let width = self.bytes.get(width_at).copied().ok_or(Cause::Truncated { what: WHAT })?;
        if u32::from(width) > self.bits {
            return Err(Cause::invalid("bit width", width));
        }
        self.width = u32::from(width);
        self.mini_block_idx += 1;
        self.mini_block_left = self.mini_block_values;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, Cause> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.bytes.get(self.position).copied().ok_or(Cause::Truncated { what: WHAT })?;
            self.position += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Cause::invalid(WHAT, value))
    }

    fn zigzag(&mut self) -> Result<i64, Cause> {
        let raw = self.varint()?;
        Ok((raw >> 1).cast_signed() ^ -((raw & 1).cast_signed()))
    }
}

/// The low 32 bits, as a signed number.
#[expect(clippy::cast_possible_truncation, reason = "wrapping at 32 bits is what the encoding says")]
fn low_32(value: i64) -> i32 {
    value as i32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8], bits: u32) -> Result<Vec<i64>, Cause> {
        let mut delta = Delta::new(Bytes::copy_from_slice(bytes), bits)?;
        (0..delta.count_left).map(|_| delta.next()).collect()
    }

    #[test]
    fn examples_of_the_specification_decode() {
        // 1 to 5: every difference is 1, so that no bits are left to store.
        let rising = [128, 1, 4, 5, 2, 2, 0, 0, 0, 0];
        assert_eq!(all(&rising, 64).unwrap(), [1, 2, 3, 4, 5]);
        // 7, 5, 3, 1, 2, 3, 4, 5: differences -2, -2, -2, 1, 1, 1, 1; the least is -2, the others are 3 above it.
        let mut falling = vec![128, 1, 4, 8, 14, 3, 2, 0, 0, 0, 0b1100_0000, 0b0011_1111];
        falling.extend([0; 6]);
        assert_eq!(all(&falling, 32).unwrap(), [7, 5, 3, 1, 2, 3, 4, 5]);
        assert_eq!(Delta::new(Bytes::from(falling), 32).unwrap().end().unwrap(), 18);
        assert_eq!(all(&[128, 1, 4, 0, 0], 64).unwrap(), Vec::<i64>::new());
        assert_eq!(Delta::new(Bytes::from_static(&[128, 1, 4, 1, 9, 77]), 64).unwrap().end().unwrap(), 5);
    }

    #[test]
    fn malformed_headers_are_errors() {
        for bytes in [
            &[][..],
            &[128, 1, 0, 5, 2],
            &[128, 1, 3, 5, 2],
            &[0, 4, 5, 2],
            &[128, 1, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2],
            &[0xff; 20],
        ] {
            Delta::new(Bytes::copy_from_slice(bytes), 64).unwrap_err();
        }
        for bytes in
            [&[128, 1, 4, 2, 2][..], &[128, 1, 4, 2, 2, 2, 0, 0, 0], &[128, 1, 4, 2, 2, 2, 65, 0, 0, 0]]
        {
            let result = all(bytes, 64);
            assert!(result.is_err() || bytes.len() == 9, "{bytes:?} {result:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..60), bits in prop::sample::select(vec![32, 64])) {
            let Ok(delta) = Delta::new(Bytes::from(bytes), bits) else { return Ok(()) };
            if delta.count_left < 100_000 {
                let _ = delta.end();
            }
        }
    }
}
