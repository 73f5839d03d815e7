//! Keys of tokens: `FIRN_HS256_SECRET`, `FIRN_JWKS`, `FIRN_JWKS_URL`, checked once in each isolate.

use std::{
    cell::{OnceCell, RefCell},
    pin::pin,
    rc::Rc,
    sync::Arc,
};

use firn_api::{
    access::TokenRules,
    keys::{ConfiguredKeys, FetchedKeys, JWKS_LEN_BYTES_MAX, JwksFetch, KeySource},
    ports::Clock,
    problem::Problem,
};
use firn_auth::{
    claims::Policy,
    jwks_cache::{FETCH_SECS_MAX, JwksCache},
    key_set::{JwksOrigin, KeySet},
};
use firn_store::retry::Pause;
use futures::future::{Either, LocalBoxFuture, select};
use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use worker::{Context, Env};

use crate::{Setting, Timer, WallClock, body::describe};

thread_local! {
    /// What the environment says of tokens. It does not change while an isolate lives.
    static SETTINGS: OnceCell<Result<Rc<TokenSettings>, String>> = const { OnceCell::new() };
}

#[derive(Debug)]
struct TokenSettings {
    configured: Arc<KeySet>,
    policy: Policy,
    remote: Option<(String, Rc<RefCell<JwksCache>>)>,
}

/// Keys, issuers and audiences of the deployment.
///
/// # Errors
/// What is wrong with the settings; names no key material.
pub fn token_rules(env: &Env, context: &Rc<Context>) -> Result<TokenRules<DeploymentKeys>, String> {
    let settings =
        SETTINGS.with(|settings| settings.get_or_init(|| read_settings(env).map(Rc::new)).clone())?;
    let keys = match &settings.remote {
        None => DeploymentKeys::Configured(ConfiguredKeys(Arc::clone(&settings.configured))),
        Some((url, cache)) => {
            let fetch = PlatformFetch { url: url.clone(), context: Rc::clone(context) };
            DeploymentKeys::Fetched(FetchedKeys::new(Rc::clone(cache), fetch))
        }
    };
    Ok(TokenRules { keys, policy: settings.policy.clone() })
}

fn read_settings(env: &Env) -> Result<TokenSettings, String> {
    let setting = Setting(env);
    let mut keys = KeySet::default();
    if let Some(secret) = setting.text("FIRN_HS256_SECRET") {
        keys = keys.and(&KeySet::from_secret(&secret).map_err(|e| format!("FIRN_HS256_SECRET: {e}"))?);
    }
    if let Some(jwks) = setting.text("FIRN_JWKS") {
        keys =
            keys.and(&KeySet::parse(&jwks, JwksOrigin::Configured).map_err(|e| format!("FIRN_JWKS: {e}"))?);
    }
    let issuers = setting.text("FIRN_ISSUERS").unwrap_or_default();
    let audiences = setting.text("FIRN_AUDIENCES").unwrap_or_default();
    let policy = Policy::parse(&issuers, &audiences)
        .map_err(|error| format!("FIRN_ISSUERS, FIRN_AUDIENCES: {error}"))?;
    let remote = match setting.text("FIRN_JWKS_URL") {
        None => None,
        Some(url) => {
            let is_safe = url.starts_with("https://") || setting.is_development();
            if !is_safe {
                return Err("FIRN_JWKS_URL is not an https URL".to_owned());
            }
            Some((url, Rc::new(RefCell::new(JwksCache::new(keys.clone())))))
        }
    };
    Ok(TokenSettings { configured: Arc::new(keys), policy, remote })
}

/// The keys of the deployment.
#[derive(Clone, Debug)]
pub enum DeploymentKeys {
    /// Of the environment.
    Configured(ConfiguredKeys),
    /// Of the environment and a URL.
    Fetched(FetchedKeys<PlatformFetch>),
}

impl KeySource for DeploymentKeys {
    async fn keys(&self) -> Result<Arc<KeySet>, Problem> {
        match self {
            Self::Configured(keys) => keys.keys().await,
            Self::Fetched(keys) => keys.keys().await,
        }
    }

    async fn newer_keys(&self, tried: &Arc<KeySet>) -> Result<Option<Arc<KeySet>>, Problem> {
        match self {
            Self::Configured(keys) => keys.newer_keys(tried).await,
            Self::Fetched(keys) => keys.newer_keys(tried).await,
        }
    }
}

/// Fetches the JWKS.
#[derive(Clone, Debug)]
pub struct PlatformFetch {
    url: String,
    context: Rc<Context>,
}

impl JwksFetch for PlatformFetch {
    async fn fetch(&self) -> Result<String, String> {
        let fetched = pin!(read_text(&self.url));
        let deadline_ms = u64::try_from(FETCH_SECS_MAX).unwrap_or(0) * 1_000;
        let deadline = pin!(Timer.pause(deadline_ms));
        match select(fetched, deadline).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(format!("no answer within {FETCH_SECS_MAX} s")),
        }
    }

    async fn pause(&self, pause_ms: u64) {
        Timer.pause(pause_ms).await;
    }

    fn now_secs(&self) -> i64 {
        WallClock.now().0 / 1_000_000
    }

    fn run_behind(&self, future: LocalBoxFuture<'static, ()>) {
        self.context.wait_until(future);
    }

    fn log(&self, line: &str) {
        worker::console_error!(r#"{{"event":"jwks","cause":"{line}"}}"#);
    }
}

// `worker`'s fetch parses the URL in Rust, whose tables of international names are 80 KB of the module (gzip).
#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = fetch)]
    fn fetch_url(url: &str) -> Promise;
}

async fn read_text(url: &str) -> Result<String, String> {
    let failed = |error: JsValue| describe(&error);
    let answer: web_sys::Response = JsFuture::from(fetch_url(url)).await.map_err(failed)?.unchecked_into();
    if answer.status() != 200 {
        return Err(format!("status {}", answer.status()));
    }
    let declared = answer.headers().get("content-length").ok().flatten().and_then(|len| len.parse().ok());
    if declared.is_some_and(|len: usize| len > JWKS_LEN_BYTES_MAX) {
        return Err(format!("over {JWKS_LEN_BYTES_MAX} bytes"));
    }
    let text = JsFuture::from(answer.text().map_err(failed)?).await.map_err(failed)?;
    let text = text.as_string().unwrap_or_default();
    if text.len() > JWKS_LEN_BYTES_MAX { Err(format!("over {JWKS_LEN_BYTES_MAX} bytes")) } else { Ok(text) }
}
