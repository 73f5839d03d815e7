//! A store behind a pointer, so that what reads it is compiled once: futures of generic decorators nest inside each
//! future that awaits them, and in wasm each copy costs kilobytes. A box for each read costs a fraction of a microsecond.

use std::fmt;

use firn_types::object::{ByteRange, ObjectKey};
use futures::future::{FutureExt, LocalBoxFuture};

use crate::read::{ObjectBytes, ObjectRead, StoreError};

trait BoxedRead {
    fn read_boxed<'a>(
        &'a self,
        key: &'a ObjectKey,
        range: &'a ByteRange,
    ) -> LocalBoxFuture<'a, Result<ObjectBytes, StoreError>>;
}

impl<R: ObjectRead> BoxedRead for R {
    fn read_boxed<'a>(
        &'a self,
        key: &'a ObjectKey,
        range: &'a ByteRange,
    ) -> LocalBoxFuture<'a, Result<ObjectBytes, StoreError>> {
        self.read(key, range).boxed_local()
    }
}

/// Some store.
#[derive(Clone, Copy)]
pub struct ErasedRead<'r>(&'r dyn BoxedRead);

impl<'r> ErasedRead<'r> {
    /// Reads of `store`, whatever it is.
    pub fn new<R: ObjectRead>(store: &'r R) -> Self {
        Self(store)
    }
}

impl fmt::Debug for ErasedRead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErasedRead").finish_non_exhaustive()
    }
}

impl ObjectRead for ErasedRead<'_> {
    async fn read(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError> {
        self.0.read_boxed(key, range).await
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::{conformance, memory::MemoryStore};

    #[test]
    fn passes_the_suite_of_every_store() {
        let store = MemoryStore::default();
        for (key, bytes) in conformance::objects() {
            store.put(&key, bytes);
        }
        for (claim, outcome) in block_on(conformance::run(&ErasedRead::new(&store))) {
            assert_eq!(outcome, Ok(()), "{claim}");
        }
    }
}
