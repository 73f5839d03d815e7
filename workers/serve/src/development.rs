//! Routes of the development origin: what an isolate holds, forgetting it, and a clock that can be set.

use core::arch::wasm32;
use std::{cell::Cell, rc::Rc};

use firn_api::{
    http::{RequestHead, Response},
    ports::Clock,
};
use firn_platform::WallClock;
use firn_store::cache::CacheCounts;
use firn_types::time::Micros;

use crate::{SHARED, deployment::draw, guarded::forget_failures, lake::HELD};

/// A page of the module's memory.
const PAGE_LEN_BYTES: usize = 64 * 1024;

thread_local! {
    /// By how much the clock of copies and rows is ahead.
    static OFFSET_MICROS: Cell<i64> = const { Cell::new(0) };
    /// Stands in the host name of copies, so that all of them can be left behind.
    static EPOCH: Cell<u64> = const { Cell::new(0) };
}

/// The host name of copies: the deployment's, until a test has asked to forget them.
pub(crate) fn host(host: &str) -> String {
    match EPOCH.get() {
        0 => host.to_owned(),
        epoch => format!("{epoch:x}.{host}"),
    }
}

/// The time by which copies and rows are judged: the runtime's, but for what a test has asked for.
pub(crate) fn now() -> Micros {
    Micros(WallClock.now().0 + OFFSET_MICROS.get())
}

/// `/$.dev/isolate` (what is held, as JSON), `/$.dev/forget` (`?held=1`: as in a fresh isolate; `?copies=1`: with an empty edge cache), `/$.dev/clock?offset=SECONDS`; `None` elsewhere.
pub(crate) fn route(head: &RequestHead) -> Option<Response> {
    match head.path.as_str() {
        "/$.dev/forget" => {
            forget_failures();
            HELD.with(|held| match head.query.as_str() {
                "held=1" => held.forget_all(),
                _ => held.forget_pointers(),
            });
            if head.query == "copies=1" {
                EPOCH.set(draw());
                SHARED.with(Rc::clone).generations.forget();
            }
            Some(Response::new(200))
        }
        "/$.dev/clock" => {
            let offset_secs: Option<i64> =
                head.query.strip_prefix("offset=").and_then(|secs| secs.parse().ok());
            let Some(offset_secs) = offset_secs else {
                return Some(Response::new(400).with_body("offset=SECONDS is missing"));
            };
            OFFSET_MICROS.set(offset_secs.saturating_mul(1_000_000));
            // What is held with a time was held by another clock.
            SHARED.with(Rc::clone).generations.forget();
            HELD.with(|held| held.forget_pointers());
            Some(Response::new(200))
        }
        "/$.dev/isolate" => Some(describe_isolate()),
        _ => None,
    }
}

fn describe_isolate() -> Response {
    let memory_len_bytes = wasm32::memory_size::<0>() * PAGE_LEN_BYTES;
    let (held_len_bytes, CacheCounts { hits, misses, evictions }) = HELD.with(|held| held.counts());
    let lookups = SHARED.with(Rc::clone).flights.count();
    let body = format!(
        r#"{{"memoryLenBytes":{memory_len_bytes},"heldLenBytes":{held_len_bytes},"hits":{hits},"misses":{misses},"evictions":{evictions},"lookups":{lookups}}}"#
    );
    Response::new(200).with("Content-Type", "application/json").with_body(body)
}
