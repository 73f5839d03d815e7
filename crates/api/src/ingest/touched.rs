//! After a commit: what it wrote, to the purger, before the answer.

use firn_ledger::publish::{Summary, Touched as TouchedRow};
use firn_store::retry::Pause;
use firn_types::key::Namespace;

use super::{
    ledger_sink::{LedgerSink, unexpected},
    sink::{AnswerStore, StreamPort},
};
use crate::{
    ledger::{
        LedgerPort,
        protocol::{PublishCall, PublishReply},
    },
    purge::{
        message::{Purge, Touched, TouchedKey},
        port::{KEY_COUNT_MAX, PURGE_MILLIS_MAX, PurgePort, TYPE_COUNT_MAX, purge_in_time},
    },
};

impl<P: LedgerPort + StreamPort + AnswerStore + PurgePort + Pause> LedgerSink<'_, P> {
    /// Purges what a commit wrote, of which `rows` is the first page. Never fails the request, and ends in time.
    pub(super) async fn purge(&self, ns: &Namespace, summary: &Summary, rows: Vec<TouchedRow>) {
        if summary.written_count == 0 {
            return;
        }
        let purging = async {
            if summary.written_count > KEY_COUNT_MAX as u64 {
                self.purge_types(ns, summary).await
            } else {
                self.purge_keys(ns, summary, rows).await
            }
        };
        purge_in_time(self.platform, ns.as_str(), purging, self.platform.pause(PURGE_MILLIS_MAX)).await;
    }

    async fn purge_keys(
        &self,
        ns: &Namespace,
        summary: &Summary,
        mut rows: Vec<TouchedRow>,
    ) -> Result<(), String> {
        while (rows.len() as u64) < summary.written_count {
            let from_version = rows.last().map_or(0, |last| last.version.saturating_add(1));
            let call = PublishCall::Touched { summary: *summary, from_version };
            match self.call(ns, &call).await {
                // Content that was let go of is not listed any more: a minute after the commit at the earliest.
                Ok(PublishReply::Touched(page)) if page.is_empty() => break,
                Ok(PublishReply::Touched(page)) => rows.extend(page),
                Ok(_) => return Err(unexpected().to_string()),
                Err(failure) => return Err(failure.to_string()),
            }
        }
        // Several lines of the request may have written one key.
        rows.sort_unstable_by(|a, b| (&a.artifact_type, &a.id).cmp(&(&b.artifact_type, &b.id)));
        let mut keys: Vec<TouchedKey<'_>> =
            rows.iter().map(|row| TouchedKey { artifact_type: &row.artifact_type, id: &row.id }).collect();
        keys.dedup();
        self.platform.purge(&Purge { ns: ns.as_str(), touched: Touched::Keys(keys) }).await
    }

    async fn purge_types(&self, ns: &Namespace, summary: &Summary) -> Result<(), String> {
        let count = TYPE_COUNT_MAX as u64 + 1;
        let types = match self.call(ns, &PublishCall::TouchedTypes { summary: *summary, count }).await {
            Ok(PublishReply::Types(types)) => types,
            Ok(_) => return Err(unexpected().to_string()),
            Err(failure) => return Err(failure.to_string()),
        };
        let touched = if types.len() <= TYPE_COUNT_MAX {
            Touched::Types(types.iter().map(String::as_str).collect())
        } else {
            Touched::Namespace
        };
        self.platform.purge(&Purge { ns: ns.as_str(), touched }).await
    }
}
