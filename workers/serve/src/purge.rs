//! The entrypoint `Purge`, for the Workers of the deployment alone: a service binding reaches it, no request does.

use std::rc::Rc;

use firn_api::{content::edge::purge::purge as purge_here, purge::message::decode};
use firn_platform::queue_purge;
use firn_store::retry::Pause;
use firn_types::time::Micros;
use futures::future::join;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::Env;

use crate::{SHARED, deployment::draw, development, site::Site};

/// Timers, and the time by which copies are judged.
struct Platform;

impl Pause for Platform {
    async fn pause(&self, pause_ms: u64) {
        firn_platform::Timer.pause(pause_ms).await;
    }

    fn jitter(&self) -> u32 {
        firn_platform::Timer.jitter()
    }
}

impl firn_api::ports::Clock for Platform {
    fn now(&self) -> Micros {
        development::now()
    }
}

/// Removes the copies of what `message` says was written, and has the zone purged of them. They are gone in this data
/// centre when it is done.
///
/// # Errors
/// A message of another version; a queue of the zone's purge that does not take it.
#[wasm_bindgen]
pub async fn purge(message: Vec<u8>, env: Env) -> Result<(), JsValue> {
    let touched = decode(&message).map_err(|error| JsValue::from(error.to_string()))?;
    let shared = SHARED.with(Rc::clone);
    let site = Site::of(env);
    let edge = site.edge();
    let here = purge_here(&edge, &shared.generations, &Platform, &draw, &touched);
    let ((), queued) = join(here, queue_purge(&site.env, &message)).await;
    queued.map_err(JsValue::from)
}
