//! Where an S3-compatible store is, and who asks it.

use std::{fmt, time::Duration};

use firn_types::object::ObjectKey;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;
use ureq::http::Uri;

use crate::Clock;

/// What stays as it is in a path, by SigV4's rules for S3 ("`UriEncode`"): unreserved characters, and `/`.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The region that R2 takes, and every store that has none.
pub const REGION_DEFAULT: &str = "auto";

/// The region whose endpoint serves AWS's S3 where none is named.
const AWS_REGION_DEFAULT: &str = "us-east-1";

/// What a store is asked with.
#[derive(Clone, Debug)]
pub struct S3Config {
    /// Where it is.
    pub endpoint: Endpoint,
    /// The bucket of all keys. `None`: a key begins with its bucket and a slash.
    pub bucket: Option<String>,
    /// Region of the signature; [`REGION_DEFAULT`] where the store has none.
    pub region: String,
    /// `None` asks anonymously.
    pub credentials: Option<S3Credentials>,
    /// The longest that one read may take.
    pub timeout: Duration,
    /// Tells the time, for signatures.
    pub clock: Clock,
}

impl S3Config {
    pub(crate) fn url(&self, key: &ObjectKey) -> String {
        let encode = |text| utf8_percent_encode(text, PATH);
        let Endpoint { base, .. } = &self.endpoint;
        match &self.bucket {
            Some(bucket) => format!("{base}/{}/{}", encode(bucket), encode(key.as_str())),
            None => format!("{base}/{}", encode(key.as_str())),
        }
    }
}

/// An access key. Shown without its secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Credentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`, of temporary credentials.
    pub session_token: Option<String>,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Scheme, host and port of a store, and the path before its buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Without a slash at its end.
    base: String,
    host: String,
}

/// A text that is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{found:?} is no endpoint: https://host or http://host:port, with a path or without")]
pub struct EndpointError {
    /// The text.
    pub found: String,
}

impl Endpoint {
    /// Reads a URL: `http` or `https`, a host, perhaps a port and a path, nothing else.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let refused = || EndpointError { found: text.to_owned() };
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(refused());
        };
        let default_port = match scheme {
            "https" => 443,
            "http" => 80,
            _ => return Err(refused()),
        };
        let host = authority.host();
        let stated =
            authority.as_str().strip_prefix(host).filter(|_| !host.is_empty()).ok_or_else(refused)?;
        let port = match stated.strip_prefix(':') {
            Some(port) => port.parse::<u16>().map_err(|_| refused())?,
            None if stated.is_empty() => default_port,
            None => return Err(refused()),
        };
        if uri.query().is_some() {
            return Err(refused());
        }
        // A default port is left out of the header `Host`, so it is left out of what is signed.
        let port = if port == default_port { String::new() } else { format!(":{port}") };
        let base = format!("{scheme}://{host}{port}{}", uri.path().trim_end_matches('/'));
        Ok(Self { base, host: host.to_owned() })
    }

    /// The endpoint of AWS's own S3 in a region.
    pub fn of_aws(region: &str) -> Result<Self, EndpointError> {
        let region = if region == REGION_DEFAULT { AWS_REGION_DEFAULT } else { region };
        Self::parse(&format!("https://s3.{region}.amazonaws.com"))
    }

    /// Whether it is on this machine, where no proxy leads.
    pub(crate) fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host == "[::1]" || self.host.starts_with("127.")
    }
}
