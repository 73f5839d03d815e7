//! Whole Parquet files of any content.
//!
//! Input: the file.

use crate::parquet_read;

pub(crate) fn check(input: &[u8]) {
    parquet_read::read(&bytes::Bytes::copy_from_slice(input));
}
