//! Follows the lake's tables for their ledgers: on a schedule, and on a laptop after every flush.

use firn_api::{
    follow::{
        Counts, Ending, FollowConfig, FollowError, Lake, REQUEST_COUNT_MAX, Report, TableReport, Tell,
        follow_tables,
        ports::{FollowStore, Ledgers, LedgersPage, Put},
        rebuild::{RebuildFrom, compare_ledger, rebuild_ledger},
    },
    ledger::{
        LedgerPort,
        follow_call::{FollowCall, FollowReply},
        protocol::{decode, encode},
    },
    tables::{
        catalog::{CatalogConfig, HeldCatalog, RestCatalog, Transport},
        config::TableName,
        pointers::{BucketPointers, ConfiguredPointers},
    },
};
use firn_platform::{CatalogFetch, R2Read, Setting, Timer, WallClock, call_ledger};
use firn_store::{
    read::{ObjectBytes, ObjectRead, StoreError, StoreErrorKind},
    retry::RetryRead,
};
use firn_types::{
    key::Namespace,
    object::{ByteRange, ObjectKey},
};
use serde_json::{Value, json};
use worker::{Env, Error, Result, console_error, console_log};

use crate::{
    bucket::LakeBucket,
    ledgers::{list_ledgers, register_ledger},
};

/// Where a run goes on telling ledgers that wait, in KV; there only while they are more than one run asks.
const CURSOR_KEY: &str = "follower:ledgers";

/// Minutes after which the schedule asks the ledgers that it has nothing to report to whether they wait. Rows are sent
/// again after 15 minutes at the earliest; asking each minute would cost five times the requests.
const ASK_MINUTES: f64 = 5.0;

/// Runs of a flush on a laptop, which ends when everything is followed: 500,000 requests.
const FLUSH_RUN_COUNT_MAX: usize = 100;

/// Parked rows that are listed: one page.
const PARKED_COUNT_MAX: u64 = 1_000;

/// What the schedule does each minute; `at_millis` is when it was due.
pub(crate) async fn follow_on_schedule(env: &Env, at_millis: f64) -> Result<()> {
    if (at_millis / 60_000.0) % ASK_MINUTES < 1.0 {
        return follow_once(env).await.map(|_| ());
    }
    run(env, Tell::Touched).await.map(|_| ())
}

/// One run, as far as its requests reach. What it did and what it could not do is in the log.
pub(crate) async fn follow_once(env: &Env) -> Result<Report> {
    let kv = env.kv("FIRN_CONFIG")?;
    let from = kv.get(CURSOR_KEY).text().await?;
    let report = run(env, Tell::Waiting { from: from.clone() }).await?;
    if report.next_ledgers != from {
        match &report.next_ledgers {
            Some(next) => kv.put(CURSOR_KEY, next)?.execute().await?,
            None => kv.delete(CURSOR_KEY).await?,
        }
    }
    Ok(report)
}

/// Runs until every table is followed; gives what was done, as JSON.
///
/// # Errors
/// A table that cannot be followed.
pub(crate) async fn follow_all(env: &Env) -> Result<Vec<Value>> {
    let mut tables = Vec::new();
    for _ in 0..FLUSH_RUN_COUNT_MAX {
        let report = follow_once(env).await?;
        let is_done = |table: &TableReport| matches!(table.ending, Ending::Current);
        let failed = report.tables.iter().find(|table| matches!(table.ending, Ending::Failed(_)));
        if let Some(TableReport { table, ending: Ending::Failed(error), .. }) = failed {
            return Err(Error::RustError(format!("following {table}: {error}")));
        }
        if let Some(error) = &report.tell_error {
            return Err(Error::RustError(format!("telling the ledgers: {error}")));
        }
        tables.extend(report.tables.iter().filter(|table| is_new(table)).map(render));
        if report.tables.iter().all(is_done) {
            return Ok(tables);
        }
    }
    Err(Error::RustError(format!("the tables are not followed after {FLUSH_RUN_COUNT_MAX} runs")))
}

/// Rebuilds the ledger of a namespace from the lake; gives what was reported, as JSON.
pub(crate) async fn rebuild(env: &Env, ns: &Namespace) -> Result<Value> {
    let deployment = Deployment::open(env)?;
    let (pointers, tables) = (deployment.pointers(), tables(env)?);
    let lake = Lake { store: &deployment.store, pointers: &pointers, ledgers: &DeployedLedgers(env) };
    let (mut from, mut counts) = (RebuildFrom::default(), Counts::default());
    for _ in 0..FLUSH_RUN_COUNT_MAX {
        let rebuilt = rebuild_ledger(&lake, &WallClock, &tables, ns, from, REQUEST_COUNT_MAX);
        let rebuilt = rebuilt.await.map_err(|error| failed(&error))?;
        counts.files += rebuilt.counts.files;
        counts.rows += rebuilt.counts.rows;
        counts.learned += rebuilt.counts.learned;
        counts.deleted_rows += rebuilt.counts.deleted_rows;
        counts.removed_files += rebuilt.counts.removed_files;
        counts.unreadable_files += rebuilt.counts.unreadable_files;
        let Some(next) = rebuilt.next else { return Ok(render_counts(&counts)) };
        from = next;
    }
    Err(Error::RustError(format!("the ledger is not rebuilt after {FLUSH_RUN_COUNT_MAX} runs")))
}

/// Compares the ledger of a namespace with the lake; gives the differences, as JSON.
pub(crate) async fn compare(env: &Env, ns: &Namespace) -> Result<Value> {
    let deployment = Deployment::open(env)?;
    let (pointers, tables) = (deployment.pointers(), tables(env)?);
    let lake = Lake { store: &deployment.store, pointers: &pointers, ledgers: &DeployedLedgers(env) };
    let compared = compare_ledger(&lake, &WallClock, &tables, ns).await.map_err(|error| failed(&error))?;
    let differences = compared.differences.iter().map(|of| {
        // As text: JavaScript's numbers end at 2^53.
        let version = of.version.to_string();
        json!({"type": of.artifact_type, "id": of.id, "version": version, "what": of.what.as_str()})
    });
    Ok(json!({
        "rows": compared.row_count, "versions": compared.version_count, "unreadableFiles": compared.unreadable_count,
        "differenceCount": compared.difference_count, "differences": differences.collect::<Vec<_>>(),
    }))
}

/// Figures of a namespace's ledger, and the first rows that are parked in it, as JSON.
pub(crate) async fn status(env: &Env, ns: &Namespace) -> Result<Value> {
    let call = async |call: FollowCall<'_>| {
        let message = encode(&call).map_err(|error| Error::RustError(error.to_string()))?;
        let reply = call_ledger(env, ns, message).await.map_err(Error::RustError)?;
        decode::<FollowCall<'_>>(&reply).map_err(|error| Error::RustError(error.to_string()))
    };
    let parked = call(FollowCall::Parked { from_version: 0, count: PARKED_COUNT_MAX }).await?;
    let (FollowReply::Status(status), FollowReply::Parked(parked)) =
        (call(FollowCall::Status).await?, parked)
    else {
        return Err(Error::RustError("a reply to another call".to_owned()));
    };
    let parked = parked.iter().map(|row| {
        // As text: JavaScript's numbers end at 2^53.
        json!({"type": row.artifact_type, "id": row.id, "version": row.version.to_string()})
    });
    Ok(json!({
        "versions": status.version_count, "heldBytes": status.held_len_bytes, "running": status.running_count,
        "unsent": status.unsent_count, "sent": status.sent_count, "confirmed": status.confirmed_count,
        "parkedCount": status.parked_count, "parked": parked.collect::<Vec<_>>(),
    }))
}

fn failed(error: &FollowError) -> Error {
    Error::RustError(error.to_string())
}

async fn run(env: &Env, tell: Tell) -> Result<Report> {
    let config = FollowConfig { tables: tables(env)?, tell, request_count_max: REQUEST_COUNT_MAX };
    let deployment = Deployment::open(env)?;
    let pointers = deployment.pointers();
    let lake = Lake { store: &deployment.store, pointers: &pointers, ledgers: &DeployedLedgers(env) };
    let report = follow_tables(&lake, &WallClock, &config).await;
    log(&report);
    Ok(report)
}

fn tables(env: &Env) -> Result<Vec<TableName>> {
    let text = Setting(env).text("FIRN_TABLES");
    let text = text.ok_or_else(|| Error::RustError("FIRN_TABLES is not set".to_owned()))?;
    let tables = TableName::parse_list(&text);
    tables.ok_or_else(|| Error::RustError("FIRN_TABLES is not a list of namespace.table".to_owned()))
}

/// The lake as the environment has it.
struct Deployment {
    store: LakeStore,
    /// `None`: pointer objects in the bucket.
    catalog: Option<CatalogConfig>,
    held: HeldCatalog,
}

impl Deployment {
    fn open(env: &Env) -> Result<Self> {
        let setting = Setting(env);
        let catalog = setting.text("FIRN_CATALOG_URI").map(|uri| {
            let transport = if setting.is_development() { Transport::Any } else { Transport::Encrypted };
            let (warehouse, token) =
                (setting.text("FIRN_CATALOG_WAREHOUSE"), setting.text("FIRN_CATALOG_TOKEN"));
            CatalogConfig::new(&uri, warehouse, token, transport)
                .ok_or_else(|| Error::RustError("FIRN_CATALOG_URI is not an https URL".to_owned()))
        });
        let store = LakeStore {
            read: RetryRead::new(R2Read::open(env).map_err(Error::RustError)?, Timer),
            bucket: LakeBucket::open(env)?,
        };
        Ok(Self { store, catalog: catalog.transpose()?, held: HeldCatalog::default() })
    }

    fn pointers(&self) -> ConfiguredPointers<'_, CatalogFetch> {
        match &self.catalog {
            None => ConfiguredPointers::Bucket(BucketPointers),
            Some(config) => ConfiguredPointers::Catalog(RestCatalog::new(config, &self.held, CatalogFetch)),
        }
    }
}

/// Whether there is anything to tell of a table.
fn is_new(table: &TableReport) -> bool {
    table.counts != Counts::default() || !matches!(table.ending, Ending::Current)
}

fn log(report: &Report) {
    for table in report.tables.iter().filter(|table| is_new(table)) {
        let line = json!({"event": "followed", "table": render(table)});
        match &table.ending {
            Ending::Failed(_) => console_error!("{line}"),
            _ => console_log!("{line}"),
        }
        for (file, cause) in &table.unreadable {
            console_error!("{}", json!({"event": "unreadable_file", "file": file, "cause": cause}));
        }
    }
    if let Some(error) = &report.tell_error {
        console_error!("{}", json!({"event": "ledgers_not_told", "cause": error.to_string()}));
    }
}

fn render(table: &TableReport) -> Value {
    let TableReport { table, ending, counts, .. } = table;
    let cause = match ending {
        Ending::Failed(error) => Some(error.to_string()),
        _ => None,
    };
    let mut rendered = render_counts(counts);
    if let Value::Object(members) = &mut rendered {
        members.insert("table".to_owned(), json!(table));
        members.insert("ending".to_owned(), json!(ending.as_str()));
        members.insert("cause".to_owned(), json!(cause));
    }
    rendered
}

fn render_counts(counts: &Counts) -> Value {
    json!({
        "snapshots": counts.snapshots, "files": counts.files, "touchedFiles": counts.touched_files,
        "removedFiles": counts.removed_files, "unreadableFiles": counts.unreadable_files, "rows": counts.rows,
        "deletedRows": counts.deleted_rows, "skippedRows": counts.skipped_rows, "confirmed": counts.confirmed,
        "learned": counts.learned,
    })
}

struct LakeStore {
    read: RetryRead<R2Read, Timer>,
    bucket: LakeBucket,
}

impl ObjectRead for LakeStore {
    async fn read(
        &self,
        key: &ObjectKey,
        range: &ByteRange,
    ) -> core::result::Result<ObjectBytes, StoreError> {
        self.read.read(key, range).await
    }
}

impl FollowStore for LakeStore {
    async fn put_if(
        &self,
        key: &ObjectKey,
        bytes: Vec<u8>,
        etag: Option<&str>,
    ) -> core::result::Result<Put, StoreError> {
        let put = self.bucket.put_if_etag(key, bytes, etag).await.map_err(|error| StoreError {
            kind: StoreErrorKind::Unavailable,
            key: key.clone(),
            source: Some(error.to_string().into()),
        })?;
        Ok(put.map_or(Put::Conflict, |etag| Put::Stored { etag }))
    }
}

struct DeployedLedgers<'e>(&'e Env);

impl LedgerPort for DeployedLedgers<'_> {
    async fn call(&self, ns: &Namespace, message: Vec<u8>) -> core::result::Result<Vec<u8>, String> {
        register_ledger(self.0, ns).await.map_err(|error| format!("listing the ledger: {error}"))?;
        call_ledger(self.0, ns, message).await
    }
}

impl Ledgers for DeployedLedgers<'_> {
    async fn list(&self, cursor: Option<&str>) -> core::result::Result<LedgersPage, String> {
        let (namespaces, next) = list_ledgers(self.0, cursor).await.map_err(|error| error.to_string())?;
        Ok(LedgersPage { namespaces, next })
    }
}
