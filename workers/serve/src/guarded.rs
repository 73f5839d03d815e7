//! Dependencies behind circuit breakers: each ledger, the catalog, the bucket.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use bytes::Bytes;
use firn_api::{
    ledger::LedgerPort,
    ports::{Body, BodyError, Clock},
    tables::catalog::CatalogPlatform,
};
use firn_platform::{CatalogFetch, Objects, ReplyBody, Timer, WallClock};
use firn_store::{
    breaker::{Attempt, Breaker, Outcome},
    retry::Pause,
    timeout::within,
};
use firn_types::{key::Namespace, time::Micros};

/// Longest time that a ledger may take. It answers in a millisecond or two, from another continent in some 300; an
/// object that has to be woken, in a second.
const LEDGER_TIMEOUT_MS: u64 = 2_000;

/// Ledgers whose breakers an isolate knows; beyond it all begin anew.
const LEDGERS_MAX: usize = 1_000;

thread_local! {
    static LEDGER_BREAKERS: RefCell<HashMap<Namespace, Rc<Breaker>>> = RefCell::default();
    static CATALOG_BREAKER: Rc<Breaker> = Rc::default();
    static BUCKET_BREAKER: Rc<Breaker> = Rc::default();
}

pub(crate) fn now() -> Micros {
    WallClock.now()
}

/// The bucket's breaker.
pub(crate) fn bucket_breaker() -> Rc<Breaker> {
    BUCKET_BREAKER.with(Rc::clone)
}

/// Development: what has failed is asked again at once.
pub(crate) fn forget_failures() {
    LEDGER_BREAKERS.with_borrow_mut(HashMap::clear);
    for breaker in [CATALOG_BREAKER.with(Rc::clone), bucket_breaker()] {
        breaker.note(Outcome::Answered, now());
    }
}

/// The ledgers of the deployment.
#[derive(Clone, Debug)]
pub(crate) struct Ledgers(pub(crate) Objects);

impl LedgerPort for Ledgers {
    async fn call(&self, ns: &Namespace, message: Vec<u8>) -> Result<Vec<u8>, String> {
        let breaker = LEDGER_BREAKERS.with_borrow_mut(|breakers| {
            if breakers.len() >= LEDGERS_MAX {
                breakers.clear();
            }
            Rc::clone(breakers.entry(ns.clone()).or_default())
        });
        let attempt = Attempt::begin(&breaker, now).map_err(|_| "the ledger is left alone after failures")?;
        let reply = within(&Timer, LEDGER_TIMEOUT_MS, self.0.call(ns.as_str(), &message)).await;
        let reply = reply.unwrap_or_else(|| Err(format!("no answer within {LEDGER_TIMEOUT_MS} ms")));
        attempt.end(if reply.is_ok() { Outcome::Answered } else { Outcome::Failed });
        reply
    }
}

/// The catalog.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Catalog;

impl Pause for Catalog {
    async fn pause(&self, pause_ms: u64) {
        Timer.pause(pause_ms).await;
    }

    fn jitter(&self) -> u32 {
        Timer.jitter()
    }
}

impl Clock for Catalog {
    fn now(&self) -> Micros {
        now()
    }
}

impl CatalogPlatform for Catalog {
    type Reply = CatalogReply;

    async fn get(&self, url: &str, token: Option<&str>) -> Result<(u16, CatalogReply), String> {
        let breaker = CATALOG_BREAKER.with(Rc::clone);
        let attempt =
            Attempt::begin(&breaker, now).map_err(|_| "the catalog is left alone after failures")?;
        let reply = CatalogFetch.get(url, token).await;
        let is_answer = reply.as_ref().is_ok_and(|(status, _)| *status < 500);
        attempt.end(if is_answer { Outcome::Answered } else { Outcome::Failed });
        reply.map(|(status, body)| (status, CatalogReply(body)))
    }
}

/// The body of a catalog's answer.
#[derive(Debug)]
pub(crate) struct CatalogReply(ReplyBody);

impl Body for CatalogReply {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        self.0.next().await
    }
}
