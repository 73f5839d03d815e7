//! Rows to chunks: the JSON arrays that are sent to a stream, cut by bytes (design.md §3).
//!
//! ```text
//! [row,row,…]      counted with its brackets and commas
//! ```
//!
//! Rows that are sent as JavaScript objects are written as values instead, and counted as the JSON that they would be.
//!
//! A chunk closes before the row that would carry it over the limit; a row larger than the limit is a chunk alone. So
//! the same rows give the same chunks, wherever the body was cut on its way.

use crate::buffer::reserve_within;
use crate::digest::Sha256;
use crate::row::{Row, ValueRow};
use crate::values::Values;

/// Most emptied buffers that are kept for later chunks: design.md allows three chunks in flight.
pub const SPARE_BUFFER_COUNT_MAX: usize = 3;

/// What is sent at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The rows.
    pub rows: Rows,
    /// Bytes of `[row,row,…]`, whether that was written or not.
    pub len_bytes: usize,
    /// Number of rows, at least 1.
    pub record_count: u64,
    /// Line number of the first row.
    pub first_line: u64,
    /// Line number of the last row.
    pub last_line: u64,
}

/// The rows of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rows {
    /// `[row,row,…]`, UTF-8.
    Json(Vec<u8>),
    /// Values that need no parsing.
    Values(Values),
}

impl Rows {
    /// The JSON; empty where there is none.
    pub fn json(&self) -> &[u8] {
        match self {
            Self::Json(json) => json,
            Self::Values(_) => &[],
        }
    }

    const fn capacity(&self) -> usize {
        match self {
            Self::Json(json) => json.capacity(),
            Self::Values(values) => values.capacity(),
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Json(json) => json.clear(),
            Self::Values(values) => values.clear(),
        }
    }

    const fn form(&self) -> Form {
        match self {
            Self::Json(_) => Form::Json,
            Self::Values(_) => Form::Values,
        }
    }
}

/// How the rows of a chunk are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Values,
}

/// Gathers rows into chunks.
#[derive(Debug)]
pub struct Chunker {
    len_bytes_max: usize,
    open: Option<Chunk>,
    spare: Vec<Rows>,
}

impl Chunker {
    /// For chunks of at most `len_bytes_max` bytes of JSON.
    pub const fn new(len_bytes_max: usize) -> Self {
        Self { len_bytes_max, open: None, spare: Vec::new() }
    }

    /// Adds the row of line `line`. Returns the chunk that closed before it, if one did.
    pub fn push(&mut self, line: u64, row: &[u8]) -> Option<Chunk> {
        self.push_json(line, row.len(), |json| json.extend_from_slice(row))
    }

    /// Renders the row of line `line` right into its chunk. Returns the chunk that closed before it, if one did.
    pub fn push_row(&mut self, line: u64, row: &Row<'_, '_>) -> Option<Chunk> {
        self.push_json(line, row.len_bytes(), |json| row.render(json))
    }

    /// Adds the row of line `line` to a chunk of values, which ends where one of JSON would. Returns the chunk that closed
    /// before it, if one did.
    pub fn push_values(&mut self, line: u64, row: ValueRow<'_, '_, impl Sha256>) -> Option<Chunk> {
        let len_bytes_max = self.len_bytes_max;
        let empty = || Rows::Values(Values::new(row.shared_json(), len_bytes_max));
        let (closed, chunk) = self.chunk_for(line, row.len_bytes(), Form::Values, empty);
        if let Rows::Values(values) = &mut chunk.rows {
            row.write(values);
        }
        closed
    }

    /// Closes the last chunk. `None` if no row came since the last one closed.
    pub fn finish(&mut self) -> Option<Chunk> {
        let mut chunk = self.open.take()?;
        if let Rows::Json(json) = &mut chunk.rows {
            json.push(b']');
        }
        Some(chunk)
    }

    /// Takes back the buffers of a chunk that was sent. At most [`SPARE_BUFFER_COUNT_MAX`] are kept, and none that a
    /// large row has grown over the limit.
    pub fn recycle(&mut self, mut rows: Rows) {
        if self.spare.len() < SPARE_BUFFER_COUNT_MAX && rows.capacity() <= self.len_bytes_max {
            rows.clear();
            self.spare.push(rows);
        }
    }

    fn push_json(&mut self, line: u64, len_bytes: usize, render: impl FnOnce(&mut Vec<u8>)) -> Option<Chunk> {
        let len_bytes_max = self.len_bytes_max;
        let (closed, chunk) = self.chunk_for(line, len_bytes, Form::Json, || Rows::Json(Vec::new()));
        if let Rows::Json(json) = &mut chunk.rows {
            // The row, the bracket or comma before it, and the bracket that may follow.
            reserve_within(json, len_bytes.saturating_add(2), len_bytes_max);
            json.push(if json.is_empty() { b'[' } else { b',' });
            render(json);
        }
        closed
    }

    /// The chunk that takes one more row of so many bytes, which is counted; and the chunk that closed before it. `empty`
    /// makes rows of `form`.
    fn chunk_for(
        &mut self,
        line: u64,
        len_bytes: usize,
        form: Form,
        empty: impl FnOnce() -> Rows,
    ) -> (Option<Chunk>, &mut Chunk) {
        let is_fitting = self.open.as_ref().is_none_or(|chunk| {
            chunk.rows.form() == form
                && chunk.len_bytes.saturating_add(len_bytes).saturating_add(1) <= self.len_bytes_max
        });
        let closed = if is_fitting { None } else { self.finish() };
        let spare = &mut self.spare;
        let chunk = self.open.get_or_insert_with(|| Chunk {
            rows: spare.pop_if(|rows| rows.form() == form).unwrap_or_else(empty),
            // The last bracket; each row brings a bracket or a comma.
            len_bytes: 1,
            record_count: 0,
            first_line: line,
            last_line: line,
        });
        chunk.len_bytes = chunk.len_bytes.saturating_add(len_bytes).saturating_add(1);
        chunk.record_count += 1;
        chunk.last_line = line;
        (closed, chunk)
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
            .map(|chunk| (std::str::from_utf8(chunk.rows.json()).unwrap(), chunk.first_line, chunk.last_line))
            .collect();
        assert_eq!(found, expected);
        assert!(chunks.iter().all(|c| c.record_count == c.last_line - c.first_line + 1));
        assert!(chunks.iter().all(|c| c.len_bytes == c.rows.json().len()));
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
        assert!(closed.iter().all(|chunk| chunk.rows.capacity() <= 100_000 && chunk.record_count == 3));
        let rows = closed.remove(0).rows;
        let (place, capacity) = (rows.json().as_ptr(), rows.capacity());
        chunker.recycle(rows);
        chunker.recycle(Rows::Json(Vec::with_capacity(100_001)));
        assert_eq!(chunker.spare.len(), 1);
        for line in 10..13 {
            closed.extend(chunker.push(line, &row));
        }
        let last = chunker.finish().unwrap();
        assert_eq!((last.rows.json().as_ptr(), last.rows.capacity()), (place, capacity));
        for _ in 0..10 {
            chunker.recycle(Rows::Json(Vec::with_capacity(16)));
        }
        assert_eq!(chunker.spare.len(), SPARE_BUFFER_COUNT_MAX);
    }
}
