//! The columns of a row: the one place from which record validation, the Pipelines schema, the Arrow schema and the
//! Iceberg schema are derived or against which they are checked (design.md §2, §5).
//!
//! Streams, sinks and their SQL cannot be changed once made, so columns of later features stand here from the first
//! day. The order is key, version, rights, small columns, content: one coalesced range covers key and rights.

/// How a column is stored. Trees, front matter and metadata are JSON text in a [`Self::String`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text.
    String,
    /// 64-bit signed integer.
    Int64,
    /// Boolean.
    Bool,
    /// Instant in microseconds, UTC (Iceberg `timestamptz`).
    Timestamp,
    /// List of required UTF-8 texts; the id is the Iceberg field id of the element.
    StringList {
        /// Field id of the list's element.
        element_id: i32,
    },
}

/// Why a column is there; the order of the variants is the order of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ColumnGroup {
    /// Names the artifact. Statistics and page-index bounds are kept for these alone, and for the version.
    Key,
    /// The version.
    Version,
    /// Who may read the row, and whether it is deleted or expired.
    Rights,
    /// Other small columns.
    Small,
    /// Content; large.
    Content,
    /// Added by the sink, not by the sender.
    Sink,
}

/// What a caller's record may put into a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerValue {
    /// Nothing: the server or the sink sets it.
    None,
    /// A JSON string.
    String,
    /// `true` or `false`.
    Bool,
    /// A JSON string holding an RFC 3339 date-time.
    Timestamp,
    /// A JSON object, stored as its text.
    Object,
    /// Any JSON value, stored as its text.
    Json,
    /// An array of JSON strings.
    StringList,
}

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name, in JSON and in the table.
    pub name: &'static str,
    /// Iceberg field id of a table made by Firn's own writer. A reader resolves names through the table's schema.
    pub field_id: i32,
    /// Storage type.
    pub column_type: ColumnType,
    /// Whether a row must have it.
    pub required: bool,
    /// Group.
    pub group: ColumnGroup,
    /// What a caller may put there.
    pub caller: CallerValue,
}

impl Column {
    /// Whether data files keep statistics (chunk and page minimum and maximum) of this column: only of those by which
    /// a lookup prunes, so that a page index stays small.
    pub const fn has_statistics(&self) -> bool {
        matches!(self.group, ColumnGroup::Key | ColumnGroup::Version | ColumnGroup::Sink)
    }
}

/// Name of the column that the sink adds and partitions by (`day`).
pub const INGEST_TS: &str = "__ingest_ts";

const fn column(
    field_id: i32,
    name: &'static str,
    column_type: ColumnType,
    group: ColumnGroup,
    caller: CallerValue,
) -> Column {
    let required = matches!(group, ColumnGroup::Key | ColumnGroup::Version | ColumnGroup::Sink);
    Column { name, field_id, column_type, required, group, caller }
}

use CallerValue as V;
use ColumnGroup as G;
use ColumnType as T;

/// Number of columns.
pub const COLUMN_COUNT: usize = 36;

/// Every column, in the order of the table.
pub const COLUMNS: [Column; COLUMN_COUNT] = [
    column(1, "ns", T::String, G::Key, V::String),
    column(2, "type", T::String, G::Key, V::String),
    column(3, "id", T::String, G::Key, V::String),
    column(4, "version", T::Int64, G::Version, V::None),
    column(5, "visibility", T::String, G::Rights, V::String),
    column(6, "owner_iss", T::String, G::Rights, V::None),
    column(7, "owner_org", T::String, G::Rights, V::None),
    column(8, "owner_sub", T::String, G::Rights, V::None),
    column(9, "deleted", T::Bool, G::Rights, V::Bool),
    column(10, "expires_at", T::Timestamp, G::Rights, V::Timestamp),
    column(11, "ts", T::Timestamp, G::Small, V::None),
    column(12, "hash", T::String, G::Small, V::None),
    column(13, "size_bytes", T::Int64, G::Small, V::None),
    column(14, "mode", T::String, G::Small, V::None),
    column(15, "ingest_id", T::String, G::Small, V::None),
    // Large content by reference: for a later version, there today because a stream's schema is immutable.
    column(16, "blob_digest", T::String, G::Small, V::None),
    column(17, "blob_size_bytes", T::Int64, G::Small, V::None),
    column(18, "blob_content_type", T::String, G::Small, V::None),
    column(19, "blob_key", T::String, G::Small, V::None),
    // Signed metadata: likewise.
    column(20, "signature", T::String, G::Small, V::None),
    column(21, "signature_key_id", T::String, G::Small, V::None),
    column(22, "metadata", T::String, G::Small, V::Object),
    column(23, "markdown", T::String, G::Content, V::String),
    column(24, "mdx", T::String, G::Content, V::String),
    column(25, "html", T::String, G::Content, V::String),
    column(26, "esm", T::String, G::Content, V::String),
    column(27, "dts", T::String, G::Content, V::String),
    column(28, "css", T::String, G::Content, V::String),
    column(29, "mdast", T::String, G::Content, V::Json),
    column(30, "hast", T::String, G::Content, V::Json),
    column(31, "estree", T::String, G::Content, V::Json),
    column(32, "tsast", T::String, G::Content, V::Json),
    column(33, "frontmatter", T::String, G::Content, V::Object),
    column(34, "dependencies", T::StringList { element_id: 101 }, G::Content, V::StringList),
    column(35, "exports", T::StringList { element_id: 102 }, G::Content, V::StringList),
    column(36, INGEST_TS, T::Timestamp, G::Sink, V::None),
];

/// The column named `name`.
pub fn column_named(name: &str) -> Option<&'static Column> {
    COLUMNS.iter().find(|c| c.name == name)
}

/// The columns that a sender fills, which are the fields of the stream.
pub fn stream_columns() -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().filter(|c| c.group != ColumnGroup::Sink)
}

/// The columns that are content: what the record's hash covers and its size counts, in this order.
pub fn content_columns() -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().filter(|c| c.group == ColumnGroup::Content)
}

/// The Pipelines stream schema (`wrangler pipelines streams create --schema-file`), as JSON text.
///
/// Timestamps are sent as RFC 3339 text in UTC, the stream's default format.
pub fn pipelines_schema_json() -> String {
    let fields: Vec<String> = stream_columns()
        .map(|c| {
            let kind = match c.column_type {
                T::String => r#""type":"string""#,
                T::Int64 => r#""type":"int64""#,
                T::Bool => r#""type":"bool""#,
                T::Timestamp => r#""type":"timestamp","unit":"microsecond""#,
                T::StringList { .. } => r#""type":"list","items":{"type":"string","required":true}"#,
            };
            format!(r#"    {{"name":"{}",{kind},"required":{}}}"#, c.name, c.required)
        })
        .collect();
    format!("{{\n  \"fields\": [\n{}\n  ]\n}}\n", fields.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_numbered_grouped_and_named_once() {
        for (idx, c) in COLUMNS.iter().enumerate() {
            assert_eq!(usize::try_from(c.field_id), Ok(idx + 1), "{}", c.name);
            assert_eq!(column_named(c.name), Some(c));
        }
        assert!(COLUMNS.is_sorted_by_key(|c| c.group));
    }

    /// What production's stream is made with is what this module says; `scripts/build` writes it.
    #[test]
    fn committed_pipelines_schema_is_current() {
        let committed = include_str!("../../../workers/lake/pipelines-schema.json");
        assert_eq!(committed, pipelines_schema_json());
    }
}
