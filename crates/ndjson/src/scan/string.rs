//! Strings (RFC 8259 §7): the hot loop of validation.

use firn_types::error::LineErrorCode;

use super::{Fault, Scanner};
use crate::escape::{EscapeFault, parse_escape, simple_escape};
use crate::special::{Marks, Specials, block_at, is_special};

const CONTROL_CHARACTER: &str = "a control character in a string must be escaped";

impl Scanner<'_> {
    /// Reads a string, the cursor on its first quote; gives its value's length.
    pub(super) fn string(&mut self) -> Result<usize, Fault> {
        let start_idx = self.at_idx + 1;
        self.at_idx = start_idx;
        // By how much the escapes are longer than what they mean.
        let mut saved_len_bytes = 0;
        if self.ends_in_first_block() || self.ends_in_wide_blocks(&mut saved_len_bytes)? {
            return Ok(self.end_string(start_idx, saved_len_bytes));
        }
        loop {
            match self.byte() {
                Some(b'"') => return Ok(self.end_string(start_idx, saved_len_bytes)),
                Some(b'\\') => saved_len_bytes += self.escape()?,
                Some(byte) if is_special(byte) => return Err(self.fault(CONTROL_CHARACTER)),
                Some(_) => self.at_idx += 1,
                None => return Err(self.fault("the string does not end")),
            }
        }
    }

    /// Looks at the first block of a string: names and words end there (true). Otherwise the cursor is where a closer
    /// look is needed, or after the block.
    #[inline]
    fn ends_in_first_block(&mut self) -> bool {
        let Some(block) = block_at(self.text.as_bytes(), self.at_idx) else { return false };
        self.at_idx += Specials::of(*block).first_idx().unwrap_or(block.len());
        self.byte() == Some(b'"')
    }

    /// Goes on in a string while the text has several blocks more: to the quote that ends it (true), or to where fewer
    /// are left.
    #[inline]
    fn ends_in_wide_blocks(&mut self, saved_len_bytes: &mut usize) -> Result<bool, Fault> {
        let text = self.text.as_bytes();
        while let Some(wide) = block_at(text, self.at_idx) {
            let is_simple = |idx| wide.get(idx).is_some_and(|letter: &u8| simple_escape(*letter).is_some());
            let (idx, escape_count) = Marks::of(*wide).pass(is_simple);
            self.at_idx += idx;
            // Such an escape is two bytes and means one.
            *saved_len_bytes += escape_count;
            match wide.get(idx) {
                None => {}
                Some(b'"') => return Ok(true),
                Some(b'\\') => *saved_len_bytes += self.escape()?,
                Some(_) => return Err(self.fault(CONTROL_CHARACTER)),
            }
        }
        Ok(false)
    }

    /// Takes the quote at the cursor; gives the length of the string's value.
    #[inline]
    fn end_string(&mut self, start_idx: usize, saved_len_bytes: usize) -> usize {
        let body_len_bytes = self.at_idx - start_idx;
        self.at_idx += 1;
        body_len_bytes - saved_len_bytes
    }

    /// Reads an escape; gives by how much it is longer than what it means.
    #[inline]
    fn escape(&mut self) -> Result<usize, Fault> {
        if let Some(letter) = self.text.as_bytes().get(self.at_idx + 1)
            && simple_escape(*letter).is_some()
        {
            self.at_idx += 2;
            return Ok(1);
        }
        self.unicode_escape()
    }

    #[inline(never)]
    fn unicode_escape(&mut self) -> Result<usize, Fault> {
        match parse_escape(self.rest()) {
            Ok((character, len_bytes)) => {
                self.at_idx += len_bytes;
                Ok(len_bytes - character.len_utf8())
            }
            Err(EscapeFault::Malformed) => Err(self.fault("this is no escape of JSON")),
            Err(EscapeFault::LoneSurrogate) => {
                let what = "this escape is half of a surrogate pair";
                Err(Fault { code: LineErrorCode::LoneSurrogate, ..self.fault(what) })
            }
        }
    }
}
