//! One table: from the snapshot that was followed to the current one.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use firn_iceberg::{
    followed::{Followed, UNREADABLE_COUNT_MAX, Underway, followed_key},
    manifest::ManifestEntry,
    metadata::{Manifests, Snapshot, TableMetadata},
};
use firn_types::time::Micros;

use super::{
    Counts, Ending, FollowError, Place, REPORTED_FILE_COUNT_MAX, Run, TableReport,
    changes::{Changes, Task},
    confirm::{FileError, Report},
    objects::object_key,
    ports::{FollowStore, Ledgers, Put},
    removed::REMOVED_AT_ONCE_MAX,
    rows::Columns,
    target::{Target, Way, is_same_table, next_target},
};
use crate::{
    ports::Clock,
    tables::{config::TableName, pointers::TablePointers},
};

/// A table under way.
#[derive(Debug)]
pub(super) struct Table<'r, 'p, S, P, L> {
    pub(super) run: &'r Run<'p, S, P, L>,
    name: &'r TableName,
    /// Its name to ledgers.
    pub(super) label: String,
    /// Of today; none where there is no table.
    pub(super) metadata: Option<Arc<TableMetadata>>,
    pub(super) columns: Columns,
    /// Whether what was followed is of a table that had the name before.
    pub(super) is_anew: Cell<bool>,
    as_of: Micros,
    /// Whether a file of the current snapshot that is gone is taken for unreadable.
    gone: Gone,
    pub(super) counts: Cell<Counts>,
    unreadable: RefCell<Vec<(String, String)>>,
}

/// What to do where an object is gone that the current snapshot names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// The pointer may be stale: it is read again.
    ReadAgain,
    /// It was read again.
    Skip,
}

/// How far the tasks of a snapshot were done.
enum Done {
    All,
    /// The run has no requests left.
    UpTo(usize),
}

/// Follows a table; gives what it did and, where it is followed to its current snapshot, the place.
pub(super) async fn follow<S: FollowStore, P: TablePointers, L: Ledgers>(
    run: &Run<'_, S, P, L>,
    clock: &impl Clock,
    name: &TableName,
) -> (TableReport, Option<Place>) {
    let mut counts = Counts::default();
    let mut unreadable = Vec::new();
    let mut gone = Gone::ReadAgain;
    loop {
        let as_of = clock.now();
        let table = match Table::open(run, name, as_of, gone).await {
            Ok(table) => table,
            Err(error) => {
                let table = label_of(name);
                return (TableReport { table, ending: Ending::Failed(error), counts, unreadable }, None);
            }
        };
        table.counts.set(counts);
        let followed = table.follow().await;
        counts = table.counts.get();
        unreadable.append(&mut table.unreadable.borrow_mut());
        if matches!(followed, Err(FollowError::Gone(_))) && gone == Gone::ReadAgain {
            gone = Gone::Skip;
            continue;
        }
        let ending = followed.unwrap_or_else(Ending::Failed);
        let place = matches!(ending, Ending::Current).then(|| table.place());
        return (TableReport { table: table.label, ending, counts, unreadable }, place);
    }
}

pub(super) fn label_of(name: &TableName) -> String {
    format!("{}.{}", name.namespace, name.name)
}

impl<'r, 'p, S: FollowStore, P: TablePointers, L: Ledgers> Table<'r, 'p, S, P, L> {
    /// Reads the table's metadata.
    pub(super) async fn open(
        run: &'r Run<'p, S, P, L>,
        name: &'r TableName,
        as_of: Micros,
        gone: Gone,
    ) -> Result<Self, FollowError> {
        let label = label_of(name);
        let metadata = run.read_metadata(name).await?;
        let columns = match &metadata {
            Some(metadata) => Columns::of(metadata, &label)?,
            None => Columns::none(),
        };
        Ok(Self {
            run,
            name,
            label,
            metadata,
            columns,
            is_anew: Cell::new(false),
            as_of,
            gone,
            counts: Cell::default(),
            unreadable: RefCell::default(),
        })
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    pub(super) fn current(&self) -> Option<&Snapshot> {
        self.metadata.as_deref().and_then(TableMetadata::current_snapshot)
    }

    pub(super) fn place(&self) -> Place {
        let current = self.current();
        Place {
            table: self.label.clone(),
            snapshot: current.map(|snapshot| snapshot.snapshot_id),
            sequence: current.map_or(0, |snapshot| snapshot.sequence_number),
            as_of: self.as_of,
        }
    }

    async fn follow(&self) -> Result<Ending, FollowError> {
        let key = followed_key(&self.name.namespace, &self.name.name);
        let (mut followed, mut etag) = self.run.read_followed(self.name).await?;
        let mut way = Way::OneByOne;
        loop {
            let target = next_target(followed.as_ref(), self.metadata.as_deref(), way);
            let Target::State(snapshot) = target else { return Ok(Ending::Current) };
            if self.run.is_spent() {
                return Ok(Ending::More);
            }
            let is_anew = |followed: &Followed| !is_same_table(followed, self.metadata.as_deref());
            self.is_anew.set(followed.as_ref().is_some_and(is_anew));
            let changes = match self.plan_changes(followed.as_ref(), snapshot).await {
                Err(FollowError::Gone(_)) if !self.is_current(snapshot) => {
                    way = Way::AtOnce;
                    continue;
                }
                changes => changes?,
            };
            if !changes.tasks.is_empty() && !self.is_begun(followed.as_ref(), snapshot) {
                let begun = self.begin(followed.as_ref(), snapshot, &changes);
                match self.run.lake.store.put_if(&key, begun.render(), etag.as_deref()).await? {
                    Put::Conflict => return Ok(Ending::Overtaken),
                    Put::Stored { etag: stored } => etag = Some(stored),
                }
                self.run.spend(1);
                followed = Some(begun);
            }
            let (next, ending) = self.do_changes(followed.as_ref(), snapshot, &changes).await?;
            match self.run.lake.store.put_if(&key, next.render(), etag.as_deref()).await? {
                Put::Conflict => return Ok(Ending::Overtaken),
                Put::Stored { etag: stored } => etag = Some(stored),
            }
            self.run.spend(1);
            if let Some(ending) = ending {
                return Ok(ending);
            }
            self.count(|counts| counts.snapshots += 1);
            followed = Some(next);
        }
    }

    /// What the followed object says while a snapshot is under way.
    pub(super) fn underway(&self, target: Option<&Snapshot>, done_count: u64) -> Underway {
        let table_uuid = self.metadata.as_ref().and_then(|metadata| metadata.table_uuid.clone());
        Underway { table_uuid, snapshot_id: target.map(|snapshot| snapshot.snapshot_id), done_count }
    }

    fn is_begun(&self, followed: Option<&Followed>, target: Option<&Snapshot>) -> bool {
        let underway = followed.and_then(|followed| followed.underway.as_ref());
        underway.is_some_and(|underway| *underway == self.underway(target, underway.done_count))
    }

    /// The followed object before the first ledger hears of a snapshot: should the snapshot be given up (a roll-back, a
    /// table made anew), whoever follows next knows that ledgers may hold files of it.
    fn begin(&self, followed: Option<&Followed>, target: Option<&Snapshot>, changes: &Changes) -> Followed {
        let before = followed.filter(|_| changes.is_baseline_known).cloned();
        Followed { underway: Some(self.underway(target, 0)), ..before.unwrap_or_default() }
    }

    fn is_current(&self, target: Option<&Snapshot>) -> bool {
        target.map(|snapshot| snapshot.snapshot_id) == self.current().map(|snapshot| snapshot.snapshot_id)
    }

    /// Does what a snapshot changed; gives what is followed then, and how the run ends if it has no requests left.
    async fn do_changes(
        &self,
        followed: Option<&Followed>,
        target: Option<&Snapshot>,
        changes: &Changes,
    ) -> Result<(Followed, Option<Ending>), FollowError> {
        let underway = followed.filter(|_| self.is_begun(followed, target));
        let underway = underway.and_then(|followed| followed.underway.as_ref());
        let done_count = underway.map_or(0, |underway| usize::try_from(underway.done_count).unwrap_or(0));
        let known = if changes.is_baseline_known || underway.is_some() {
            followed.map(|followed| followed.unreadable.clone()).unwrap_or_default()
        } else {
            Vec::new()
        };
        let mut unreadable = Unreadable::new(known);
        if !changes.is_baseline_known && done_count == 0 {
            // First, so that no place in a file that is gone stands against one in a file that is not.
            self.report_unlisted(&changes.added_paths()).await?;
        }
        let done = self.do_tasks(target, changes, done_count, &mut unreadable).await?;
        if let Done::UpTo(done_count) = done {
            let underway = Some(self.underway(target, done_count as u64));
            let before = followed.cloned().unwrap_or_default();
            return Ok((Followed { unreadable: unreadable.keys, underway, ..before }, Some(Ending::More)));
        }
        let next = Followed {
            table_uuid: self.underway(target, 0).table_uuid,
            snapshot_id: target.map(|snapshot| snapshot.snapshot_id),
            sequence_number: target.map_or(0, |snapshot| snapshot.sequence_number),
            manifest_list: target.and_then(|snapshot| match &snapshot.manifests {
                Manifests::List(location) => Some(location.clone()),
                Manifests::Inline(_) => None,
            }),
            // 0 would say that nothing was followed.
            as_of: self.as_of.max(Micros(1)),
            unreadable: unreadable.keys,
            underway: None,
        };
        Ok((next, None))
    }

    async fn do_tasks(
        &self,
        target: Option<&Snapshot>,
        changes: &Changes,
        done_count: usize,
        unreadable: &mut Unreadable,
    ) -> Result<Done, FollowError> {
        let mut done = done_count;
        while let Some(task) = changes.tasks.get(done) {
            // One task at least, so that every run comes further.
            if self.run.is_spent() && done > done_count {
                return Ok(Done::UpTo(done));
            }
            let (entry, deletes, report) = match task {
                Task::Added(entry) => (entry, &changes.deletes, Report::EveryRow),
                Task::Touched(entry) => (entry, &changes.deletes_added, Report::DeletedRows),
                Task::Removed(_) => {
                    let removed: Vec<&ManifestEntry> = removed_from(changes, done).collect();
                    self.report_removed(&removed).await?;
                    for entry in &removed {
                        unreadable.remove(object_key(&entry.file.location).as_str());
                    }
                    self.count(|counts| counts.removed_files += removed.len() as u64);
                    done += removed.len();
                    continue;
                }
            };
            match self.report_file(entry, deletes, report).await {
                Ok(()) if report == Report::EveryRow => self.count(|counts| counts.files += 1),
                Ok(()) => self.count(|counts| counts.touched_files += 1),
                Err(FileError::Run(error)) => return Err(error),
                Err(FileError::Gone(error)) if self.gone == Gone::ReadAgain && self.is_current(target) => {
                    return Err(FollowError::Gone(error.key));
                }
                Err(FileError::Gone(error)) => self.skip(entry, error.to_string(), unreadable),
                Err(FileError::Unreadable(cause)) => self.skip(entry, cause, unreadable),
            }
            done += 1;
        }
        Ok(Done::All)
    }

    fn skip(&self, entry: &ManifestEntry, cause: String, unreadable: &mut Unreadable) {
        let key = object_key(&entry.file.location).as_str().to_owned();
        self.count(|counts| counts.unreadable_files += 1);
        if self.unreadable.borrow().len() < REPORTED_FILE_COUNT_MAX {
            self.unreadable.borrow_mut().push((key.clone(), cause));
        }
        unreadable.add(key);
    }
}

fn removed_from(changes: &Changes, at: usize) -> impl Iterator<Item = &ManifestEntry> {
    let tasks = changes.tasks.get(at..).unwrap_or_default();
    let removed = tasks.iter().map_while(|task| match task {
        Task::Removed(entry) => Some(entry),
        Task::Added(_) | Task::Touched(_) => None,
    });
    removed.take(REMOVED_AT_ONCE_MAX)
}

/// Live files that cannot be read.
#[derive(Debug)]
struct Unreadable {
    keys: Vec<String>,
    /// There were more than are listed: then none is ever taken off, lest the list be empty too early.
    is_full: bool,
}

impl Unreadable {
    fn new(keys: Vec<String>) -> Self {
        Self { is_full: keys.len() >= UNREADABLE_COUNT_MAX, keys }
    }

    fn add(&mut self, key: String) {
        if self.is_full || self.keys.contains(&key) {
            return;
        }
        self.keys.push(key);
        self.is_full = self.keys.len() >= UNREADABLE_COUNT_MAX;
    }

    fn remove(&mut self, key: &str) {
        if !self.is_full {
            self.keys.retain(|other| other != key);
        }
    }
}
