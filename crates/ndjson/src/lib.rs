//! NDJSON bytes to lines, validated records, rows and bounded chunks (design.md §2 and §3, "POST /$.artifacts").
//!
//! ```text
//! bytes ─ Framer ─▶ Line ─ parse_record ─▶ Record ─┬─ content_digest ─▶ hash, size
//!  (any cut)      (borrowed)             (borrowed) └─ render_row ─▶ row ─ Chunker ─▶ "[row,row,…]"
//! ```
//!
//! Every stage is synchronous and owns no I/O: the caller reads a body, takes lines one at a time, and may await
//! between any two of them with nothing copied and nothing lost ([`frame::Framer::next_line`]).
//!
//! JSON is read by a validator of this crate's own and not by `serde_json`: a record must be refused for names that
//! occur twice at any depth, for lone surrogates in text that is never decoded, for the 129th level of nesting and for
//! numbers that overflow, each under a code of its own, and trees must keep the caller's bytes. `serde_json` offers
//! these neither together nor in one pass, nor tells its errors apart by type. It is the oracle of the tests.
//!
//! What this crate deliberately does not do: decide rights, give versions, count a request's limits, send.

pub mod chunk;
mod columns;
pub mod digest;
pub mod error;
mod escape;
pub mod frame;
pub mod record;
pub mod row;
mod scan;
mod special;
