//! The ledger's limits, and what a deployment may set.

use firn_types::time::Micros;

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const DAY: i64 = 24 * 60 * MINUTE;

/// A request's lease; renewed with every chunk (design.md §3).
pub const LEASE: Micros = Micros(30 * SECOND);

/// How long after its lease a stage waits for a retry to take it over, before it is dropped. Clients retry for minutes;
/// a slow upload without a retry goes on by itself within this time too.
pub const STAGE_GRACE: Micros = Micros(10 * MINUTE);

/// How long a finished request's answer stays here. KV takes up to 60 s to show it everywhere; ten times that.
pub const ANSWER_KEPT: Micros = Micros(10 * MINUTE);

/// Most rows of one all-or-nothing request: one commit of so many takes SQLite some seconds.
pub const STAGE_ROW_COUNT_MAX: u64 = 100_000;

/// Most `if_version` conflicts that are listed, as many as an answer lists line errors.
pub const CONFLICTS_MAX: i64 = 100;

/// Rows that one call of upkeep touches for each of its duties: some 20 ms of SQLite.
pub const SWEEP_ROW_COUNT_MAX: i64 = 1_000;

/// Most entries of one page of an answer: 1,000 of 1 KB keys are 1 MB.
pub const PAGE_ROW_COUNT_MAX: u64 = 1_000;

/// Most rows of one batch of the outbox, whatever their size: 4 MB of the smallest rows, 200 bytes.
pub const BATCH_ROW_COUNT_MAX: i64 = 20_000;

/// Sends of one row before it is parked.
pub const SENDS_MAX: i64 = 5;

/// Longest issuer, organisation or subject that is kept. A token has 8 KB in all; what another engine writes beyond
/// this leaves the row to admins.
pub const OWNER_PART_LEN_BYTES_MAX: u16 = 4_096;

/// How far ahead of the clock a version of the lake may be for the ledger's clock to follow it: a day, against rows of
/// other engines that would use up all versions at once.
pub const VERSION_AHEAD_MAX: Micros = Micros(DAY);

/// How long a removed data file is remembered, so that a late follower's confirmation of it is ignored.
pub const REMOVED_FILE_KEPT: Micros = Micros(DAY);

/// First and longest pause of the outbox while the stream is not available.
pub const SEND_PAUSE_MIN: Micros = Micros(SECOND);
/// See [`SEND_PAUSE_MIN`].
pub const SEND_PAUSE_MAX: Micros = Micros(MINUTE);

/// What a deployment may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of content not confirmed yet above which a stage is refused.
    pub held_len_bytes_max: u64,
    /// When a row that was sent and not confirmed is sent again: three roll intervals, at least 15 minutes.
    pub resend_after: Micros,
    /// How long content stays after its confirmation: as long as a table pointer may be held, plus a lookup's deadline.
    pub content_kept: Micros,
}

impl Default for Options {
    /// 1 GiB, a tenth of what an object holds; 15 minutes; 60 seconds.
    fn default() -> Self {
        Self {
            held_len_bytes_max: 1024 * 1024 * 1024,
            resend_after: Micros(15 * MINUTE),
            content_kept: Micros(60 * SECOND),
        }
    }
}
