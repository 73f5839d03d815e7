//! What the deployment knows of its namespaces: their configuration in KV.

use std::{cell::RefCell, collections::HashMap};

use firn_api::{ingest::answer::Destination, ports::Clock, problem::Problem, tenancy::Tenancy};
use firn_platform::{Kv, Setting, WallClock};
use firn_types::{error::ErrorCode, key::Namespace, mode::Mode, tenant::TenantConfig, time::Micros};
use worker::Env;

/// Configurations that one isolate holds; more namespaces than that in one isolate begin anew.
const HELD_COUNT_MAX: usize = 1_000;

thread_local! {
    static HELD: RefCell<HashMap<Namespace, (Micros, TenantConfig)>> = RefCell::default();
}

/// The configurations in KV.
pub(crate) struct Tenants<'e>(pub(crate) &'e Env);

impl Tenants<'_> {
    async fn read_config(&self, ns: &Namespace) -> Result<TenantConfig, Problem> {
        // A deployment without the namespace has no tenants of its own.
        let Some(kv) = Kv::open(self.0, "FIRN_CONFIG") else { return Ok(TenantConfig::default()) };
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
}

impl Tenancy for Tenants<'_> {
    async fn config(&self, ns: &Namespace) -> Result<TenantConfig, Problem> {
        let now = WallClock.now();
        let hold_secs = Setting(self.0).number("FIRN_CONFIG_HOLD_SECONDS", 10).map_err(broken)?;
        let hold_micros = i64::from(hold_secs) * 1_000_000;
        let held = HELD.with_borrow(|held| held.get(ns).cloned());
        if let Some((read_at, config)) = held
            && (0..hold_micros).contains(&(now.0 - read_at.0))
        {
            return Ok(config);
        }
        let config = self.read_config(ns).await?;
        HELD.with_borrow_mut(|held| {
            if held.len() >= HELD_COUNT_MAX {
                held.clear();
            }
            held.insert(ns.clone(), (now, config.clone()));
        });
        Ok(config)
    }

    fn destination(&self, mode: Mode) -> Result<Destination, Problem> {
        let name = format!("FIRN_FLUSH_SECONDS_{}", mode.as_str().to_ascii_uppercase());
        // Pipelines rolls files every 300 s unless the sink was made otherwise.
        let flush_secs = Setting(self.0).number(&name, 300).map_err(broken)?;
        Ok(Destination { mode, pipeline: format!("artifacts_{}", mode.as_str()), flush_secs })
    }
}

fn broken(cause: String) -> Problem {
    Problem::new(ErrorCode::ConfigurationInvalid, "the deployment's configuration is not valid")
        .because(cause)
}
