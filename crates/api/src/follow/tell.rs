//! Telling ledgers how far the tables are followed. Only then do they send again, or park, what did not arrive.

use std::collections::BTreeSet;

use firn_store::perform::CONNECTIONS_MAX;
use firn_types::key::Namespace;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::{
    FollowError, Place, Run, Tell,
    ports::{FollowStore, Ledgers},
};
use crate::{
    ledger::follow_call::{FollowCall, FollowReply},
    tables::pointers::TablePointers,
};

/// Ledgers that one run asks whether they wait. Rows are sent again after 15 minutes at the earliest, so a run a minute
/// serves 10,000 namespaces without delay.
const ASKED_COUNT_MAX: usize = 1_000;

/// Tells the ledgers; gives how many, and where the next run goes on.
pub(super) async fn tell<S: FollowStore, P: TablePointers, L: Ledgers>(
    run: &Run<'_, S, P, L>,
    places: &[Place],
    whom: &Tell,
) -> Result<(u64, Option<String>), FollowError> {
    let touched: BTreeSet<Namespace> = run.touched.borrow().clone();
    let mut told_count = touched.len() as u64;
    each(touched.iter().map(|namespace| tell_one(run, namespace, places))).await?;
    let Tell::Waiting { from } = whom else { return Ok((told_count, None)) };
    let (mut cursor, mut asked_count) = (from.clone(), 0);
    loop {
        let page = run.list_ledgers(cursor.as_deref()).await?;
        asked_count += page.namespaces.len();
        let others = page.namespaces.iter().filter(|namespace| !touched.contains(*namespace));
        let told: Vec<bool> = stream::iter(others.map(|namespace| tell_if_waiting(run, namespace, places)))
            .buffer_unordered(CONNECTIONS_MAX)
            .try_collect()
            .await?;
        told_count += told.into_iter().filter(|told| *told).count() as u64;
        cursor = page.next;
        if cursor.is_none() || asked_count >= ASKED_COUNT_MAX {
            return Ok((told_count, cursor));
        }
    }
}

async fn each(
    tells: impl Iterator<Item = impl Future<Output = Result<(), FollowError>>>,
) -> Result<(), FollowError> {
    stream::iter(tells).buffer_unordered(CONNECTIONS_MAX).try_collect().await
}

async fn tell_if_waiting<S: FollowStore, P: TablePointers, L: Ledgers>(
    run: &Run<'_, S, P, L>,
    namespace: &Namespace,
    places: &[Place],
) -> Result<bool, FollowError> {
    let reply = run.call(namespace, &FollowCall::Status).await?;
    let is_waiting =
        matches!(&reply, FollowReply::Status(status) if status.unsent_count + status.sent_count > 0);
    if is_waiting {
        tell_one(run, namespace, places).await?;
    }
    Ok(is_waiting)
}

/// Of every table: until a ledger heard of each that it knows, none of its rows is sent again.
pub(super) async fn tell_one<S: FollowStore, P: TablePointers, L: Ledgers>(
    run: &Run<'_, S, P, L>,
    namespace: &Namespace,
    places: &[Place],
) -> Result<(), FollowError> {
    for Place { table, snapshot, sequence, as_of } in places {
        let call = FollowCall::Followed { table, snapshot: *snapshot, sequence: *sequence, as_of: *as_of };
        run.call(namespace, &call).await?;
    }
    Ok(())
}
