//! Schemas and types.
//!
//! Spec: "Schemas and Data Types"; JSON form: "Appendix C: JSON serialization".

use serde_json::{Map, Value as Json};

use crate::{
    error::{Error, Part},
    value::{Value, json::parse_value},
};

/// Most fields of a schema, nested ones counted: 100 times the widest tables in use (about 1,000 columns).
pub const FIELD_COUNT_MAX: usize = 100_000;

/// Deepest nesting of types. `serde_json` stops at 128 levels of JSON, and a type takes at least two of them.
pub const TYPE_DEPTH_MAX: usize = 64;

/// Most digits of a decimal (spec, "Primitive Types").
pub const DECIMAL_PRECISION_MAX: u32 = 38;

/// A primitive type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrimitiveType {
    /// `boolean`
    Boolean,
    /// `int`, 32 bits.
    Int,
    /// `long`, 64 bits.
    Long,
    /// `float`, 32 bits.
    Float,
    /// `double`, 64 bits.
    Double,
    /// `decimal(P, S)`
    Decimal {
        /// Digits, at most 38.
        precision: u32,
        /// Digits behind the point.
        scale: u32,
    },
    /// `date`
    Date,
    /// `time`
    Time,
    /// `timestamp`
    Timestamp,
    /// `timestamptz`
    Timestamptz,
    /// `timestamp_ns`
    TimestampNs,
    /// `timestamptz_ns`
    TimestamptzNs,
    /// `string`
    String,
    /// `uuid`
    Uuid,
    /// `fixed(L)`
    Fixed(u32),
    /// `binary`
    Binary,
    /// `unknown`: every value is null and no file holds the column.
    Unknown,
    /// `geometry(C)`, stored as well-known binary; the reference system is not kept.
    Geometry,
    /// `geography(C, A)`, stored as well-known binary; reference system and algorithm are not kept.
    Geography,
}

/// A type.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// Primitive.
    Primitive(PrimitiveType),
    /// Struct.
    Struct(Vec<NestedField>),
    /// List; the field is the element.
    List(Box<NestedField>),
    /// Map; the fields are key and value.
    Map(Box<NestedField>, Box<NestedField>),
    /// `variant`: known, so that a table that has one can be read without it.
    Variant,
}

impl Type {
    /// The primitive type, if it is one.
    pub const fn as_primitive(&self) -> Option<PrimitiveType> {
        match self {
            Self::Primitive(p) => Some(*p),
            _ => None,
        }
    }

    /// Its direct fields: of a struct, the element of a list, key and value of a map.
    pub fn children(&self) -> impl Iterator<Item = &NestedField> {
        let (fields, one, two): (&[NestedField], Option<&NestedField>, Option<&NestedField>) = match self {
            Self::Struct(fields) => (fields, None, None),
            Self::List(element) => (&[], Some(element), None),
            Self::Map(key, value) => (&[], Some(key), Some(value)),
            Self::Primitive(_) | Self::Variant => (&[], None, None),
        };
        fields.iter().chain(one).chain(two)
    }
}

/// A field of a struct, the element of a list (named `element`), or key or value of a map (named so).
#[derive(Clone, Debug, PartialEq)]
pub struct NestedField {
    /// The id, which never changes.
    pub id: i32,
    /// The name of today.
    pub name: String,
    /// Whether null is excluded.
    pub required: bool,
    /// The type.
    pub ty: Type,
    /// What rows of files written before the field was added hold (v3); null where it is absent.
    pub initial_default: Option<Value>,
}

/// A schema: the struct of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// Its id; 0 in v1 metadata that does not name one.
    pub schema_id: i32,
    /// Columns in the order of the table.
    pub fields: Vec<NestedField>,
    /// Columns that identify a row, by the table's word; nothing enforces it.
    pub identifier_field_ids: Vec<i32>,
}

impl Schema {
    /// The field with this id, at any depth.
    pub fn field(&self, id: i32) -> Option<&NestedField> {
        find(self.fields.iter(), id)
    }

    /// The top-level column with this name.
    pub fn column_named(&self, name: &str) -> Option<&NestedField> {
        self.fields.iter().find(|f| f.name == name)
    }

    /// Reads the JSON form.
    pub fn parse(json: &Json) -> Result<Self, Error> {
        let object = object(json, "schema")?;
        let mut count = 0;
        let fields = parse_fields(object, &mut count, 0)?;
        let schema_id = match object.get("schema-id") {
            None => 0,
            Some(id) => int(id, "schema-id")?,
        };
        let identifier_field_ids = match object.get("identifier-field-ids") {
            None | Some(Json::Null) => Vec::new(),
            Some(Json::Array(ids)) => {
                ids.iter().map(|id| int(id, "identifier-field-ids")).collect::<Result<_, _>>()?
            }
            Some(other) => return Err(invalid("identifier-field-ids", other, "a list of ints")),
        };
        Ok(Self { schema_id, fields, identifier_field_ids })
    }
}

fn find<'a>(mut fields: impl Iterator<Item = &'a NestedField>, id: i32) -> Option<&'a NestedField> {
    fields.find_map(|f| {
        if f.id == id { Some(f) } else { find(Box::new(f.ty.children()) as Box<dyn Iterator<Item = _>>, id) }
    })
}

fn invalid(field: &'static str, found: &Json, expected: &'static str) -> Error {
    Error::invalid(Part::Schema, field, found, expected)
}

fn object<'a>(json: &'a Json, field: &'static str) -> Result<&'a Map<String, Json>, Error> {
    json.as_object().ok_or_else(|| invalid(field, json, "an object"))
}

fn get<'a>(object: &'a Map<String, Json>, field: &'static str) -> Result<&'a Json, Error> {
    object.get(field).ok_or(Error::Missing { part: Part::Schema, field })
}

fn int(json: &Json, field: &'static str) -> Result<i32, Error> {
    json.as_i64().and_then(|v| i32::try_from(v).ok()).ok_or_else(|| invalid(field, json, "an int"))
}

fn boolean(json: &Json, field: &'static str) -> Result<bool, Error> {
    json.as_bool().ok_or_else(|| invalid(field, json, "a boolean"))
}

fn parse_fields(
    object: &Map<String, Json>,
    count: &mut usize,
    depth: usize,
) -> Result<Vec<NestedField>, Error> {
    let json = get(object, "fields")?;
    let Json::Array(fields) = json else {
        return Err(invalid("fields", json, "a list of fields"));
    };
    fields.iter().map(|field| parse_field(field, count, depth)).collect()
}

fn parse_field(json: &Json, count: &mut usize, depth: usize) -> Result<NestedField, Error> {
    let field = object(json, "field")?;
    let name = get(field, "name")?;
    let ty = parse_type(get(field, "type")?, count, depth + 1)?;
    let initial_default = match field.get("initial-default") {
        None | Some(Json::Null) => None,
        Some(json) => Some(
            parse_value(json, &ty)
                .ok_or_else(|| invalid("initial-default", json, "a value of the field's type"))?,
        ),
    };
    counted(
        count,
        NestedField {
            id: int(get(field, "id")?, "id")?,
            name: name.as_str().ok_or_else(|| invalid("name", name, "a string"))?.to_owned(),
            required: boolean(get(field, "required")?, "required")?,
            ty,
            initial_default,
        },
    )
}

fn counted(count: &mut usize, field: NestedField) -> Result<NestedField, Error> {
    *count += 1;
    Error::check_limit(Part::Schema, "field count", *count, FIELD_COUNT_MAX)?;
    Ok(field)
}

fn parse_type(json: &Json, count: &mut usize, depth: usize) -> Result<Type, Error> {
    Error::check_limit(Part::Schema, "type depth", depth, TYPE_DEPTH_MAX)?;
    if let Some(name) = json.as_str() {
        return match name {
            "variant" => Ok(Type::Variant),
            _ => parse_primitive(name).map(Type::Primitive),
        };
    }
    let object = object(json, "type")?;
    let kind = get(object, "type")?;
    // An element, key or value has no name of its own.
    let mut inner = |name: &'static str, id: &'static str, required: bool| {
        let ty = parse_type(get(object, name)?, count, depth + 1)?;
        let id = int(get(object, id)?, id)?;
        counted(count, NestedField { id, name: name.to_owned(), required, ty, initial_default: None })
    };
    match kind.as_str() {
        Some("struct") => parse_fields(object, count, depth).map(Type::Struct),
        Some("list") => {
            let required = boolean(get(object, "element-required")?, "element-required")?;
            Ok(Type::List(Box::new(inner("element", "element-id", required)?)))
        }
        Some("map") => {
            let required = boolean(get(object, "value-required")?, "value-required")?;
            let key = inner("key", "key-id", true)?;
            Ok(Type::Map(Box::new(key), Box::new(inner("value", "value-id", required)?)))
        }
        Some(other) => Err(Error::unsupported(Part::Schema, "type", other)),
        None => Err(invalid("type", kind, "a string")),
    }
}

/// Reads the name of a primitive type. A name that no version of the spec has is *unsupported*: a later one may.
pub fn parse_primitive(name: &str) -> Result<PrimitiveType, Error> {
    Ok(match name {
        "boolean" => PrimitiveType::Boolean,
        "int" => PrimitiveType::Int,
        "long" => PrimitiveType::Long,
        "float" => PrimitiveType::Float,
        "double" => PrimitiveType::Double,
        "date" => PrimitiveType::Date,
        "time" => PrimitiveType::Time,
        "timestamp" => PrimitiveType::Timestamp,
        "timestamptz" => PrimitiveType::Timestamptz,
        "timestamp_ns" => PrimitiveType::TimestampNs,
        "timestamptz_ns" => PrimitiveType::TimestamptzNs,
        "string" => PrimitiveType::String,
        "uuid" => PrimitiveType::Uuid,
        "binary" => PrimitiveType::Binary,
        "unknown" => PrimitiveType::Unknown,
        _ => return parse_parameterised(name),
    })
}

fn parse_parameterised(name: &str) -> Result<PrimitiveType, Error> {
    let invalid = |expected| Error::invalid(Part::Schema, "type", name, expected);
    let arguments = |word: &str, open: char, close: char| {
        let rest = name.strip_prefix(word)?.trim_start();
        Some(rest.strip_prefix(open)?.strip_suffix(close)?.trim())
    };
    if let Some(len) = arguments("fixed", '[', ']') {
        return len.parse().map(PrimitiveType::Fixed).map_err(|_| invalid("fixed[<length>]"));
    }
    if let Some(pair) = arguments("decimal", '(', ')') {
        let expected = "decimal(<precision up to 38>, <scale up to the precision>)";
        let (precision, scale) = pair.split_once(',').ok_or_else(|| invalid(expected))?;
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| invalid(expected));
        let (precision, scale) = (number(precision)?, number(scale)?);
        if precision == 0 || precision > DECIMAL_PRECISION_MAX || scale > precision {
            return Err(invalid(expected));
        }
        return Ok(PrimitiveType::Decimal { precision, scale });
    }
    for (word, ty) in [("geometry", PrimitiveType::Geometry), ("geography", PrimitiveType::Geography)] {
        if name == word || arguments(word, '(', ')').is_some() {
            return Ok(ty);
        }
    }
    Err(Error::unsupported(Part::Schema, "type", name))
}
