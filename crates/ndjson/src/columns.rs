//! Where the columns of [`firn_types::schema`] stand, worked out at compile time: a column that is renamed there does
//! not compile here until its use is looked at.

use firn_types::schema::{COLUMN_COUNT, COLUMNS, Column, ColumnGroup};

pub(crate) const NS: usize = idx_of("ns");
pub(crate) const TYPE: usize = idx_of("type");
pub(crate) const ID: usize = idx_of("id");
pub(crate) const VERSION: usize = idx_of("version");
pub(crate) const VISIBILITY: usize = idx_of("visibility");
pub(crate) const OWNER_ISS: usize = idx_of("owner_iss");
pub(crate) const OWNER_ORG: usize = idx_of("owner_org");
pub(crate) const OWNER_SUB: usize = idx_of("owner_sub");
pub(crate) const DELETED: usize = idx_of("deleted");
pub(crate) const EXPIRES_AT: usize = idx_of("expires_at");
pub(crate) const TS: usize = idx_of("ts");
pub(crate) const HASH: usize = idx_of("hash");
pub(crate) const SIZE_BYTES: usize = idx_of("size_bytes");
pub(crate) const MODE: usize = idx_of("mode");
pub(crate) const INGEST_ID: usize = idx_of("ingest_id");
pub(crate) const METADATA: usize = idx_of("metadata");

/// Longest name of a column; a longer one does not compile.
pub(crate) const NAME_LEN_BYTES_MAX: usize = 24;

/// Some of the columns, each by its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ColumnSet(u64);

impl ColumnSet {
    pub(crate) const EMPTY: Self = Self(0);

    pub(crate) const fn single(idx: usize) -> Self {
        Self(1 << idx)
    }

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn has(self, idx: usize) -> bool {
        self.0 >> idx & 1 == 1
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The places, in the order of the table.
    #[inline]
    pub(crate) fn places(self) -> impl Iterator<Item = usize> {
        let mut bits = self.0;
        std::iter::from_fn(move || {
            let idx = bits.trailing_zeros() as usize;
            bits &= bits.checked_sub(1)?;
            Some(idx)
        })
    }
}

/// The columns that hold content.
pub(crate) const CONTENT: ColumnSet = content();

/// The columns by the length of their names: bit `idx` stands for `COLUMNS[idx]`.
const BY_LEN: [u64; NAME_LEN_BYTES_MAX + 1] = by_len();

/// The column named `name`, and where it stands. Compares with the few names of the same length only.
pub(crate) fn named(name: &str) -> Option<(usize, &'static Column)> {
    let mut bits = BY_LEN.get(name.len()).copied().unwrap_or(0);
    while let Some(column) = COLUMNS.get(bits.trailing_zeros() as usize) {
        if column.name == name {
            return Some((bits.trailing_zeros() as usize, column));
        }
        bits &= bits - 1;
    }
    None
}

/// The name of the column that stands at `idx`.
pub(crate) fn name_at(idx: usize) -> &'static str {
    COLUMNS.get(idx).map_or("", |column| column.name)
}

#[expect(clippy::indexing_slicing, reason = "runs at compile time, where an index out of bounds is an error")]
const fn by_len() -> [u64; NAME_LEN_BYTES_MAX + 1] {
    let mut by_len = [0; NAME_LEN_BYTES_MAX + 1];
    let mut idx = 0;
    while idx < COLUMN_COUNT {
        by_len[COLUMNS[idx].name.len()] |= 1 << idx;
        idx += 1;
    }
    by_len
}

#[expect(clippy::indexing_slicing, reason = "runs at compile time, where an index out of bounds is an error")]
const fn content() -> ColumnSet {
    let mut set = ColumnSet(0);
    let mut idx = 0;
    while idx < COLUMN_COUNT {
        if matches!(COLUMNS[idx].group, ColumnGroup::Content) {
            set = set.with(ColumnSet::single(idx));
        }
        idx += 1;
    }
    set
}

#[expect(clippy::indexing_slicing, reason = "runs at compile time, where an index out of bounds is an error")]
const fn idx_of(name: &str) -> usize {
    let mut idx = 0;
    while idx < COLUMN_COUNT {
        if is_equal(COLUMNS[idx].name.as_bytes(), name.as_bytes()) {
            return idx;
        }
        idx += 1;
    }
    panic!("no column has this name")
}

#[expect(clippy::indexing_slicing, reason = "runs at compile time, where an index out of bounds is an error")]
const fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let mut idx = 0;
    while idx < a.len() && idx < b.len() && a[idx] == b[idx] {
        idx += 1;
    }
    idx == a.len() && idx == b.len()
}
