//! Lookups over a store, with what stays from one to the next.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    sync::Arc,
};

use firn_iceberg::{
    metadata::TableMetadata,
    schema::{NestedField, Schema},
    value::{Literal, Value},
};
use firn_lookup::{
    file::{
        ColumnRef, FileRequest, KeyEquals, RowSelection, WantedColumn, When, footer::FileFooter,
        lookup::FileLookup,
    },
    held::{Held, HeldObjects},
    need::{Need, Role, Step, Supplied},
    table::{
        self, RowLocation, TableLookup,
        location::LocationMap,
        query::{SnapshotChoice, TableQuery},
    },
};
use firn_store::{perform::perform, read::ObjectRead};
use firn_types::{
    object::{ByteRange, ObjectKey},
    schema::{COLUMNS, ColumnGroup},
};
use sha2::{Digest as _, Sha256};

use crate::Outcome;

/// First read of a metadata file, as in serve.
const METADATA_TAIL_LEN_BYTES: u64 = 128 * 1024;

/// The representation that is looked up.
pub(crate) const CONTENT: &str = "markdown";

/// Columns of the answer beside version and content, all of them text.
const ANSWERED: [&str; 4] = ["visibility", "owner_iss", "owner_org", "owner_sub"];

/// Which kinds of objects stay, parsed, from one lookup to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeldKinds {
    Nothing,
    Manifests,
    Footers,
}

/// A key: the texts in its columns.
pub(crate) type Key = BTreeMap<String, String>;

/// What a lookup answers.
#[derive(Debug)]
pub(crate) struct FoundRow {
    pub(crate) version: Option<i64>,
    pub(crate) content: String,
    pub(crate) rights: Vec<(&'static str, Option<String>)>,
}

/// What the last lookup by manifests read, and where it found its row.
#[derive(Debug)]
pub(crate) struct LastFind {
    pub(crate) metadata: ObjectKey,
    pub(crate) asked: Vec<(ObjectKey, Role)>,
    pub(crate) location: RowLocation,
    /// Field ids of the columns that are wanted of the row, content last.
    pub(crate) field_ids: Vec<i32>,
    /// Field ids of the key's columns.
    pub(crate) key_ids: Vec<i32>,
}

#[derive(Debug, Default)]
struct Objects(HashMap<ObjectKey, Held>);

impl HeldObjects for Objects {
    fn get(&mut self, object: &ObjectKey) -> Option<Held> {
        self.0.get(object).cloned()
    }

    fn put(&mut self, object: &ObjectKey, held: Held, _: u64) {
        self.0.insert(object.clone(), held);
    }
}

/// What a ledger knows of a row.
#[derive(Clone, Debug)]
struct Located {
    location: RowLocation,
    object_len_bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Client<S> {
    store: S,
    tables: HashMap<ObjectKey, Arc<TableMetadata>>,
    objects: Objects,
    located: HashMap<Key, Located>,
    waves: usize,
    last: Option<LastFind>,
}

impl<S: ObjectRead> Client<S> {
    pub(crate) fn new(store: S) -> Self {
        Self {
            store,
            tables: HashMap::new(),
            objects: Objects::default(),
            located: HashMap::new(),
            waves: 0,
            last: None,
        }
    }

    pub(crate) fn last_find(&self) -> Option<&LastFind> {
        self.last.as_ref()
    }

    /// Forgets all else.
    pub(crate) fn keep(&mut self, kinds: HeldKinds) {
        let Self { tables, objects, .. } = self;
        match kinds {
            HeldKinds::Nothing => {
                tables.clear();
                objects.0.clear();
            }
            HeldKinds::Manifests => objects.0.retain(|_, held| !matches!(held, Held::File(_))),
            HeldKinds::Footers => {}
        }
    }

    /// Looks a key up by manifests, as serve does: pointer known, everything else read where it is not held.
    pub(crate) async fn find(&mut self, table: &str, key: &Key) -> Outcome<Option<FoundRow>> {
        let object = LocationMap::default().object_key(table);
        let metadata = self.metadata(&object).await?;
        let schema = metadata.current_schema();
        let id_of = |name: &str| field(schema, name).map(|field| field.id);
        let key_terms = key.iter().map(|(name, text)| Ok((id_of(name)?, Literal::String(text.clone()))));
        let small: Vec<&'static str> = small_columns().collect();
        let columns = small.iter().map(|name| id_of(name)).collect::<Outcome<Vec<i32>>>()?;
        let (version, target) = (id_of("version")?, id_of(CONTENT)?);
        let query = TableQuery {
            metadata: Arc::clone(&metadata),
            snapshot: SnapshotChoice::Current,
            key: key_terms.collect::<Outcome<Vec<_>>>()?,
            version: Some(version),
            columns: columns.clone(),
            target: vec![target],
            locations: LocationMap::default(),
        };
        let key_ids = query.key.iter().map(|(id, _)| *id).collect();
        let mut lookup = TableLookup::new(query)?;
        let (mut asked, mut supplied) = (Vec::new(), Vec::new());
        let outcome = loop {
            match lookup.step(supplied, &mut self.objects)? {
                Step::Done(outcome) => break outcome,
                Step::Need(needs) => {
                    supplied = self.wave(&needs).await?;
                    asked.extend(needs.into_iter().map(|need| (need.object, need.role)));
                }
            }
        };
        let table::Outcome::Found(row) = outcome else { return Ok(None) };
        let footer = self.objects.file_footer(&row.location.object).ok_or("no footer was kept")?;
        let object_len_bytes = footer.object_len_bytes();
        self.located.insert(key.clone(), Located { location: row.location.clone(), object_len_bytes });
        let field_ids = columns.into_iter().chain([version, target]).collect();
        self.last = Some(LastFind { metadata: object, asked, location: row.location, field_ids, key_ids });
        found_row(row.version, &small, row.columns, row.target).map(Some)
    }

    /// Reads a row where the last find of the key found it, if it still has that key.
    pub(crate) async fn read_at(&mut self, table: &str, key: &Key) -> Outcome<Option<FoundRow>> {
        let located = self.located.get(key).ok_or("no find of the key before")?;
        let Located { location, object_len_bytes: stated_len_bytes } = located.clone();
        let object = LocationMap::default().object_key(table);
        let metadata = self.metadata(&object).await?;
        let schema = metadata.current_schema();
        let column = |name: &str| {
            field(schema, name).map(|field| ColumnRef {
                field_id: field.id,
                ty: field.ty.clone(),
                initial_default: field.initial_default.clone(),
            })
        };
        let small: Vec<&'static str> = small_columns().collect();
        let wanted = |name, when| Ok(WantedColumn { column: column(name)?, when });
        let mut columns =
            small.iter().map(|name| wanted(name, When::WithKey)).collect::<Outcome<Vec<_>>>()?;
        columns.extend([wanted("version", When::WithKey)?, wanted(CONTENT, When::Target)?]);
        let equals = |(name, text): (&String, &String)| {
            Ok(KeyEquals { column: column(name)?, value: Value::Primitive(Literal::String(text.clone())) })
        };
        let request = FileRequest {
            object: location.object.clone(),
            stated_len_bytes,
            key: key.iter().map(equals).collect::<Outcome<Vec<_>>>()?,
            columns,
            rows: RowSelection::At(location.position),
            names: None,
        };
        let held: Option<Arc<FileFooter>> = self.objects.file_footer(&location.object);
        let mut lookup = FileLookup::new(request, held);
        let mut supplied = Vec::new();
        let rows = loop {
            match lookup.step(supplied)? {
                Step::Done(rows) => break rows,
                Step::Need(needs) => supplied = self.wave(&needs).await?,
            }
        };
        if let Some(footer) = lookup.footer() {
            self.objects.put(&location.object, Held::File(footer), 0);
        }
        let Some(row) = rows.into_iter().next() else { return Ok(None) };
        let mut values = row.values;
        let target = values.split_off(small.len() + 1);
        let version = match values.pop().flatten() {
            Some(Value::Primitive(Literal::Long(version))) => Some(version),
            _ => None,
        };
        found_row(version, &small, values, target).map(Some)
    }

    /// Waves of the reads since it was asked last, as they were planned.
    pub(crate) fn take_waves(&mut self) -> usize {
        std::mem::take(&mut self.waves)
    }

    async fn wave(&mut self, needs: &[Need]) -> Outcome<Vec<Supplied>> {
        self.waves += 1;
        let asked: Vec<_> = needs.iter().map(|need| (need.object.clone(), need.range.clone())).collect();
        let read = perform(&self.store, &asked).await?.into_iter();
        Ok(read
            .map(|object| Supplied {
                bytes: object.bytes,
                offset: object.offset,
                object_len_bytes: object.object_len_bytes,
            })
            .collect())
    }

    async fn metadata(&mut self, object: &ObjectKey) -> Outcome<Arc<TableMetadata>> {
        if let Some(metadata) = self.tables.get(object) {
            return Ok(Arc::clone(metadata));
        }
        self.waves += 1;
        let tail = self.store.read(object, &ByteRange::Tail { len_bytes: METADATA_TAIL_LEN_BYTES }).await?;
        if tail.offset > 0 {
            return Err("longer metadata than a bench has".into());
        }
        let metadata = Arc::new(TableMetadata::parse(&tail.bytes)?);
        self.tables.insert(object.clone(), Arc::clone(&metadata));
        Ok(metadata)
    }
}

/// Columns that serve asks of every row, whatever is wanted of it.
fn small_columns() -> impl Iterator<Item = &'static str> {
    COLUMNS
        .iter()
        .filter(|column| column.group == ColumnGroup::Rights || column.name == "ts")
        .map(|column| column.name)
}

fn field<'s>(schema: &'s Schema, name: &str) -> Outcome<&'s NestedField> {
    schema.fields.iter().find(|field| field.name == name).ok_or_else(|| format!("no column {name}").into())
}

fn found_row(
    version: Option<i64>,
    small: &[&'static str],
    values: Vec<Option<Value>>,
    target: Vec<Option<Value>>,
) -> Outcome<FoundRow> {
    let text = |value: Option<Value>| match value {
        Some(Value::Primitive(Literal::String(text))) => Some(text),
        _ => None,
    };
    let content = target.into_iter().next().and_then(text).ok_or("a row without content")?;
    let named = small.iter().copied().zip(values);
    let rights = named.filter(|(name, _)| ANSWERED.contains(name)).map(|(name, value)| (name, text(value)));
    Ok(FoundRow { version, content, rights: rights.collect() })
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
