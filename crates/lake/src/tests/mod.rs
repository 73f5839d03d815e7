//! Tests across modules: rows through files, commits through a store.

mod commits;
mod files;

use std::collections::BTreeMap;

use crate::row::{Row, UnknownFields, parse_row};

/// A row with a key and the given further fields (`,"html":"…"`).
#[track_caller]
pub(crate) fn row(id: &str, version: i64, fields: &str) -> Row {
    let id = serde_json::to_string(id).unwrap();
    let json = format!(r#"{{"ns":"acme","type":"page","id":{id},"version":{version}{fields}}}"#);
    parse_row(json.as_bytes(), UnknownFields::Violate).unwrap()
}

/// A text of `len` bytes that zstd cannot make much smaller.
pub(crate) fn noise(len: usize, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'0' + u8::try_from(state % 64).unwrap())
    };
    (0..len).map(|_| next()).map(|c| if c == '\\' { 'z' } else { c }).collect()
}

pub(crate) type Objects = BTreeMap<String, Vec<u8>>;
