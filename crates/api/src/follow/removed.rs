//! Data files that are no part of the table any more, to the ledgers that may hold locations in them.
//!
//! Whose rows a removed file held is found in this order: its bounds of the namespace, where they are equal; the file
//! itself, which stays until its snapshots expire; else every ledger is told. A ledger that never heard of a file notes
//! a removal all the same, and forgets it after a day. Nothing depends on it for a right answer: a read whose location
//! names a file that is gone falls to the lookup by manifests.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use firn_iceberg::manifest::ManifestEntry;
use firn_store::perform::CONNECTIONS_MAX;
use firn_types::key::Namespace;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::{
    FollowError,
    confirm::FileError,
    objects::object_key,
    ports::{FollowStore, Ledgers},
    rows::{parse_namespace, read_namespace},
    table::Table,
};
use crate::{
    ledger::follow_call::{FollowCall, FollowReply},
    tables::pointers::TablePointers,
};

/// Removed files that are reported together.
pub(super) const REMOVED_AT_ONCE_MAX: usize = 100;

/// Files of one page of a ledger's list.
const PAGE_FILE_COUNT: u64 = 1_000;

/// Most ledgers that can all be told of one removal: at 250 bytes each, 25 MB.
const LEDGER_COUNT_MAX: usize = 100_000;

/// Whose rows a file held.
enum Holders {
    These(BTreeSet<Namespace>),
    Unknown,
}

impl<S: FollowStore, P: TablePointers, L: Ledgers> Table<'_, '_, S, P, L> {
    /// Reports at most [`REMOVED_AT_ONCE_MAX`] files as removed.
    pub(super) async fn report_removed(&self, removed: &[&ManifestEntry]) -> Result<(), FollowError> {
        let mut by_namespace: BTreeMap<Namespace, Vec<String>> = BTreeMap::new();
        let mut for_all = Vec::new();
        for entry in removed {
            let path = object_key(&entry.file.location).as_str().to_owned();
            match self.holders_of(entry).await? {
                Holders::Unknown => for_all.push(path),
                Holders::These(namespaces) => {
                    for namespace in namespaces {
                        by_namespace.entry(namespace).or_default().push(path.clone());
                    }
                }
            }
        }
        let sends = by_namespace.iter().map(|(namespace, paths)| self.send_removed(namespace, paths));
        stream::iter(sends).buffer_unordered(CONNECTIONS_MAX).try_collect::<()>().await?;
        if for_all.is_empty() {
            return Ok(());
        }
        let ledgers = self.all_ledgers().await?;
        let sends = ledgers.iter().map(|namespace| self.send_removed(namespace, &for_all));
        stream::iter(sends).buffer_unordered(CONNECTIONS_MAX).try_collect().await
    }

    async fn send_removed(&self, namespace: &Namespace, paths: &[String]) -> Result<(), FollowError> {
        for paths in paths.chunks(REMOVED_AT_ONCE_MAX) {
            let paths = paths.iter().map(String::as_str).collect();
            self.run.report(namespace, &FollowCall::FilesRemoved { table: &self.label, paths }).await?;
        }
        Ok(())
    }

    async fn holders_of(&self, entry: &ManifestEntry) -> Result<Holders, FollowError> {
        if self.is_anew.get() {
            // Its field ids are those of another schema.
            return Ok(Holders::Unknown);
        }
        if let Some(stats) = entry.file.stats_of(self.columns.ns())
            && let (Some(lower), Some(upper)) = (&stats.lower_bound, &stats.upper_bound)
            && lower == upper
            && let Ok(namespace) = str::from_utf8(lower)
        {
            // An upper bound that was cut short was raised as well, so bounds that are equal are whole.
            return Ok(Holders::These(parse_namespace(namespace).into_iter().collect()));
        }
        match self.read_namespaces(entry).await {
            Ok(namespaces) => Ok(Holders::These(namespaces)),
            Err(FileError::Gone(_) | FileError::Unreadable(_)) => Ok(Holders::Unknown),
            Err(FileError::Run(error)) => Err(error),
        }
    }

    async fn read_namespaces(&self, entry: &ManifestEntry) -> Result<BTreeSet<Namespace>, FileError> {
        let mut scan = self.scan(&[self.columns.ns()], entry, &[])?;
        let mut namespaces = BTreeSet::new();
        while let Some(rows) = self.next_rows(&mut scan).await? {
            namespaces.extend(rows.into_iter().filter_map(read_namespace));
        }
        Ok(namespaces)
    }

    /// Where it is not known what was live before: what each ledger holds for live and is not, was removed.
    pub(super) async fn report_unlisted(&self, live: &HashSet<String>) -> Result<(), FollowError> {
        let ledgers = self.all_ledgers().await?;
        let sends = ledgers.iter().map(|namespace| self.report_unlisted_to(namespace, live));
        stream::iter(sends).buffer_unordered(CONNECTIONS_MAX).try_collect().await
    }

    pub(super) async fn report_unlisted_to(
        &self,
        namespace: &Namespace,
        live: &HashSet<String>,
    ) -> Result<(), FollowError> {
        let mut after = String::new();
        loop {
            let call = FollowCall::FilesPage { table: &self.label, after: &after, count: PAGE_FILE_COUNT };
            let FollowReply::Files(mut page) = self.run.call(namespace, &call).await? else { return Ok(()) };
            let Some(last) = page.last().cloned() else { return Ok(()) };
            page.retain(|path| !live.contains(path));
            self.count(|counts| counts.removed_files += page.len() as u64);
            self.send_removed(namespace, &page).await?;
            after = last;
        }
    }

    /// Every ledger that was ever written, as far as the list and this run know.
    async fn all_ledgers(&self) -> Result<BTreeSet<Namespace>, FollowError> {
        let mut namespaces = self.run.touched.borrow().clone();
        let mut cursor = None;
        loop {
            let page = self.run.list_ledgers(cursor.as_deref()).await?;
            namespaces.extend(page.namespaces);
            if namespaces.len() > LEDGER_COUNT_MAX {
                let (table, limit) = (self.label.clone(), LEDGER_COUNT_MAX);
                return Err(FollowError::Limit { table, what: "ledgers to be told of one removal", limit });
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(namespaces);
            }
        }
    }
}
