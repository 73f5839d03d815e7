//! Field ids for data files that have none.
//!
//! Spec: "Column Projection" and "Appendix: Name Mapping Serialization". The mapping is JSON text in the table
//! property `schema.name-mapping.default`.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value as Json;

use crate::{
    error::{Error, Part},
    schema::{FIELD_COUNT_MAX, TYPE_DEPTH_MAX},
};

/// Which field id a column of a file without ids has. A file that has ids is read by them alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameMapping {
    fields: HashMap<String, Mapped>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mapped {
    /// A mapped name may exist only for its children.
    field_id: Option<i32>,
    /// Shared by all names of the field: a copy for each would grow with the power of the depth.
    children: Arc<NameMapping>,
}

impl NameMapping {
    /// Reads the property's text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let json = serde_json::from_str(text).map_err(|source| Error::Json { part: PART, source })?;
        parse_fields(&json, &mut 0, 0)
    }

    /// A mapping of top-level columns.
    pub fn of_columns<'a>(columns: impl IntoIterator<Item = (&'a str, i32)>) -> Self {
        let mapped = |(name, id): (&str, i32)| {
            (name.to_owned(), Mapped { field_id: Some(id), children: Arc::default() })
        };
        Self { fields: columns.into_iter().map(mapped).collect() }
    }

    /// The id of the column at `path`: names as Iceberg has them, so the element of a list is `element`, key and value
    /// of a map are `key` and `value`, and the groups that Parquet puts between are left out.
    pub fn field_id(&self, path: &[&str]) -> Option<i32> {
        let (first, rest) = path.split_first()?;
        let mapped = self.fields.get(*first)?;
        if rest.is_empty() { mapped.field_id } else { mapped.children.field_id(rest) }
    }
}

const PART: Part = Part::NameMapping;

fn parse_fields(json: &Json, count: &mut usize, depth: usize) -> Result<NameMapping, Error> {
    Error::check_limit(PART, "depth", depth, TYPE_DEPTH_MAX)?;
    let Json::Array(list) = json else {
        return Err(Error::invalid(PART, "fields", json, "a list of mapped fields"));
    };
    let mut fields = HashMap::new();
    for json in list {
        let Json::Object(object) = json else {
            return Err(Error::invalid(PART, "field", json, "an object"));
        };
        let field_id = match object.get("field-id") {
            None | Some(Json::Null) => None,
            Some(id) => match id.as_i64().and_then(|id| i32::try_from(id).ok()) {
                Some(id) => Some(id),
                None => return Err(Error::invalid(PART, "field-id", id, "an int")),
            },
        };
        let children = match object.get("fields") {
            None | Some(Json::Null) => Arc::default(),
            Some(children) => Arc::new(parse_fields(children, count, depth + 1)?),
        };
        let names = object.get("names").ok_or(Error::Missing { part: PART, field: "names" })?;
        let Json::Array(names) = names else {
            return Err(Error::invalid(PART, "names", names, "a list of strings"));
        };
        for name in names {
            let Some(name) = name.as_str() else {
                return Err(Error::invalid(PART, "names", name, "a string"));
            };
            *count += 1;
            Error::check_limit(PART, "name count", *count, FIELD_COUNT_MAX)?;
            let mapped = Mapped { field_id, children: Arc::clone(&children) };
            if fields.insert(name.to_owned(), mapped).is_some() {
                return Err(Error::invalid(PART, "names", name, "each name once"));
            }
        }
    }
    Ok(NameMapping { fields })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"[
        {"field-id": 1, "names": ["id", "record_id"]},
        {"field-id": 2, "names": ["data"]},
        {"names": ["nothing"]},
        {"field-id": 3, "names": ["location"], "fields": [
            {"field-id": 4, "names": ["latitude", "lat"]},
            {"field-id": 5, "names": ["tags"], "fields": [{"field-id": 6, "names": ["element"]}]}
        ]}
    ]"#;

    #[test]
    fn names_at_any_depth_give_their_field_id() {
        let mapping = NameMapping::parse(TEXT).unwrap();
        for (path, expected) in [
            (&["id"][..], Some(1)),
            (&["record_id"], Some(1)),
            (&["location"], Some(3)),
            (&["location", "lat"], Some(4)),
            (&["location", "tags", "element"], Some(6)),
            (&["nothing"], None),
            (&["lat"], None),
            (&["id", "lat"], None),
            (&[], None),
        ] {
            assert_eq!(mapping.field_id(path), expected, "{path:?}");
        }
    }

    #[test]
    fn mapping_that_violates_the_spec_is_corrupt() {
        for text in [
            "",
            "{}",
            "[1]",
            r#"[{"field-id": 1}]"#,
            r#"[{"field-id": "1", "names": []}]"#,
            r#"[{"field-id": 1, "names": ["a"]}, {"field-id": 2, "names": ["a"]}]"#,
            r#"[{"field-id": 1, "names": [2]}]"#,
        ] {
            assert!(NameMapping::parse(text).unwrap_err().is_corrupt(), "{text}");
        }
    }
}
