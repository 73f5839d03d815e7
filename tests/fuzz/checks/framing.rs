//! Framing: wherever a body is cut into buffers, its lines and their numbers are the same, and they are those of a
//! reading that has the whole body at once.
//!
//! Input: a byte that says how many cuts there are, two bytes for each cut, and the body.

use firn_ndjson::frame::{Framer, LINE_LEN_BYTES_MAX, Line};

/// A line's number and its bytes; `None` for a line that is too large.
type Seen = (u64, Option<Vec<u8>>);

pub(crate) fn check(input: &[u8]) {
    let Some((cut_count, rest)) = input.split_first() else { return };
    let cuts_len_bytes = usize::from(*cut_count) * 2;
    let Some((cuts, body)) = rest.split_at_checked(cuts_len_bytes) else { return };
    let cuts = cuts.chunks_exact(2).map(|pair| usize::from(u16::from_le_bytes([pair[0], pair[1]])));

    let expected = whole(body);
    assert_eq!(lines_of(pieces(body, cuts)), expected, "cut as the input says");
    assert_eq!(lines_of([body]), expected, "not cut");
    assert_eq!(lines_of(body.chunks(1)), expected, "cut at every byte");
}

fn lines_of<'a>(buffers: impl IntoIterator<Item = &'a [u8]>) -> Vec<Seen> {
    let mut framer = Framer::default();
    let mut lines = Vec::new();
    let mut see = |line: Line<'_>| match line {
        Line::Whole { number, bytes } => lines.push((number, Some(bytes.to_vec()))),
        Line::TooLarge { number, .. } => lines.push((number, None)),
    };
    for mut rest in buffers {
        while let Some(line) = framer.next_line(&mut rest) {
            see(line);
        }
        assert!(rest.is_empty(), "a buffer is used up");
    }
    if let Some(line) = framer.finish() {
        see(line);
    }
    lines
}

fn pieces(body: &[u8], cuts: impl Iterator<Item = usize>) -> Vec<&[u8]> {
    let mut cuts: Vec<usize> = cuts.map(|cut| cut.min(body.len())).collect();
    cuts.extend([0, body.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect()
}

fn whole(body: &[u8]) -> Vec<Seen> {
    let text = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let is_blank = |line: &[u8]| line.iter().all(|byte| b" \t\r".contains(byte));
    (1..)
        .zip(lines)
        .filter(|(_, line)| line.len() > LINE_LEN_BYTES_MAX || !is_blank(line))
        .map(|(number, line)| (number, (line.len() <= LINE_LEN_BYTES_MAX).then(|| line.to_vec())))
        .collect()
}
