//! Walking Avro's binary encoding along a schema.
//!
//! Spec: "Binary Encoding".

use super::schema::{AvroSchema, AvroType, DEPTH_MAX, TypeIdx};
use crate::error::{Error, Part};

/// Longest variable-length integer: ten groups of seven bits hold 64.
const VARINT_LEN_BYTES_MAX: usize = 10;

/// Steps allowed for each byte of content. Every value of a manifest takes at least a byte, save records; empty types
/// take none, and without this a few bytes could ask for any number of them.
const STEPS_PER_BYTE: usize = 8;

/// Steps allowed beside, for content of a few bytes.
const STEPS_MIN: usize = 1_024;

const SKIPPED: &str = "skipped value";

/// Whether the items of a block have keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    None,
    BeforeEach,
}

/// A position in Avro content.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
    part: Part,
    steps_left: usize,
}

impl<'a> Cursor<'a> {
    /// At the first byte.
    pub(crate) fn new(bytes: &'a [u8], part: Part) -> Self {
        let steps_left = bytes.len().saturating_mul(STEPS_PER_BYTE).saturating_add(STEPS_MIN);
        Self { bytes, position: 0, part, steps_left }
    }

    /// How many bytes were read.
    pub(crate) const fn position(&self) -> usize {
        self.position
    }

    /// The bytes that were not read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// Whether all bytes were read.
    pub(crate) const fn is_at_end(&self) -> bool {
        self.position >= self.bytes.len()
    }

    /// Counts one value; fails where there are more than the bytes can reasonably hold.
    pub(crate) fn step(&mut self) -> Result<(), Error> {
        match self.steps_left.checked_sub(1) {
            Some(left) => {
                self.steps_left = left;
                Ok(())
            }
            None => Err(Error::invalid(self.part, "value count", "more than there are bytes for", "fewer")),
        }
    }

    /// The next `len_bytes` bytes; `field` is for the error.
    pub(crate) fn take(&mut self, len_bytes: usize, field: &'static str) -> Result<&'a [u8], Error> {
        match self.rest().get(..len_bytes) {
            Some(taken) => {
                self.position += len_bytes;
                Ok(taken)
            }
            None => Err(Error::UnexpectedEnd { part: self.part, field, len_bytes: self.bytes.len() }),
        }
    }

    /// A zigzag variable-length integer.
    pub(crate) fn long(&mut self, field: &'static str) -> Result<i64, Error> {
        let mut value: u64 = 0;
        for (idx, byte) in self.rest().iter().take(VARINT_LEN_BYTES_MAX).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * idx);
            if byte & 0x80 == 0 {
                self.position += idx + 1;
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        if self.rest().len() < VARINT_LEN_BYTES_MAX {
            return Err(Error::UnexpectedEnd { part: self.part, field, len_bytes: self.bytes.len() });
        }
        Err(Error::invalid(self.part, field, "an integer of more than ten bytes", "at most ten"))
    }

    /// A length or count that must not be negative.
    pub(crate) fn length(&mut self, field: &'static str) -> Result<usize, Error> {
        let value = self.long(field)?;
        usize::try_from(value).map_err(|_| Error::invalid(self.part, field, &value, "a length"))
    }

    /// A length and so many bytes.
    pub(crate) fn len_prefixed(&mut self, field: &'static str) -> Result<&'a [u8], Error> {
        let len_bytes = self.length(field)?;
        self.take(len_bytes, field)
    }

    /// The count of the next block of an array or map, zero at its end. A negative one is followed by the block's
    /// length, which is of use only to those who skip.
    pub(crate) fn block_count(&mut self) -> Result<usize, Error> {
        let count = self.long("item count")?;
        if count < 0 {
            self.length("block length")?;
        }
        usize::try_from(count.unsigned_abs())
            .map_err(|_| Error::invalid(self.part, "item count", &count, "a count"))
    }

    /// Enters the type: chooses the branch where it is a union. `None` for null.
    pub(crate) fn enter(&mut self, schema: &AvroSchema, idx: TypeIdx) -> Result<Option<TypeIdx>, Error> {
        self.step()?;
        let chosen = match schema.get(idx) {
            AvroType::Union(branches) => {
                let branch = self.long("union branch")?;
                let chosen = usize::try_from(branch).ok().and_then(|b| branches.get(b));
                *chosen.ok_or_else(|| {
                    Error::invalid(self.part, "union branch", &branch, "a branch of the union")
                })?
            }
            _ => idx,
        };
        Ok(if matches!(schema.get(chosen), AvroType::Null) { None } else { Some(chosen) })
    }

    /// An int or long; `None` for null.
    pub(crate) fn integer(
        &mut self,
        schema: &AvroSchema,
        idx: TypeIdx,
        field: &'static str,
    ) -> Result<Option<i64>, Error> {
        let Some(idx) = self.enter(schema, idx)? else {
            return Ok(None);
        };
        match schema.get(idx) {
            AvroType::Integer(_) => self.long(field).map(Some),
            _ => Err(self.wrong_type(field, "an Avro int or long")),
        }
    }

    /// A boolean; `None` for null.
    pub(crate) fn boolean(
        &mut self,
        schema: &AvroSchema,
        idx: TypeIdx,
        field: &'static str,
    ) -> Result<Option<bool>, Error> {
        let Some(idx) = self.enter(schema, idx)? else {
            return Ok(None);
        };
        match schema.get(idx) {
            AvroType::Boolean => match self.take(1, field)? {
                [0] => Ok(Some(false)),
                [1] => Ok(Some(true)),
                other => Err(Error::invalid(self.part, field, &format!("{other:?}"), "0 or 1")),
            },
            _ => Err(self.wrong_type(field, "an Avro boolean")),
        }
    }

    /// Bytes, or the bytes of a string; `None` for null.
    pub(crate) fn bytes(
        &mut self,
        schema: &AvroSchema,
        idx: TypeIdx,
        field: &'static str,
    ) -> Result<Option<&'a [u8]>, Error> {
        let Some(idx) = self.enter(schema, idx)? else {
            return Ok(None);
        };
        match schema.get(idx) {
            AvroType::Bytes(_) | AvroType::String => self.len_prefixed(field).map(Some),
            AvroType::Fixed(len_bytes, _) => self.take(*len_bytes, field).map(Some),
            _ => Err(self.wrong_type(field, "Avro bytes or string")),
        }
    }

    /// A string; `None` for null.
    pub(crate) fn text(
        &mut self,
        schema: &AvroSchema,
        idx: TypeIdx,
        field: &'static str,
    ) -> Result<Option<&'a str>, Error> {
        let Some(bytes) = self.bytes(schema, idx, field)? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(bytes);
        text.map(Some).map_err(|cause| Error::invalid(self.part, field, &cause, "UTF-8"))
    }

    /// Calls `read` for each item of an array; `false` for null. `read` must consume exactly the item.
    pub(crate) fn array(
        &mut self,
        schema: &AvroSchema,
        idx: TypeIdx,
        field: &'static str,
        mut read: impl FnMut(&mut Self, TypeIdx) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let Some(idx) = self.enter(schema, idx)? else {
            return Ok(false);
        };
        let AvroType::Array(items) = schema.get(idx) else {
            return Err(self.wrong_type(field, "an Avro array"));
        };
        loop {
            let count = self.block_count()?;
            if count == 0 {
                return Ok(true);
            }
            for _ in 0..count {
                self.step()?;
                read(self, *items)?;
            }
        }
    }

    /// Passes over a value.
    pub(crate) fn skip(&mut self, schema: &AvroSchema, idx: TypeIdx) -> Result<(), Error> {
        self.skip_within(schema, idx, 0)
    }

    fn skip_within(&mut self, schema: &AvroSchema, idx: TypeIdx, depth: usize) -> Result<(), Error> {
        Error::check_limit(self.part, "value depth", depth, DEPTH_MAX)?;
        let Some(idx) = self.enter(schema, idx)? else {
            return Ok(());
        };
        match schema.get(idx) {
            AvroType::Null => {}
            AvroType::Boolean => drop(self.take(1, SKIPPED)?),
            AvroType::Integer(_) => drop(self.long(SKIPPED)?),
            AvroType::Float => drop(self.take(4, SKIPPED)?),
            AvroType::Double => drop(self.take(8, SKIPPED)?),
            AvroType::Bytes(_) | AvroType::String => drop(self.len_prefixed(SKIPPED)?),
            AvroType::Fixed(len_bytes, _) => drop(self.take(*len_bytes, SKIPPED)?),
            AvroType::Array(items) => self.skip_blocks(schema, *items, Keys::None, depth)?,
            AvroType::Map(values) => self.skip_blocks(schema, *values, Keys::BeforeEach, depth)?,
            AvroType::Record(fields) => {
                for field in fields {
                    self.skip_within(schema, field.ty, depth + 1)?;
                }
            }
            AvroType::Union(_) => return Err(self.wrong_type(SKIPPED, "a union without a union inside")),
        }
        Ok(())
    }

    fn skip_blocks(
        &mut self,
        schema: &AvroSchema,
        items: TypeIdx,
        keys: Keys,
        depth: usize,
    ) -> Result<(), Error> {
        loop {
            let count = self.long("item count")?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                self.len_prefixed("block")?;
                continue;
            }
            for _ in 0..count {
                if keys == Keys::BeforeEach {
                    self.len_prefixed("map key")?;
                }
                self.skip_within(schema, items, depth + 1)?;
            }
        }
    }

    fn wrong_type(&self, field: &'static str, expected: &'static str) -> Error {
        Error::invalid(self.part, field, "of another Avro type", expected)
    }
}
