//! JSON strings: where they need a closer look, what their escapes mean, and how to write them (RFC 8259 §7).

use std::borrow::Cow;

use memchr::memchr;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Index of the first `"`, `\` or control character (below 0x20), or the length.
pub(crate) fn find_special(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    let mut idx = 0;
    for word in words {
        let hits = special_mask(u64::from_le_bytes(*word));
        if hits != 0 {
            return idx + hits.trailing_zeros() as usize / 8;
        }
        idx += 8;
    }
    idx + tail.iter().position(|byte| is_special(*byte)).unwrap_or(tail.len())
}

/// The high bit of the lowest special byte is set, and of none below it. (A byte above a hit may be marked wrongly,
/// by the borrow of the subtraction.)
const fn special_mask(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | (quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash)) & HIGHS
}

const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Why an escape means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EscapeFault {
    /// Not an escape of RFC 8259.
    Malformed,
    /// Half of a surrogate pair.
    LoneSurrogate,
}

/// The character that the escape at the start of `bytes` (a backslash) means, and the escape's length.
pub(crate) fn parse_escape(bytes: &[u8]) -> Result<(char, usize), EscapeFault> {
    let simple = match bytes.get(1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return parse_unicode_escape(bytes),
        _ => return Err(EscapeFault::Malformed),
    };
    Ok((simple, 2))
}

fn parse_unicode_escape(bytes: &[u8]) -> Result<(char, usize), EscapeFault> {
    let first = parse_hex4(bytes.get(2..6)).ok_or(EscapeFault::Malformed)?;
    if let Some(found) = char::from_u32(first) {
        return Ok((found, 6));
    }
    if first >= 0xDC00 || bytes.get(6..8) != Some(b"\\u") {
        return Err(EscapeFault::LoneSurrogate);
    }
    let second = parse_hex4(bytes.get(8..12)).ok_or(EscapeFault::Malformed)?;
    if !(0xDC00..=0xDFFF).contains(&second) {
        return Err(EscapeFault::LoneSurrogate);
    }
    char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00))
        .map(|found| (found, 12))
        .ok_or(EscapeFault::LoneSurrogate)
}

fn parse_hex4(digits: Option<&[u8]>) -> Option<u32> {
    digits?.iter().try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}

/// A piece of a string's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Text without escapes.
    Run(&'a str),
    /// What one escape means.
    Char(char),
}

/// The value of a valid JSON string in pieces, from the text between its quotes. Allocates nothing.
#[derive(Clone, Debug)]
pub(crate) struct Pieces<'a> {
    rest: &'a str,
}

impl<'a> Pieces<'a> {
    pub(crate) const fn new(body: &'a str) -> Self {
        Self { rest: body }
    }

    /// The value's bytes, one by one.
    pub(crate) fn bytes(self) -> impl Iterator<Item = u8> + use<'a> {
        self.flat_map(|piece| {
            let (run, character) = match piece {
                Piece::Run(run) => (run, None),
                Piece::Char(character) => ("", Some(character)),
            };
            let mut buffer = [0; 4];
            let len_bytes = character.map_or(0, |c| c.encode_utf8(&mut buffer).len());
            run.bytes().chain(buffer.into_iter().take(len_bytes))
        })
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let run_len_bytes = memchr(b'\\', self.rest.as_bytes()).unwrap_or(self.rest.len());
        if run_len_bytes > 0 {
            let (run, rest) = self.rest.split_at_checked(run_len_bytes)?;
            self.rest = rest;
            return Some(Piece::Run(run));
        }
        let (character, len_bytes) = parse_escape(self.rest.as_bytes()).ok()?;
        self.rest = self.rest.get(len_bytes..)?;
        Some(Piece::Char(character))
    }
}

/// The value of a valid JSON string, from the text between its quotes.
pub(crate) fn decode(body: &str) -> Cow<'_, str> {
    let mut value = String::with_capacity(body.len());
    for piece in Pieces::new(body) {
        match piece {
            Piece::Run(run) => value.push_str(run),
            Piece::Char(character) => value.push(character),
        }
    }
    Cow::Owned(value)
}

/// Length of the value of a valid JSON string, from the text between its quotes.
pub(crate) fn decoded_len_bytes(body: &str) -> usize {
    Pieces::new(body)
        .map(|piece| match piece {
            Piece::Run(run) => run.len(),
            Piece::Char(character) => character.len_utf8(),
        })
        .sum()
}

/// Appends `text` as the body of a JSON string, quotes not included; the inverse of [`decode`].
pub(crate) fn encode(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    loop {
        let (run, after) = rest.split_at_checked(find_special(rest)).unwrap_or((rest, &[]));
        out.extend_from_slice(run);
        let Some((special, after)) = after.split_first() else { return };
        match short_escape(*special) {
            Some(letter) => out.extend_from_slice(&[b'\\', letter]),
            None => {
                out.extend_from_slice(b"\\u00");
                out.extend([hex(special >> 4), hex(special & 15)]);
            }
        }
        rest = after;
    }
}

/// Length of what [`encode`] appends.
pub(crate) fn encoded_len_bytes(text: &str) -> usize {
    let special_count = text.bytes().filter(|byte| is_special(*byte)).count();
    let long_count = text.bytes().filter(|byte| *byte < 0x20 && short_escape(*byte).is_none()).count();
    // `\x` is one byte more than the character, `\u00xx` five.
    text.len() + special_count + long_count * 4
}

const fn short_escape(byte: u8) -> Option<u8> {
    Some(match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x09 => b't',
        0x0A => b'n',
        0x0C => b'f',
        0x0D => b'r',
        _ => return None,
    })
}

const fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + (nibble - 10) }
}
