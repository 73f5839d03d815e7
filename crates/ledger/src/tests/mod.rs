mod durability;
mod lake;
mod leases;
mod model;
mod outbox;
mod publishing;
mod schema;

#[path = "../../tests/support/sqlite.rs"]
mod sqlite;

use firn_types::{mode::Mode, time::Micros, visibility::Visibility};

use crate::{
    Ledger, LedgerError,
    confirm::{DataFile, SeenRow},
    lease::{Begin, Begun, Lease},
    limits::Options,
    publish::{Committed, Conflict, Staged, StagedChunk, Summary},
    read::{Known, Place, Read},
    row::{Owner, StagedRow, Standing},
    tests::sqlite::Sqlite,
};

pub(crate) const T0: i64 = 1_800_000_000_000_000;

/// So many seconds after the tests' beginning.
pub(crate) fn at(secs: i64) -> Micros {
    Micros(T0 + secs * 1_000_000)
}

pub(crate) fn open() -> (Ledger, Sqlite) {
    open_with(Options::default())
}

pub(crate) fn open_with(options: Options) -> (Ledger, Sqlite) {
    let db = Sqlite::new();
    (Ledger::new(Box::new(db.clone()), options), db)
}

pub(crate) fn owner() -> Owner {
    Owner { iss: Some("https://issuer".to_owned()), org: None, sub: Some("ada".to_owned()) }
}

pub(crate) fn public() -> Standing {
    Standing { visibility: Some(Visibility::Public), deleted: false, expires_at: None, size_bytes: 3 }
}

/// A row of type `page` whose content is `content`.
pub(crate) struct Line {
    pub(crate) id: String,
    pub(crate) json: String,
    pub(crate) hash: [u8; 32],
    pub(crate) standing: Standing,
    pub(crate) metadata_digest: [u8; 16],
    pub(crate) if_version: Option<i64>,
}

pub(crate) fn line(id: &str, content: &str) -> Line {
    let mut hash = [0_u8; 32];
    for (idx, byte) in content.bytes().enumerate() {
        hash[idx % 32] = byte.wrapping_add(hash[idx % 32].rotate_left(3));
    }
    Line {
        id: id.to_owned(),
        json: format!(r#"{{"id":"{id}","html":"{content}"}}"#),
        hash,
        standing: public(),
        metadata_digest: [0; 16],
        if_version: None,
    }
}

impl Line {
    pub(crate) fn staged(&self, line: u64) -> StagedRow<'_> {
        StagedRow {
            line,
            artifact_type: "page",
            id: &self.id,
            standing: self.standing,
            hash: self.hash,
            metadata_digest: self.metadata_digest,
            if_version: self.if_version,
            json: self.json.as_bytes(),
        }
    }
}

pub(crate) fn begin(ledger: &Ledger, now: Micros, key: Option<&[u8]>) -> Begun {
    let begin = Begin { key, fingerprint: b"f", ingest_id: "i", mode: Mode::Build };
    ledger.begin(now, &begin).unwrap()
}

#[track_caller]
pub(crate) fn start(ledger: &Ledger, now: Micros) -> Lease {
    match begin(ledger, now, None) {
        Begun::Started(lease) => lease,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(crate) fn stage(ledger: &Ledger, now: Micros, lease: Lease, idx: u64, lines: &[Line]) -> Staged {
    let rows: Vec<StagedRow<'_>> = lines.iter().zip(idx * 1_000 + 1..).map(|(l, n)| l.staged(n)).collect();
    let digest: Vec<u8> = lines.iter().flat_map(|l| l.json.bytes()).collect();
    ledger.stage(now, lease, &owner(), &StagedChunk { idx, digest: &digest, rows: &rows }).unwrap()
}

pub(crate) fn commit(ledger: &Ledger, now: Micros, lease: Lease, chunk_count: u64) -> Committed {
    ledger.commit(now, lease, chunk_count, &mut |s| s.written_count.to_string().into_bytes()).unwrap()
}

/// Publishes lines as one request.
#[track_caller]
pub(crate) fn publish(ledger: &Ledger, now: Micros, lines: &[Line]) -> Summary {
    let lease = start(ledger, now);
    assert_eq!(stage(ledger, now, lease, 0, lines), Staged::Taken);
    match commit(ledger, now, lease, 1) {
        Committed::Done { summary, .. } => summary,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(crate) fn known(ledger: &Ledger, id: &str) -> Known {
    match ledger.read("page", id).unwrap() {
        Read::Known(known) => known,
        other @ Read::Unknown { .. } => panic!("{id}: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn content(ledger: &Ledger, id: &str) -> String {
    match known(ledger, id).place {
        Place::Content(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{id}: {other:?}"),
    }
}

pub(crate) fn file(path: &str, sequence: i64) -> DataFile<'_> {
    DataFile { table: "t", path, sequence }
}

/// The row of a version that a publish of `line` wrote.
pub(crate) fn seen(line: &Line, version: i64, row: u64) -> SeenRow {
    SeenRow {
        artifact_type: "page".to_owned(),
        id: line.id.clone(),
        version: Some(version),
        owner: owner(),
        standing: line.standing,
        hash: Some(line.hash),
        row,
    }
}
