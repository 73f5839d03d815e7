//! The summary of a snapshot that appends (<https://iceberg.apache.org/spec/#optional-snapshot-summary-fields>), with
//! Firn's own two keys.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    commit::Append,
    metadata::{SUMMARY_COMMITTED_SEQUENCE, SUMMARY_STREAM, Snapshot},
    partition::PartitionDay,
};

/// What `append` adds, and what the table holds with it.
pub(crate) fn summarise_snapshot(append: &Append<'_>, parent: Option<&Snapshot>) -> BTreeMap<String, String> {
    let mut summary = append.summary.clone();
    let mut put = |key: &str, value: String| {
        summary.insert(key.to_owned(), value);
    };
    let metrics = || append.files.iter().map(|file| &file.metrics);
    let days: BTreeSet<PartitionDay> = metrics().map(|m| m.day).collect();
    put("operation", "append".to_owned());
    put("changed-partition-count", days.len().to_string());
    for (name, added) in [
        ("data-files", append.files.len() as u64),
        ("records", metrics().map(|m| m.record_count).sum()),
        ("files-size", metrics().map(|m| m.file_size_bytes).sum()),
    ] {
        put(&format!("added-{name}"), added.to_string());
        let key = format!("total-{name}");
        // A total is only known where the parent's is; a table without a snapshot has none of anything.
        let before = parent.map_or(Some(0), |p| p.summary.get(&key)?.parse::<u64>().ok());
        if let Some(before) = before {
            put(&key, before.saturating_add(added).to_string());
        }
    }
    for key in ["total-delete-files", "total-position-deletes", "total-equality-deletes"] {
        if let Some(total) = parent.map_or(Some("0"), |p| p.summary.get(key).map(String::as_str)) {
            put(key, total.to_owned());
        }
    }
    put(SUMMARY_STREAM, append.range.stream.clone());
    put(SUMMARY_COMMITTED_SEQUENCE, append.range.last.to_string());
    summary
}
