//! What an operator asks: figures, and pages of all that is known, to compare a ledger with the lake or to rebuild it.

use std::ops::ControlFlow;

use firn_types::time::Micros;

use crate::{
    Ledger, LedgerError,
    limits::PAGE_ROW_COUNT_MAX,
    outbox::{CONFIRMED, PARKED},
    read::{Followed, parse_version},
    row::{Location, Owner, Standing, stored},
    sql::Param,
};

/// Rows of the outbox beyond which counting stops.
pub const COUNTED_ROW_COUNT_MAX: u64 = 100_000;

/// Figures of a ledger. Counts of the outbox stop at [`COUNTED_ROW_COUNT_MAX`] each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Status {
    /// Versions known.
    pub version_count: u64,
    /// The highest version given or seen.
    pub last_version: i64,
    /// Bytes of content staged or not confirmed yet.
    pub held_len_bytes: u64,
    /// Versions never sent.
    pub unsent_count: u64,
    /// Versions sent and not confirmed yet.
    pub sent_count: u64,
    /// Versions parked.
    pub parked_count: u64,
    /// Versions confirmed whose content is still here.
    pub confirmed_count: u64,
    /// The oldest version not confirmed yet; about when it was written, in microseconds.
    pub oldest_unconfirmed: Option<i64>,
    /// Requests running or being dropped.
    pub running_count: u64,
    /// How far each table was followed.
    pub followed: Vec<Followed>,
}

/// A version, as a comparison with the lake needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ListedVersion {
    /// Where the next page begins after it.
    pub cursor: (i64, i64),
    /// The artifact's type.
    pub artifact_type: String,
    /// The artifact's id.
    pub id: String,
    /// The owner.
    pub owner: Owner,
    /// Rights and the like.
    pub standing: Standing,
    /// Hash, where known.
    pub hash: Option<[u8; 32]>,
    /// Its place in the lake, where known.
    pub location: Option<Location>,
    /// Whether its content is here.
    pub has_content: bool,
    /// Whether it waits for its confirmation, so that the lake may not hold it yet.
    pub is_unconfirmed: bool,
}

impl ListedVersion {
    /// The version.
    pub const fn version(&self) -> i64 {
        self.cursor.1
    }
}

impl Ledger {
    /// Figures. Writes nothing.
    pub fn status(&self) -> Result<Status, LedgerError> {
        if !self.is_ready()? {
            return Ok(Status::default());
        }
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        let mut status = Status {
            version_count: count(self.meta("version_count")?),
            last_version: self.meta("last_version")?,
            held_len_bytes: count(self.meta("held_len_bytes")?),
            followed: self.followed_tables()?,
            ..Status::default()
        };
        for (lane, _) in self.lane_dues()? {
            let counted = self.one(
                "SELECT COUNT(*), MIN(version) FROM (SELECT version FROM outbox WHERE lane = ?1 ORDER BY due LIMIT ?2)",
                &[Param::Int(lane), Param::Int(stored(COUNTED_ROW_COUNT_MAX))],
                |row| (row.count(), row.opt_int()),
            )?;
            let (counted, oldest) = counted.unwrap_or_default();
            *match lane % 8 {
                0 => &mut status.unsent_count,
                PARKED => &mut status.parked_count,
                CONFIRMED => &mut status.confirmed_count,
                _ => &mut status.sent_count,
            } += counted;
            let oldest = oldest.filter(|_| lane % 8 != CONFIRMED);
            status.oldest_unconfirmed = status.oldest_unconfirmed.into_iter().chain(oldest).min();
        }
        let running = self.number("SELECT COUNT(*) FROM ingests WHERE state IN (0, 2)", &[])?;
        status.running_count = count(running.unwrap_or(0));
        Ok(status)
    }

    /// Versions in the order of their cursors, after `after`, at most `count` and at most [`PAGE_ROW_COUNT_MAX`].
    pub fn versions_page(
        &self,
        after: Option<(i64, i64)>,
        count: u64,
    ) -> Result<Vec<ListedVersion>, LedgerError> {
        let mut page = Vec::new();
        if !self.is_ready()? {
            return Ok(page);
        }
        let (key, version) = after.unwrap_or((0, 0));
        self.each(
            "SELECT v.key, v.version, k.type, k.id, v.visibility, v.flags, v.expires_at, v.size_bytes, v.sum, \
             w.identity, t.name, f.path, v.row, o.lane % 8 \
             FROM versions v JOIN keys k ON k.key = v.key LEFT JOIN owners w ON w.owner = v.owner \
             LEFT JOIN files f ON f.file = v.file AND f.removed_at IS NULL LEFT JOIN tables t ON t.tab = f.tab \
             LEFT JOIN outbox o ON o.version = v.version AND o.key = v.key \
             WHERE (v.key, v.version) > (?1, ?2) ORDER BY v.key, v.version LIMIT ?3",
            &[Param::Int(key), Param::Int(version), Param::Int(stored(count.min(PAGE_ROW_COUNT_MAX)))],
            &mut |row| {
                let cursor = (row.int(), row.int());
                let (artifact_type, id) = (row.text(), row.text());
                let (owner, standing, hash, location) = parse_version(row);
                let phase = row.opt_int();
                page.push(ListedVersion {
                    cursor,
                    artifact_type,
                    id,
                    owner,
                    standing,
                    hash,
                    location,
                    has_content: phase.is_some(),
                    is_unconfirmed: phase.is_some_and(|phase| phase != CONFIRMED),
                });
                ControlFlow::Continue(())
            },
        )?;
        Ok(page)
    }

    /// Paths of a table's data files that the ledger holds for live, after `after` in their order, at most `count`
    /// and at most [`PAGE_ROW_COUNT_MAX`]. A rebuild reports those that the table does not have as removed.
    pub fn files_page(&self, table: &str, after: &str, count: u64) -> Result<Vec<String>, LedgerError> {
        let mut page = Vec::new();
        if !self.is_ready()? {
            return Ok(page);
        }
        self.each(
            "SELECT f.path FROM files f JOIN tables t ON t.tab = f.tab \
             WHERE f.path > ?2 AND f.removed_at IS NULL AND t.name = ?1 ORDER BY f.path LIMIT ?3",
            &[Param::Text(table), Param::Text(after), Param::Int(stored(count.min(PAGE_ROW_COUNT_MAX)))],
            &mut |row| {
                page.push(row.text());
                ControlFlow::Continue(())
            },
        )?;
        Ok(page)
    }

    /// When the follower last saw every table; content younger than that may still be on its way.
    pub fn followed_at(&self) -> Result<Option<Micros>, LedgerError> {
        if !self.is_ready()? {
            return Ok(None);
        }
        let at = self.watermark()?;
        Ok((at > 0).then_some(Micros(at)))
    }
}
