//! The driver: what waits goes to the zone, in calls as many and as large as may be.
//!
//! 1. Something is due, by the queue and the pace; else it says when to come back.
//! 2. A batch is taken out and a token taken; both are stored before the call, so that a crash neither forgets what is
//!    on its way nor calls too often.
//! 3. The call, within its deadline. No borrow is held meanwhile: more may be pushed.
//! 4. How it ended is noted and stored.

use std::cell::{Cell, RefCell};

use firn_store::{retry::Pause, timeout::within};
use firn_types::time::Micros;

use super::{
    config::PurgeConfig,
    pace::{Ending, Pace},
    queue::{Changes, Queue, Target, Waiting},
    zone::{ANSWER_LEN_BYTES_MAX, CALL_TIMEOUT_MS, read_answer, render_purge},
};
use crate::{
    cache_tags::CacheTag,
    ports::{Body, Clock},
};

/// How long one drain goes on, in microseconds: an alarm of a Durable Object may take 15 minutes, and others want the
/// object too.
const DRAIN_MICROS_MAX: i64 = 60_000_000;

/// How much later than it should be done a watch drains.
const LATE_MS: u64 = 500;

/// Longest pause before a drain that is watched; what must wait longer is the alarm's.
const WATCHED_MS_MAX: u64 = 15_000;

/// What draining needs of its platform, besides timers and the clock.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait ZonePlatform: Pause + Clock {
    /// Body of an answer. Dropping it ends the connection.
    type Reply: Body;

    /// One POST of JSON, with this bearer token, to exactly this URL: a redirect is an answer like any other. Dropping
    /// the future ends the connection. Gives the status, `Retry-After` and the body. `Err` says why there is no
    /// answer; never with the token.
    async fn post(
        &self,
        url: &str,
        token: &str,
        body: String,
    ) -> Result<(u16, Option<String>, Self::Reply), String>;

    /// Stores what changed, all of it or nothing.
    ///
    /// # Errors
    /// What the storage says.
    fn store(&self, changes: &Changes, pace: &Pace) -> Result<(), String>;

    /// Notes in the log that a call ended so, or that tags found no room.
    fn note(&self, event: &Event<'_>);
}

/// What the log says.
#[derive(Debug)]
pub enum Event<'a> {
    /// A call ended.
    Called {
        /// How.
        ending: &'a Ending,
        /// Tags of the call.
        tag_count: usize,
    },
    /// So many namespaces found no room; their copies go when their time is over.
    Dropped(u64),
}

/// The queue of a zone.
#[derive(Debug)]
pub struct Purger {
    config: PurgeConfig,
    state: RefCell<(Queue, Pace)>,
    is_watched: Cell<bool>,
}

impl Purger {
    /// With what was stored.
    pub fn new(config: PurgeConfig, stored: &[Waiting], pace: Pace) -> Self {
        let queue = Queue::restore(config.limits(), stored);
        Self { config, state: RefCell::new((queue, pace)), is_watched: Cell::new(false) }
    }

    /// Takes in what was touched, and stores it.
    ///
    /// # Errors
    /// What the storage says; then the caller must not say that it was taken.
    pub fn push(&self, platform: &impl ZonePlatform, targets: &[Target]) -> Result<(), String> {
        let mut state = self.state.borrow_mut();
        state.0.push(platform.now(), targets);
        store(&mut state, platform)
    }

    /// When to drain next; `None` where nothing waits.
    pub fn next_drain(&self) -> Option<Micros> {
        let state = self.state.borrow();
        let (queue, pace) = &*state;
        if let Some(until) = queue.sending_until() {
            return Some(until);
        }
        let is_full = queue.len() >= self.config.tags_per_call;
        queue.oldest().map(|since| pace.next_call(self.config.rate, since, is_full))
    }

    /// Makes calls as long as one is due. An error of the storage ends it; what was not stored is drained again.
    pub async fn drain(&self, platform: &impl ZonePlatform) -> Result<(), String> {
        let began = platform.now();
        while platform.now().0.saturating_sub(began.0) < DRAIN_MICROS_MAX {
            let tags = self.take_due(platform)?;
            if tags.is_empty() {
                return Ok(());
            }
            let ending = self.call(platform, &tags).await;
            platform.note(&Event::Called { ending: &ending, tag_count: tags.len() });
            self.end(platform, &ending)?;
        }
        Ok(())
    }

    /// Drains where no alarm does: a little later than it should be done, as long as what waits is due soon. Does nothing
    /// where the queue is watched already.
    pub async fn watch(&self, platform: &impl ZonePlatform) -> Result<(), String> {
        if self.is_watched.replace(true) {
            return Ok(());
        }
        let outcome = self.drain_late(platform).await;
        self.is_watched.set(false);
        outcome
    }

    async fn drain_late(&self, platform: &impl ZonePlatform) -> Result<(), String> {
        while let Some(at) = self.next_drain() {
            let left_ms = (at.0 - platform.now().0).max(0).unsigned_abs() / 1_000;
            let is_calling = self.state.borrow().0.sending_until().is_some();
            let left_ms = match is_calling {
                // When to call next is known once this call has ended.
                true => left_ms.min(CALL_TIMEOUT_MS),
                false if left_ms > WATCHED_MS_MAX => return Ok(()),
                false => left_ms,
            };
            platform.pause(left_ms + LATE_MS).await;
            self.drain(platform).await?;
        }
        Ok(())
    }

    fn take_due(&self, platform: &impl ZonePlatform) -> Result<Vec<CacheTag>, String> {
        let now = platform.now();
        if self.next_drain().is_none_or(|at| at > now) {
            return Ok(Vec::new());
        }
        let mut state = self.state.borrow_mut();
        let tags = state.0.send(now, self.config.tags_per_call);
        if !tags.is_empty() {
            state.1.call(self.config.rate, now);
        }
        store(&mut state, platform)?;
        Ok(tags)
    }

    async fn call(&self, platform: &impl ZonePlatform, tags: &[CacheTag]) -> Ending {
        let zone = &self.config.zone;
        let calling = async {
            let posted = platform.post(zone.url(), zone.token(), render_purge(tags)).await;
            let (status, retry_after, reply) = match posted {
                Ok(answer) => answer,
                Err(why) => return Ending::Failed(why),
            };
            match read_start(reply).await {
                Ok(body) => read_answer(status, retry_after.as_deref(), &body),
                Err(why) => Ending::Failed(why),
            }
        };
        let ended = within(platform, CALL_TIMEOUT_MS, calling).await;
        ended.unwrap_or_else(|| Ending::Failed(format!("no answer within {CALL_TIMEOUT_MS} ms")))
    }

    fn end(&self, platform: &impl ZonePlatform, ending: &Ending) -> Result<(), String> {
        let mut state = self.state.borrow_mut();
        let (queue, pace) = &mut *state;
        match ending {
            Ending::Purged => queue.arrived(),
            _ => queue.failed(),
        }
        pace.ended(self.config.rate, platform.now(), ending, platform.jitter());
        store(&mut state, platform)
    }
}

fn store(state: &mut (Queue, Pace), platform: &impl ZonePlatform) -> Result<(), String> {
    let (queue, pace) = state;
    let changes = queue.take_changes();
    match queue.take_dropped_count() {
        0 => {}
        count => platform.note(&Event::Dropped(count)),
    }
    platform.store(&changes, pace)
}

/// The body as far as it is looked at.
async fn read_start(mut body: impl Body) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    while let Some(bytes) = body.next().await.map_err(|error| error.to_string())? {
        all.extend_from_slice(&bytes);
        if all.len() > ANSWER_LEN_BYTES_MAX {
            return Err(format!("an answer of over {ANSWER_LEN_BYTES_MAX} bytes"));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
