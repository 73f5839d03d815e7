//! The configurations of namespaces, in KV.

use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use firn_api::{ports::Clock, problem::Problem};
use firn_types::{error::ErrorCode, key::Namespace, tenant::TenantConfig, time::Micros};
use worker::Env;

use crate::{Kv, Setting, WallClock};

/// Configurations that one isolate holds; more namespaces than that in one isolate begin anew.
const HELD_COUNT_MAX: usize = 1_000;

thread_local! {
    /// For how long a configuration is held, by the environment. It does not change while an isolate lives.
    static HOLD_SECS: OnceCell<Result<u32, String>> = const { OnceCell::new() };
    static HELD: RefCell<HashMap<Namespace, (Micros, Rc<TenantConfig>)>> = RefCell::default();
}

/// The configuration of a namespace, at most `FIRN_CONFIG_HOLD_SECONDS` old; the defaults where it has none.
///
/// # Errors
/// 503 where it is broken or cannot be read.
pub async fn tenant_config(env: &Env, ns: &Namespace) -> Result<Rc<TenantConfig>, Problem> {
    let now = WallClock.now();
    let hold_secs = || Setting(env).number("FIRN_CONFIG_HOLD_SECONDS", 10);
    let hold_secs = HOLD_SECS.with(|held| held.get_or_init(hold_secs).clone()).map_err(|cause| {
        Problem::new(ErrorCode::ConfigurationInvalid, "the deployment's configuration is not valid")
            .because(cause)
    })?;
    let hold_micros = i64::from(hold_secs) * 1_000_000;
    let held = HELD.with_borrow(|held| held.get(ns).cloned());
    if let Some((read_at, config)) = held
        && (0..hold_micros).contains(&(now.0 - read_at.0))
    {
        return Ok(config);
    }
    let config = Rc::new(read_config(env, ns).await?);
    HELD.with_borrow_mut(|held| {
        if held.len() >= HELD_COUNT_MAX {
            held.clear();
        }
        held.insert(ns.clone(), (now, Rc::clone(&config)));
    });
    Ok(config)
}

async fn read_config(env: &Env, ns: &Namespace) -> Result<TenantConfig, Problem> {
    // A deployment without the binding has no tenants of its own.
    let Some(kv) = Kv::open(env, "FIRN_CONFIG") else { return Ok(TenantConfig::default()) };
    let text = kv.get(&TenantConfig::kv_key(ns)).await.map_err(|cause| {
        Problem::new(ErrorCode::StorageUnavailable, "try again later")
            .with_header("Retry-After", "2")
            .because(cause)
    })?;
    let Some(text) = text else { return Ok(TenantConfig::default()) };
    TenantConfig::parse(&String::from_utf8_lossy(&text)).map_err(|error| {
        let detail = format!("the configuration of this namespace is not valid: {error}");
        Problem::new(ErrorCode::ConfigurationInvalid, detail)
    })
}
