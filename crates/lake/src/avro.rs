//! Avro object container files (<https://avro.apache.org/docs/1.11.1/specification/#object-container-files>), byte for
//! byte the same for the same input.
//!
//! The header is written here, because the library's writes its metadata in the random order of a hash map and drops
//! nothing but also orders nothing of the schema's text. Values and blocks are the library's.

use apache_avro::{Codec, DeflateSettings, Reader, Schema, Writer, from_value, util::max_allocation_bytes};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

const MAGIC: &[u8] = b"Obj\x01";

/// Uncompressed bytes of a block. A manifest entry has ~400 bytes: 160 entries are inflated at once.
const BLOCK_LEN_BYTES: usize = 64 * 1024;

/// Largest container that is read. A manifest list of 16 MiB would name some 100,000 manifests.
const CONTAINER_LEN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most memory for one value or block of a container that is read; the library's own limit is half a gigabyte, four
/// isolates' memory. It is set once in a process.
const ALLOCATION_LEN_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why bytes are no container of the expected records, or values became none.
#[derive(Debug, Error)]
pub enum AvroError {
    /// The library's own error: not Avro, another schema, corrupt bytes.
    #[error("avro")]
    Avro(#[source] Box<apache_avro::Error>),
    /// A manifest has not as many live files as its line in the manifest list says.
    #[error("a manifest with {found} live files; its manifest list says {stated}")]
    LiveCount {
        /// Live files found.
        found: usize,
        /// Live files stated.
        stated: i32,
    },
    /// The container is larger than any that is read.
    #[error("an Avro container of {len_bytes} bytes; at most {limit} are read")]
    TooLarge {
        /// Length found.
        len_bytes: usize,
        /// The limit.
        limit: usize,
    },
}

impl From<apache_avro::Error> for AvroError {
    fn from(error: apache_avro::Error) -> Self {
        Self::Avro(Box::new(error))
    }
}

/// Encodes `values` with the schema `schema_json`, deflated. `metadata` keeps its order; `marker` should differ from
/// container to container.
pub(crate) fn encode_container<T: Serialize>(
    schema_json: &str,
    metadata: &[(&str, &str)],
    marker: [u8; 16],
    values: &[T],
) -> Result<Vec<u8>, AvroError> {
    let schema = Schema::parse_str(schema_json)?;
    let mut header = MAGIC.to_vec();
    let own = [("avro.schema", schema_json), ("avro.codec", "deflate")];
    put_long(&mut header, metadata.len().saturating_add(own.len()));
    for (key, value) in own.iter().chain(metadata) {
        put_text(&mut header, key);
        put_text(&mut header, value);
    }
    put_long(&mut header, 0);
    header.extend_from_slice(&marker);
    let mut writer = Writer::builder()
        .schema(&schema)
        .writer(header)
        .codec(Codec::Deflate(DeflateSettings::default()))
        .block_size(BLOCK_LEN_BYTES)
        .marker(marker)
        .has_header(true)
        .build()?;
    for value in values {
        writer.append_ser(value)?;
    }
    Ok(writer.into_inner()?)
}

/// Decodes every record of a container; fields that `T` does not have are skipped.
pub(crate) fn decode_container<T: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<T>, AvroError> {
    let len_bytes = bytes.len();
    if len_bytes > CONTAINER_LEN_BYTES_MAX {
        return Err(AvroError::TooLarge { len_bytes, limit: CONTAINER_LEN_BYTES_MAX });
    }
    max_allocation_bytes(ALLOCATION_LEN_BYTES_MAX);
    // By way of `Value`: the direct deserialiser insists on the names that a writer gave its records.
    Reader::new(bytes)?.map(|value| Ok(from_value(&value?)?)).collect()
}

/// An Avro `long`: zigzag, then seven bits a byte, the lowest first. Lengths are never negative.
fn put_long(out: &mut Vec<u8>, value: usize) {
    let mut rest = (value as u64) << 1;
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_long(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    const SCHEMA: &str = r#"{"type":"record","name":"r","fields":[{"name":"a","type":"long"}]}"#;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Record {
        a: i64,
    }

    fn encode(count: i64) -> Vec<u8> {
        let values: Vec<Record> = (0..count).map(|a| Record { a }).collect();
        encode_container(SCHEMA, &[("z", "1"), ("a", "")], [7; 16], &values).unwrap()
    }

    #[test]
    fn container_round_trips_and_keeps_its_metadata() {
        for count in [0, 1, 100_000] {
            let bytes = encode(count);
            let decoded: Vec<Record> = decode_container(&bytes).unwrap();
            assert_eq!(decoded, (0..count).map(|a| Record { a }).collect::<Vec<_>>());
            let reader = Reader::new(bytes.as_slice()).unwrap();
            assert_eq!(reader.user_metadata()["z"], b"1");
            assert_eq!(reader.user_metadata()["a"], b"");
        }
    }

    #[test]
    fn same_input_gives_same_bytes() {
        assert_eq!(encode(3), encode(3));
        let mut expected = b"Obj\x01\x08\x16avro.schema".to_vec();
        expected.extend([0x80 | 6, 1]);
        assert_eq!(encode(3)[..expected.len() - 2], expected[..expected.len() - 2]);
    }

    #[test]
    fn every_truncation_of_a_block_is_an_error() {
        let bytes = encode(3);
        let header_len = encode(0).len();
        for len in (0..header_len).chain(header_len + 1..bytes.len()) {
            assert!(decode_container::<Record>(&bytes[..len]).is_err(), "{len}");
        }
    }
}
