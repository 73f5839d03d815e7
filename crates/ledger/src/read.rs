//! Reading: what is current of a key, and where its row is (design.md §5 "A read"). Writes nothing.

use std::ops::ControlFlow;

use firn_types::time::Micros;

use crate::{
    Ledger, LedgerError,
    row::{Location, Owner, Standing, VERSION_MEMBER_LEN_BYTES_MAX, write_row},
    sql::{Param, Row},
};

/// How far a table was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Followed {
    /// The table.
    pub table: String,
    /// Its snapshot; `None` where it had none.
    pub snapshot: Option<i64>,
    /// The snapshot's sequence number.
    pub sequence: i64,
    /// When the follower read the table's pointer.
    pub at: Micros,
}

/// Where the row of a version is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Place {
    /// Here: the row as the stream gets it, JSON.
    Content(#[cfg_attr(feature = "serde", serde(with = "serde_bytes"))] Vec<u8>),
    /// In the lake, at this location.
    Located(Location),
    /// Somewhere in the lake, or nowhere any more: a lookup by manifests decides. If it finds a row whose version is
    /// below `beneath`'s, or none, then `beneath` is current.
    Elsewhere {
        /// The highest lower version whose content is here and was not confirmed, so that no lookup finds it.
        beneath: Option<Box<Known>>,
    },
}

/// A version that the ledger knows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Known {
    /// The version. Of rows of other engines: 0 for null and below, 2^53 − 1 for what is above; they are elsewhere.
    pub version: i64,
    /// The owner.
    pub owner: Owner,
    /// Rights and the like.
    pub standing: Standing,
    /// Hash of the content, where known.
    pub hash: Option<[u8; 32]>,
    /// Where the row is.
    pub place: Place,
}

/// What the ledger knows of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Read {
    /// Nothing. If every table was followed up to its current snapshot, there is nothing.
    Unknown {
        /// How far each table was followed.
        followed: Vec<Followed>,
    },
    /// The current version, which may be deleted or expired.
    Known(Known),
}

// Parameters stand in subqueries alone: beside a join SQLite takes one for a reason to plan the statement anew each time
// that a value is bound to it, which took five times as long as running it.
//
// Confirmed content whose file was removed is not trusted: the row may have been left out when the file was rewritten.
const CURRENT: &str = "SELECT v.version, v.visibility, v.flags, v.expires_at, v.size_bytes, v.sum, w.identity, \
     t.name, f.path, v.row, c.json \
     FROM versions v LEFT JOIN owners w ON w.owner = v.owner \
     LEFT JOIN files f ON f.file = v.file AND f.removed_at IS NULL LEFT JOIN tables t ON t.tab = f.tab \
     LEFT JOIN outbox o ON o.version = v.version AND o.key = v.key AND (v.file IS NULL OR f.file IS NOT NULL) \
     LEFT JOIN content c ON c.content = o.content \
     WHERE v.key = (SELECT key FROM keys WHERE type = ?1 AND id = ?2) ORDER BY v.version DESC LIMIT 1";

const BENEATH: &str = "SELECT v.version, v.visibility, v.flags, v.expires_at, v.size_bytes, v.sum, w.identity, \
     NULL, NULL, NULL, c.json \
     FROM versions v LEFT JOIN owners w ON w.owner = v.owner \
     JOIN outbox o ON o.version = v.version AND o.key = v.key AND o.lane % 8 < 7 JOIN content c ON c.content = o.content \
     WHERE v.key = (SELECT key FROM keys WHERE type = ?1 AND id = ?2) ORDER BY v.version DESC LIMIT 1";

const CURRENT_VERSION: &str = "SELECT version FROM versions \
     WHERE key = (SELECT key FROM keys WHERE type = ?1 AND id = ?2) ORDER BY version DESC LIMIT 1";

impl Ledger {
    /// The version that [`Self::read`] would call current; `None` where it would know nothing.
    pub fn current_version(&self, artifact_type: &str, id: &str) -> Result<Option<i64>, LedgerError> {
        if !self.is_ready()? {
            return Ok(None);
        }
        self.number(CURRENT_VERSION, &[Param::Text(artifact_type), Param::Text(id)])
    }

    /// What is current of an artifact.
    pub fn read(&self, artifact_type: &str, id: &str) -> Result<Read, LedgerError> {
        if !self.is_ready()? {
            return Ok(Read::Unknown { followed: Vec::new() });
        }
        let params = [Param::Text(artifact_type), Param::Text(id)];
        let Some(mut known) = self.one(CURRENT, &params, parse_known)? else {
            return Ok(Read::Unknown { followed: self.followed_tables()? });
        };
        if let Place::Elsewhere { beneath } = &mut known.place {
            *beneath = self.one(BENEATH, &params, parse_known)?.map(Box::new);
        }
        Ok(Read::Known(known))
    }

    /// How far each table was followed. Writes nothing.
    pub fn followed_tables(&self) -> Result<Vec<Followed>, LedgerError> {
        let mut tables = Vec::new();
        if !self.is_ready()? {
            return Ok(tables);
        }
        self.each(
            "SELECT name, snapshot, sequence, followed_at FROM tables WHERE followed_at > 0 ORDER BY name",
            &[],
            &mut |row| {
                tables.push(Followed {
                    table: row.text(),
                    snapshot: row.opt_text().and_then(|id| id.parse().ok()),
                    sequence: row.int(),
                    at: Micros(row.int()),
                });
                ControlFlow::Continue(())
            },
        )?;
        Ok(tables)
    }
}

fn parse_known(row: &mut Row) -> Known {
    let version = row.int();
    let (owner, standing, hash, location) = parse_version(row);
    let place = match (row.opt_blob(), location) {
        (Some(json), _) => {
            let mut text = Vec::with_capacity(json.len() + VERSION_MEMBER_LEN_BYTES_MAX);
            write_row(version, &json, &mut text);
            Place::Content(text)
        }
        (None, Some(location)) => Place::Located(location),
        (None, None) => Place::Elsewhere { beneath: None },
    };
    Known { version, owner, standing, hash, place }
}

/// The columns from `visibility` to `row`.
pub(crate) fn parse_version(row: &mut Row) -> (Owner, Standing, Option<[u8; 32]>, Option<Location>) {
    let standing = Standing::from_columns(row.int(), row.int(), row.opt_int(), row.count());
    let hash = row.opt_blob().and_then(|sum| sum.first_chunk().copied());
    let identity = row.opt_blob().unwrap_or_else(|| vec![0; 3]);
    let owner = row.made(Owner::decode(&identity));
    let (table, file, place) = (row.opt_text(), row.opt_text(), row.opt_int());
    let location = match (table, file, place.and_then(|row| u64::try_from(row).ok())) {
        (Some(table), Some(file), Some(row)) => Some(Location { table, file, row }),
        _ => None,
    };
    (owner, standing, hash, location)
}
