//! Data files and delete files of optional primitive columns.

use std::{fmt::Write as _, sync::Arc};

use bytes::Bytes;
use firn_iceberg::{schema::PrimitiveType, value::Literal};
use parquet::{
    basic::{Compression, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type},
    file::{
        properties::{EnabledStatistics, WriterProperties},
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::{parser::parse_message_type, types::ColumnPath},
};

/// A column of a file.
#[derive(Clone, Debug)]
pub(crate) struct FileColumn {
    pub(crate) field_id: i32,
    pub(crate) name: String,
    pub(crate) ty: PrimitiveType,
    pub(crate) values: Vec<Option<Literal>>,
}

/// How a file is laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) page_row_count: usize,
    pub(crate) group_row_count: usize,
    pub(crate) index: Index,
    pub(crate) ids: Ids,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Index {
    Page,
    None,
}

/// Whether columns have field ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ids {
    Written,
    LeftOut,
}

/// Writes a file.
pub(crate) fn write(columns: &[FileColumn], layout: Layout) -> Bytes {
    let mut schema = "message table {\n".to_owned();
    for column in columns {
        let (physical, logical) = match column.ty {
            PrimitiveType::Int => ("int32", ""),
            PrimitiveType::Long => ("int64", ""),
            PrimitiveType::String => ("binary", " (UTF8)"),
            other => panic!("{other:?}"),
        };
        let id = if layout.ids == Ids::Written { format!(" = {}", column.field_id) } else { String::new() };
        writeln!(schema, "optional {physical} {}{logical}{id};", column.name).unwrap();
    }
    schema.push('}');
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let statistics =
        if layout.index == Index::Page { EnabledStatistics::Page } else { EnabledStatistics::Chunk };
    let large =
        columns.iter().filter(|c| c.name.starts_with("content")).map(|c| ColumnPath::from(c.name.as_str()));
    let plain = large.fold(WriterProperties::builder(), |builder, path| {
        builder.set_column_dictionary_enabled(path, false)
    });
    let properties = plain
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_data_page_row_count_limit(layout.page_row_count)
        .set_write_batch_size(layout.page_row_count)
        .set_offset_index_disabled(layout.index == Index::None)
        .set_statistics_enabled(statistics)
        .build();
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
    let row_count = columns.first().map_or(0, |column| column.values.len());
    for start in (0..row_count).step_by(layout.group_row_count) {
        let end = row_count.min(start + layout.group_row_count);
        let mut group = writer.next_row_group().unwrap();
        for column in columns {
            write_column(&mut group, column.ty, &column.values[start..end]);
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
    bytes.into()
}

fn write_column(
    group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
    ty: PrimitiveType,
    values: &[Option<Literal>],
) {
    let levels: Vec<i16> = values.iter().map(|v| i16::from(v.is_some())).collect();
    let present = values.iter().flatten();
    match ty {
        PrimitiveType::Int => {
            let values: Vec<i32> =
                present.map(|l| if let Literal::Int(v) = l { *v } else { panic!("{l:?}") }).collect();
            write_values::<Int32Type>(group, &values, &levels);
        }
        PrimitiveType::Long => {
            let values: Vec<i64> =
                present.map(|l| if let Literal::Long(v) = l { *v } else { panic!("{l:?}") }).collect();
            write_values::<Int64Type>(group, &values, &levels);
        }
        _ => {
            let text = |l: &Literal| {
                if let Literal::String(s) = l { ByteArray::from(s.as_str()) } else { panic!("{l:?}") }
            };
            let values: Vec<ByteArray> = present.map(text).collect();
            write_values::<ByteArrayType>(group, &values, &levels);
        }
    }
}

fn write_values<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
    values: &[T::T],
    levels: &[i16],
) {
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(values, Some(levels), None).unwrap();
    column.close().unwrap();
}
