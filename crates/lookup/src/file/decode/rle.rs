//! The hybrid of run lengths and bit packing: levels, dictionary indices and booleans.
//!
//! ```text
//! run    varint header, even: (header / 2) times the value in ceil(width / 8) bytes
//! packed varint header, odd:  (header / 2) groups of 8 values of width bits, least significant bit first
//! ```

use bytes::Bytes;

use crate::file::error::Cause;

const WHAT: &str = "run of levels or indices";

/// A stream of unsigned numbers of at most 32 bits.
#[derive(Clone, Debug)]
pub(crate) struct Rle {
    bytes: Bytes,
    position: usize,
    width: u32,
    run: Run,
}

#[derive(Clone, Copy, Debug)]
enum Run {
    Repeated { value: u32, left: u64 },
    Packed { bit: usize, left: u64 },
}

impl Rle {
    /// Reads numbers of `width` bits.
    pub(crate) fn new(bytes: Bytes, width: u32) -> Result<Self, Cause> {
        if width > 32 {
            return Err(Cause::invalid("bit width", width));
        }
        Ok(Self { bytes, position: 0, width, run: Run::Repeated { value: 0, left: 0 } })
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> Result<u32, Cause> {
        loop {
            match &mut self.run {
                Run::Repeated { value, left } if *left > 0 => {
                    *left -= 1;
                    return Ok(*value);
                }
                Run::Packed { bit, left } if *left > 0 => {
                    let value =
                        unpack(&self.bytes, *bit, self.width).ok_or(Cause::Truncated { what: WHAT })?;
                    *bit += self.width as usize;
                    *left -= 1;
                    return Ok(value);
                }
                _ => self.next_run()?,
            }
        }
    }

    /// Passes over `count` numbers and says how many of them were `wanted`.
    pub(crate) fn skip(&mut self, count: u64, wanted: u32) -> Result<u64, Cause> {
        let (mut open, mut found) = (count, 0);
        while open > 0 {
            match &mut self.run {
                Run::Repeated { value, left } if *left > 0 => {
                    let taken = open.min(*left);
                    found += if *value == wanted { taken } else { 0 };
                    *left -= taken;
                    open -= taken;
                }
                Run::Packed { left, .. } if *left > 0 => {
                    found += u64::from(self.next()? == wanted);
                    open -= 1;
                }
                _ => self.next_run()?,
            }
        }
        Ok(found)
    }

    fn next_run(&mut self) -> Result<(), Cause> {
        // A width of zero needs no bytes at all: some writers leave out even the run's header.
        if self.width == 0 {
            self.run = Run::Repeated { value: 0, left: u64::MAX };
            return Ok(());
        }
        let header = self.varint()?;
        let count = header >> 1;
        if header & 1 == 0 {
            let value = self.run_value()?;
            self.run = Run::Repeated { value, left: count };
        } else {
            let bit = self.position.checked_mul(8).ok_or(Cause::Truncated { what: WHAT })?;
            self.run = Run::Packed { bit, left: count.saturating_mul(8) };
            let packed_len = usize::try_from(count.saturating_mul(u64::from(self.width))).ok();
            // The last group may be cut short; its missing values are an error only when they are asked for.
            self.position = packed_len
                .and_then(|len| self.position.checked_add(len))
                .map_or(self.bytes.len(), |end| end.min(self.bytes.len()));
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Cause> {
        let byte = self.bytes.get(self.position).copied().ok_or(Cause::Truncated { what: WHAT })?;
        self.position += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64, Cause> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Cause::invalid(WHAT, value))
    }

    fn run_value(&mut self) -> Result<u32, Cause> {
        let mut value = 0;
        for idx in 0..self.width.div_ceil(8) {
            value |= u32::from(self.byte()?) << (8 * idx);
        }
        if self.width < 32 && value >> self.width != 0 {
            return Err(Cause::invalid(WHAT, value));
        }
        Ok(value)
    }
}

/// The number of `width` bits (at most 32) that starts at `bit`, least significant bit first.
fn unpack(bytes: &[u8], bit: usize, width: u32) -> Option<u32> {
    let value = unpack_wide(bytes, bit, width)?;
    u32::try_from(value).ok()
}

/// The number of `width` bits (at most 64) that starts at `bit`, least significant bit first.
pub(crate) fn unpack_wide(bytes: &[u8], bit: usize, width: u32) -> Option<u64> {
    if width == 0 {
        return Some(0);
    }
    let (start, offset) = (bit / 8, bit % 8);
    let end = start.checked_add((offset + width as usize).div_ceil(8))?;
    let rest = bytes.get(start..)?;
    // At most 71 bits: nine bytes.
    let whole = if let Some(chunk) = rest.first_chunk::<16>() {
        u128::from_le_bytes(*chunk)
    } else {
        let spanned = bytes.get(start..end)?;
        spanned.iter().rev().fold(0u128, |acc, byte| (acc << 8) | u128::from(*byte))
    };
    let mask = (1u128 << width) - 1;
    u64::try_from((whole >> offset) & mask).ok()
}

/// The width that numbers up to `max` need.
pub(crate) fn width_of(max: u32) -> u32 {
    32 - max.leading_zeros()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], width: u32, expected: &[u32]) {
        let mut rle = Rle::new(Bytes::copy_from_slice(bytes), width).unwrap();
        let found: Vec<u32> = expected.iter().map(|_| rle.next().unwrap()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn runs_and_packed_groups_follow_each_other() {
        // The specification's own example: 0 to 7 in three bits.
        check(&[3, 0b1000_1000, 0b1100_0110, 0b1111_1010], 3, &[0, 1, 2, 3, 4, 5, 6, 7]);
        check(&[10, 4, 6, 2], 3, &[4, 4, 4, 4, 4, 2, 2, 2]);
        check(&[6, 1, 3, 0b0000_0101, 2, 1], 1, &[1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1]);
        check(&[2, 0x34, 0x12], 16, &[0x1234]);
        check(&[2, 1, 0, 0, 0x80], 32, &[0x8000_0001]);
        check(&[], 0, &[0, 0, 0]);
        // A run of none, then one of one.
        check(&[0, 7, 2, 5], 3, &[5]);
    }

    #[test]
    fn what_the_bytes_do_not_hold_is_an_error() {
        let fails = |bytes: &[u8], width, good| {
            let mut rle = Rle::new(Bytes::copy_from_slice(bytes), width).unwrap();
            for _ in 0..good {
                rle.next().unwrap();
            }
            rle.next().unwrap_err();
            rle.skip(u64::MAX, 0).unwrap_err();
        };
        fails(&[], 1, 0);
        fails(&[2], 1, 0);
        fails(&[2, 1], 1, 1);
        fails(&[3], 3, 0);
        // A last group that is cut short gives what it has: two numbers of three bits in one byte.
        fails(&[3, 0b1000_1000], 3, 2);
        // A repeated value that is wider than the width.
        fails(&[2, 8], 3, 0);
        fails(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 1, 0);
        Rle::new(Bytes::new(), 33).unwrap_err();
    }

    proptest! {
        #[test]
        fn skip_counts_what_next_would_give(bytes in prop::collection::vec(any::<u8>(), 0..40), width in 0..6u32, count in 0..200u64) {
            let mut skipped = Rle::new(Bytes::from(bytes), width).unwrap();
            let mut stepped = skipped.clone();
            let values: Result<Vec<u32>, Cause> = (0..count).map(|_| stepped.next()).collect();
            match (skipped.skip(count, 1), values) {
                (Ok(found), Ok(values)) => {
                    prop_assert_eq!(found, values.iter().filter(|value| **value == 1).count() as u64);
                    prop_assert_eq!(skipped.next().ok(), stepped.next().ok());
                }
                (Err(_), Err(_)) => {}
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
