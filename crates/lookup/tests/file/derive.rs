//! The columns of a file that belongs to no table: the types that its own schema suggests, and a name mapping.

use std::sync::Arc;

use firn_iceberg::{
    name_mapping::NameMapping,
    schema::{NestedField, PrimitiveType, Type},
};
use firn_lookup::file::ColumnRef;
use parquet::{
    basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical},
    schema::types::Type as ParquetType,
};

/// Every column of a schema, and the mapping that finds them by name.
pub(crate) fn derive(schema: &ParquetType) -> (Vec<ColumnRef>, Option<Arc<NameMapping>>) {
    let mut ids = Ids { next: 1, from_file: schema.get_fields().iter().any(|field| has_ids(field)) };
    let fields: Vec<(String, NestedField)> =
        schema.get_fields().iter().map(|field| ids.field(field, field.name())).collect();
    let mapping =
        format!("[{}]", fields.iter().map(|(name, field)| mapped(name, field)).collect::<Vec<_>>().join(","));
    let names = (!ids.from_file).then(|| Arc::new(NameMapping::parse(&mapping).unwrap()));
    let columns = fields.into_iter().map(|(_, field)| ColumnRef {
        field_id: field.id,
        ty: field.ty,
        initial_default: None,
    });
    (columns.collect(), names)
}

fn has_ids(ty: &ParquetType) -> bool {
    ty.get_basic_info().has_id() || (ty.is_group() && ty.get_fields().iter().any(|field| has_ids(field)))
}

fn mapped(name: &str, field: &NestedField) -> String {
    let children: Vec<String> = field.ty.children().map(|child| mapped(&child.name, child)).collect();
    let name = name.replace('\\', "\\\\").replace('"', "\\\"");
    format!(r#"{{"field-id":{},"names":["{name}"],"fields":[{}]}}"#, field.id, children.join(","))
}

struct Ids {
    next: i32,
    from_file: bool,
}

impl Ids {
    fn id(&mut self, ty: &ParquetType) -> i32 {
        let info = ty.get_basic_info();
        if self.from_file && info.has_id() {
            return info.id();
        }
        self.next += 1;
        10_000 + self.next
    }

    fn field(&mut self, ty: &ParquetType, name: &str) -> (String, NestedField) {
        let ty_of = if is_repeated(ty) { self.list(ty) } else { self.ty(ty) };
        let field = NestedField {
            id: self.id(ty),
            name: name.to_owned(),
            required: false,
            ty: ty_of,
            initial_default: None,
        };
        (ty.name().to_owned(), field)
    }

    /// A list whose element is what `ty` holds once its repetition is taken away.
    fn list(&mut self, ty: &ParquetType) -> Type {
        let element = NestedField {
            id: self.id(ty),
            name: "element".to_owned(),
            required: true,
            ty: self.ty(ty),
            initial_default: None,
        };
        Type::List(Box::new(element))
    }

    fn ty(&mut self, ty: &ParquetType) -> Type {
        if ty.is_primitive() {
            return Type::Primitive(primitive(ty));
        }
        let info = ty.get_basic_info();
        let converted = info.converted_type();
        let is_list = info.logical_type_ref() == Some(&LogicalType::List) || converted == ConvertedType::LIST;
        let is_map = info.logical_type_ref() == Some(&LogicalType::Map)
            || matches!(converted, ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE);
        match ty.get_fields() {
            [repeated] if is_list && is_repeated(repeated) => self.annotated_list(ty, repeated),
            [pairs] if is_map && is_repeated(pairs) && pairs.is_group() && pairs.get_fields().len() == 2 => {
                let [key, value] = pairs.get_fields() else { panic!() };
                let (_, key) = self.field(key, "key");
                Type::Map(Box::new(key), Box::new(self.field(value, "value").1))
            }
            [only] if is_repeated(only) && is_map => self.annotated_list(ty, only),
            fields => Type::Struct(fields.iter().map(|field| self.field(field, field.name()).1).collect()),
        }
    }

    fn annotated_list(&mut self, list: &ParquetType, repeated: &ParquetType) -> Type {
        let element = match repeated {
            ParquetType::GroupType { fields, .. } if fields.len() == 1 => {
                let is_itself = repeated.name() == "array"
                    || repeated.name() == format!("{}_tuple", list.name())
                    || is_repeated(&fields[0]);
                if is_itself { None } else { Some(&fields[0]) }
            }
            _ => None,
        };
        match element {
            None => self.list(repeated),
            Some(element) => Type::List(Box::new(self.field(element, "element").1)),
        }
    }
}

fn is_repeated(ty: &ParquetType) -> bool {
    ty.get_basic_info().has_repetition() && ty.get_basic_info().repetition() == Repetition::REPEATED
}

fn primitive(ty: &ParquetType) -> PrimitiveType {
    use PrimitiveType as P;
    let ParquetType::PrimitiveType { basic_info, physical_type, type_length, scale, precision } = ty else {
        panic!()
    };
    let decimal = P::Decimal { precision: *precision as u32, scale: *scale as u32 };
    let instant = |is_utc, unit: TimeUnit| match (is_utc, unit) {
        (true, TimeUnit::NANOS) => P::TimestamptzNs,
        (false, TimeUnit::NANOS) => P::TimestampNs,
        (true, _) => P::Timestamptz,
        (false, _) => P::Timestamp,
    };
    match (basic_info.logical_type_ref(), basic_info.converted_type(), physical_type) {
        (Some(LogicalType::Timestamp(of)), ..) => instant(of.is_adjusted_to_u_t_c, of.unit),
        (Some(LogicalType::Time(_)), ..) => P::Time,
        (Some(LogicalType::Float16), ..) => P::Float,
        (Some(LogicalType::Uuid), ..) => P::Uuid,
        (_, ConvertedType::DECIMAL, _) => decimal,
        (_, ConvertedType::DATE, _) => P::Date,
        (_, ConvertedType::TIME_MILLIS | ConvertedType::TIME_MICROS, _) => P::Time,
        (_, ConvertedType::TIMESTAMP_MILLIS | ConvertedType::TIMESTAMP_MICROS, _) => P::Timestamptz,
        (_, ConvertedType::UINT_64, _) => P::Decimal { precision: 20, scale: 0 },
        (_, ConvertedType::UINT_32, _) => P::Long,
        (_, ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON, _) => P::String,
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
