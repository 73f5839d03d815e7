//! The object's side of the protocol: a call to an operation of the ledger, its outcome to a reply.

use firn_ledger::{
    Ledger, LedgerError,
    admit::{Admission, Allowance},
    confirm::DataFile,
    lease::{Begin, Begun},
    publish::{StagedChunk, Summary},
};
use firn_types::time::Micros;

use super::protocol::{Call, MessageError, Opened, Reply, decode, encode, stored_answer};

/// Does what a message asks for; gives the reply's bytes.
///
/// # Errors
/// A message of another version. What the ledger cannot do is a reply.
pub fn answer(ledger: &Ledger, now: Micros, message: &[u8]) -> Result<Vec<u8>, MessageError> {
    let reply = match perform(ledger, now, decode(message)?) {
        Ok(reply) => reply,
        Err(LedgerError::LeaseLost) => Reply::LeaseLost,
        Err(error) => Reply::Failed(error.to_string()),
    };
    encode(&reply)
}

fn perform(ledger: &Ledger, now: Micros, call: Call<'_>) -> Result<Reply, LedgerError> {
    match call {
        Call::Open { allowance, key, fingerprint, ingest_id, mode, reserve_count } => {
            let request = Begin { key, fingerprint, ingest_id, mode };
            open(ledger, now, &allowance, &request, reserve_count).map(Reply::Opened)
        }
        Call::Offer { lease, idx, digest } => ledger.offer(now, lease, idx, digest).map(Reply::Offered),
        Call::Stage { lease, owner, idx, digest, rows } => {
            let chunk = StagedChunk { idx, digest, rows: &rows };
            ledger.stage(now, lease, &owner, &chunk).map(Reply::Staged)
        }
        Call::ChunkTaken { lease, idx, digest, record_count, len_bytes } => {
            ledger.chunk_taken(now, lease, idx, digest, record_count, len_bytes).map(done)
        }
        Call::Commit { lease, chunk_count, answer } => {
            let mut answer = |summary: &Summary| stored_answer(summary.unchanged_count, answer);
            ledger.commit(now, lease, chunk_count, &mut answer).map(Reply::Committed)
        }
        Call::Finish { lease, used_count, answer } => {
            ledger.finish(now, lease, used_count, &stored_answer(0, answer)).map(done)
        }
        Call::Renew(lease) => ledger.renew(now, lease).map(done),
        Call::Pause(lease) => ledger.pause(lease).map(done),
        Call::Abort(lease) => ledger.abort(lease).map(done),
        Call::Touched { summary, from_version, count } => {
            ledger.touched(&summary, from_version, count).map(Reply::Touched)
        }
        Call::Read { artifact_type, id } => ledger.read(artifact_type, id).map(Reply::Read),
        Call::Status => ledger.status().map(Reply::Status),
        Call::VersionsPage { after, count } => ledger.versions_page(after, count).map(Reply::Versions),
        Call::FilesPage { table, after, count } => ledger.files_page(table, after, count).map(Reply::Files),
        follow => perform_follow(ledger, now, follow),
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

/// What the follower of the lake asks for.
fn perform_follow(ledger: &Ledger, now: Micros, call: Call<'_>) -> Result<Reply, LedgerError> {
    match call {
        Call::Confirm { table, path, sequence, rows } => {
            ledger.confirm(now, &DataFile { table, path, sequence }, &rows).map(Reply::Confirmed)
        }
        Call::RowsDeleted { table, path, sequence, rows } => {
            ledger.rows_deleted(&DataFile { table, path, sequence }, &rows).map(done)
        }
        Call::VersionDeleted { table, artifact_type, id, version } => {
            ledger.version_deleted(table, artifact_type, id, version).map(Reply::VersionDeleted)
        }
        Call::FilesRemoved { table, paths } => ledger.files_removed(now, table, &paths).map(done),
        Call::Followed { table, snapshot, sequence, as_of } => {
            ledger.followed(as_of, table, snapshot, sequence).map(done)
        }
        _ => ledger.followed_tables().map(Reply::Followed),
    }
}

fn done((): ()) -> Reply {
    Reply::Done
}
