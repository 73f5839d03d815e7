//! One artifact out of the lake's tables.
//!
//! A lookup asks every table (a stream's sink makes its own). Their needs of one step are merged into one wave, so that
//! three tables take no more waves than one, and never more connections than an invocation may hold.
//!
//! What is held between requests: table metadata and parsed objects, which are immutable, in one byte budget; and the
//! pointers, which are not, for a few seconds and never beyond, not even on an error. A data file that is gone means
//! that the pointer was stale (compaction, expiry): it is read anew and everything looked up once more.

pub mod config;
pub mod error;
pub mod held;

pub mod catalog;
pub mod pointers;

pub mod located;
mod lookup;
mod metadata;
pub mod read;
