//! A table that takes any kind of commit, the ledgers of its namespaces, and what they should know of it.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use bytes::Bytes;
use firn_api::{
    follow::{
        FollowConfig, Lake as FollowedLake, REQUEST_COUNT_MAX, Report, Tell, follow_tables,
        ports::{Ledgers, LedgersPage},
    },
    ledger::{LedgerPort, object::answer},
    ports::Clock,
    tables::{config::TableName, pointers::BucketPointers},
};
use firn_iceberg::{
    followed::{Followed, followed_key},
    pointer::{Pointer, pointer_key},
    schema::PrimitiveType,
    value::Literal,
};
use firn_ledger::{
    Ledger,
    lease::{Begin, Begun},
    limits::Options,
    publish::{Committed, StagedChunk},
    read::{Place, Read},
    row::{Owner, StagedRow, Standing},
    status::ListedVersion,
};
use firn_store::read::ObjectRead;
use firn_types::{key::Namespace, mode::Mode, object::ByteRange, time::Micros, visibility::Visibility};
use futures::executor::block_on;
use serde_json::{Value as Json, json};

use crate::{
    build::{Column, Row, Table},
    lake::{Bucket, Faults},
    sqlite::Sqlite,
};

pub(crate) const NS: i32 = 1;
pub(crate) const TYPE: i32 = 2;
pub(crate) const ID: i32 = 3;
pub(crate) const VERSION: i32 = 4;
pub(crate) const VISIBILITY: i32 = 5;
pub(crate) const OWNER: i32 = 6;
pub(crate) const TEXT: i32 = 7;

pub(crate) const TABLE: &str = "firn.t";
const T0: i64 = 1_800_000_000_000_000;

pub(crate) fn text(text: &str) -> Literal {
    Literal::String(text.to_owned())
}

/// A row of type `page`.
pub(crate) fn row(ns: &str, id: &str, version: i64) -> Row {
    let mut row = Row::from([
        (NS, text(ns)),
        (TYPE, text("page")),
        (ID, text(id)),
        (VERSION, Literal::Long(version)),
        (VISIBILITY, text("org")),
        (OWNER, text("ada")),
    ]);
    row.insert(TEXT, text(&format!("{id} {version}")));
    row
}

/// The ledgers, and the clock.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    ledgers: RefCell<BTreeMap<String, (Rc<Ledger>, Sqlite2)>>,
    faults: Rc<Faults>,
    pub(crate) secs: Cell<i64>,
    pub(crate) calls: RefCell<Vec<String>>,
}

#[derive(Clone)]
struct Sqlite2(#[expect(dead_code, reason = "keeps the database")] Sqlite);

impl std::fmt::Debug for Sqlite2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sqlite")
    }
}

impl Peers {
    pub(crate) fn now(&self) -> Micros {
        Micros(T0 + self.secs.get() * 1_000_000)
    }

    pub(crate) fn ledger(&self, ns: &str) -> Rc<Ledger> {
        let mut ledgers = self.ledgers.borrow_mut();
        let (ledger, _) = ledgers.entry(ns.to_owned()).or_insert_with(|| {
            let db = Sqlite::new();
            (Rc::new(Ledger::new(Box::new(db.clone()), Options::default())), Sqlite2(db))
        });
        Rc::clone(ledger)
    }

    /// Loses a ledger.
    pub(crate) fn forget(&self, ns: &str) {
        self.ledgers.borrow_mut().remove(ns).unwrap();
    }

    pub(crate) fn namespaces(&self) -> Vec<String> {
        self.ledgers.borrow().keys().cloned().collect()
    }

    /// Publishes artifacts of type `page`; gives the version of each.
    pub(crate) fn publish(&self, ns: &str, ids: &[&str]) -> Vec<i64> {
        let ledger = self.ledger(ns);
        let standing = Standing {
            visibility: Some(Visibility::Public),
            deleted: false,
            expires_at: None,
            size_bytes: 3,
        };
        let json: Vec<String> = ids.iter().map(|id| format!(r#"{{"id":"{id}"}}"#)).collect();
        let rows: Vec<StagedRow<'_>> = ids
            .iter()
            .zip(&json)
            .zip(1..)
            .map(|((id, json), line)| StagedRow {
                line,
                artifact_type: "page",
                id,
                standing,
                hash: [7; 32],
                metadata_digest: [0; 16],
                if_version: None,
                json: json.as_bytes(),
            })
            .collect();
        let begin = Begin { key: None, fingerprint: b"f", ingest_id: "i", mode: Mode::Build };
        let Begun::Started(lease) = ledger.begin(self.now(), &begin).unwrap() else { panic!("not begun") };
        let chunk = StagedChunk { idx: 0, digest: b"d", rows: &rows };
        ledger.stage(self.now(), lease, &Owner::default(), &chunk).unwrap();
        let Committed::Done { summary, .. } =
            ledger.commit(self.now(), lease, 1, &mut |_| Vec::new()).unwrap()
        else {
            panic!("not committed")
        };
        ledger.touched(&summary, 0, 100).unwrap().iter().map(|touched| touched.version).collect()
    }

    /// Sends what is due; gives the versions sent.
    pub(crate) fn send(&self, ns: &str) -> usize {
        let ledger = self.ledger(ns);
        let mut sent = 0;
        while let Some(batch) = ledger.next_batch(self.now(), 1_000_000).unwrap() {
            sent += batch.versions.len();
            ledger.sent(self.now(), &batch).unwrap();
        }
        sent
    }
}

impl Clock for Peers {
    fn now(&self) -> Micros {
        Peers::now(self)
    }
}

impl LedgerPort for Peers {
    async fn call(&self, ns: &Namespace, message: Vec<u8>) -> Result<Vec<u8>, String> {
        let call = async || answer(&self.ledger(ns.as_str()), self.now(), &message).unwrap();
        self.calls.borrow_mut().push(ns.as_str().to_owned());
        self.faults.run(call).await.ok_or_else(|| "killed".to_owned())
    }
}

impl Ledgers for Peers {
    async fn list(&self, cursor: Option<&str>) -> Result<LedgersPage, String> {
        let from = cursor.map_or(0, |cursor| cursor.parse().unwrap());
        let all = self.namespaces();
        let page = all.iter().skip(from).take(2);
        let namespaces = page.map(|ns| Namespace::parse(ns).unwrap()).collect();
        let next = (from + 2 < all.len()).then(|| (from + 2).to_string());
        Ok(LedgersPage { namespaces, next })
    }
}

/// A table with its history.
pub(crate) struct World {
    pub(crate) table: Table,
    uuid: String,
    snapshots: Vec<Json>,
    snapshot_count: i64,
    current: Option<i64>,
    pub(crate) bucket: Bucket,
    pub(crate) peers: Peers,
}

impl World {
    pub(crate) fn new(format_version: u8) -> Self {
        let faults = Rc::<Faults>::default();
        let bucket = Bucket { faults: Rc::clone(&faults), ..Bucket::default() };
        let peers = Peers { faults, ..Peers::default() };
        let (snapshots, uuid) = (Vec::new(), "u0".to_owned());
        Self {
            table: new_table(format_version),
            uuid,
            snapshots,
            snapshot_count: 0,
            current: None,
            bucket,
            peers,
        }
    }

    /// Makes what was done to the table a snapshot, and the current one.
    pub(crate) fn snapshot(&mut self) -> i64 {
        self.snapshot_count += 1;
        let id = self.snapshot_count;
        let mut finished = self.table.clone();
        finished.prefix = format!("s3://lake/{}/s{id}/", self.uuid);
        let (lake, _) = finished.finish();
        let mut metadata = Json::Null;
        for (key, bytes) in lake.objects {
            match key.strip_prefix("generated/metadata/") {
                Some("v1.metadata.json") => metadata = serde_json::from_slice(&bytes).unwrap(),
                Some(_) => self.bucket.put(&format!("{}/s{id}/{key}", self.uuid), bytes),
                None => self.bucket.put(&format!("{}/{key}", self.uuid), bytes),
            }
        }
        let mut snapshot = metadata["snapshots"][0].take();
        snapshot["snapshot-id"] = json!(id);
        if let Some(parent) = self.current {
            snapshot["parent-snapshot-id"] = json!(parent);
        }
        self.snapshots.push(snapshot);
        self.current = Some(id);
        self.point(metadata);
        self.table.commit();
        id
    }

    fn point(&mut self, mut metadata: Json) {
        metadata["snapshots"] = json!(self.snapshots);
        metadata["current-snapshot-id"] = json!(self.current);
        metadata["refs"] = json!({});
        metadata["table-uuid"] = json!(self.uuid);
        let key = format!("{}/metadata/{}.json", self.uuid, self.bucket.put_count.get());
        self.bucket.put(&key, metadata.to_string().into());
        let pointer = Pointer { metadata_location: format!("s3://lake/{key}") };
        self.bucket.put(pointer_key("firn", "t").as_str(), pointer.render().into());
    }

    /// An object of the bucket.
    pub(crate) fn object(&self, key: &str) -> Bytes {
        let tail = ByteRange::Tail { len_bytes: 1 << 20 };
        block_on(self.bucket.read(&firn_types::object::ObjectKey::new(key), &tail)).unwrap().bytes
    }

    /// The pointer to the current metadata.
    pub(crate) fn pointer(&self) -> Bytes {
        self.object(pointer_key("firn", "t").as_str())
    }

    fn metadata(&self) -> Json {
        let pointer = Pointer::parse(&self.pointer()).unwrap();
        serde_json::from_slice(&self.object(pointer.metadata_location.strip_prefix("s3://lake/").unwrap()))
            .unwrap()
    }

    /// Makes an older snapshot, with the table as it was then, the current one.
    pub(crate) fn roll_back(&mut self, snapshot: i64, table: Table) {
        self.table = table;
        self.current = Some(snapshot);
        let metadata = self.metadata();
        self.point(metadata);
    }

    /// Forgets all snapshots but the current one, with their manifests and the data files that are no part of it.
    pub(crate) fn expire(&mut self) {
        let current = self.current.unwrap();
        self.snapshots.retain(|snapshot| snapshot["snapshot-id"] == json!(current));
        let metadata = self.metadata();
        self.point(metadata);
        let live: BTreeSet<String> =
            (0..self.table.data_count()).map(|idx| self.table.data_key(idx)).collect();
        for key in self.bucket.keys() {
            let is_old = |rest: &str| rest.starts_with('s') && !rest.starts_with(&format!("s{current}/"));
            let rest = key.split_once('/').map_or("", |(_, rest)| rest);
            let is_dead_data = rest.contains("data/rows-") && !live.contains(&key);
            if key.starts_with(&self.uuid) && (is_old(rest) || is_dead_data) {
                self.bucket.remove(&key);
            }
        }
    }

    /// Drops the table and makes one of the same name.
    pub(crate) fn make_anew(&mut self) {
        self.uuid = format!("u{}", self.bucket.put_count.get());
        self.table = new_table(self.table.format_version);
        self.table.prefix = format!("s3://lake/{}/", self.uuid);
        (self.snapshots, self.snapshot_count, self.current) = (Vec::new(), 0, None);
    }

    /// All live rows of all data files into one.
    pub(crate) fn compact(&mut self) {
        let rows: Vec<Row> = self.table.live_rows().into_iter().map(|(_, row)| row).collect();
        while self.table.data_count() > 0 {
            self.table.remove(0);
        }
        self.table.append(&rows);
    }

    pub(crate) fn config() -> FollowConfig {
        FollowConfig {
            tables: TableName::parse_list(TABLE).unwrap(),
            tell: Tell::Waiting { from: None },
            request_count_max: REQUEST_COUNT_MAX,
        }
    }

    pub(crate) async fn run(&self, config: &FollowConfig) -> Report {
        let lake = FollowedLake { store: &self.bucket, pointers: &BucketPointers, ledgers: &self.peers };
        follow_tables(&lake, &self.peers, config).await
    }

    /// Follows the table; it must come to its current snapshot.
    #[track_caller]
    pub(crate) fn follow(&self) -> Report {
        let report = block_on(self.run(&Self::config()));
        let table = &report.tables[0];
        assert_eq!(table.ending.as_str(), "current", "{report:?}");
        assert!(report.tell_error.is_none(), "{report:?}");
        report
    }

    pub(crate) fn followed(&self) -> Option<Followed> {
        let tail = ByteRange::Tail { len_bytes: 1 << 20 };
        let read = block_on(self.bucket.read(&followed_key("firn", "t"), &tail)).ok()?;
        Some(Followed::parse(&read.bytes).unwrap())
    }

    /// Every key that was ever in the table is known as the table has it.
    #[track_caller]
    pub(crate) fn check(&self, keys: &BTreeSet<(String, String)>) {
        self.check_keys(keys, false);
    }

    /// As [`Self::check`], but a ledger may leave it to the lookup.
    #[track_caller]
    pub(crate) fn check_or_elsewhere(&self, keys: &BTreeSet<(String, String)>) {
        self.check_keys(keys, true);
    }

    pub(crate) const fn has_snapshot(&self) -> bool {
        self.current.is_some()
    }

    #[track_caller]
    fn check_keys(&self, keys: &BTreeSet<(String, String)>, may_be_elsewhere: bool) {
        let mut expected: BTreeMap<(String, String), (i64, String, u64)> = BTreeMap::new();
        for ((_, key, position), row) in self.table.live_rows() {
            let part = |id: i32| match &row[&id] {
                Literal::String(text) => text.clone(),
                other => panic!("{other:?}"),
            };
            let Literal::Long(version) = row[&VERSION] else { panic!("no version") };
            let of = expected.entry((part(NS), part(ID))).or_default();
            if version > of.0 {
                *of = (version, format!("{}/{key}", self.uuid), position);
            }
        }
        for (ns, id) in keys {
            let read = self.peers.ledger(ns).read("page", id).unwrap();
            let expected = expected.get(&(ns.clone(), id.clone()));
            match (read, expected) {
                (Read::Unknown { .. }, None) => {}
                (Read::Known(known), _)
                    if may_be_elsewhere && matches!(known.place, Place::Elsewhere { .. }) => {}
                (Read::Known(known), Some((version, file, row))) => {
                    assert_eq!(known.version, *version, "{ns} {id}");
                    match known.place {
                        Place::Located(found) => {
                            assert_eq!((&found.file, found.row), (file, *row), "{ns} {id}");
                        }
                        Place::Content(_) => {}
                        Place::Elsewhere { .. } => panic!("{ns} {id} is elsewhere"),
                    }
                }
                (read, expected) => panic!("{ns} {id}: {read:?}, not {expected:?}"),
            }
        }
    }

    /// All that the ledgers know, for comparison.
    pub(crate) fn state(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for ns in self.peers.namespaces() {
            let ledger = self.peers.ledger(&ns);
            let versions = ledger.versions_page(None, 1_000).unwrap().into_iter().map(|version| {
                let number = version.version();
                format!("{ns} {number} {:?}", ListedVersion { cursor: (0, 0), ..version })
            });
            lines.extend(versions);
            lines.extend(
                ledger.files_page(TABLE, "", 1_000).unwrap().iter().map(|file| format!("{ns} {file}")),
            );
            let mut status = ledger.status().unwrap();
            if status.sent_count == 0 {
                // Whoever waits for nothing need not hear of it.
                status.followed.clear();
            }
            lines.push(format!("{ns} {status:?}"));
        }
        lines.sort();
        lines.push(format!("{:?}", self.followed()));
        lines
    }
}

fn new_table(format_version: u8) -> Table {
    let column = |id, name: &str, ty| Column { id, name: name.to_owned(), ty, initial_default: None };
    let columns = vec![
        column(NS, "ns", PrimitiveType::String),
        column(TYPE, "type", PrimitiveType::String),
        column(ID, "id", PrimitiveType::String),
        column(VERSION, "version", PrimitiveType::Long),
        column(VISIBILITY, "visibility", PrimitiveType::String),
        column(OWNER, "owner_sub", PrimitiveType::String),
        column(TEXT, "html", PrimitiveType::String),
    ];
    let mut table = Table::new(format_version, columns, Vec::new());
    "s3://lake/u0/".clone_into(&mut table.prefix);
    table.commit();
    table
}

/// The keys of rows.
pub(crate) fn keys(rows: &[Row]) -> BTreeSet<(String, String)> {
    let part = |row: &Row, id: i32| match &row[&id] {
        Literal::String(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    rows.iter().map(|row| (part(row, NS), part(row, ID))).collect()
}
