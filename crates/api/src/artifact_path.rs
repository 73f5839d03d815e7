//! The paths below `/$.content/`, up to what their last part means.

use firn_types::{error::ErrorCode, key::Namespace};

use crate::{http::percent_decode, problem::Problem};

/// What every path of an artifact starts with.
pub const PREFIX: &str = "/$.content/";

/// 400 `invalid_path`.
pub(crate) fn invalid_path(detail: &str) -> Problem {
    Problem::new(ErrorCode::InvalidPath, detail)
}

/// The namespace of a path; `None` where it has no valid one.
pub fn namespace(path: &str) -> Option<Namespace> {
    let (ns, _) = path.strip_prefix(PREFIX)?.split_once('/')?;
    Namespace::parse(&percent_decode(ns)?).ok()
}

/// Namespace, type and the rest, each percent-decoded once; the rest may hold `/`, as such or as `%2F`. `shape` says
/// what the path should be.
///
/// # Errors
/// 400 `invalid_path`.
pub(crate) fn split_path(path: &str, shape: &str) -> Result<(String, String, String), Problem> {
    let rest = path.strip_prefix(PREFIX).ok_or_else(|| invalid_path(shape))?;
    let mut parts = rest.splitn(3, '/').map(percent_decode);
    let mut next = || match parts.next() {
        Some(Some(part)) => Ok(part),
        Some(None) => Err(invalid_path("the path has a malformed percent-escape, or is not UTF-8")),
        None => Err(invalid_path(shape)),
    };
    Ok((next()?, next()?, next()?))
}
