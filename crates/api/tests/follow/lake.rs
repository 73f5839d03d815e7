//! A bucket in memory that fails where a test wants it.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::poll_fn,
    rc::Rc,
    task::Poll,
};

use bytes::Bytes;
use firn_api::follow::ports::{FollowStore, Put};
use firn_store::{
    memory::MemoryStore,
    read::{ObjectBytes, ObjectRead, StoreError, StoreErrorKind},
};
use firn_types::object::{ByteRange, ObjectKey};

/// Objects by key, as the builder of tables makes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lake {
    pub(crate) objects: BTreeMap<String, Bytes>,
}

/// When an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    After,
}

/// Counts operations of store and ledgers, and ends them all at one: what a kill looks like from outside.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) operation_count: Cell<u64>,
    kill: Cell<Option<(u64, When)>>,
    /// Whether each operation gives way once before it is done.
    pub(crate) yields: Cell<bool>,
}

impl Faults {
    pub(crate) fn kill_at(&self, operation: u64, when: When) {
        self.operation_count.set(0);
        self.kill.set(Some((operation, when)));
    }

    pub(crate) fn clear(&self) {
        self.operation_count.set(0);
        self.kill.set(None);
    }

    /// Runs an operation; `None` if it was killed, done or not.
    pub(crate) async fn run<T>(&self, operate: impl AsyncFnOnce() -> T) -> Option<T> {
        if self.yields.get() {
            give_way().await;
        }
        let operation = self.operation_count.get();
        self.operation_count.set(operation + 1);
        match self.kill.get() {
            Some((at, _)) if operation > at => None,
            Some((at, When::Before)) if operation == at => None,
            Some((at, When::After)) if operation == at => {
                operate().await;
                None
            }
            _ => Some(operate().await),
        }
    }
}

async fn give_way() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The lake's bucket.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    pub(crate) memory: MemoryStore,
    pub(crate) etags: RefCell<BTreeMap<String, String>>,
    pub(crate) faults: Rc<Faults>,
    pub(crate) put_count: Cell<u64>,
}

impl Bucket {
    pub(crate) fn put(&self, key: &str, bytes: Bytes) {
        self.put_count.set(self.put_count.get() + 1);
        self.etags.borrow_mut().insert(key.to_owned(), format!("e{}", self.put_count.get()));
        self.memory.put(&ObjectKey::new(key), bytes);
    }

    pub(crate) fn remove(&self, key: &str) {
        self.etags.borrow_mut().remove(key);
        assert!(self.memory.remove(&ObjectKey::new(key)), "{key}");
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.etags.borrow().keys().cloned().collect()
    }
}

fn killed(key: &ObjectKey) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, key)
}

impl ObjectRead for Bucket {
    async fn read(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError> {
        let read = self.faults.run(async || self.memory.read(key, range).await).await;
        let read = read.ok_or_else(|| killed(key))??;
        Ok(ObjectBytes { etag: self.etags.borrow().get(key.as_str()).cloned(), ..read })
    }
}

impl FollowStore for Bucket {
    async fn put_if(&self, key: &ObjectKey, bytes: Vec<u8>, etag: Option<&str>) -> Result<Put, StoreError> {
        let put = async || {
            if self.etags.borrow().get(key.as_str()).map(String::as_str) != etag {
                return Put::Conflict;
            }
            self.put(key.as_str(), bytes.into());
            Put::Stored { etag: self.etags.borrow()[key.as_str()].clone() }
        };
        self.faults.run(put).await.ok_or_else(|| killed(key))
    }
}
