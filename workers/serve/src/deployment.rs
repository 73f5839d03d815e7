//! The deployment as a request sees it, behind the ports of the core.

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
use firn_platform::{EdgeCopies, HostSha256, Timer, WallClock, WebCrypto, tenant_config, token_rules};
use firn_store::{breaker::BreakerRead, retry::Pause};
use firn_types::{
    key::{ArtifactKey, Namespace},
    representation::Representation,
    tenant::TenantConfig,
    time::Micros,
};
use futures::future::LocalBoxFuture;
use worker::Context;

use crate::{
    broken, development,
    guarded::{Catalog, Ledgers, bucket_breaker, now},
    lake::HELD,
    site::{LakeSite, Site},
};

/// The isolate's deployment, with what a request has of its own.
#[derive(Debug)]
pub(crate) struct Deployment {
    site: Rc<Site>,
    lake: Rc<LakeSite>,
    context: Rc<Context>,
    edge: EdgeCopies,
}

impl Deployment {
    /// The deployment for one request.
    ///
    /// # Errors
    /// The setting that is broken; for the log.
    pub(crate) fn open(site: &Rc<Site>, context: Rc<Context>) -> Result<Self, String> {
        let lake = site.lake.clone()?;
        Ok(Self { site: Rc::clone(site), lake, context, edge: site.edge() })
    }
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
        self.lake.ledgers.as_ref()
    }

    async fn terms(&self, ns: &Namespace) -> Result<Rc<TenantConfig>, Problem> {
        tenant_config(&self.site.env, ns).await
    }

    fn open_terms(&self) -> Rc<TenantConfig> {
        Rc::clone(&self.site.open_terms)
    }

    async fn caller(&self, head: &RequestHead) -> Result<Option<Identity>, Problem> {
        if head.header("authorization").is_none() {
            return Ok(None);
        }
        let rules = token_rules(&self.site.env, &self.context).map_err(broken)?;
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
        let store = BreakerRead::new(&self.lake.bucket, &breaker, now);
        let held = HELD.with(Rc::clone);
        let pointers = match &self.lake.settings.catalog {
            None => ConfiguredPointers::Bucket(BucketPointers),
            Some(config) => ConfiguredPointers::Catalog(RestCatalog::new(config, &held.catalog, Catalog)),
        };
        let lake = Lake {
            store: &store,
            pointers: &pointers,
            platform: &Timer,
            held: &held,
            config: &self.lake.settings.config,
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
