//! Counts and errors of one request: exact counts, a bounded list.

use firn_ndjson::error::LineError;
use firn_types::{error::LineErrorCode, limits::LINE_ERRORS_MAX};

use super::answer::LineReport;

/// Line numbers of records that wait or travel together; only as many are kept as an answer can list.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    numbers: Vec<u64>,
    count: u64,
}

impl Lines {
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn push(&mut self, line: u64) {
        self.count += 1;
        if self.numbers.len() < LINE_ERRORS_MAX {
            self.numbers.push(line);
        }
    }
}

/// What happened to the lines of one request so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    pub(super) chunks: u64,
    errors: Vec<LineReport>,
}

impl Tally {
    pub(super) fn accept(&mut self, lines: &Lines) {
        self.accepted += lines.count;
        self.chunks += 1;
    }

    pub(super) fn reject(&mut self, line: u64, error: LineError) {
        self.rejected += 1;
        self.note(LineReport::new(line, error));
    }

    pub(super) fn reject_all(&mut self, lines: &Lines, code: LineErrorCode, detail: &str) {
        self.rejected += lines.count;
        for line in &lines.numbers {
            self.note(LineReport::new(*line, LineError::of_line(code, detail)));
        }
    }

    /// Adds an error that is about no record of its own.
    pub(super) fn note(&mut self, report: LineReport) {
        // Chunks fail out of order.
        let idx = self.errors.partition_point(|earlier| earlier.line <= report.line);
        if idx < LINE_ERRORS_MAX {
            self.errors.insert(idx, report);
            self.errors.truncate(LINE_ERRORS_MAX);
        }
    }

    /// Nothing was taken after all: all records are rejected, those of `lines` for no fault of their own. What is
    /// wrong with the others comes first, if there is more than the list holds.
    pub(super) fn reject_taken(&mut self, lines: &Lines, code: LineErrorCode, detail: &str) {
        self.accepted = 0;
        self.rejected += lines.count;
        let room = LINE_ERRORS_MAX.saturating_sub(self.errors.len());
        for line in lines.numbers.iter().take(room) {
            self.note(LineReport::new(*line, LineError::of_line(code, detail)));
        }
    }

    /// The listed errors.
    pub(super) fn take_errors(&mut self) -> Vec<LineReport> {
        std::mem::take(&mut self.errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hundred_lines_are_listed_whatever_the_order() {
        let mut tally = Tally::default();
        for line in (1..=1_000).rev() {
            tally.reject(line, LineError::of_line(LineErrorCode::InvalidJson, ""));
        }
        assert_eq!(tally.rejected, 1_000);
        let lines: Vec<u64> = tally.take_errors().iter().map(|e| e.line).collect();
        assert_eq!(lines, (1..=100).collect::<Vec<u64>>());
    }
}
