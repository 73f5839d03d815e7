//! Decoders of levels and values, one value at a time: memory does not grow with the number of values that a page
//! promises, and what lies between two wanted rows is passed over, not kept.
//!
//! Spec: <https://parquet.apache.org/docs/file-format/data-pages/encodings/>
//!
//! They are Firn's own because those of the `parquet` crate keep every value of a page, and end in a panic for some
//! malformed pages (a dictionary page that is missing, a count of zero in a delta header); in wasm a panic takes the
//! whole instance with it.

pub(crate) mod delta;
pub(crate) mod rle;
pub(crate) mod values;

use crate::file::error::Cause;

/// The first `N` bytes of `bytes`, and the rest.
pub(crate) fn split_array<const N: usize>(
    bytes: &[u8],
    what: &'static str,
) -> Result<([u8; N], usize), Cause> {
    bytes.first_chunk::<N>().map(|array| (*array, N)).ok_or(Cause::Truncated { what })
}
