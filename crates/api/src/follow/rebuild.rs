//! One ledger anew from the lake, and whether it knows what the lake has (design.md §4).
//!
//! Both may end anywhere: what a rebuild reports may be repeated, and a comparison writes nothing. Neither touches the
//! followed object, so the follower goes on as before.

use std::collections::BTreeMap;

use firn_iceberg::manifest::ManifestEntry;
use firn_ledger::{confirm::SeenRow, status::ListedVersion};
use firn_types::{key::Namespace, version::VERSION_MAX};

use super::{
    Counts, FollowError, Lake, Run,
    changes::Task,
    confirm::{FileError, Report},
    objects::object_key,
    ports::{FollowStore, Ledgers},
    table::{Gone, Table},
    tell::tell_one,
};
use crate::{
    ledger::follow_call::{FollowCall, FollowReply},
    ports::Clock,
    tables::{config::TableName, pointers::TablePointers},
};

/// Most versions of one comparison: with their keys some 300 bytes each, 60 MB of an isolate's 128.
pub const COMPARED_COUNT_MAX: usize = 200_000;

/// Most differences that are listed.
pub const DIFFERENCE_COUNT_MAX: usize = 1_000;

/// Versions of one page of a ledger's list.
const PAGE_VERSION_COUNT: u64 = 1_000;

/// Where a rebuild goes on: a table's place among those asked for, its snapshot, and files of it that are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RebuildFrom {
    /// The table.
    pub table_idx: usize,
    /// Its snapshot; with another one the table begins anew.
    pub snapshot: Option<i64>,
    /// Files that are done.
    pub file_count: usize,
}

/// What a rebuild did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// What was reported.
    pub counts: Counts,
    /// Where the next call goes on; none at the end.
    pub next: Option<RebuildFrom>,
}

/// Reports every live row of a namespace to its ledger, and the files that the ledger holds for live and are not, as far
/// as the requests reach. Call it again with [`Rebuilt::next`] until there is none.
///
/// # Errors
/// Store, catalog or ledger; the same call may be made again.
pub async fn rebuild_ledger<S: FollowStore, P: TablePointers, L: Ledgers>(
    lake: &Lake<'_, S, P, L>,
    clock: &impl Clock,
    tables: &[TableName],
    namespace: &Namespace,
    from: RebuildFrom,
    request_count_max: u64,
) -> Result<Rebuilt, FollowError> {
    let run = Run { only: Some(namespace.clone()), ..Run::new(lake, request_count_max) };
    let mut rebuilt = Rebuilt::default();
    for (table_idx, name) in tables.iter().enumerate().skip(from.table_idx) {
        let table = Table::open(&run, name, clock.now(), Gone::Skip).await?;
        table.counts.set(rebuilt.counts);
        let snapshot = table.current().map(|snapshot| snapshot.snapshot_id);
        let is_same = from.table_idx == table_idx && from.snapshot == snapshot;
        let done = table.rebuild(namespace, if is_same { from.file_count } else { 0 }).await?;
        rebuilt.counts = table.counts.get();
        if let Some(file_count) = done {
            rebuilt.next = Some(RebuildFrom { table_idx, snapshot, file_count });
            return Ok(rebuilt);
        }
        tell_one(&run, namespace, &[table.place()]).await?;
    }
    Ok(rebuilt)
}

/// One difference between a ledger and the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The artifact's type.
    pub artifact_type: String,
    /// The artifact's id.
    pub id: String,
    /// The version.
    pub version: i64,
    /// What differs.
    pub what: What,
}

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The lake has a row that the ledger does not know.
    Unknown,
    /// The ledger knows a row, confirmed, that the lake does not have.
    Gone,
    /// Owner, rights, deletion, expiry or size.
    Standing,
    /// The hash.
    Hash,
    /// The place: no row of the version lies there.
    Place,
}

impl What {
    /// Its name in a report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Gone => "gone",
            Self::Standing => "standing",
            Self::Hash => "hash",
            Self::Place => "place",
        }
    }
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Live rows of the namespace in the lake.
    pub row_count: u64,
    /// Versions that the ledger knows.
    pub version_count: u64,
    /// Files of the lake that cannot be read; their rows may seem gone.
    pub unreadable_count: u64,
    /// The first [`DIFFERENCE_COUNT_MAX`] differences.
    pub differences: Vec<Difference>,
    /// All differences.
    pub difference_count: u64,
}

type Key = (String, String, i64);

/// A version of the ledger, and what the lake said of it so far.
struct Known {
    version: ListedVersion,
    is_seen: bool,
    is_at_its_place: bool,
}

/// Compares a ledger with the lake. What changes meanwhile may show as a difference.
///
/// # Errors
/// Store, catalog or ledger; more than [`COMPARED_COUNT_MAX`] versions.
pub async fn compare_ledger<S: FollowStore, P: TablePointers, L: Ledgers>(
    lake: &Lake<'_, S, P, L>,
    clock: &impl Clock,
    tables: &[TableName],
    namespace: &Namespace,
) -> Result<Compared, FollowError> {
    let run = Run { only: Some(namespace.clone()), ..Run::new(lake, u64::MAX) };
    let mut compared = Compared::default();
    let mut known = list_versions(&run, namespace).await?;
    compared.version_count = known.len() as u64;
    for name in tables {
        let table = Table::open(&run, name, clock.now(), Gone::Skip).await?;
        table.compare(namespace, &mut known, &mut compared).await?;
    }
    for ((artifact_type, id, version), known) in known {
        let what = match known.version.location {
            _ if known.version.is_unconfirmed => continue,
            _ if !known.is_seen => What::Gone,
            Some(_) if !known.is_at_its_place => What::Place,
            _ => continue,
        };
        compared.add(Difference { artifact_type, id, version, what });
    }
    Ok(compared)
}

async fn list_versions<S: FollowStore, P: TablePointers, L: Ledgers>(
    run: &Run<'_, S, P, L>,
    namespace: &Namespace,
) -> Result<BTreeMap<Key, Known>, FollowError> {
    let mut known = BTreeMap::new();
    let mut after = None;
    loop {
        let call = FollowCall::VersionsPage { after, count: PAGE_VERSION_COUNT };
        let FollowReply::Versions(page) = run.call(namespace, &call).await? else { return Ok(known) };
        let Some(last) = page.last() else { return Ok(known) };
        after = Some(last.cursor);
        for version in page {
            let key = (version.artifact_type.clone(), version.id.clone(), version.version());
            known.insert(key, Known { version, is_seen: false, is_at_its_place: false });
        }
        if known.len() > COMPARED_COUNT_MAX {
            let (table, limit) = (namespace.to_string(), COMPARED_COUNT_MAX);
            return Err(FollowError::Limit { table, what: "versions to compare", limit });
        }
    }
}

impl Compared {
    fn add(&mut self, difference: Difference) {
        self.difference_count += 1;
        if self.differences.len() < DIFFERENCE_COUNT_MAX {
            self.differences.push(difference);
        }
    }
}

impl<S: FollowStore, P: TablePointers, L: Ledgers> Table<'_, '_, S, P, L> {
    /// `None` at the end; else how many files are done.
    async fn rebuild(&self, namespace: &Namespace, done_count: usize) -> Result<Option<usize>, FollowError> {
        let changes = self.plan_changes(None, self.current()).await?;
        if done_count == 0 {
            // First, so that no place in a file that is gone stands against one in a file that is not.
            self.report_unlisted_to(namespace, &changes.added_paths()).await?;
        }
        for (idx, task) in changes.tasks.iter().enumerate().skip(done_count) {
            // One file at least, so that every call comes further.
            if self.run.is_spent() && idx > done_count {
                return Ok(Some(idx));
            }
            let Task::Added(entry) = task else { continue };
            if !self.may_hold(entry, namespace) {
                continue;
            }
            match self.report_file(entry, &changes.deletes, Report::EveryRow).await {
                Ok(()) => self.count(|counts| counts.files += 1),
                Err(FileError::Run(error)) => return Err(error),
                Err(FileError::Gone(_) | FileError::Unreadable(_)) => {
                    self.count(|counts| counts.unreadable_files += 1);
                }
            }
        }
        Ok(None)
    }

    async fn compare(
        &self,
        namespace: &Namespace,
        known: &mut BTreeMap<Key, Known>,
        compared: &mut Compared,
    ) -> Result<(), FollowError> {
        let changes = self.plan_changes(None, self.current()).await?;
        for task in &changes.tasks {
            let Task::Added(entry) = task else { continue };
            if !self.may_hold(entry, namespace) {
                continue;
            }
            match self.compare_file(entry, &changes.deletes, namespace, known, compared).await {
                Ok(()) => {}
                Err(FileError::Run(error)) => return Err(error),
                Err(FileError::Gone(_) | FileError::Unreadable(_)) => compared.unreadable_count += 1,
            }
        }
        Ok(())
    }

    async fn compare_file(
        &self,
        entry: &ManifestEntry,
        deletes: &[ManifestEntry],
        namespace: &Namespace,
        known: &mut BTreeMap<Key, Known>,
        compared: &mut Compared,
    ) -> Result<(), FileError> {
        let object = object_key(&entry.file.location);
        let mut scan = self.scan(self.columns.ids(), entry, deletes)?;
        while let Some(rows) = self.next_rows(&mut scan).await? {
            for row in rows.into_iter().filter(|row| !row.is_deleted) {
                let Some((_, seen)) = self.columns.read_row(row).filter(|(of, _)| of == namespace) else {
                    continue;
                };
                compared.row_count += 1;
                let version = seen.version.unwrap_or(0).clamp(0, VERSION_MAX);
                let key = (seen.artifact_type.clone(), seen.id.clone(), version);
                let what = match known.get_mut(&key) {
                    None => Some(What::Unknown),
                    Some(known) => known.compare(&seen, object.as_str()),
                };
                if let Some(what) = what {
                    let (artifact_type, id, version) = key;
                    compared.add(Difference { artifact_type, id, version, what });
                }
            }
        }
        Ok(())
    }

    /// Whether the file may hold rows of a namespace.
    fn may_hold(&self, entry: &ManifestEntry, namespace: &Namespace) -> bool {
        let Some(stats) = entry.file.stats_of(self.columns.ns()) else { return true };
        let namespace = namespace.as_str().as_bytes();
        stats.lower_bound.as_deref().is_none_or(|bound| bound <= namespace)
            && stats.upper_bound.as_deref().is_none_or(|bound| namespace <= bound)
    }
}

impl Known {
    /// What differs between the version and a row of it. Of two rows of one version the ledger follows either.
    fn compare(&mut self, seen: &SeenRow, path: &str) -> Option<What> {
        let is_first = !std::mem::replace(&mut self.is_seen, true);
        let version = &self.version;
        let is_here = |place: &firn_ledger::row::Location| place.file == path && place.row == seen.row;
        self.is_at_its_place |= version.location.as_ref().is_some_and(is_here);
        // Null and impossible versions share a place in the ledger.
        let is_exact = seen.version == Some(version.version()) && version.version() > 0;
        if version.is_unconfirmed || !is_first || !is_exact {
            return None;
        }
        if version.standing != seen.standing || version.owner != seen.owner {
            return Some(What::Standing);
        }
        (seen.hash.is_some() && version.hash != seen.hash).then_some(What::Hash)
    }
}
