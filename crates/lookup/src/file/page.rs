//! One data page: levels and values, read cell by cell.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::Compression;

use crate::file::{
    codec::decompress,
    decode::{
        rle::{Rle, width_of},
        values::{Dictionary, Raw, Storage, Values, after_len},
    },
    error::Cause,
    header::{PageContent, PageHeader},
};

/// Number of the run-length encoding of levels; the other one, `BIT_PACKED`, was never written by a released writer
/// for levels above zero.
const LEVELS_RLE: i32 = 3;

/// What reading pages of a leaf column needs to know of it.
#[derive(Clone, Debug)]
pub(crate) struct LeafShape {
    /// How values are stored.
    pub(crate) storage: Storage,
    /// Greatest definition level: a value is there.
    pub(crate) def_max: u32,
    /// Greatest repetition level; 0 where each row has one cell.
    pub(crate) rep_max: u32,
    /// Codec of the chunk.
    pub(crate) codec: Compression,
}

/// One entry of a column: a value, or the place where one is missing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell<'a> {
    /// Repetition level.
    pub(crate) rep: u32,
    /// Definition level.
    pub(crate) def: u32,
    /// The value, where the definition level is the greatest.
    pub(crate) value: Option<Raw<'a>>,
}

/// The cells of a page that are not read yet.
#[derive(Debug)]
pub(crate) struct Page {
    rep: Option<Rle>,
    /// The repetition level of the next cell, where it was looked at.
    next_rep: Option<u32>,
    def: Option<Rle>,
    def_max: u32,
    values: Values,
    cells_left: u64,
}

/// Checks the CRC-32 of a page's stored bytes, where its header states one.
fn check_crc(header: &PageHeader, stored: &[u8]) -> Result<(), Cause> {
    let Some(expected) = header.crc else { return Ok(()) };
    let found = crc32fast::hash(stored);
    if found == expected { Ok(()) } else { Err(Cause::Checksum { found, expected }) }
}

/// The stored bytes of the page behind `header`, at the front of `bytes`.
fn stored(header: &PageHeader, bytes: &Bytes) -> Result<Bytes, Cause> {
    let end = header.header_len.saturating_add(header.stored_len);
    if end > bytes.len() {
        return Err(Cause::Truncated { what: "page" });
    }
    let stored = bytes.slice(header.header_len..end);
    check_crc(header, &stored)?;
    Ok(stored)
}

/// Opens the dictionary page whose header and bytes are at the front of `bytes`.
pub(crate) fn open_dictionary(shape: &LeafShape, bytes: &Bytes) -> Result<Dictionary, Cause> {
    let header = PageHeader::parse(bytes)?;
    let PageContent::Dictionary { value_count, encoding } = header.content else {
        return Err(Cause::Truncated { what: "dictionary" });
    };
    let plain = decompress(shape.codec, &stored(&header, bytes)?, header.plain_len)?;
    Dictionary::new(shape.storage, plain, value_count, encoding)
}

impl Page {
    /// Opens the data page behind `header`; header and page are at the front of `bytes`.
    pub(crate) fn open(
        shape: &LeafShape,
        header: &PageHeader,
        bytes: &Bytes,
        dictionary: Option<&Arc<Dictionary>>,
    ) -> Result<Self, Cause> {
        let stored = stored(header, bytes)?;
        let (rep, def, values, encoding, level_count) = match header.content {
            PageContent::DataV1 { level_count, encoding, def_encoding, rep_encoding } => {
                let plain = decompress(shape.codec, &stored, header.plain_len)?;
                let (rep, rest) = levels_v1(&plain, rep_encoding, shape.rep_max)?;
                let (def, values) = levels_v1(&rest, def_encoding, shape.def_max)?;
                (rep, def, values, encoding, level_count)
            }
            PageContent::DataV2 { level_count, encoding, def_len, rep_len, is_compressed, .. } => {
                // The header was checked: both lengths lie within the page, stored and plain.
                let levels_len = rep_len + def_len;
                let rep = levels_v2(stored.slice(..rep_len), shape.rep_max)?;
                let def = levels_v2(stored.slice(rep_len..levels_len), shape.def_max)?;
                let codec = if is_compressed { shape.codec } else { Compression::UNCOMPRESSED };
                let plain_len = header.plain_len - levels_len;
                let values = decompress_v2(codec, &stored.slice(levels_len..), plain_len)?;
                (rep, def, values, encoding, level_count)
            }
            PageContent::Dictionary { .. } | PageContent::Other => {
                return Err(Cause::Truncated { what: "data page" });
            }
        };
        Ok(Self {
            rep,
            next_rep: None,
            def,
            def_max: shape.def_max,
            values: Values::new(shape.storage, encoding, values, dictionary)?,
            cells_left: level_count as u64,
        })
    }

    /// How many cells are left.
    pub(crate) fn cells_left(&self) -> u64 {
        self.cells_left
    }

    /// The repetition level of the next cell; `None` at the end.
    pub(crate) fn peek_rep(&mut self) -> Result<Option<u32>, Cause> {
        if self.cells_left == 0 {
            return Ok(None);
        }
        let rep = match (self.next_rep, &mut self.rep) {
            (Some(rep), _) => rep,
            (None, Some(levels)) => levels.next()?,
            (None, None) => 0,
        };
        self.next_rep = Some(rep);
        Ok(Some(rep))
    }

    /// The next cell; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Cell<'_>>, Cause> {
        let Some(rep) = self.peek_rep()? else { return Ok(None) };
        self.next_rep = None;
        self.cells_left -= 1;
        let def = self.def.as_mut().map_or(Ok(self.def_max), Rle::next)?;
        if def > self.def_max {
            return Err(Cause::invalid("definition level", def));
        }
        let value = if def == self.def_max { Some(self.values.next()?) } else { None };
        Ok(Some(Cell { rep, def, value }))
    }

    /// Passes over `count` cells of a column without repetition.
    pub(crate) fn skip_flat(&mut self, count: u64) -> Result<(), Cause> {
        let left = self.cells_left.checked_sub(count);
        self.cells_left = left.ok_or(Cause::Truncated { what: "data page" })?;
        let values = match &mut self.def {
            Some(def) => def.skip(count, self.def_max)?,
            None => count,
        };
        self.values.skip(values)
    }

    /// Reads to the end and counts the rows that begin.
    pub(crate) fn count_rows(mut self) -> Result<u64, Cause> {
        match (&mut self.rep, self.next_rep) {
            (None, _) => Ok(self.cells_left),
            (Some(levels), None) => levels.skip(self.cells_left, 0),
            (Some(levels), Some(first)) => {
                Ok(u64::from(first == 0) + levels.skip(self.cells_left.saturating_sub(1), 0)?)
            }
        }
    }

    /// Passes over one cell without its value being looked at.
    pub(crate) fn skip_cell(&mut self) -> Result<(), Cause> {
        self.next().map(drop)
    }
}

/// Levels of a v1 page: their length, then runs. A column whose greatest level is zero has none.
fn levels_v1(plain: &Bytes, encoding: i32, max: u32) -> Result<(Option<Rle>, Bytes), Cause> {
    if max == 0 {
        return Ok((None, plain.clone()));
    }
    if encoding != LEVELS_RLE {
        return Err(Cause::unsupported("level encoding", encoding));
    }
    let levels = after_len(plain)?;
    let rest = plain.slice(levels.len() + size_of::<u32>()..);
    Ok((Some(Rle::new(levels, width_of(max))?), rest))
}

fn levels_v2(levels: Bytes, max: u32) -> Result<Option<Rle>, Cause> {
    (max > 0).then(|| Rle::new(levels, width_of(max))).transpose()
}

/// Values of a v2 page. Some writers compress nothing at all into nothing, whatever the codec says of emptiness.
fn decompress_v2(codec: Compression, stored: &Bytes, plain_len: usize) -> Result<Bytes, Cause> {
    if plain_len == 0 { Ok(Bytes::new()) } else { decompress(codec, stored, plain_len) }
}

#[cfg(test)]
mod tests {
    use parquet::basic::Type as Physical;

    use super::*;

    /// A v2 page of three optional numbers, its definition levels as given.
    fn open(def_levels: &[u8], values: &[u8], def_max: u32) -> Page {
        let storage = Storage { physical: Physical::INT32, fixed_len: 0 };
        let shape = LeafShape { storage, def_max, rep_max: 0, codec: Compression::UNCOMPRESSED };
        let content = PageContent::DataV2 {
            level_count: 3,
            row_count: 3,
            encoding: 0,
            def_len: def_levels.len(),
            rep_len: 0,
            is_compressed: false,
        };
        let bytes = Bytes::from([def_levels, values].concat());
        let len = bytes.len();
        let header = PageHeader { header_len: 0, stored_len: len, plain_len: len, crc: None, content };
        Page::open(&shape, &header, &bytes, None).unwrap()
    }

    #[test]
    fn values_stand_where_the_level_is_the_greatest() {
        // Levels 1, 0, 1, packed.
        let mut page = open(&[3, 0b101], &[5, 0, 0, 0, 6, 0, 0, 0], 1);
        let cells: Vec<Option<i32>> = (0..3)
            .map(|_| match page.next().unwrap().unwrap().value {
                Some(Raw::I32(value)) => Some(value),
                _ => None,
            })
            .collect();
        assert_eq!(cells, [Some(5), None, Some(6)]);
        assert!(page.next().unwrap().is_none());
        let mut page = open(&[3, 0b101], &[5, 0, 0, 0, 6, 0, 0, 0], 1);
        page.skip_flat(2).unwrap();
        assert_eq!(page.next().unwrap().unwrap().value, Some(Raw::I32(6)));
        page.skip_flat(1).unwrap_err();
    }

    #[test]
    fn level_above_the_greatest_is_corrupt() {
        // Two bits hold 3 as well, which a column of two levels does not have.
        let mut page = open(&[6, 3], &[], 2);
        assert_eq!(page.next().unwrap_err(), Cause::invalid("definition level", 3));
    }
}
