//! What a publish asks of the deployment: versions, hashes, and the terms of a namespace.

use std::cell::RefCell;

use firn_api::{
    ingest::{
        admit::Admitted,
        answer::Destination,
        publish::{Limits, PublishContext, Terms},
    },
    ports::Clock,
    problem::Problem,
};
use firn_ndjson::digest::SoftwareSha256;
use firn_platform::{Setting, WallClock};
use firn_types::{
    error::ErrorCode,
    key::Namespace,
    limits::{RECORDS_PER_REQUEST_DEFAULT, REQUEST_LEN_BYTES_DEFAULT},
    mode::Mode,
    version::{Version, VersionClock},
    visibility::Visibility,
};
use worker::Env;

/// What any request may take, before its namespace is known: the tenant's defaults, while no tenant has its own.
pub(crate) const CEILINGS: Limits =
    Limits { record_count_max: RECORDS_PER_REQUEST_DEFAULT, body_len_bytes_max: REQUEST_LEN_BYTES_DEFAULT };

thread_local! {
    /// Of this isolate alone: until the ledger gives versions, two isolates may give the same one.
    static CLOCK: RefCell<VersionClock> = RefCell::new(VersionClock::default());
}

pub(crate) struct DeploymentContext<'e> {
    env: &'e Env,
    mode: Option<Mode>,
}

impl<'e> DeploymentContext<'e> {
    pub(crate) fn new(env: &'e Env, admitted: &Admitted) -> Self {
        Self { env, mode: admitted.mode }
    }

    /// The mode of a request that names none.
    pub(crate) fn default_mode(&self) -> Mode {
        self.mode.unwrap_or(Mode::Build)
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

    async fn terms(&self, _ns: &Namespace) -> Result<Terms, Problem> {
        let destination = destination(self.env, self.default_mode()).map_err(|cause| {
            Problem::new(ErrorCode::ConfigurationInvalid, "a setting is not valid").because(cause)
        })?;
        Ok(Terms { destination, default_visibility: Visibility::Public, limits: CEILINGS })
    }
}

/// Stream and flush interval of a mode.
pub(crate) fn destination(env: &Env, mode: Mode) -> Result<Destination, String> {
    let name = format!("FIRN_FLUSH_SECONDS_{}", mode.as_str().to_ascii_uppercase());
    // Pipelines rolls files every 300 s unless the sink was made otherwise.
    let flush_secs = Setting(env).number(&name, 300)?;
    Ok(Destination { mode, pipeline: format!("artifacts_{}", mode.as_str()), flush_secs })
}
