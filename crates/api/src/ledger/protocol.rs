//! Calls and replies, in postcard's encoding behind one byte that names the protocol's version.
//!
//! The encoding is by position, so any change of a type here, or of what it contains, needs another [`VERSION`]: during
//! a deployment Workers of two versions then refuse one another (503, tried again) rather than misread.

use firn_ledger::{
    admit::{Admission, Allowance},
    lease::{Begun, Lease, Offered},
    publish::{Committed, Staged, Summary, Touched},
    read::Read,
    row::{Owner, StagedRow},
};
use firn_types::mode::Mode;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::deletion::{DeleteCall, Deleted};

/// The version of the protocol.
const VERSION: u8 = 2;

/// Bytes of an answer before its JSON, which are the caller's own.
pub const ANSWER_HEAD_LEN_BYTES: usize = 33;

/// What a publish asks: an operation of [`firn_ledger::Ledger`], with its arguments but for the time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum PublishCall<'a> {
    /// `admit`, then `begin` if it was admitted, then for bulk `reserve`. Replied to by [`PublishReply::Opened`].
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
    /// `pause`.
    Pause(Lease),
    /// `abort`.
    Abort(Lease),
    /// `touched`, from a version on, one page.
    Touched {
        /// The commit.
        summary: Summary,
        /// The first version of the page.
        from_version: i64,
    },
}

/// The reply to a [`PublishCall`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PublishReply {
    /// To [`PublishCall::Open`].
    Opened(Opened),
    /// To [`PublishCall::Offer`].
    Offered(Offered),
    /// To [`PublishCall::Stage`].
    Staged(Staged),
    /// To [`PublishCall::Commit`].
    Committed {
        /// What became of it.
        outcome: Committed,
        /// The first page of what it touched.
        touched: Vec<Touched>,
    },
    /// To calls that give nothing.
    Done,
    /// The request's lease is another's now.
    LeaseLost,
    /// To [`PublishCall::Touched`].
    Touched(Vec<Touched>),
}

/// What a reader asks: `read`. The reply is a [`firn_ledger::read::Read`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ReadCall<'a> {
    /// The artifact's type.
    pub artifact_type: &'a str,
    /// Its id.
    pub id: &'a str,
}

/// What a reader asks who has the row already: `current_version`. The reply is an `Option<i64>`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct VersionCall<'a> {
    /// The artifact's type.
    pub artifact_type: &'a str,
    /// Its id.
    pub id: &'a str,
}

/// What became of [`PublishCall::Open`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Whether the request is within its allowance. Nothing began if it is not.
    pub admission: Admission,
    /// How it began.
    pub begun: Option<Begun>,
    /// Bulk: the first version reserved, and how many.
    pub reserved: Option<(i64, u64)>,
}

/// Which kind of call a message is; each Worker links only what it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Publish,
    Read,
    Version,
    Follow,
    Delete,
}

/// A call that can be sent.
pub trait Message: Serialize {
    /// What is replied.
    type Reply: for<'a> Deserialize<'a>;

    /// The byte that names its kind.
    const KIND: u8;
}

impl Message for PublishCall<'_> {
    type Reply = PublishReply;

    const KIND: u8 = b'p';
}

impl Message for ReadCall<'_> {
    type Reply = Read;

    const KIND: u8 = b'r';
}

impl Message for VersionCall<'_> {
    type Reply = Option<i64>;

    const KIND: u8 = b'v';
}

impl Message for DeleteCall<'_> {
    type Reply = Deleted;

    const KIND: u8 = b'd';
}

/// A message that is none of this protocol's version, or a ledger that could not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MessageError {
    /// The bytes are no message of this version.
    #[error("a message of the ledger's protocol cannot be read: {0}")]
    Unreadable(&'static str),
    /// The ledger could not do it.
    #[error("the ledger failed: {0}")]
    Failed(String),
}

/// The bytes of a call.
///
/// # Errors
/// Never, for the calls above.
pub fn encode<M: Message>(call: &M) -> Result<Vec<u8>, MessageError> {
    write(call, vec![VERSION, M::KIND])
}

/// The reply out of its bytes.
///
/// # Errors
/// Bytes of another version of the protocol, or that end early; what the ledger says of its failure.
pub fn decode<M: Message>(reply: &[u8]) -> Result<M::Reply, MessageError> {
    match reply.split_first_chunk() {
        Some(([VERSION, b'+'], reply)) => read(reply),
        Some(([VERSION, b'-'], cause)) => {
            Err(MessageError::Failed(String::from_utf8_lossy(cause).into_owned()))
        }
        Some(_) => Err(MessageError::Unreadable("another version")),
        None => Err(MessageError::Unreadable("it is too short")),
    }
}

/// The kind and the rest of a call.
pub(super) fn split(message: &[u8]) -> Result<(Kind, &[u8]), MessageError> {
    match message.split_first_chunk() {
        Some(([VERSION, b'p'], call)) => Ok((Kind::Publish, call)),
        Some(([VERSION, b'r'], call)) => Ok((Kind::Read, call)),
        Some(([VERSION, b'v'], call)) => Ok((Kind::Version, call)),
        Some(([VERSION, b'f'], call)) => Ok((Kind::Follow, call)),
        Some(([VERSION, b'd'], call)) => Ok((Kind::Delete, call)),
        Some(_) => Err(MessageError::Unreadable("another version")),
        None => Err(MessageError::Unreadable("it is too short")),
    }
}

/// Whether a call may leave work for the ledger's alarm. What only reads leaves none, and what goes on under a lease only
/// moves back what its beginning left.
pub fn may_leave_work(message: &[u8]) -> bool {
    // postcard writes a variant as its number.
    let leaving_none = [variant::OFFER, variant::STAGE, variant::CHUNK_TAKEN, variant::TOUCHED];
    match split(message) {
        Ok((Kind::Publish, call)) => call.first().is_none_or(|number| !leaving_none.contains(number)),
        Ok((kind, _)) => !matches!(kind, Kind::Read | Kind::Version),
        Err(_) => false,
    }
}

/// Numbers of variants of [`PublishCall`].
mod variant {
    pub(super) const OFFER: u8 = 1;
    pub(super) const STAGE: u8 = 2;
    pub(super) const CHUNK_TAKEN: u8 = 3;
    pub(super) const TOUCHED: u8 = 8;
}

pub(super) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, MessageError> {
    postcard::from_bytes(bytes).map_err(|_| MessageError::Unreadable("it is cut or another's"))
}

/// The bytes of a reply.
pub(super) fn reply(reply: &impl Serialize) -> Result<Vec<u8>, MessageError> {
    write(reply, vec![VERSION, b'+'])
}

/// The bytes of a reply that says why the ledger could not do it.
pub(super) fn failure(cause: &str) -> Vec<u8> {
    [&[VERSION, b'-'], cause.as_bytes()].concat()
}

fn write(message: &impl Serialize, head: Vec<u8>) -> Result<Vec<u8>, MessageError> {
    postcard::to_extend(message, head).map_err(|_| MessageError::Unreadable("it cannot be written"))
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
    use firn_types::{time::Micros, visibility::Visibility};

    use super::*;
    use crate::ledger::follow_call::{FollowCall, FollowReply};

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
        let call =
            PublishCall::Stage { lease, owner: Owner::default(), idx: 0, digest: b"d", rows: vec![row] };
        let bytes = encode(&call).unwrap();
        let (kind, rest) = split(&bytes).unwrap();
        let PublishCall::Stage { rows, .. } = read(rest).unwrap() else { panic!("another call") };
        assert_eq!((kind, rows[0].json), (Kind::Publish, json.as_slice()));
        assert_eq!((rows[0].id, rows[0].standing, rows[0].hash), ("a/雪", standing, [9; 32]));
        assert!(bytes.as_ptr_range().contains(&rows[0].json.as_ptr()));

        let place = Place::Content(json);
        let known = Known { version: 5, owner: Owner::default(), standing, hash: None, place };
        let found = Read::Known(known);
        assert_eq!(decode::<ReadCall<'_>>(&reply(&found).unwrap()), Ok(found));
    }

    #[test]
    fn only_what_begins_ends_or_follows_may_leave_work_for_the_alarm() {
        let lease = Lease { ingest: 1, epoch: 2 };
        let chunk_taken =
            PublishCall::ChunkTaken { lease, idx: 0, digest: b"", record_count: 1, len_bytes: 1 };
        let stage =
            PublishCall::Stage { lease, owner: Owner::default(), idx: 0, digest: b"", rows: Vec::new() };
        let summary = Summary::default();
        let touched = PublishCall::Touched { summary, from_version: 0 };
        for call in [PublishCall::Offer { lease, idx: 0, digest: b"" }, stage, chunk_taken, touched] {
            assert!(!may_leave_work(&encode(&call).unwrap()), "{call:?}");
        }
        let commit = PublishCall::Commit { lease, chunk_count: 1, answer: b"" };
        let finish = PublishCall::Finish { lease, used_count: 1, answer: b"" };
        for call in [commit, finish, PublishCall::Pause(lease), PublishCall::Abort(lease)] {
            assert!(may_leave_work(&encode(&call).unwrap()), "{call:?}");
        }
        assert!(!may_leave_work(&encode(&ReadCall { artifact_type: "a", id: "b" }).unwrap()));
        assert!(may_leave_work(&encode(&FollowCall::Status).unwrap()));
        assert!(!may_leave_work(b""));
    }

    #[test]
    fn bytes_of_another_version_and_truncations_are_told_and_a_failure_keeps_its_cause() {
        let bytes = reply(&FollowReply::Files(vec!["a".to_owned()])).unwrap();
        for len_bytes in 0..bytes.len() {
            assert!(decode::<FollowCall<'_>>(&bytes[..len_bytes]).is_err(), "{len_bytes}");
        }
        let mut other = bytes;
        other[0] = VERSION + 1;
        assert_eq!(decode::<FollowCall<'_>>(&other), Err(MessageError::Unreadable("another version")));
        assert_eq!(split(&other), Err(MessageError::Unreadable("another version")));
        assert_eq!(decode::<ReadCall<'_>>(&failure("why")), Err(MessageError::Failed("why".to_owned())));
    }
}
