//! Avro object container files, as far as Iceberg uses them.
//!
//! Spec: <https://avro.apache.org/docs/1.12.0/specification/>, "Object Container Files".
//!
//! ```text
//! "Obj" 0x01 | metadata: map of bytes | sync (16 bytes) | block*
//! block = count (long) | length (long) | data, compressed by the codec | sync (16 bytes)
//! ```
//!
//! A manifest of 1,000 files holds some 100,000 values of which a lookup wants one in twenty. So a datum is not made
//! into a tree of values: [`cursor::Cursor`] walks the bytes along the writer's schema and skips what nobody asked for.
//! That needs no memory of its own and makes the limits easy to see.

use crate::error::{Error, Part};

pub(crate) mod codec;
pub(crate) mod cursor;
pub(crate) mod schema;

use self::{
    codec::{Blocks, Codec},
    cursor::Cursor,
    schema::{AvroSchema, TypeIdx},
};

/// Longest file, and longest decompressed content of one: eight times the manifest size that writers aim at (8 MiB),
/// and half of a Worker's memory.
pub(crate) const CONTENT_LEN_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Longest file metadata; it holds two schemas as text.
const METADATA_LEN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most entries of file metadata; Iceberg writes about eight.
const METADATA_ENTRY_COUNT_MAX: usize = 1_000;

const MAGIC: &[u8; 4] = b"Obj\x01";

/// What encrypted Iceberg files start with ("AES GCM Stream").
const ENCRYPTED_MAGIC: &[u8; 4] = b"AGS1";

/// A file's header, and where its blocks are.
#[derive(Debug)]
pub(crate) struct Container<'a> {
    part: Part,
    /// The writer's schema.
    pub(crate) schema: AvroSchema,
    codec: Codec,
    sync: &'a [u8],
    blocks: &'a [u8],
}

impl<'a> Container<'a> {
    /// Reads the header. `part` says what the file is, for errors.
    pub(crate) fn parse(bytes: &'a [u8], part: Part) -> Result<Self, Error> {
        Error::check_limit(part, "length in bytes", bytes.len(), CONTENT_LEN_BYTES_MAX)?;
        if bytes.starts_with(ENCRYPTED_MAGIC) {
            return Err(Error::unsupported(part, "encryption", "AES GCM stream"));
        }
        let mut cursor = Cursor::new(bytes, part);
        let magic = cursor.take(MAGIC.len(), "magic")?;
        if magic != MAGIC {
            return Err(Error::invalid(part, "magic", &format!("{magic:02x?}"), "Obj and 1"));
        }
        let mut schema = None;
        let mut codec = Codec::Null;
        let mut entry_count = 0;
        let metadata_start = cursor.position();
        loop {
            let count = cursor.block_count()?;
            if count == 0 {
                break;
            }
            entry_count += count;
            Error::check_limit(part, "file metadata entries", entry_count, METADATA_ENTRY_COUNT_MAX)?;
            for _ in 0..count {
                let key = cursor.len_prefixed("file metadata key")?;
                let value = cursor.len_prefixed("file metadata value")?;
                let len_bytes = cursor.position() - metadata_start;
                Error::check_limit(part, "file metadata length in bytes", len_bytes, METADATA_LEN_BYTES_MAX)?;
                match key {
                    b"avro.schema" => schema = Some(AvroSchema::parse(value, part)?),
                    b"avro.codec" => codec = Codec::parse(value, part)?,
                    _ => {}
                }
            }
        }
        let schema = schema.ok_or(Error::Missing { part, field: "avro.schema" })?;
        let sync = cursor.take(16, "sync marker")?;
        Ok(Self { part, schema, codec, sync, blocks: cursor.rest() })
    }

    /// Calls `read` for every datum with a cursor at its first byte; `read` must consume exactly the datum.
    pub(crate) fn for_each_datum(
        &self,
        mut read: impl FnMut(&mut Cursor<'_>, &AvroSchema, TypeIdx) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut blocks = Cursor::new(self.blocks, self.part);
        let mut decompressor = Blocks::new(self.codec, self.part);
        let mut content_len_bytes = 0;
        while !blocks.is_at_end() {
            let count = blocks.length("block count")?;
            let data = blocks.len_prefixed("block")?;
            if blocks.take(self.sync.len(), "sync marker")? != self.sync {
                return Err(Error::invalid(self.part, "sync marker", "another", "the header's"));
            }
            let content = decompressor.decompress(data, CONTENT_LEN_BYTES_MAX - content_len_bytes)?;
            content_len_bytes += content.len();
            let mut cursor = Cursor::new(content, self.part);
            for _ in 0..count {
                cursor.step()?;
                read(&mut cursor, &self.schema, self.schema.root())?;
            }
            if !cursor.is_at_end() {
                return Err(Error::invalid(
                    self.part,
                    "block",
                    "longer than its values",
                    "no byte after the last",
                ));
            }
        }
        Ok(())
    }
}
