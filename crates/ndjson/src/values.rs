//! Rows as values: what becomes JavaScript objects without JSON that would have to be parsed.
//!
//! ```text
//! texts    the text of every value, one after the other; what stands between them is ASCII
//! words    row*
//! row      member count, where its texts begin and end, member*
//! member   column | kind << 8, and by its kind
//!            text    begin, end
//!            list    count, and begin and end of each
//!            number  high and low 32 bits
//!            true, false
//! ```
//!
//! A column is its place in [`firn_types::schema::COLUMNS`], and places in `texts` are counted in bytes. Where the rows
//! hold nothing but ASCII, so does `texts`: it is decoded at once, and every value is a slice of it. What all rows of a
//! request share is not repeated: [`Values::shared_json`].
//!
//! The content of a row stands as the preimage of its hash ([`crate::digest`]), so that it is written once.

use std::sync::Arc;

use firn_types::schema::{COLUMNS, CallerValue};

use crate::buffer::reserve_within;
use crate::columns::CONTENT;
use crate::escape::decode_onto;
use crate::record::Record;
use crate::scan::{Token, elements};

/// Kinds of members.
pub mod kind {
    /// A string.
    pub const TEXT: u32 = 0;
    /// An array of strings.
    pub const LIST: u32 = 1;
    /// A number.
    pub const NUMBER: u32 = 2;
    /// The value `true`.
    pub const TRUE: u32 = 3;
    /// The value `false`.
    pub const FALSE: u32 = 4;
}

/// Rows as values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    texts: Vec<u8>,
    words: Vec<u32>,
    shared_json: Arc<str>,
    /// Where the lengths stand that belong to a preimage and to nothing else.
    lens_at: Vec<usize>,
    /// The capacity beyond which `texts` grows only as far as needed.
    len_bytes_max: usize,
}

impl Values {
    /// Of rows that are seldom longer than `len_bytes_max` altogether.
    pub(crate) fn new(shared_json: Arc<str>, len_bytes_max: usize) -> Self {
        Self { shared_json, len_bytes_max, ..Self::default() }
    }

    /// The texts.
    pub fn texts(&self) -> &[u8] {
        &self.texts
    }

    /// The words.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// `{"names":[…],"members":{…}}`: the names of the columns by their place, and what every row has besides its own
    /// members.
    pub fn shared_json(&self) -> &str {
        &self.shared_json
    }

    /// Bytes that the texts have room for.
    pub(crate) const fn capacity(&self) -> usize {
        self.texts.capacity()
    }

    pub(crate) fn clear(&mut self) {
        self.texts.clear();
        self.words.clear();
        self.lens_at.clear();
    }

    /// Adds a row whose members `push` adds.
    pub(crate) fn push_row(&mut self, push: impl FnOnce(&mut Self) -> u32) {
        let row_idx = self.words.len();
        self.words.extend_from_slice(&[0, self.place(), 0]);
        let member_count = push(self);
        let end = self.place();
        if let Some([count, _, row_end]) = self.words.get_mut(row_idx..).and_then(<[u32]>::first_chunk_mut) {
            (*count, *row_end) = (member_count, end);
        }
    }

    pub(crate) fn push_text(&mut self, column_idx: usize, text: &str) {
        self.push_member(column_idx, kind::TEXT);
        self.push_span(|texts| texts.extend_from_slice(text.as_bytes()), text.len());
    }

    /// The value of a JSON string.
    pub(crate) fn push_string(&mut self, column_idx: usize, token: Token<'_>) {
        self.push_member(column_idx, kind::TEXT);
        self.push_decoded(token);
    }

    pub(crate) fn push_number(&mut self, column_idx: usize, number: u64) {
        self.push_member(column_idx, kind::NUMBER);
        let [high, low] = [number >> 32, number & u64::from(u32::MAX)];
        self.words.extend([high, low].map(|half| u32::try_from(half).unwrap_or_default()));
    }

    pub(crate) fn push_bool(&mut self, column_idx: usize, value: bool) {
        self.push_member(column_idx, if value { kind::TRUE } else { kind::FALSE });
    }

    /// Adds the content of a record, as the preimage of its hash; gives the number of members and where they begin.
    pub(crate) fn push_contents(&mut self, record: &Record<'_>) -> (u32, usize) {
        let start_idx = self.texts.len();
        let mut member_count = 0;
        for idx in record.present().and(CONTENT).places() {
            let (Some(column), Some(token)) = (COLUMNS.get(idx), record.token(idx)) else { continue };
            member_count += 1;
            self.push_len(column.name.len());
            self.texts.extend_from_slice(column.name.as_bytes());
            match column.caller {
                CallerValue::Object | CallerValue::Json => {
                    self.push_len(token.text.len());
                    self.push_text(idx, token.text);
                }
                CallerValue::StringList => self.push_list(idx, token.text),
                _ => {
                    self.push_len(token.value_len_bytes);
                    self.push_string(idx, token);
                }
            }
        }
        (member_count, start_idx)
    }

    /// The preimage that begins at `start_idx`.
    pub(crate) fn preimage(&self, start_idx: usize) -> &[u8] {
        self.texts.get(start_idx..).unwrap_or_default()
    }

    /// Makes the lengths ASCII, once they were hashed.
    pub(crate) fn erase_lens(&mut self) {
        for at_idx in self.lens_at.drain(..) {
            if let Some(len) = self.texts.get_mut(at_idx..).and_then(<[u8]>::first_chunk_mut) {
                *len = 0_u64.to_be_bytes();
            }
        }
    }

    fn push_list(&mut self, column_idx: usize, array: &str) {
        self.push_member(column_idx, kind::LIST);
        let count = elements(array).count();
        self.words.push(word(count));
        self.push_len(count);
        for token in elements(array) {
            self.push_len(token.value_len_bytes);
            self.push_decoded(token);
        }
    }

    fn push_member(&mut self, column_idx: usize, kind: u32) {
        self.words.push(word(column_idx) | kind << 8);
    }

    fn push_decoded(&mut self, token: Token<'_>) {
        let body = token.body().as_bytes();
        if token.has_escape() {
            self.push_span(|texts| decode_onto(body, texts), body.len());
        } else {
            self.push_span(|texts| texts.extend_from_slice(body), body.len());
        }
    }

    /// Notes where the text lies that `push` adds, which is at most `len_bytes_max` long.
    fn push_span(&mut self, push: impl FnOnce(&mut Vec<u8>), len_bytes_max: usize) {
        reserve_within(&mut self.texts, len_bytes_max, self.len_bytes_max);
        self.words.push(self.place());
        push(&mut self.texts);
        self.words.push(self.place());
    }

    fn push_len(&mut self, len: usize) {
        self.lens_at.push(self.texts.len());
        self.texts.extend_from_slice(&(len as u64).to_be_bytes());
    }

    fn place(&self) -> u32 {
        word(self.texts.len())
    }
}

/// A length or a place: a chunk has a few megabytes.
fn word(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
