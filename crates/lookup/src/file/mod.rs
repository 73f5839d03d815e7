//! Reading rows of one Parquet file with the fewest reads: a state machine that asks for byte ranges (design.md §5).
//!
//! ```text
//! tail (footer, and often the page index) ─▶ [page index] ─▶ [bloom filters] ─▶ key pages ─▶ wanted pages
//! ```
//! Steps in brackets happen only where they are missing and save more than they cost. Each arrow is one wave. A step
//! whose bytes are already there takes no wave: with a held footer a lookup begins at the key pages.
//!
//! The `parquet` crate parses footers and page indexes, after a walk that checks what the crate would trust
//! (`footer_check`, `thrift`). Pages are read by Firn's own code (`page`, `decode`): it decodes only wanted rows, and no byte of a file
//! can make it panic, run without end or allocate beyond [`limits`].
//!
//! Not here: which files to read, what was deleted, which of several rows wins.

use std::sync::Arc;

use firn_iceberg::{name_mapping::NameMapping, schema::Type, value::Value};
use firn_types::object::ObjectKey;

pub mod error;
pub mod footer;
pub mod limits;
pub mod lookup;
pub mod scan;

mod assemble;
mod bloom;
mod chunk;
mod codec;
mod columns;
mod convert;
mod decode;
mod fetched;
mod footer_check;
mod group;
mod header;
mod index;
mod keys;
mod matched;
mod narrow;
mod page;
mod plan;
mod prune;
mod rows;
mod thrift;

/// What to read of one file.
#[derive(Clone, Debug)]
pub struct FileRequest {
    /// The file.
    pub object: ObjectKey,
    /// Its length according to table metadata: a hint for the first read, never trusted.
    pub stated_len_bytes: u64,
    /// What a row must equal, in every column. Empty means every row.
    pub key: Vec<KeyEquals>,
    /// What is wanted of a row.
    pub columns: Vec<WantedColumn>,
    /// Which rows to look at.
    pub rows: RowSelection,
    /// Field ids for a file that has none; without it such a file has no known column.
    pub names: Option<Arc<NameMapping>>,
}

/// Which rows to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowSelection {
    /// All; the lookup finds those that equal the key.
    AllMatching,
    /// The row at this position in the file, if it equals the key.
    At(u64),
}

/// `column = value`, in the meaning of [`firn_iceberg::value::Literal::is_same`].
#[derive(Clone, Debug)]
pub struct KeyEquals {
    /// A primitive column that does not repeat.
    pub column: ColumnRef,
    /// A primitive value of the column's type.
    pub value: Value,
}

/// A column whose values are wanted.
#[derive(Clone, Debug)]
pub struct WantedColumn {
    /// The column.
    pub column: ColumnRef,
    /// When it is fetched.
    pub when: When,
}

/// When a wanted column is fetched. It changes the cost, never the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Small: in the wave of the key's pages, or in that of the target's where that costs less; never in its own.
    WithKey,
    /// Large: only for rows that were found.
    Target,
}

/// How far a lookup goes before it answers. A caller that asks several files goes by stages, so that content is read of
/// the row that wins alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Goal {
    /// The rows that equal the key. Columns come with them where they cost no wave and few bytes.
    Rows,
    /// And their columns of [`When::WithKey`].
    Small,
    /// And all others.
    #[default]
    All,
}

impl Goal {
    /// Whether columns of this kind are read on the way.
    pub(crate) const fn includes(self, when: When) -> bool {
        match (self, when) {
            (Self::All, _) | (Self::Small, When::WithKey) => true,
            (Self::Rows, _) | (Self::Small, When::Target) => false,
        }
    }
}

/// A column of the table.
#[derive(Clone, Debug)]
pub struct ColumnRef {
    /// Its field id.
    pub field_id: i32,
    /// Its type today.
    pub ty: Type,
    /// What rows of a file without it hold; null where it is absent.
    pub initial_default: Option<Value>,
}

/// A row that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundRow {
    /// Its position in the file.
    pub position: u64,
    /// Its values, in the order of the wanted columns.
    pub values: Vec<Option<Value>>,
}
