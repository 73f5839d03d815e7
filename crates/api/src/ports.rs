//! What the drivers need of the platform. No trait asks for `Send`: a Worker has one thread.

use bytes::Bytes;
use firn_types::time::Micros;
use thiserror::Error;

/// The wall clock.
pub trait Clock {
    /// Now.
    fn now(&self) -> Micros;
}

/// Why a body cannot be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The client went away, or the connection broke. Never the end of a complete body.
    #[error("the body broke off: {0}")]
    Aborted(String),
    /// The body is not in its `Content-Encoding`, or ends within it.
    #[error("the body is not gzip: {0}")]
    Encoding(String),
    /// The body expands beyond all reason.
    #[error("the body expands to more than {ratio_max} times its length")]
    Expands {
        /// Most bytes of content for one of the body.
        ratio_max: u64,
    },
}

/// The body of a request, as a stream.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait Body {
    /// The next bytes; `None` only at the end of a complete body.
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError>;
}
