//! Upkeep, for the alarm: each call touches a bounded number of rows.

use std::ops::ControlFlow;

use firn_types::time::Micros;

use crate::{
    Ledger, LedgerError,
    lease::{FINISHED, RUNNING},
    limits::{REMOVED_FILE_KEPT, SENDS_MAX, STAGE_GRACE, SWEEP_ROW_COUNT_MAX},
    outbox::{CONFIRMED, LANES},
    row::{instant, stored},
    sql::{Param, json_ints},
};

/// Whether upkeep has more to do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Upkeep {
    /// Nothing that is due.
    Done,
    /// Call again.
    More,
}

/// What upkeep did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Whether there is more to do.
    pub upkeep: Upkeep,
    /// Rows that were parked: somebody should hear of them.
    pub parked_count: u64,
}

impl Ledger {
    /// Parks rows that were sent often enough, lets confirmed content go, drops dead stages and old answers, and
    /// forgets removed files.
    pub fn sweep(&self, now: Micros) -> Result<Swept, LedgerError> {
        if !self.is_ready()? {
            return Ok(Swept { upkeep: Upkeep::Done, parked_count: 0 });
        }
        let mut more = self.release(now, stored_max())? == Upkeep::More;
        let now = instant(now);
        let parked_count = self.transact(|| self.park(now))?;
        more |= parked_count >= SWEEP_ROW_COUNT_MAX;
        more |= self.transact(|| self.drop_ingest(now))?;
        more |= self.transact(|| self.forget_file(now))?;
        let upkeep = if more { Upkeep::More } else { Upkeep::Done };
        Ok(Swept { upkeep, parked_count: u64::try_from(parked_count).unwrap_or(0) })
    }

    /// Lets the content of at most `row_count_max` versions go that were confirmed longer ago than it is kept. With
    /// the last of all instants, all confirmed content goes.
    pub fn release(&self, now: Micros, row_count_max: u64) -> Result<Upkeep, LedgerError> {
        if !self.is_ready()? {
            return Ok(Upkeep::Done);
        }
        self.transact(|| {
            let mut released = Vec::new();
            for lane in LANES.filter(|lane| lane % 8 == CONFIRMED) {
                let left = stored(row_count_max) - stored(released.len() as u64);
                self.each(
                    "DELETE FROM outbox WHERE version IN \
                     (SELECT version FROM outbox WHERE lane = ?1 AND due <= ?2 ORDER BY due LIMIT ?3) \
                     RETURNING content",
                    &[Param::Int(lane), Param::Int(instant(now)), Param::Int(left)],
                    &mut |row| {
                        released.push(row.int());
                        ControlFlow::Continue(())
                    },
                )?;
            }
            self.delete_content(&released)?;
            let is_full = released.len() as u64 >= row_count_max;
            Ok(if is_full { Upkeep::More } else { Upkeep::Done })
        })
    }

    fn delete_content(&self, contents: &[i64]) -> Result<(), LedgerError> {
        if contents.is_empty() {
            return Ok(());
        }
        self.run(
            "DELETE FROM content WHERE content IN (SELECT value FROM json_each(?1))",
            &[Param::Text(&json_ints(contents))],
        )
    }

    fn park(&self, now: i64) -> Result<i64, LedgerError> {
        let followed_at = self.watermark()?.min(now);
        let mut parked_count = 0;
        for lane in LANES.filter(|lane| lane % 8 == SENDS_MAX) {
            self.each(
                "UPDATE outbox SET lane = lane + 1 WHERE version IN \
                 (SELECT version FROM outbox WHERE lane = ?1 AND due <= ?2 LIMIT ?3) RETURNING version",
                &[Param::Int(lane), Param::Int(followed_at), Param::Int(SWEEP_ROW_COUNT_MAX)],
                &mut |_| {
                    parked_count += 1;
                    ControlFlow::Continue(())
                },
            )?;
        }
        Ok(parked_count)
    }

    /// When the next request is to be dropped.
    pub(crate) fn next_ingest_due(&self) -> Result<Option<i64>, LedgerError> {
        let found = self.one(
            "SELECT (SELECT MIN(until) FROM ingests WHERE state = 0), \
             (SELECT MIN(until) FROM ingests WHERE state = 1), (SELECT MIN(until) FROM ingests WHERE state = 2)",
            &[],
            |row| {
                let running = row.opt_int().map(|until| until.saturating_add(STAGE_GRACE.0));
                [running, row.opt_int(), row.opt_int()].into_iter().flatten().min()
            },
        )?;
        Ok(found.flatten())
    }

    /// Drops what is left of one request, or a part of it.
    fn drop_ingest(&self, now: i64) -> Result<bool, LedgerError> {
        let horizons = [(RUNNING, now.saturating_sub(STAGE_GRACE.0)), (FINISHED, now)];
        for (state, horizon) in horizons {
            self.run(
                "UPDATE ingests SET state = 2, idempotency_key = NULL, until = 0 WHERE ingest IN \
                 (SELECT ingest FROM ingests WHERE state = ?1 AND until <= ?2 LIMIT ?3)",
                &[Param::Int(state), Param::Int(horizon), Param::Int(SWEEP_ROW_COUNT_MAX)],
            )?;
        }
        let mut left = SWEEP_ROW_COUNT_MAX;
        while left > 0 {
            let ingest = self.number("SELECT ingest FROM ingests WHERE state = 2 LIMIT 1", &[])?;
            let Some(ingest) = ingest else { return Ok(false) };
            left -= self.drop_rows_of(ingest, left)?;
        }
        Ok(true)
    }

    /// Drops at most `row_count_max` rows of a dropped request, and itself after the last of them. Gives how many, at
    /// least 1.
    fn drop_rows_of(&self, ingest: i64, row_count_max: i64) -> Result<i64, LedgerError> {
        let mut contents = Vec::new();
        let mut len_bytes = 0;
        self.each(
            "DELETE FROM staged WHERE ingest = ?1 AND line IN \
             (SELECT line FROM staged WHERE ingest = ?1 ORDER BY line LIMIT ?2) RETURNING content, len_bytes",
            &[Param::Int(ingest), Param::Int(row_count_max)],
            &mut |row| {
                contents.push(row.int());
                len_bytes += row.int();
                ControlFlow::Continue(())
            },
        )?;
        self.delete_content(&contents)?;
        self.add_meta("held_len_bytes", -len_bytes)?;
        let mut count = stored(contents.len() as u64);
        self.each(
            "DELETE FROM chunks WHERE ingest = ?1 AND idx IN \
             (SELECT idx FROM chunks WHERE ingest = ?1 ORDER BY idx LIMIT ?2) RETURNING idx",
            &[Param::Int(ingest), Param::Int(row_count_max - count)],
            &mut |_| {
                count += 1;
                ControlFlow::Continue(())
            },
        )?;
        if count < row_count_max {
            self.run("DELETE FROM ingests WHERE ingest = ?1", &[Param::Int(ingest)])?;
            count += 1;
        }
        Ok(count)
    }

    /// When the next removed file is to be forgotten.
    pub(crate) fn next_file_due(&self) -> Result<Option<i64>, LedgerError> {
        let removed_at =
            self.number("SELECT MIN(removed_at) FROM files WHERE removed_at IS NOT NULL", &[])?;
        Ok(removed_at.map(|at| at.saturating_add(REMOVED_FILE_KEPT.0)))
    }

    /// Forgets one removed file, or some of the versions that lay in it.
    fn forget_file(&self, now: i64) -> Result<bool, LedgerError> {
        let found = self.number(
            "SELECT file FROM files WHERE removed_at <= ?1 ORDER BY removed_at LIMIT 1",
            &[Param::Int(now.saturating_sub(REMOVED_FILE_KEPT.0))],
        )?;
        let Some(file) = found.map(Param::Int) else { return Ok(false) };
        let mut count = 0;
        for statement in [
            "UPDATE versions SET file = NULL, row = NULL WHERE (key, version) IN \
             (SELECT key, version FROM versions WHERE file = ?1 LIMIT ?2) RETURNING key",
            "DELETE FROM deleted_rows WHERE file = ?1 AND row IN \
             (SELECT row FROM deleted_rows WHERE file = ?1 LIMIT ?2) RETURNING row",
        ] {
            self.each(statement, &[file, Param::Int(SWEEP_ROW_COUNT_MAX - count)], &mut |_| {
                count += 1;
                ControlFlow::Continue(())
            })?;
        }
        if count < SWEEP_ROW_COUNT_MAX {
            self.run("DELETE FROM files WHERE file = ?1", &[file])?;
        }
        Ok(true)
    }
}

fn stored_max() -> u64 {
    u64::try_from(SWEEP_ROW_COUNT_MAX).unwrap_or(1)
}
