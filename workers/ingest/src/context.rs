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
use firn_ndjson::digest::SoftwareSha256;
use firn_platform::{Setting, WallClock};
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
}

impl<'e> DeploymentContext<'e> {
    pub(crate) const fn new(env: &'e Env, admitted: &'e Admitted) -> Self {
        Self { tenants: Tenants(env), admitted }
    }
}

impl PublishContext for DeploymentContext<'_> {
    type Hash = SoftwareSha256;

    fn sha256(&self) -> Self::Hash {
        SoftwareSha256::default()
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
