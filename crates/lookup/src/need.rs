//! What a lookup asks of its driver, and what the driver gives back.

use bytes::Bytes;
use firn_types::object::{ByteRange, ObjectKey};

/// Why bytes are needed; for plans, counters and error messages. It never changes how they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// An Iceberg manifest list.
    ManifestList,
    /// An Iceberg manifest.
    Manifest,
    /// The tail of a Parquet file: footer, and often the page index before it.
    Footer,
    /// Column index, offset index or bloom filter.
    PageIndex,
    /// Pages of key and rights columns.
    KeyPages,
    /// Pages of the requested columns.
    TargetPages,
    /// A delete file or deletion vector.
    Deletes,
}

/// One range of one object. All needs of one step may be performed at once: they are one wave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The object.
    pub object: ObjectKey,
    /// The bytes.
    pub range: ByteRange,
    /// Why.
    pub role: Role,
}

/// The answer to one [`Need`], in the order of the needs. A missing object or a failed read never reaches the state
/// machine: the driver ends the lookup.
#[derive(Clone, Debug)]
pub struct Supplied {
    /// The bytes: exactly the range, or for a tail up to the asked length, less only where the object is shorter.
    pub bytes: Bytes,
    /// Offset of the first byte in the object.
    pub offset: u64,
    /// Length of the whole object, as the store reports it.
    pub object_len_bytes: u64,
}

/// The state of a lookup after a step.
#[derive(Debug)]
pub enum Step<T> {
    /// These ranges are needed; step again with a [`Supplied`] for each, in this order. Never empty.
    Need(Vec<Need>),
    /// Finished.
    Done(T),
}
