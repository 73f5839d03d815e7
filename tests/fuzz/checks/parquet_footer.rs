//! Footers of Parquet files: the file around them is sound, so that the fuzzer need not find lengths and magic.
//!
//! Input: the footer's Thrift.

use crate::parquet_read;

/// What stands before the footer: pages may be looked for in it.
const BODY_LEN_BYTES: usize = 512;

pub(crate) fn check(input: &[u8]) {
    let mut file = b"PAR1".to_vec();
    file.extend((0..BODY_LEN_BYTES).map(|place| (place % 7) as u8));
    file.extend_from_slice(input);
    file.extend_from_slice(&(input.len() as u32).to_le_bytes());
    file.extend_from_slice(b"PAR1");
    parquet_read::read(&file.into());
}
