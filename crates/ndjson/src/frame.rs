//! Bytes to lines: incremental, without a copy of any line that lies in one buffer (NDJSON, <https://jsonlines.org>).
//!
//! A line ends at LF or at the end of the body; one CR before that end is not part of it. A UTF-8 byte order mark at
//! the start of the body is skipped. Lines of nothing but JSON whitespace are counted and skipped.
//!
//! The interface is a pull: the caller owns the buffer and a cursor into it, and takes one line at a time. So it may
//! stop after any line, await a send while the buffer rests, and go on where the cursor stands.

use firn_types::limits::RECORD_LEN_BYTES_MAX;
use memchr::memchr;

/// Longest line, in bytes without its end: a longer one cannot become a row within the same limit.
pub const LINE_LEN_BYTES_MAX: usize = RECORD_LEN_BYTES_MAX;

/// Most bytes held back between two buffers: a longest line and the CR that may turn out to belong to its end.
const CARRY_LEN_BYTES_MAX: usize = LINE_LEN_BYTES_MAX + 1;

const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// One line that is not blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line to parse.
    Whole {
        /// Its number in the body, from 1; blank lines count.
        number: u64,
        /// Its bytes without the line's end; at most [`LINE_LEN_BYTES_MAX`].
        bytes: &'a [u8],
    },
    /// A line over [`LINE_LEN_BYTES_MAX`]; its bytes are gone.
    TooLarge {
        /// Its number in the body, from 1.
        number: u64,
        /// Its length without the line's end.
        len_bytes: u64,
    },
}

impl Line<'_> {
    /// The line's number in the body, from 1.
    pub const fn number(&self) -> u64 {
        match self {
            Self::Whole { number, .. } | Self::TooLarge { number, .. } => *number,
        }
    }
}

/// The state between two buffers of a body.
#[derive(Debug, Default)]
pub struct Framer {
    /// Start of the current line, if earlier buffers held it; at most [`CARRY_LEN_BYTES_MAX`].
    carry: Vec<u8>,
    state: State,
    /// Lines ended so far.
    line_count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing but so many bytes of a byte order mark was seen.
    Start { seen_count: usize },
    /// `carry` is the start of the current line.
    Line,
    /// `carry` was given out as a line; it is empty from the next call on.
    GivenOut,
    /// The current line is too long and not kept; so many bytes of it passed.
    Discarding { len_bytes: u64, ends_in_cr: bool },
}

impl Default for State {
    fn default() -> Self {
        Self::Start { seen_count: 0 }
    }
}

impl Framer {
    /// Takes the next line off the front of `rest`. `None`: `rest` is used up, and more of the body is needed (or
    /// [`Self::finish`]).
    ///
    /// The line borrows from the caller's buffer, or from the framer if it began in an earlier buffer. Lines and their
    /// numbers do not depend on where the body was cut into buffers.
    pub fn next_line<'s, 'b: 's>(&'s mut self, rest: &mut &'b [u8]) -> Option<Line<'s>> {
        self.begin(rest);
        while let Some(end_idx) = memchr(b'\n', rest) {
            let (piece, after) = rest.split_at_checked(end_idx)?;
            *rest = after.get(1..).unwrap_or_default();
            if self.state == State::Line && self.carry.is_empty() {
                self.line_count += 1;
                if let Some(line) = line_of(self.line_count, piece) {
                    return Some(line);
                }
            } else {
                self.keep(piece);
                if !self.carried_is_blank() {
                    return self.give_out();
                }
                self.line_count += 1;
                self.carry.clear();
            }
        }
        self.keep(rest);
        *rest = &[];
        None
    }

    /// The last line, where the body does not end in LF. To be called once, after the last buffer.
    pub fn finish(&mut self) -> Option<Line<'_>> {
        if let State::Start { seen_count } = self.state {
            // An incomplete mark is a line of its own, and no JSON.
            self.carry.extend(BYTE_ORDER_MARK.iter().take(seen_count));
            self.state = State::Line;
        }
        self.begin(&mut [].as_slice());
        if self.carried_is_blank() { None } else { self.give_out() }
    }

    /// Makes the state `Line` or `Discarding`, unless `rest` ends within a byte order mark.
    fn begin(&mut self, rest: &mut &[u8]) {
        if let State::Start { seen_count } = &mut self.state {
            while let (Some(expected), Some((found, after))) =
                (BYTE_ORDER_MARK.get(*seen_count), rest.split_first())
            {
                if expected != found {
                    self.carry.extend(BYTE_ORDER_MARK.iter().take(*seen_count));
                    self.state = State::Line;
                    return;
                }
                *seen_count += 1;
                *rest = after;
            }
            if *seen_count == BYTE_ORDER_MARK.len() {
                self.state = State::Line;
            }
        }
        if self.state == State::GivenOut {
            self.carry.clear();
            self.state = State::Line;
        }
    }

    /// Adds to the current line.
    fn keep(&mut self, piece: &[u8]) {
        let Some(last) = piece.last() else { return };
        let so_far = match self.state {
            State::Discarding { len_bytes, .. } => len_bytes,
            _ => self.carry.len() as u64,
        };
        let len_bytes = so_far.saturating_add(piece.len() as u64);
        if len_bytes > CARRY_LEN_BYTES_MAX as u64 {
            self.carry.clear();
            self.state = State::Discarding { len_bytes, ends_in_cr: *last == b'\r' };
        } else {
            crate::chunk::reserve_within(&mut self.carry, piece.len(), CARRY_LEN_BYTES_MAX);
            self.carry.extend_from_slice(piece);
        }
    }

    fn carried_is_blank(&self) -> bool {
        self.state == State::Line && is_blank(&self.carry)
    }

    /// Ends the current line, which is not blank.
    fn give_out(&mut self) -> Option<Line<'_>> {
        self.line_count += 1;
        let number = self.line_count;
        if let State::Discarding { len_bytes, ends_in_cr } = self.state {
            self.state = State::Line;
            return Some(Line::TooLarge { number, len_bytes: len_bytes.saturating_sub(ends_in_cr.into()) });
        }
        self.state = State::GivenOut;
        line_of(number, &self.carry)
    }
}

/// A line from its bytes without the LF; `None` if it is blank.
fn line_of(number: u64, bytes: &[u8]) -> Option<Line<'_>> {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    if bytes.len() > LINE_LEN_BYTES_MAX {
        return Some(Line::TooLarge { number, len_bytes: bytes.len() as u64 });
    }
    (!is_blank(bytes)).then_some(Line::Whole { number, bytes })
}

/// Whether there is nothing but JSON whitespace.
fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}
