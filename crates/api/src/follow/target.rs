//! Which snapshot is to be followed next.

use std::collections::{HashMap, HashSet};

use firn_iceberg::{
    followed::Followed,
    metadata::{Snapshot, TableMetadata},
};

/// Most snapshots that are followed one by one. A follower that is further behind goes to the current one at once; what
/// was added and deleted in between is then sent once more.
const CHAIN_LEN_MAX: usize = 1_000;

/// How to come to the current snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By each snapshot that lies between.
    OneByOne,
    /// From the one followed.
    AtOnce,
}

/// What is to be followed next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'m> {
    /// Everything is followed.
    Nothing,
    /// The table as this snapshot has it; with none, it has no files.
    State(Option<&'m Snapshot>),
}

/// Whether what was followed is a snapshot of this table and not of one that had its name before.
pub(super) fn is_same_table(followed: &Followed, metadata: Option<&TableMetadata>) -> bool {
    followed.table_uuid.as_deref() == metadata.and_then(|metadata| metadata.table_uuid.as_deref())
}

/// What is to be followed next.
pub(super) fn next_target<'m>(
    followed: Option<&Followed>,
    metadata: Option<&'m TableMetadata>,
    way: Way,
) -> Target<'m> {
    let current = metadata.and_then(TableMetadata::current_snapshot);
    let Some(followed) = followed else {
        return if metadata.is_some() { Target::State(current) } else { Target::Nothing };
    };
    let is_same = followed.as_of.0 > 0 && is_same_table(followed, metadata);
    let current_id = current.map(|snapshot| snapshot.snapshot_id);
    if is_same && followed.snapshot_id == current_id && followed.underway.is_none() {
        return Target::Nothing;
    }
    if way == Way::AtOnce {
        return Target::State(current);
    }
    let Some(metadata) = metadata else { return Target::State(None) };
    let underway = followed.underway.as_ref().filter(|underway| underway.table_uuid == metadata.table_uuid);
    let begun = underway.and_then(|underway| metadata.snapshot(underway.snapshot_id?));
    let next = || if is_same { next_of_chain(followed.snapshot_id, metadata) } else { None };
    Target::State(begun.or_else(next).or(current))
}

/// The first snapshot after `from` among the current one and those it was made from; with no `from`, the first of all.
/// `None` where they do not lead there.
fn next_of_chain(from: Option<i64>, metadata: &TableMetadata) -> Option<&Snapshot> {
    let by_id: HashMap<i64, &Snapshot> = metadata.snapshots.iter().map(|s| (s.snapshot_id, s)).collect();
    let mut seen = HashSet::new();
    let mut snapshot = metadata.current_snapshot()?;
    while seen.len() < CHAIN_LEN_MAX && seen.insert(snapshot.snapshot_id) {
        if snapshot.parent_snapshot_id == from {
            return Some(snapshot);
        }
        snapshot = snapshot.parent_snapshot_id.and_then(|id| by_id.get(&id).copied())?;
    }
    None
}
