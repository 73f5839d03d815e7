//! When a JWKS is fetched again, and how long an old one is used (design.md §3 "Tokens").
//!
//! ```text
//!  fetched            FRESH_SECS                    STALE_SECS
//!     ├── use ───────────┼── use, refresh behind ──────┼── not used: fetch first
//!     └ an unknown key asks for a refresh, at most every REFRESH_SECS_MIN
//! ```
//!
//! A state machine without I/O and without a clock; one lives in each isolate. No request awaits another's fetch
//! (design.md §6): whoever is told [`KeysStep::Fetch`] fetches and reports, the others look again on timers of their
//! own. A fetch whose request dies is forgotten after [`FETCH_SECS_MAX`].

use std::sync::Arc;

use crate::key_set::KeySet;

/// How long a fetched set is used without a thought of refreshing it. It is how long a key that its provider withdrew
/// still works while the provider can be reached.
pub const FRESH_SECS: i64 = 600;

/// How long a fetched set is used where refreshing fails: a provider's outage of less than an hour goes unnoticed, a
/// withdrawn key dies after an hour at the latest.
pub const STALE_SECS: i64 = 3_600;

/// Shortest time between two fetches, whatever tokens arrive.
pub const REFRESH_SECS_MIN: i64 = 30;

/// Shortest time between two fetches while there is nothing to use: every request fails meanwhile.
pub const RETRY_SECS_MIN: i64 = 5;

/// Deadline of a fetch; the caller enforces it, and the cache forgets a fetch that did not report by then.
pub const FETCH_SECS_MAX: i64 = 5;

/// What to do about keys before a token is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysStep {
    /// Use these.
    Use(Arc<KeySet>),
    /// Use these, and fetch behind the answer; the result goes to [`JwksCache::on_success`] or
    /// [`JwksCache::on_failure`].
    UseAndFetch(Arc<KeySet>),
    /// Fetch first and report, then ask again.
    Fetch,
    /// Another request is fetching: ask again after a short timer.
    LookAgain,
}

/// What to do about a token whose key is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnknownKeyStep {
    /// Newer keys have arrived since: try these.
    Use(Arc<KeySet>),
    /// Fetch and report, then ask again.
    Fetch,
    /// Another request is fetching: ask again after a short timer.
    LookAgain,
    /// The keys are recent: refuse the token.
    Refuse,
    /// There are no fetched keys that could be used: refuse the request as a failure of ours, not of the token.
    Unavailable {
        /// Seconds until the next fetch is allowed.
        retry_after_secs: i64,
    },
}

/// The keys of a JWKS behind a URL, together with those of the configuration. Seconds may be of any epoch, and need
/// not rise.
#[derive(Debug)]
pub struct JwksCache {
    configured: Arc<KeySet>,
    fetched: Option<Fetched>,
    last: Option<Attempt>,
}

#[derive(Debug)]
struct Fetched {
    /// With the configured ones.
    keys: Arc<KeySet>,
    at_secs: i64,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    at_secs: i64,
    state: AttemptState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AttemptState {
    Running,
    Ended,
}

impl JwksCache {
    /// A cache that has fetched nothing yet. `configured` holds the keys that need no fetch; it may be empty.
    pub fn new(configured: KeySet) -> Self {
        Self { configured: Arc::new(configured), fetched: None, last: None }
    }

    /// The keys to verify a token with. Where it asks for a fetch, that fetch counts as begun.
    pub fn keys(&mut self, now_secs: i64) -> KeysStep {
        let Some(age_secs) = self.usable_age_secs(now_secs) else {
            return match self.fetch_gate(now_secs, RETRY_SECS_MIN) {
                Gate::Open => KeysStep::Fetch,
                Gate::Running => KeysStep::LookAgain,
                Gate::Closed { .. } => KeysStep::Use(Arc::clone(&self.configured)),
            };
        };
        let keys = self.current();
        if age_secs < FRESH_SECS || self.fetch_gate(now_secs, REFRESH_SECS_MIN) != Gate::Open {
            return KeysStep::Use(keys);
        }
        KeysStep::UseAndFetch(keys)
    }

    /// What to do when `tried` holds no key for a token. Where it asks for a fetch, that fetch counts as begun.
    pub fn after_unknown_key(&mut self, tried: &Arc<KeySet>, now_secs: i64) -> UnknownKeyStep {
        let usable = self.usable_age_secs(now_secs).is_some();
        let current = self.current();
        if usable && !Arc::ptr_eq(&current, tried) {
            return UnknownKeyStep::Use(current);
        }
        let pause_secs = if usable { REFRESH_SECS_MIN } else { RETRY_SECS_MIN };
        match self.fetch_gate(now_secs, pause_secs) {
            Gate::Open => UnknownKeyStep::Fetch,
            Gate::Running => UnknownKeyStep::LookAgain,
            Gate::Closed { .. } if usable => UnknownKeyStep::Refuse,
            Gate::Closed { retry_after_secs } => UnknownKeyStep::Unavailable { retry_after_secs },
        }
    }

    /// A fetch gave these keys.
    pub fn on_success(&mut self, keys: &KeySet, now_secs: i64) {
        self.fetched = Some(Fetched { keys: Arc::new(self.configured.and(keys)), at_secs: now_secs });
        self.on_failure(now_secs);
    }

    /// A fetch failed, or what it gave is not a key set.
    pub fn on_failure(&mut self, now_secs: i64) {
        self.last = Some(Attempt { at_secs: now_secs, state: AttemptState::Ended });
    }

    fn current(&self) -> Arc<KeySet> {
        Arc::clone(self.fetched.as_ref().map_or(&self.configured, |fetched| &fetched.keys))
    }

    /// The age of the fetched keys, unless there are none or they are too old. A clock that stepped back makes them
    /// old, not eternally young.
    fn usable_age_secs(&self, now_secs: i64) -> Option<i64> {
        let age_secs = now_secs.saturating_sub(self.fetched.as_ref()?.at_secs);
        (0..STALE_SECS).contains(&age_secs).then_some(age_secs)
    }

    fn fetch_gate(&mut self, now_secs: i64, pause_secs: i64) -> Gate {
        if let Some(last) = self.last {
            let since_secs = now_secs.saturating_sub(last.at_secs);
            let passed = |limit_secs: i64| !(0..limit_secs).contains(&since_secs);
            match last.state {
                AttemptState::Running if !passed(FETCH_SECS_MAX) => return Gate::Running,
                AttemptState::Ended if !passed(pause_secs) => {
                    return Gate::Closed { retry_after_secs: pause_secs - since_secs };
                }
                AttemptState::Running | AttemptState::Ended => {}
            }
        }
        self.last = Some(Attempt { at_secs: now_secs, state: AttemptState::Running });
        Gate::Open
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    Running,
    Closed { retry_after_secs: i64 },
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_000_000;

    fn set(secret: char) -> KeySet {
        KeySet::from_secret(&secret.to_string().repeat(32)).unwrap()
    }

    /// A cache that fetched `f` at [`START`], and what it then uses.
    fn fetched(configured: KeySet) -> (JwksCache, Arc<KeySet>) {
        let mut cache = JwksCache::new(configured);
        assert_eq!(cache.keys(START), KeysStep::Fetch);
        cache.on_success(&set('f'), START);
        let KeysStep::Use(keys) = cache.keys(START) else { panic!("just fetched") };
        (cache, keys)
    }

    #[test]
    fn first_request_fetches_and_the_others_look_again() {
        let mut cache = JwksCache::new(KeySet::default());
        assert_eq!(cache.keys(START), KeysStep::Fetch);
        assert_eq!(cache.keys(START), KeysStep::LookAgain);
        assert_eq!(cache.keys(START + FETCH_SECS_MAX - 1), KeysStep::LookAgain);
        // The request that fetched was killed: it reports nothing.
        assert_eq!(cache.keys(START + FETCH_SECS_MAX), KeysStep::Fetch);
        cache.on_success(&set('f'), START + FETCH_SECS_MAX + 1);
        assert_eq!(cache.keys(START + FETCH_SECS_MAX + 1), KeysStep::Use(Arc::new(set('f'))));
    }

    #[test]
    fn configured_keys_work_while_nothing_can_be_fetched() {
        let mut cache = JwksCache::new(set('c'));
        assert_eq!(cache.keys(START), KeysStep::Fetch);
        cache.on_failure(START + 1);
        let configured = Arc::new(set('c'));
        assert_eq!(cache.keys(START + 1), KeysStep::Use(Arc::clone(&configured)));
        assert_eq!(cache.keys(START + RETRY_SECS_MIN), KeysStep::Use(Arc::clone(&configured)));
        assert_eq!(
            cache.after_unknown_key(&configured, START + 2),
            UnknownKeyStep::Unavailable { retry_after_secs: RETRY_SECS_MIN - 1 }
        );
        assert_eq!(cache.keys(START + 1 + RETRY_SECS_MIN), KeysStep::Fetch);
        cache.on_success(&set('f'), START + 10);
        assert_eq!(cache.keys(START + 10), KeysStep::Use(Arc::new(set('c').and(&set('f')))));
    }

    #[test]
    fn old_keys_are_refreshed_behind_the_answer_and_end_when_that_fails() {
        let (mut cache, keys) = fetched(KeySet::default());
        assert_eq!(cache.keys(START + FRESH_SECS - 1), KeysStep::Use(Arc::clone(&keys)));
        assert_eq!(cache.keys(START + FRESH_SECS), KeysStep::UseAndFetch(Arc::clone(&keys)));
        assert_eq!(cache.keys(START + FRESH_SECS), KeysStep::Use(Arc::clone(&keys)));
        cache.on_failure(START + FRESH_SECS + 1);
        assert_eq!(cache.keys(START + FRESH_SECS + 30), KeysStep::Use(Arc::clone(&keys)));
        assert_eq!(cache.keys(START + FRESH_SECS + 31), KeysStep::UseAndFetch(Arc::clone(&keys)));
        cache.on_failure(START + STALE_SECS - 10);
        assert_eq!(cache.keys(START + STALE_SECS - 1), KeysStep::Use(keys));
        assert_eq!(cache.keys(START + STALE_SECS), KeysStep::Fetch);
        cache.on_failure(START + STALE_SECS);
        assert_eq!(cache.keys(START + STALE_SECS + 1), KeysStep::Use(Arc::new(KeySet::default())));
    }

    #[test]
    fn unknown_key_refreshes_at_most_every_30_seconds() {
        let (mut cache, keys) = fetched(KeySet::default());
        assert_eq!(cache.after_unknown_key(&keys, START + 1), UnknownKeyStep::Refuse);
        assert_eq!(cache.after_unknown_key(&keys, START + 29), UnknownKeyStep::Refuse);
        assert_eq!(cache.after_unknown_key(&keys, START + 30), UnknownKeyStep::Fetch);
        assert_eq!(cache.after_unknown_key(&keys, START + 30), UnknownKeyStep::LookAgain);
        cache.on_success(&set('g'), START + 31);
        let newer = Arc::new(set('g'));
        assert_eq!(cache.after_unknown_key(&keys, START + 31), UnknownKeyStep::Use(newer));
        let KeysStep::Use(newer) = cache.keys(START + 31) else { panic!("just fetched") };
        assert_eq!(cache.after_unknown_key(&newer, START + 60), UnknownKeyStep::Refuse);
        assert_eq!(cache.after_unknown_key(&newer, START + 61), UnknownKeyStep::Fetch);
        cache.on_failure(START + 62);
        assert_eq!(cache.after_unknown_key(&newer, START + 91), UnknownKeyStep::Refuse);
        assert_eq!(cache.after_unknown_key(&newer, START + 92), UnknownKeyStep::Fetch);
    }

    /// Whatever tokens arrive, and whenever: an hour has at most one fetch every 30 seconds.
    #[test]
    fn flood_of_unknown_keys_costs_two_fetches_a_minute() {
        let (mut cache, keys) = fetched(KeySet::default());
        let mut fetch_count = 0;
        for now_secs in START..START + STALE_SECS {
            for _ in 0..3 {
                let asks = matches!(cache.keys(now_secs), KeysStep::UseAndFetch(_) | KeysStep::Fetch)
                    || cache.after_unknown_key(&keys, now_secs) == UnknownKeyStep::Fetch;
                if asks {
                    fetch_count += 1;
                    cache.on_failure(now_secs);
                }
            }
        }
        assert_eq!(i64::from(fetch_count), STALE_SECS / REFRESH_SECS_MIN - 1);
    }

    #[test]
    fn clock_that_steps_back_makes_keys_old_and_blocks_nothing() {
        let (mut cache, _) = fetched(KeySet::default());
        assert_eq!(cache.keys(START - 1), KeysStep::Fetch);
        assert_eq!(cache.keys(i64::MIN), KeysStep::Fetch);
        assert_eq!(cache.keys(i64::MAX), KeysStep::Fetch);
    }
}
