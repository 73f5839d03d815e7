//! Rows to chunks: the JSON arrays that are sent to a stream, cut by bytes (design.md §3).
//!
//! ```text
//! [row,row,…]      counted with its brackets and commas
//! ```
//!
//! A chunk closes before the row that would carry it over the limit; a row larger than the limit is a chunk alone. So
//! the same rows give the same chunks, wherever the body was cut on its way.

use crate::buffer::reserve_within;
use crate::row::Row;

/// Most emptied buffers that are kept for later chunks: design.md allows three chunks in flight.
pub const SPARE_BUFFER_COUNT_MAX: usize = 3;

/// What is sent at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// `[row,row,…]`, UTF-8.
    pub json: Vec<u8>,
    /// Number of rows, at least 1.
    pub record_count: u64,
    /// Line number of the first row.
    pub first_line: u64,
    /// Line number of the last row.
    pub last_line: u64,
}

/// Gathers rows into chunks.
#[derive(Debug)]
pub struct Chunker {
    len_bytes_max: usize,
    open: Option<Chunk>,
    spare: Vec<Vec<u8>>,
}

impl Chunker {
    /// For chunks of at most `len_bytes_max` bytes of JSON.
    pub const fn new(len_bytes_max: usize) -> Self {
        Self { len_bytes_max, open: None, spare: Vec::new() }
    }

    /// Adds the row of line `line`. Returns the chunk that closed before it, if one did.
    pub fn push(&mut self, line: u64, row: &[u8]) -> Option<Chunk> {
        self.push_with(line, row.len(), |json| json.extend_from_slice(row))
    }

    /// Renders the row of line `line` right into its chunk. Returns the chunk that closed before it, if one did.
    pub fn push_row(&mut self, line: u64, row: &Row<'_, '_>) -> Option<Chunk> {
        self.push_with(line, row.len_bytes(), |json| row.render(json))
    }

    /// Closes the last chunk. `None` if no row came since the last one closed.
    pub fn finish(&mut self) -> Option<Chunk> {
        let mut chunk = self.open.take()?;
        chunk.json.push(b']');
        Some(chunk)
    }

    /// Takes back the buffer of a chunk that was sent. At most [`SPARE_BUFFER_COUNT_MAX`] are kept, and none that a
    /// large row has grown over the limit.
    pub fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < SPARE_BUFFER_COUNT_MAX && buffer.capacity() <= self.len_bytes_max {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    fn push_with(&mut self, line: u64, len_bytes: usize, render: impl FnOnce(&mut Vec<u8>)) -> Option<Chunk> {
        let closed = if self.has_room_for(len_bytes) { None } else { self.finish() };
        let chunk = self.open.get_or_insert_with(|| Chunk {
            json: self.spare.pop().unwrap_or_default(),
            record_count: 0,
            first_line: line,
            last_line: line,
        });
        // The row, the bracket or comma before it, and the bracket that may follow.
        reserve_within(&mut chunk.json, len_bytes.saturating_add(2), self.len_bytes_max);
        chunk.json.push(if chunk.record_count == 0 { b'[' } else { b',' });
        render(&mut chunk.json);
        chunk.record_count += 1;
        chunk.last_line = line;
        closed
    }

    fn has_room_for(&self, len_bytes: usize) -> bool {
        let open_len_bytes = self.open.as_ref().map_or(0, |chunk| chunk.json.len());
        open_len_bytes.saturating_add(len_bytes).saturating_add(2) <= self.len_bytes_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks_of(len_bytes_max: usize, rows: &[&str]) -> Vec<Chunk> {
        let mut chunker = Chunker::new(len_bytes_max);
        let mut chunks: Vec<Chunk> =
            rows.iter().zip(10..).filter_map(|(row, line)| chunker.push(line, row.as_bytes())).collect();
        chunks.extend(chunker.finish());
        assert_eq!(chunker.finish(), None);
        chunks
    }

    #[track_caller]
    fn check(len_bytes_max: usize, rows: &[&str], expected: &[(&str, u64, u64)]) {
        let chunks = chunks_of(len_bytes_max, rows);
        let found: Vec<(&str, u64, u64)> = chunks
            .iter()
            .map(|chunk| (std::str::from_utf8(&chunk.json).unwrap(), chunk.first_line, chunk.last_line))
            .collect();
        assert_eq!(found, expected);
        assert!(chunks.iter().all(|c| c.record_count == c.last_line - c.first_line + 1));
    }

    #[test]
    fn chunk_closes_before_the_row_that_would_exceed_it() {
        check(9, &[], &[]);
        check(9, &["{}"], &[("[{}]", 10, 10)]);
        check(7, &["{}", "{}"], &[("[{},{}]", 10, 11)]);
        check(6, &["{}", "{}"], &[("[{}]", 10, 10), ("[{}]", 11, 11)]);
        check(9, &["{}", "{}", "{}", "{}"], &[("[{},{}]", 10, 11), ("[{},{}]", 12, 13)]);
        check(10, &["{}", "{}", "{}", "{}"], &[("[{},{},{}]", 10, 12), ("[{}]", 13, 13)]);
    }

    #[test]
    fn larger_row_is_a_chunk_alone() {
        let large = r#"{"a":"aaaa"}"#;
        let alone = r#"[{"a":"aaaa"}]"#;
        check(7, &["{}", large, "{}", "{}"], &[("[{}]", 10, 10), (alone, 11, 11), ("[{},{}]", 12, 13)]);
        check(0, &["{}", "{}"], &[("[{}]", 10, 10), ("[{}]", 11, 11)]);
    }

    #[test]
    fn buffers_are_used_again_and_stay_within_the_limit() {
        let mut chunker = Chunker::new(100_000);
        let row = vec![b'1'; 30_000];
        let mut closed = Vec::new();
        for line in 0..10 {
            closed.extend(chunker.push(line, &row));
        }
        assert!(closed.iter().all(|chunk| chunk.json.capacity() <= 100_000 && chunk.record_count == 3));
        let buffer = closed.remove(0).json;
        let (place, capacity) = (buffer.as_ptr(), buffer.capacity());
        chunker.recycle(buffer);
        chunker.recycle(Vec::with_capacity(100_001));
        assert_eq!(chunker.spare.len(), 1);
        for line in 10..13 {
            closed.extend(chunker.push(line, &row));
        }
        let last = chunker.finish().unwrap();
        assert_eq!((last.json.as_ptr(), last.json.capacity()), (place, capacity));
        for _ in 0..10 {
            chunker.recycle(Vec::with_capacity(16));
        }
        assert_eq!(chunker.spare.len(), SPARE_BUFFER_COUNT_MAX);
    }
}
