//! Column index, offset index and bloom filter, of a file that is sound otherwise.
//!
//! Input: lengths of the column index and the offset index (two bytes each), both, and the bloom filter.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use firn_iceberg::schema::{PrimitiveType, Type};
use firn_lookup::file::ColumnRef;
use parquet::{
    basic::Compression,
    data_type::{ByteArray, ByteArrayType},
    file::{
        metadata::{ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter},
        properties::{EnabledStatistics, WriterProperties},
        writer::SerializedFileWriter,
    },
    schema::parser::parse_message_type,
};

use crate::parquet_read;

/// Rows of the file, four to a page.
const ROW_COUNT: usize = 48;

/// A file without index and filter, up to its footer, and its footer.
static SOUND: LazyLock<(Vec<u8>, ParquetMetaData)> = LazyLock::new(|| {
    let schema = parse_message_type("message row { required binary c (UTF8) = 1; }").expect("it is one");
    let properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_data_page_row_count_limit(4)
        .set_write_batch_size(4)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .build();
    let mut file = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut file, Arc::new(schema), Arc::new(properties)).expect("memory");
    let mut group = writer.next_row_group().expect("memory");
    let mut column = group.next_column().expect("memory").expect("there is one");
    let values: Vec<ByteArray> = (0..ROW_COUNT).map(|row| format!("row-{row:04}").as_str().into()).collect();
    column.typed::<ByteArrayType>().write_batch(&values, None, None).expect("memory");
    column.close().expect("memory");
    group.close().expect("memory");
    writer.close().expect("memory");
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&Bytes::from(file.clone())).expect("sound");
    let end = metadata.row_group(0).column(0).byte_range();
    file.truncate((end.0 + end.1) as usize);
    (file, metadata)
});

pub(crate) fn check(input: &[u8]) {
    let Some((lengths, rest)) = input.split_first_chunk::<4>() else { return };
    let [a, b, c, d] = *lengths;
    let column_index_len = usize::from(u16::from_le_bytes([a, b]));
    let offset_index_len = usize::from(u16::from_le_bytes([c, d]));
    let Some((column_index, rest)) = rest.split_at_checked(column_index_len) else { return };
    let Some((offset_index, filter)) = rest.split_at_checked(offset_index_len) else { return };
    let Some(file) = file_of(column_index, offset_index, filter) else { return };
    let column = ColumnRef { field_id: 1, ty: Type::Primitive(PrimitiveType::String), initial_default: None };
    parquet_read::read_columns(&file.into(), &[column], None);
}

/// `None` where the writer refuses to describe it.
fn file_of(column_index: &[u8], offset_index: &[u8], filter: &[u8]) -> Option<Vec<u8>> {
    let (sound, metadata) = &*SOUND;
    let mut file = sound.clone();
    let mut place = |part: &[u8]| {
        let offset = i64::try_from(file.len()).ok()?;
        file.extend_from_slice(part);
        Some((offset, i32::try_from(part.len()).ok()?))
    };
    let (of_columns, of_offsets, of_filter) = (place(column_index)?, place(offset_index)?, place(filter)?);
    let given = |(offset, len): (i64, i32)| ((len > 0).then_some(offset), (len > 0).then_some(len));
    let [columns, offsets, filters] = [of_columns, of_offsets, of_filter].map(given);
    let mut metadata = metadata.clone().into_builder();
    let mut groups = metadata.take_row_groups();
    let mut group = groups.pop()?.into_builder();
    let chunk = group.take_columns().pop()?.into_builder();
    let chunk = chunk
        .set_column_index_offset(columns.0)
        .set_column_index_length(columns.1)
        .set_offset_index_offset(offsets.0)
        .set_offset_index_length(offsets.1)
        .set_bloom_filter_offset(filters.0)
        .set_bloom_filter_length(filters.1);
    let group = group.set_column_metadata(vec![chunk.build().ok()?]).build().ok()?;
    let metadata = metadata.set_row_groups(vec![group]).build();
    let mut footer = Vec::new();
    ParquetMetaDataWriter::new(&mut footer, &metadata)
        .with_preserve_page_index_locations(true)
        .finish()
        .ok()?;
    file.extend(footer);
    Some(file)
}
