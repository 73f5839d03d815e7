//! Bytes to lines: incremental, without a copy of any line that lies in one buffer (NDJSON, <https://jsonlines.org>).
//!
//! A line ends at LF or at the end of the body; one CR before that end is not part of it. A UTF-8 byte order mark at
//! the start of the body is skipped. Lines of nothing but JSON whitespace are counted and skipped.
//!
//! The interface is a pull: the caller owns the buffer and a cursor into it, and takes one line at a time. So it may
//! stop after any line, await a send while the buffer rests, and go on where the cursor stands.

use firn_types::limits::RECORD_LEN_BYTES_MAX;
use memchr::memchr;

use crate::buffer::reserve_within;

/// Longest line, in bytes without its end: the limit of a record, already as it arrives, so that no more is kept.
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

    /// Lines that have ended so far.
    pub const fn line_count(&self) -> u64 {
        self.line_count
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

    /// Leaves the states before a line, unless `rest` ends within a byte order mark.
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
            reserve_within(&mut self.carry, piece.len(), CARRY_LEN_BYTES_MAX);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A line as a test compares it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Seen {
        Whole(u64, Vec<u8>),
        TooLarge(u64, u64),
    }

    impl From<Line<'_>> for Seen {
        fn from(line: Line<'_>) -> Self {
            match line {
                Line::Whole { number, bytes } => Self::Whole(number, bytes.to_vec()),
                Line::TooLarge { number, len_bytes } => Self::TooLarge(number, len_bytes),
            }
        }
    }

    fn lines_of<'a>(buffers: impl IntoIterator<Item = &'a [u8]>) -> Vec<Seen> {
        let mut framer = Framer::default();
        let mut lines = Vec::new();
        for mut rest in buffers {
            while let Some(line) = framer.next_line(&mut rest) {
                lines.push(line.into());
            }
            assert!(rest.is_empty());
            assert!(framer.carry.len() <= CARRY_LEN_BYTES_MAX);
        }
        lines.extend(framer.finish().map(Seen::from));
        lines
    }

    #[track_caller]
    fn check(body: &[u8], expected: &[(u64, &str)]) {
        let expected: Vec<Seen> =
            expected.iter().map(|(number, text)| Seen::Whole(*number, text.as_bytes().to_vec())).collect();
        assert_eq!(lines_of([body]), expected, "{}", body.escape_ascii());
        assert_eq!(lines_of(body.chunks(1)), expected, "{} byte by byte", body.escape_ascii());
        for cut_idx in 0..=body.len() {
            let (head, tail) = body.split_at(cut_idx);
            assert_eq!(lines_of([head, tail]), expected, "{} cut at {cut_idx}", body.escape_ascii());
        }
    }

    #[test]
    fn lines_end_at_lf_or_at_the_end_and_blank_ones_only_count() {
        check(b"", &[]);
        check(b"\n", &[]);
        check(b"a", &[(1, "a")]);
        check(b"a\n", &[(1, "a")]);
        check(b"a\nb", &[(1, "a"), (2, "b")]);
        check(b"a\r\nb\r\n", &[(1, "a"), (2, "b")]);
        check(b"\n\na\n \t\r\n\r\nb\n\n", &[(3, "a"), (6, "b")]);
        check(b"a\r", &[(1, "a")]);
        check(b"a\r\r\nb", &[(1, "a\r"), (2, "b")]);
        check(b"a\rb\n", &[(1, "a\rb")]);
        check(b" a \n", &[(1, " a ")]);
        check(b"\x0b\n\x0c\n", &[(1, "\x0b"), (2, "\x0c")]);
    }

    #[test]
    fn byte_order_mark_is_skipped_at_the_start_only() {
        check(b"\xEF\xBB\xBF", &[]);
        check(b"\xEF\xBB\xBFa\nb", &[(1, "a"), (2, "b")]);
        check(b"\xEF\xBB\xBF\n\xEF\xBB\xBFa", &[(2, "\u{FEFF}a")]);
        check(b"\xEF\xBB\xBF\xEF\xBB\xBFa", &[(1, "\u{FEFF}a")]);
        assert_eq!(lines_of([b"\xEF\xBB".as_slice()]), [Seen::Whole(1, b"\xEF\xBB".to_vec())]);
        assert_eq!(lines_of(b"\xEFa\n".chunks(1)), [Seen::Whole(1, b"\xEFa".to_vec())]);
        assert_eq!(lines_of(b"\xEF\xBB\n".chunks(1)), [Seen::Whole(1, b"\xEF\xBB".to_vec())]);
    }

    #[test]
    fn line_in_one_buffer_is_borrowed_from_it() {
        let body = b"aa\nbb\ncc".as_slice();
        let mut framer = Framer::default();
        let mut rest = body;
        for start_idx in [0, 3] {
            let Some(Line::Whole { bytes, .. }) = framer.next_line(&mut rest) else { panic!("a line") };
            assert!(std::ptr::eq(bytes, &raw const body[start_idx..start_idx + 2]));
        }
    }

    #[test]
    fn caller_may_stop_after_any_line_and_go_on() {
        let (first, second) = (b"a\nb\nc".to_vec(), b"d\ne".to_vec());
        let mut framer = Framer::default();
        let mut rest = first.as_slice();
        assert_eq!(framer.next_line(&mut rest).map(|line| line.number()), Some(1));
        assert_eq!(rest, b"b\nc");
        assert_eq!(framer.next_line(&mut rest).map(|line| line.number()), Some(2));
        assert_eq!(framer.next_line(&mut rest), None);
        let mut rest = second.as_slice();
        assert_eq!(framer.next_line(&mut rest), Some(Line::Whole { number: 3, bytes: b"cd" }));
        assert_eq!(rest, b"e");
        assert_eq!(framer.next_line(&mut rest), None);
        assert_eq!(framer.finish(), Some(Line::Whole { number: 4, bytes: b"e" }));
    }

    #[test]
    fn line_over_the_limit_is_reported_with_its_length_and_not_kept() {
        for end in ["", "\n", "\r\n", "\n{}"] {
            for (len_bytes, is_too_large) in [
                (LINE_LEN_BYTES_MAX - 1, false),
                (LINE_LEN_BYTES_MAX, false),
                (LINE_LEN_BYTES_MAX + 1, true),
                (LINE_LEN_BYTES_MAX + 2, true),
                (3 * LINE_LEN_BYTES_MAX, true),
            ] {
                let line = vec![b'a'; len_bytes];
                let body = [b"x\n", line.as_slice(), end.as_bytes()].concat();
                let mut expected = vec![Seen::Whole(1, b"x".to_vec())];
                expected.push(if is_too_large {
                    Seen::TooLarge(2, len_bytes as u64)
                } else {
                    Seen::Whole(2, line)
                });
                expected.extend(end.ends_with('}').then(|| Seen::Whole(3, b"{}".to_vec())));
                for buffer_len_bytes in [body.len(), 65_536, LINE_LEN_BYTES_MAX + 3, LINE_LEN_BYTES_MAX + 4] {
                    let lines = lines_of(body.chunks(buffer_len_bytes));
                    assert!(lines == expected, "{len_bytes} {end:?} in buffers of {buffer_len_bytes}");
                }
            }
        }
    }

    #[test]
    fn byte_order_mark_counts_for_no_limit() {
        let body = [BYTE_ORDER_MARK.as_slice(), &vec![b'a'; LINE_LEN_BYTES_MAX], b"\n"].concat();
        for buffer_len_bytes in [1_000_000, 2, body.len()] {
            assert!(matches!(&lines_of(body.chunks(buffer_len_bytes))[..], [Seen::Whole(1, _)]));
        }
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_the_cuts(
            body in prop::collection::vec(
                prop_oneof![Just(b'\n'), Just(b'\r'), Just(b' '), Just(0xEF), Just(0xBB), Just(0xBF), any::<u8>()],
                0..200,
            ),
            cuts in prop::collection::vec(0..200_usize, 0..12),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &body[pair[0]..pair[1]]);
            let whole = lines_of([body.as_slice()]);
            prop_assert_eq!(&lines_of(pieces), &whole);

            let text = body.strip_prefix(&BYTE_ORDER_MARK).unwrap_or(&body);
            let expected: Vec<Seen> = text
                .split(|byte| *byte == b'\n')
                .zip(1..)
                .map(|(line, number)| (number, line.strip_suffix(b"\r").unwrap_or(line)))
                .filter(|(_, line)| !line.iter().all(|byte| b" \t\r".contains(byte)))
                .map(|(number, line)| Seen::Whole(number, line.to_vec()))
                .collect();
            prop_assert_eq!(whole, expected);
        }
    }
}
