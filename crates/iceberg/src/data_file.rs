//! Data files and delete files, as manifests describe them.
//!
//! Spec: "Manifests", the struct `data_file`.

use crate::{schema::PrimitiveType, value::Literal, value::decode_unscaled};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileContent {
    /// Rows.
    Data,
    /// Positions of deleted rows, in a file of their own or as a deletion vector.
    PositionDeletes,
    /// Values of deleted rows.
    EqualityDeletes,
}

/// How a file is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileFormat {
    /// Apache Parquet.
    Parquet,
    /// Apache Avro.
    Avro,
    /// Apache ORC.
    Orc,
    /// Puffin, the container of deletion vectors.
    Puffin,
    /// One that this version does not know.
    Unknown,
}

impl FileFormat {
    /// Reads its name, in any case.
    pub fn parse(name: &str) -> Self {
        let known =
            [("parquet", Self::Parquet), ("avro", Self::Avro), ("orc", Self::Orc), ("puffin", Self::Puffin)];
        known
            .iter()
            .find(|(word, _)| name.eq_ignore_ascii_case(word))
            .map_or(Self::Unknown, |(_, format)| *format)
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Avro => "avro",
            Self::Orc => "orc",
            Self::Puffin => "puffin",
            Self::Unknown => "unknown",
        }
    }
}

/// One value of a partition tuple.
#[derive(Clone, Debug, PartialEq)]
pub enum PartitionValue {
    /// Null.
    Null,
    /// The value in the form that Avro gives it; [`coerce`] makes it a value of a column's type.
    Is(Literal),
    /// The manifest does not say.
    Unknown,
}

impl PartitionValue {
    /// Whether two values of the same field are surely the same.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Is(a), Self::Is(b)) => a.is_same(b),
            _ => false,
        }
    }
}

/// Turns a partition value, as Avro gives it, into one of `ty`; `None` where it is none.
pub fn coerce(raw: &Literal, ty: PrimitiveType) -> Option<Literal> {
    use PrimitiveType as P;
    Some(match (raw, ty) {
        (Literal::Long(v), P::Int) => Literal::Int(i32::try_from(*v).ok()?),
        (Literal::Long(v), P::Date) => Literal::Date(i32::try_from(*v).ok()?),
        (Literal::Long(v) | Literal::Timestamp(v), P::Timestamp) => Literal::Timestamp(*v),
        (Literal::Long(v) | Literal::Timestamp(v), P::Timestamptz) => Literal::Timestamptz(*v),
        (Literal::Long(v) | Literal::TimestampNs(v), P::TimestampNs) => Literal::TimestampNs(*v),
        (Literal::Long(v) | Literal::TimestampNs(v), P::TimestamptzNs) => Literal::TimestamptzNs(*v),
        (Literal::Long(v), P::Time) => Literal::Time(*v),
        (Literal::Date(v), P::Int) => Literal::Int(*v),
        (Literal::Float(v), P::Double) => Literal::Double((*v).into()),
        (Literal::Binary(bytes), P::Uuid) => Literal::Uuid(bytes.as_slice().try_into().ok()?),
        (Literal::Binary(bytes), P::Fixed(_)) => Literal::Fixed(bytes.clone()),
        (Literal::Binary(bytes), P::Decimal { scale, .. }) => {
            Literal::Decimal { unscaled: decode_unscaled(bytes)?, scale }
        }
        (raw, ty) if raw.is_of(ty) => raw.clone(),
        _ => return None,
    })
}

/// What a manifest says of one column of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnStats {
    /// The column.
    pub field_id: i32,
    /// Values, nulls counted.
    pub value_count: Option<i64>,
    /// Nulls.
    pub null_count: Option<i64>,
    /// NaNs.
    pub nan_count: Option<i64>,
    /// A single value that no value (null and NaN aside) is below.
    pub lower_bound: Option<Box<[u8]>>,
    /// A single value that no value (null and NaN aside) is above.
    pub upper_bound: Option<Box<[u8]>>,
}

/// A data file or delete file.
#[derive(Clone, Debug, PartialEq)]
pub struct DataFile {
    /// What it holds.
    pub content: FileContent,
    /// Where it is.
    pub location: String,
    /// How it is encoded.
    pub format: FileFormat,
    /// The partition spec it was written with.
    pub spec_id: i32,
    /// Its partition: one value for each field of the spec.
    pub partition: Vec<PartitionValue>,
    /// Rows, deletes or positions in it.
    pub record_count: u64,
    /// Its length by the writer's word, which can be wrong: only good for guessing how much to ask for.
    pub stated_len_bytes: u64,
    /// Of how many columns the writer told the length; a hint, as the length of the file is.
    pub stated_column_count: usize,
    /// The sum of those lengths.
    pub stated_columns_len_bytes: u64,
    /// Statistics by ascending field id, of the columns that were asked for.
    pub stats: Vec<ColumnStats>,
    /// The columns of an equality delete file by which rows are deleted.
    pub equality_ids: Vec<i32>,
    /// The order of its rows.
    pub sort_order_id: Option<i32>,
    /// Where the only data file is that its position deletes apply to.
    pub referenced_data_file: Option<String>,
    /// Where a deletion vector's blob starts.
    pub content_offset: Option<u64>,
    /// How long a deletion vector's blob is.
    pub content_size_bytes: Option<u64>,
    /// Whether it is encrypted.
    pub is_encrypted: bool,
}

impl DataFile {
    /// The statistics of a column.
    pub fn stats_of(&self, field_id: i32) -> Option<&ColumnStats> {
        let idx = self.stats.binary_search_by_key(&field_id, |s| s.field_id).ok()?;
        self.stats.get(idx)
    }

    /// How much of a Parquet file lies behind its columns, by the writer's word: footer, page index, bloom filters.
    /// `None` where the lengths of fewer than `column_count` columns are told, or of more than the file has room for.
    pub fn stated_end_len_bytes(&self, column_count: usize) -> Option<u64> {
        const MAGIC_LEN_BYTES: u64 = 4;
        if self.stated_column_count < column_count {
            return None;
        }
        self.stated_len_bytes.checked_sub(self.stated_columns_len_bytes)?.checked_sub(MAGIC_LEN_BYTES)
    }

    /// About how much memory its lists and texts take.
    pub(crate) fn heap_len_bytes(&self) -> usize {
        let partition = |value: &PartitionValue| match value {
            PartitionValue::Is(Literal::String(text)) => text.len(),
            PartitionValue::Is(Literal::Binary(bytes)) => bytes.len(),
            _ => 0,
        };
        let bound = |bound: &Option<Box<[u8]>>| bound.as_ref().map_or(0, |bytes| bytes.len());
        let stats = |stats: &ColumnStats| {
            size_of::<ColumnStats>() + bound(&stats.lower_bound) + bound(&stats.upper_bound)
        };
        self.location.len()
            + self.partition.len() * size_of::<PartitionValue>()
            + self.partition.iter().map(partition).sum::<usize>()
            + self.stats.iter().map(stats).sum::<usize>()
            + self.equality_ids.len() * size_of::<i32>()
            + self.referenced_data_file.as_ref().map_or(0, String::len)
    }

    /// Whether it is a deletion vector.
    pub fn is_deletion_vector(&self) -> bool {
        self.content == FileContent::PositionDeletes && self.format == FileFormat::Puffin
    }
}
