//! Parsed immutable objects, which later lookups may find again (design.md §6).

use std::{fmt::Debug, sync::Arc};

use firn_iceberg::{manifest::Manifest, manifest_list::ManifestList};
use firn_types::object::ObjectKey;

use crate::file::footer::FileFooter;

/// A parsed object. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Held {
    /// A manifest list.
    ManifestList(Arc<ManifestList>),
    /// A manifest, with the statistics of the columns that the lookup which read it asked for.
    Manifest(Arc<Manifest>),
    /// Footer of a Parquet file, and what was read of its page index.
    File(Arc<FileFooter>),
}

/// Where parsed objects are kept. What it forgets is read again; nothing in it can go stale, because no object of a
/// table is ever written twice.
pub trait HeldObjects: Debug {
    /// What was kept of this object.
    fn get(&mut self, object: &ObjectKey) -> Option<Held>;

    /// The footer that was kept of a Parquet file.
    fn file_footer(&mut self, object: &ObjectKey) -> Option<Arc<FileFooter>> {
        match self.get(object) {
            Some(Held::File(footer)) => Some(footer),
            _ => None,
        }
    }

    /// Keeps it, in place of what was kept of it before. `len_bytes` is about how much memory it takes.
    fn put(&mut self, object: &ObjectKey, held: Held, len_bytes: u64);
}

/// Keeps nothing: every lookup is a cold one.
#[derive(Clone, Copy, Debug, Default)]
pub struct HoldNothing;

impl HeldObjects for HoldNothing {
    fn get(&mut self, _: &ObjectKey) -> Option<Held> {
        None
    }

    fn put(&mut self, _: &ObjectKey, _: Held, _: u64) {}
}
