//! Table pointers from an Iceberg REST catalog, for instance Cloudflare's R2 Data Catalog
//! (<https://github.com/apache/iceberg/blob/main/open-api/rest-catalog-open-api.yaml>).
//!
//! | request | of its answer |
//! |---|---|
//! | `GET {uri}/v1/config?warehouse={warehouse}` | `prefix` of `overrides`, else of `defaults`; held |
//! | `GET {uri}/v1/{prefix}/namespaces/{ns}/tables/{table}?snapshots=refs` | `metadata-location`; nothing is held here |
//!
//! The metadata inside the second answer is not used: it is read from the bucket, where it is immutable and held. The
//! answer is read only as far as the location stands in it, which most catalogs put first.
//!
//! The token goes to the configured URI alone: redirects are not followed, and a `uri` in the catalog's configuration
//! is ignored. There is no `OAuth2` flow, no signing and no vended credentials: objects are read through the R2 binding.

mod wire;

use std::{cell::RefCell, fmt, rc::Rc};

use firn_lookup::table::location::LocationMap;
use firn_store::{
    perform::CONNECTIONS_MAX,
    read::ObjectRead,
    retry::{FailureClass, Pause, RetryDecision, decide},
    timeout::{READ_TIMEOUT_MS, within},
};
use firn_types::{object::ObjectKey, time::Micros};
use futures::stream::{self, StreamExt, TryStreamExt};
use thiserror::Error;

use self::wire::{Located, encode_segment, is_prefix, locate_metadata, names_missing_table, parse_prefix};
use super::{config::TableName, error::LakeError, pointers::TablePointers};
use crate::ports::{Body, Clock};

/// How long the catalog's configuration is held, in microseconds: ten minutes. It changes when a catalog moves, and
/// then what was held is refused and forgotten at once.
const CONFIG_HOLD_MICROS: i64 = 600 * 1_000_000;

/// Largest answer to `config`; it lists some twenty endpoints of 70 bytes.
const CONFIG_LEN_BYTES_MAX: usize = 64 * 1024;

/// Largest error answer that is looked at; some catalogs add a stack of a few KB.
const ERROR_LEN_BYTES_MAX: usize = 64 * 1024;

/// How much of a table's answer is read in search of the location. Where the metadata comes first this is 13,000
/// snapshots of 600 bytes, and `snapshots=refs` leaves out all but a few of them.
const TABLE_LEN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// An Iceberg REST catalog.
#[derive(Clone, PartialEq, Eq)]
pub struct CatalogConfig {
    uri: String,
    warehouse: Option<String>,
    token: Option<String>,
}

impl fmt::Debug for CatalogConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatalogConfig").field("uri", &self.uri).finish_non_exhaustive()
    }
}

/// Whether a catalog may be asked without encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Only `https`.
    Encrypted,
    /// `http` as well: on the development origin.
    Any,
}

impl Transport {
    /// The URL without slashes at its end. `None` if it is none, has a query or credentials, or may not be asked so.
    pub(crate) fn base_uri(self, uri: &str) -> Option<String> {
        let rest = match self {
            Self::Encrypted => uri.strip_prefix("https://"),
            Self::Any => uri.strip_prefix("https://").or_else(|| uri.strip_prefix("http://")),
        }?;
        let is_plain = rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#@\\".contains(&byte));
        let is_base = is_plain && !rest.starts_with('/') && !rest.is_empty();
        is_base.then(|| uri.trim_end_matches('/').to_owned())
    }
}

impl CatalogConfig {
    /// `uri` is what comes before `/v1/`. `None` if it is no such URL, has a query or lies beyond `transport`.
    pub fn new(
        uri: &str,
        warehouse: Option<String>,
        token: Option<String>,
        transport: Transport,
    ) -> Option<Self> {
        Some(Self { uri: transport.base_uri(uri)?, warehouse, token })
    }
}

/// What a [`RestCatalog`] needs of its platform, besides timers and the clock.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait CatalogPlatform: Pause + Clock {
    /// Body of an answer. Dropping it ends the connection.
    type Reply: Body;

    /// One GET for JSON, with this bearer token, to exactly this URL: a redirect is an answer like any other. Dropping
    /// the future ends the connection. `Err` says why there is no answer; never with the token.
    async fn get(&self, url: &str, token: Option<&str>) -> Result<(u16, Self::Reply), String>;
}

/// What went wrong with a catalog, in the few kinds that are treated differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CatalogErrorKind {
    /// It does not take the token, or knows nothing of what it is asked for: the deployment is configured wrongly.
    #[error("refused")]
    Refused,
    /// It asks to be called less often.
    #[error("throttled")]
    Throttled,
    /// It did not answer in time.
    #[error("timed out")]
    Timeout,
    /// It cannot be reached, or failed by its own account.
    #[error("unavailable")]
    Unavailable,
    /// Its answer is not one of the specification.
    #[error("invalid answer")]
    Invalid,
}

/// A catalog that did not say where a table's metadata lies.
#[derive(Debug, Error)]
#[error("catalog: {kind}: {what}")]
pub struct CatalogError {
    /// What kind of failure.
    pub kind: CatalogErrorKind,
    /// What was asked and answered; for the log, never for a client.
    pub what: String,
}

impl CatalogError {
    /// Whether the same request may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        FailureClass::from(self) != FailureClass::Permanent
    }
}

impl From<&CatalogError> for FailureClass {
    fn from(error: &CatalogError) -> Self {
        match error.kind {
            CatalogErrorKind::Throttled => Self::Throttled,
            CatalogErrorKind::Timeout | CatalogErrorKind::Unavailable => Self::Transient,
            CatalogErrorKind::Refused | CatalogErrorKind::Invalid => Self::Permanent,
        }
    }
}

/// What an isolate holds of a catalog: its configuration. Pointers are held with those of other kinds.
#[derive(Debug, Default)]
pub struct HeldCatalog(RefCell<Option<HeldPrefix>>);

#[derive(Clone, Debug)]
struct HeldPrefix {
    read_at: Micros,
    prefix: Option<Rc<str>>,
}

impl HeldCatalog {
    pub(super) fn forget(&self) {
        *self.0.borrow_mut() = None;
    }

    fn get(&self, now: Micros) -> Option<HeldPrefix> {
        let is_fresh =
            |held: &HeldPrefix| (0..CONFIG_HOLD_MICROS).contains(&now.0.saturating_sub(held.read_at.0));
        self.0.borrow().clone().filter(is_fresh)
    }
}

/// A REST catalog, as one request asks it.
#[derive(Debug)]
pub struct RestCatalog<'a, P> {
    config: &'a CatalogConfig,
    held: &'a HeldCatalog,
    platform: P,
}

impl<'a, P: CatalogPlatform> RestCatalog<'a, P> {
    /// Asks the catalog of `config`; `held` is the isolate's, and of the same catalog.
    pub const fn new(config: &'a CatalogConfig, held: &'a HeldCatalog, platform: P) -> Self {
        Self { config, held, platform }
    }

    async fn prefix(&self) -> Result<Option<Rc<str>>, CatalogError> {
        let now = self.platform.now();
        if let Some(held) = self.held.get(now) {
            return Ok(held.prefix);
        }
        let warehouse = self.config.warehouse.as_deref();
        let query = warehouse.map_or(String::new(), |name| format!("?warehouse={}", encode_segment(name)));
        let url = format!("{}/v1/config{query}", self.config.uri);
        let prefix = self.retrying(async || self.read_config(&url).await).await?;
        *self.held.0.borrow_mut() = Some(HeldPrefix { read_at: now, prefix: prefix.clone() });
        Ok(prefix)
    }

    async fn read_config(&self, url: &str) -> Result<Option<Rc<str>>, CatalogError> {
        let (status, body) = self.get(url).await?;
        if status != 200 {
            return Err(failed(status, url));
        }
        let body = read_to_end(body, CONFIG_LEN_BYTES_MAX, url).await?;
        let invalid = |what: &str| invalid(format!("{what} from {url}"));
        let prefix = parse_prefix(&body).map_err(|_| invalid("no configuration"))?;
        if !prefix.as_deref().is_none_or(is_prefix) {
            return Err(invalid("a prefix that is none"));
        }
        Ok(prefix.map(Rc::from))
    }

    async fn table(&self, prefix: Option<&str>, table: &TableName) -> Result<Option<ObjectKey>, LakeError> {
        let prefix = prefix.map_or(String::new(), |prefix| format!("{prefix}/"));
        let (namespace, name) = (encode_segment(&table.namespace), encode_segment(&table.name));
        let uri = &self.config.uri;
        let url = format!("{uri}/v1/{prefix}namespaces/{namespace}/tables/{name}?snapshots=refs");
        let location = self.retrying(async || self.read_location(&url).await).await.inspect_err(|error| {
            // The catalog may have moved.
            if !error.is_retryable() {
                self.held.forget();
            }
        })?;
        Ok(location.map(|location| LocationMap::default().object_key(&location)))
    }

    async fn read_location(&self, url: &str) -> Result<Option<String>, CatalogError> {
        let (status, mut body) = self.get(url).await?;
        if status == 404 {
            // Only the catalog's own word for it: any server answers 404 to what it does not know.
            let body = read_to_end(body, ERROR_LEN_BYTES_MAX, url).await?;
            return if names_missing_table(&body) { Ok(None) } else { Err(failed(status, url)) };
        }
        if status != 200 {
            return Err(failed(status, url));
        }
        let mut start = Vec::new();
        let mut look_at = 0;
        loop {
            let next = body.next().await.map_err(|error| broken_off(&error, url))?;
            let is_all = next.is_none();
            start.extend_from_slice(&next.unwrap_or_default());
            // Looked at again only once it has doubled, so that the whole costs no more than twice its length.
            if is_all || start.len() >= look_at {
                match locate_metadata(&start) {
                    Located::At(location) => return Ok(Some(location)),
                    Located::Further if !is_all => look_at = start.len() * 2,
                    _ => return Err(invalid(format!("no metadata-location from {url}"))),
                }
            }
            if start.len() > TABLE_LEN_BYTES_MAX {
                return Err(invalid(format!("no location in {TABLE_LEN_BYTES_MAX} bytes from {url}")));
            }
        }
    }

    async fn get(&self, url: &str) -> Result<(u16, P::Reply), CatalogError> {
        let answered = self.platform.get(url, self.config.token.as_deref()).await;
        answered.map_err(|why| CatalogError {
            kind: CatalogErrorKind::Unavailable,
            what: format!("{url}: {why}"),
        })
    }

    /// Makes attempts, each with its deadline, as long as [`decide`] says.
    async fn retrying<T>(
        &self,
        attempt: impl AsyncFn() -> Result<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        let (mut attempt_count, mut waited_ms) = (0, 0);
        loop {
            let outcome = within(&self.platform, READ_TIMEOUT_MS, attempt()).await;
            let error = match outcome {
                Some(Ok(value)) => return Ok(value),
                Some(Err(error)) => error,
                None => CatalogError {
                    kind: CatalogErrorKind::Timeout,
                    what: format!("no answer of {} within {READ_TIMEOUT_MS} ms", self.config.uri),
                },
            };
            attempt_count += 1;
            match decide(FailureClass::from(&error), attempt_count, waited_ms, self.platform.jitter()) {
                RetryDecision::GiveUp => return Err(error),
                RetryDecision::After { pause_ms } => {
                    self.platform.pause(pause_ms).await;
                    waited_ms += pause_ms;
                }
            }
        }
    }
}

impl<P: CatalogPlatform> TablePointers for RestCatalog<'_, P> {
    async fn locate(
        &self,
        _: &impl ObjectRead,
        tables: &[&TableName],
    ) -> Result<Vec<Option<ObjectKey>>, LakeError> {
        let prefix = self.prefix().await?;
        stream::iter(tables)
            .map(|table| self.table(prefix.as_deref(), table))
            .buffered(CONNECTIONS_MAX)
            .try_collect()
            .await
    }
}

/// A status that is no answer. 408 and what a proxy or the catalog says of itself pass; the rest will not without
/// somebody's doing: 401, 403 and 419 are the token, other 4xx and redirects the URI or the warehouse.
fn failed(status: u16, url: &str) -> CatalogError {
    let kind = match status {
        429 => CatalogErrorKind::Throttled,
        408 | 500..=599 => CatalogErrorKind::Unavailable,
        300..=499 => CatalogErrorKind::Refused,
        _ => CatalogErrorKind::Invalid,
    };
    CatalogError { kind, what: format!("status {status} from {url}") }
}

fn invalid(what: String) -> CatalogError {
    CatalogError { kind: CatalogErrorKind::Invalid, what }
}

fn broken_off(error: &crate::ports::BodyError, url: &str) -> CatalogError {
    CatalogError { kind: CatalogErrorKind::Unavailable, what: format!("{url}: {error}") }
}

async fn read_to_end(mut body: impl Body, len_bytes_max: usize, url: &str) -> Result<Vec<u8>, CatalogError> {
    let mut all = Vec::new();
    while let Some(bytes) = body.next().await.map_err(|error| broken_off(&error, url))? {
        if all.len() + bytes.len() > len_bytes_max {
            return Err(invalid(format!("over {len_bytes_max} bytes from {url}")));
        }
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
