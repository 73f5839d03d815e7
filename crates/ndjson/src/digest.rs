//! The hash and the size of a record's content (design.md §2).
//!
//! SHA-256 over the content fields that the record has, in the order of the table. Each gives
//!
//! ```text
//! string, tree, front matter   len(name) name len(value) value
//! list                         len(name) name count { len(element) element }*
//! ```
//!
//! where `len` and `count` are 8 bytes, big-endian, and bytes are those that are stored: a string's decoded UTF-8, a
//! tree's and the front matter's JSON text as the caller wrote it. So the hash does not depend on how a string was
//! escaped, nor on the order of the fields, and no two contents share a preimage.

use std::fmt;

use firn_types::schema::{COLUMNS, CallerValue};
use sha2::Digest as _;

use crate::columns::CONTENT;
use crate::escape::hex;
use crate::record::Record;
use crate::scan::elements;
use crate::values::Values;

/// A SHA-256 that is fed in pieces, so that a Worker can plug in its host's.
pub trait Sha256 {
    /// Adds bytes.
    fn update(&mut self, bytes: &[u8]);
    /// The digest of all bytes added and `last` after them. A record needs no other call.
    fn finish(self, last: &[u8]) -> [u8; 32];
}

/// [`Sha256`] by the `sha2` crate.
#[derive(Clone, Debug, Default)]
pub struct SoftwareSha256(sha2::Sha256);

impl Sha256 for SoftwareSha256 {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(mut self, last: &[u8]) -> [u8; 32] {
        self.0.update(last);
        self.0.finalize().into()
    }
}

/// The hash of a record's content; displayed in hexadecimal, as it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// In lower-case hexadecimal.
    pub fn to_hex(self) -> String {
        String::from_utf8_lossy(&self.hex_digits()).into_owned()
    }

    /// The characters of [`Self::to_hex`].
    pub(crate) fn hex_digits(self) -> [u8; 64] {
        let mut digits = [0; 64];
        let (pairs, _) = digits.as_chunks_mut();
        for ([high, low], byte) in pairs.iter_mut().zip(self.0) {
            (*high, *low) = (hex(byte >> 4), hex(byte & 15));
        }
        digits
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Hashes a record's content with a fresh `sha256`. `scratch` is used again from record to record.
pub fn content_digest(record: &Record<'_>, sha256: impl Sha256, scratch: &mut Values) -> ContentHash {
    scratch.clear();
    let (_, start_idx) = scratch.push_contents(record);
    ContentHash(sha256.finish(scratch.preimage(start_idx)))
}

/// Bytes of a record's content as stored: strings decoded, trees and front matter as written, the elements of lists;
/// names and punctuation not counted.
pub fn content_size_bytes(record: &Record<'_>) -> u64 {
    let size_of = |idx: usize| match (COLUMNS.get(idx)?.caller, record.token(idx)?) {
        (CallerValue::StringList, list) => {
            Some(elements(list.text).map(|token| token.value_len_bytes as u64).sum())
        }
        (CallerValue::Object | CallerValue::Json, text) => Some(text.text.len() as u64),
        (_, string) => Some(string.value_len_bytes as u64),
    };
    record.present().and(CONTENT).places().filter_map(size_of).sum()
}
