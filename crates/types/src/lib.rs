//! Words that every part of Firn shares: the key of an artifact, the columns of its row, who may read it, modes,
//! representations, and the codes of every error.
//!
//! Nothing here does I/O, and nothing here is large: the crate is linked into each Worker and may add at most 15 KiB
//! (gzip) to it. JSON parsing of records lives in `ndjson`, HTTP in `api`.

pub mod error;
pub mod key;
pub mod limits;
pub mod mode;
pub mod object;
pub mod representation;
pub mod schema;
pub mod tenant;
pub mod time;
pub mod version;
pub mod visibility;
