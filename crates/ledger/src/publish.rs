//! Preview and build: chunks are staged, and one transaction makes all of them versions or none.

use std::ops::ControlFlow;

use firn_types::time::Micros;

use crate::{
    Ledger, LedgerError,
    lease::{FINISHED, Lease, Offered},
    limits::{CONFLICTS_MAX, PAGE_ROW_COUNT_MAX, STAGE_ROW_COUNT_MAX},
    row::{Owner, StagedRow, instant, int_or_null, stored},
    sql::{Param, Row},
};

/// Seconds that a refused stage asks to wait: the outbox drains at several megabytes a second.
const FULL_RETRY_AFTER_SECS: u64 = 30;

/// A chunk of a request.
#[derive(Clone, Copy, Debug)]
pub struct StagedChunk<'a> {
    /// Its place in the body, from 0.
    pub idx: u64,
    /// Digest of its decoded bytes and the mode.
    pub digest: &'a [u8],
    /// Its rows, in line order.
    pub rows: &'a [StagedRow<'a>],
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Staged {
    /// It is staged.
    Taken,
    /// It was staged before; nothing was written.
    TakenBefore,
    /// Another chunk was staged in its place: the body is another one.
    Mismatch,
    /// Too much content waits for its confirmation.
    Full {
        /// Seconds to wait.
        retry_after_secs: u64,
    },
    /// The request has more rows than [`STAGE_ROW_COUNT_MAX`].
    TooManyRows,
}

/// What a commit did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Summary {
    /// Chunks.
    pub chunk_count: u64,
    /// Rows that became versions.
    pub written_count: u64,
    /// Rows that equal what is current.
    pub unchanged_count: u64,
    /// The first version given; the others follow it without a gap. `None` where nothing was written.
    pub first_version: Option<i64>,
}

/// A condition that did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Conflict {
    /// The line.
    pub line: u64,
    /// The current version, if there is one.
    pub found: Option<i64>,
}

/// What became of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Committed {
    /// All is visible. The answer is the one stored with it: the caller's, or that of an earlier call.
    Done {
        /// What was done.
        summary: Summary,
        /// The answer.
        #[cfg_attr(feature = "serde", serde(with = "serde_bytes"))]
        answer: Vec<u8>,
    },
    /// Conditions did not hold; nothing is visible. At most [`CONFLICTS_MAX`], in line order. The caller aborts.
    Conflicts(Vec<Conflict>),
    /// More chunks were staged than the body has: the body is another one. The caller aborts only the request.
    Mismatch,
}

/// An artifact that a commit touched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Touched {
    /// Its type.
    pub artifact_type: String,
    /// Its id.
    pub id: String,
    /// The version written.
    pub version: i64,
}

impl Touched {
    pub(crate) fn of(row: &mut Row) -> Self {
        Self { artifact_type: row.text(), id: row.text(), version: row.int() }
    }
}

/// Sets of each staged row its key, the key's current version, whether that is live, and the row's place among those
/// that are written. A row equals what it would replace if content, metadata, visibility, owner and expiry do; what
/// it would replace is the line before it with the same key, or the current version. Tombstones are always written.
const PLAN: &str = "UPDATE staged SET key = p.key, found = p.found, live = p.live, rank = p.rank FROM ( \
     SELECT line, key, found, live, CASE WHEN fresh THEN SUM(fresh) OVER (ORDER BY line) END AS rank FROM ( \
      SELECT s.line AS line, k.key AS key, c.version AS found, \
       c.version IS NOT NULL AND c.flags & 1 = 0 AND (c.expires_at IS NULL OR c.expires_at > ?2) AS live, \
       NOT (s.flags = 0 AND CASE WHEN LAG(s.line) OVER same IS NULL \
        THEN c.flags & 1 = 0 AND (c.sum, c.visibility, c.owner, c.expires_at) \
         IS (s.sum, s.visibility, s.owner, s.expires_at) \
        ELSE LAG(s.flags) OVER same = 0 AND LAG(s.sum) OVER same = s.sum \
         AND LAG(s.visibility) OVER same = s.visibility AND LAG(s.owner) OVER same = s.owner \
         AND LAG(s.expires_at) OVER same IS s.expires_at END IS TRUE) AS fresh \
      FROM staged s JOIN keys k ON k.type = s.type AND k.id = s.id \
      LEFT JOIN versions c ON c.key = k.key AND c.version = (SELECT MAX(version) FROM versions WHERE key = k.key) \
      WHERE s.ingest = ?1 WINDOW same AS (PARTITION BY k.key ORDER BY s.line)) \
    ) AS p WHERE staged.ingest = ?1 AND staged.line = p.line";

impl Ledger {
    /// Stages a chunk and renews the lease. Chunks come in any order; a repeated one is known by its digest.
    pub fn stage(
        &self,
        now: Micros,
        lease: Lease,
        owner: &Owner,
        chunk: &StagedChunk<'_>,
    ) -> Result<Staged, LedgerError> {
        let row_count = chunk.rows.len() as u64;
        let len_bytes: u64 = chunk.rows.iter().map(|row| row.json.len() as u64).sum();
        self.write(|| {
            let ingest = self.running(lease)?;
            match self.compare(lease, chunk.idx, chunk.digest)? {
                Offered::Mismatch => return Ok(Staged::Mismatch),
                Offered::Taken => {
                    self.extend_lease(instant(now), lease, 0, 0)?;
                    return Ok(Staged::TakenBefore);
                }
                Offered::Wanted => {}
            }
            if ingest.row_count.saturating_add(row_count) > STAGE_ROW_COUNT_MAX {
                return Ok(Staged::TooManyRows);
            }
            let held_len_bytes = u64::try_from(self.meta("held_len_bytes")?).unwrap_or(0);
            if held_len_bytes.saturating_add(len_bytes) > self.options.held_len_bytes_max {
                return Ok(Staged::Full { retry_after_secs: FULL_RETRY_AFTER_SECS });
            }
            let owner = self.intern_owner(owner)?;
            for row in chunk.rows {
                self.stage_row(lease, owner, row)?;
            }
            self.note_chunk(lease, chunk.idx, chunk.digest, 1)?;
            self.add_meta("held_len_bytes", stored(len_bytes))?;
            self.extend_lease(instant(now), lease, 1, row_count)?;
            Ok(Staged::Taken)
        })
    }

    fn stage_row(&self, lease: Lease, owner: i64, row: &StagedRow<'_>) -> Result<(), LedgerError> {
        let content = self
            .number("INSERT INTO content (json) VALUES (?1) RETURNING content", &[Param::Blob(row.json)])?
            .ok_or(LedgerError::Corrupt)?;
        let mut sum = [0; 48];
        let (hash, metadata) = sum.split_at_mut(32);
        hash.copy_from_slice(&row.hash);
        metadata.copy_from_slice(&row.metadata_digest);
        let standing = &row.standing;
        self.run(
            "INSERT INTO staged (ingest, line, type, id, visibility, owner, sum, size_bytes, flags, expires_at, \
             if_version, content, len_bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            &[
                Param::Int(lease.ingest),
                Param::Int(stored(row.line)),
                Param::Text(row.artifact_type),
                Param::Text(row.id),
                Param::Int(standing.visibility_code()),
                Param::Int(owner),
                Param::Blob(&sum),
                Param::Int(stored(standing.size_bytes)),
                Param::Int(standing.flags()),
                int_or_null(standing.expires_at.map(instant)),
                int_or_null(row.if_version),
                Param::Int(content),
                Param::Int(stored(row.json.len() as u64)),
            ],
        )
    }

    /// The number of an owner, 0 where its parts are too long to keep.
    pub(crate) fn intern_owner(&self, owner: &Owner) -> Result<i64, LedgerError> {
        let Some(identity) = owner.encode() else { return Ok(0) };
        let params = [Param::Blob(&identity)];
        let found = match self.number("SELECT owner FROM owners WHERE identity = ?1", &params)? {
            None => self.number("INSERT INTO owners (identity) VALUES (?1) RETURNING owner", &params)?,
            found => found,
        };
        found.ok_or(LedgerError::Corrupt)
    }

    /// Makes everything that was staged visible, if the body had `chunk_count` chunks and every condition holds.
    ///
    /// Conditions are judged by what is current before the request, whichever lines of it have the same key. `"0"`
    /// holds where there is no version or the current one is deleted or expired; a number holds where it is the
    /// current version's, also if that is deleted or expired.
    ///
    /// `answer` is stored in the same transaction; a repeated call gives it again.
    pub fn commit(
        &self,
        now: Micros,
        lease: Lease,
        chunk_count: u64,
        answer: &mut dyn FnMut(&Summary) -> Vec<u8>,
    ) -> Result<Committed, LedgerError> {
        let now = instant(now);
        let mut conflicts = Vec::new();
        let done = self.write(|| {
            let ingest = self.held(lease)?;
            let staged = ingest.chunk_count;
            if staged > chunk_count {
                return Ok(Committed::Mismatch);
            }
            if staged < chunk_count {
                return Err(LedgerError::Incomplete);
            }
            if ingest.state == FINISHED {
                let summary = Summary {
                    chunk_count,
                    written_count: ingest.version_count,
                    unchanged_count: ingest.unchanged_count,
                    first_version: ingest.first_version,
                };
                return Ok(Committed::Done { summary, answer: ingest.answer.unwrap_or_default() });
            }
            self.plan(now, lease)?;
            conflicts = self.conflicts(lease)?;
            if !conflicts.is_empty() {
                // Any error will do: it undoes the plan, and the caller gets the conflicts.
                return Err(LedgerError::Incomplete);
            }
            let summary = self.make_visible(now, lease, ingest.mode, chunk_count)?;
            let answer = answer(&summary);
            self.keep_answer(now, lease, &answer)?;
            Ok(Committed::Done { summary, answer })
        });
        if conflicts.is_empty() { done } else { Ok(Committed::Conflicts(conflicts)) }
    }

    fn plan(&self, now: i64, lease: Lease) -> Result<(), LedgerError> {
        let ingest = Param::Int(lease.ingest);
        self.run(
            "INSERT OR IGNORE INTO keys (type, id) SELECT type, id FROM staged WHERE ingest = ?1 ORDER BY line",
            &[ingest],
        )?;
        self.run(PLAN, &[ingest, Param::Int(now)])
    }

    fn conflicts(&self, lease: Lease) -> Result<Vec<Conflict>, LedgerError> {
        let mut conflicts = Vec::new();
        self.each(
            "SELECT line, found FROM staged WHERE ingest = ?1 AND if_version IS NOT NULL \
             AND NOT CASE WHEN if_version = 0 THEN live = 0 ELSE found IS if_version END ORDER BY line LIMIT ?2",
            &[Param::Int(lease.ingest), Param::Int(CONFLICTS_MAX)],
            &mut |row| {
                conflicts.push(Conflict { line: row.count(), found: row.opt_int() });
                ControlFlow::Continue(())
            },
        )?;
        Ok(conflicts)
    }

    fn make_visible(
        &self,
        now: i64,
        lease: Lease,
        mode: i64,
        chunk_count: u64,
    ) -> Result<Summary, LedgerError> {
        let ingest = Param::Int(lease.ingest);
        let sums = self.one(
            "SELECT COUNT(*), COUNT(rank), COALESCE(MAX(found), 0), COALESCE(SUM(len_bytes), 0), \
             COALESCE(SUM(CASE WHEN rank IS NOT NULL THEN len_bytes END), 0) FROM staged WHERE ingest = ?1",
            &[ingest],
            |row| (row.count(), row.count(), row.int(), row.count(), row.count()),
        )?;
        let (row_count, written_count, found_max, len_bytes, written_len_bytes) =
            sums.ok_or(LedgerError::Corrupt)?;
        let unchanged_count = row_count.saturating_sub(written_count);
        let mut first_version = None;
        if written_count > 0 {
            let first = self.take_versions(now, written_count, found_max)?;
            first_version = Some(first);
            let base = Param::Int(first - 1);
            self.run(
                "INSERT INTO versions (key, version, visibility, owner, sum, size_bytes, flags, expires_at) \
                 SELECT key, ?2 + rank, visibility, owner, sum, size_bytes, flags, expires_at FROM staged \
                 WHERE ingest = ?1 AND rank IS NOT NULL",
                &[ingest, base],
            )?;
            self.run(
                "INSERT INTO outbox (version, key, content, len_bytes, lane, due) \
                 SELECT ?2 + rank, key, content, len_bytes, ?3, ?4 FROM staged \
                 WHERE ingest = ?1 AND rank IS NOT NULL",
                &[ingest, base, Param::Int(mode * 8), Param::Int(now)],
            )?;
            self.add_meta("version_count", stored(written_count))?;
        }
        self.run(
            "DELETE FROM content WHERE content IN \
             (SELECT content FROM staged WHERE ingest = ?1 AND rank IS NULL)",
            &[ingest],
        )?;
        self.run("DELETE FROM staged WHERE ingest = ?1", &[ingest])?;
        self.add_meta("held_len_bytes", stored(written_len_bytes) - stored(len_bytes))?;
        self.use_up(now, written_count, written_len_bytes)?;
        self.run(
            "UPDATE ingests SET first_version = ?2, version_count = ?3, unchanged_count = ?4 WHERE ingest = ?1",
            &[
                ingest,
                int_or_null(first_version),
                Param::Int(stored(written_count)),
                Param::Int(stored(unchanged_count)),
            ],
        )?;
        Ok(Summary { chunk_count, written_count, unchanged_count, first_version })
    }

    /// The artifacts that a commit wrote, each once with the last version that it has of this commit, from `from_version`
    /// on, at most `count` and at most [`PAGE_ROW_COUNT_MAX`]. Good for a minute after the commit: content that was
    /// confirmed and left is not listed any more.
    pub fn touched(
        &self,
        summary: &Summary,
        from_version: i64,
        count: u64,
    ) -> Result<Vec<Touched>, LedgerError> {
        let mut touched = Vec::new();
        let Some(first) = summary.first_version else { return Ok(touched) };
        let end = first.saturating_add(stored(summary.written_count));
        self.each(
            "SELECT k.type, k.id, o.version FROM outbox o JOIN keys k ON k.key = o.key \
             WHERE o.version >= ?1 AND o.version < ?2 AND NOT EXISTS \
             (SELECT 1 FROM versions v WHERE v.key = o.key AND v.version > o.version AND v.version < ?2) \
             ORDER BY o.version LIMIT ?3",
            &[
                Param::Int(first.max(from_version)),
                Param::Int(end),
                Param::Int(stored(count.min(PAGE_ROW_COUNT_MAX))),
            ],
            &mut |row| {
                touched.push(Touched::of(row));
                ControlFlow::Continue(())
            },
        )?;
        Ok(touched)
    }
}
