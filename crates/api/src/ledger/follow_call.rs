//! The calls of the lake's follower, and of who repairs, compares or looks, in the encoding of [`super::protocol`].

use firn_ledger::{
    confirm::{Confirmed, SeenRow},
    publish::Touched,
    status::{ListedVersion, Status},
};
use firn_types::time::Micros;
use serde::{Deserialize, Serialize};

use super::protocol::Message;

/// What the follower of the lake, and who repairs or compares, asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum FollowCall<'a> {
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
    /// `parked`.
    Parked {
        /// The first version of the page.
        from_version: i64,
        /// At most so many.
        count: u64,
    },
}

/// The reply to a [`FollowCall`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FollowReply {
    /// To calls that give nothing.
    Done,
    /// To [`FollowCall::Confirm`].
    Confirmed(Confirmed),
    /// To [`FollowCall::VersionDeleted`].
    VersionDeleted(bool),
    /// To [`FollowCall::Status`].
    Status(Status),
    /// To [`FollowCall::VersionsPage`].
    Versions(Vec<ListedVersion>),
    /// To [`FollowCall::FilesPage`].
    Files(Vec<String>),
    /// To [`FollowCall::Parked`].
    Parked(Vec<Touched>),
}

impl Message for FollowCall<'_> {
    type Reply = FollowReply;

    const KIND: u8 = b'f';
}
