//! The queue that purges the zone, as a Durable Object: what was touched comes in, an alarm sends it on. What it does is
//! [`firn_api::purge`]'s; here are storage, time and the connection.

use std::{cell::RefCell, rc::Rc};

use firn_api::{
    ports::Clock,
    purge::{
        config::PurgeConfig,
        drain::{Event, Purger, ZonePlatform},
        message::decode,
        pace::{BUCKET_DEFAULT, CALLS_PER_MINUTE_DEFAULT, Ending, Pace, Rate, TAGS_PER_CALL_DEFAULT},
        queue::{Changes, Waiting, targets_of},
        zone::{API_DEFAULT, Zone},
    },
    tables::catalog::Transport,
};
use firn_platform::{HostSha256, ReplyBody, Setting, Timer, WallClock, post_json};
use firn_store::retry::Pause;
use firn_types::time::Micros;
use wasm_bindgen::{JsError, prelude::wasm_bindgen};
use worker::{
    DurableObject, Env, Error, Request, Response, Result, SqlStorage, SqlStorageValue, State, console_error,
    console_log,
};

/// Pause before an alarm that died is tried again: by then its call is over, too.
const RETRY_MILLIS: i64 = 12_000;

pub use object::PurgeObject;

#[expect(missing_docs, reason = "the macro documents none of the methods that it makes")]
mod object {
    use std::{cell::RefCell, rc::Rc};

    use firn_api::purge::drain::Purger;
    use worker::{Env, State, durable_object};

    /// The Durable Object of the zone's queue.
    #[durable_object(alarm)]
    #[derive(Debug)]
    pub struct PurgeObject {
        pub(super) state: State,
        pub(super) env: Env,
        /// `None` before the first use, and after the storage failed: then what it holds counts.
        pub(super) purger: RefCell<Option<Rc<Purger>>>,
    }
}

impl DurableObject for PurgeObject {
    fn new(state: State, env: Env) -> Self {
        Self { state, env, purger: RefCell::new(None) }
    }

    async fn fetch(&self, _: Request) -> Result<Response> {
        Response::error("messages come by RPC", 404)
    }

    /// Never throws, and sets the next alarm first: the runtime gives up on an alarm after six failures.
    async fn alarm(&self) -> Result<Response> {
        let outcome = match self.state.storage().set_alarm(RETRY_MILLIS).await {
            Ok(()) => self.work().await,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            console_error!(
                "{}",
                serde_json::json!({"event": "purge_alarm_failed", "cause": error.to_string()})
            );
        }
        Response::empty()
    }
}

#[wasm_bindgen]
impl PurgeObject {
    /// Queues what a message says was touched, by RPC from the Workers of the deployment.
    ///
    /// # Errors
    /// A message of another version; storage that fails.
    pub async fn call(&self, message: Vec<u8>) -> core::result::Result<Vec<u8>, JsError> {
        let purge = decode(&message)?;
        if let Some(purger) = self.open()? {
            self.keep(purger.push(&self.platform(), &targets_of::<HostSha256>(&purge)))?;
            self.schedule(&purger).await?;
            self.state.wait_until(watch(purger, self.platform()));
        }
        Ok(Vec::new())
    }
}

impl PurgeObject {
    async fn work(&self) -> Result<()> {
        let Some(purger) = self.open()? else { return self.state.storage().delete_alarm().await };
        self.keep(purger.drain(&self.platform()).await)?;
        self.schedule(&purger).await
    }

    fn platform(&self) -> ObjectPlatform {
        ObjectPlatform(self.state.storage().sql())
    }

    /// The queue with what is stored of it; `None` where no zone is configured.
    fn open(&self) -> Result<Option<Rc<Purger>>> {
        if let Some(purger) = &*self.purger.borrow() {
            return Ok(Some(Rc::clone(purger)));
        }
        let Some(config) = purge_config(&self.env).map_err(Error::RustError)? else { return Ok(None) };
        let sql = self.state.storage().sql();
        let statement =
            "CREATE TABLE IF NOT EXISTS waiting (tag TEXT PRIMARY KEY, waiting BLOB NOT NULL) WITHOUT ROWID";
        sql.exec(statement, None)?;
        let statement = "CREATE TABLE IF NOT EXISTS pace (one INTEGER PRIMARY KEY, pace BLOB NOT NULL)";
        sql.exec(statement, None)?;
        let waiting: Vec<Waiting> = stored(&sql, "SELECT waiting FROM waiting")?;
        let pace: Vec<Pace> = stored(&sql, "SELECT pace FROM pace")?;
        let purger = Rc::new(Purger::new(config, &waiting, pace.first().copied().unwrap_or_default()));
        self.purger.replace(Some(Rc::clone(&purger)));
        Ok(Some(purger))
    }

    fn keep(&self, outcome: core::result::Result<(), String>) -> Result<()> {
        outcome.map_err(|why| {
            self.purger.replace(None);
            Error::RustError(why)
        })
    }

    async fn schedule(&self, purger: &Purger) -> Result<()> {
        let storage = self.state.storage();
        match purger.next_drain() {
            Some(at) => storage.set_alarm((at.0 - WallClock.now().0).max(0) / 1_000).await,
            None => storage.delete_alarm().await,
        }
    }
}

/// Looks after the queue behind a request: workerd was seen to lose an alarm that a request sets at the moment at which
/// another one ends.
async fn watch(purger: Rc<Purger>, platform: ObjectPlatform) {
    if let Err(error) = purger.watch(&platform).await {
        // What is stored counts, and the alarm begins with it.
        console_error!("{}", serde_json::json!({"event": "purge_failed", "cause": error}));
    }
}

/// What is stored, but for what another version wrote: its copies go when their time is over.
fn stored<T: for<'a> serde::Deserialize<'a>>(sql: &SqlStorage, query: &str) -> Result<Vec<T>> {
    let mut values = Vec::new();
    for row in sql.exec(query, None)?.raw() {
        if let [SqlStorageValue::Blob(bytes)] = row?.as_slice() {
            values.extend(postcard::from_bytes(bytes));
        }
    }
    Ok(values)
}

struct ObjectPlatform(SqlStorage);

impl Pause for ObjectPlatform {
    async fn pause(&self, pause_ms: u64) {
        Timer.pause(pause_ms).await;
    }

    fn jitter(&self) -> u32 {
        Timer.jitter()
    }
}

impl Clock for ObjectPlatform {
    fn now(&self) -> Micros {
        WallClock.now()
    }
}

impl ZonePlatform for ObjectPlatform {
    type Reply = ReplyBody;

    async fn post(
        &self,
        url: &str,
        token: &str,
        body: String,
    ) -> core::result::Result<(u16, Option<String>, ReplyBody), String> {
        post_json(url, token, &body).await
    }

    // Nothing is awaited between the first statement and the last: the runtime makes one transaction of them.
    fn store(&self, changes: &Changes, pace: &Pace) -> core::result::Result<(), String> {
        let run =
            |statement, values| self.0.exec(statement, values).map(|_| ()).map_err(|error| error.to_string());
        let blob = |bytes| SqlStorageValue::Blob(bytes);
        for (tag, change) in changes {
            let tag = SqlStorageValue::String(tag.to_string());
            match change {
                None => run("DELETE FROM waiting WHERE tag = ?", vec![tag])?,
                Some(waiting) => {
                    let bytes = postcard::to_allocvec(waiting).map_err(|error| error.to_string())?;
                    run("INSERT OR REPLACE INTO waiting VALUES (?, ?)", vec![tag, blob(bytes)])?;
                }
            }
        }
        let bytes = postcard::to_allocvec(pace).map_err(|error| error.to_string())?;
        run("INSERT OR REPLACE INTO pace VALUES (1, ?)", vec![blob(bytes)])
    }

    fn note(&self, event: &Event<'_>) {
        let line = |event, tags, cause: &str| {
            serde_json::json!({"event": event, "tags": tags, "cause": cause}).to_string()
        };
        match event {
            Event::Called { ending: Ending::Purged, tag_count } => {
                console_log!("{}", serde_json::json!({"event": "purged", "tags": tag_count}));
            }
            Event::Called { ending: Ending::Throttled { retry_after_secs }, tag_count } => {
                let cause = format!("Retry-After: {retry_after_secs:?}");
                console_error!("{}", line("purge_throttled", *tag_count, &cause));
            }
            Event::Called { ending: Ending::Failed(cause), tag_count } => {
                console_error!("{}", line("purge_failed", *tag_count, cause));
            }
            Event::Called { ending: Ending::Refused(cause), tag_count } => {
                console_error!("{}", line("purge_refused", *tag_count, cause));
            }
            Event::Dropped(count) => {
                let count = usize::try_from(*count).unwrap_or(usize::MAX);
                console_error!("{}", line("purge_dropped", count, "too much waits"));
            }
        }
    }
}

/// `None` where no zone is configured.
fn purge_config(env: &Env) -> core::result::Result<Option<PurgeConfig>, String> {
    let setting = Setting(env);
    let Some(id) = setting.text("FIRN_PURGE_ZONE") else { return Ok(None) };
    let token = setting.text("FIRN_PURGE_TOKEN").ok_or("FIRN_PURGE_TOKEN is not set")?;
    let api = setting.text("FIRN_PURGE_API").unwrap_or_else(|| API_DEFAULT.to_owned());
    let transport = if setting.is_development() { Transport::Any } else { Transport::Encrypted };
    let zone = Zone::new(&api, &id, token, transport)
        .ok_or("FIRN_PURGE_ZONE is no zone's id, or FIRN_PURGE_API no https URL")?;
    let rate = Rate {
        calls_per_minute: setting.number("FIRN_PURGE_CALLS_PER_MINUTE", CALLS_PER_MINUTE_DEFAULT)?,
        bucket: setting.number("FIRN_PURGE_BUCKET", BUCKET_DEFAULT)?,
    };
    PurgeConfig::new(zone, rate, setting.number("FIRN_PURGE_TAGS_PER_CALL", TAGS_PER_CALL_DEFAULT)?).map(Some)
}
