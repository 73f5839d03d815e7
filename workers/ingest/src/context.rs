//! What a publish asks of the deployment: hashes, ledgers, streams, kept answers, and the terms of a namespace.

use firn_api::{
    ingest::sink::{AnswerStore, SinkError, StreamPort},
    ingest::{
        admit::Admitted,
        ledger_sink::LedgerSink,
        terms::{Limits, PublishContext, Terms},
    },
    ledger::LedgerPort,
    problem::Problem,
    purge::{
        message::{Purge, encode},
        port::PurgePort,
    },
    tenancy::allowed,
};
use firn_ndjson::chunk::Rows;
use firn_platform::{HostSha256, Kv, Setting, Timer, call_ledger, call_purge};
use firn_store::retry::Pause;
use firn_types::{error::ErrorCode, key::Namespace, mode::Mode};
use worker::{Env, console_error};

use crate::{registry::register_ledger, stream::Streams, tenants::Tenants};

/// Ceiling of a body's length before its namespace is known: what Cloudflare passes on in its smallest plan.
const CEILING_LEN_BYTES: u32 = 100_000_000;

/// Ceiling of a body's records before its namespace is known.
const CEILING_RECORD_COUNT: u32 = 1_000_000;

/// How long a finished answer is kept (design.md §3).
const ANSWER_KEPT_SECS: u32 = 24 * 60 * 60;

/// The deployment's bindings.
pub(crate) struct Deployment<'e>(pub(crate) &'e Env);

impl LedgerPort for Deployment<'_> {
    async fn call(&self, ns: &Namespace, message: Vec<u8>) -> Result<Vec<u8>, String> {
        call_ledger(self.0, ns, message).await
    }
}

impl StreamPort for Deployment<'_> {
    async fn send(&self, mode: Mode, rows: &Rows) -> Result<(), SinkError> {
        Streams(self.0).send(mode, rows).await
    }
}

impl AnswerStore for Deployment<'_> {
    async fn get(&self, key: &str) -> Option<Vec<u8>> {
        Kv::open(self.0, "FIRN_CONFIG")?.get(&answer_key(key)).await.ok().flatten()
    }

    async fn put(&self, key: &str, answer: Vec<u8>) {
        let Some(kv) = Kv::open(self.0, "FIRN_CONFIG") else { return };
        if let Err(cause) = kv.put(&answer_key(key), &answer, Some(ANSWER_KEPT_SECS)).await {
            // The ledger has it for some minutes more.
            console_error!(r#"{{"event":"answer_not_kept","cause":"{cause}"}}"#);
        }
    }
}

impl PurgePort for Deployment<'_> {
    async fn purge(&self, purge: &Purge<'_>) -> Result<(), String> {
        call_purge(self.0, &encode(purge).map_err(|error| error.to_string())?).await
    }

    fn purge_failed(&self, ns: &str, cause: &str) {
        console_error!(r#"{{"event":"purge_failed","ns":"{ns}","cause":{cause:?}}}"#);
    }
}

impl Pause for Deployment<'_> {
    async fn pause(&self, pause_ms: u64) {
        Timer.pause(pause_ms).await;
    }

    fn jitter(&self) -> u32 {
        Timer.jitter()
    }
}

fn answer_key(key: &str) -> String {
    format!("answer:{key}")
}

pub(crate) struct DeploymentContext<'e> {
    tenants: Tenants<'e>,
    admitted: &'e Admitted,
    sink: &'e LedgerSink<'e, Deployment<'e>>,
    /// Only a bench on the development origin turns hashes off, to tell what they cost.
    hashes: bool,
}

impl<'e> DeploymentContext<'e> {
    pub(crate) fn new(
        env: &'e Env,
        admitted: &'e Admitted,
        sink: &'e LedgerSink<'e, Deployment<'e>>,
    ) -> Self {
        let setting = Setting(env);
        let hashes =
            !(setting.is_development() && setting.text("FIRN_RECORD_HASH").as_deref() == Some("off"));
        Self { tenants: Tenants(env), admitted, sink, hashes }
    }
}

impl PublishContext for DeploymentContext<'_> {
    type Hash = HostSha256;

    fn record_hash(&self) -> Option<Self::Hash> {
        self.hashes.then(HostSha256::default)
    }

    fn line_hash(&self) -> Option<Self::Hash> {
        self.sink.has_key().then(HostSha256::default)
    }

    async fn begin(&self, ns: &Namespace) -> Result<Terms, Problem> {
        let allowed = allowed(&self.tenants, self.admitted, ns).await?;
        register(self.tenants.0, ns).await?;
        let record_count_max = allowed.limits.record_count_max;
        let naming =
            self.sink.open(ns, allowed.destination.mode, &allowed.allowance, record_count_max).await?;
        Ok(Terms {
            destination: allowed.destination,
            default_visibility: allowed.default_visibility,
            limits: allowed.limits,
            naming,
        })
    }
}

/// Lists the namespace, before its ledger takes anything.
pub(crate) async fn register(env: &Env, ns: &Namespace) -> Result<(), Problem> {
    register_ledger(env, ns).await.map_err(|cause| {
        Problem::new(ErrorCode::StorageUnavailable, "try again later")
            .with_header("Retry-After", "2")
            .because(cause)
    })
}

/// What any request may take, before its namespace is known.
pub(crate) fn ceilings(env: &Env) -> Result<Limits, String> {
    let setting = Setting(env);
    Ok(Limits {
        record_count_max: setting.number("FIRN_CEILING_RECORDS", CEILING_RECORD_COUNT)?.into(),
        body_len_bytes_max: setting.number("FIRN_CEILING_LEN_BYTES", CEILING_LEN_BYTES)?.into(),
    })
}
