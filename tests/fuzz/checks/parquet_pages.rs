//! Page headers and pages, in every codec, encoding and type: the footer around them is sound.
//!
//! Input: codec, type, count of values, place of the first data page behind the dictionary page (0: there is none), and
//! the column chunk.

use std::sync::Arc;

use firn_iceberg::schema::{NestedField, PrimitiveType, Type};
use firn_lookup::file::ColumnRef;
use parquet::{
    basic::{Compression, GzipLevel, ZstdLevel},
    file::metadata::{
        ColumnChunkMetaData, FileMetaData, ParquetMetaData, ParquetMetaDataWriter, RowGroupMetaData,
    },
    schema::{parser::parse_message_type, types::SchemaDescriptor},
};

use crate::parquet_read;

/// Columns: as Parquet has them, and the type of the table's column.
const COLUMNS: [(&str, PrimitiveType); 13] = [
    ("required boolean c = 1;", PrimitiveType::Boolean),
    ("optional boolean c = 1;", PrimitiveType::Boolean),
    ("required int32 c = 1;", PrimitiveType::Int),
    ("optional int32 c = 1;", PrimitiveType::Long),
    ("required int64 c = 1;", PrimitiveType::Long),
    ("optional int96 c = 1;", PrimitiveType::Timestamp),
    ("required float c = 1;", PrimitiveType::Double),
    ("optional double c = 1;", PrimitiveType::Double),
    ("required binary c (UTF8) = 1;", PrimitiveType::String),
    ("optional binary c (UTF8) = 1;", PrimitiveType::String),
    ("required fixed_len_byte_array(5) c = 1;", PrimitiveType::Fixed(5)),
    (
        "optional fixed_len_byte_array(9) c (DECIMAL(20, 2)) = 1;",
        PrimitiveType::Decimal { precision: 20, scale: 2 },
    ),
    (
        "optional group c (LIST) = 1 { repeated group list { optional binary element (UTF8) = 2; } }",
        PrimitiveType::String,
    ),
];

pub(crate) fn check(input: &[u8]) {
    let Some(([codec, column, count, dictionary], chunk)) = input.split_first_chunk::<4>() else {
        return;
    };
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ];
    let codec = codecs[usize::from(*codec) % codecs.len()];
    let (text, ty) = COLUMNS[usize::from(*column) % COLUMNS.len()];
    let element = NestedField {
        id: 2,
        name: "element".to_owned(),
        required: false,
        ty: Type::Primitive(ty),
        initial_default: None,
    };
    let ty = if text.contains("LIST") { Type::List(Box::new(element)) } else { Type::Primitive(ty) };
    let Some(file) = file_of(text, codec, u64::from(*count), u64::from(*dictionary), chunk) else { return };
    parquet_read::read_columns(&file.into(), &[ColumnRef { field_id: 1, ty, initial_default: None }], None);
}

/// A file of one column chunk. `None` where the writer refuses to describe it.
fn file_of(column: &str, codec: Compression, count: u64, dictionary: u64, chunk: &[u8]) -> Option<Vec<u8>> {
    let schema = parse_message_type(&format!("message row {{ {column} }}")).expect("it is one of ours");
    let schema = Arc::new(SchemaDescriptor::new(Arc::new(schema)));
    let count = i64::try_from(count).ok()?;
    let mut builder = ColumnChunkMetaData::builder(schema.column(0))
        .set_compression(codec)
        .set_num_values(count)
        .set_total_compressed_size(i64::try_from(chunk.len()).ok()?)
        .set_total_uncompressed_size(i64::try_from(chunk.len()).ok()?)
        .set_data_page_offset(4 + i64::try_from(dictionary).ok()?);
    if dictionary > 0 {
        builder = builder.set_dictionary_page_offset(Some(4));
    }
    let group = RowGroupMetaData::builder(Arc::clone(&schema))
        .set_num_rows(count)
        .set_total_byte_size(i64::try_from(chunk.len()).ok()?)
        .set_column_metadata(vec![builder.build().ok()?])
        .build()
        .ok()?;
    let metadata = ParquetMetaData::new(FileMetaData::new(2, count, None, None, schema, None), vec![group]);
    let mut file = b"PAR1".to_vec();
    file.extend_from_slice(chunk);
    let mut footer = Vec::new();
    ParquetMetaDataWriter::new(&mut footer, &metadata).finish().ok()?;
    file.extend(footer);
    Some(file)
}
