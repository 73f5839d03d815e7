//! What a store was asked for, request by request.

use std::cell::{Cell, RefCell};

use firn_store::read::{ObjectBytes, ObjectRead, StoreError};
use firn_types::object::{ByteRange, ObjectKey};

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Counted from one.
    pub(crate) wave: u64,
    pub(crate) object: ObjectKey,
    pub(crate) asked: ByteRange,
    /// `None` if it failed.
    pub(crate) given: Option<Given>,
}

/// The part of an object that a request gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) offset: u64,
    pub(crate) len_bytes: u64,
    pub(crate) object_len_bytes: u64,
}

/// What reads cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) requests: u64,
    pub(crate) waves: u64,
    pub(crate) len_bytes: u64,
}

/// Which requests are kept one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// None: a scan may have any number.
    Cost,
    /// All.
    Requests,
}

/// Counts the requests of the store inside, the failed ones included.
#[derive(Debug)]
pub(crate) struct Trace<R> {
    inner: R,
    keep: Keep,
    cost: Cell<Cost>,
    requests: RefCell<Vec<Request>>,
}

impl<R> Trace<R> {
    pub(crate) fn new(inner: R, keep: Keep) -> Self {
        Self { inner, keep, cost: Cell::default(), requests: RefCell::default() }
    }

    /// What follows waited for what came before.
    pub(crate) fn begin_wave(&self) {
        let cost = self.cost.get();
        self.cost.set(Cost { waves: cost.waves + 1, ..cost });
    }

    pub(crate) fn cost(&self) -> Cost {
        self.cost.get()
    }

    /// The requests since the last time.
    pub(crate) fn take_requests(&self) -> Vec<Request> {
        self.requests.take()
    }
}

impl<R: ObjectRead> ObjectRead for Trace<R> {
    async fn read(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError> {
        let outcome = self.inner.read(key, range).await;
        let mut cost = self.cost.get();
        cost.requests += 1;
        let given = outcome.as_ref().ok().map(|read| Given {
            offset: read.offset,
            len_bytes: read.bytes.len() as u64,
            object_len_bytes: read.object_len_bytes,
        });
        cost.len_bytes += given.map_or(0, |given| given.len_bytes);
        if self.keep == Keep::Requests {
            let (wave, object, asked) = (cost.waves, key.clone(), range.clone());
            self.requests.borrow_mut().push(Request { wave, object, asked, given });
        }
        self.cost.set(cost);
        outcome
    }
}
