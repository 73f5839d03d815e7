//! JSON strings: where they need a closer look, what their escapes mean, and how to write them (RFC 8259 §7).

use memchr::memchr;

use crate::special::{BLOCK_LEN_BYTES, Marks, Specials, WIDE_LEN_BYTES, block_at, copy_wide, is_special};

/// Why an escape means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EscapeFault {
    /// Not an escape of RFC 8259.
    Malformed,
    /// Half of a surrogate pair.
    LoneSurrogate,
}

/// What `\` and this letter mean together: one ASCII character.
#[inline]
pub(crate) fn simple_escape(letter: u8) -> Option<u8> {
    MEANINGS.get(usize::from(letter)).copied().filter(|meant| *meant != 0)
}

/// What a backslash and each byte mean together; 0: nothing by themselves. A table, because no branch can be foreseen in
/// other people's text.
const MEANINGS: [u8; 256] = meanings();

#[expect(clippy::indexing_slicing, reason = "runs at compile time, where an index out of bounds is an error")]
const fn meanings() -> [u8; 256] {
    let mut meanings = [0; 256];
    let escapes = [*b"\"\"", *b"\\\\", *b"//", *b"b\x08", *b"f\x0C", *b"n\n", *b"r\r", *b"t\t"];
    let mut idx = 0;
    while idx < escapes.len() {
        let [letter, meant] = escapes[idx];
        meanings[letter as usize] = meant;
        idx += 1;
    }
    meanings
}

/// The character that the escape at the start of `bytes` (a backslash) means, and the escape's length.
pub(crate) fn parse_escape(bytes: &[u8]) -> Result<(char, usize), EscapeFault> {
    match bytes.get(1) {
        Some(b'u') => parse_unicode_escape(bytes),
        Some(letter) => simple_escape(*letter).map(|meant| (meant.into(), 2)).ok_or(EscapeFault::Malformed),
        None => Err(EscapeFault::Malformed),
    }
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

/// Appends the value of a valid JSON string, from the text between its quotes.
pub(crate) fn decode(body: &str, value: &mut String) {
    let mut rest = body;
    while let Some((run, escape)) = memchr(b'\\', rest.as_bytes()).and_then(|idx| rest.split_at_checked(idx))
    {
        value.push_str(run);
        let Ok((character, len_bytes)) = parse_escape(escape.as_bytes()) else { return };
        value.push(character);
        rest = escape.get(len_bytes..).unwrap_or_default();
    }
    value.push_str(rest);
}

/// Most bytes that an escape means: a character beyond the Basic Multilingual Plane.
const MEANING_LEN_BYTES_MAX: usize = 4;

/// [`decode`] for the hot path: appends to bytes.
pub(crate) fn decode_onto(body: &[u8], out: &mut Vec<u8>) {
    let start_idx = out.len();
    // An escape is longer than what it means.
    out.resize(start_idx.saturating_add(body.len()), 0);
    let value_len_bytes = decode_into(body, out.get_mut(start_idx..).unwrap_or_default());
    out.truncate(start_idx.saturating_add(value_len_bytes));
}

/// What is looked at together: a block, the letter of an escape at its end, and the longest run after that.
const WINDOW_LEN_BYTES: usize = 2 * WIDE_LEN_BYTES + 1;

/// Decodes to bytes that are there already, as many as the body has; gives how many were written.
fn decode_into(body: &[u8], out: &mut [u8]) -> usize {
    let mut writer = Writer { out, len_bytes: 0 };
    let mut at_idx = 0;
    while let Some(window) = block_at::<WINDOW_LEN_BYTES>(body, at_idx)
        && let Some(wide) = block_at(window, 0)
    {
        let mut escapes = Marks::of(*wide).backslashes();
        // What of the window is written.
        let mut done_idx = 0;
        while escapes != 0 {
            let escape_idx = escapes.trailing_zeros() as usize;
            let letter = window.get(escape_idx + 1).copied().unwrap_or_default();
            let Some(meant) = simple_escape(letter) else { break };
            // What is copied of the escape and beyond is written again.
            writer.put_wide_ahead(window, done_idx);
            writer.len_bytes += escape_idx - done_idx;
            writer.put(&[meant]);
            done_idx = escape_idx + 2;
            escapes &= escapes - 1;
            // The letter may be a backslash itself.
            escapes &= !(u64::from(letter == b'\\').wrapping_shl(1) << escape_idx);
        }
        let run_end_idx = if escapes == 0 { WIDE_LEN_BYTES } else { escapes.trailing_zeros() as usize };
        if done_idx < run_end_idx {
            writer.put_wide_ahead(window, done_idx);
            writer.len_bytes += run_end_idx - done_idx;
            done_idx = run_end_idx;
        }
        at_idx += done_idx;
        if escapes != 0 {
            at_idx += writer.put_long_meaning(body.get(at_idx..).unwrap_or_default());
        }
    }
    while let Some(byte) = body.get(at_idx) {
        // In the body of a valid string nothing is special but a backslash.
        let (run_len_bytes, has_escape) = if let Some(block) = block_at(body, at_idx) {
            writer.put_ahead(block);
            let escape_idx = Specials::of(*block).first_idx();
            (escape_idx.unwrap_or(BLOCK_LEN_BYTES), escape_idx.is_some())
        } else {
            writer.put_ahead(&[*byte]);
            (usize::from(!is_special(*byte)), is_special(*byte))
        };
        writer.len_bytes += run_len_bytes;
        at_idx += run_len_bytes;
        if has_escape {
            at_idx += writer.put_meaning(body.get(at_idx..).unwrap_or_default());
        }
    }
    writer.len_bytes
}

/// Appends `text` as the body of a JSON string, quotes not included. [`decode`] is its inverse.
pub(crate) fn encode(text: &str, out: &mut Vec<u8>) {
    let start_idx = out.len();
    out.resize(start_idx.saturating_add(encoded_len_bytes(text)), 0);
    let mut writer = Writer { out: out.get_mut(start_idx..).unwrap_or_default(), len_bytes: 0 };
    let (bytes, mut at_idx) = (text.as_bytes(), 0);
    while let Some(block) = block_at(bytes, at_idx) {
        // The whole block is copied, also what follows a special byte: that is written again.
        if !writer.put_ahead(block) {
            break;
        }
        let run_len_bytes = Specials::of(*block).first_idx().unwrap_or(BLOCK_LEN_BYTES);
        writer.len_bytes += run_len_bytes;
        at_idx += run_len_bytes;
        if let Some(special) = block.get(run_len_bytes) {
            writer.put_escaped(*special);
            at_idx += 1;
        }
    }
    for byte in bytes.get(at_idx..).unwrap_or_default() {
        if is_special(*byte) { writer.put_escaped(*byte) } else { writer.put(&[*byte]) }
    }
}

/// Length of what [`encode`] appends.
pub(crate) fn encoded_len_bytes(text: &str) -> usize {
    let (blocks, tail) = text.as_bytes().as_chunks();
    let in_blocks: usize = blocks.iter().map(|block| Specials::of(*block).count()).sum();
    let in_tail = tail.iter().filter(|byte| is_special(**byte)).count();
    let has_control = text.bytes().min().is_some_and(|lowest| lowest < 0x20);
    let long_count = if has_control { text.bytes().filter(|byte| is_long(*byte)).count() } else { 0 };
    // `\x` is one byte more than the character, `\u00xx` five.
    text.len().saturating_add(in_blocks).saturating_add(in_tail).saturating_add(long_count.saturating_mul(4))
}

/// Whether a byte's escape is `\u00xx`.
const fn is_long(byte: u8) -> bool {
    is_special(byte) && short_escape(byte).is_none()
}

/// Writes into bytes that are there already: copies of a fixed length are a single instruction.
struct Writer<'o> {
    out: &'o mut [u8],
    len_bytes: usize,
}

impl Writer<'_> {
    /// Writes `bytes` without moving on. False where there is no room for them.
    #[inline]
    fn put_ahead<const N: usize>(&mut self, bytes: &[u8; N]) -> bool {
        let room = self.out.get_mut(self.len_bytes..).and_then(<[u8]>::first_chunk_mut);
        room.map(|room| *room = *bytes).is_some()
    }

    /// Writes four blocks of `bytes` without moving on.
    #[inline]
    fn put_wide_ahead(&mut self, bytes: &[u8; WINDOW_LEN_BYTES], at_idx: usize) {
        if let Some(from) = block_at::<WIDE_LEN_BYTES>(bytes, at_idx)
            && let Some(to) = self.out.get_mut(self.len_bytes..).and_then(<[u8]>::first_chunk_mut)
        {
            copy_wide(from, to);
        }
    }

    #[inline]
    fn put<const N: usize>(&mut self, bytes: &[u8; N]) {
        if self.put_ahead(bytes) {
            self.len_bytes += N;
        }
    }

    /// Writes what the escape at the start of `bytes` means; gives the escape's length.
    fn put_meaning(&mut self, bytes: &[u8]) -> usize {
        if let Some(meant) = bytes.get(1).and_then(|letter| simple_escape(*letter)) {
            self.put(&[meant]);
            return 2;
        }
        self.put_long_meaning(bytes)
    }

    #[inline(never)]
    fn put_long_meaning(&mut self, bytes: &[u8]) -> usize {
        // A valid string has no escape without a meaning; to get on is all that matters there.
        let (character, len_bytes) = parse_escape(bytes).unwrap_or((char::REPLACEMENT_CHARACTER, 1));
        for byte in character.encode_utf8(&mut [0; MEANING_LEN_BYTES_MAX]).bytes() {
            self.put(&[byte]);
        }
        len_bytes
    }

    #[inline]
    fn put_escaped(&mut self, special: u8) {
        match short_escape(special) {
            Some(letter) => self.put(&[b'\\', letter]),
            None => self.put(&[b'\\', b'u', b'0', b'0', hex(special >> 4), hex(special & 15)]),
        }
    }
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

/// The hexadecimal digit of a number below 16.
pub(crate) const fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + (nibble - 10) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The value by both decoders.
    fn decoded(body: &str) -> (String, Vec<u8>) {
        let (mut value, mut bytes) = (String::new(), b"before".to_vec());
        decode(body, &mut value);
        decode_onto(body.as_bytes(), &mut bytes);
        (value, bytes.strip_prefix(b"before").unwrap().to_vec())
    }

    #[track_caller]
    fn check_escape(escape: &str, expected: Result<(char, usize), EscapeFault>) {
        assert_eq!(parse_escape(escape.as_bytes()), expected, "{escape}");
    }

    #[test]
    fn escapes_are_those_of_rfc_8259() {
        for (escape, meant) in [
            (r#"\""#, '"'),
            (r"\\", '\\'),
            (r"\/", '/'),
            (r"\b", '\u{8}'),
            (r"\f", '\u{c}'),
            (r"\n", '\n'),
            (r"\r", '\r'),
            (r"\t", '\t'),
        ] {
            check_escape(escape, Ok((meant, 2)));
        }
        check_escape(r"\u0000", Ok(('\0', 6)));
        check_escape(r"\u00e9x", Ok(('é', 6)));
        check_escape(r"\uFfFf", Ok(('\u{FFFF}', 6)));
        check_escape(r"\uD7FF", Ok(('\u{D7FF}', 6)));
        check_escape(r"\ue000", Ok(('\u{E000}', 6)));
        check_escape(r"\ud800\udc00", Ok(('\u{10000}', 12)));
        check_escape(r"\uDBFF\uDFFF!", Ok(('\u{10FFFF}', 12)));
        for lone in
            [r"\ud800", r"\udc00", r"\udfff", r"\ud800x", r"\ud800\n", r"\ud800\ud800", r"\udc00\ud800"]
        {
            check_escape(lone, Err(EscapeFault::LoneSurrogate));
        }
        check_escape(r"\ud800\ue000", Err(EscapeFault::LoneSurrogate));
        check_escape(r"\udc00\u12", Err(EscapeFault::LoneSurrogate));
        for malformed in
            ["\\", r"\u", r"\u12", r"\u123", r"\u123g", r"\u+123", r"\U0000", r"\a", r"\'", r"\x41", r"\0"]
        {
            check_escape(malformed, Err(EscapeFault::Malformed));
        }
        check_escape("\\\n", Err(EscapeFault::Malformed));
        check_escape(r"\ud800\u12", Err(EscapeFault::Malformed));
    }

    #[test]
    fn control_characters_are_written_as_escapes() {
        let mut out = b"x".to_vec();
        encode("a\"\\/\u{8}\t\n\u{c}\r\u{0}\u{1f}\u{7f}é", &mut out);
        assert_eq!(out, "xa\\\"\\\\/\\b\\t\\n\\f\\r\\u0000\\u001f\u{7f}é".as_bytes());
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(text in any::<String>()) {
            let mut body = Vec::new();
            encode(&text, &mut body);
            prop_assert_eq!(body.len(), encoded_len_bytes(&text));
            let body = String::from_utf8(body).unwrap();
            let (value, bytes) = decoded(&body);
            prop_assert_eq!(&value, &text);
            prop_assert_eq!(bytes, text.as_bytes());
        }

        #[test]
        fn decoders_agree_with_serde_json(
            pieces in prop::collection::vec(
                prop_oneof![
                    "[ -!#-\\[\\]-~é万❄]{0,40}",
                    r#"\\["\\/bfnrt]"#,
                    "\\\\u[0-9a-cA-C][0-9a-fA-F]{3}",
                    "\\\\u[dD][89abAB][0-9a-f]{2}\\\\u[dD][c-fC-F][0-9A-F]{2}",
                ],
                0..20,
            ),
        ) {
            let body = pieces.concat();
            let expected: String = serde_json::from_str(&format!("\"{body}\"")).unwrap();
            let (value, bytes) = decoded(&body);
            prop_assert_eq!(bytes, expected.as_bytes());
            prop_assert_eq!(value, expected);
        }
    }
}
