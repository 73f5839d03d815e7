//! The rate of one namespace: a fixed window of a minute, counted exactly and kept over restarts. (The ledger will take
//! this over; until then it is an object of its own.)

use firn_api::{
    ports::Clock,
    tenancy::{RateDecision, RateWindow},
};
use firn_platform::WallClock;
use worker::{DurableObject, Env, Headers, Request, Response, Result, SqlStorageValue, State};

pub use object::LimitsObject;

#[expect(missing_docs, reason = "the macro documents none of the methods that it makes")]
mod object {
    use worker::{State, durable_object};

    /// The Durable Object of one namespace's rate.
    #[durable_object(fetch)]
    #[derive(Debug)]
    pub struct LimitsObject {
        pub(super) state: State,
    }
}

impl DurableObject for LimitsObject {
    fn new(state: State, _env: Env) -> Self {
        Self { state }
    }

    /// `POST /take?limit=N`: 200 or 429, `X-Left` is the requests left or the seconds to wait.
    async fn fetch(&self, request: Request) -> Result<Response> {
        let url = request.inner().url();
        let limit = url.rsplit_once("limit=").and_then(|(_, limit)| limit.parse().ok()).unwrap_or(0);
        let mut window = self.read()?;
        let before = window;
        let (status, left) = match window.take(WallClock.now(), limit) {
            RateDecision::Allowed { remaining } => (200, remaining),
            RateDecision::Limited { retry_after_secs } => (429, retry_after_secs),
        };
        if window != before {
            self.write(window)?;
        }
        let headers = Headers::new();
        headers.set("X-Left", &left.to_string())?;
        Ok(Response::empty()?.with_status(status).with_headers(headers))
    }
}

impl LimitsObject {
    fn read(&self) -> Result<RateWindow> {
        let sql = self.state.storage().sql();
        sql.exec(
            "CREATE TABLE IF NOT EXISTS window (one INTEGER PRIMARY KEY, minute INTEGER, count INTEGER)",
            None,
        )?;
        let mut rows = sql.exec("SELECT minute, count FROM window", None)?.raw();
        Ok(match rows.next().transpose()?.as_deref() {
            Some([SqlStorageValue::Integer(minute), SqlStorageValue::Integer(count)]) => {
                RateWindow { minute: *minute, count: u64::try_from(*count).unwrap_or(0) }
            }
            _ => RateWindow::default(),
        })
    }

    fn write(&self, window: RateWindow) -> Result<()> {
        let count = SqlStorageValue::Integer(i64::try_from(window.count).unwrap_or(i64::MAX));
        let values = vec![SqlStorageValue::Integer(window.minute), count];
        let sql = self.state.storage().sql();
        sql.exec("INSERT OR REPLACE INTO window (one, minute, count) VALUES (1, ?, ?)", values)?;
        Ok(())
    }
}
