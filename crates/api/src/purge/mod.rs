//! Purging what is cached of artifacts that were written, after the commit (design.md §6).
//!
//! ```text
//! ingest ── message ──▶ serve: deletes in its own data centre ── message ──▶ queue ── tags ──▶ the zone, everywhere
//! ```

pub mod message;
pub mod port;
