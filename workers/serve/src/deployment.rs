//! The deployment as a request sees it: bindings and settings behind the ports of the core.

use std::rc::Rc;

use firn_api::{
    access::identify,
    cache_tags::render_cache_tags,
    content::{flight::Found, ports::ReadPorts},
    http::RequestHead,
    ports::Clock,
    problem::Problem,
    tables::{
        catalog::RestCatalog,
        pointers::{BucketPointers, ConfiguredPointers},
        read::{Hint, Lake, ReadCost, read_artifact},
    },
};
use firn_auth::identity::Identity;
use firn_platform::{
    EdgeCopies, HostSha256, R2Read, Setting, Timer, WallClock, WebCrypto, has_ledgers, tenant_config,
    token_rules,
};
use firn_store::{breaker::BreakerRead, retry::Pause};
use firn_types::{
    key::{ArtifactKey, Namespace},
    representation::Representation,
    tenant::{CorsOrigins, TenantConfig},
    time::Micros,
};
use futures::future::LocalBoxFuture;
use worker::{Context, Env};

use crate::{
    broken, development,
    guarded::{Catalog, Ledgers, bucket_breaker, now},
    lake::{HELD, LakeSettings, lake_settings},
};

/// Host name of copies where none is configured. Copies under it end by their time alone: no zone's purge knows it.
const HOST_DEFAULT: &str = "firn.internal";

/// Bindings and settings.
#[derive(Debug)]
pub(crate) struct Deployment {
    env: Env,
    context: Rc<Context>,
    settings: Rc<LakeSettings>,
    bucket: R2Read,
    edge: EdgeCopies,
    /// `None`: the deployment reads tables that others write.
    ledgers: Option<Ledgers>,
}

impl Deployment {
    /// The deployment that an environment describes.
    ///
    /// # Errors
    /// The setting that is broken; for the log.
    pub(crate) fn open(env: Env, context: Rc<Context>) -> Result<Self, String> {
        let settings = lake_settings(&env)?;
        let setting = Setting(&env);
        let is_off = setting.text("FIRN_LEDGER").as_deref() == Some("off");
        let ledgers = (has_ledgers(&env) && !is_off).then(|| Ledgers(env.clone()));
        let bucket = R2Read::open(&env)?;
        let edge = edge(&env);
        Ok(Self { env, context, settings, bucket, edge, ledgers })
    }
}

/// The edge cache under the deployment's host name.
pub(crate) fn edge(env: &Env) -> EdgeCopies {
    EdgeCopies::new(&development::host(Setting(env).text("FIRN_HOST").as_deref().unwrap_or(HOST_DEFAULT)))
}

/// A random number.
pub(crate) fn draw() -> u64 {
    u64::from(Timer.jitter()) << 32 | u64::from(Timer.jitter())
}

impl Clock for Deployment {
    fn now(&self) -> Micros {
        development::now()
    }
}

impl Pause for Deployment {
    async fn pause(&self, pause_ms: u64) {
        Timer.pause(pause_ms).await;
    }

    fn jitter(&self) -> u32 {
        Timer.jitter()
    }
}

impl ReadPorts for Deployment {
    type Edge = EdgeCopies;
    type Ledgers = Ledgers;

    fn edge(&self) -> &EdgeCopies {
        &self.edge
    }

    fn ledgers(&self) -> Option<&Ledgers> {
        self.ledgers.as_ref()
    }

    async fn terms(&self, ns: &Namespace) -> Result<Rc<TenantConfig>, Problem> {
        tenant_config(&self.env, ns).await
    }

    fn open_terms(&self) -> Rc<TenantConfig> {
        let origins = Setting(&self.env).text("FIRN_CORS_ORIGINS").unwrap_or_default();
        let origins: Vec<String> = origins
            .split(',')
            .map(str::trim)
            .filter(|origin| !origin.is_empty())
            .map(str::to_owned)
            .collect();
        let cors_origins = if origins == ["*"] { CorsOrigins::Any } else { CorsOrigins::List(origins) };
        Rc::new(TenantConfig { cors_origins, ..TenantConfig::default() })
    }

    async fn caller(&self, head: &RequestHead) -> Result<Option<Identity>, Problem> {
        let rules = token_rules(&self.env, &self.context).map_err(broken)?;
        identify(head, &rules, &WebCrypto, WallClock.now()).await
    }

    async fn read_lake(
        &self,
        key: &ArtifactKey,
        representation: Representation,
        hint: Hint<'_>,
        read_at: Micros,
    ) -> (Found, ReadCost) {
        let breaker = bucket_breaker();
        let store = BreakerRead::new(&self.bucket, &breaker, now);
        let held = HELD.with(Rc::clone);
        let pointers = match &self.settings.catalog {
            None => ConfiguredPointers::Bucket(BucketPointers),
            Some(config) => ConfiguredPointers::Catalog(RestCatalog::new(config, &held.catalog, Catalog)),
        };
        let lake = Lake {
            store: &store,
            pointers: &pointers,
            platform: &Timer,
            held: &held,
            config: &self.settings.config,
        };
        read_artifact(&lake, key, representation, hint, read_at).await
    }

    fn run_behind(&self, future: LocalBoxFuture<'static, ()>) {
        self.context.wait_until(future);
    }

    fn draw(&self) -> u64 {
        draw()
    }

    fn log(&self, line: &str) {
        worker::console_error!("{line}");
    }

    fn cache_tags(&self, key: &ArtifactKey) -> String {
        render_cache_tags::<HostSha256>(key)
    }
}
