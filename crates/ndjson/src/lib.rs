//! NDJSON bytes to lines, validated records, rows and bounded chunks (design.md §2 and §3, "POST /$.artifacts").
//!
//! ```text
//! bytes ─ Framer ─▶ Line ─ parse_record ─▶ Record ─┬─ content_digest ─▶ hash, size
//!  (any cut)      (borrowed)             (borrowed) └─ plan_row ─▶ row ─ Chunker ─▶ "[row,row,…]" or values
//! ```
//!
//! Every stage is synchronous and owns no I/O: the caller reads a body, takes lines one at a time, and may await
//! between any two of them with nothing copied and nothing lost ([`frame::Framer::next_line`]).
//!
//! ```
//! use firn_ndjson::{chunk::Chunker, frame::{Framer, Line}, record::{parse_record, too_large}, values::Values};
//! # use firn_ndjson::{digest::{content_digest, content_size_bytes, SoftwareSha256}, row::{RequestFields, RowFields, RowRenderer}};
//! # use firn_types::{mode::Mode, time::Micros, version::Version, visibility::Visibility};
//! # let request = RequestFields {
//! #     owner_iss: None, owner_org: None, owner_sub: None, ts: Micros(0), mode: Mode::Bulk, ingest_id: "i",
//! # };
//! let renderer = RowRenderer::new(&request);
//! let mut scratch = Values::default();
//! let (mut framer, mut chunker) = (Framer::default(), Chunker::new(Mode::Bulk.chunk_len_bytes_max()));
//! for buffer in [b"{\"ns\":\"n\",\"type\":\"t\"".as_slice(), b",\"id\":\"a\"}\n{}\n"] {
//!     let mut rest = buffer;
//!     while let Some(line) = framer.next_line(&mut rest) {
//!         let record = match line {
//!             Line::Whole { bytes, .. } => parse_record(bytes),
//!             Line::TooLarge { len_bytes, .. } => Err(too_large(len_bytes)),
//!         };
//!         let planned = record.and_then(|record| {
//!             let hash = content_digest(&record, SoftwareSha256::default(), &mut scratch);
//!             let fields = RowFields {
//!                 version: Version::new(1),
//!                 visibility: record.visibility.unwrap_or(Visibility::Public),
//!                 hash: Some(hash),
//!                 size_bytes: content_size_bytes(&record),
//!             };
//!             renderer.plan_row(&record, &fields).map(|row| chunker.push_row(line.number(), &row))
//!         });
//!         match planned {
//!             Ok(Some(chunk)) => drop(chunk), // Send it, here and now; then `chunker.recycle(chunk.rows)`.
//!             Ok(None) => {}
//!             Err(error) => assert_eq!((line.number(), error.detail.as_str()), (2, "ns is required")),
//!         }
//!     }
//! }
//! assert!(framer.finish().is_none(), "a last line without its end is taken like the others");
//! assert_eq!(chunker.finish().map(|chunk| chunk.record_count), Some(1));
//! ```
//!
//! JSON is read by a validator of this crate's own and not by `serde_json`: a record must be refused for names that
//! occur twice at any depth, for lone surrogates in text that is never decoded, for the 129th level of nesting and for
//! numbers that overflow, each under a code of its own, and trees must keep the caller's bytes. `serde_json` offers
//! these neither together nor in one pass, nor tells its errors apart by type. It is the oracle of the tests.
//!
//! What this crate deliberately does not do: decide rights, give versions, count a request's limits, send.

mod buffer;
pub mod chunk;
mod columns;
pub mod digest;
pub mod error;
mod escape;
pub mod frame;
mod member;
pub mod record;
pub mod row;
mod scan;
mod special;
pub mod values;
