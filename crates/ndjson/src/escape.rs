//! JSON strings: where they need a closer look, what their escapes mean, and how to write them (RFC 8259 §7).

use memchr::memchr;

use crate::special::{BLOCK_LEN_BYTES, Specials, block_at, is_special};

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
pub(crate) const fn simple_escape(letter: u8) -> Option<u8> {
    Some(match letter {
        b'"' | b'\\' | b'/' => letter,
        b'b' => 0x08,
        b'f' => 0x0C,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
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

/// Room in which [`decode_into`] always gets on: a block, and what an escape after it means.
pub(crate) const DECODE_LEN_BYTES_MIN: usize = BLOCK_LEN_BYTES + MEANING_LEN_BYTES_MAX;

/// What is copied at once where there is room: prose has an escape every 60 bytes.
const RUN_LEN_BYTES: usize = 64;

/// [`decode`] for the hot path: writes bytes that are there already, until the body ends or fewer than
/// [`DECODE_LEN_BYTES_MIN`] are free. Gives how many bytes were read and written.
pub(crate) fn decode_into(body: &[u8], out: &mut [u8]) -> (usize, usize) {
    let mut writer = Writer { out, len_bytes: 0 };
    let mut at_idx = 0;
    while let Some(run) = block_at::<RUN_LEN_BYTES>(body, at_idx)
        && writer.free_len_bytes() >= RUN_LEN_BYTES + MEANING_LEN_BYTES_MAX
    {
        // All of it is copied, also what follows an escape: that is written again.
        writer.put_ahead(run);
        let escape_idx = memchr(b'\\', run);
        let run_len_bytes = escape_idx.unwrap_or(RUN_LEN_BYTES);
        writer.len_bytes += run_len_bytes;
        at_idx += run_len_bytes;
        if escape_idx.is_some() {
            at_idx += writer.put_meaning(body.get(at_idx..).unwrap_or_default());
        }
    }
    while at_idx < body.len() && writer.free_len_bytes() >= DECODE_LEN_BYTES_MIN {
        // In the body of a valid string nothing is special but a backslash.
        let (run_len_bytes, has_escape) = if let Some(block) = block_at(body, at_idx) {
            writer.put_ahead(block);
            let escape_idx = Specials::of(*block).first_idx();
            (escape_idx.unwrap_or(BLOCK_LEN_BYTES), escape_idx.is_some())
        } else {
            let byte = body.get(at_idx).copied().unwrap_or_default();
            writer.put_ahead(&[byte]);
            (usize::from(!is_special(byte)), is_special(byte))
        };
        writer.len_bytes += run_len_bytes;
        at_idx += run_len_bytes;
        if has_escape {
            at_idx += writer.put_meaning(body.get(at_idx..).unwrap_or_default());
        }
    }
    (at_idx, writer.len_bytes)
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

    #[inline]
    fn put<const N: usize>(&mut self, bytes: &[u8; N]) {
        if self.put_ahead(bytes) {
            self.len_bytes += N;
        }
    }

    /// Writes what the escape at the start of `bytes` means; gives the escape's length.
    #[inline]
    fn put_meaning(&mut self, bytes: &[u8]) -> usize {
        if let Some(meant) = bytes.get(1).and_then(|letter| simple_escape(*letter)) {
            self.put(&[meant]);
            return 2;
        }
        // A valid string has no escape without a meaning; to get on is all that matters there.
        let (character, len_bytes) = parse_escape(bytes).unwrap_or((char::REPLACEMENT_CHARACTER, 1));
        let mut meant = [0; MEANING_LEN_BYTES_MAX];
        let meant_len_bytes = character.encode_utf8(&mut meant).len();
        self.put_ahead(&meant);
        self.len_bytes += meant_len_bytes;
        len_bytes
    }

    fn free_len_bytes(&self) -> usize {
        self.out.len().saturating_sub(self.len_bytes)
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

    /// The value by both decoders, the second with rooms of `room_len_bytes`.
    fn decoded(body: &str, room_len_bytes: usize) -> (String, Vec<u8>) {
        let mut value = String::new();
        decode(body, &mut value);
        let (mut bytes, mut rest) = (Vec::new(), body.as_bytes());
        while !rest.is_empty() {
            let mut room = vec![0; room_len_bytes];
            let (read_len_bytes, written_len_bytes) = decode_into(rest, &mut room);
            assert!(read_len_bytes > 0, "it gets on");
            bytes.extend_from_slice(&room[..written_len_bytes]);
            rest = &rest[read_len_bytes..];
        }
        (value, bytes)
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
        fn decoding_undoes_encoding(text in any::<String>(), room_len_bytes in DECODE_LEN_BYTES_MIN..300_usize) {
            let mut body = Vec::new();
            encode(&text, &mut body);
            prop_assert_eq!(body.len(), encoded_len_bytes(&text));
            let body = String::from_utf8(body).unwrap();
            let (value, bytes) = decoded(&body, room_len_bytes);
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
            room_len_bytes in DECODE_LEN_BYTES_MIN..300_usize,
        ) {
            let body = pieces.concat();
            let expected: String = serde_json::from_str(&format!("\"{body}\"")).unwrap();
            let (value, bytes) = decoded(&body, room_len_bytes);
            prop_assert_eq!(bytes, expected.as_bytes());
            prop_assert_eq!(value, expected);
        }
    }
}
