//! What reading needs of the deployment.

use std::rc::Rc;

use firn_auth::identity::Identity;
use firn_store::retry::Pause;
use firn_types::{
    key::{ArtifactKey, Namespace},
    representation::Representation,
    tenant::TenantConfig,
    time::Micros,
};
use futures::future::LocalBoxFuture;

use super::{edge::EdgeCache, flight::Found};
use crate::{
    http::RequestHead,
    ledger::LedgerPort,
    ports::Clock,
    problem::Problem,
    tables::read::{Hint, ReadCost},
};

/// The deployment, as one request sees it.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait ReadPorts: Clock + Pause + 'static {
    /// The edge cache of this data centre.
    type Edge: EdgeCache;
    /// The ledgers of the deployment.
    type Ledgers: LedgerPort;

    /// The edge cache.
    fn edge(&self) -> &Self::Edge;

    /// The ledgers; `None` where the deployment reads tables of others. A call that takes too long fails.
    fn ledgers(&self) -> Option<&Self::Ledgers>;

    /// The configuration of a namespace; the defaults where it has none.
    ///
    /// # Errors
    /// 503 where it is broken or cannot be read.
    async fn terms(&self, ns: &Namespace) -> Result<Rc<TenantConfig>, Problem>;

    /// What holds for requests that name no namespace in their path: the origins that may send them.
    fn open_terms(&self) -> Rc<TenantConfig>;

    /// Who asks; `None` without a token.
    ///
    /// # Errors
    /// 401, 503.
    async fn caller(&self, head: &RequestHead) -> Result<Option<Identity>, Problem>;

    /// The newest row of an artifact in the tables, within a deadline, and what that cost.
    async fn read_lake(
        &self,
        key: &ArtifactKey,
        representation: Representation,
        hint: Hint<'_>,
        now: Micros,
    ) -> (Found, ReadCost);

    /// Goes on with a future of this request after its answer, also if its client goes away.
    fn run_behind(&self, future: LocalBoxFuture<'static, ()>);

    /// A random number.
    fn draw(&self) -> u64;

    /// A line for the log.
    fn log(&self, line: &str);

    /// The tags by which the zone's cache knows an artifact's copies, separated by commas.
    fn cache_tags(&self, key: &ArtifactKey) -> String;
}
