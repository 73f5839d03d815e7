//! The outbox: committed rows on their way to the stream, until the lake is seen to hold them.
//!
//! ```text
//! lane = 8 * mode + phase
//! phase 0      never sent; due when committed
//!       1..=5  sent so often; due when it is to be sent again
//!       6      parked: sent five times and never confirmed; still served, reported, sent no more
//!       7      confirmed; due when its content may go
//! ```
//! A row is sent again only after every followed table was followed to a time past its due: while the follower stands
//! still nothing is known to be missing, so nothing is sent twice and nothing is parked for that. Each send of a row
//! goes in a batch an eighth of the one before, at last alone, so that a row that the stream refuses is isolated.

use std::ops::{ControlFlow, Range};

use firn_types::{mode::Mode, time::Micros};

use crate::{
    Ledger, LedgerError,
    lease::mode_of,
    limits::{
        BATCH_ROW_COUNT_MAX, PAGE_ROW_COUNT_MAX, SEND_PAUSE_MAX, SEND_PAUSE_MIN, SENDS_MAX, STAGE_GRACE,
    },
    publish::Touched,
    row::{instant, stored, write_row},
    sql::{Param, json_ints},
};

pub(crate) const PARKED: i64 = 6;
pub(crate) const CONFIRMED: i64 = 7;

/// Of every mode, though bulk does not come through the outbox today.
pub(crate) const LANES: Range<i64> = 0..24;

/// Rows to send at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Which stream they go to.
    pub mode: Mode,
    /// `[row,row,…]`, as the stream gets them.
    pub json: Vec<u8>,
    /// Their versions.
    pub versions: Vec<i64>,
}

/// Why a batch was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendFailure {
    /// The stream refused it and would again: counts as a send of its rows, which go on in smaller batches.
    Refused,
    /// The stream cannot be reached or asks for fewer sends; the outbox pauses, and nothing is counted.
    Unavailable {
        /// How long it asks to wait.
        retry_after: Option<Micros>,
    },
}

impl Ledger {
    /// The next batch to send, at most `len_bytes_max` of JSON unless one row alone is more. `None` where nothing is
    /// due. Each is followed by [`Self::sent`] or [`Self::send_failed`] before the next is asked for.
    pub fn next_batch(&self, now: Micros, len_bytes_max: usize) -> Result<Option<Batch>, LedgerError> {
        let now = instant(now);
        if !self.is_ready()? || self.meta("send_after")? > now {
            return Ok(None);
        }
        let followed_at = self.watermark()?.min(now);
        let mut oldest: Option<(i64, i64)> = None;
        for (lane, due) in self.lane_dues()? {
            let horizon = if lane % 8 == 0 { now } else { followed_at };
            let is_sendable = lane % 8 < SENDS_MAX && due <= horizon;
            if is_sendable && oldest.is_none_or(|(_, oldest_due)| due < oldest_due) {
                oldest = Some((lane, due));
            }
        }
        let Some((lane, _)) = oldest else { return Ok(None) };
        let phase = lane % 8;
        let horizon = if phase == 0 { now } else { followed_at };
        let (row_count_max, len_bytes_max) = match phase {
            0..3 => (BATCH_ROW_COUNT_MAX >> (3 * phase), len_bytes_max >> (3 * phase)),
            _ => (1, 0),
        };
        self.collect_batch(lane, horizon, row_count_max, len_bytes_max).map(Some)
    }

    fn collect_batch(
        &self,
        lane: i64,
        horizon: i64,
        row_count_max: i64,
        len_bytes_max: usize,
    ) -> Result<Batch, LedgerError> {
        let mut batch = Batch { mode: mode_of(lane / 8), json: vec![b'['], versions: Vec::new() };
        self.each(
            "SELECT o.version, c.json FROM outbox o JOIN content c ON c.content = o.content \
             WHERE o.lane = ?1 AND o.due <= ?2 ORDER BY o.due, o.version LIMIT ?3",
            &[Param::Int(lane), Param::Int(horizon), Param::Int(row_count_max)],
            &mut |row| {
                let (version, json) = (row.int(), row.blob());
                let len_bytes = batch.json.len() + json.len() + crate::row::VERSION_MEMBER_LEN_BYTES_MAX + 1;
                if !batch.versions.is_empty() {
                    if len_bytes > len_bytes_max {
                        return ControlFlow::Break(());
                    }
                    batch.json.push(b',');
                }
                write_row(version, &json, &mut batch.json);
                batch.versions.push(version);
                ControlFlow::Continue(())
            },
        )?;
        batch.json.push(b']');
        Ok(batch)
    }

    /// Notes that the stream took a batch. A batch that was sent and not noted is sent again, identically.
    pub fn sent(&self, now: Micros, batch: &Batch) -> Result<(), LedgerError> {
        let due = instant(now).saturating_add(self.options.resend_after.0);
        self.write(|| {
            self.count_send(batch, due)?;
            if self.meta("send_after")? != 0 {
                self.set_meta("send_after", 0)?;
                self.set_meta("send_pause", 0)?;
            }
            Ok(())
        })
    }

    /// Notes that a batch was not sent.
    pub fn send_failed(&self, now: Micros, batch: &Batch, failure: SendFailure) -> Result<(), LedgerError> {
        self.write(|| match failure {
            // Due at once and whatever was followed: what was refused is not in the lake.
            SendFailure::Refused => self.count_send(batch, 0),
            SendFailure::Unavailable { retry_after } => {
                let pause = self.meta("send_pause")?.saturating_mul(2);
                let pause = pause.clamp(SEND_PAUSE_MIN.0, SEND_PAUSE_MAX.0);
                let asked = retry_after.map_or(0, |asked| asked.0.min(STAGE_GRACE.0));
                self.set_meta("send_pause", pause)?;
                self.set_meta("send_after", instant(now).saturating_add(pause.max(asked)))
            }
        })
    }

    fn count_send(&self, batch: &Batch, due: i64) -> Result<(), LedgerError> {
        self.run(
            "UPDATE outbox SET lane = lane + 1, due = ?2 \
             WHERE version IN (SELECT value FROM json_each(?1)) AND lane % 8 < 5",
            &[Param::Text(&json_ints(&batch.versions)), Param::Int(due)],
        )
    }

    /// When the alarm should run next, after [`Self::sweep`] and when [`Self::next_batch`] gave nothing; `None` where
    /// nothing waits. Ask again after every `followed` and `confirm`: what waits for the follower sets no alarm.
    pub fn next_alarm(&self, now: Micros) -> Result<Option<Micros>, LedgerError> {
        if !self.is_ready()? {
            return Ok(None);
        }
        let now = instant(now);
        let send_after = self.meta("send_after")?;
        let followed_at = self.watermark()?;
        let mut next: Option<i64> = None;
        let mut consider = |at: i64| next = Some(next.map_or(at, |next| next.min(at)));
        for (lane, due) in self.lane_dues()? {
            match lane % 8 {
                0 => consider(due.max(send_after)),
                CONFIRMED => consider(due),
                PARKED => {}
                _ if due <= followed_at => consider(due.max(send_after)),
                // Not followed so far: the follower's next call asks again.
                _ => {}
            }
        }
        if let Some(at) = self.next_ingest_due()? {
            consider(at);
        }
        if let Some(at) = self.next_file_due()? {
            consider(at);
        }
        Ok(next.map(|at| Micros(at.max(now))))
    }

    /// Rows that were sent five times and never confirmed, from `from_version` on, at most `count` and at most
    /// [`PAGE_ROW_COUNT_MAX`].
    pub fn parked(&self, from_version: i64, count: u64) -> Result<Vec<Touched>, LedgerError> {
        let mut parked = Vec::new();
        if !self.is_ready()? {
            return Ok(parked);
        }
        self.each(
            "SELECT k.type, k.id, o.version FROM outbox o JOIN keys k ON k.key = o.key \
             WHERE o.lane IN (6, 14, 22) AND o.version >= ?1 ORDER BY o.version LIMIT ?2",
            &[Param::Int(from_version), Param::Int(stored(count.min(PAGE_ROW_COUNT_MAX)))],
            &mut |row| {
                parked.push(Touched::of(row));
                ControlFlow::Continue(())
            },
        )?;
        Ok(parked)
    }

    /// The lanes that have rows, each with the due time of its first.
    pub(crate) fn lane_dues(&self) -> Result<Vec<(i64, i64)>, LedgerError> {
        let lanes = json_ints(&LANES.collect::<Vec<_>>());
        let mut dues = Vec::new();
        self.each(
            "SELECT l.value, (SELECT MIN(due) FROM outbox WHERE lane = l.value) FROM json_each(?1) l",
            &[Param::Text(&lanes)],
            &mut |row| {
                let lane = row.int();
                if let Some(due) = row.opt_int() {
                    dues.push((lane, due));
                }
                ControlFlow::Continue(())
            },
        )?;
        Ok(dues)
    }

    /// Up to when every table was followed; 0 where one was not, or where there are none.
    pub(crate) fn watermark(&self) -> Result<i64, LedgerError> {
        Ok(self.number("SELECT MIN(followed_at) FROM tables", &[])?.unwrap_or(0))
    }
}
