//! The in-memory twin of a store: the same guarantees, for tests and for lakes that fit in memory.

use std::{cell::RefCell, collections::HashMap, ops::Range};

use bytes::Bytes;
use firn_types::object::{ByteRange, ObjectKey};

use crate::read::{ObjectBytes, ObjectRead, StoreError, StoreErrorKind};

/// Objects in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    objects: RefCell<HashMap<ObjectKey, Stored>>,
}

#[derive(Clone, Debug)]
struct Stored {
    bytes: Bytes,
    generation: u64,
}

impl MemoryStore {
    /// Stores an object, in place of the one that had the key.
    pub fn put(&self, key: &ObjectKey, bytes: Bytes) {
        let mut objects = self.objects.borrow_mut();
        let generation = objects.get(key).map_or(0, |old| old.generation.saturating_add(1));
        objects.insert(key.clone(), Stored { bytes, generation });
    }

    /// Removes an object; true if there was one.
    pub fn remove(&self, key: &ObjectKey) -> bool {
        self.objects.borrow_mut().remove(key).is_some()
    }
}

impl ObjectRead for MemoryStore {
    async fn read(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError> {
        let stored = self.objects.borrow().get(key).cloned();
        let Stored { bytes, generation } = stored.ok_or(StoreError::new(StoreErrorKind::NotFound, key))?;
        let object_len_bytes = bytes.len() as u64;
        let wanted = match range {
            ByteRange::Range(range) => range.clone(),
            ByteRange::Tail { len_bytes } => object_len_bytes.saturating_sub(*len_bytes)..object_len_bytes,
        };
        let asked_for_nothing = matches!(range, ByteRange::Range(range) if range.is_empty());
        let slice = slice(&bytes, &wanted).filter(|_| !asked_for_nothing);
        let invalid = StoreErrorKind::RangeInvalid { object_len_bytes };
        Ok(ObjectBytes {
            bytes: slice.ok_or(StoreError::new(invalid, key))?,
            offset: wanted.start,
            object_len_bytes,
            etag: Some(format!("{generation}")),
        })
    }
}

/// `None` where `range` does not lie within `bytes`.
fn slice(bytes: &Bytes, range: &Range<u64>) -> Option<Bytes> {
    let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
    (start <= end && end <= bytes.len()).then(|| bytes.slice(start..end))
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::conformance;

    #[test]
    fn memory_store_conforms() {
        let store = MemoryStore::default();
        for (key, bytes) in conformance::objects() {
            store.put(&key, bytes);
        }
        for (claim, outcome) in block_on(conformance::run(&store)) {
            assert_eq!(outcome, Ok(()), "{claim}");
        }
    }

    #[test]
    fn etag_changes_with_the_object() {
        let (store, key) = (MemoryStore::default(), ObjectKey::new("a"));
        let etag = || block_on(store.read(&key, &ByteRange::Tail { len_bytes: 1 })).unwrap().etag;
        store.put(&key, Bytes::from_static(b"1"));
        let first = etag();
        store.put(&key, Bytes::from_static(b"2"));
        assert_ne!(first, etag());
        assert!(store.remove(&key));
        assert!(!store.remove(&key));
    }
}
