//! Following the lake's tables: what new snapshots hold is confirmed to the ledgers of their namespaces
//! (design.md §4 "Audit", §5).
//!
//! ```text
//! pointer ─▶ metadata ─▶ the snapshots after the one followed ─▶ what each changed (manifests that came and went)
//!   ─▶ key columns of each file ─▶ the ledgers of its namespaces ─▶ the followed object ─▶ "followed" to the ledgers
//! ```
//! One rule makes it right for append, overwrite, compaction, delete, expiry, rollback, another branch, and a table that
//! was made anew: what changed is the difference of two sets of live files, and every call to a ledger may be repeated.
//! - Snapshots that lie on the way from the one followed to the current one are followed one by one, so that a row
//!   which was added and deleted between two runs is confirmed, and never sent again.
//! - What was live before is read from the manifests of the snapshot followed. Where they are gone (expiry), every
//!   live file counts as added, and each ledger is asked which other files it holds for live: those are removed.
//! - The followed object ([`firn_iceberg::followed`]) is put, on condition that it is the one read, after all ledgers
//!   took the snapshot's changes. A crash before that repeats them; of two runs at once one loses the put and stops.
//!
//! What cannot be read (a corrupt file, a format or feature that Firn lacks) is named in the followed object and must not
//! stop the rest: content that waits for its confirmation would be sent again and again.
//!
//! Memory: the manifest entries of one snapshot's changes, and 8 MB of rows.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
};

use firn_lookup::table::error::TableError;
use firn_store::{perform::perform, read::StoreError};
use firn_types::{
    key::Namespace,
    object::{ByteRange, ObjectKey},
    time::Micros,
};
use thiserror::Error;

use crate::{
    ledger::{
        follow_call::{FollowCall, FollowReply},
        protocol::{decode, encode},
    },
    ports::Clock,
    tables::{config::TableName, error::LakeError, pointers::TablePointers},
};

mod changes;
mod confirm;
mod objects;
pub mod ports;
pub mod rebuild;
mod removed;
mod rows;
mod table;
mod target;
mod tell;

use self::ports::{CallError, FollowStore, Ledgers, LedgersPage};

/// Requests (reads, puts, calls) after which a run ends at the next file: half of what one invocation of a Worker may
/// make.
pub const REQUEST_COUNT_MAX: u64 = 5_000;

/// Most files of one snapshot's changes: at some 400 bytes an entry, 40 MB of the isolate's 128.
pub const CHANGED_FILE_COUNT_MAX: usize = 100_000;

/// Files whose names and causes a report gives.
const REPORTED_FILE_COUNT_MAX: usize = 20;

/// Which ledgers hear how far the tables are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tell {
    /// Those that this run reported anything to.
    Touched,
    /// And those with rows that wait for their confirmation, from this place in the list on (none: its beginning).
    /// Without it they would not be sent again.
    Waiting {
        /// [`Report::next_ledgers`] of the run before.
        from: Option<String>,
    },
}

/// The lake and the ledgers.
#[derive(Debug)]
pub struct Lake<'a, S, P, L> {
    /// The lake's store.
    pub store: &'a S,
    /// Where the tables' metadata lies.
    pub pointers: &'a P,
    /// The ledgers of all namespaces.
    pub ledgers: &'a L,
}

/// What a run does.
#[derive(Clone, Debug)]
pub struct FollowConfig {
    /// The tables.
    pub tables: Vec<TableName>,
    /// Which ledgers hear of it.
    pub tell: Tell,
    /// Requests after which it ends at the next file.
    pub request_count_max: u64,
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Report {
    /// By table.
    pub tables: Vec<TableReport>,
    /// Ledgers that heard how far the tables are followed.
    pub told_count: u64,
    /// Why the ledgers did not hear it.
    pub tell_error: Option<FollowError>,
    /// Where the next run's [`Tell::Waiting`] begins.
    pub next_ledgers: Option<String>,
}

/// How far a run came with a table.
#[derive(Debug)]
pub enum Ending {
    /// It is followed up to the snapshot that was current when the run began.
    Current,
    /// The run had no requests left; the next one goes on.
    More,
    /// Another run was faster.
    Overtaken,
    /// The next run tries again.
    Failed(FollowError),
}

impl Ending {
    /// Its name in a log.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::More => "more",
            Self::Overtaken => "overtaken",
            Self::Failed(_) => "failed",
        }
    }
}

/// What a run did with a table.
#[derive(Debug)]
pub struct TableReport {
    /// The table, as ledgers name it.
    pub table: String,
    /// How far it came.
    pub ending: Ending,
    /// What it did.
    pub counts: Counts,
    /// Files that cannot be read, and why; the first few, for the log.
    pub unreadable: Vec<(String, String)>,
}

/// Figures of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Snapshots followed.
    pub snapshots: u64,
    /// Data files whose rows were confirmed.
    pub files: u64,
    /// Data files of which rows were deleted since.
    pub touched_files: u64,
    /// Data files that are no part of the table any more.
    pub removed_files: u64,
    /// Files that cannot be read.
    pub unreadable_files: u64,
    /// Rows confirmed.
    pub rows: u64,
    /// Rows that deletes name.
    pub deleted_rows: u64,
    /// Rows that no ledger takes: their namespace is none, or nobody could ask for their key.
    pub skipped_rows: u64,
    /// Rows whose content waited for it.
    pub confirmed: u64,
    /// Rows that the ledgers did not know.
    pub learned: u64,
}

/// Why a table was not followed to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A ledger.
    #[error(transparent)]
    Ledger(#[from] CallError),
    /// The list of all ledgers.
    #[error("listing the ledgers: {0}")]
    List(String),
    /// Where the table's metadata lies.
    #[error(transparent)]
    Pointer(#[from] LakeError),
    /// Metadata, a manifest list or a manifest that is not one.
    #[error("{object}: {what}")]
    Metadata {
        /// The object.
        object: ObjectKey,
        /// What is wrong.
        what: String,
    },
    /// A query that the table's schema does not allow.
    #[error("table {table}: {source}")]
    Table {
        /// The table.
        table: String,
        /// What is wrong.
        source: Box<TableError>,
    },
    /// A table without a column of the key.
    #[error("table {table} has no column {column}")]
    NoKeyColumn {
        /// The table.
        table: String,
        /// The column.
        column: &'static str,
    },
    /// More than a limit allows.
    #[error("table {table}: {what} over {limit}")]
    Limit {
        /// The table.
        table: String,
        /// What is limited.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// An object is gone that the current metadata names: the pointer was stale, or the table is broken.
    #[error("{0} is gone")]
    Gone(ObjectKey),
}

/// Follows each table as far as the requests reach, then tells the ledgers. Never fails as a whole: a table that does
/// leaves the others followed.
pub async fn follow_tables<S: FollowStore, P: TablePointers, L: Ledgers>(
    lake: &Lake<'_, S, P, L>,
    clock: &impl Clock,
    config: &FollowConfig,
) -> Report {
    let run = Run::new(lake, config.request_count_max);
    let mut report = Report::default();
    let mut followed = Vec::new();
    for name in &config.tables {
        let (table, place) = table::follow(&run, clock, name).await;
        report.tables.push(table);
        followed.extend(place);
    }
    match tell::tell(&run, &followed, &config.tell).await {
        Ok((told_count, next)) => {
            report.told_count = told_count;
            report.next_ledgers = next;
        }
        Err(error) => report.tell_error = Some(error),
    }
    report
}

/// How far a table is followed, for the ledgers.
#[derive(Clone, Debug)]
struct Place {
    table: String,
    snapshot: Option<i64>,
    sequence: i64,
    as_of: Micros,
}

/// One run: its ports, and what it used of them.
#[derive(Debug)]
struct Run<'a, S, P, L> {
    lake: &'a Lake<'a, S, P, L>,
    requests_left: Cell<u64>,
    /// The only namespace whose rows are reported; all where there is none.
    only: Option<Namespace>,
    /// Namespaces whose ledgers were told anything.
    touched: RefCell<BTreeSet<Namespace>>,
}

impl<'a, S: FollowStore, P: TablePointers, L: Ledgers> Run<'a, S, P, L> {
    fn new(lake: &'a Lake<'a, S, P, L>, request_count_max: u64) -> Self {
        Self { lake, requests_left: Cell::new(request_count_max), only: None, touched: RefCell::default() }
    }

    fn spend(&self, count: u64) {
        self.requests_left.set(self.requests_left.get().saturating_sub(count));
    }

    fn is_spent(&self) -> bool {
        self.requests_left.get() == 0
    }

    /// One wave of reads.
    async fn read(
        &self,
        asked: &[(ObjectKey, ByteRange)],
    ) -> Result<Vec<firn_store::read::ObjectBytes>, StoreError> {
        self.spend(asked.len() as u64);
        perform(self.lake.store, asked).await
    }

    /// A call that a ledger must be able to answer.
    async fn call(&self, namespace: &Namespace, call: &FollowCall<'_>) -> Result<FollowReply, FollowError> {
        self.spend(1);
        let failed = |cause: String| CallError { namespace: namespace.clone(), cause };
        let message = encode(call).map_err(|error| failed(error.to_string()))?;
        let reply = self.lake.ledgers.call(namespace, message).await.map_err(failed)?;
        decode::<FollowCall<'_>>(&reply).map_err(|error| failed(error.to_string()).into())
    }

    /// As [`Self::call`], of something that the ledger is told.
    async fn report(&self, namespace: &Namespace, call: &FollowCall<'_>) -> Result<FollowReply, FollowError> {
        let reply = self.call(namespace, call).await?;
        if !self.touched.borrow().contains(namespace) {
            self.touched.borrow_mut().insert(namespace.clone());
        }
        Ok(reply)
    }

    /// Some of the ledgers that were ever written.
    async fn list_ledgers(&self, cursor: Option<&str>) -> Result<LedgersPage, FollowError> {
        self.spend(1);
        self.lake.ledgers.list(cursor).await.map_err(FollowError::List)
    }
}
