//! One artifact out of the lake's tables: pointers, metadata, then one lookup in each table, all in step.
//!
//! A lookup asks every table (a stream's sink makes its own). Their needs of one step are merged into one wave, so that
//! three tables take no more waves than one, and never more connections than an invocation may hold.
//!
//! What is held between requests: table metadata and parsed objects, which are immutable, in one byte budget; and the
//! pointers, which are not, for a few seconds and never beyond, not even on an error. A data file that is gone means
//! that the pointer was stale (compaction, expiry): it is read anew and everything looked up once more.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use firn_iceberg::{
    metadata::TableMetadata,
    pointer::{Pointer, pointer_key},
    value::Literal,
};
use firn_lookup::{
    held::{Held, HeldObjects},
    need::{Step, Supplied},
    table::{
        Outcome, Row, TableLookup,
        error::TableError,
        location::LocationMap,
        query::{SnapshotChoice, TableQuery},
    },
};
use firn_store::{
    cache::ByteLru,
    counting::CountingRead,
    perform::perform,
    read::{ObjectBytes, ObjectRead, StoreError},
};
use firn_types::{
    key::ArtifactKey,
    object::{ByteRange, ObjectKey},
    representation::Representation,
    time::Micros,
};
use futures::future::join_all;
use thiserror::Error;

use crate::content::artifact::{ArtifactRow, rights_columns, target_columns};

/// Budget of parsed objects and table metadata of one isolate. Its 128 MB also hold the module (a few MB), the bodies
/// under way and what a lookup decodes.
pub const HELD_LEN_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// First read of a metadata file: one of a hundred snapshots has some 60 KB; a longer one costs a second request.
const METADATA_TAIL_LEN_BYTES: u64 = 128 * 1024;

/// Longest pointer object; one of ours is about 200 bytes.
const POINTER_TAIL_LEN_BYTES: u64 = 4 * 1024;

/// A parsed object takes more memory than its bytes; measured on table metadata, about three times as much.
const PARSED_FACTOR: u64 = 3;

/// A table by its name in the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableName {
    /// Namespace in the catalog.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl TableName {
    /// Reads a list of `namespace.table`, separated by commas. `None` if an entry has another shape or there is none.
    pub fn parse_list(text: &str) -> Option<Vec<Self>> {
        let parse = |entry: &str| {
            let (namespace, name) = entry.trim().split_once('.')?;
            let is_name = |part: &str| !part.is_empty() && !part.contains('/');
            (is_name(namespace) && is_name(name))
                .then(|| Self { namespace: namespace.to_owned(), name: name.to_owned() })
        };
        text.split(',').map(parse).collect()
    }
}

/// Which tables are asked, and for how long their pointers are held.
#[derive(Clone, Debug)]
pub struct LakeConfig {
    /// The tables.
    pub tables: Vec<TableName>,
    /// Microseconds.
    pub pointer_hold_micros: i64,
}

/// What R2 was asked for by one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadCost {
    /// Requests.
    pub reads: u64,
    /// Waves: requests that had to wait for one another.
    pub waves: u64,
    /// Bytes.
    pub len_bytes: u64,
}

/// Why the lake gave no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LakeError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A table.
    #[error("table {table}: {source}")]
    Table {
        /// The table's name; for the log.
        table: String,
        /// What is wrong.
        source: Box<TableError>,
    },
    /// A pointer or metadata file that is not one.
    #[error("{object}: {what}")]
    Metadata {
        /// The object; for the log.
        object: ObjectKey,
        /// What is wrong.
        what: String,
    },
    /// A table without the columns of the key.
    #[error("table {table} has no column {column} of a primitive type")]
    NoKeyColumn {
        /// The table's name; for the log.
        table: String,
        /// The column.
        column: &'static str,
    },
}

impl LakeError {
    /// Whether the same read may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_retryable())
    }

    /// Whether an object is gone that metadata names.
    fn is_stale(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_not_found())
    }
}

/// What one isolate holds of the lake. No borrow of it outlives a step, so requests never wait for one another.
#[derive(Debug)]
pub struct HeldLake {
    pointers: RefCell<HashMap<TableName, HeldPointer>>,
    parsed: RefCell<ByteLru<ObjectKey, Parsed>>,
}

#[derive(Clone, Debug)]
struct HeldPointer {
    read_at: Micros,
    /// `None`: there is no such table yet.
    metadata: Option<ObjectKey>,
}

#[derive(Clone, Debug)]
enum Parsed {
    Metadata(Arc<TableMetadata>),
    Object(Held),
}

impl Default for HeldLake {
    fn default() -> Self {
        Self { pointers: RefCell::default(), parsed: RefCell::new(ByteLru::new(HELD_LEN_BYTES_MAX)) }
    }
}

impl HeldLake {
    /// Forgets the pointers, so that the next read sees the newest snapshots.
    pub fn forget_pointers(&self) {
        self.pointers.borrow_mut().clear();
    }

    /// Forgets everything, as a fresh isolate has.
    pub fn forget_all(&self) {
        self.forget_pointers();
        *self.parsed.borrow_mut() = ByteLru::new(HELD_LEN_BYTES_MAX);
    }
}

impl HeldObjects for &HeldLake {
    fn get(&mut self, object: &ObjectKey) -> Option<Held> {
        match self.parsed.borrow_mut().get(object)? {
            Parsed::Object(held) => Some(held),
            Parsed::Metadata(_) => None,
        }
    }

    fn put(&mut self, object: &ObjectKey, held: Held, len_bytes: u64) {
        self.parsed.borrow_mut().insert(object.clone(), Parsed::Object(held), len_bytes);
    }
}

/// The newest row of an artifact in all tables, with what finding it cost. `None`: no table has one.
pub async fn read_artifact(
    store: &impl ObjectRead,
    held: &HeldLake,
    config: &LakeConfig,
    key: &ArtifactKey,
    representation: Representation,
    now: Micros,
) -> (Result<Option<ArtifactRow>, LakeError>, ReadCost) {
    let mut reader = Reader { store: CountingRead::new(store), held, config, now, waves: 0 };
    let mut result = reader.look_up(key, representation).await;
    if result.as_ref().is_err_and(LakeError::is_stale) {
        held.forget_pointers();
        result = reader.look_up(key, representation).await;
    }
    let counts = reader.store.counts();
    let cost = ReadCost { reads: counts.requests, waves: reader.waves, len_bytes: counts.len_bytes };
    (result, cost)
}

struct Reader<'a, S> {
    store: CountingRead<&'a S>,
    held: &'a HeldLake,
    config: &'a LakeConfig,
    now: Micros,
    waves: u64,
}

/// One table of a lookup.
struct Running<'t> {
    table: &'t TableName,
    /// Names of the query's columns, in its order.
    columns: Vec<&'static str>,
    target: Vec<&'static str>,
    lookup: TableLookup,
    supplied: Vec<Supplied>,
}

impl<'a, S: ObjectRead> Reader<'a, S> {
    async fn look_up(
        &mut self,
        key: &ArtifactKey,
        representation: Representation,
    ) -> Result<Option<ArtifactRow>, LakeError> {
        let metadata = self.read_pointers().await?;
        let metadata = self.read_metadata(metadata).await?;
        let mut running = Vec::new();
        for (table, metadata) in metadata {
            running.push(start(table, metadata, key, representation)?);
        }
        self.run(running).await
    }

    /// Where each table's current metadata lies; tables that do not exist yet are left out.
    async fn read_pointers(&mut self) -> Result<Vec<(&'a TableName, ObjectKey)>, LakeError> {
        let fresh = |pointer: &HeldPointer| {
            (0..self.config.pointer_hold_micros).contains(&(self.now.0 - pointer.read_at.0))
        };
        let held: Vec<Option<HeldPointer>> = {
            let pointers = self.held.pointers.borrow();
            let of = |table| pointers.get(table).filter(|pointer| fresh(pointer)).cloned();
            self.config.tables.iter().map(of).collect()
        };
        let missing = || self.config.tables.iter().zip(&held).filter(|(_, held)| held.is_none());
        if missing().next().is_some() {
            self.waves += 1;
        }
        let store = &self.store;
        let reads = missing().map(|(table, _)| async move { (table, read_pointer(store, table).await) });
        for (table, read) in join_all(reads).await {
            let pointer = HeldPointer { read_at: self.now, metadata: read? };
            self.held.pointers.borrow_mut().insert(table.clone(), pointer);
        }
        let pointers = self.held.pointers.borrow();
        let found = self.config.tables.iter().filter_map(|table| {
            let metadata = pointers.get(table)?.metadata.clone()?;
            Some((table, metadata))
        });
        Ok(found.collect())
    }

    async fn read_metadata(
        &mut self,
        wanted: Vec<(&'a TableName, ObjectKey)>,
    ) -> Result<Vec<(&'a TableName, Arc<TableMetadata>)>, LakeError> {
        let mut known: HashMap<ObjectKey, Arc<TableMetadata>> = HashMap::new();
        for (_, object) in &wanted {
            if let Some(Parsed::Metadata(metadata)) = self.held.parsed.borrow_mut().get(object) {
                known.insert(object.clone(), metadata);
            }
        }
        let missing = || wanted.iter().map(|(_, object)| object).filter(|object| !known.contains_key(object));
        let asked: Vec<_> = missing()
            .map(|object| (object.clone(), ByteRange::Tail { len_bytes: METADATA_TAIL_LEN_BYTES }))
            .collect();
        let tails = self.wave(&asked).await?;
        let rest: Vec<_> = asked
            .iter()
            .zip(&tails)
            .filter(|(_, tail)| tail.offset > 0)
            .map(|((object, _), tail)| (object.clone(), ByteRange::Range(0..tail.offset)))
            .collect();
        let mut heads = self.wave(&rest).await?.into_iter();
        for ((object, _), tail) in asked.iter().zip(&tails) {
            let mut bytes = Vec::new();
            if tail.offset > 0 {
                bytes.extend_from_slice(&heads.next().map(|head| head.bytes).unwrap_or_default());
            }
            bytes.extend_from_slice(&tail.bytes);
            let metadata = TableMetadata::parse(&bytes)
                .map_err(|error| LakeError::Metadata { object: object.clone(), what: error.to_string() })?;
            let metadata = Arc::new(metadata);
            let len_bytes = tail.object_len_bytes.saturating_mul(PARSED_FACTOR);
            let parsed = Parsed::Metadata(Arc::clone(&metadata));
            self.held.parsed.borrow_mut().insert(object.clone(), parsed, len_bytes);
            known.insert(object.clone(), metadata);
        }
        Ok(wanted
            .into_iter()
            .filter_map(|(table, object)| Some((table, known.get(&object)?.clone())))
            .collect())
    }

    /// Steps all lookups together until each is done; the highest version wins.
    async fn run(&mut self, mut running: Vec<Running<'a>>) -> Result<Option<ArtifactRow>, LakeError> {
        let mut best: Option<(Option<i64>, ArtifactRow)> = None;
        while !running.is_empty() {
            let mut asked = Vec::new();
            let mut waiting = Vec::new();
            for mut table in running {
                let supplied = std::mem::take(&mut table.supplied);
                let step = table.lookup.step(supplied, &mut &*self.held);
                let step = step.map_err(|source| LakeError::Table {
                    table: table.table.name.clone(),
                    source: Box::new(source),
                })?;
                match step {
                    Step::Done(Outcome::Absent) => {}
                    Step::Done(Outcome::Found(row)) => {
                        let version = row.version;
                        // A null version is the lowest, which `None` is to `Option`'s order.
                        if best.as_ref().is_none_or(|(highest, _)| version > *highest) {
                            best = Some((version, artifact_row(&table, row)));
                        }
                    }
                    Step::Need(needs) => {
                        waiting.push((table, needs.len()));
                        asked.extend(needs.into_iter().map(|need| (need.object, need.range)));
                    }
                }
            }
            let mut answers = self.wave(&asked).await?.into_iter().map(|answer| Supplied {
                bytes: answer.bytes,
                offset: answer.offset,
                object_len_bytes: answer.object_len_bytes,
            });
            running = waiting
                .into_iter()
                .map(|(table, count)| Running { supplied: answers.by_ref().take(count).collect(), ..table })
                .collect();
        }
        Ok(best.map(|(_, row)| row))
    }

    async fn wave(&mut self, asked: &[(ObjectKey, ByteRange)]) -> Result<Vec<ObjectBytes>, LakeError> {
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        self.waves += 1;
        Ok(perform(&self.store, asked).await?)
    }
}

/// `None` where there is no pointer, so no table yet.
async fn read_pointer(store: &impl ObjectRead, table: &TableName) -> Result<Option<ObjectKey>, LakeError> {
    let object = pointer_key(&table.namespace, &table.name);
    let read = store.read(&object, &ByteRange::Tail { len_bytes: POINTER_TAIL_LEN_BYTES }).await;
    match read {
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
        Ok(found) => {
            let pointer = Pointer::parse(&found.bytes)
                .ok_or_else(|| LakeError::Metadata { object, what: "not a pointer".to_owned() })?;
            Ok(Some(LocationMap::default().object_key(&pointer.metadata_location)))
        }
    }
}

fn start<'t>(
    table: &'t TableName,
    metadata: Arc<TableMetadata>,
    key: &ArtifactKey,
    representation: Representation,
) -> Result<Running<'t>, LakeError> {
    let schema = Arc::clone(metadata.current_schema());
    let id = |name: &'static str| schema.column_named(name).map(|field| field.id);
    let parts = [("ns", key.ns.as_str()), ("type", key.artifact_type.as_str()), ("id", key.id.as_str())];
    let mut terms = Vec::with_capacity(parts.len());
    for (column, value) in parts {
        let missing = || LakeError::NoKeyColumn { table: table.name.clone(), column };
        terms.push((id(column).ok_or_else(missing)?, Literal::String(value.to_owned())));
    }
    // A table of another engine may lack any other column; it is null then.
    let present = |names: Vec<&'static str>| -> (Vec<&'static str>, Vec<i32>) {
        names.into_iter().filter_map(|name| Some((name, id(name)?))).unzip()
    };
    let (columns, column_ids) = present(rights_columns().chain(["mode"]).collect());
    let (target, target_ids) =
        present(target_columns(representation).into_iter().filter(|name| !columns.contains(name)).collect());
    let query = TableQuery {
        version: id("version"),
        metadata,
        snapshot: SnapshotChoice::Current,
        key: terms,
        columns: column_ids,
        target: target_ids,
        locations: LocationMap::default(),
    };
    let lookup = TableLookup::new(query)
        .map_err(|source| LakeError::Table { table: table.name.clone(), source: Box::new(source) })?;
    Ok(Running { table, columns, target, lookup, supplied: Vec::new() })
}

fn artifact_row(table: &Running<'_>, row: Row) -> ArtifactRow {
    let names = table.columns.iter().chain(&table.target).copied();
    ArtifactRow::new(row.version, names.zip(row.columns.into_iter().chain(row.target)))
}
