//! Names of stored objects and ranges of their bytes, as the reading side speaks of them.

use std::{fmt, ops::Range, sync::Arc};

/// The key of an object in the lake's bucket; never a URL, never a path. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(Arc<str>);

impl ObjectKey {
    /// Wraps a key.
    pub fn new(key: &str) -> Self {
        Self(Arc::from(key))
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which bytes of an object are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ByteRange {
    /// From `start` up to, not including, `end`.
    Range(Range<u64>),
    /// The last `len_bytes` bytes, or the whole object where it is shorter.
    Tail {
        /// How many bytes at the most.
        len_bytes: u64,
    },
}
