//! Where the keys of tokens come from: configuration alone, or a JWKS behind a URL as well.
//!
//! What to do when is [`firn_auth::jwks_cache`]'s; here it is carried out. No request awaits another's fetch: whoever
//! may fetch does, the others look again on timers of their own.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use firn_auth::{
    jwks_cache::{JwksCache, KeysStep, UnknownKeyStep},
    key_set::{JwksOrigin, KeySet},
};
use firn_types::error::ErrorCode;
use futures::future::{FutureExt, LocalBoxFuture};

use crate::problem::Problem;

/// Pause before another look at a fetch under way.
const LOOK_AGAIN_MS: u64 = 50;

/// Looks at a fetch under way: with the pause they cover its deadline of 5 s and a second more.
const LOOKS_MAX: u32 = 120;

/// Largest JWKS that is read; providers publish 1 to 10 KB.
pub const JWKS_LEN_BYTES_MAX: usize = 256 * 1024;

/// The keys that a token is verified with.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait KeySource {
    /// The keys of now.
    ///
    /// # Errors
    /// 503 where there are none that could be used.
    async fn keys(&self) -> Result<Arc<KeySet>, Problem>;

    /// Newer keys than `tried`, in which a token's key was not found; `None` where there are none.
    ///
    /// # Errors
    /// As [`Self::keys`].
    async fn newer_keys(&self, tried: &Arc<KeySet>) -> Result<Option<Arc<KeySet>>, Problem>;
}

/// Keys of the configuration alone.
#[derive(Clone, Debug)]
pub struct ConfiguredKeys(pub Arc<KeySet>);

impl KeySource for ConfiguredKeys {
    async fn keys(&self) -> Result<Arc<KeySet>, Problem> {
        Ok(Arc::clone(&self.0))
    }

    async fn newer_keys(&self, _: &Arc<KeySet>) -> Result<Option<Arc<KeySet>>, Problem> {
        Ok(None)
    }
}

/// What fetching a JWKS needs of the platform.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait JwksFetch: Clone + 'static {
    /// The text behind the URL, within the deadline of [`firn_auth::jwks_cache::FETCH_SECS_MAX`] and
    /// [`JWKS_LEN_BYTES_MAX`]; else why not.
    async fn fetch(&self) -> Result<String, String>;

    /// Returns after this time.
    async fn pause(&self, pause_ms: u64);

    /// Seconds since the epoch.
    fn now_secs(&self) -> i64;

    /// Runs a future behind the answer.
    fn run_behind(&self, future: LocalBoxFuture<'static, ()>);

    /// Writes a line to the log.
    fn log(&self, line: &str);
}

/// Keys of a JWKS behind a URL, and those of the configuration.
#[derive(Clone, Debug)]
pub struct FetchedKeys<F> {
    cache: Rc<RefCell<JwksCache>>,
    platform: F,
}

impl<F: JwksFetch> FetchedKeys<F> {
    /// `cache` is the isolate's; no borrow of it outlives a step.
    pub const fn new(cache: Rc<RefCell<JwksCache>>, platform: F) -> Self {
        Self { cache, platform }
    }

    async fn fetch(&self) {
        let fetched =
            self.platform.fetch().await.and_then(|text| {
                KeySet::parse(&text, JwksOrigin::Fetched).map_err(|error| error.to_string())
            });
        let now_secs = self.platform.now_secs();
        match fetched {
            Ok(keys) => self.cache.borrow_mut().on_success(&keys, now_secs),
            Err(cause) => {
                self.platform.log(&format!("the JWKS cannot be fetched: {cause}"));
                self.cache.borrow_mut().on_failure(now_secs);
            }
        }
    }
}

impl<F: JwksFetch> KeySource for FetchedKeys<F> {
    async fn keys(&self) -> Result<Arc<KeySet>, Problem> {
        for _ in 0..LOOKS_MAX {
            let step = self.cache.borrow_mut().keys(self.platform.now_secs());
            match step {
                KeysStep::Use(keys) => return Ok(keys),
                KeysStep::UseAndFetch(keys) => {
                    let behind = self.clone();
                    self.platform.run_behind(async move { behind.fetch().await }.boxed_local());
                    return Ok(keys);
                }
                KeysStep::Fetch => self.fetch().await,
                KeysStep::LookAgain => self.platform.pause(LOOK_AGAIN_MS).await,
            }
        }
        Err(unavailable(1))
    }

    async fn newer_keys(&self, tried: &Arc<KeySet>) -> Result<Option<Arc<KeySet>>, Problem> {
        for _ in 0..LOOKS_MAX {
            let step = self.cache.borrow_mut().after_unknown_key(tried, self.platform.now_secs());
            match step {
                UnknownKeyStep::Use(keys) => return Ok(Some(keys)),
                UnknownKeyStep::Fetch => self.fetch().await,
                UnknownKeyStep::LookAgain => self.platform.pause(LOOK_AGAIN_MS).await,
                UnknownKeyStep::Refuse => return Ok(None),
                UnknownKeyStep::Unavailable { retry_after_secs } => {
                    return Err(unavailable(retry_after_secs));
                }
            }
        }
        Err(unavailable(1))
    }
}

fn unavailable(retry_after_secs: i64) -> Problem {
    Problem::new(ErrorCode::KeysUnavailable, "tokens cannot be checked now; try again later")
        .with_header("Retry-After", retry_after_secs.max(1).to_string())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::executor::block_on;

    use super::*;

    const JWKS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    #[derive(Clone, Default)]
    struct Scripted {
        answers: Rc<RefCell<Vec<Result<String, String>>>>,
        fetches: Rc<Cell<u32>>,
        now_secs: Rc<Cell<i64>>,
        behind: Rc<RefCell<Vec<LocalBoxFuture<'static, ()>>>>,
    }

    impl JwksFetch for Scripted {
        async fn fetch(&self) -> Result<String, String> {
            self.fetches.set(self.fetches.get() + 1);
            self.answers.borrow_mut().remove(0)
        }

        async fn pause(&self, _: u64) {}

        fn now_secs(&self) -> i64 {
            self.now_secs.get()
        }

        fn run_behind(&self, future: LocalBoxFuture<'static, ()>) {
            self.behind.borrow_mut().push(future);
        }

        fn log(&self, _: &str) {}
    }

    fn keys_of(platform: &Scripted) -> FetchedKeys<Scripted> {
        FetchedKeys::new(Rc::new(RefCell::new(JwksCache::new(KeySet::default()))), platform.clone())
    }

    #[test]
    fn unknown_key_refreshes_once_and_not_again_within_the_interval() {
        let platform = Scripted::default();
        *platform.answers.borrow_mut() = vec![Ok(r#"{"keys":[]}"#.to_owned()), Ok(JWKS.to_owned())];
        let source = keys_of(&platform);
        let first = block_on(source.keys()).unwrap();
        assert_eq!((first.keys().len(), platform.fetches.get()), (0, 1));
        platform.now_secs.set(31);
        let newer = block_on(source.newer_keys(&first)).unwrap().unwrap();
        assert_eq!((newer.keys().len(), platform.fetches.get()), (1, 2));
        assert!(block_on(source.newer_keys(&newer)).unwrap().is_none());
        assert_eq!(platform.fetches.get(), 2);
    }

    #[test]
    fn old_keys_are_used_while_newer_ones_are_fetched_behind() {
        let platform = Scripted::default();
        *platform.answers.borrow_mut() = vec![Ok(JWKS.to_owned()), Err("down".to_owned())];
        let source = keys_of(&platform);
        block_on(source.keys()).unwrap();
        platform.now_secs.set(700);
        assert_eq!(block_on(source.keys()).unwrap().keys().len(), 1);
        assert_eq!(platform.fetches.get(), 1);
        let behind: Vec<_> = platform.behind.borrow_mut().drain(..).collect();
        behind.into_iter().for_each(block_on);
        assert_eq!(platform.fetches.get(), 2);
        assert_eq!(block_on(source.keys()).unwrap().keys().len(), 1);
    }

    #[test]
    fn without_any_key_the_failure_is_ours_not_the_tokens() {
        let platform = Scripted::default();
        *platform.answers.borrow_mut() = vec![Err("down".to_owned())];
        let source = keys_of(&platform);
        let none = block_on(source.keys()).unwrap();
        assert!(none.keys().is_empty());
        let problem = block_on(source.newer_keys(&none)).unwrap_err();
        assert_eq!(problem.code, ErrorCode::KeysUnavailable);
    }
}
