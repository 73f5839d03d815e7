//! A lake in memory, and the driver that a lookup needs: every test sees the conversation as well as the answer.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use firn_iceberg::{
    metadata::TableMetadata,
    value::{Literal, Value},
};
use firn_lookup::{
    held::{Held, HeldObjects},
    need::{Need, Role, Step, Supplied},
    table::{
        Outcome, TableLookup,
        error::TableError,
        location::LocationMap,
        query::{SnapshotChoice, TableQuery},
        scan::{ScannedRow, TableScan},
    },
};
use firn_types::object::{ByteRange, ObjectKey};

/// Objects by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lake {
    pub(crate) objects: BTreeMap<String, Bytes>,
}

impl Lake {
    /// Every file below a folder, keyed by its path from `root`.
    pub(crate) fn load(root: &Path, folder: &str) -> Self {
        let mut lake = Self::default();
        lake.add(root, &root.join(folder));
        lake
    }

    fn add(&mut self, root: &Path, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.add(root, &path);
            } else {
                let key = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                self.objects.insert(key, fs::read(&path).unwrap().into());
            }
        }
    }

    /// Performs one need.
    pub(crate) fn read(&self, need: &Need) -> Result<Supplied, Failure> {
        let whole = self.objects.get(need.object.as_str());
        let whole = whole.ok_or_else(|| Failure::Missing(need.object.clone()))?;
        let len = whole.len() as u64;
        let range = match &need.range {
            ByteRange::Range(range) => range.start.min(len)..range.end.min(len),
            ByteRange::Tail { len_bytes } => len.saturating_sub(*len_bytes)..len,
        };
        let bytes = whole.slice(range.start as usize..range.end as usize);
        Ok(Supplied { bytes, offset: range.start, object_len_bytes: len })
    }
}

/// Why a lookup ended without an answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The lookup's own error.
    Table(TableError),
    /// The driver's: it ends the lookup where an object is not there.
    Missing(ObjectKey),
}

impl From<TableError> for Failure {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

/// Keeps everything.
#[derive(Debug, Default)]
pub(crate) struct HoldAll(pub(crate) HashMap<ObjectKey, Held>);

impl HeldObjects for HoldAll {
    fn get(&mut self, object: &ObjectKey) -> Option<Held> {
        self.0.get(object).cloned()
    }

    fn put(&mut self, object: &ObjectKey, held: Held, len_bytes: u64) {
        assert!(len_bytes > 0);
        self.0.insert(object.clone(), held);
    }
}

/// What a lookup asked for, wave by wave.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    pub(crate) waves: Vec<Vec<Role>>,
    pub(crate) len_bytes: u64,
}

/// More waves than any lookup of a small table needs.
const WAVE_COUNT_MAX: usize = 50;

/// Drives a lookup to its end.
pub(crate) fn drive(
    lookup: &mut TableLookup,
    lake: &Lake,
    held: &mut dyn HeldObjects,
) -> Result<(Outcome, Conversation), Failure> {
    let mut conversation = Conversation::default();
    let mut supplied = Vec::new();
    loop {
        match lookup.step(supplied, held)? {
            Step::Done(outcome) => return Ok((outcome, conversation)),
            Step::Need(needs) => {
                assert!(!needs.is_empty(), "a step without needs");
                assert!(conversation.waves.len() < WAVE_COUNT_MAX, "{conversation:?}");
                supplied = needs.iter().map(|need| lake.read(need)).collect::<Result<_, _>>()?;
                conversation.len_bytes +=
                    supplied.iter().map(|s: &Supplied| s.bytes.len() as u64).sum::<u64>();
                conversation.waves.push(needs.iter().map(|need| need.role).collect());
            }
        }
    }
}

/// Drives a scan to its end.
pub(crate) fn scan(
    query: TableQuery,
    lake: &Lake,
    held: &mut dyn HeldObjects,
) -> Result<Vec<ScannedRow>, Failure> {
    let mut scan = TableScan::new(query)?;
    let (mut rows, mut supplied) = (Vec::new(), Vec::new());
    loop {
        match scan.step(std::mem::take(&mut supplied), held)? {
            Step::Done(None) => return Ok(rows),
            Step::Done(Some(next)) => rows.extend(next),
            Step::Need(needs) => {
                assert!(!needs.is_empty(), "a step without needs");
                supplied = needs.iter().map(|need| lake.read(need)).collect::<Result<_, _>>()?;
            }
        }
    }
}

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/iceberg")
}

pub(crate) fn text(s: &str) -> Literal {
    Literal::String(s.to_owned())
}

pub(crate) fn text_value(s: &str) -> Value {
    Value::Primitive(text(s))
}

/// A query of the current snapshot by column names.
pub(crate) fn query(
    metadata: &Arc<TableMetadata>,
    key: &[(&str, Literal)],
    version: Option<&str>,
    columns: &[&str],
    target: &[&str],
) -> TableQuery {
    let id = |name: &str| metadata.current_schema().column_named(name).unwrap().id;
    TableQuery {
        metadata: Arc::clone(metadata),
        snapshot: SnapshotChoice::Current,
        key: key.iter().map(|(name, value)| (id(name), value.clone())).collect(),
        version: version.map(id),
        columns: columns.iter().map(|name| id(name)).collect(),
        target: target.iter().map(|name| id(name)).collect(),
        locations: LocationMap::default(),
    }
}
