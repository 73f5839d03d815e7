//! Reads ranges of objects of any S3-compatible store: AWS, R2's S3 endpoint, a server on this machine.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>. Requests are path-style, signed with SigV4 by
//! AWS's own library, or anonymous. A read is one GET with a `Range`; nothing here lists or asks for a length alone.
//!
//! For native tools: it opens connections and starts a thread a read. It is kept out of the Workers
//! (`scripts/check-purity`).

mod answer;
pub mod config;
mod sign;

use std::{thread, time::SystemTime};

use bytes::Bytes;
use firn_store::read::{ObjectBytes, ObjectRead, StoreError, StoreErrorKind};
use firn_types::object::{ByteRange, ObjectKey};
use futures::channel::oneshot;
use ureq::{
    Agent,
    http::{Request, header},
};

use crate::{
    answer::{Answer, Failure},
    config::S3Config,
};

/// Longest pause of a connection that is kept for the next read: S3 closes an idle one after about as much.
const IDLE_SECONDS_MAX: u64 = 15;

/// An S3-compatible store.
#[derive(Clone, Debug)]
pub struct S3Read {
    agent: Agent,
    config: S3Config,
}

impl S3Read {
    /// A store. Nothing is asked of it yet.
    pub fn new(config: S3Config) -> Self {
        let mut builder = Agent::config_builder()
            .http_status_as_error(false)
            // A redirect would need another signature; S3's names the region that should have been given.
            .max_redirects(0)
            .max_idle_connections(firn_store::perform::CONNECTIONS_MAX)
            .max_idle_connections_per_host(firn_store::perform::CONNECTIONS_MAX)
            .max_idle_age(std::time::Duration::from_secs(IDLE_SECONDS_MAX))
            .timeout_global(Some(config.timeout));
        if config.endpoint.is_loopback() {
            builder = builder.proxy(None);
        }
        Self { agent: builder.build().new_agent(), config }
    }

    fn read_blocking(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError> {
        let failed =
            |failure: Failure| StoreError { kind: failure.kind, key: key.clone(), source: failure.source };
        match range {
            ByteRange::Range(range) if range.is_empty() => {
                // The failure must tell the object's length, which only the store knows.
                let object_len_bytes = self.object_len_bytes(key).map_err(failed)?;
                Err(StoreError::new(StoreErrorKind::RangeInvalid { object_len_bytes }, key))
            }
            ByteRange::Tail { len_bytes: 0 } => {
                let object_len_bytes = self.object_len_bytes(key).map_err(failed)?;
                Ok(ObjectBytes {
                    bytes: Bytes::new(),
                    offset: object_len_bytes,
                    object_len_bytes,
                    etag: None,
                })
            }
            ByteRange::Range(_) | ByteRange::Tail { .. } => match self.get(key, range).map_err(failed)? {
                Answer::Bytes(bytes) => Ok(bytes),
                Answer::NotSatisfiable { object_len_bytes: Some(object_len_bytes) } => {
                    Err(StoreError::new(StoreErrorKind::RangeInvalid { object_len_bytes }, key))
                }
                Answer::NotSatisfiable { object_len_bytes: None } => {
                    let object_len_bytes = self.object_len_bytes(key).map_err(failed)?;
                    Err(StoreError::new(StoreErrorKind::RangeInvalid { object_len_bytes }, key))
                }
            },
        }
    }

    /// The length of an object, from a read of its last byte. Only for ranges that cannot be read.
    fn object_len_bytes(&self, key: &ObjectKey) -> Result<u64, Failure> {
        match self.get(key, &ByteRange::Tail { len_bytes: 1 })? {
            Answer::Bytes(read) => Ok(read.object_len_bytes),
            Answer::NotSatisfiable { object_len_bytes } => Ok(object_len_bytes.unwrap_or(0)),
        }
    }

    fn get(&self, key: &ObjectKey, range: &ByteRange) -> Result<Answer, Failure> {
        let url = self.config.url(key);
        let range_header = match range {
            ByteRange::Range(range) => format!("bytes={}-{}", range.start, range.end.saturating_sub(1)),
            ByteRange::Tail { len_bytes } => format!("bytes=-{len_bytes}"),
        };
        let mut request = Request::get(&url).header(header::RANGE, &range_header);
        if let Some(credentials) = &self.config.credentials {
            let now = (self.config.clock)();
            let signed = sign::headers(&url, &range_header, credentials, &self.config.region, now)?;
            for (name, value) in signed {
                request = request.header(name, value);
            }
        }
        let request = request.body(()).map_err(|error| Failure::unavailable(error.into()))?;
        let response = self.agent.run(request).map_err(Failure::from_client)?;
        answer::read(response, range)
    }
}

impl ObjectRead for S3Read {
    /// The error's source tells what the store said. An empty range, and one that the store refuses without telling the
    /// object's length, cost one more request, because the error must tell it.
    async fn read(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError> {
        // The client blocks, and a caller may have several reads under way: each has a thread of its own, which ends
        // at the client's timeout even where nobody waits for it any more.
        let (sender, receiver) = oneshot::channel();
        let (store, of, wanted) = (self.clone(), key.clone(), range.clone());
        let started = thread::Builder::new().name("s3-read".to_owned()).spawn(move || {
            // Nobody waits any more: then nobody misses the answer.
            let _ = sender.send(store.read_blocking(&of, &wanted));
        });
        let unavailable =
            |source| StoreError { kind: StoreErrorKind::Unavailable, key: key.clone(), source: Some(source) };
        started.map_err(|error| unavailable(error.into()))?;
        receiver.await.map_err(|error| unavailable(error.into()))?
    }
}

/// Tells the time, for signatures.
pub type Clock = fn() -> SystemTime;
