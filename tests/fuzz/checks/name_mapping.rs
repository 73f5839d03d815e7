//! Name mappings: every name that stands once gives the id that the text says.
//!
//! Input: the text.

use std::collections::HashMap;

use firn_iceberg::name_mapping::NameMapping;
use serde_json::Value as Json;

pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(mapping) = NameMapping::parse(text) else { return };
    let json: Json = serde_json::from_str(text).expect("it was read");
    check_fields(&json, &mapping, &mut Vec::new());
}

fn check_fields<'a>(json: &'a Json, mapping: &NameMapping, path: &mut Vec<&'a str>) {
    let fields = json.as_array().expect("a list of mapped fields");
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for name in fields.iter().flat_map(names) {
        *counts.entry(name).or_default() += 1;
    }
    for field in fields {
        for name in names(field).filter(|name| counts[name] == 1) {
            path.push(name);
            assert_eq!(mapping.field_id(path).map(i64::from), field["field-id"].as_i64(), "{path:?}");
            if field["fields"].is_array() {
                check_fields(&field["fields"], mapping, path);
            }
            path.pop();
        }
    }
}

fn names(field: &Json) -> impl Iterator<Item = &str> {
    field["names"].as_array().expect("a list of names").iter().filter_map(Json::as_str)
}
