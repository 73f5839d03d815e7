//! One stream of the local stand-in for Cloudflare Pipelines.
//!
//! Rows wait in SQLite, numbered, until the table holds them; a send is confirmed only when they are durable (the
//! runtime holds the answer back until the write is). A row that violates the schema is accepted and dropped, as the
//! real stream does; here at least it is counted and logged.

use std::{cell::Cell, ops::ControlFlow};

use firn_api::ports::Clock;
use firn_lake::{
    data_file::ROW_GROUP_LEN_BYTES,
    row::{UnknownFields, parse_row},
};
use firn_platform::WallClock;
use serde::Deserialize;
use serde_json::value::RawValue;
use worker::{DurableObject, Env, Error, Request, Response, Result, SqlStorageValue, State, console_error};

use crate::{
    bucket::LakeBucket,
    flush::{Flushed, find_table, flush_once},
    follow::follow_once,
    streams::{configured_streams, table_config},
};

/// Waiting bytes at which a stream is flushed before its time: what fills one data file. Encoding holds the rows of one
/// row group and the compressed file, well within the isolate's 128 MB.
const FLUSH_LEN_BYTES: usize = ROW_GROUP_LEN_BYTES;

/// Pause before a failed flush is tried again.
const RETRY_MILLIS: i64 = 10_000;

/// The rows that wait, oldest first.
pub(crate) trait WaitingRows {
    /// Gives each waiting row with its sequence, oldest first, until `take` breaks off.
    fn for_each(&self, take: impl FnMut(u64, &[u8]) -> Result<ControlFlow<()>>) -> Result<()>;

    /// Drops the rows that the table holds.
    fn forget_up_to(&self, sequence: u64) -> Result<()>;
}

pub use object::StreamObject;

#[expect(missing_docs, reason = "the macro documents none of the methods that it makes")]
mod object {
    use std::cell::Cell;

    use worker::{Env, State, durable_object};

    /// The Durable Object of one stream.
    #[durable_object(alarm)]
    #[derive(Debug)]
    pub struct StreamObject {
        pub(super) state: State,
        pub(super) env: Env,
        /// Bytes that wait; counted anew when the object wakes.
        pub(super) waiting_len_bytes: Cell<usize>,
    }
}

impl DurableObject for StreamObject {
    fn new(state: State, env: Env) -> Self {
        let object = Self { state, env, waiting_len_bytes: Cell::new(0) };
        if let Err(error) = object.prepare() {
            // The next statement fails in the same way, and answers it.
            console_error!("stream: {error}");
        }
        object
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let url = request.url()?;
        let stream =
            url.query_pairs().find(|(name, _)| name == "stream").map(|(_, value)| value.into_owned());
        let stream = stream.ok_or_else(|| Error::RustError("no stream named".to_owned()))?;
        match url.path() {
            "/append" => {
                let body = request.bytes().await?;
                self.append(&stream, &body).await
            }
            "/flush" => {
                self.flush_all(&stream).await?;
                self.report(&stream).await
            }
            path => Response::error(format!("no route {path}"), 404),
        }
    }

    /// Never throws, and sets the next alarm first: the runtime gives up on an alarm after six failures.
    async fn alarm(&self) -> Result<Response> {
        let outcome = match self.state.storage().set_alarm(RETRY_MILLIS).await {
            Ok(()) => self.flush_named().await,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            console_error!("stream: flush failed, trying again in {RETRY_MILLIS} ms: {error}");
            return Response::empty();
        }
        // Production has a schedule for it.
        if let Err(error) = follow_once(&self.env).await {
            console_error!("stream: the tables could not be followed: {error}");
        }
        Response::empty()
    }
}

impl StreamObject {
    fn prepare(&self) -> Result<()> {
        let sql = self.state.storage().sql();
        // AUTOINCREMENT: a sequence is never given twice, even when all rows are gone.
        sql.exec(
            "CREATE TABLE IF NOT EXISTS rows (seq INTEGER PRIMARY KEY AUTOINCREMENT, json BLOB NOT NULL)",
            None,
        )?;
        sql.exec("CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID", None)?;
        let mut sums = sql.exec("SELECT COALESCE(SUM(LENGTH(json)), 0) FROM rows", None)?.raw();
        self.waiting_len_bytes.set(sums.next().transpose()?.as_deref().and_then(first_integer).unwrap_or(0));
        Ok(())
    }

    /// Stores the rows of a JSON array that fit the schema, all in one transaction, and sees to their flush.
    async fn append(&self, stream: &str, body: &[u8]) -> Result<Response> {
        let Ok(records) = serde_json::from_slice::<Vec<&RawValue>>(body) else {
            return Response::error("not a JSON array", 400);
        };
        let sql = self.state.storage().sql();
        let mut dropped_count = 0_i64;
        // No await from here to the last insert: the runtime makes one transaction of it.
        for record in records {
            let json = record.get().as_bytes();
            match parse_row(json, UnknownFields::Violate) {
                Ok(_) => {
                    sql.exec(
                        "INSERT INTO rows (json) VALUES (?)",
                        vec![SqlStorageValue::Blob(json.to_vec())],
                    )?;
                    self.waiting_len_bytes.set(self.waiting_len_bytes.get() + json.len());
                }
                Err(violation) => {
                    dropped_count += 1;
                    console_error!(r#"{{"event":"row_dropped","stream":"{stream}","reason":"{violation}"}}"#);
                }
            }
        }
        let upsert =
            "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = ";
        if dropped_count > 0 {
            let counted = vec!["dropped".into(), SqlStorageValue::Integer(dropped_count)];
            sql.exec(&format!("{upsert} value + excluded.value"), counted)?;
        }
        sql.exec(&format!("{upsert} excluded.value"), vec!["stream".into(), stream.into()])?;
        self.schedule(stream).await?;
        Response::empty()
    }

    /// By size at once, by time otherwise.
    async fn schedule(&self, stream: &str) -> Result<()> {
        let storage = self.state.storage();
        if self.waiting_len_bytes.get() >= FLUSH_LEN_BYTES {
            return storage.set_alarm(0).await;
        }
        if storage.get_alarm().await?.is_some() {
            return Ok(());
        }
        let streams = configured_streams(&self.env);
        let flush_secs = streams.iter().find(|s| s.name == stream).map_or(30, |s| s.flush_secs);
        storage.set_alarm(i64::from(flush_secs) * 1_000).await
    }

    async fn flush_named(&self) -> Result<()> {
        let Some(stream) = self.fact("stream")?.and_then(|value| match value {
            SqlStorageValue::String(stream) => Some(stream),
            _ => None,
        }) else {
            return self.state.storage().delete_alarm().await;
        };
        self.flush_all(&stream).await?;
        if self.waiting_len_bytes.get() == 0 {
            return self.state.storage().delete_alarm().await;
        }
        Ok(())
    }

    /// Flushes until nothing waits of what waited when it began.
    async fn flush_all(&self, stream: &str) -> Result<()> {
        let bucket = LakeBucket::open(&self.env)?;
        let table = table_config(stream);
        let began = WallClock.now();
        let target = self.last_sequence()?;
        while self.first_sequence()?.is_some_and(|first| first <= target) {
            if let Flushed::Rows(count) = flush_once(self, &bucket, &table).await? {
                let millis = (WallClock.now().0 - began.0) / 1_000;
                worker::console_log!(
                    r#"{{"event":"flushed","stream":"{stream}","rows":{count},"millis":{millis}}}"#
                );
            }
        }
        Ok(())
    }

    /// What the stream's table holds, for the development origin.
    async fn report(&self, stream: &str) -> Result<Response> {
        let found = find_table(&LakeBucket::open(&self.env)?, &table_config(stream)).await?;
        let dropped = self.fact("dropped")?;
        let dropped =
            dropped.as_ref().and_then(|value| first_integer(std::slice::from_ref(value))).unwrap_or(0);
        let totals = found.map(|found| Totals::of(&found.metadata_json)).unwrap_or_default();
        Response::from_json(&serde_json::json!({
            "table": stream, "rows": totals.rows, "files": totals.files, "dropped": dropped,
        }))
    }

    fn fact(&self, name: &str) -> Result<Option<SqlStorageValue>> {
        let query = "SELECT value FROM facts WHERE name = ?";
        let mut rows = self.state.storage().sql().exec(query, vec![name.into()])?.raw();
        Ok(rows.next().transpose()?.and_then(|row| row.into_iter().next()))
    }

    fn first_sequence(&self) -> Result<Option<u64>> {
        let mut rows = self.state.storage().sql().exec("SELECT MIN(seq) FROM rows", None)?.raw();
        Ok(rows.next().transpose()?.as_deref().and_then(first_integer).map(|seq| seq as u64))
    }

    fn last_sequence(&self) -> Result<u64> {
        let mut rows = self.state.storage().sql().exec("SELECT MAX(seq) FROM rows", None)?.raw();
        Ok(rows.next().transpose()?.as_deref().and_then(first_integer).map_or(0, |seq| seq as u64))
    }
}

impl WaitingRows for StreamObject {
    fn for_each(&self, mut take: impl FnMut(u64, &[u8]) -> Result<ControlFlow<()>>) -> Result<()> {
        let cursor = self.state.storage().sql().exec("SELECT seq, json FROM rows ORDER BY seq", None)?;
        for row in cursor.raw() {
            let row = row?;
            let [SqlStorageValue::Integer(sequence), SqlStorageValue::Blob(json)] = row.as_slice() else {
                return Err(Error::RustError("a waiting row has another shape".to_owned()));
            };
            if take(u64::try_from(*sequence).unwrap_or(0), json)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn forget_up_to(&self, sequence: u64) -> Result<()> {
        let sequence = SqlStorageValue::try_from_i64(i64::try_from(sequence).unwrap_or(i64::MAX))?;
        let sql = self.state.storage().sql();
        sql.exec("DELETE FROM rows WHERE seq <= ?", vec![sequence])?;
        let mut sums = sql.exec("SELECT COALESCE(SUM(LENGTH(json)), 0) FROM rows", None)?.raw();
        self.waiting_len_bytes.set(sums.next().transpose()?.as_deref().and_then(first_integer).unwrap_or(0));
        Ok(())
    }
}

fn first_integer(row: &[SqlStorageValue]) -> Option<usize> {
    match row.first() {
        Some(SqlStorageValue::Integer(value)) => usize::try_from(*value).ok(),
        _ => None,
    }
}

/// Rows and data files of a table, from the summary of its current snapshot.
#[derive(Debug, Default)]
struct Totals {
    rows: u64,
    files: u64,
}

impl Totals {
    fn of(metadata_json: &[u8]) -> Self {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Metadata {
            current_snapshot_id: Option<i64>,
            #[serde(default)]
            snapshots: Vec<Snapshot>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Snapshot {
            snapshot_id: i64,
            #[serde(default)]
            summary: std::collections::HashMap<String, String>,
        }
        let Ok(metadata) = serde_json::from_slice::<Metadata>(metadata_json) else { return Self::default() };
        let current = metadata.snapshots.iter().find(|s| Some(s.snapshot_id) == metadata.current_snapshot_id);
        let total = |name: &str| current.and_then(|s| s.summary.get(name)?.parse().ok()).unwrap_or(0);
        Self { rows: total("total-records"), files: total("total-data-files") }
    }
}
