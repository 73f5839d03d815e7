//! Page headers.
//!
//! Spec: `PageHeader` of <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>. Bounds
//! and other statistics of a header are passed over: a page that is at hand needs no pruning.

use crate::file::{
    decode::values::is_dictionary,
    error::Cause,
    limits::{PAGE_HEADER_LEN_BYTES_MAX, PAGE_LEN_BYTES_MAX, PAGE_VALUES_MAX},
    thrift::{Cursor, Kind, Walk},
};

/// A checked header: lengths and counts are within the limits and agree with each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageHeader {
    /// Length of the header itself.
    pub(crate) header_len: usize,
    /// Length of the page's bytes as stored.
    pub(crate) stored_len: usize,
    /// Length of the page's bytes when decompressed, levels included.
    pub(crate) plain_len: usize,
    /// CRC-32 of the stored bytes.
    pub(crate) crc: Option<u32>,
    /// What follows.
    pub(crate) content: PageContent,
}

/// What a page holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PageContent {
    /// Values by which data pages are encoded.
    Dictionary {
        /// How many.
        value_count: usize,
        /// Number of their encoding.
        encoding: i32,
    },
    /// Levels and values, compressed together.
    DataV1 {
        /// Levels, nulls counted.
        level_count: usize,
        /// Number of the values' encoding.
        encoding: i32,
        /// Number of the definition levels' encoding.
        def_encoding: i32,
        /// Number of the repetition levels' encoding.
        rep_encoding: i32,
    },
    /// Levels, never compressed, and values.
    DataV2 {
        /// Levels, nulls counted.
        level_count: usize,
        /// Rows that begin in the page.
        row_count: usize,
        /// Number of the values' encoding.
        encoding: i32,
        /// Length of the definition levels.
        def_len: usize,
        /// Length of the repetition levels, which come first.
        rep_len: usize,
        /// Whether the values are compressed.
        is_compressed: bool,
    },
    /// Anything else: passed over.
    Other,
}

impl PageHeader {
    /// Whether its values are indices into the dictionary.
    pub(crate) fn uses_dictionary(&self) -> bool {
        let encoding = match self.content {
            PageContent::DataV1 { encoding, .. } | PageContent::DataV2 { encoding, .. } => encoding,
            PageContent::Dictionary { .. } | PageContent::Other => return false,
        };
        is_dictionary(encoding)
    }

    /// Length of header and page together.
    pub(crate) fn total_len(&self) -> u64 {
        self.header_len as u64 + self.stored_len as u64
    }

    /// Reads the header at the front of `bytes`; `None` where `bytes` end inside it and a longer piece may hold all.
    pub(crate) fn parse_partial(bytes: &[u8]) -> Result<Option<Self>, Cause> {
        match Self::parse(bytes) {
            Err(Cause::Truncated { .. }) if bytes.len() < PAGE_HEADER_LEN_BYTES_MAX => Ok(None),
            other => other.map(Some),
        }
    }

    /// Reads the header at the front of `bytes`.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Cause> {
        let bytes = bytes.get(..PAGE_HEADER_LEN_BYTES_MAX).unwrap_or(bytes);
        let (mut cursor, mut walk, mut id) = (Cursor::new(bytes, "page header"), Walk::default(), 0);
        let (mut kind, mut stored_len, mut plain_len, mut crc) = (None, None, None, None);
        let (mut v1, mut dictionary, mut v2) = (None, None, None);
        while let Some(field) = cursor.field(&mut id)? {
            match (id, field) {
                (1, Kind::Int) => kind = Some(cursor.int32()?),
                (2, Kind::Int) => plain_len = Some(cursor.int32()?),
                (3, Kind::Int) => stored_len = Some(cursor.int32()?),
                (4, Kind::Int) => crc = Some(cursor.int32()?.cast_unsigned()),
                (5, Kind::Struct) => v1 = Some(parse_v1(&mut cursor, &mut walk)?),
                (7, Kind::Struct) => dictionary = Some(parse_dictionary(&mut cursor, &mut walk)?),
                (8, Kind::Struct) => v2 = Some(parse_v2(&mut cursor, &mut walk)?),
                _ => cursor.skip(field, &mut walk)?,
            }
        }
        let content = match required(kind, "page type")? {
            0 => required(v1, "data page header")?,
            2 => required(dictionary, "dictionary page header")?,
            3 => required(v2, "data page header")?,
            _ => PageContent::Other,
        };
        let header = Self {
            header_len: cursor.position(),
            stored_len: page_len(required(stored_len, "page length")?)?,
            plain_len: page_len(required(plain_len, "page length")?)?,
            crc,
            content,
        };
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), Cause> {
        let PageContent::DataV2 { level_count, row_count, def_len, rep_len, .. } = self.content else {
            return Ok(());
        };
        let levels_len = def_len.saturating_add(rep_len);
        if levels_len > self.stored_len || levels_len > self.plain_len {
            return Err(Cause::invalid("length of levels", levels_len as u64));
        }
        if row_count > level_count {
            return Err(Cause::invalid("rows of a page", row_count as u64));
        }
        Ok(())
    }
}

fn required<T>(value: Option<T>, what: &'static str) -> Result<T, Cause> {
    value.ok_or(Cause::Truncated { what })
}

fn page_len(len: i32) -> Result<usize, Cause> {
    let found = u64::try_from(len).map_err(|_| Cause::invalid("page length", len))?;
    Cause::check_limit("page length", found, PAGE_LEN_BYTES_MAX)?;
    usize::try_from(found).map_err(|_| Cause::invalid("page length", len))
}

fn count(value: i32, what: &'static str) -> Result<usize, Cause> {
    let found = u64::try_from(value).map_err(|_| Cause::invalid(what, value))?;
    Cause::check_limit(what, found, PAGE_VALUES_MAX)?;
    usize::try_from(found).map_err(|_| Cause::invalid(what, value))
}

fn parse_dictionary(cursor: &mut Cursor<'_>, walk: &mut Walk) -> Result<PageContent, Cause> {
    let (mut id, mut values, mut encoding) = (0, None, None);
    while let Some(field) = cursor.field(&mut id)? {
        match (id, field) {
            (1, Kind::Int) => values = Some(cursor.int32()?),
            (2, Kind::Int) => encoding = Some(cursor.int32()?),
            _ => cursor.skip(field, walk)?,
        }
    }
    Ok(PageContent::Dictionary {
        value_count: count(required(values, "dictionary values")?, "dictionary values")?,
        encoding: required(encoding, "dictionary encoding")?,
    })
}

fn parse_v1(cursor: &mut Cursor<'_>, walk: &mut Walk) -> Result<PageContent, Cause> {
    let (mut id, mut levels, mut encoding, mut def, mut rep) = (0, None, None, None, None);
    while let Some(field) = cursor.field(&mut id)? {
        match (id, field) {
            (1, Kind::Int) => levels = Some(cursor.int32()?),
            (2, Kind::Int) => encoding = Some(cursor.int32()?),
            (3, Kind::Int) => def = Some(cursor.int32()?),
            (4, Kind::Int) => rep = Some(cursor.int32()?),
            _ => cursor.skip(field, walk)?,
        }
    }
    Ok(PageContent::DataV1 {
        level_count: count(required(levels, "page values")?, "page values")?,
        encoding: required(encoding, "page encoding")?,
        def_encoding: required(def, "level encoding")?,
        rep_encoding: required(rep, "level encoding")?,
    })
}

fn parse_v2(cursor: &mut Cursor<'_>, walk: &mut Walk) -> Result<PageContent, Cause> {
    let (mut id, mut levels, mut rows, mut encoding) = (0, None, None, None);
    let (mut def, mut rep, mut is_compressed) = (None, None, true);
    while let Some(field) = cursor.field(&mut id)? {
        match (id, field) {
            (1, Kind::Int) => levels = Some(cursor.int32()?),
            (3, Kind::Int) => rows = Some(cursor.int32()?),
            (4, Kind::Int) => encoding = Some(cursor.int32()?),
            (5, Kind::Int) => def = Some(cursor.int32()?),
            (6, Kind::Int) => rep = Some(cursor.int32()?),
            (7, Kind::Bool(value)) => is_compressed = value,
            _ => cursor.skip(field, walk)?,
        }
    }
    Ok(PageContent::DataV2 {
        level_count: count(required(levels, "page values")?, "page values")?,
        row_count: count(required(rows, "page rows")?, "page rows")?,
        encoding: required(encoding, "page encoding")?,
        def_len: page_len(required(def, "length of levels")?)?,
        rep_len: page_len(required(rep, "length of levels")?)?,
        is_compressed,
    })
}
