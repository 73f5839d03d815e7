//! Handing a purge over, within a time that a publish can spare.
//!
//! A publish of preview or build, and a deletion, hands over what it wrote after the ledger's commit and before its answer.
//! What arrives otherwise (bulk, rows and deletes of other engines) is not purged: its edge copies end by their age. A
//! purge that fails, or takes longer than [`PURGE_MILLIS_MAX`], fails nothing: it is logged, and the copies end by their
//! age too.

use firn_store::retry::Pause;
use futures::{
    future::{Either, select},
    pin_mut,
};

use super::message::Purge;

/// How long a request waits for its purge: a data centre's copies of 500 keys take a tenth of that.
pub const PURGE_MILLIS_MAX: u64 = 3_000;

/// Most records of a publish whose keys one purge names; beyond it all of the namespace goes.
pub const RECORD_COUNT_MAX: u64 = 20_000;

/// Who purges.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait PurgePort {
    /// Drops the edge copies of what was touched; keys and types each stand there once. The error is for the log.
    async fn purge(&self, purge: &Purge<'_>) -> Result<(), String>;

    /// Logs that a purge of a namespace was not done.
    fn purge_failed(&self, ns: &str, cause: &str);
}

/// Purges, and waits until it is done, fails or has had its time; logs what did not succeed.
pub async fn purge_in_time(port: &(impl PurgePort + Pause), purge: &Purge<'_>) {
    let (purging, deadline) = (port.purge(purge), port.pause(PURGE_MILLIS_MAX));
    pin_mut!(purging, deadline);
    let cause = match select(purging, deadline).await {
        Either::Left((Ok(()), _)) => return,
        Either::Left((Err(cause), _)) => cause,
        Either::Right(_) => format!("not done within {PURGE_MILLIS_MAX} ms"),
    };
    port.purge_failed(purge.ns, &cause);
}
