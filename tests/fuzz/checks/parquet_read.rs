//! Reading a file of any content in every way, for the targets about Parquet: a scan, lookups by a key of each column,
//! and reads of one row. No step asks for bytes that the file has not, and none goes on without end.

use std::sync::Arc;

use bytes::Bytes;
use firn_iceberg::{
    name_mapping::NameMapping,
    schema::{NestedField, PrimitiveType, Type},
    value::{Literal, Value},
};
use firn_lookup::{
    file::{
        ColumnRef, FileRequest, FoundRow, KeyEquals, RowSelection, WantedColumn, When,
        footer::FileFooter,
        lookup::FileLookup,
        scan::{FileScan, ScanRequest},
    },
    need::{Need, Role, Step, Supplied},
};
use firn_types::object::{ByteRange, ObjectKey};
use parquet::{
    basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical},
    schema::types::Type as ParquetType,
};

/// More waves than a file of the fuzzer's size takes: one for each of its row groups and pages, and a few.
const WAVES_MAX: usize = 100_000;

/// Rows of a scan that are looked at: a few bytes can stand for a great many.
const ROWS_MAX: usize = 10_000;

/// Columns that a key is made of, one after the other.
const KEYS_MAX: usize = 4;

/// Reads a file by the columns that its own schema suggests.
pub(crate) fn read(object: &Bytes) {
    let Some(footer) = footer(object) else { return };
    let Some((columns, names)) = derive(footer.metadata().file_metadata().schema()) else { return };
    read_columns(object, &columns, names.as_ref());
}

/// Reads these columns of a file.
pub(crate) fn read_columns(object: &Bytes, columns: &[ColumnRef], names: Option<&Arc<NameMapping>>) {
    let first = scan(object, columns, names);
    for (idx, column) in columns.iter().enumerate().take(KEYS_MAX) {
        let Some(ty) = column.ty.as_primitive() else { continue };
        let of_row = first.iter().find_map(|row| row.values.get(idx)?.as_ref()?.as_literal().cloned());
        let Some(value) = of_row.or_else(|| sample(ty)) else { continue };
        let key = KeyEquals { column: column.clone(), value: Value::Primitive(value) };
        look_up(object, vec![key], columns, RowSelection::AllMatching, names);
    }
    for position in [0, 1, first.len() as u64 / 2, u64::MAX] {
        look_up(object, Vec::new(), columns, RowSelection::At(position), names);
    }
}

/// The first rows of a scan; none where it fails.
fn scan(object: &Bytes, columns: &[ColumnRef], names: Option<&Arc<NameMapping>>) -> Vec<FoundRow> {
    let mut scan = FileScan::new(scan_request(object, columns, names), None);
    let (mut supplied, mut rows) = (Vec::new(), Vec::new());
    for _ in 0..WAVES_MAX {
        match scan.step(std::mem::take(&mut supplied)) {
            Ok(Step::Need(needs)) => supplied = perform(object, &needs),
            Ok(Step::Done(Some(found))) => rows.extend(found),
            Ok(Step::Done(None)) | Err(_) => return rows,
        }
        assert!(rows.iter().all(|row| row.values.len() == columns.len()));
        if rows.len() > ROWS_MAX {
            return rows;
        }
    }
    panic!("the scan goes on");
}

fn look_up(
    object: &Bytes,
    key: Vec<KeyEquals>,
    columns: &[ColumnRef],
    rows: RowSelection,
    names: Option<&Arc<NameMapping>>,
) {
    let wanted = columns.iter().cloned().zip([When::WithKey, When::Target].into_iter().cycle());
    let request = FileRequest {
        object: ObjectKey::new("fuzz"),
        stated_len_bytes: object.len() as u64,
        key,
        columns: wanted.map(|(column, when)| WantedColumn { column, when }).collect(),
        rows,
        names: names.cloned(),
    };
    let mut lookup = FileLookup::new(request, None);
    let mut supplied = Vec::new();
    for _ in 0..WAVES_MAX {
        match lookup.step(std::mem::take(&mut supplied)) {
            Ok(Step::Need(needs)) => supplied = perform(object, &needs),
            Ok(Step::Done(found)) => {
                let is_one = matches!(rows, RowSelection::At(_));
                assert!(!is_one || found.len() <= 1);
                return;
            }
            Err(_) => return,
        }
    }
    panic!("the lookup goes on");
}

/// The footer, if it can be read.
pub(crate) fn footer(object: &Bytes) -> Option<Arc<FileFooter>> {
    let mut scan = FileScan::new(scan_request(object, &[], None), None);
    let mut supplied = Vec::new();
    for _ in 0..WAVES_MAX {
        match scan.step(std::mem::take(&mut supplied)) {
            Ok(Step::Need(needs)) => supplied = perform(object, &needs),
            Ok(Step::Done(_)) | Err(_) => return scan.footer(),
        }
    }
    panic!("the footer goes on");
}

fn scan_request(object: &Bytes, columns: &[ColumnRef], names: Option<&Arc<NameMapping>>) -> ScanRequest {
    ScanRequest {
        object: ObjectKey::new("fuzz"),
        stated_len_bytes: object.len() as u64,
        columns: columns.to_vec(),
        names: names.cloned(),
        role: Role::Deletes,
    }
}

fn perform(object: &Bytes, needs: &[Need]) -> Vec<Supplied> {
    assert!(!needs.is_empty(), "a step without needs");
    let len = object.len() as u64;
    let supply = |need: &Need| {
        let range = match &need.range {
            ByteRange::Range(range) => range.clone(),
            ByteRange::Tail { len_bytes } => len.saturating_sub(*len_bytes)..len,
        };
        let is_tail = matches!(need.range, ByteRange::Tail { .. });
        assert!(range.end <= len && (is_tail || range.start < range.end), "{need:?} of {len}");
        Supplied {
            bytes: object.slice(range.start as usize..range.end as usize),
            offset: range.start,
            object_len_bytes: len,
        }
    };
    needs.iter().map(supply).collect()
}

/// A value of a type, for a key that no row suggests.
fn sample(ty: PrimitiveType) -> Option<Literal> {
    use PrimitiveType as P;
    Some(match ty {
        P::Boolean => Literal::Boolean(true),
        P::Int => Literal::Int(7),
        P::Long => Literal::Long(7),
        P::Float => Literal::Float(7.0),
        P::Double => Literal::Double(7.0),
        P::Decimal { scale, .. } => Literal::Decimal { unscaled: 7, scale },
        P::Date => Literal::Date(7),
        P::Timestamptz => Literal::Timestamptz(7),
        P::String => Literal::String("a".into()),
        P::Binary => Literal::Binary(b"a".to_vec()),
        _ => return None,
    })
}

/// The columns that a schema suggests, top level only in names, and the mapping that finds them where it has no ids.
/// `None` where a mapping cannot be made.
fn derive(schema: &ParquetType) -> Option<(Vec<ColumnRef>, Option<Arc<NameMapping>>)> {
    let has_ids = schema.get_fields().iter().all(|field| field.get_basic_info().has_id());
    let (mut columns, mut mapped) = (Vec::new(), Vec::new());
    for (place, field) in (1..).zip(schema.get_fields()) {
        let (ty, names) = type_of(field, place, 0)?;
        let id = if has_ids { field.get_basic_info().id() } else { place };
        let name = serde_json::Value::from(field.name());
        mapped.push(format!(r#"{{"field-id":{id},"names":[{name}],"fields":[{names}]}}"#));
        columns.push(ColumnRef { field_id: id, ty, initial_default: None });
    }
    let names = if has_ids {
        None
    } else {
        Some(Arc::new(NameMapping::parse(&format!("[{}]", mapped.join(","))).ok()?))
    };
    Some((columns, names))
}

/// A type, and the mapping of its fields. A repeated field is a list; lists and maps are taken as they are annotated.
fn type_of(field: &ParquetType, id: i32, depth: usize) -> Option<(Type, String)> {
    if depth > 8 {
        return None;
    }
    let child = |name: &str, ty: Type, names: &str| {
        let id = id * 31 + 1_000 + i32::from(name.as_bytes().first().copied().unwrap_or_default());
        let nested = NestedField { id, name: name.to_owned(), required: false, ty, initial_default: None };
        let name = serde_json::Value::from(name);
        (nested, format!(r#"{{"field-id":{id},"names":[{name}],"fields":[{names}]}}"#))
    };
    let id = id.wrapping_mul(31) & 0xffff;
    if field.is_primitive() {
        return Some((Type::Primitive(primitive(field)), String::new()));
    }
    let annotation = field.get_basic_info().converted_type();
    let is_repeated = |of: &ParquetType| {
        of.get_basic_info().has_repetition() && of.get_basic_info().repetition() == Repetition::REPEATED
    };
    match field.get_fields() {
        [items] if annotation == ConvertedType::LIST && is_repeated(items) && items.is_group() => {
            let [element] = items.get_fields() else { return None };
            let (ty, names) = type_of(element, id, depth + 1)?;
            let (element, mapped) = child("element", ty, &names);
            Some((Type::List(Box::new(element)), mapped))
        }
        [pairs] if annotation == ConvertedType::MAP && is_repeated(pairs) && pairs.is_group() => {
            let [key, value] = pairs.get_fields() else { return None };
            let (key, of_key) = type_of(key, id, depth + 1)?;
            let (value, of_value) = type_of(value, id, depth + 1)?;
            let (key, key_mapped) = child("key", key, &of_key);
            let (value, value_mapped) = child("value", value, &of_value);
            Some((Type::Map(Box::new(key), Box::new(value)), format!("{key_mapped},{value_mapped}")))
        }
        fields => {
            let mut nested = Vec::new();
            let mut mapped = Vec::new();
            for field in fields {
                let (ty, names) = type_of(field, id, depth + 1)?;
                let (field, text) = child(field.name(), ty, &names);
                nested.push(field);
                mapped.push(text);
            }
            Some((Type::Struct(nested), mapped.join(",")))
        }
    }
}

fn primitive(ty: &ParquetType) -> PrimitiveType {
    use PrimitiveType as P;
    let ParquetType::PrimitiveType { basic_info, physical_type, type_length, scale, precision } = ty else {
        return P::Binary;
    };
    let decimal = P::Decimal { precision: *precision as u32, scale: *scale as u32 };
    match (basic_info.logical_type_ref(), basic_info.converted_type(), physical_type) {
        (Some(LogicalType::Timestamp(of)), ..) => match (of.is_adjusted_to_u_t_c, of.unit) {
            (true, TimeUnit::NANOS) => P::TimestamptzNs,
            (false, TimeUnit::NANOS) => P::TimestampNs,
            (true, _) => P::Timestamptz,
            (false, _) => P::Timestamp,
        },
        (Some(LogicalType::Time(_)), ..) => P::Time,
        (Some(LogicalType::Float16), ..) => P::Float,
        (Some(LogicalType::Uuid), ..) => P::Uuid,
        (_, ConvertedType::DECIMAL, _) => decimal,
        (_, ConvertedType::DATE, _) => P::Date,
        (_, ConvertedType::TIME_MILLIS | ConvertedType::TIME_MICROS, _) => P::Time,
        (_, ConvertedType::TIMESTAMP_MILLIS | ConvertedType::TIMESTAMP_MICROS, _) => P::Timestamptz,
        (_, ConvertedType::UTF8, _) => P::String,
        (_, _, Physical::BOOLEAN) => P::Boolean,
        (_, _, Physical::INT32) => P::Int,
        (_, _, Physical::INT64) => P::Long,
        (_, _, Physical::INT96) => P::Timestamp,
        (_, _, Physical::FLOAT) => P::Float,
        (_, _, Physical::DOUBLE) => P::Double,
        (_, _, Physical::BYTE_ARRAY) => P::Binary,
        (_, _, Physical::FIXED_LEN_BYTE_ARRAY) => P::Fixed(*type_length as u32),
    }
}
