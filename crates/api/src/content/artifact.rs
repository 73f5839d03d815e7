//! The row that a lookup found, by the names of its columns.

use std::collections::BTreeMap;

use firn_auth::rights::Owner;
use firn_iceberg::value::{Literal, Value};
use firn_types::{
    key::ArtifactKey,
    representation::Representation,
    schema::{COLUMNS, CallerValue, Column, ColumnGroup, ColumnType},
    time::Micros,
    visibility::Visibility,
};
use serde::de::Error as _;
use serde_json::value::RawValue;

/// Columns that every read needs, whatever is asked for: fetched with the key, never in a wave of their own.
pub fn rights_columns() -> impl Iterator<Item = &'static str> {
    let ts = COLUMNS.iter().filter(|c| c.name == "ts");
    COLUMNS.iter().filter(|c| c.group == ColumnGroup::Rights).chain(ts).map(|c| c.name)
}

/// Columns that hold a representation.
pub fn target_columns(representation: Representation) -> Vec<&'static str> {
    match representation.column() {
        Some(column) => vec![column],
        None => artifact_columns().map(|c| c.name).filter(|name| *name != "ts").collect(),
    }
}

/// What `.artifact.json` shows besides key, version and rights.
fn artifact_columns() -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().filter(|c| matches!(c.group, ColumnGroup::Small | ColumnGroup::Content))
}

/// Where a row was read, as `X-Artifact-Source` says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The edge cache.
    Cache,
    /// The ledger.
    Ledger,
    /// A data file.
    #[default]
    Parquet,
}

impl Source {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Ledger => "ledger",
            Self::Parquet => "parquet",
        }
    }
}

/// One row of an artifact. A column that the table lacks is null.
#[derive(Clone, Debug, Default)]
pub struct ArtifactRow {
    /// The version; `None` in a row of another engine that gave none. It sorts lowest.
    pub version: Option<i64>,
    /// Where it was read.
    pub source: Source,
    values: BTreeMap<&'static str, Value>,
}

impl ArtifactRow {
    /// A row of these values.
    pub fn new(
        version: Option<i64>,
        values: impl IntoIterator<Item = (&'static str, Option<Value>)>,
    ) -> Self {
        let mut row = Self { version, ..Self::default() };
        // Not collected: a map that is collected sorts first, 3 KB of a Worker for a handful of columns.
        row.values.extend(values.into_iter().filter_map(|(name, value)| Some((name, value?))));
        row
    }

    /// The row that a ledger holds: `json` as it is sent to a stream, of which the columns for `representation` are
    /// read.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_json(
        json: &[u8],
        version: i64,
        representation: Representation,
    ) -> Result<Self, serde_json::Error> {
        let members: BTreeMap<&str, &RawValue> = serde_json::from_slice(json)?;
        let mut values = BTreeMap::new();
        for name in rights_columns().chain(["mode"]).chain(target_columns(representation)) {
            let column = COLUMNS.iter().find(|column| column.name == name);
            if let (Some(column), Some(member)) = (column, members.get(name)) {
                values.insert(column.name, parse_member(column.column_type, member.get())?);
            }
        }
        Ok(Self { version: Some(version), source: Source::Ledger, values })
    }

    /// The text in a column.
    pub fn text(&self, column: &str) -> Option<&str> {
        match self.values.get(column)?.as_literal()? {
            Literal::String(text) => Some(text),
            _ => None,
        }
    }

    fn instant(&self, column: &str) -> Option<Micros> {
        match self.values.get(column)?.as_literal()? {
            Literal::Timestamptz(micros) | Literal::Timestamp(micros) => Some(Micros(*micros)),
            Literal::TimestamptzNs(nanos) | Literal::TimestampNs(nanos) => {
                Some(Micros(nanos.div_euclid(1_000)))
            }
            _ => None,
        }
    }

    /// Who may read; `None` where it is null or an unknown word.
    pub fn visibility(&self) -> Option<Visibility> {
        self.text("visibility").and_then(Visibility::parse)
    }

    /// Who wrote it.
    pub fn owner(&self) -> Owner {
        let text = |column| self.text(column).map(str::to_owned);
        Owner { iss: text("owner_iss"), org: text("owner_org"), sub: text("owner_sub") }
    }

    /// Whether it is a tombstone.
    pub fn is_deleted(&self) -> bool {
        matches!(self.values.get("deleted").and_then(Value::as_literal), Some(Literal::Boolean(true)))
    }

    /// When it expires.
    pub fn expires_at(&self) -> Option<Micros> {
        self.instant("expires_at")
    }

    /// When it was written.
    pub fn written_at(&self) -> Option<Micros> {
        self.instant("ts")
    }

    /// The mode that it was written in.
    pub fn mode(&self) -> Option<&str> {
        self.text("mode")
    }

    /// The whole record as JSON, in the order of the table: trees, front matter and metadata as the JSON that they
    /// are, byte for byte; the version as text; null columns left out.
    ///
    /// # Errors
    /// Names a column whose stored text is not the JSON that it should be.
    pub fn render_artifact(&self, key: &ArtifactKey) -> Result<String, CorruptColumn> {
        let mut json = String::from("{");
        let mut member = |name: &str, value: &str| {
            if json.len() > 1 {
                json.push(',');
            }
            json.push_str(&quote(name));
            json.push(':');
            json.push_str(value);
        };
        member("ns", &quote(key.ns.as_str()));
        member("type", &quote(key.artifact_type.as_str()));
        member("id", &quote(key.id.as_str()));
        if let Some(version) = self.version {
            member("version", &quote(&version.to_string()));
        }
        let shown = COLUMNS.iter().filter(|c| c.group == ColumnGroup::Rights).chain(artifact_columns());
        for column in shown {
            if let Some(rendered) = self.render_column(column)? {
                member(column.name, &rendered);
            }
        }
        json.push('}');
        Ok(json)
    }

    fn render_column(&self, column: &Column) -> Result<Option<String>, CorruptColumn> {
        let Some(value) = self.values.get(column.name) else { return Ok(None) };
        let corrupt = CorruptColumn(column.name);
        Ok(Some(match (column.column_type, value) {
            (ColumnType::Timestamp, _) => quote(&self.instant(column.name).ok_or(corrupt)?.to_rfc3339()),
            (ColumnType::String, Value::Primitive(Literal::String(text))) => match column.caller {
                CallerValue::Json | CallerValue::Object => {
                    let raw: &RawValue = serde_json::from_str(text).map_err(|_| corrupt)?;
                    raw.get().to_owned()
                }
                _ => quote(text),
            },
            (ColumnType::Int64, Value::Primitive(Literal::Long(number))) => number.to_string(),
            (ColumnType::Bool, Value::Primitive(Literal::Boolean(flag))) => flag.to_string(),
            (ColumnType::StringList { .. }, Value::List(items)) => render_list(items).ok_or(corrupt)?,
            _ => return Err(corrupt),
        }))
    }
}

fn parse_member(column_type: ColumnType, json: &str) -> Result<Value, serde_json::Error> {
    let text = |text: String| Literal::String(text);
    Ok(match column_type {
        ColumnType::String => Value::Primitive(text(serde_json::from_str(json)?)),
        ColumnType::Int64 => Value::Primitive(Literal::Long(serde_json::from_str(json)?)),
        ColumnType::Bool => Value::Primitive(Literal::Boolean(serde_json::from_str(json)?)),
        ColumnType::Timestamp => {
            let instant: String = serde_json::from_str(json)?;
            let micros = Micros::parse_rfc3339(&instant);
            let micros = micros.ok_or_else(|| serde_json::Error::custom("an instant is not RFC 3339"))?;
            Value::Primitive(Literal::Timestamptz(micros.0))
        }
        ColumnType::StringList { .. } => {
            let items: Vec<String> = serde_json::from_str(json)?;
            Value::List(items.into_iter().map(|item| Some(Value::Primitive(text(item)))).collect())
        }
    })
}

/// A column whose stored value is not what its type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value of column {0} is not of the column's type")]
pub struct CorruptColumn(pub &'static str);

fn render_list(items: &[Option<Value>]) -> Option<String> {
    let texts: Option<Vec<String>> = items
        .iter()
        .map(|item| match item.as_ref()?.as_literal()? {
            Literal::String(text) => Some(quote(text)),
            _ => None,
        })
        .collect();
    Some(format!("[{}]", texts?.join(",")))
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Value {
        Value::Primitive(Literal::String(value.to_owned()))
    }

    fn key() -> ArtifactKey {
        ArtifactKey::parse("a", "b", "c").unwrap()
    }

    #[test]
    fn artifact_keeps_the_bytes_of_trees_and_leaves_nulls_out() {
        let list = vec![Some(text("x")), Some(text("\""))];
        let row = ArtifactRow::new(
            Some(7),
            [
                ("visibility", Some(text("public"))),
                ("deleted", Some(Value::Primitive(Literal::Boolean(false)))),
                ("ts", Some(Value::Primitive(Literal::Timestamptz(1_000_000)))),
                ("markdown", Some(text("# \u{1f600}\n"))),
                ("html", None),
                ("mdast", Some(text("{ \"a\" : 1.0e2 }"))),
                ("exports", Some(Value::List(list))),
            ],
        );
        assert_eq!(
            row.render_artifact(&key()).unwrap(),
            concat!(
                r#"{"ns":"a","type":"b","id":"c","version":"7","visibility":"public","deleted":false,"#,
                r##""ts":"1970-01-01T00:00:01.000000Z","markdown":"# 😀\n","mdast":{ "a" : 1.0e2 },"exports":["x","\""]}"##
            )
        );
    }

    #[test]
    fn row_of_a_ledger_reads_as_that_of_a_data_file() {
        let json = r##"{"version":7,"ns":"a","type":"b","id":"c","owner_iss":"i","visibility":"org","deleted":false,"ts":"1970-01-01T00:00:01.000000Z","mode":"build","markdown":"# \ud83d\ude00\n","mdast":"{ \"a\" : 1 }","exports":["x"]}"##;
        let row = ArtifactRow::parse_json(json.as_bytes(), 7, Representation::Artifact).unwrap();
        assert_eq!(
            (row.visibility(), row.mode(), row.source),
            (Some(Visibility::Org), Some("build"), Source::Ledger)
        );
        assert_eq!((row.written_at(), row.is_deleted()), (Some(Micros(1_000_000)), false));
        assert_eq!(row.owner().iss.as_deref(), Some("i"));
        let whole = row.render_artifact(&key()).unwrap();
        assert!(
            whole.ends_with("\"markdown\":\"# 😀\\n\",\"mdast\":{ \"a\" : 1 },\"exports\":[\"x\"]}"),
            "{whole}"
        );
        let markdown = ArtifactRow::parse_json(json.as_bytes(), 7, Representation::Markdown).unwrap();
        assert_eq!((markdown.text("markdown"), markdown.text("mdast")), (Some("# \u{1f600}\n"), None));
    }

    #[test]
    fn stored_text_that_is_no_json_is_reported_not_served() {
        let row = ArtifactRow::new(None, [("mdast", Some(text("{")))]);
        assert_eq!(row.render_artifact(&key()), Err(CorruptColumn("mdast")));
    }
}
