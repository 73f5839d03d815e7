//! The ledger of one namespace as a Durable Object: messages in, replies out, and the alarm that empties its outbox.
//! What it does is [`firn_ledger`]'s; here are storage, time and the streams.

use std::{
    cell::{Cell, OnceCell},
    str::FromStr,
};

use firn_api::{
    ingest::sink::SinkError,
    ledger::{object::answer, protocol::may_leave_work},
    ports::Clock,
};
use firn_ledger::{
    Ledger,
    limits::Options,
    outbox::SendFailure,
    sweep::{Swept, Upkeep},
};
use firn_platform::{Setting, Timer, WallClock};
use firn_store::retry::Pause;
use firn_types::{mode::Mode, time::Micros};
use wasm_bindgen::{JsError, prelude::wasm_bindgen};
use worker::{DurableObject, Env, Error, Request, Response, Result, State, console_error};

use crate::{sql::ObjectSql, stream::Streams};

/// Pause before an alarm that died is tried again.
const RETRY_MILLIS: i64 = 60_000;

/// How often another sender of the same object looks whether it may.
const SEND_POLL_MILLIS: u64 = 20;

/// How long one alarm goes on; another one follows it. Cloudflare ends an alarm after 15 minutes.
const ALARM_MICROS_MAX: i64 = 60_000_000;

/// Most of the JSON that is sent at once: what bulk sends.
const BATCH_LEN_BYTES_MAX: usize = Mode::Bulk.chunk_len_bytes_max();

pub use object::LedgerObject;

#[expect(missing_docs, reason = "the macro documents none of the methods that it makes")]
mod object {
    use std::cell::{Cell, OnceCell};

    use firn_ledger::Ledger;
    use worker::{Env, State, durable_object};

    /// The Durable Object of one namespace's ledger.
    #[durable_object(alarm)]
    #[derive(Debug)]
    pub struct LedgerObject {
        pub(super) state: State,
        pub(super) env: Env,
        pub(super) ledger: OnceCell<Ledger>,
        /// Whether a batch is on its way: two at once would be the same rows.
        pub(super) is_sending: Cell<bool>,
    }
}

impl DurableObject for LedgerObject {
    fn new(state: State, env: Env) -> Self {
        Self { state, env, ledger: OnceCell::new(), is_sending: Cell::new(false) }
    }

    /// Development alone; messages come by [`LedgerObject::call`].
    async fn fetch(&self, request: Request) -> Result<Response> {
        let url = request.inner().url();
        let (path, query) = url.split_once('?').unwrap_or((&url, ""));
        if path.ends_with("/drain") && Setting(&self.env).is_development() {
            self.drain(query.contains("forget=1")).await?;
            self.schedule().await?;
            return Response::empty();
        }
        Response::error("no such route", 404)
    }

    /// Never throws, and sets the next alarm first: the runtime gives up on an alarm after six failures.
    async fn alarm(&self) -> Result<Response> {
        let outcome = match self.state.storage().set_alarm(RETRY_MILLIS).await {
            Ok(()) => self.work().await,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            console_error!(r#"{{"event":"ledger_alarm_failed","cause":"{error}"}}"#);
        }
        Response::empty()
    }
}

#[wasm_bindgen]
impl LedgerObject {
    /// Answers a message, by RPC from the Workers of the deployment.
    ///
    /// # Errors
    /// A message of another version; storage that fails.
    pub async fn call(&self, message: Vec<u8>) -> core::result::Result<Vec<u8>, JsError> {
        let reply = answer(self.ledger(), WallClock.now(), &message)?;
        // What was written may have to go on: to the stream, or away again.
        if may_leave_work(&message) {
            self.schedule().await?;
        }
        Ok(reply)
    }
}

impl LedgerObject {
    fn ledger(&self) -> &Ledger {
        self.ledger.get_or_init(|| Ledger::new(Box::new(ObjectSql::new(&self.state)), options(&self.env)))
    }

    async fn work(&self) -> Result<()> {
        let began = WallClock.now();
        let has_time = || WallClock.now().0 - began.0 < ALARM_MICROS_MAX;
        while has_time() && self.send_batch().await? {}
        while has_time() {
            let Swept { upkeep, parked_count } = self.ledger().sweep(WallClock.now()).map_err(failed)?;
            if parked_count > 0 {
                console_error!(r#"{{"event":"rows_parked","rows":{parked_count}}}"#);
            }
            if upkeep == Upkeep::Done {
                break;
            }
        }
        self.schedule().await
    }

    /// Sends what is due, once; false where nothing is, or the stream does not take it now.
    async fn send_batch(&self) -> Result<bool> {
        // By a timer: nothing may be awaited that another request wakes.
        while self.is_sending.get() {
            Timer.pause(SEND_POLL_MILLIS).await;
        }
        self.is_sending.set(true);
        let _sending = Sending(&self.is_sending);
        let Some(batch) = self.ledger().next_batch(WallClock.now(), BATCH_LEN_BYTES_MAX).map_err(failed)?
        else {
            return Ok(false);
        };
        let result = Streams(&self.env).send_json(batch.mode, &batch.json).await;
        let now = WallClock.now();
        let noted = match &result {
            Ok(()) => self.ledger().sent(now, &batch),
            Err(error) => {
                console_error!(
                    r#"{{"event":"outbox_send_failed","rows":{},"cause":"{error}"}}"#,
                    batch.versions.len()
                );
                self.ledger().send_failed(now, &batch, failure(error))
            }
        };
        noted.map_err(failed)?;
        Ok(!matches!(result, Err(SinkError::Unavailable(_) | SinkError::Throttled { .. })))
    }

    /// Development: everything due is sent now; `forget` lets confirmed content go.
    async fn drain(&self, forget: bool) -> Result<()> {
        while self.send_batch().await? {}
        if forget {
            while self.ledger().release(Micros(i64::MAX), u64::MAX).map_err(failed)? == Upkeep::More {}
        }
        Ok(())
    }

    async fn schedule(&self) -> Result<()> {
        let storage = self.state.storage();
        let Some(at) = self.ledger().next_alarm(WallClock.now()).map_err(failed)? else {
            return storage.delete_alarm().await;
        };
        let millis = (at.0 - WallClock.now().0).max(0) / 1_000;
        if let Some(set) = storage.get_alarm().await?
            && set <= at.0 / 1_000
            && set > WallClock.now().0 / 1_000
        {
            return Ok(());
        }
        storage.set_alarm(millis).await
    }
}

/// Ends the sending however it ends.
struct Sending<'o>(&'o Cell<bool>);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

fn options(env: &Env) -> Options {
    let defaults = Options::default();
    let micros = |name: &str, default: Micros| {
        setting(env, name).map_or(default, |secs: i64| Micros(secs * 1_000_000))
    };
    Options {
        held_len_bytes_max: setting(env, "FIRN_HELD_LEN_BYTES").unwrap_or(defaults.held_len_bytes_max),
        resend_after: micros("FIRN_RESEND_SECONDS", defaults.resend_after),
        content_kept: micros("FIRN_CONTENT_SECONDS", defaults.content_kept),
    }
}

fn setting<T: FromStr>(env: &Env, name: &str) -> Option<T> {
    Setting(env).text(name)?.parse().ok()
}

fn failure(error: &SinkError) -> SendFailure {
    match error {
        SinkError::Refused(_) => SendFailure::Refused,
        SinkError::Throttled { retry_after_ms } => {
            let asked = retry_after_ms.and_then(|millis| i64::try_from(millis).ok());
            SendFailure::Unavailable { retry_after: asked.map(Micros::from_millis) }
        }
        _ => SendFailure::Unavailable { retry_after: None },
    }
}

fn failed(error: impl std::error::Error) -> Error {
    Error::RustError(error.to_string())
}
