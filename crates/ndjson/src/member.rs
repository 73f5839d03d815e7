//! Pieces of a row's members: names with their punctuation, and numbers.

use firn_types::schema::{COLUMN_COUNT, COLUMNS};

use crate::columns::{NAME_LEN_BYTES_MAX, NS};
use crate::special::BLOCK_LEN_BYTES;

/// Room for the longest [`MemberName`], with quotes, colon, and a brace or comma: two blocks.
const MEMBER_NAME_LEN_BYTES_MAX: usize = 2 * BLOCK_LEN_BYTES;
const _: () = assert!(NAME_LEN_BYTES_MAX + 4 <= MEMBER_NAME_LEN_BYTES_MAX, "a name and its punctuation fit");

/// `{"name":` of the first column, which every row has, and `,"name":` of the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemberName {
    bytes: [u8; MEMBER_NAME_LEN_BYTES_MAX],
    pub(crate) len_bytes: usize,
}

/// Of a member whose value brings its name.
pub(crate) const NAMELESS: MemberName = MemberName { bytes: [0; MEMBER_NAME_LEN_BYTES_MAX], len_bytes: 0 };

impl MemberName {
    pub(crate) fn as_str(&self) -> &str {
        self.bytes.get(..self.len_bytes).and_then(|name| str::from_utf8(name).ok()).unwrap_or_default()
    }

    /// Appends the name. Where there is room, by copies of a block: a few instructions and no call.
    #[inline]
    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        let end_idx = out.len().saturating_add(self.len_bytes);
        if out.capacity() - out.len() >= MEMBER_NAME_LEN_BYTES_MAX {
            for block in self.bytes.as_chunks::<BLOCK_LEN_BYTES>().0 {
                out.extend_from_slice(block);
            }
            out.truncate(end_idx);
        } else {
            out.extend_from_slice(self.as_str().as_bytes());
        }
    }
}

/// By the column's place.
pub(crate) const MEMBER_NAMES: [MemberName; COLUMN_COUNT] = member_names();

#[expect(clippy::indexing_slicing, reason = "runs at compile time, where an index out of bounds is an error")]
const fn member_names() -> [MemberName; COLUMN_COUNT] {
    let mut names = [NAMELESS; COLUMN_COUNT];
    let mut idx = 0;
    while idx < COLUMN_COUNT {
        let (name, bytes) = (COLUMNS[idx].name.as_bytes(), &mut names[idx].bytes);
        bytes[0] = if idx == NS { b'{' } else { b',' };
        bytes[1] = b'"';
        bytes[name.len() + 2] = b'"';
        bytes[name.len() + 3] = b':';
        let mut at_idx = 0;
        while at_idx < name.len() {
            bytes[at_idx + 2] = name[at_idx];
            at_idx += 1;
        }
        names[idx].len_bytes = name.len() + 4;
        idx += 1;
    }
    names
}

/// A number's digits, without a heap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal {
    /// From `start_idx` on.
    digits: [u8; DECIMAL_LEN_BYTES_MAX],
    start_idx: usize,
}

/// Digits of `u64::MAX`.
const DECIMAL_LEN_BYTES_MAX: usize = 20;

impl Decimal {
    pub(crate) fn of(mut number: u64) -> Self {
        let mut decimal = Self { digits: [b'0'; DECIMAL_LEN_BYTES_MAX], start_idx: DECIMAL_LEN_BYTES_MAX };
        for (idx, digit) in decimal.digits.iter_mut().enumerate().rev() {
            *digit = b"0123456789".get((number % 10) as usize).copied().unwrap_or_default();
            decimal.start_idx = idx;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        decimal
    }

    pub(crate) fn as_str(&self) -> &str {
        let digits = self.digits.get(self.start_idx..).unwrap_or_default();
        str::from_utf8(digits).unwrap_or_default()
    }
}
