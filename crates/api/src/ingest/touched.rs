//! After a commit: what it wrote, to the purger, before the answer.

use firn_ledger::{
    limits::PAGE_ROW_COUNT_MAX,
    publish::{Summary, Touched as TouchedRow},
};
use firn_store::retry::Pause;
use firn_types::key::Namespace;

use super::{
    ledger_sink::LedgerSink,
    sink::{AnswerStore, StreamPort},
};
use crate::{
    ledger::{
        LedgerPort,
        protocol::{PublishCall, PublishReply},
    },
    purge::{
        message::{Purge, Touched, TouchedKey},
        port::{PurgePort, RECORD_COUNT_MAX, purge_in_time},
    },
};

impl<P: LedgerPort + StreamPort + AnswerStore + PurgePort + Pause> LedgerSink<'_, P> {
    /// Purges what a commit wrote, of which `page` is the first page. Never fails the request.
    pub(super) async fn purge(&self, ns: &Namespace, summary: &Summary, mut page: Vec<TouchedRow>) {
        if summary.written_count == 0 {
            return;
        }
        let mut rows: Vec<TouchedRow> = Vec::new();
        let mut is_listed = summary.written_count <= RECORD_COUNT_MAX;
        while is_listed {
            let is_last = (page.len() as u64) < PAGE_ROW_COUNT_MAX;
            rows.append(&mut page);
            if is_last {
                break;
            }
            let from_version = rows.last().map_or(0, |last| last.version.saturating_add(1));
            let call = PublishCall::Touched { summary: *summary, from_version };
            match self.call(ns, &call).await {
                Ok(PublishReply::Touched(next)) => page = next,
                // Too much is purged rather than too little.
                _ => is_listed = false,
            }
        }
        let touched = if is_listed {
            Touched::Keys(rows.iter().map(touched_key).collect())
        } else {
            Touched::Namespace
        };
        purge_in_time(self.platform, &Purge { ns: ns.as_str(), touched }).await;
    }
}

fn touched_key(row: &TouchedRow) -> TouchedKey<'_> {
    TouchedKey { artifact_type: &row.artifact_type, id: &row.id }
}
