//! What a publish asks of the deployment: versions, hashes, and the terms of a namespace.

use std::cell::RefCell;

use firn_api::{
    ingest::{
        admit::Admitted,
        publish::{Limits, PublishContext, Terms},
    },
    ports::Clock,
    problem::Problem,
    tenancy::terms,
};
use firn_platform::{HostSha256, Setting, WallClock};
use firn_types::{
    key::Namespace,
    version::{Version, VersionClock},
};
use worker::Env;

use crate::tenants::Tenants;

/// Ceiling of a body's length before its namespace is known: what Cloudflare passes on in its smallest plan.
const CEILING_LEN_BYTES: u32 = 100_000_000;

/// Ceiling of a body's records before its namespace is known.
const CEILING_RECORD_COUNT: u32 = 1_000_000;

thread_local! {
    /// Of this isolate alone: until the ledger gives versions, two isolates may give the same one.
    static CLOCK: RefCell<VersionClock> = RefCell::new(VersionClock::default());
}

pub(crate) struct DeploymentContext<'e> {
    tenants: Tenants<'e>,
    admitted: &'e Admitted,
    /// Only a bench on the development origin turns hashes off, to tell what they cost.
    hashes: bool,
}

impl<'e> DeploymentContext<'e> {
    pub(crate) fn new(env: &'e Env, admitted: &'e Admitted) -> Self {
        let setting = Setting(env);
        let hashes =
            !(setting.is_development() && setting.text("FIRN_RECORD_HASH").as_deref() == Some("off"));
        Self { tenants: Tenants(env), admitted, hashes }
    }
}

impl PublishContext for DeploymentContext<'_> {
    type Hash = HostSha256;

    fn sha256(&self) -> Option<Self::Hash> {
        self.hashes.then(HostSha256::default)
    }

    fn next_version(&self) -> Version {
        CLOCK.with_borrow_mut(|clock| clock.next(WallClock.now()))
    }

    async fn terms(&self, ns: &Namespace) -> Result<Terms, Problem> {
        terms(&self.tenants, self.admitted, ns).await
    }
}

/// What any request may take, before its namespace is known.
pub(crate) fn ceilings(env: &Env) -> Result<Limits, String> {
    let setting = Setting(env);
    Ok(Limits {
        record_count_max: setting.number("FIRN_CEILING_RECORDS", CEILING_RECORD_COUNT)?.into(),
        body_len_bytes_max: setting.number("FIRN_CEILING_LEN_BYTES", CEILING_LEN_BYTES)?.into(),
    })
}
