//! The visibility of a record that is about to become a row.

use firn_auth::identity::Identity;
use firn_ndjson::{error::LineError, record::Record};
use firn_types::{error::LineErrorCode, visibility::Visibility};

/// The record's visibility, else the default: a tombstone's is `user`, so that a deletion tells nobody that there was
/// something. `org` and `user` need the claim by which readers will be compared.
pub(super) fn resolve_visibility(
    record: &Record<'_>,
    default: Visibility,
    identity: &Identity,
) -> Result<Visibility, LineError> {
    if record.deleted && record.visibility.is_none() {
        // Not the caller's word, so a token without `sub` may delete all the same; only an admin then sees the tombstone.
        return Ok(Visibility::User);
    }
    let visibility = record.visibility.unwrap_or(default);
    let missing = match visibility {
        Visibility::Org if identity.org.is_none() => "org",
        Visibility::User if identity.sub.is_none() => "sub",
        _ => return Ok(visibility),
    };
    let detail = format!("visibility {} needs the token's claim {missing}", visibility.as_str());
    Err(LineError::of_field(LineErrorCode::ClaimMissing, "visibility", detail))
}
