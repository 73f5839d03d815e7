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
use crate::escape::{DECODE_LEN_BYTES_MIN, decode_into, hex};
use crate::record::Record;
use crate::scan::{Token, elements};

/// Bytes gathered before the hash is fed. A hash outside wasm costs a call each time: an ordinary record of a few
/// kilobytes is one. 16 KiB are 1/64 of wasm's default stack.
const BLOCK_LEN_BYTES: usize = 16 * 1024;

/// A SHA-256 that is fed in pieces, so that a Worker can plug in its host's.
pub trait Sha256 {
    /// Adds bytes.
    fn update(&mut self, bytes: &[u8]);
    /// The digest of all bytes added and `last` after them. An ordinary record needs no other call.
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
        hex_text(self.0)
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

fn hex_text(bytes: [u8; 32]) -> String {
    let digits = bytes.map(|byte| [hex(byte >> 4), hex(byte & 15)]);
    String::from_utf8(digits.as_flattened().to_vec()).expect("invariant: hexadecimal digits are ASCII")
}

/// Hash and size of a record's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentDigest {
    /// The hash.
    pub hash: ContentHash,
    /// As [`content_size_bytes`].
    pub size_bytes: u64,
}

/// Hashes a record's content with a fresh `sha256`.
pub fn content_digest(record: &Record<'_>, mut sha256: impl Sha256) -> ContentDigest {
    let mut block = [0; BLOCK_LEN_BYTES];
    let (size_bytes, last_len_bytes) = write_preimage(record, &mut block, &mut |bytes| sha256.update(bytes));
    let last = block.get(..last_len_bytes).unwrap_or_default();
    ContentDigest { hash: ContentHash(sha256.finish(last)), size_bytes }
}

/// Feeds the preimage but for its end, which it leaves in `block`; gives the content's size and the end's length. Not
/// generic, so that it is compiled once and in this crate.
fn write_preimage(
    record: &Record<'_>,
    block: &mut [u8; BLOCK_LEN_BYTES],
    feed: &mut dyn FnMut(&[u8]),
) -> (u64, usize) {
    let mut preimage = Preimage { feed, block, len_bytes: 0 };
    let mut size_bytes = 0;
    for (name, content) in contents(record) {
        preimage.add_sized(name.as_bytes());
        match content {
            Content::Text(text) => size_bytes += preimage.add_sized(text.as_bytes()),
            Content::String(token) => size_bytes += preimage.add_string(token),
            Content::List(array) => {
                preimage.add_len(elements(array).count());
                size_bytes += elements(array).map(|token| preimage.add_string(token)).sum::<u64>();
            }
        }
    }
    (size_bytes, preimage.len_bytes)
}

/// Bytes of a record's content as stored: strings decoded, trees and front matter as written, the elements of lists;
/// names and punctuation not counted.
pub fn content_size_bytes(record: &Record<'_>) -> u64 {
    contents(record)
        .map(|(_, content)| match content {
            Content::Text(text) => text.len() as u64,
            Content::String(token) => token.value_len_bytes as u64,
            Content::List(array) => elements(array).map(|token| token.value_len_bytes as u64).sum(),
        })
        .sum()
}

/// A content field as it is stored.
enum Content<'a> {
    /// This text.
    Text(&'a str),
    /// The value of this JSON string.
    String(Token<'a>),
    /// The values of this JSON array's strings.
    List(&'a str),
}

/// The content fields of a record, in the order of the table.
fn contents<'r, 'a>(
    record: &'r Record<'a>,
) -> impl Iterator<Item = (&'static str, Content<'a>)> + use<'r, 'a> {
    record.present().and(CONTENT).places().filter_map(|idx| {
        let (column, token) = (COLUMNS.get(idx)?, record.token(idx)?);
        let content = match column.caller {
            CallerValue::Object | CallerValue::Json => Content::Text(token.text),
            CallerValue::StringList => Content::List(token.text),
            _ => Content::String(token),
        };
        Some((column.name, content))
    })
}

/// Gathers small pieces into blocks for the hash.
struct Preimage<'f> {
    feed: &'f mut dyn FnMut(&[u8]),
    block: &'f mut [u8; BLOCK_LEN_BYTES],
    len_bytes: usize,
}

impl Preimage<'_> {
    fn add(&mut self, bytes: &[u8]) {
        if self.room().len() < bytes.len() {
            self.flush();
        }
        match self.room().get_mut(..bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len_bytes += bytes.len();
            }
            None => (self.feed)(bytes),
        }
    }

    fn add_len(&mut self, len: usize) {
        self.add(&(len as u64).to_be_bytes());
    }

    /// Adds the bytes after their length; gives the length.
    fn add_sized(&mut self, bytes: &[u8]) -> u64 {
        self.add_len(bytes.len());
        self.add(bytes);
        bytes.len() as u64
    }

    /// Adds a string's value after its length; gives the length.
    fn add_string(&mut self, token: Token<'_>) -> u64 {
        let mut rest = token.body().as_bytes();
        if !token.has_escape() {
            return self.add_sized(rest);
        }
        self.add_len(token.value_len_bytes);
        while !rest.is_empty() {
            if self.room().len() < DECODE_LEN_BYTES_MIN {
                self.flush();
            }
            let (read_len_bytes, written_len_bytes) = decode_into(rest, self.room());
            self.len_bytes += written_len_bytes;
            rest = rest.get(read_len_bytes..).unwrap_or_default();
        }
        token.value_len_bytes as u64
    }

    fn room(&mut self) -> &mut [u8] {
        self.block.get_mut(self.len_bytes..).unwrap_or_default()
    }

    fn flush(&mut self) {
        if self.len_bytes > 0 {
            (self.feed)(self.block.get(..self.len_bytes).unwrap_or_default());
            self.len_bytes = 0;
        }
    }
}
