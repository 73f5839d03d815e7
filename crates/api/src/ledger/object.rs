//! The object's side of the protocol: a call to an operation of the ledger, its outcome to a reply.

use firn_ledger::{
    Ledger, LedgerError,
    admit::{Admission, Allowance},
    confirm::DataFile,
    lease::{Begin, Begun},
    limits::PAGE_ROW_COUNT_MAX,
    publish::{Committed, StagedChunk, Summary},
};
use firn_types::time::Micros;

use super::deletion::delete;
use super::follow_call::{FollowCall, FollowReply};
use super::protocol::{
    Kind, MessageError, Opened, PublishCall, PublishReply, ReadCall, VersionCall, failure, read, reply,
    split, stored_answer,
};

/// Does what a message asks for; gives the reply's bytes.
///
/// # Errors
/// A message of another version. What the ledger cannot do is a reply.
pub fn answer(ledger: &Ledger, now: Micros, message: &[u8]) -> Result<Vec<u8>, MessageError> {
    let (kind, call) = split(message)?;
    let replied = match kind {
        Kind::Publish => match perform(ledger, now, read(call)?) {
            Err(LedgerError::LeaseLost) => Ok(reply(&PublishReply::LeaseLost)),
            done => done.map(|done| reply(&done)),
        },
        Kind::Read => {
            let ReadCall { artifact_type, id } = read(call)?;
            ledger.read(artifact_type, id).map(|found| reply(&found))
        }
        Kind::Version => {
            let VersionCall { artifact_type, id } = read(call)?;
            ledger.current_version(artifact_type, id).map(|version| reply(&version))
        }
        Kind::Follow => perform_follow(ledger, now, read(call)?).map(|done| reply(&done)),
        Kind::Delete => delete(ledger, now, &read(call)?).map(|done| reply(&done)),
    };
    replied.unwrap_or_else(|error| Ok(failure(&error.to_string())))
}

fn perform(ledger: &Ledger, now: Micros, call: PublishCall<'_>) -> Result<PublishReply, LedgerError> {
    let done = |()| PublishReply::Done;
    match call {
        PublishCall::Open { allowance, key, fingerprint, ingest_id, mode, reserve_count } => {
            let request = Begin { key, fingerprint, ingest_id, mode };
            open(ledger, now, &allowance, &request, reserve_count).map(PublishReply::Opened)
        }
        PublishCall::Offer { lease, idx, digest } => {
            ledger.offer(now, lease, idx, digest).map(PublishReply::Offered)
        }
        PublishCall::Stage { lease, owner, idx, digest, rows } => {
            let chunk = StagedChunk { idx, digest, rows: &rows };
            ledger.stage(now, lease, &owner, &chunk).map(PublishReply::Staged)
        }
        PublishCall::ChunkTaken { lease, idx, digest, record_count, len_bytes } => {
            ledger.chunk_taken(now, lease, idx, digest, record_count, len_bytes).map(done)
        }
        PublishCall::Commit { lease, chunk_count, answer } => {
            let mut answer = |summary: &Summary| stored_answer(summary.unchanged_count, answer);
            let outcome = ledger.commit(now, lease, chunk_count, &mut answer)?;
            let touched = match &outcome {
                Committed::Done { summary, .. } => ledger.touched(summary, 0, PAGE_ROW_COUNT_MAX)?,
                _ => Vec::new(),
            };
            Ok(PublishReply::Committed { outcome, touched })
        }
        PublishCall::Finish { lease, used_count, answer } => {
            ledger.finish(now, lease, used_count, &stored_answer(0, answer)).map(done)
        }
        PublishCall::Pause(lease) => ledger.pause(now, lease).map(done),
        PublishCall::Abort(lease) => ledger.abort(lease).map(done),
        PublishCall::Touched { summary, from_version } => {
            ledger.touched(&summary, from_version, PAGE_ROW_COUNT_MAX).map(PublishReply::Touched)
        }
    }
}

fn open(
    ledger: &Ledger,
    now: Micros,
    allowance: &Allowance,
    request: &Begin<'_>,
    reserve_count: Option<u64>,
) -> Result<Opened, LedgerError> {
    let admission = ledger.admit(now, allowance)?;
    if !matches!(admission, Admission::Admitted { .. }) {
        return Ok(Opened { admission, begun: None, reserved: None });
    }
    let begun = ledger.begin(now, request)?;
    let lease = match &begun {
        Begun::Started(lease) => Some(*lease),
        Begun::TakenOver(taken) => Some(taken.lease),
        _ => None,
    };
    let mut reserved = None;
    if let (Some(lease), Some(count)) = (lease, reserve_count) {
        let versions = ledger.reserve(now, lease, count)?;
        reserved = Some((versions.start, u64::try_from(versions.end - versions.start).unwrap_or(0)));
    }
    Ok(Opened { admission, begun: Some(begun), reserved })
}

fn perform_follow(ledger: &Ledger, now: Micros, call: FollowCall<'_>) -> Result<FollowReply, LedgerError> {
    let done = |()| FollowReply::Done;
    match call {
        FollowCall::Confirm { table, path, sequence, rows } => {
            ledger.confirm(now, &DataFile { table, path, sequence }, &rows).map(FollowReply::Confirmed)
        }
        FollowCall::RowsDeleted { table, path, sequence, rows } => {
            ledger.rows_deleted(&DataFile { table, path, sequence }, &rows).map(done)
        }
        FollowCall::VersionDeleted { table, artifact_type, id, version } => {
            ledger.version_deleted(table, artifact_type, id, version).map(FollowReply::VersionDeleted)
        }
        FollowCall::FilesRemoved { table, paths } => ledger.files_removed(now, table, &paths).map(done),
        FollowCall::Followed { table, snapshot, sequence, as_of } => {
            ledger.followed(as_of, table, snapshot, sequence).map(done)
        }
        FollowCall::Status => ledger.status().map(FollowReply::Status),
        FollowCall::VersionsPage { after, count } => {
            ledger.versions_page(after, count).map(FollowReply::Versions)
        }
        FollowCall::FilesPage { table, after, count } => {
            ledger.files_page(table, after, count).map(FollowReply::Files)
        }
        FollowCall::Parked { from_version, count } => {
            ledger.parked(from_version, count).map(FollowReply::Parked)
        }
    }
}
