//! Files with a few of Firn's columns, in every layout, by the writer of the `parquet` crate.

use std::sync::Arc;

use bytes::Bytes;
use firn_iceberg::{
    schema::{NestedField, PrimitiveType, Type},
    value::{Literal, Value},
};
use firn_lookup::{
    file::{
        ColumnRef, FileRequest, FoundRow, KeyEquals, RowSelection, WantedColumn, When, scan::ScanRequest,
    },
    need::Role,
};
use firn_types::object::ObjectKey;
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int64Type},
    file::{
        properties::{EnabledStatistics, WriterProperties, WriterVersion},
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::{parser::parse_message_type, types::ColumnPath},
};

pub(crate) const SCHEMA: &str = "
message row {
    required binary ns (UTF8) = 1;
    required binary type (UTF8) = 2;
    required binary id (UTF8) = 3;
    required int64 version = 4;
    optional binary visibility (UTF8) = 5;
    optional boolean deleted = 9;
    optional int64 expires_at (TIMESTAMP(MICROS, true)) = 10;
    optional binary markdown (UTF8) = 23;
    optional group exports (LIST) = 35 { repeated group list { required binary element (UTF8) = 102; } }
}";

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    pub(crate) ns: String,
    pub(crate) ty: String,
    pub(crate) id: String,
    pub(crate) version: i64,
    pub(crate) visibility: Option<String>,
    pub(crate) deleted: Option<bool>,
    pub(crate) expires_at: Option<i64>,
    pub(crate) markdown: Option<String>,
    pub(crate) exports: Option<Vec<String>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) group_rows: usize,
    pub(crate) page_rows: usize,
    pub(crate) codec: Compression,
    pub(crate) version: WriterVersion,
    pub(crate) dictionary: bool,
    pub(crate) encoding: Option<Encoding>,
    pub(crate) index: bool,
    pub(crate) statistics: EnabledStatistics,
    pub(crate) bloom: bool,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            group_rows: 1_000,
            page_rows: 100,
            codec: Compression::ZSTD(ZstdLevel::default()),
            version: WriterVersion::PARQUET_1_0,
            dictionary: false,
            encoding: None,
            index: true,
            statistics: EnabledStatistics::Page,
            bloom: false,
        }
    }
}

impl Layout {
    fn properties(&self) -> WriterProperties {
        let statistics = if self.index { self.statistics } else { EnabledStatistics::Chunk };
        let mut builder = WriterProperties::builder()
            .set_compression(self.codec)
            .set_writer_version(self.version)
            .set_dictionary_enabled(self.dictionary)
            .set_dictionary_page_size_limit(4 * 1024 * 1024)
            .set_data_page_row_count_limit(self.page_rows)
            .set_write_batch_size(self.page_rows)
            .set_offset_index_disabled(!self.index)
            .set_statistics_enabled(statistics)
            .set_bloom_filter_enabled(false);
        let large = ColumnPath::from("markdown");
        builder = builder.set_column_statistics_enabled(large, EnabledStatistics::None);
        if self.bloom {
            builder = builder.set_column_bloom_filter_enabled(ColumnPath::from("id"), true);
        }
        if let Some(encoding) = self.encoding {
            for column in ["ns", "type", "id", "visibility", "markdown"] {
                builder = builder.set_column_encoding(ColumnPath::from(column), encoding);
            }
            let numbers = Encoding::DELTA_BINARY_PACKED;
            builder = builder.set_column_encoding(ColumnPath::from("version"), numbers);
        }
        builder.build()
    }
}

/// Writes rows.
pub(crate) fn write(rows: &[Row], layout: &Layout) -> Bytes {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(layout.properties())).unwrap();
    for rows in rows.chunks(layout.group_rows) {
        let mut group = writer.next_row_group().unwrap();
        required(&mut group, rows, |row| row.ns.as_str().into());
        required(&mut group, rows, |row| row.ty.as_str().into());
        required(&mut group, rows, |row| row.id.as_str().into());
        column::<Int64Type>(&mut group, rows, &|row| Some(row.version), false);
        optional(&mut group, rows, |row| row.visibility.as_deref());
        column::<BoolType>(&mut group, rows, &|row| row.deleted, true);
        column::<Int64Type>(&mut group, rows, &|row| row.expires_at, true);
        optional(&mut group, rows, |row| row.markdown.as_deref());
        list(&mut group, rows);
        group.close().unwrap();
    }
    writer.close().unwrap();
    bytes.into()
}

type GroupWriter<'a, 'b> = SerializedRowGroupWriter<'a, &'b mut Vec<u8>>;

fn required(group: &mut GroupWriter<'_, '_>, rows: &[Row], get: impl Fn(&Row) -> ByteArray) {
    column::<ByteArrayType>(group, rows, &|row| Some(get(row)), false);
}

fn optional(group: &mut GroupWriter<'_, '_>, rows: &[Row], get: impl Fn(&Row) -> Option<&str>) {
    column::<ByteArrayType>(group, rows, &|row| get(row).map(ByteArray::from), true);
}

fn column<T: DataType>(
    group: &mut GroupWriter<'_, '_>,
    rows: &[Row],
    get: &dyn Fn(&Row) -> Option<T::T>,
    is_optional: bool,
) {
    let values: Vec<T::T> = rows.iter().filter_map(get).collect();
    let levels: Vec<i16> = rows.iter().map(|row| i16::from(get(row).is_some())).collect();
    let mut column = group.next_column().unwrap().unwrap();
    let levels = is_optional.then_some(levels.as_slice());
    column.typed::<T>().write_batch(&values, levels, None).unwrap();
    column.close().unwrap();
}

fn list(group: &mut GroupWriter<'_, '_>, rows: &[Row]) {
    let (mut values, mut def, mut rep) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        match row.exports.as_deref() {
            None => def.push(0),
            Some([]) => def.push(1),
            Some(items) => {
                values.extend(items.iter().map(|item| ByteArray::from(item.as_str())));
                def.extend(items.iter().map(|_| 2));
                rep.push(0);
                rep.extend(items.iter().skip(1).map(|_| 1));
                continue;
            }
        }
        rep.push(0);
    }
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&values, Some(&def), Some(&rep)).unwrap();
    column.close().unwrap();
}

pub(crate) fn primitive(field_id: i32, ty: PrimitiveType) -> ColumnRef {
    ColumnRef { field_id, ty: Type::Primitive(ty), initial_default: None }
}

pub(crate) fn text(text: &str) -> Value {
    Literal::String(text.to_owned()).into()
}

fn exports_type() -> Type {
    let ty = Type::Primitive(PrimitiveType::String);
    Type::List(Box::new(NestedField {
        id: 102,
        name: "element".into(),
        required: true,
        ty,
        initial_default: None,
    }))
}

/// All columns, the content among the targets.
pub(crate) fn columns() -> Vec<WantedColumn> {
    use PrimitiveType as P;
    let small =
        [(1, P::String), (2, P::String), (3, P::String), (4, P::Long), (5, P::String), (9, P::Boolean)];
    let small = small.into_iter().chain([(10, P::Timestamptz)]);
    let mut columns: Vec<WantedColumn> =
        small.map(|(id, ty)| WantedColumn { column: primitive(id, ty), when: When::WithKey }).collect();
    columns.push(WantedColumn { column: primitive(23, P::String), when: When::Target });
    let exports = ColumnRef { field_id: 35, ty: exports_type(), initial_default: None };
    columns.push(WantedColumn { column: exports, when: When::Target });
    columns
}

pub(crate) fn key(ns: &str, ty: &str, id: &str) -> Vec<KeyEquals> {
    let equals = |field_id, value: &str| KeyEquals {
        column: primitive(field_id, PrimitiveType::String),
        value: text(value),
    };
    vec![equals(1, ns), equals(2, ty), equals(3, id)]
}

pub(crate) fn request(object: &Bytes, key: Vec<KeyEquals>, rows: RowSelection) -> FileRequest {
    FileRequest {
        object: ObjectKey::new("data/a.parquet"),
        stated_len_bytes: object.len() as u64,
        key,
        columns: columns(),
        rows,
        names: None,
    }
}

pub(crate) fn scan_request(object: &Bytes) -> ScanRequest {
    ScanRequest {
        object: ObjectKey::new("data/a.parquet"),
        stated_len_bytes: object.len() as u64,
        columns: columns().into_iter().map(|wanted| wanted.column).collect(),
        names: None,
        role: Role::Deletes,
    }
}

/// What a reader must find at a position.
pub(crate) fn found(position: usize, row: &Row) -> FoundRow {
    let list = |items: &Vec<String>| Value::List(items.iter().map(|item| Some(text(item))).collect());
    FoundRow {
        position: position as u64,
        values: vec![
            Some(text(&row.ns)),
            Some(text(&row.ty)),
            Some(text(&row.id)),
            Some(Literal::Long(row.version).into()),
            row.visibility.as_deref().map(text),
            row.deleted.map(|deleted| Literal::Boolean(deleted).into()),
            row.expires_at.map(|at| Literal::Timestamptz(at).into()),
            row.markdown.as_deref().map(text),
            row.exports.as_ref().map(list),
        ],
    }
}

/// Rows of one namespace, sorted by id, with content that does not compress to nothing.
pub(crate) fn sorted_rows(count: usize) -> Vec<Row> {
    (0..count)
        .map(|i| Row {
            ns: "acme.example".into(),
            ty: if i < count / 2 { "Doc" } else { "Post" }.into(),
            id: format!("guide/{i:06}"),
            version: 1_000_000 + i as i64,
            visibility: Some("public".into()),
            deleted: (i % 7 == 0).then_some(false),
            expires_at: (i % 5 == 0).then_some(i as i64),
            markdown: (i % 11 != 0).then(|| noise(i, 300)),
            exports: match i % 4 {
                0 => None,
                1 => Some(Vec::new()),
                n => Some((0..n).map(|k| format!("export{i}_{k}")).collect()),
            },
        })
        .collect()
}

/// Text that a codec cannot shrink much.
pub(crate) fn noise(seed: usize, len: usize) -> String {
    let mut state = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + (state % 90) as u8)
    };
    (0..len).map(step).collect()
}
