//! One flush: the oldest waiting rows of a stream become a data file and a snapshot of its table, exactly once.
//!
//! The steps are those of [`firn_lake::commit`]; what makes it exactly once is that the rows stay in SQLite until the
//! table's own metadata says that it holds them.

use std::{collections::BTreeMap, ops::ControlFlow};

use firn_api::ports::Clock;
use firn_iceberg::pointer::{Pointer, pointer_key};
use firn_lake::{
    commit::{
        Append, CommitIds, CommitPlan, CurrentTable, StoredDataFile, StreamRange, TableConfig, plan_commit,
        plan_merge,
    },
    data_file::DataFileWriter,
    metadata::{committed_sequence, current_manifest_list},
    row::{UnknownFields, parse_row},
};
use firn_platform::{WallClock, random_id};
use firn_types::object::ObjectKey;
use uuid::Uuid;
use worker::{Error, Result};

use crate::{
    bucket::{LakeBucket, Put},
    stream_object::WaitingRows,
};

/// Attempts at one commit: each lost one means that another writer's succeeded.
const ATTEMPTS_MAX: u32 = 10;

/// The table as a flush found it.
pub(crate) struct Found {
    etag: String,
    pub(crate) metadata_location: String,
    pub(crate) metadata_json: Vec<u8>,
}

/// What a flush came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// So many rows were committed; there may be more.
    Rows(u64),
    /// Nothing was waiting.
    Nothing,
}

/// Reads the pointer and the metadata that it names; `None` where there is no table yet.
pub(crate) async fn find_table(bucket: &LakeBucket, table: &TableConfig) -> Result<Option<Found>> {
    let key = pointer_key(&table.namespace, &table.name);
    let Some(object) = bucket.get(&key).await? else { return Ok(None) };
    let pointer =
        Pointer::parse(&object.bytes).ok_or_else(|| Error::RustError(format!("{key} is no pointer")))?;
    let metadata_json = bucket.require(&key_of(table, &pointer.metadata_location)?).await?;
    Ok(Some(Found { etag: object.etag, metadata_location: pointer.metadata_location, metadata_json }))
}

/// Commits the oldest waiting rows, as many as one data file takes.
pub(crate) async fn flush_once(
    rows: &impl WaitingRows,
    bucket: &LakeBucket,
    table: &TableConfig,
) -> Result<Flushed> {
    for _ in 0..ATTEMPTS_MAX {
        let found = find_table(bucket, table).await?;
        if let Some(found) = &found
            && let Some(committed) = committed_sequence(&found.metadata_json, &table.name).map_err(failed)?
        {
            rows.forget_up_to(committed)?;
        }
        let Some((range, file)) = store_data_file(rows, bucket, table).await? else {
            return Ok(Flushed::Nothing);
        };
        let plan = plan(bucket, table, found.as_ref(), &range, &file).await?;
        if store(bucket, plan, found.as_ref().map(|f| f.etag.as_str())).await? == Put::Stored {
            rows.forget_up_to(range.last)?;
            return Ok(Flushed::Rows(file.metrics.record_count));
        }
        // The lost attempt's file is named by nothing; take it away again.
        bucket.0.delete(file.key.as_str()).await?;
    }
    Err(Error::RustError(format!("{ATTEMPTS_MAX} commits to {} were lost to other writers", table.name)))
}

async fn store_data_file(
    rows: &impl WaitingRows,
    bucket: &LakeBucket,
    table: &TableConfig,
) -> Result<Option<(StreamRange, StoredDataFile)>> {
    let now = WallClock.now();
    let mut writer = DataFileWriter::new(now).map_err(failed)?;
    let mut sequences: Option<(u64, u64)> = None;
    rows.for_each(|sequence, json| {
        // Checked before it was stored.
        let row = parse_row(json, UnknownFields::Violate).map_err(failed)?;
        // One row group a file: then a lookup finds footer and page index in its first read.
        if sequences.is_some() && !writer.has_room_for(&row) {
            return Ok(ControlFlow::Break(()));
        }
        writer.push(&row).map_err(failed)?;
        sequences = Some((sequences.map_or(sequence, |(first, _)| first), sequence));
        Ok(ControlFlow::Continue(()))
    })?;
    let Some((first, last)) = sequences else { return Ok(None) };
    let file = writer.finish().map_err(failed)?;
    let key = table.data_file_key(file.metrics.day, random_uuid()?);
    bucket.put(&key, file.bytes).await?;
    let range = StreamRange { stream: table.name.clone(), first, last };
    Ok(Some((range, StoredDataFile { key, metrics: file.metrics })))
}

async fn plan(
    bucket: &LakeBucket,
    table: &TableConfig,
    found: Option<&Found>,
    range: &StreamRange,
    file: &StoredDataFile,
) -> Result<CommitPlan> {
    let mut manifest_list = None;
    let mut manifests = Vec::new();
    if let Some(found) = found
        && let Some(location) = current_manifest_list(&found.metadata_json).map_err(failed)?
    {
        let list = bucket.require(&key_of(table, &location)?).await?;
        for location in plan_merge(&list).map_err(failed)? {
            let bytes = bucket.require(&key_of(table, &location)?).await?;
            manifests.push((location, bytes));
        }
        manifest_list = Some(list);
    }
    let current = found.map(|found| CurrentTable {
        metadata_location: &found.metadata_location,
        metadata_json: &found.metadata_json,
        manifest_list: manifest_list.as_deref(),
        manifests: &manifests,
    });
    let append = Append { files: std::slice::from_ref(file), range, summary: BTreeMap::new() };
    let ids = CommitIds { commit: random_uuid()?, table: random_uuid()?, snapshot_id: random_snapshot_id() };
    plan_commit(table, current.as_ref(), &append, &ids, WallClock.now()).map_err(failed)
}

async fn store(bucket: &LakeBucket, plan: CommitPlan, etag: Option<&str>) -> Result<Put> {
    let (pointer, bytes) = plan.pointer;
    for (key, bytes) in plan.objects {
        bucket.put(&key, bytes).await?;
    }
    bucket.put_if(&pointer, bytes, etag).await
}

fn key_of(table: &TableConfig, location: &str) -> Result<ObjectKey> {
    table.key_of(location).ok_or_else(|| Error::RustError(format!("{location} lies outside the bucket")))
}

fn random_uuid() -> Result<Uuid> {
    Uuid::parse_str(&random_id()).map_err(failed)
}

/// Positive and below 2^53, as other writers' are.
fn random_snapshot_id() -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
    let id = (js_sys::Math::random() * 9_007_199_254_740_991.0) as i64;
    id.max(1)
}

fn failed(error: impl std::error::Error) -> Error {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Error::RustError(text)
}
