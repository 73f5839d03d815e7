//! Filling the edge cache behind an answer: with what was just read, or with a newer row than the copy that was sent.

use std::{cell::Cell, rc::Rc};

use bytes::Bytes;
use firn_types::time::Micros;

use super::{
    answer::Freshness,
    edge::{Copy, EdgeCache, entry::Entry},
    load::Reading,
    path::ContentPath,
    ports::ReadPorts,
    query::{Wanted, secs},
    read::current_version,
};
use crate::cache_tags::EDGE_LIFETIME_SECS_MAX;

/// How long a copy is not refreshed by another request, after one has begun to.
const REFRESH_MICROS: i64 = 30_000_000;

impl<P: ReadPorts> Reading<'_, P> {
    /// Keeps a copy, and removes it if the artifact has changed meanwhile.
    pub(super) fn fill_behind(&self, place: String, entry: Entry, body: Bytes, bound: Freshness) {
        let (ports, path) = (Rc::clone(self.ports), self.path.clone());
        self.ports.run_behind(Box::pin(async move {
            fill(ports.as_ref(), &path, place, entry, body, bound).await;
        }));
    }

    /// Fetches a newer copy behind the answer, once for all requests of the isolate.
    pub(super) fn refresh_behind(&self, place: &str, now: Micros) {
        let mut refreshing = self.shared.refreshing.borrow_mut();
        refreshing.retain(|_, began| (0..REFRESH_MICROS).contains(&(now.0 - began.0)));
        if refreshing.contains_key(place) {
            return;
        }
        refreshing.insert(place.to_owned(), now);
        let (ports, shared, path) = (Rc::clone(self.ports), Rc::clone(self.shared), self.path.clone());
        let (terms, place) = (Rc::clone(self.terms), place.to_owned());
        self.ports.run_behind(Box::pin(async move {
            let cost = Cell::default();
            let reading = Reading {
                ports: &ports,
                shared: &shared,
                path: &path,
                // What is kept must be for anyone.
                caller: None,
                terms: &terms,
                wanted: Wanted::Within(secs(terms.max_age_secs)),
                now,
                cost: &cost,
            };
            reading.refresh(place.clone()).await;
            shared.refreshing.borrow_mut().remove(&place);
        }));
    }

    async fn refresh(&self, place: String) {
        let bound = Freshness::of(self.wanted, self.terms);
        match (self.load_whole(bound, None).await, bound) {
            (Ok((_, Some((entry, body)))), Some(bound)) => {
                fill(self.ports.as_ref(), self.path, place, entry, body, bound).await;
            }
            // It cannot be read now: the copy stays until its time is up.
            (Err(problem), _) if problem.code.status() >= 500 => {}
            // It is gone, or not for anyone any more.
            _ => self.ports.edge().remove(&[place]).await,
        }
    }
}

/// Puts a copy, then asks the ledger again, then removes it if the artifact has changed since it was read.
async fn fill<P: ReadPorts>(
    ports: &P,
    path: &ContentPath,
    place: String,
    entry: Entry,
    body: Bytes,
    bound: Freshness,
) {
    let kept = bound.until(entry.facts.expires_at, entry.read_at);
    let ttl_secs = u64::from(kept.max_age_secs) + u64::from(kept.stale_secs);
    let ttl_secs = secs(ttl_secs.min(EDGE_LIFETIME_SECS_MAX));
    if ttl_secs == 0 {
        return;
    }
    let entry = Entry { stored_at: ports.now(), ..entry };
    let (note, tags) = (entry.render(), ports.cache_tags(&path.key));
    ports.edge().store(&place, Copy { note: &note, tags: &tags, body }, ttl_secs).await;
    let Some(ledgers) = ports.ledgers() else { return };
    if current_version(ledgers, path).await != Ok(entry.ledger_version) {
        ports.edge().remove(&[place]).await;
    }
}
