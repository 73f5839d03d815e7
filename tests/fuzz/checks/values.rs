//! Rows as values, read back as the Worker reads them (workers/ingest/src/rows.js).

use std::collections::BTreeSet;

use firn_ndjson::values::{Values, kind};
use serde_json::{Map, Value};

/// The rows as JSON values, the shared members included.
pub(crate) fn rows_of(values: &Values) -> Vec<Value> {
    let shared: Value = serde_json::from_str(values.shared_json()).expect("the shared part is JSON");
    let names: Vec<&str> =
        shared["names"].as_array().expect("names").iter().filter_map(Value::as_str).collect();
    let members = shared["members"].as_object().expect("members");
    let mut reader = Reader { values, words: values.words().iter().copied(), named: BTreeSet::new() };
    let mut rows = Vec::new();
    while let Some(member_count) = reader.words.next() {
        let (begin, end) = (reader.word(), reader.word());
        let mut row = members.clone();
        for _ in 0..member_count {
            reader.member(&names, &mut row);
        }
        assert!(reader.named.iter().all(|(from, to)| begin <= *from && from <= to && *to <= end));
        reader.named.clear();
        rows.push(Value::Object(row));
    }
    rows
}

struct Reader<'v, W> {
    values: &'v Values,
    words: W,
    /// The texts of the row.
    named: BTreeSet<(u32, u32)>,
}

impl<W: Iterator<Item = u32>> Reader<'_, W> {
    fn word(&mut self) -> u32 {
        self.words.next().expect("a row is whole")
    }

    fn member(&mut self, names: &[&str], row: &mut Map<String, Value>) {
        let head = self.word();
        let value = match head >> 8 {
            kind::TEXT => self.text(),
            kind::LIST => (0..self.word()).map(|_| self.text()).collect(),
            kind::NUMBER => (u64::from(self.word()) << 32 | u64::from(self.word())).into(),
            kind::TRUE => true.into(),
            kind::FALSE => false.into(),
            other => panic!("no kind is {other}"),
        };
        let name = names[(head & 0xFF) as usize];
        assert!(row.insert(name.to_owned(), value).is_none(), "{name} is there once");
    }

    fn text(&mut self) -> Value {
        let (from, to) = (self.word(), self.word());
        self.named.insert((from, to));
        let bytes = &self.values.texts()[from as usize..to as usize];
        std::str::from_utf8(bytes).expect("a text is UTF-8").into()
    }
}
