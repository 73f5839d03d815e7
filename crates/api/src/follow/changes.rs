//! What a snapshot changed: the difference between the live files before it and its own.

use std::collections::HashSet;

use firn_iceberg::{
    data_file::{DataFile, FileContent},
    deletes::DeleteIndex,
    followed::Followed,
    manifest::{ManifestEntry, StatsOf},
    manifest_list::{ManifestContent, ManifestFile},
    metadata::{Manifests, Snapshot},
    partition::PartitionSpec,
};

use super::{
    CHANGED_FILE_COUNT_MAX, FollowError,
    objects::object_key,
    ports::{FollowStore, Ledgers},
    table::Table,
    target::is_same_table,
};
use crate::tables::pointers::TablePointers;

/// What a snapshot changed. The same two snapshots give the same changes in the same order.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// What is to be done, file by file.
    pub(super) tasks: Vec<Task>,
    /// Delete files that were not there before.
    pub(super) deletes_added: Vec<ManifestEntry>,
    /// All delete files, where data files were added.
    pub(super) deletes: Vec<ManifestEntry>,
    /// Whether what was live before is known. Where it is not, every live file is among the added.
    pub(super) is_baseline_known: bool,
}

impl Changes {
    /// Keys of the files that were added.
    pub(super) fn added_paths(&self) -> HashSet<String> {
        let path = |task: &Task| match task {
            Task::Added(entry) => Some(object_key(&entry.file.location).as_str().to_owned()),
            Task::Touched(_) | Task::Removed(_) => None,
        };
        self.tasks.iter().filter_map(path).collect()
    }
}

/// What is to be done of one data file.
#[derive(Debug)]
pub(super) enum Task {
    /// It was added: its rows are to be confirmed.
    Added(ManifestEntry),
    /// It was there, and deletes were added that may name rows of it.
    Touched(ManifestEntry),
    /// It is not there any more.
    Removed(ManifestEntry),
}

/// Manifests of a snapshot.
type ManifestFiles = Vec<ManifestFile>;

impl<S: FollowStore, P: TablePointers, L: Ledgers> Table<'_, '_, S, P, L> {
    /// What `target` changed since what was followed; with no target, all files are removed.
    ///
    /// # Errors
    /// [`FollowError::Gone`] where the target's own manifests are gone.
    pub(super) async fn plan_changes(
        &self,
        followed: Option<&Followed>,
        target: Option<&Snapshot>,
    ) -> Result<Changes, FollowError> {
        let now = match target {
            Some(snapshot) => self.manifests_of(snapshot).await?,
            None => Vec::new(),
        };
        // Of a snapshot that was begun and given up, ledgers may hold files that were never followed.
        let is_begun = |followed: &&Followed| {
            let underway = followed.underway.as_ref();
            underway.is_none_or(|underway| *underway == self.underway(target, underway.done_count))
        };
        let before = self.manifests_before(followed.filter(is_begun)).await?;
        let common: HashSet<&str> = {
            let before: HashSet<&str> = before.iter().flatten().map(|m| m.location.as_str()).collect();
            now.iter().map(|m| m.location.as_str()).filter(|location| before.contains(location)).collect()
        };
        let gone = before.iter().flatten().filter(|m| !common.contains(m.location.as_str()));
        let (mut gone_data, mut gone_deletes) = (Vec::new(), HashSet::new());
        let mut is_baseline_known = before.is_some();
        for of in gone {
            let Some(files) = self.live_files_before(of).await? else {
                is_baseline_known = false;
                break;
            };
            for entry in files {
                if entry.file.content == FileContent::Data {
                    self.keep(&mut gone_data, entry)?;
                } else {
                    gone_deletes.insert(identity(&entry.file));
                }
            }
        }
        if !is_baseline_known {
            (gone_data, gone_deletes) = (Vec::new(), HashSet::new());
        }
        let is_new = |of: &&ManifestFile| !is_baseline_known || !common.contains(of.location.as_str());
        let mut changes = Changes { is_baseline_known, ..Changes::default() };
        let mut data = Vec::new();
        for of in now.iter().filter(is_new) {
            for entry in self.live_files(of).await? {
                match entry.file.content {
                    FileContent::Data => self.keep(&mut data, entry)?,
                    _ if gone_deletes.contains(&identity(&entry.file)) => {
                        self.keep(&mut changes.deletes, entry)?;
                    }
                    _ => self.keep(&mut changes.deletes_added, entry)?,
                }
            }
        }
        changes.deletes.extend(changes.deletes_added.iter().cloned());
        let (tasks, kept) = compare(data, gone_data);
        changes.tasks = tasks;
        let common: Vec<&ManifestFile> = now.iter().filter(|of| !is_new(of)).collect();
        self.add_old_deletes(&mut changes, &common).await?;
        self.add_touched(&mut changes, kept, &common).await?;
        if self.is_anew.get() {
            // Sequence numbers began anew, too: a place in an old file must not stand against one in a new file.
            changes.tasks.sort_by_key(|task| !matches!(task, Task::Removed(_)));
        }
        Ok(changes)
    }

    /// Deletes that were there before apply to added files too: a compaction may give its files an older sequence
    /// number.
    async fn add_old_deletes(
        &self,
        changes: &mut Changes,
        common: &[&ManifestFile],
    ) -> Result<(), FollowError> {
        if !changes.tasks.iter().any(|task| matches!(task, Task::Added(_))) {
            return Ok(());
        }
        for of in common.iter().filter(|of| of.content == ManifestContent::Deletes) {
            for entry in self.live_files(of).await? {
                self.keep(&mut changes.deletes, entry)?;
            }
        }
        Ok(())
    }

    /// Finds the files that were there before and to which an added delete applies.
    async fn add_touched(
        &self,
        changes: &mut Changes,
        kept: Vec<ManifestEntry>,
        common: &[&ManifestFile],
    ) -> Result<(), FollowError> {
        let Some(metadata) = &self.metadata else { return Ok(()) };
        if changes.deletes_added.is_empty() {
            return Ok(());
        }
        let index = DeleteIndex::new(&changes.deletes_added);
        let applies = |entry: &ManifestEntry| !index.plan(entry, metadata).is_empty();
        let mut touched: Vec<ManifestEntry> = kept.into_iter().filter(|entry| applies(entry)).collect();
        for of in common.iter().filter(|of| of.content == ManifestContent::Data) {
            for entry in self.live_files(of).await? {
                if entry.file.content == FileContent::Data && applies(&entry) {
                    self.keep(&mut touched, entry)?;
                }
            }
        }
        // Before the removals, which come last.
        let at = changes.tasks.iter().position(|task| matches!(task, Task::Removed(_)));
        let at = at.unwrap_or(changes.tasks.len());
        changes.tasks.splice(at..at, touched.into_iter().map(Task::Touched));
        Ok(())
    }

    async fn manifests_of(&self, snapshot: &Snapshot) -> Result<ManifestFiles, FollowError> {
        match &snapshot.manifests {
            Manifests::Inline(locations) => Ok(locations.iter().map(|l| ManifestFile::inline(l)).collect()),
            Manifests::List(location) => {
                let found = self.run.read_manifest_list(location).await?;
                found.ok_or_else(|| FollowError::Gone(object_key(location)))
            }
        }
    }

    /// `None` where it is not known.
    async fn manifests_before(
        &self,
        followed: Option<&Followed>,
    ) -> Result<Option<ManifestFiles>, FollowError> {
        let Some(followed) = followed.filter(|followed| followed.as_of.0 > 0) else { return Ok(None) };
        let Some(snapshot_id) = followed.snapshot_id else { return Ok(Some(Vec::new())) };
        if let Some(location) = &followed.manifest_list {
            return self.run.read_manifest_list(location).await;
        }
        let metadata = self.metadata.as_deref().filter(|metadata| is_same_table(followed, Some(metadata)));
        match metadata.and_then(|metadata| metadata.snapshot(snapshot_id)) {
            Some(snapshot) => self.manifests_of(snapshot).await.map(Some),
            None => Ok(None),
        }
    }

    /// The live files of a manifest of the target.
    async fn live_files(&self, of: &ManifestFile) -> Result<Vec<ManifestEntry>, FollowError> {
        let spec = self.metadata.as_deref().and_then(|m| m.partition_spec(of.partition_spec_id));
        let unknown = || FollowError::Metadata {
            object: object_key(&of.location),
            what: format!("its partition spec {} is unknown", of.partition_spec_id),
        };
        let spec = spec.ok_or_else(unknown)?;
        // Bounds of the namespace say whose rows a file holds; those of paths are always kept.
        let found = self.run.read_manifest(of, spec, StatsOf::Fields(&[self.columns.ns()])).await?;
        let found = found.ok_or_else(|| FollowError::Gone(object_key(&of.location)))?;
        Ok(found.entries.into_iter().filter(ManifestEntry::is_live).collect())
    }

    /// The live files of a manifest of what was followed, perhaps of a table that is no more; `None` where it is gone.
    async fn live_files_before(&self, of: &ManifestFile) -> Result<Option<Vec<ManifestEntry>>, FollowError> {
        // Their partitions are of no interest.
        let spec = PartitionSpec { spec_id: of.partition_spec_id, fields: Vec::new() };
        let found = self.run.read_manifest(of, &spec, StatsOf::Fields(&[self.columns.ns()])).await?;
        Ok(found.map(|found| found.entries.into_iter().filter(ManifestEntry::is_live).collect()))
    }

    fn keep(&self, files: &mut Vec<ManifestEntry>, entry: ManifestEntry) -> Result<(), FollowError> {
        if files.len() >= CHANGED_FILE_COUNT_MAX {
            let (table, limit) = (self.label.clone(), CHANGED_FILE_COUNT_MAX);
            return Err(FollowError::Limit { table, what: "files of one snapshot's changes", limit });
        }
        files.push(entry);
        Ok(())
    }
}

/// What tells delete files apart: many deletion vectors share an object.
fn identity(file: &DataFile) -> (String, Option<u64>) {
    (file.location.clone(), file.content_offset)
}

/// Files that came and files that went, as tasks, and those that are on both sides.
fn compare(now: Vec<ManifestEntry>, before: Vec<ManifestEntry>) -> (Vec<Task>, Vec<ManifestEntry>) {
    let paths_before: HashSet<String> = before.iter().map(|entry| entry.file.location.clone()).collect();
    let paths_now: HashSet<String> = now.iter().map(|entry| entry.file.location.clone()).collect();
    let (kept, added): (Vec<_>, Vec<_>) =
        now.into_iter().partition(|entry| paths_before.contains(&entry.file.location));
    let removed = before.into_iter().filter(|entry| !paths_now.contains(&entry.file.location));
    let tasks = added.into_iter().map(Task::Added).chain(removed.map(Task::Removed)).collect();
    (tasks, kept)
}
