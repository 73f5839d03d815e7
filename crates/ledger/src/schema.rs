//! The tables, and how a database of an earlier version becomes one of this.
//!
//! ```text
//! keys       (type, id) <-> key            one row an artifact; the namespace is the object's
//! versions   (key, version) -> rights, sum, size, flags, expiry, location (file, row)
//! owners     (issuer, org, sub) <-> owner
//! outbox     version -> content, lane, due  versions whose content the ledger still holds
//! content    content -> row text            written once by a stage, deleted once
//! ingests    requests: lease, reserved range, answer        chunks    their digests, and whether they were taken
//! staged     (ingest, line) -> what becomes a version at commit
//! tables     table -> snapshot followed     files     path <-> file     deleted_rows  positions deleted by others
//! meta       counters and the schema's version
//! ```

use crate::{Ledger, LedgerError, sql::Param};

/// The version that this code reads and writes.
pub const SCHEMA_VERSION: i64 = 2;

/// Statements that make version `n + 1` out of version `n`, by `n`. An entry, once released, never changes.
pub(crate) const MIGRATIONS: [&[&str]; 2] = [V1, V2];

const V1: &[&str] = &[
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE keys (key INTEGER PRIMARY KEY, type TEXT NOT NULL, id TEXT NOT NULL, UNIQUE (type, id))",
    "CREATE TABLE owners (owner INTEGER PRIMARY KEY, identity BLOB NOT NULL UNIQUE)",
    // visibility: 0 unknown, 1 public, 2 unlisted, 3 org, 4 user. sum: hash, then digest of metadata where known.
    // flags: 1 a tombstone, 2 seen at two places.
    "CREATE TABLE versions (key INTEGER NOT NULL, version INTEGER NOT NULL, visibility INTEGER NOT NULL, \
     owner INTEGER NOT NULL, sum BLOB, size_bytes INTEGER NOT NULL, flags INTEGER NOT NULL, expires_at INTEGER, \
     file INTEGER, row INTEGER, PRIMARY KEY (key, version)) WITHOUT ROWID",
    "CREATE INDEX versions_by_file ON versions (file, row) WHERE file IS NOT NULL",
    "CREATE TABLE content (content INTEGER PRIMARY KEY, json BLOB NOT NULL)",
    "CREATE TABLE outbox (version INTEGER PRIMARY KEY, key INTEGER NOT NULL, content INTEGER NOT NULL, \
     len_bytes INTEGER NOT NULL, lane INTEGER NOT NULL, due INTEGER NOT NULL)",
    "CREATE INDEX outbox_by_lane ON outbox (lane, due)",
    // state: 0 running, 1 finished, 2 dropped. until: end of the lease, or of keeping the answer.
    "CREATE TABLE ingests (ingest INTEGER PRIMARY KEY, ingest_id TEXT NOT NULL, idempotency_key BLOB, \
     fingerprint BLOB NOT NULL, mode INTEGER NOT NULL, epoch INTEGER NOT NULL, started_at INTEGER NOT NULL, \
     state INTEGER NOT NULL, until INTEGER NOT NULL, chunk_count INTEGER NOT NULL, row_count INTEGER NOT NULL, \
     first_version INTEGER, version_count INTEGER NOT NULL, unchanged_count INTEGER NOT NULL, answer BLOB)",
    "CREATE UNIQUE INDEX ingests_by_key ON ingests (idempotency_key) WHERE idempotency_key IS NOT NULL",
    "CREATE INDEX ingests_by_state ON ingests (state, until)",
    "CREATE TABLE chunks (ingest INTEGER NOT NULL, idx INTEGER NOT NULL, digest BLOB NOT NULL, \
     PRIMARY KEY (ingest, idx)) WITHOUT ROWID",
    // The last four are set by the commit: the key, its current version, whether that is live, the place in the range.
    "CREATE TABLE staged (ingest INTEGER NOT NULL, line INTEGER NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL, \
     visibility INTEGER NOT NULL, owner INTEGER NOT NULL, sum BLOB NOT NULL, size_bytes INTEGER NOT NULL, \
     flags INTEGER NOT NULL, expires_at INTEGER, if_version INTEGER, content INTEGER NOT NULL, \
     len_bytes INTEGER NOT NULL, key INTEGER, found INTEGER, live INTEGER, rank INTEGER, \
     PRIMARY KEY (ingest, line)) WITHOUT ROWID",
    // A snapshot id is any 64-bit number, which a double does not hold: text.
    "CREATE TABLE tables (tab INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, snapshot TEXT, \
     sequence INTEGER NOT NULL, followed_at INTEGER NOT NULL)",
    "CREATE TABLE files (file INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, tab INTEGER NOT NULL, \
     sequence INTEGER NOT NULL, removed_at INTEGER)",
    "CREATE INDEX files_removed ON files (removed_at) WHERE removed_at IS NOT NULL",
    "CREATE TABLE deleted_rows (file INTEGER NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (file, row)) WITHOUT ROWID",
    "CREATE TABLE counters (name TEXT PRIMARY KEY, start INTEGER NOT NULL, count INTEGER NOT NULL) WITHOUT ROWID",
];

// 0: a chunk of bulk that is on its way to the stream.
const V2: &[&str] = &["ALTER TABLE chunks ADD COLUMN taken INTEGER NOT NULL DEFAULT 1"];

impl Ledger {
    /// Whether there are tables. Makes none, but brings those of an earlier version up to this one: a read must see what
    /// they hold.
    pub(crate) fn is_ready(&self) -> Result<bool, LedgerError> {
        if !self.ready.get() {
            let found = self.stored_schema_version()?;
            if (1..SCHEMA_VERSION).contains(&found) {
                self.migrate(&MIGRATIONS)?;
            }
            self.ready.set(found > 0);
        }
        Ok(self.ready.get())
    }

    /// Makes the tables where there are none, in one transaction.
    pub(crate) fn prepare(&self) -> Result<(), LedgerError> {
        if self.is_ready()? {
            return Ok(());
        }
        self.migrate(&MIGRATIONS)?;
        self.ready.set(true);
        Ok(())
    }

    pub(crate) fn migrate(&self, migrations: &[&'static [&'static str]]) -> Result<(), LedgerError> {
        let found = usize::try_from(self.stored_schema_version()?).map_err(|_| LedgerError::Corrupt)?;
        self.transact(|| {
            for statement in migrations.get(found..).unwrap_or_default().iter().copied().flatten() {
                self.run(statement, &[])?;
            }
            self.set_meta("schema", i64::try_from(migrations.len()).unwrap_or(i64::MAX))
        })
    }

    /// 0 where there are no tables yet.
    fn stored_schema_version(&self) -> Result<i64, LedgerError> {
        if self.number("SELECT COUNT(*) FROM sqlite_master WHERE name = 'meta'", &[])? == Some(0) {
            return Ok(0);
        }
        let found = self.meta("schema")?;
        if found > SCHEMA_VERSION {
            return Err(LedgerError::SchemaNewer);
        }
        Ok(found)
    }

    /// A number of `meta`; 0 where it was never set.
    pub(crate) fn meta(&self, name: &str) -> Result<i64, LedgerError> {
        Ok(self.number("SELECT value FROM meta WHERE name = ?1", &[Param::Text(name)])?.unwrap_or(0))
    }

    pub(crate) fn set_meta(&self, name: &str, value: i64) -> Result<(), LedgerError> {
        self.run(
            "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            &[Param::Text(name), Param::Int(value)],
        )
    }

    /// Adds to a number of `meta`; writes nothing where nothing is added.
    pub(crate) fn add_meta(&self, name: &str, delta: i64) -> Result<(), LedgerError> {
        if delta == 0 {
            return Ok(());
        }
        self.run(
            "INSERT INTO meta (name, value) VALUES (?1, ?2) \
             ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            &[Param::Text(name), Param::Int(delta)],
        )
    }
}
