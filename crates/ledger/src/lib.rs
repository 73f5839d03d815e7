//! The ledger of one namespace (design.md §4): order, staging, commit, outbox, confirmation and location.
//!
//! Pure logic over a small SQL trait, [`sql::Sql`], which a Durable Object's storage and a native SQLite satisfy. Time
//! arrives as an argument; nothing is kept in memory but that the tables are there. Every call is one transaction or
//! a single statement, so that a crash between any two calls leaves a true state; every call touches a bounded number
//! of rows ([`limits`]). The namespace is the object's and stands in no table. Rows are opaque JSON texts: the ledger
//! stores them **without their member `version`** and splices it in ([`row::write_row`]) where they leave.
//!
//! # A publish (preview, build)
//! 1. [`admit`](Ledger::admit): the rate and the quotas. Refused: 429.
//! 2. [`begin`](Ledger::begin), with the hash of the idempotency key if there is one. `InFlight`: 409; `Finished`: see
//!    below; `Mismatch`: 422; `TakenOver`: the rows carry *its* `ingest_id` and `started_at`, and each chunk is
//!    [`offer`](Ledger::offer)ed before it is staged, so that what was taken need not be handed over again.
//! 3. [`stage`](Ledger::stage) each chunk, in any order and several at once: rows without `version`, digest of the
//!    chunk's decoded bytes. `Mismatch`: 422; `Full`: 503; `TooManyRows`: 413. It renews the lease;
//!    [`renew`](Ledger::renew) does so where a body pauses.
//! 4. [`commit`](Ledger::commit) with the number of chunks of the whole body. `Conflicts`: 409; `Mismatch`: 422. `Done`
//!    means that everything is visible and will reach the lake; the answer was stored in the same transaction. It may
//!    be repeated if its answer was lost. Then set the alarm ([`next_alarm`](Ledger::next_alarm)) and page through
//!    [`touched`](Ledger::touched) to purge.
//! 5. Anything but `Done` at any step: [`abort`](Ledger::abort), and set the alarm. It is as if the request had never
//!    been. Exceptions: after a `Mismatch` of a continued request nothing of the first attempt should be lost to a
//!    stranger's body, so [`pause`](Ledger::pause); after [`LedgerError::LeaseLost`] nothing is to be done (409).
//!
//! `Finished` (the answer is not in KV yet): `offer` every chunk with the lease given; any other answer than `Taken`,
//! and a last chunk that is not the last taken ([`commit`](Ledger::commit) says `Mismatch` or fails `Incomplete`), is
//! another body: 422. Else the answer is the request's.
//!
//! # A bulk request
//! 1. `admit`, `begin` as above.
//! 2. [`reserve`](Ledger::reserve) once, for as many records as the request may hold: the n-th record that is sent has
//!    version `start + n`. A continued request gets the first attempt's range. Versions are rendered by the caller.
//! 3. Each chunk: `offer`; `Wanted`: send it to the stream, then [`chunk_taken`](Ledger::chunk_taken); `Taken`: skip
//!    it; `Mismatch`: 422, send nothing more.
//! 4. [`finish`](Ledger::finish) with the number of records sent. If the request ends otherwise after something was
//!    sent: `pause`, so that a retry takes over at once; before anything was sent: `abort`.
//!
//! Its rows are unknown to readers until the follower confirms them.
//!
//! # The alarm
//! 1. Set the next alarm to a minute from now, in case this one dies.
//! 2. While [`next_batch`](Ledger::next_batch) gives one and time is left: send its `json` to the stream of its
//!    `mode`; then [`sent`](Ledger::sent) or [`send_failed`](Ledger::send_failed).
//! 3. While [`sweep`](Ledger::sweep) says `More` and time is left: again.
//! 4. Set the alarm to [`next_alarm`](Ledger::next_alarm), or delete it.
//!
//! # The follower
//! For each new snapshot of a table, in their order, to the ledger of each namespace concerned; afterwards the alarm is
//! set again.
//! 1. [`confirm`](Ledger::confirm) the rows of each added file.
//! 2. [`rows_deleted`](Ledger::rows_deleted) for positions that delete files and deletion vectors name, or that the
//!    rows hit by equality deletes have ([`version_deleted`](Ledger::version_deleted) where only keys are known).
//! 3. [`files_removed`](Ledger::files_removed).
//! 4. [`followed`](Ledger::followed) with the snapshot, and the time when its pointer was read. Also with an unchanged
//!    snapshot, or none, as long as [`status`](Ledger::status) shows rows that wait: **rows are sent again, and parked,
//!    only as the follower proceeds**, for without it nobody knows what is missing.
//!
//! All of these may be repeated, and two followers may run at once. A compaction is a confirmation of the new files and
//! a removal of the old ones.
//!
//! # A read
//! [`read`](Ledger::read), one call: content, a location, or [`read::Place::Elsewhere`] (look it up by manifests), or
//! nothing, and how far each table was followed. It writes nothing and makes no tables. `deleted` and `expires_at` are
//! for the caller to judge, after the rights.
//!
//! # Rows that other engines deleted
//! A lookup by manifests shows the highest live version, and the ledger agrees: a confirmed version that lay at one
//! place only is gone with its row, and the next lower one is current. One that was seen at two places (a resent row)
//! is `Elsewhere` once one of them is deleted: the lookup decides.
//!
//! # Rebuilding
//! `confirm` every live file of each table, report what [`files_page`](Ledger::files_page) lists and the table lacks as
//! removed, then `followed`: a ledger that was empty, or wrong about the lake, is right afterwards; content that waits
//! for its confirmation is untouched. [`versions_page`](Ledger::versions_page) lists all that is known, to compare.
//! `confirm` lets the clock of versions follow what the lake holds.

pub mod admit;
pub mod confirm;
pub mod lease;
pub mod limits;
pub mod outbox;
pub mod publish;
pub mod read;
pub mod row;
pub mod schema;
pub mod sql;
pub mod status;
pub mod sweep;

use std::{cell::Cell, fmt, ops::ControlFlow};

use thiserror::Error;

use crate::{
    limits::Options,
    sql::{End, Param, Row, Sql, SqlError},
};

/// Why an operation of the ledger could not be done. Outcomes that callers expect are values, not errors.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The database.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// The database holds what this code never wrote.
    #[error("the ledger's database is corrupt")]
    Corrupt,
    /// The database was written by a later version of this code.
    #[error("the ledger's schema is later than {}", schema::SCHEMA_VERSION)]
    SchemaNewer,
    /// The lease ended and another request took over, or the stage was dropped. The request is to be answered as one
    /// whose key is still running.
    #[error("the request's lease was lost")]
    LeaseLost,
    /// A commit names more chunks than were staged.
    #[error("not every chunk was staged")]
    Incomplete,
    /// There is no version left above those that other engines wrote (below 2^53).
    #[error("there are no versions left")]
    VersionsExhausted,
}

/// The ledger of one namespace, over its database.
pub struct Ledger {
    sql: Box<dyn Sql>,
    options: Options,
    /// Only that the tables are there and of this version: nothing else is kept in memory.
    ready: Cell<bool>,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Ledger {
    /// The ledger in a database, which may be empty. Reads and writes nothing yet.
    pub fn new(sql: Box<dyn Sql>, options: Options) -> Self {
        Self { sql, options, ready: Cell::new(false) }
    }

    /// Each row of a statement.
    pub(crate) fn each(
        &self,
        statement: &'static str,
        params: &[Param<'_>],
        take: &mut dyn FnMut(&mut Row) -> ControlFlow<()>,
    ) -> Result<(), LedgerError> {
        let mut is_corrupt = false;
        self.sql.execute(statement, params, &mut |values| {
            let mut row = Row::new(values);
            let flow = take(&mut row);
            is_corrupt |= row.is_corrupt;
            if is_corrupt { ControlFlow::Break(()) } else { flow }
        })?;
        if is_corrupt { Err(LedgerError::Corrupt) } else { Ok(()) }
    }

    /// What `parse` makes of the first row of a statement.
    pub(crate) fn one<T>(
        &self,
        statement: &'static str,
        params: &[Param<'_>],
        parse: fn(&mut Row) -> T,
    ) -> Result<Option<T>, LedgerError> {
        let mut first = None;
        self.each(statement, params, &mut |row| {
            first = Some(parse(row));
            ControlFlow::Break(())
        })?;
        Ok(first)
    }

    /// The number that a statement gives; `None` where it gives no row or NULL.
    pub(crate) fn number(
        &self,
        statement: &'static str,
        params: &[Param<'_>],
    ) -> Result<Option<i64>, LedgerError> {
        self.one(statement, params, Row::opt_int).map(Option::flatten)
    }

    /// A statement without rows.
    pub(crate) fn run(&self, statement: &'static str, params: &[Param<'_>]) -> Result<(), LedgerError> {
        self.sql.execute(statement, params, &mut |_| ControlFlow::Continue(()))?;
        Ok(())
    }

    /// `body` in a transaction, which an error undoes.
    pub(crate) fn transact<T>(
        &self,
        body: impl FnOnce() -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let (mut body, mut value) = (Some(body), None);
        self.transact_once(&mut || {
            value = Some(body.take().ok_or(LedgerError::Corrupt)?()?);
            Ok(())
        })?;
        value.ok_or(LedgerError::Corrupt)
    }

    /// As [`Self::transact`], with the tables there.
    pub(crate) fn write<T>(&self, body: impl FnOnce() -> Result<T, LedgerError>) -> Result<T, LedgerError> {
        self.prepare()?;
        self.transact(body)
    }

    /// Not generic, so that it is there once.
    fn transact_once(&self, body: &mut dyn FnMut() -> Result<(), LedgerError>) -> Result<(), LedgerError> {
        let mut result = Ok(());
        self.sql.transaction(&mut || {
            result = body();
            if result.is_ok() { End::Commit } else { End::Rollback }
        })?;
        result
    }
}

#[cfg(test)]
mod tests;

// The adapter of the tests is also that of the examples, which see the crate from outside.
#[cfg(all(test, not(target_arch = "wasm32")))]
extern crate self as firn_ledger;
