//! Calls and replies, in postcard's encoding behind one byte that names the protocol's version.
//!
//! The encoding is by position, so any change of a type here, or of what it contains, needs another [`VERSION`]: during
//! a deployment Workers of two versions then refuse one another (503, tried again) rather than misread.

use firn_ledger::{
    admit::{Admission, Allowance},
    confirm::{Confirmed, SeenRow},
    lease::{Begun, Lease, Offered},
    publish::{Committed, Staged, Summary, Touched},
    read::{Followed, Read},
    row::{Owner, StagedRow},
    status::{ListedVersion, Status},
};
use firn_types::{mode::Mode, time::Micros};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The version of the protocol.
const VERSION: u8 = 1;

/// Bytes of an answer before its JSON, which are the caller's own.
pub const ANSWER_HEAD_LEN_BYTES: usize = 33;

/// What a ledger is asked to do: an operation of [`firn_ledger::Ledger`], with its arguments but for the time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Call<'a> {
    /// `admit`, then `begin` if it was admitted, then for bulk `reserve`. Replied to by [`Reply::Opened`].
    Open {
        /// What the namespace may use.
        allowance: Allowance,
        /// Hash of the idempotency key, if there is one.
        key: Option<&'a [u8]>,
        /// What must be the same under one key besides the body.
        fingerprint: &'a [u8],
        /// Names the request in its rows.
        ingest_id: &'a str,
        /// Its mode.
        mode: Mode,
        /// Versions to reserve, in bulk.
        reserve_count: Option<u64>,
    },
    /// `offer`.
    Offer {
        /// The request.
        lease: Lease,
        /// The chunk's place.
        idx: u64,
        /// Its digest.
        digest: &'a [u8],
    },
    /// `stage`.
    Stage {
        /// The request.
        lease: Lease,
        /// Who owns the rows.
        owner: Owner,
        /// The chunk's place.
        idx: u64,
        /// Its digest.
        digest: &'a [u8],
        /// Its rows.
        #[serde(borrow)]
        rows: Vec<StagedRow<'a>>,
    },
    /// `chunk_taken`.
    ChunkTaken {
        /// The request.
        lease: Lease,
        /// The chunk's place.
        idx: u64,
        /// Its digest.
        digest: &'a [u8],
        /// Its records.
        record_count: u64,
        /// Bytes of its JSON.
        len_bytes: u64,
    },
    /// `commit`. The answer that is stored is [`stored_answer`] of what was unchanged and `answer`.
    Commit {
        /// The request.
        lease: Lease,
        /// Chunks of the whole body.
        chunk_count: u64,
        /// The rest of the answer.
        answer: &'a [u8],
    },
    /// `finish`; the answer is stored as with [`Self::Commit`], nothing being unchanged.
    Finish {
        /// The request.
        lease: Lease,
        /// Records sent.
        used_count: u64,
        /// The rest of the answer.
        answer: &'a [u8],
    },
    /// `renew`.
    Renew(Lease),
    /// `pause`.
    Pause(Lease),
    /// `abort`.
    Abort(Lease),
    /// `touched`.
    Touched {
        /// Of which commit.
        summary: Summary,
        /// From which version on.
        from_version: i64,
        /// At most so many.
        count: u64,
    },
    /// `read`.
    Read {
        /// The artifact's type.
        artifact_type: &'a str,
        /// Its id.
        id: &'a str,
    },
    /// `confirm`.
    Confirm {
        /// The table.
        table: &'a str,
        /// The data file.
        path: &'a str,
        /// Sequence number of the snapshot that added it.
        sequence: i64,
        /// Some of its rows.
        rows: Vec<SeenRow>,
    },
    /// `rows_deleted`.
    RowsDeleted {
        /// The table.
        table: &'a str,
        /// The data file.
        path: &'a str,
        /// Sequence number of the snapshot that added it.
        sequence: i64,
        /// Positions of the rows.
        rows: Vec<u64>,
    },
    /// `version_deleted`.
    VersionDeleted {
        /// The table.
        table: &'a str,
        /// The artifact's type.
        artifact_type: &'a str,
        /// Its id.
        id: &'a str,
        /// The version.
        version: i64,
    },
    /// `files_removed`.
    FilesRemoved {
        /// The table.
        table: &'a str,
        /// The data files.
        paths: Vec<&'a str>,
    },
    /// `followed`.
    Followed {
        /// The table.
        table: &'a str,
        /// Its current snapshot.
        snapshot: Option<i64>,
        /// That snapshot's sequence number.
        sequence: i64,
        /// When its pointer was read.
        as_of: Micros,
    },
    /// `status`.
    Status,
    /// `versions_page`.
    VersionsPage {
        /// The cursor of the last one seen.
        after: Option<(i64, i64)>,
        /// At most so many.
        count: u64,
    },
    /// `files_page`.
    FilesPage {
        /// The table.
        table: &'a str,
        /// The last one seen.
        after: &'a str,
        /// At most so many.
        count: u64,
    },
}

/// What a ledger replies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Call::Open`].
    Opened(Opened),
    /// To [`Call::Offer`].
    Offered(Offered),
    /// To [`Call::Stage`].
    Staged(Staged),
    /// To [`Call::Commit`].
    Committed(Committed),
    /// To calls that give nothing.
    Done,
    /// To [`Call::Touched`].
    Touched(Vec<Touched>),
    /// To [`Call::Read`].
    Read(Read),
    /// To [`Call::Confirm`].
    Confirmed(Confirmed),
    /// To [`Call::VersionDeleted`].
    VersionDeleted(bool),
    /// To [`Call::Status`].
    Status(Status),
    /// To [`Call::VersionsPage`].
    Versions(Vec<ListedVersion>),
    /// To [`Call::FilesPage`].
    Files(Vec<String>),
    /// How far tables are followed.
    Followed(Vec<Followed>),
    /// To a call of a request whose lease another one took.
    LeaseLost,
    /// To any call: it could not be done; for the log.
    Failed(String),
}

/// What became of [`Call::Open`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Whether the request is within its allowance. Nothing began if it is not.
    pub admission: Admission,
    /// How it began.
    pub begun: Option<Begun>,
    /// Bulk: the first version reserved, and how many.
    pub reserved: Option<(i64, u64)>,
}

/// A message that is none of this protocol's version.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a message of the ledger's protocol cannot be read: {0}")]
pub struct MessageError(String);

/// The bytes of a call or a reply.
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, MessageError> {
    postcard::to_extend(message, vec![VERSION]).map_err(|error| MessageError(error.to_string()))
}

/// The inverse of [`encode`].
///
/// # Errors
/// Bytes of another version of the protocol, or that end early.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, MessageError> {
    match bytes.split_first() {
        Some((&VERSION, message)) => {
            postcard::from_bytes(message).map_err(|error| MessageError(error.to_string()))
        }
        Some((version, _)) => Err(MessageError(format!("version {version} instead of {VERSION}"))),
        None => Err(MessageError("it is empty".to_owned())),
    }
}

/// The answer that is stored with a commit: `answer` with what only the commit tells, as the member `unchanged` in front
/// of the others. What stands before the JSON object is kept as it is.
pub fn stored_answer(unchanged_count: u64, answer: &[u8]) -> Vec<u8> {
    let head_len_bytes = answer.len().min(ANSWER_HEAD_LEN_BYTES);
    let (head, json) = answer.split_at(head_len_bytes);
    let mut stored = head.to_vec();
    stored.extend_from_slice(b"{\"unchanged\":");
    stored.extend_from_slice(unchanged_count.to_string().as_bytes());
    stored.push(b',');
    stored.extend_from_slice(json.get(1..).unwrap_or_default());
    stored
}

#[cfg(test)]
mod tests {
    use firn_ledger::read::{Known, Place};
    use firn_ledger::row::Standing;
    use firn_types::visibility::Visibility;

    use super::*;

    #[test]
    fn messages_come_back_as_they_were_and_rows_are_borrowed() {
        let json = vec![b'x'; 1_900_000];
        let standing = Standing {
            visibility: Some(Visibility::Org),
            deleted: false,
            expires_at: Some(Micros(-1)),
            size_bytes: 7,
        };
        let row = StagedRow {
            line: 3,
            artifact_type: "page",
            id: "a/雪",
            standing,
            hash: [9; 32],
            metadata_digest: [0; 16],
            if_version: Some(0),
            json: &json,
        };
        let lease = Lease { ingest: 1, epoch: 2 };
        let call = Call::Stage { lease, owner: Owner::default(), idx: 0, digest: b"d", rows: vec![row] };
        let bytes = encode(&call).unwrap();
        let Call::Stage { rows, .. } = decode(&bytes).unwrap() else { panic!("another call") };
        assert_eq!(rows[0].json, json);
        assert_eq!((rows[0].id, rows[0].standing, rows[0].hash), ("a/雪", standing, [9; 32]));
        assert!(bytes.as_ptr_range().contains(&rows[0].json.as_ptr()));

        let known =
            Known { version: 5, owner: Owner::default(), standing, hash: None, place: Place::Content(json) };
        let reply = Reply::Read(Read::Known(known));
        assert_eq!(decode::<Reply>(&encode(&reply).unwrap()), Ok(reply));
    }

    #[test]
    fn bytes_of_another_version_and_truncations_are_told() {
        let bytes = encode(&Reply::Failed("why".to_owned())).unwrap();
        for len_bytes in 0..bytes.len() {
            assert!(decode::<Reply>(&bytes[..len_bytes]).is_err(), "{len_bytes}");
        }
        let mut other = bytes;
        other[0] = VERSION + 1;
        assert!(decode::<Reply>(&other).unwrap_err().to_string().contains("version 2 instead of 1"));
    }
}
