//! What one isolate holds of the lake between requests.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::Arc,
};

use firn_iceberg::{followed::Followed, metadata::TableMetadata};
use firn_lookup::held::{Held, HeldObjects};
use firn_store::cache::{ByteLru, CacheCounts};
use firn_types::{object::ObjectKey, time::Micros};

use super::{catalog::HeldCatalog, config::TableName};

/// Default budget of parsed objects and table metadata of one isolate. Its 128 MB also hold the module (a few MB), the bodies
/// under way and what a lookup decodes.
pub const HELD_LEN_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// What one isolate holds of the lake. No borrow of it outlives a step, so requests never wait for one another.
#[derive(Debug)]
pub struct HeldLake {
    /// What is held of an Iceberg REST catalog.
    pub catalog: HeldCatalog,
    pointers: RefCell<HashMap<TableName, HeldPointer>>,
    /// How far each table was followed, and when that was read; `None`: not at all.
    followed: RefCell<HashMap<TableName, (Micros, Option<Followed>)>>,
    /// The metadata that each table had last, whatever its age.
    last: RefCell<HashMap<TableName, ObjectKey>>,
    parsed: RefCell<ByteLru<ObjectKey, Parsed>>,
    budget_len_bytes: Cell<u64>,
}

/// A pointer as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeldPointer {
    read_at: Micros,
    /// The current metadata. `None`: there was no such table.
    pub(super) metadata: Option<ObjectKey>,
}

#[derive(Clone, Debug)]
enum Parsed {
    Metadata(Arc<TableMetadata>),
    Object(Held),
}

impl Default for HeldLake {
    fn default() -> Self {
        Self {
            catalog: HeldCatalog::default(),
            pointers: RefCell::default(),
            followed: RefCell::default(),
            last: RefCell::default(),
            parsed: RefCell::new(ByteLru::new(HELD_LEN_BYTES_MAX)),
            budget_len_bytes: Cell::new(HELD_LEN_BYTES_MAX),
        }
    }
}

impl HeldLake {
    /// Forgets the pointers, so that the next read sees the newest snapshots.
    pub fn forget_pointers(&self) {
        self.pointers.borrow_mut().clear();
        self.followed.borrow_mut().clear();
    }

    /// Holds no more than `len_bytes` of parsed objects from now on. What was held is forgotten.
    pub fn set_budget(&self, len_bytes: u64) {
        self.budget_len_bytes.set(len_bytes);
        *self.parsed.borrow_mut() = ByteLru::new(len_bytes);
    }

    /// What the byte-budgeted cache of parsed objects holds and did.
    pub fn counts(&self) -> (u64, CacheCounts) {
        let parsed = self.parsed.borrow();
        (parsed.used_len_bytes(), parsed.counts())
    }

    /// Forgets everything, as a fresh isolate has.
    pub fn forget_all(&self) {
        self.forget_pointers();
        self.catalog.forget();
        self.last.borrow_mut().clear();
        *self.parsed.borrow_mut() = ByteLru::new(self.budget_len_bytes.get());
    }

    /// The pointer, if it was read less than `hold_micros` before `now`.
    pub(super) fn pointer(&self, table: &TableName, now: Micros, hold_micros: i64) -> Option<HeldPointer> {
        let pointers = self.pointers.borrow();
        let pointer = pointers.get(table)?;
        // A clock that went back makes none younger.
        let is_fresh = (0..hold_micros).contains(&now.0.saturating_sub(pointer.read_at.0));
        is_fresh.then(|| pointer.clone())
    }

    pub(super) fn put_pointer(&self, table: &TableName, metadata: Option<ObjectKey>, read_at: Micros) {
        if let Some(metadata) = &metadata {
            self.last.borrow_mut().insert(table.clone(), metadata.clone());
        }
        self.pointers.borrow_mut().insert(table.clone(), HeldPointer { read_at, metadata });
    }

    /// How far the table was followed, if that was read less than `hold_micros` before `now`.
    pub(super) fn followed(&self, table: &TableName, now: Micros, hold_micros: i64) -> Option<Followed> {
        let held = self.followed.borrow();
        let (read_at, followed) = held.get(table)?;
        let is_fresh = (0..hold_micros).contains(&now.0.saturating_sub(read_at.0));
        // The default covers nothing.
        is_fresh.then(|| followed.clone().unwrap_or_default())
    }

    pub(super) fn put_followed(&self, table: &TableName, followed: Option<Followed>, read_at: Micros) {
        self.followed.borrow_mut().insert(table.clone(), (read_at, followed));
    }

    /// Some metadata of the table: good for what never changes, such as the field ids of columns.
    pub(super) fn last_metadata(&self, table: &TableName) -> Option<Arc<TableMetadata>> {
        let object = self.last.borrow().get(table).cloned();
        self.metadata(&object?)
    }

    pub(super) fn metadata(&self, object: &ObjectKey) -> Option<Arc<TableMetadata>> {
        match self.parsed.borrow_mut().get(object)? {
            Parsed::Metadata(metadata) => Some(metadata),
            Parsed::Object(_) => None,
        }
    }

    pub(super) fn put_metadata(&self, object: &ObjectKey, metadata: &Arc<TableMetadata>, len_bytes: u64) {
        let parsed = Parsed::Metadata(Arc::clone(metadata));
        self.parsed.borrow_mut().insert(object.clone(), parsed, len_bytes);
    }
}

impl HeldObjects for &HeldLake {
    fn get(&mut self, object: &ObjectKey) -> Option<Held> {
        match self.parsed.borrow_mut().get(object)? {
            Parsed::Object(held) => Some(held),
            Parsed::Metadata(_) => None,
        }
    }

    fn put(&mut self, object: &ObjectKey, held: Held, len_bytes: u64) {
        self.parsed.borrow_mut().insert(object.clone(), Parsed::Object(held), len_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointer_is_never_used_beyond_its_time() {
        const HOLD: i64 = 5_000_000;
        let (held, key) = (HeldLake::default(), ObjectKey::new("m"));
        let table = TableName { namespace: "firn".into(), name: "t".into() };
        let at = |now, hold| held.pointer(&table, Micros(now), hold).map(|pointer| pointer.metadata);
        assert_eq!(at(0, HOLD), None);
        held.put_pointer(&table, Some(key.clone()), Micros(100));
        for (now, is_held) in
            [(99, false), (100, true), (99 + HOLD, true), (100 + HOLD, false), (i64::MIN, false)]
        {
            let expected = is_held.then(|| Some(key.clone()));
            assert_eq!(at(now, HOLD), expected, "at {now}");
        }
        assert_eq!(at(100, 0), None, "held for no time");
        held.put_pointer(&table, None, Micros(200));
        assert_eq!(at(200, HOLD), Some(None));
        held.forget_pointers();
        assert_eq!(at(200, HOLD), None);
    }
}
