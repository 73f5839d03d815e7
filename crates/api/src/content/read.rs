//! What a namespace's ledger says of an artifact (design.md §5 "A read"): its row, the place of it, or that the tables
//! decide.

use firn_auth::{
    identity::Identity,
    rights::{Access, Owner, may_read},
};
use firn_ledger::read::{Known, Place as LedgerPlace, Read};
use firn_types::{error::ErrorCode, object::ObjectKey, representation::Representation, time::Micros};

use super::{
    answer::{gone, not_found},
    artifact::ArtifactRow,
    path::ContentPath,
};
use crate::{
    ledger::{
        LedgerPort,
        protocol::{ReadCall, VersionCall, decode, encode},
    },
    problem::Problem,
    tables::{located::Place, read::Hint},
};

/// When a client may ask again after the ledger failed.
const RETRY_AFTER_SECS: &str = "2";

/// What a ledger's word means for a read.
#[derive(Clone, Debug)]
pub enum Route {
    /// The ledger has the row.
    Row(ArtifactRow),
    /// It lies there.
    At(Place),
    /// The ledger has never heard of it: only a table that was not followed to its end may have it.
    NeverHeardOf,
    /// The tables are to be looked up; of what the ledger holds besides, the higher version counts.
    Tables {
        /// A version that has not reached the lake.
        beneath: Option<ArtifactRow>,
    },
}

impl Route {
    /// What the tables are told.
    pub fn hint(&self) -> Hint<'_> {
        match self {
            Self::At(place) => Hint::At(place),
            Self::NeverHeardOf => Hint::NeverHeardOf,
            Self::Row(_) | Self::Tables { .. } => Hint::Nothing,
        }
    }
}

/// What a ledger said.
#[derive(Clone, Debug)]
pub struct Word {
    /// The version that it calls current; `None` where it has never heard of the artifact.
    pub version: Option<i64>,
    /// What that means for this caller: 404 and 410 where the ledger alone can tell.
    pub route: Result<Route, Problem>,
}

/// Asks an artifact's ledger.
///
/// # Errors
/// 503 where it cannot be asked; 502 where it holds what cannot be read.
pub async fn ask_ledger(
    ledger: &impl LedgerPort,
    path: &ContentPath,
    caller: Option<&Identity>,
    now: Micros,
) -> Result<Word, Problem> {
    let key = &path.key;
    let call = ReadCall { artifact_type: key.artifact_type.as_str(), id: key.id.as_str() };
    let message = encode(&call).map_err(|error| unavailable(error.to_string()))?;
    let reply = ledger.call(&key.ns, message).await.map_err(unavailable)?;
    match decode::<ReadCall<'_>>(&reply).map_err(|error| unavailable(error.to_string()))? {
        Read::Unknown { .. } => Ok(Word { version: None, route: Ok(Route::NeverHeardOf) }),
        Read::Known(known) => {
            Ok(Word { version: Some(known.version), route: route(known, path, caller, now) })
        }
    }
}

/// The version that an artifact's ledger calls current; `None` where it has never heard of it.
///
/// # Errors
/// What the runtime says; for the log.
pub async fn current_version(ledger: &impl LedgerPort, path: &ContentPath) -> Result<Option<i64>, String> {
    let key = &path.key;
    let call = VersionCall { artifact_type: key.artifact_type.as_str(), id: key.id.as_str() };
    let message = encode(&call).map_err(|error| error.to_string())?;
    let reply = ledger.call(&key.ns, message).await?;
    decode::<VersionCall<'_>>(&reply).map_err(|error| error.to_string())
}

fn route(known: Known, path: &ContentPath, caller: Option<&Identity>, now: Micros) -> Result<Route, Problem> {
    let standing = known.standing;
    let owner = Owner { iss: known.owner.iss, org: known.owner.org, sub: known.owner.sub };
    // Where a row deleted or forbidden lies need not be read.
    if !matches!(known.place, LedgerPlace::Elsewhere { .. }) {
        if may_read(standing.visibility, &owner, caller, &path.key.ns) == Access::Denied {
            return Err(not_found());
        }
        if standing.deleted || standing.expires_at.is_some_and(|at| at <= now) {
            return Err(gone());
        }
    }
    match known.place {
        LedgerPlace::Content(json) => row(&json, known.version, path.representation).map(Route::Row),
        LedgerPlace::Located(location) => Ok(Route::At(Place {
            table: location.table,
            file: ObjectKey::new(&location.file),
            row: location.row,
            version: known.version,
        })),
        LedgerPlace::Elsewhere { beneath } => {
            let beneath = beneath.and_then(|beneath| match beneath.place {
                LedgerPlace::Content(json) => Some(row(&json, beneath.version, path.representation)),
                _ => None,
            });
            Ok(Route::Tables { beneath: beneath.transpose()? })
        }
    }
}

fn row(json: &[u8], version: i64, representation: Representation) -> Result<ArtifactRow, Problem> {
    ArtifactRow::parse_json(json, version, representation).map_err(|error| {
        Problem::new(ErrorCode::StorageCorrupt, "the stored artifact cannot be read").because(&error)
    })
}

/// 503: what must be asked does not answer.
pub(super) fn unavailable(cause: String) -> Problem {
    Problem::new(ErrorCode::StorageUnavailable, "try again later")
        .with_header("Retry-After", RETRY_AFTER_SECS)
        .because(cause)
}
