//! A deletion, the object's side: one call that judges what is current and writes the tombstone, so that nothing comes
//! between the two.

use firn_ledger::{
    Ledger, LedgerError,
    admit::{Admission, Allowance},
    lease::{Begin, Begun, Lease},
    publish::{Committed, Staged, StagedChunk, Summary},
    read::{Known, Read},
    row::{Owner, StagedRow, Standing},
};
use firn_ndjson::{
    digest::ContentHash,
    record::parse_record,
    row::{RequestFields, RowFields, RowRenderer},
};
use firn_types::{mode::Mode, time::Micros, visibility::Visibility};
use serde::{Deserialize, Serialize};

/// The hash of no content: SHA-256 of nothing.
const NO_CONTENT: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// Which current version may be deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// Any that the ledger knows to be live.
    Any,
    /// One of these.
    OneOf(Vec<i64>),
}

/// A deletion.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteCall<'a> {
    /// What the namespace may use.
    pub allowance: Allowance,
    /// Hash of the idempotency key, if there is one.
    pub key: Option<&'a [u8]>,
    /// What must be the same under one key.
    pub fingerprint: &'a [u8],
    /// Names the request in its row.
    pub ingest_id: &'a str,
    /// The namespace.
    pub ns: &'a str,
    /// The artifact's type.
    pub artifact_type: &'a str,
    /// Its id.
    pub id: &'a str,
    /// Who deletes; the owner of a tombstone whose artifact the ledger does not know.
    pub deleter: Owner,
    /// The condition, if there is one.
    pub condition: Option<Condition>,
    /// The request, for the answer.
    pub request_id: &'a str,
}

/// What became of a deletion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deleted {
    /// The tombstone is current.
    Done(
        /// The answer.
        Vec<u8>,
    ),
    /// A request with this key was answered so.
    Replayed(
        /// The answer.
        Vec<u8>,
    ),
    /// Over the rate or a quota.
    NotAdmitted(Admission),
    /// A request with this key is running.
    InFlight {
        /// Seconds until its lease ends.
        retry_after_secs: u64,
    },
    /// The key was used for something else.
    Mismatch,
    /// What is current is deleted or expired.
    NotLive,
    /// The condition does not hold.
    ConditionFailed {
        /// What is current, where the ledger knows it.
        found: Option<i64>,
    },
    /// Too much content waits in the ledger for the lake to hold it.
    Full {
        /// Seconds to wait.
        retry_after_secs: u64,
    },
}

/// Deletes. A key that the ledger does not know is deleted too: only the lake may know it yet.
pub(super) fn delete(ledger: &Ledger, now: Micros, call: &DeleteCall<'_>) -> Result<Deleted, LedgerError> {
    let admission = ledger.admit(now, &call.allowance)?;
    if !matches!(admission, Admission::Admitted { .. }) {
        return Ok(Deleted::NotAdmitted(admission));
    }
    let begin =
        Begin { key: call.key, fingerprint: call.fingerprint, ingest_id: call.ingest_id, mode: Mode::Build };
    let lease = match ledger.begin(now, &begin)? {
        Begun::Started(lease) => lease,
        Begun::TakenOver(before) => before.lease,
        Begun::InFlight { retry_after_secs } => return Ok(Deleted::InFlight { retry_after_secs }),
        Begun::Finished { answer, .. } => return Ok(Deleted::Replayed(answer)),
        Begun::Mismatch => return Ok(Deleted::Mismatch),
    };
    let current = match ledger.read(call.artifact_type, call.id)? {
        Read::Known(known) => Some(known),
        Read::Unknown { .. } => None,
    };
    let done = match refusal(now, current.as_ref(), call.condition.as_ref()) {
        Some(refused) => refused,
        None => write_tombstone(ledger, now, lease, call, current)?,
    };
    if !matches!(done, Deleted::Done(_)) {
        ledger.abort(lease)?;
    }
    Ok(done)
}

/// Why it is not deleted. Conditions count only where it would be without them (RFC 9110 §13.2.1).
fn refusal(now: Micros, current: Option<&Known>, condition: Option<&Condition>) -> Option<Deleted> {
    let is_live = |known: &Known| {
        !known.standing.deleted && known.standing.expires_at.is_none_or(|expires_at| expires_at > now)
    };
    if current.is_some_and(|known| !is_live(known)) {
        return Some(Deleted::NotLive);
    }
    let found = current.map(|known| known.version);
    let holds = match condition? {
        Condition::Any => found.is_some(),
        Condition::OneOf(versions) => found.is_some_and(|found| versions.contains(&found)),
    };
    (!holds).then_some(Deleted::ConditionFailed { found })
}

fn write_tombstone(
    ledger: &Ledger,
    now: Micros,
    lease: Lease,
    call: &DeleteCall<'_>,
    current: Option<Known>,
) -> Result<Deleted, LedgerError> {
    let (visibility, owner) = rights(current, &call.deleter);
    let json = render(now, call, visibility, &owner)?;
    let row = StagedRow {
        line: 1,
        artifact_type: call.artifact_type,
        id: call.id,
        standing: Standing { visibility: Some(visibility), deleted: true, expires_at: None, size_bytes: 0 },
        hash: NO_CONTENT,
        metadata_digest: [0; 16],
        if_version: None,
        json: &json,
    };
    let chunk = StagedChunk { idx: 0, digest: call.fingerprint, rows: &[row] };
    match ledger.stage(now, lease, &owner, &chunk)? {
        Staged::Taken | Staged::TakenBefore => {}
        Staged::Full { retry_after_secs } => return Ok(Deleted::Full { retry_after_secs }),
        Staged::Mismatch | Staged::TooManyRows => return Ok(Deleted::Mismatch),
    }
    match ledger.commit(now, lease, 1, &mut |summary| answer_of(call, summary))? {
        Committed::Done { answer, .. } => Ok(Deleted::Done(answer)),
        Committed::Conflicts(_) | Committed::Mismatch => Ok(Deleted::Mismatch),
    }
}

/// Who may read a tombstone: whoever could read what it deletes, so that they see that it is gone and nobody else learns
/// that there was something. What only an admin could read, or the ledger does not know, tells others nothing.
fn rights(current: Option<Known>, deleter: &Owner) -> (Visibility, Owner) {
    match current {
        Some(known) => match known.standing.visibility {
            Some(visibility) => (visibility, known.owner),
            None => (Visibility::User, Owner::default()),
        },
        None => (Visibility::User, deleter.clone()),
    }
}

/// The row, as ingest renders that of a record.
fn render(
    now: Micros,
    call: &DeleteCall<'_>,
    visibility: Visibility,
    owner: &Owner,
) -> Result<Vec<u8>, LedgerError> {
    let text = |part: &str| serde_json::to_string(part).unwrap_or_default();
    let (ns, artifact_type, id) = (text(call.ns), text(call.artifact_type), text(call.id));
    let record = format!(r#"{{"ns":{ns},"type":{artifact_type},"id":{id},"deleted":true}}"#);
    // The caller has checked the key; anything else is a defect.
    let record = parse_record(record.as_bytes()).map_err(|_| LedgerError::Corrupt)?;
    let renderer = RowRenderer::new(&RequestFields {
        owner_iss: owner.iss.as_deref(),
        owner_org: owner.org.as_deref(),
        owner_sub: owner.sub.as_deref(),
        ts: now,
        mode: Mode::Build,
        ingest_id: call.ingest_id,
    });
    let fields = RowFields { version: None, visibility, hash: Some(ContentHash(NO_CONTENT)), size_bytes: 0 };
    let mut json = Vec::new();
    renderer.render_row(&record, &fields, &mut json).map_err(|_| LedgerError::Corrupt)?;
    Ok(json)
}

/// `{"version":"…","requestId":"…"}`; request ids need no escapes.
fn answer_of(call: &DeleteCall<'_>, summary: &Summary) -> Vec<u8> {
    let version = summary.first_version.unwrap_or_default();
    format!(r#"{{"version":"{version}","requestId":"{}"}}"#, call.request_id).into_bytes()
}
