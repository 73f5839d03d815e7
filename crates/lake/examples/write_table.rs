//! Writes rows from standard input (NDJSON, as they are sent to a stream) as an Iceberg table into a local folder, in
//! several commits: what the interoperability tests read.
//!
//! ```text
//! write_table FOLDER TABLE [--commits N] [--root URL] [--ingest-ts RFC3339] [--step-seconds N]
//! ```
//! The folder is the bucket: object keys are paths in it. Without rows the table is made empty. Rows are dealt out to the commits in order; each commit's
//! `__ingest_ts` is a step after that of the one before. Prints the metadata's location. A row that violates the
//! schema is dropped and reported, as a stream would. Ids are counted, so that a run can be repeated exactly.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use firn_iceberg::pointer::{Pointer, pointer_key};
use firn_lake::{
    commit::{
        Append, CommitIds, CommitPlan, CurrentTable, StoredDataFile, StreamRange, TableConfig, plan_commit,
        plan_create, plan_merge,
    },
    data_file::DataFileWriter,
    metadata::{committed_sequence, current_manifest_list},
    row::{Row, UnknownFields, parse_row},
};
use firn_types::{object::ObjectKey, time::Micros};
use uuid::Uuid;

const TABLE_UUID: Uuid = Uuid::from_u128(u128::MAX);

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Options {
    folder: PathBuf,
    table: TableConfig,
    commit_count: usize,
    ingest_ts: Micros,
    step: Micros,
}

fn main() -> Outcome<()> {
    let options = parse_options(std::env::args().skip(1))?;
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text)?;
    let rows = parse_rows(&text);
    if rows.is_empty() {
        let ids = CommitIds { commit: Uuid::from_u128(0), table: TABLE_UUID, snapshot_id: 1 };
        let plan = plan_create(&options.table, &ids, options.ingest_ts)?;
        println!("{}", store(&options.folder, plan)?);
    }
    let per_commit = rows.len().div_ceil(options.commit_count).max(1);
    for (commit_idx, chunk) in rows.chunks(per_commit).enumerate() {
        let steps = i64::try_from(commit_idx)?;
        let now = Micros(options.ingest_ts.0 + steps * options.step.0);
        let location = commit(&options, chunk, now)?;
        println!("{location}");
    }
    Ok(())
}

fn parse_options(mut args: impl Iterator<Item = String>) -> Outcome<Options> {
    let usage =
        "write_table FOLDER TABLE [--commits N] [--root URL] [--ingest-ts RFC3339] [--step-seconds N]";
    let folder = PathBuf::from(args.next().ok_or(usage)?);
    fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    let name = args.next().ok_or(usage)?;
    let table = TableConfig {
        root: format!("file://{}", folder.display()),
        prefix: format!("lake/firn/{name}"),
        namespace: "firn".to_owned(),
        name,
    };
    let ingest_ts = Micros::parse_rfc3339("2026-01-31T23:59:58.123456Z").unwrap_or_default();
    let mut options = Options { folder, table, commit_count: 1, ingest_ts, step: Micros(1_000_000) };
    while let Some(flag) = args.next() {
        let value = args.next().ok_or(usage)?;
        match flag.as_str() {
            "--commits" => options.commit_count = value.parse()?,
            "--root" => options.table.root = value,
            "--ingest-ts" => options.ingest_ts = Micros::parse_rfc3339(&value).ok_or("not RFC 3339")?,
            "--step-seconds" => options.step = Micros(value.parse::<i64>()? * 1_000_000),
            _ => return Err(usage.into()),
        }
    }
    Ok(options)
}

fn parse_rows(text: &[u8]) -> Vec<Row> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let parsed = lines.enumerate().map(|(idx, line)| {
        parse_row(line, UnknownFields::Violate)
            .inspect_err(|violation| eprintln!("row {idx} dropped: {violation}"))
    });
    parsed.filter_map(Result::ok).collect()
}

/// The protocol of `firn_lake::commit`, with a folder for a bucket and no other writer.
fn commit(options: &Options, rows: &[Row], now: Micros) -> Outcome<String> {
    let Options { folder, table, .. } = options;
    let pointer_key = pointer_key(&table.namespace, &table.name);
    let pointer = if path_of(folder, &pointer_key).exists() {
        Some(Pointer::parse(&read(folder, &pointer_key)?).ok_or("no pointer")?)
    } else {
        None
    };
    let read_location = |location: &str| read(folder, &table.key_of(location).ok_or("outside the folder")?);
    let metadata_json = pointer.as_ref().map(|p| read_location(&p.metadata_location)).transpose()?;
    let (mut manifest_list, mut manifests, mut committed) = (None, Vec::new(), 0);
    if let Some(json) = &metadata_json {
        committed = committed_sequence(json, &table.name)?.unwrap_or(0);
        manifest_list = current_manifest_list(json)?.map(|location| read_location(&location)).transpose()?;
    }
    for location in manifest_list.as_deref().map(plan_merge).transpose()?.unwrap_or_default() {
        let bytes = read_location(&location)?;
        manifests.push((location, bytes));
    }
    let range = StreamRange {
        stream: table.name.clone(),
        first: committed + 1,
        last: committed + u64::try_from(rows.len())?,
    };
    let n = u128::from(range.first);
    let ids =
        CommitIds { commit: Uuid::from_u128(n), table: TABLE_UUID, snapshot_id: i64::try_from(range.first)? };
    let mut writer = DataFileWriter::new(now)?;
    for row in rows {
        writer.push(row)?;
    }
    let file = writer.finish()?;
    let key = table.data_file_key(file.metrics.day, ids.commit);
    write(folder, &key, &file.bytes)?;
    let files = [StoredDataFile { key, metrics: file.metrics }];
    let append = Append { files: &files, range: &range, summary: BTreeMap::new() };
    let current =
        pointer.as_ref().zip(metadata_json.as_deref()).map(|(pointer, metadata_json)| CurrentTable {
            metadata_location: &pointer.metadata_location,
            metadata_json,
            manifest_list: manifest_list.as_deref(),
            manifests: &manifests,
        });
    let plan = plan_commit(table, current.as_ref(), &append, &ids, now)?;
    store(folder, plan)
}

fn store(folder: &Path, plan: CommitPlan) -> Outcome<String> {
    for (key, bytes) in plan.objects.iter().chain([&plan.pointer]) {
        write(folder, key, bytes)?;
    }
    Ok(plan.metadata_location)
}

fn path_of(folder: &Path, key: &ObjectKey) -> PathBuf {
    folder.join(key.as_str())
}

#[expect(clippy::disallowed_methods, reason = "a native tool: the folder is its bucket")]
fn read(folder: &Path, key: &ObjectKey) -> Outcome<Vec<u8>> {
    Ok(fs::read(path_of(folder, key))?)
}

fn write(folder: &Path, key: &ObjectKey, bytes: &[u8]) -> Outcome<()> {
    let path = path_of(folder, key);
    fs::create_dir_all(path.parent().ok_or("a key without a folder")?)?;
    Ok(fs::write(path, bytes)?)
}
