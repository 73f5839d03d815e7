//! Purging what is cached of artifacts that were written, after the commit (design.md §6).
//!
//! ```text
//! ingest ── message ──▶ serve: deletes in its own data centre ── message ──▶ queue ── tags ──▶ the zone, everywhere
//! ```
//!
//! The queue is one object of the lake Worker; here is what it does, and no storage, clock or connection.

#[cfg(feature = "purge")]
pub mod config;
#[cfg(feature = "purge")]
pub mod drain;
pub mod message;
#[cfg(feature = "purge")]
pub mod pace;
pub mod port;
#[cfg(feature = "purge")]
pub mod queue;
#[cfg(feature = "purge")]
pub mod zone;
