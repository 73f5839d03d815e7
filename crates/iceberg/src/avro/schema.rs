//! Avro schemas with Iceberg's field ids.
//!
//! Spec: Avro, "Schema Declaration"; Iceberg, "Appendix A: Format-specific Requirements", "Avro".

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value as Json};

use crate::error::{Error, Part};

/// Most types in a schema, nested ones counted. A manifest's has about 60, and two for each partition field.
const TYPE_COUNT_MAX: usize = 10_000;

/// Deepest nesting of types, and of the values that are walked along them. A manifest's is 5.
pub(crate) const DEPTH_MAX: usize = 32;

/// Where a type stands in [`AvroSchema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TypeIdx(usize);

/// What an `int`, `long`, `bytes` or `fixed` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logical {
    /// Itself.
    None,
    /// Days from 1970.
    Date,
    /// Microseconds from midnight.
    TimeMicros,
    /// Microseconds from 1970, with or without a zone.
    TimestampMicros,
    /// Nanoseconds from 1970, with or without a zone.
    TimestampNanos,
    /// Unscaled decimal.
    Decimal {
        /// Digits behind the point.
        scale: u32,
    },
    /// UUID.
    Uuid,
}

/// A type; inner types by their index.
#[derive(Clone, Debug)]
pub(crate) enum AvroType {
    /// `null`
    Null,
    /// `boolean`
    Boolean,
    /// `int` or `long`, which look alike in bytes; also `enum`, by its ordinal.
    Integer(Logical),
    /// `float`
    Float,
    /// `double`
    Double,
    /// `bytes`
    Bytes(Logical),
    /// `string`
    String,
    /// `fixed`
    Fixed(usize, Logical),
    /// `array`, by its items.
    Array(TypeIdx),
    /// `map`, by its values.
    Map(TypeIdx),
    /// `union`
    Union(Vec<TypeIdx>),
    /// `record`
    Record(Vec<AvroField>),
}

/// A field of a record.
#[derive(Clone, Debug)]
pub(crate) struct AvroField {
    /// Its name.
    pub(crate) name: String,
    /// Its Iceberg field id, where the writer gave one.
    pub(crate) field_id: Option<i32>,
    /// Its type.
    pub(crate) ty: TypeIdx,
}

/// A writer's schema.
#[derive(Debug)]
pub(crate) struct AvroSchema {
    types: Vec<AvroType>,
    root: TypeIdx,
}

impl AvroSchema {
    /// Reads the JSON text.
    pub(crate) fn parse(text: &[u8], part: Part) -> Result<Self, Error> {
        let json = serde_json::from_slice(text).map_err(|source| Error::Json { part, source })?;
        let mut parser = Parser { part, types: Vec::new(), named: HashMap::new() };
        let root = parser.parse(&json, 0)?;
        Ok(Self { types: parser.types, root })
    }

    /// The type of every datum.
    pub(crate) const fn root(&self) -> TypeIdx {
        self.root
    }

    /// The type at an index of this schema.
    pub(crate) fn get(&self, idx: TypeIdx) -> &AvroType {
        self.types.get(idx.0).unwrap_or(&AvroType::Null)
    }

    /// The type, or the other branch where it is a union with null.
    pub(crate) fn non_null(&self, idx: TypeIdx) -> TypeIdx {
        let AvroType::Union(branches) = self.get(idx) else {
            return idx;
        };
        let mut others = branches.iter().filter(|b| !matches!(self.get(**b), AvroType::Null));
        match (others.next(), others.next()) {
            (Some(only), None) => *only,
            _ => idx,
        }
    }

    /// The fields of the record at `idx`, seen through a union with null; `None` if it is not a record.
    pub(crate) fn record(&self, idx: TypeIdx) -> Option<&[AvroField]> {
        match self.get(self.non_null(idx)) {
            AvroType::Record(fields) => Some(fields),
            _ => None,
        }
    }

    /// The items of the array at `idx`, seen through a union with null; `None` if it is not an array.
    pub(crate) fn items(&self, idx: TypeIdx) -> Option<TypeIdx> {
        match self.get(self.non_null(idx)) {
            AvroType::Array(items) => Some(*items),
            _ => None,
        }
    }
}

/// What the fields of a record mean, by their ids, or by their names where the writer gave no ids. `known` holds id, name
/// and meaning of each; a field that is none of them is `other`. Every writer uses the spec's names, so a known name
/// under another id is a broken id.
pub(crate) fn slots_of<S: Copy + PartialEq>(
    fields: &[AvroField],
    known: &[(i32, &str, S)],
    other: S,
    part: Part,
) -> Result<Vec<(S, TypeIdx)>, Error> {
    check_unique_ids(fields, part)?;
    let slot_of = |field: &AvroField| {
        let by_name = known.iter().find(|(_, name, _)| *name == field.name).map(|(_, _, slot)| *slot);
        let Some(id) = field.field_id else { return Ok((by_name.unwrap_or(other), field.ty)) };
        let by_id = known.iter().find(|(of, _, _)| *of == id).map(|(_, _, slot)| *slot);
        if by_name.is_some() && by_name != by_id {
            return Err(Error::invalid(
                part,
                "field-id",
                &format!("{id} of {}", field.name),
                "the spec's id",
            ));
        }
        Ok((by_id.unwrap_or(other), field.ty))
    };
    fields.iter().map(slot_of).collect()
}

/// Two fields with one id would overwrite each other.
pub(crate) fn check_unique_ids(fields: &[AvroField], part: Part) -> Result<(), Error> {
    let mut seen = HashSet::new();
    match fields.iter().filter_map(|f| f.field_id).find(|id| !seen.insert(*id)) {
        Some(id) => Err(Error::invalid(part, "field-id", &id, "each id once in a record")),
        None => Ok(()),
    }
}

struct Parser {
    part: Part,
    types: Vec<AvroType>,
    named: HashMap<String, TypeIdx>,
}

impl Parser {
    fn invalid(&self, field: &'static str, found: &Json, expected: &'static str) -> Error {
        Error::invalid(self.part, field, found, expected)
    }

    fn push(&mut self, ty: AvroType) -> Result<TypeIdx, Error> {
        Error::check_limit(self.part, "Avro type count", self.types.len() + 1, TYPE_COUNT_MAX)?;
        self.types.push(ty);
        Ok(TypeIdx(self.types.len() - 1))
    }

    fn parse(&mut self, json: &Json, depth: usize) -> Result<TypeIdx, Error> {
        Error::check_limit(self.part, "Avro type depth", depth, DEPTH_MAX)?;
        match json {
            Json::String(name) => self.parse_name(name, Logical::None),
            Json::Array(branches) => {
                let branches = branches.iter().map(|b| self.parse(b, depth + 1)).collect::<Result<_, _>>()?;
                self.push(AvroType::Union(branches))
            }
            Json::Object(object) => self.parse_object(object, depth),
            other => Err(self.invalid("Avro type", other, "a name, a union or an object")),
        }
    }

    fn parse_name(&mut self, name: &str, logical: Logical) -> Result<TypeIdx, Error> {
        let ty = match name {
            "null" => AvroType::Null,
            "boolean" => AvroType::Boolean,
            "int" | "long" => AvroType::Integer(logical),
            "float" => AvroType::Float,
            "double" => AvroType::Double,
            "bytes" => AvroType::Bytes(logical),
            "string" => AvroType::String,
            _ => {
                let known = self.named.get(name).copied();
                return known
                    .ok_or_else(|| Error::invalid(self.part, "Avro type", name, "a type declared before"));
            }
        };
        self.push(ty)
    }

    fn parse_object(&mut self, object: &Map<String, Json>, depth: usize) -> Result<TypeIdx, Error> {
        let kind = self.get(object, "type")?;
        let Json::String(kind) = kind else {
            // {"type": {"type": …}} is a longer way to say the inner type.
            return self.parse(kind, depth + 1);
        };
        match kind.as_str() {
            "record" => self.parse_record(object, depth),
            "array" => {
                let items = self.parse(self.get(object, "items")?, depth + 1)?;
                self.push(AvroType::Array(items))
            }
            "map" => {
                let values = self.parse(self.get(object, "values")?, depth + 1)?;
                self.push(AvroType::Map(values))
            }
            "fixed" => {
                let size = self.get(object, "size")?;
                let len_bytes = size.as_u64().and_then(|n| usize::try_from(n).ok());
                let len_bytes = len_bytes.ok_or_else(|| self.invalid("size", size, "a length"))?;
                let idx = self.push(AvroType::Fixed(len_bytes, parse_logical(object)))?;
                self.declare(object, idx)
            }
            "enum" => {
                let idx = self.push(AvroType::Integer(Logical::None))?;
                self.declare(object, idx)
            }
            name => self.parse_name(name, parse_logical(object)),
        }
    }

    fn parse_record(&mut self, object: &Map<String, Json>, depth: usize) -> Result<TypeIdx, Error> {
        // Declared before its fields are read, because they may name it.
        let idx = self.push(AvroType::Null)?;
        self.declare(object, idx)?;
        let json = self.get(object, "fields")?;
        let Json::Array(list) = json else {
            return Err(self.invalid("fields", json, "a list of fields"));
        };
        let mut fields = Vec::with_capacity(list.len());
        for json in list {
            let Json::Object(field) = json else {
                return Err(self.invalid("field", json, "an object"));
            };
            let name = self.get(field, "name")?;
            let Json::String(name) = name else {
                return Err(self.invalid("name", name, "a string"));
            };
            let field_id = field.get("field-id").and_then(Json::as_i64).and_then(|id| i32::try_from(id).ok());
            let ty = self.parse(self.get(field, "type")?, depth + 1)?;
            fields.push(AvroField { name: name.clone(), field_id, ty });
        }
        if let Some(ty) = self.types.get_mut(idx.0) {
            *ty = AvroType::Record(fields);
        }
        Ok(idx)
    }

    /// Makes a named type known by its name, bare and with its namespace.
    fn declare(&mut self, object: &Map<String, Json>, idx: TypeIdx) -> Result<TypeIdx, Error> {
        let name = self.get(object, "name")?;
        let Json::String(name) = name else {
            return Err(self.invalid("name", name, "a string"));
        };
        if let Some(Json::String(namespace)) = object.get("namespace") {
            self.named.insert(format!("{namespace}.{name}"), idx);
        }
        self.named.insert(name.clone(), idx);
        Ok(idx)
    }

    fn get<'a>(&self, object: &'a Map<String, Json>, field: &'static str) -> Result<&'a Json, Error> {
        object.get(field).ok_or(Error::Missing { part: self.part, field })
    }
}

fn parse_logical(object: &Map<String, Json>) -> Logical {
    match object.get("logicalType").and_then(Json::as_str) {
        Some("date") => Logical::Date,
        Some("time-micros") => Logical::TimeMicros,
        Some("timestamp-micros" | "local-timestamp-micros") => Logical::TimestampMicros,
        Some("timestamp-nanos" | "local-timestamp-nanos") => Logical::TimestampNanos,
        Some("uuid") => Logical::Uuid,
        Some("decimal") => {
            let scale = object.get("scale").and_then(Json::as_u64).and_then(|s| u32::try_from(s).ok());
            Logical::Decimal { scale: scale.unwrap_or(0) }
        }
        _ => Logical::None,
    }
}
