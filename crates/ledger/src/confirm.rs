//! What the follower of the lake reports: rows seen in data files, files removed, rows deleted by other engines.
//!
//! Every call may be repeated, and come late: a confirmation of a file that was removed since, or of a row that was
//! deleted since, changes nothing.

use firn_types::{
    limits::{ID_LEN_BYTES_MAX, TYPE_LEN_BYTES_MAX},
    time::Micros,
    version::VERSION_MAX,
};

use crate::{
    Ledger, LedgerError,
    limits::VERSION_AHEAD_MAX,
    outbox::CONFIRMED,
    row::{FLAG_COPIED, Owner, Standing, instant, int_or_null, stored},
    sql::Param,
};

/// A data file whose rows are confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataFile<'a> {
    /// The table.
    pub table: &'a str,
    /// The file, by a name that no other file of any table has: its object key.
    pub path: &'a str,
    /// Sequence number of the snapshot that added it. Of two places of one version the higher sequence wins.
    pub sequence: i64,
}

/// A row of a data file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SeenRow {
    /// The artifact's type.
    pub artifact_type: String,
    /// The artifact's id.
    pub id: String,
    /// The version; `None` where it is null.
    pub version: Option<i64>,
    /// The owner.
    pub owner: Owner,
    /// Rights and the like.
    pub standing: Standing,
    /// The hash, where the row has one.
    pub hash: Option<[u8; 32]>,
    /// Position in the file, from 0.
    pub row: u64,
}

/// What a confirmation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Confirmed {
    /// Rows whose content waited for it.
    pub confirmed_count: u64,
    /// Rows that the ledger did not know: bulk, or other engines.
    pub learned_count: u64,
    /// Rows that no reader could ask for, because their type or id is empty or too long.
    pub skipped_count: u64,
}

impl Ledger {
    /// Confirms rows of a data file: their versions lie there. Rows that the ledger did not know become known. The
    /// rights are the row's from then on: another engine may have changed them without a new version.
    ///
    /// A version seen at two places is found at the one with the higher sequence.
    pub fn confirm(
        &self,
        now: Micros,
        file: &DataFile<'_>,
        rows: &[SeenRow],
    ) -> Result<Confirmed, LedgerError> {
        let now = instant(now);
        self.write(|| {
            let mut result = Confirmed::default();
            let Some(file_no) = self.live_file(file)? else { return Ok(result) };
            let has_deleted = self.has_deleted_rows(file_no)?;
            let mut owner: Option<(&Owner, i64)> = None;
            let (mut version_max, mut confirmed_len_bytes) = (0, 0);
            for row in rows {
                let is_askable = (1..=TYPE_LEN_BYTES_MAX).contains(&row.artifact_type.len())
                    && (1..=ID_LEN_BYTES_MAX).contains(&row.id.len());
                if !is_askable {
                    result.skipped_count += 1;
                    continue;
                }
                let owner_no = match owner {
                    Some((same, owner_no)) if *same == row.owner => owner_no,
                    _ => self.intern_owner(&row.owner)?,
                };
                owner = Some((&row.owner, owner_no));
                let version = row.version.unwrap_or(0).clamp(0, VERSION_MAX);
                if version <= now.saturating_add(VERSION_AHEAD_MAX.0) {
                    version_max = version.max(version_max);
                }
                let place = (file_no, stored(row.row));
                let (key, is_learned) = self.see(place, file.sequence, version, owner_no, row)?;
                result.learned_count += u64::from(is_learned);
                if let Some(len_bytes) = self.settle(now, key, version)? {
                    result.confirmed_count += 1;
                    confirmed_len_bytes += len_bytes;
                }
                if has_deleted && self.is_deleted_row(place)? {
                    self.take_away(place)?;
                }
            }
            if version_max > self.meta("last_version")? {
                self.set_meta("last_version", version_max)?;
            }
            self.add_meta("held_len_bytes", -confirmed_len_bytes)?;
            self.add_meta("version_count", stored(result.learned_count))?;
            Ok(result)
        })
    }

    /// Notes that data files are no part of the table any more. Versions that lie there are elsewhere, until they are
    /// confirmed at another place.
    pub fn files_removed(&self, now: Micros, table: &str, paths: &[&str]) -> Result<(), LedgerError> {
        let now = instant(now).max(1);
        self.write(|| {
            let table_no = self.intern_table(table)?;
            for path in paths {
                // Also of files never heard of: their confirmation may be under way.
                self.run(
                    "INSERT INTO files (path, tab, sequence, removed_at) VALUES (?1, ?2, 0, ?3) \
                     ON CONFLICT (path) DO UPDATE SET removed_at = COALESCE(removed_at, excluded.removed_at)",
                    &[Param::Text(path), Param::Int(table_no), Param::Int(now)],
                )?;
            }
            Ok(())
        })
    }

    /// Notes that another engine deleted rows of a data file, whichever kind of delete file named them. A version
    /// that lay nowhere else is gone, and the next lower one is current, as a lookup by manifests has it; one that was
    /// seen at two places is elsewhere.
    pub fn rows_deleted(&self, file: &DataFile<'_>, rows: &[u64]) -> Result<(), LedgerError> {
        self.write(|| {
            let Some(file_no) = self.live_file(file)? else { return Ok(()) };
            for row in rows {
                let place = (file_no, stored(*row));
                self.mark_row(place)?;
                self.take_away(place)?;
            }
            Ok(())
        })
    }

    /// As [`Self::rows_deleted`], where only key and version are known and every copy was deleted. The version must
    /// have been confirmed in that table; gives whether it was. A later confirmation makes it known again, so use
    /// positions where there are any.
    pub fn version_deleted(
        &self,
        table: &str,
        artifact_type: &str,
        id: &str,
        version: i64,
    ) -> Result<bool, LedgerError> {
        self.write(|| {
            let found = self.one(
                "SELECT v.file, v.row, v.key FROM keys k JOIN versions v ON v.key = k.key \
                 JOIN files f ON f.file = v.file JOIN tables t ON t.tab = f.tab \
                 WHERE k.type = ?1 AND k.id = ?2 AND v.version = ?3 AND t.name = ?4",
                &[Param::Text(artifact_type), Param::Text(id), Param::Int(version), Param::Text(table)],
                |row| ((row.int(), row.int()), row.int()),
            )?;
            let Some((place, key)) = found else { return Ok(false) };
            self.mark_row(place)?;
            self.drop_content(key, version)?;
            self.drop_version(key, version)?;
            Ok(true)
        })
    }

    /// Notes how far a table was followed, after everything up to there was reported. `as_of` is when the table's
    /// pointer was read. To be called also where the table has not changed while rows wait for their confirmation.
    pub fn followed(
        &self,
        as_of: Micros,
        table: &str,
        snapshot: Option<i64>,
        sequence: i64,
    ) -> Result<(), LedgerError> {
        let snapshot = snapshot.map(|id| id.to_string());
        self.write(|| {
            self.run(
                "INSERT INTO tables (name, snapshot, sequence, followed_at) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (name) DO UPDATE SET snapshot = excluded.snapshot, sequence = excluded.sequence, \
                 followed_at = excluded.followed_at",
                &[
                    Param::Text(table),
                    snapshot.as_deref().map_or(Param::Null, Param::Text),
                    Param::Int(sequence),
                    Param::Int(instant(as_of).max(1)),
                ],
            )
        })
    }

    /// Forgets a table that is followed no more. Versions that lie there are elsewhere.
    pub fn unfollow(&self, table: &str) -> Result<(), LedgerError> {
        self.write(|| self.run("DELETE FROM tables WHERE name = ?1", &[Param::Text(table)]))
    }

    fn intern_table(&self, table: &str) -> Result<i64, LedgerError> {
        let table = self.number(
            "INSERT INTO tables (name, sequence, followed_at) VALUES (?1, 0, 0) \
             ON CONFLICT (name) DO UPDATE SET name = name RETURNING tab",
            &[Param::Text(table)],
        )?;
        table.ok_or(LedgerError::Corrupt)
    }

    /// The number of a file; `None` if it was removed.
    fn live_file(&self, file: &DataFile<'_>) -> Result<Option<i64>, LedgerError> {
        let found = self.one(
            "SELECT file, removed_at FROM files WHERE path = ?1",
            &[Param::Text(file.path)],
            |row| (row.int(), row.opt_int()),
        )?;
        if let Some((file_no, removed_at)) = found {
            return Ok(removed_at.is_none().then_some(file_no));
        }
        let table_no = self.intern_table(file.table)?;
        self.number(
            "INSERT INTO files (path, tab, sequence) VALUES (?1, ?2, ?3) RETURNING file",
            &[Param::Text(file.path), Param::Int(table_no), Param::Int(file.sequence)],
        )
    }

    /// Notes the place of a version; gives its key, and whether it was unknown.
    fn see(
        &self,
        place: (i64, i64),
        sequence: i64,
        version: i64,
        owner: i64,
        row: &SeenRow,
    ) -> Result<(i64, bool), LedgerError> {
        // Parameters in subqueries: see the statements of a read.
        let found = self.one(
            "SELECT k.key, v.file, v.row, f.sequence, v.flags, v.sum FROM keys k \
             LEFT JOIN versions v ON v.key = k.key AND v.version = (SELECT ?3) \
             LEFT JOIN files f ON f.file = v.file AND f.removed_at IS NULL \
             WHERE k.key = (SELECT key FROM keys WHERE type = ?1 AND id = ?2)",
            &[Param::Text(&row.artifact_type), Param::Text(&row.id), Param::Int(version)],
            |row| {
                let (key, place) = (row.int(), (row.opt_int(), row.opt_int()));
                (key, place.0.zip(place.1), row.opt_int(), row.opt_int(), row.opt_blob())
            },
        )?;
        let Some((key, known_place, known_sequence, flags, sum)) = found else {
            let key = self.number(
                "INSERT INTO keys (type, id) VALUES (?1, ?2) RETURNING key",
                &[Param::Text(&row.artifact_type), Param::Text(&row.id)],
            )?;
            let key = key.ok_or(LedgerError::Corrupt)?;
            self.put_version(key, version, owner, place, 0, None, row)?;
            return Ok((key, true));
        };
        let Some(flags) = flags else {
            self.put_version(key, version, owner, place, 0, None, row)?;
            return Ok((key, true));
        };
        if known_place == Some(place) {
            return Ok((key, false));
        }
        // The place of a removed file is none: that file's rows were rewritten, not doubled.
        let copied = flags & FLAG_COPIED | if known_sequence.is_some() { FLAG_COPIED } else { 0 };
        if known_sequence.is_some_and(|known| known > sequence) {
            self.run(
                "UPDATE versions SET flags = flags | 2 WHERE key = ?1 AND version = ?2",
                &[Param::Int(key), Param::Int(version)],
            )?;
        } else {
            self.put_version(key, version, owner, place, copied, sum, row)?;
        }
        Ok((key, false))
    }

    #[expect(clippy::too_many_arguments, reason = "one row, column by column")]
    fn put_version(
        &self,
        key: i64,
        version: i64,
        owner: i64,
        place: (i64, i64),
        copied: i64,
        sum: Option<Vec<u8>>,
        row: &SeenRow,
    ) -> Result<(), LedgerError> {
        let hash = row.hash.as_ref().map(<[u8; 32]>::as_slice);
        // The metadata's digest is not in the lake: it stays with the hash that it came with.
        let sum = sum.filter(|sum| hash.is_some_and(|hash| sum.starts_with(hash)));
        let sum = sum.as_deref().or(hash);
        // A version that does not fit is never found by its place, because others may share it.
        let place = (row.version == Some(version) && version > 0).then_some(place);
        // Nobody can prove to be an owner that is not kept.
        let visibility = if owner == 0 { 0 } else { row.standing.visibility_code() };
        self.run(
            "INSERT OR REPLACE INTO versions (key, version, visibility, owner, sum, size_bytes, flags, expires_at, \
             file, row) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            &[
                Param::Int(key),
                Param::Int(version),
                Param::Int(visibility),
                Param::Int(owner),
                sum.map_or(Param::Null, Param::Blob),
                Param::Int(stored(row.standing.size_bytes)),
                Param::Int(row.standing.flags() | copied),
                int_or_null(row.standing.expires_at.map(instant)),
                int_or_null(place.map(|(file, _)| file)),
                int_or_null(place.map(|(_, row)| row)),
            ],
        )
    }

    /// The outbox need not send the version any more. Gives the length of its content, if it was waiting.
    fn settle(&self, now: i64, key: i64, version: i64) -> Result<Option<i64>, LedgerError> {
        self.number(
            "UPDATE outbox SET lane = lane - lane % 8 + ?4, due = ?3 \
             WHERE version = ?1 AND key = ?2 AND lane % 8 < 7 RETURNING len_bytes",
            &[
                Param::Int(version),
                Param::Int(key),
                Param::Int(now.saturating_add(self.options.content_kept.0)),
                Param::Int(CONFIRMED),
            ],
        )
    }

    /// Remembers that the row at a place was deleted, in case its confirmation comes later.
    fn mark_row(&self, place: (i64, i64)) -> Result<(), LedgerError> {
        self.run(
            "INSERT OR IGNORE INTO deleted_rows (file, row) VALUES (?1, ?2)",
            &[Param::Int(place.0), Param::Int(place.1)],
        )
    }

    fn has_deleted_rows(&self, file: i64) -> Result<bool, LedgerError> {
        let found = self.number("SELECT 1 FROM deleted_rows WHERE file = ?1 LIMIT 1", &[Param::Int(file)])?;
        Ok(found.is_some())
    }

    fn is_deleted_row(&self, place: (i64, i64)) -> Result<bool, LedgerError> {
        let params = [Param::Int(place.0), Param::Int(place.1)];
        let found = self.number("SELECT 1 FROM deleted_rows WHERE file = ?1 AND row = ?2", &params)?;
        Ok(found.is_some())
    }

    /// The row at a place is no more.
    fn take_away(&self, place: (i64, i64)) -> Result<(), LedgerError> {
        let found = self.one(
            "SELECT key, version, flags FROM versions WHERE file = ?1 AND row = ?2",
            &[Param::Int(place.0), Param::Int(place.1)],
            |row| (row.int(), row.int(), row.int()),
        )?;
        let Some((key, version, flags)) = found else { return Ok(()) };
        self.drop_content(key, version)?;
        if flags & FLAG_COPIED == 0 {
            return self.drop_version(key, version);
        }
        self.run(
            "UPDATE versions SET file = NULL, row = NULL WHERE key = ?1 AND version = ?2",
            &[Param::Int(key), Param::Int(version)],
        )
    }

    fn drop_version(&self, key: i64, version: i64) -> Result<(), LedgerError> {
        self.run(
            "DELETE FROM versions WHERE key = ?1 AND version = ?2",
            &[Param::Int(key), Param::Int(version)],
        )?;
        self.run(
            "DELETE FROM keys WHERE key = ?1 AND NOT EXISTS (SELECT 1 FROM versions WHERE key = ?1)",
            &[Param::Int(key)],
        )?;
        self.add_meta("version_count", -1)
    }

    /// Confirmed content that waits for its release.
    fn drop_content(&self, key: i64, version: i64) -> Result<(), LedgerError> {
        let params = [Param::Int(version), Param::Int(key)];
        self.run(
            "DELETE FROM content WHERE content = (SELECT content FROM outbox WHERE version = ?1 AND key = ?2)",
            &params,
        )?;
        self.run("DELETE FROM outbox WHERE version = ?1 AND key = ?2", &params)
    }
}
