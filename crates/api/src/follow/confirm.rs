//! The rows of one data file, to the ledgers of their namespaces.

use std::collections::BTreeMap;

use firn_iceberg::manifest::ManifestEntry;
use firn_ledger::confirm::SeenRow;
use firn_lookup::{
    held::HoldNothing,
    need::{Step, Supplied},
    table::{
        error::TableError,
        location::LocationMap,
        query::{SnapshotChoice, TableQuery},
        scan::{ScannedRow, TableScan},
    },
};
use firn_store::{perform::CONNECTIONS_MAX, read::StoreError};
use firn_types::key::Namespace;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::{
    FollowError,
    objects::object_key,
    ports::{FollowStore, Ledgers},
    table::Table,
};
use crate::{
    ledger::follow_call::{FollowCall, FollowReply},
    tables::pointers::TablePointers,
};

/// Most rows of one call: some 50 ms of the ledger's SQLite.
const CALL_ROW_COUNT_MAX: usize = 1_000;

/// Most bytes of rows that wait for their call, of all namespaces together: with what a scan holds of a file, a sixth of
/// an isolate.
const WAITING_LEN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a row is counted as beside its texts.
const ROW_LEN_BYTES: usize = 256;

/// Which rows of a file are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// All: the file is new.
    EveryRow,
    /// Those that the deletes hit.
    DeletedRows,
}

/// Why a file's rows were not reported.
#[derive(Debug)]
pub(super) enum FileError {
    /// It can never be read, or not by this code.
    Unreadable(String),
    /// An object is gone.
    Gone(StoreError),
    /// The run ends here.
    Run(FollowError),
}

impl From<FollowError> for FileError {
    fn from(error: FollowError) -> Self {
        Self::Run(error)
    }
}

impl From<TableError> for FileError {
    fn from(error: TableError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// Rows of one namespace that wait for their call.
#[derive(Debug, Default)]
struct Waiting {
    seen: Vec<SeenRow>,
    deleted: Vec<u64>,
}

impl<S: FollowStore, P: TablePointers, L: Ledgers> Table<'_, '_, S, P, L> {
    /// Reports rows of a file, and which of them the deletes hit.
    ///
    /// A row that was deleted since is confirmed too, so that it is not sent again; its deletion is reported first, so
    /// that it never becomes visible.
    pub(super) async fn report_file(
        &self,
        entry: &ManifestEntry,
        deletes: &[ManifestEntry],
        report: Report,
    ) -> Result<(), FileError> {
        let mut scan = self.scan(self.columns.ids(), entry, deletes)?;
        let mut waiting: BTreeMap<Namespace, Waiting> = BTreeMap::new();
        let mut len_bytes = 0;
        while let Some(rows) = self.next_rows(&mut scan).await? {
            for row in rows {
                if report == Report::DeletedRows && !row.is_deleted {
                    continue;
                }
                let (position, is_deleted) = (row.location.position, row.is_deleted);
                let Some((namespace, seen)) = self.columns.read_row(row) else {
                    self.count(|counts| counts.skipped_rows += 1);
                    continue;
                };
                if self.run.only.as_ref().is_some_and(|only| *only != namespace) {
                    continue;
                }
                len_bytes += len_bytes_of(&seen) + namespace.as_str().len();
                let of = waiting.entry(namespace).or_default();
                if is_deleted {
                    of.deleted.push(position);
                    self.count(|counts| counts.deleted_rows += 1);
                }
                if report == Report::EveryRow {
                    of.seen.push(seen);
                    self.count(|counts| counts.rows += 1);
                }
            }
            let is_full = |of: &Waiting| of.seen.len().max(of.deleted.len()) >= CALL_ROW_COUNT_MAX;
            if len_bytes >= WAITING_LEN_BYTES_MAX {
                self.send(entry, std::mem::take(&mut waiting)).await?;
                len_bytes = 0;
            } else if waiting.values().any(is_full) {
                let (full, rest) = waiting.into_iter().partition(|(_, of)| is_full(of));
                waiting = rest;
                len_bytes = waiting.values().flat_map(|of| &of.seen).map(len_bytes_of).sum();
                self.send(entry, full).await?;
            }
        }
        self.send(entry, waiting).await?;
        Ok(())
    }

    async fn send(
        &self,
        entry: &ManifestEntry,
        waiting: BTreeMap<Namespace, Waiting>,
    ) -> Result<(), FollowError> {
        let sends = waiting
            .into_iter()
            .map(|(namespace, of)| async move { self.send_to(entry, &namespace, of).await });
        stream::iter(sends).buffer_unordered(CONNECTIONS_MAX).try_collect().await
    }

    async fn send_to(
        &self,
        entry: &ManifestEntry,
        namespace: &Namespace,
        waiting: Waiting,
    ) -> Result<(), FollowError> {
        let object = object_key(&entry.file.location);
        let (table, path, sequence) = (self.label.as_str(), object.as_str(), entry.sequence_number);
        for rows in waiting.deleted.chunks(CALL_ROW_COUNT_MAX) {
            let call = FollowCall::RowsDeleted { table, path, sequence, rows: rows.to_vec() };
            self.run.report(namespace, &call).await?;
        }
        let mut seen = waiting.seen.into_iter();
        loop {
            let rows: Vec<SeenRow> = seen.by_ref().take(CALL_ROW_COUNT_MAX).collect();
            if rows.is_empty() {
                return Ok(());
            }
            let call = FollowCall::Confirm { table, path, sequence, rows };
            if let FollowReply::Confirmed(confirmed) = self.run.report(namespace, &call).await? {
                self.count(|counts| {
                    counts.confirmed += confirmed.confirmed_count;
                    counts.learned += confirmed.learned_count;
                    counts.skipped_rows += confirmed.skipped_count;
                });
            }
        }
    }

    /// A scan of some columns of a file.
    pub(super) fn scan(
        &self,
        columns: &[i32],
        entry: &ManifestEntry,
        deletes: &[ManifestEntry],
    ) -> Result<TableScan, FileError> {
        let Some(metadata) = self.metadata.clone() else {
            return Err(FileError::Unreadable("the table is gone".to_owned()));
        };
        let query = TableQuery {
            metadata,
            snapshot: SnapshotChoice::Current,
            key: Vec::new(),
            version: None,
            columns: columns.to_vec(),
            target: Vec::new(),
            locations: LocationMap::default(),
        };
        Ok(TableScan::of_file(query, entry.clone(), deletes)?)
    }

    /// The next rows of a scan; `None` at its end.
    pub(super) async fn next_rows(&self, scan: &mut TableScan) -> Result<Option<Vec<ScannedRow>>, FileError> {
        let mut supplied = Vec::new();
        loop {
            let needs = match scan.step(supplied, &mut HoldNothing)? {
                Step::Done(rows) => return Ok(rows),
                Step::Need(needs) => needs,
            };
            let asked: Vec<_> = needs.into_iter().map(|need| (need.object, need.range)).collect();
            let answers = self.run.read(&asked).await.map_err(|error| match error {
                error if error.is_not_found() => FileError::Gone(error),
                error if error.is_retryable() => FileError::Run(error.into()),
                error => FileError::Unreadable(error.to_string()),
            })?;
            let supply = |answer: firn_store::read::ObjectBytes| Supplied {
                bytes: answer.bytes,
                offset: answer.offset,
                object_len_bytes: answer.object_len_bytes,
            };
            supplied = answers.into_iter().map(supply).collect();
        }
    }
}

fn len_bytes_of(row: &SeenRow) -> usize {
    let owner = [&row.owner.iss, &row.owner.org, &row.owner.sub];
    let owner: usize = owner.into_iter().flatten().map(String::len).sum();
    ROW_LEN_BYTES + row.artifact_type.len() + row.id.len() + owner
}
