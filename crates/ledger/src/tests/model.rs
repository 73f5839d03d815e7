//! Random interleavings of requests, sends, the follower, other engines, clock steps and crashes, against a model that
//! is a few maps.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    rc::Rc,
};

use proptest::prelude::*;

use super::*;
use crate::{
    outbox::SendFailure,
    sql::{End, Param, Sql, SqlError, Value},
};

/// When the next transaction kills the object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Crash {
    BeforeCommit,
    AfterCommit,
}

#[derive(Clone)]
pub(super) struct Crashing {
    pub(super) db: Sqlite,
    pub(super) next: Rc<Cell<Option<Crash>>>,
}

impl Sql for Crashing {
    fn execute(
        &self,
        statement: &'static str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(Vec<Value>) -> ControlFlow<()>,
    ) -> Result<(), SqlError> {
        self.db.execute(statement, params, each)
    }

    fn transaction(&self, body: &mut dyn FnMut() -> End) -> Result<(), SqlError> {
        let crash = self.next.take();
        self.db.transaction(&mut || match (body(), crash) {
            (_, Some(Crash::BeforeCommit)) => End::Rollback,
            (end, _) => end,
        })?;
        if crash.is_some() { Err(SqlError { message: "crash".to_owned() }) } else { Ok(()) }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Begin {
        key: u8,
    },
    /// Lines: the id, and whether it is new content, the current content again, or a tombstone.
    Stage {
        slot: usize,
        lines: Vec<(u8, u8)>,
    },
    StageAgain {
        slot: usize,
    },
    Commit {
        slot: usize,
    },
    Abort {
        slot: usize,
    },
    Send {
        fate: u8,
    },
    Flush,
    Follow {
        repeat: usize,
    },
    Compact,
    DeleteRow {
        pick: usize,
    },
    /// The file is rewritten without the row.
    LeaveOut {
        pick: usize,
    },
    Sweep,
    Tick {
        secs: i64,
    },
    Crash {
        after: bool,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let slot = 0..4_usize;
    let lines = proptest::collection::vec((0..5_u8, 0..8_u8), 0..5);
    let op = prop_oneof![
        3 => (0..4_u8).prop_map(|key| Op::Begin { key }),
        6 => (slot.clone(), lines).prop_map(|(slot, lines)| Op::Stage { slot, lines }),
        1 => slot.clone().prop_map(|slot| Op::StageAgain { slot }),
        5 => slot.clone().prop_map(|slot| Op::Commit { slot }),
        1 => slot.prop_map(|slot| Op::Abort { slot }),
        4 => (0..10_u8).prop_map(|fate| Op::Send { fate }),
        3 => Just(Op::Flush),
        4 => (0..8_usize).prop_map(|repeat| Op::Follow { repeat }),
        1 => Just(Op::Compact),
        1 => any::<usize>().prop_map(|pick| Op::DeleteRow { pick }),
        1 => any::<usize>().prop_map(|pick| Op::LeaveOut { pick }),
        2 => Just(Op::Sweep),
        3 => prop_oneof![Just(1), Just(20), Just(31), Just(100), Just(901), Just(-10)].prop_map(|secs| Op::Tick { secs }),
        2 => any::<bool>().prop_map(|after| Op::Crash { after }),
    ];
    proptest::collection::vec(op, 1..120)
}

/// What a version says.
#[derive(Clone, Debug, PartialEq)]
struct Fact {
    json: String,
    deleted: bool,
}

struct Slot {
    lease: Lease,
    key: u8,
    chunks: Vec<Vec<Line>>,
    until: i64,
    is_lost: bool,
}

/// A row in the lake.
#[derive(Clone, Debug)]
struct LakeRow {
    id: String,
    version: i64,
    is_deleted: bool,
}

struct LakeFile {
    path: String,
    sequence: i64,
    rows: Vec<LakeRow>,
    is_live: bool,
}

#[derive(Clone, Debug)]
enum Report {
    Added(usize),
    Removed(usize),
    Deleted(usize, usize),
}

struct World {
    db: Crashing,
    ledger: Ledger,
    now: i64,
    slots: Vec<Slot>,
    /// Until when a key is held by a request that a crash has hidden.
    hidden: BTreeMap<u8, i64>,
    facts: BTreeMap<String, BTreeMap<i64, Fact>>,
    content_count: usize,
    /// Taken by the stream, not in the lake yet.
    stream: Vec<(String, i64)>,
    files: Vec<LakeFile>,
    reports: Vec<Report>,
    followed_count: usize,
    /// Artifacts of which another engine deleted rows.
    hit: BTreeSet<String>,
}

impl World {
    fn new() -> Self {
        let db = Crashing { db: Sqlite::new(), next: Rc::default() };
        Self {
            ledger: Ledger::new(Box::new(db.clone()), Options::default()),
            db,
            now: 0,
            slots: vec![],
            hidden: BTreeMap::new(),
            facts: BTreeMap::new(),
            content_count: 0,
            stream: vec![],
            files: vec![],
            reports: vec![],
            followed_count: 0,
            hit: BTreeSet::new(),
        }
    }

    /// Calls the ledger; after a crash, once more on what the database kept.
    fn call<T>(&mut self, call: impl Fn(&Ledger) -> Result<T, LedgerError>) -> Result<T, LedgerError> {
        match call(&self.ledger) {
            Err(LedgerError::Sql(error)) => {
                assert_eq!(error.message, "crash");
                self.ledger = Ledger::new(Box::new(self.db.clone()), Options::default());
                call(&self.ledger)
            }
            result => result,
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Begin { key } => self.begin(key),
            Op::Stage { slot, lines } => self.stage(slot, &lines),
            Op::StageAgain { slot } => {
                if let Some(idx) = self.slots.get(slot).and_then(|s| s.chunks.len().checked_sub(1)) {
                    self.put_chunk(slot, idx);
                }
            }
            Op::Commit { slot } => self.commit(slot),
            Op::Abort { slot } => {
                if let Some(lease) = self.slots.get(slot).map(|s| s.lease) {
                    self.call(|ledger| ledger.abort(lease)).unwrap();
                    self.slots[slot].is_lost = true;
                }
            }
            Op::Send { fate } => self.send(fate),
            Op::Flush => self.flush(),
            Op::Follow { repeat } => self.follow(repeat),
            Op::Compact => self.compact(),
            Op::DeleteRow { pick } => {
                if let Some((file, row)) = self.delete_row(pick) {
                    self.reports.push(Report::Deleted(file, row));
                }
            }
            Op::LeaveOut { pick } => {
                if let Some((file, _)) = self.delete_row(pick) {
                    self.rewrite(&[file]);
                }
            }
            Op::Sweep => {
                let now = at(self.now);
                self.call(|ledger| ledger.sweep(now)).unwrap();
                for slot in &mut self.slots {
                    slot.is_lost |= slot.until + 600 <= self.now;
                }
            }
            Op::Tick { secs } => self.now += secs,
            Op::Crash { after } => {
                self.db.next.set(Some(if after { Crash::AfterCommit } else { Crash::BeforeCommit }));
            }
        }
    }

    fn begin(&mut self, key: u8) {
        let now = at(self.now);
        let bytes = [key];
        let request = Begin {
            key: (key > 0).then_some(bytes.as_slice()),
            fingerprint: b"",
            ingest_id: "i",
            mode: if key == 1 { Mode::Preview } else { Mode::Build },
        };
        let has_crashed = self.db.next.get() == Some(Crash::AfterCommit);
        let begun = self.call(|ledger| ledger.begin(now, &request)).unwrap();
        let (lease, chunks) = match begun {
            Begun::Started(lease) => (lease, vec![]),
            Begun::TakenOver(before) => {
                // Without a holder the crash hid its lease, and it staged nothing.
                let holder = self.slots.iter_mut().find(|s| s.lease.ingest == before.lease.ingest);
                let chunks = holder.map_or_else(Vec::new, |slot| {
                    assert!(slot.until <= self.now, "taken over while the lease held");
                    slot.is_lost = true;
                    std::mem::take(&mut slot.chunks)
                });
                assert_eq!(before.chunk_count, chunks.len() as u64);
                (before.lease, chunks)
            }
            Begun::InFlight { .. } => {
                if has_crashed {
                    self.hidden.insert(key, self.now + 30);
                    // It was taken over, and nobody knows by which lease.
                    for slot in
                        self.slots.iter_mut().filter(|s| s.key == key && s.until <= self.now && !s.is_lost)
                    {
                        (slot.is_lost, slot.until) = (true, self.now + 30);
                    }
                }
                let is_held = |slot: &Slot| slot.key == key && slot.until > self.now;
                let is_hidden = self.hidden.get(&key).is_some_and(|until| *until > self.now);
                assert!(is_hidden || self.slots.iter().any(is_held), "in flight, and nobody flies");
                return;
            }
            Begun::Finished { .. } => return,
            Begun::Mismatch => panic!("one fingerprint"),
        };
        assert!(!self.slots.iter().any(|s| s.key == key && key > 0 && !s.is_lost), "two holders of one key");
        self.slots.insert(0, Slot { lease, key, chunks, until: self.now + 30, is_lost: false });
    }

    /// The newest fact of an artifact.
    fn newest(&self, id: &str) -> Option<&Fact> {
        self.facts.get(id).and_then(|versions| versions.values().next_back())
    }

    fn stage(&mut self, slot: usize, lines: &[(u8, u8)]) {
        if slot >= self.slots.len() {
            return;
        }
        let mut chunk = vec![];
        for (id, kind) in lines {
            let id = format!("a{id}");
            self.content_count += 1;
            let json = match (kind, self.newest(&id)) {
                // The current content again, where no other engine decides what that is.
                (0..3, Some(fact)) if !self.hit.contains(&id) => fact.json.clone(),
                _ => format!(r#"{{"n":{}}}"#, self.content_count),
            };
            let mut made = line(&id, &json);
            made.json = json;
            made.standing.deleted = *kind == 7;
            chunk.push(made);
        }
        self.slots[slot].chunks.push(chunk);
        if !self.put_chunk(slot, self.slots[slot].chunks.len() - 1) {
            self.slots[slot].chunks.pop();
        }
    }

    fn put_chunk(&mut self, slot: usize, idx: usize) -> bool {
        let now = at(self.now);
        let Slot { lease, chunks, .. } = &self.slots[slot];
        let (lease, lines) = (*lease, &chunks[idx]);
        let rows: Vec<StagedRow<'_>> =
            lines.iter().zip(idx as u64 * 100..).map(|(l, n)| l.staged(n)).collect();
        let digest: Vec<u8> = lines.iter().flat_map(|l| l.json.bytes()).chain(idx.to_be_bytes()).collect();
        let chunk = StagedChunk { idx: idx as u64, digest: &digest, rows: &rows };
        let stage = |ledger: &Ledger| ledger.stage(now, lease, &owner(), &chunk);
        let staged = match stage(&self.ledger) {
            Err(LedgerError::Sql(_)) => {
                self.ledger = Ledger::new(Box::new(self.db.clone()), Options::default());
                stage(&self.ledger)
            }
            staged => staged,
        };
        match staged {
            Ok(Staged::Taken | Staged::TakenBefore) => {
                assert!(!self.slots[slot].is_lost);
                self.slots[slot].until = self.now + 30;
                true
            }
            Err(LedgerError::LeaseLost) => {
                assert!(self.slots[slot].is_lost);
                false
            }
            other => panic!("{other:?}"),
        }
    }

    fn commit(&mut self, slot: usize) {
        if slot >= self.slots.len() {
            return;
        }
        let (now, lease) = (at(self.now), self.slots[slot].lease);
        let chunk_count = self.slots[slot].chunks.len() as u64;
        let last_version = self.ledger.status().unwrap().last_version;
        let answer = |s: &Summary| s.written_count.to_string().into_bytes();
        let committed = self.call(|ledger| ledger.commit(now, lease, chunk_count, &mut { answer }));
        let summary = match committed {
            Ok(Committed::Done { summary, answer: given }) => {
                assert_eq!(given, answer(&summary));
                summary
            }
            Err(LedgerError::LeaseLost) => {
                assert!(self.slots[slot].is_lost);
                return;
            }
            other => panic!("{other:?}"),
        };
        let Slot { chunks, .. } = self.slots.remove(slot);
        let mut version = summary.first_version.unwrap_or_default();
        assert!(summary.written_count == 0 || version > last_version && version >= now.0);
        let (mut written_count, mut unchanged_count) = (0, 0);
        for line in chunks.into_iter().flatten() {
            let fact = Fact { json: line.json, deleted: line.standing.deleted };
            if !fact.deleted && self.newest(&line.id) == Some(&fact) && !self.hit.contains(&line.id) {
                unchanged_count += 1;
                continue;
            }
            self.facts.entry(line.id).or_default().insert(version, fact);
            version += 1;
            written_count += 1;
        }
        assert_eq!((summary.written_count, summary.unchanged_count), (written_count, unchanged_count));
    }

    fn send(&mut self, fate: u8) {
        let now = at(self.now);
        let Some(batch) = self.ledger.next_batch(now, 100).unwrap() else { return };
        let failure = match fate {
            0 => Some(SendFailure::Refused),
            1 => Some(SendFailure::Unavailable { retry_after: None }),
            _ => None,
        };
        if failure.is_none() {
            let mut rest = std::str::from_utf8(&batch.json).unwrap();
            for version in &batch.versions {
                let id = self.facts.iter().find(|(_, versions)| versions.contains_key(version)).unwrap().0;
                let expected = format!(r#"{{"version":{version},{}"#, &self.facts[id][version].json[1..]);
                rest = rest[1..].strip_prefix(&expected).unwrap();
                // Some are dropped, some doubled.
                let copies = match (fate, version % 3) {
                    (2, 0) => 0,
                    (3, 0) => 2,
                    _ => 1,
                };
                self.stream.extend(std::iter::repeat_n((id.clone(), *version), copies));
            }
            assert_eq!(rest, "]");
        }
        // The object may die between the send and its note; nobody repeats the call.
        let noted = match failure {
            None => self.ledger.sent(now, &batch),
            Some(failure) => self.ledger.send_failed(now, &batch, failure),
        };
        assert!(matches!(noted, Ok(()) | Err(LedgerError::Sql(_))));
    }

    fn add_file(&mut self, rows: Vec<LakeRow>) {
        let sequence = sequence(self.files.len()) + 1;
        self.files.push(LakeFile { path: format!("f{sequence}"), sequence, rows, is_live: true });
        self.reports.push(Report::Added(self.files.len() - 1));
    }

    fn flush(&mut self) {
        if self.stream.is_empty() {
            return;
        }
        let rows = std::mem::take(&mut self.stream);
        self.add_file(
            rows.into_iter().map(|(id, version)| LakeRow { id, version, is_deleted: false }).collect(),
        );
    }

    fn compact(&mut self) {
        let live: Vec<usize> = (0..self.files.len()).filter(|file| self.files[*file].is_live).collect();
        if !live.is_empty() {
            self.rewrite(&live);
        }
    }

    /// Live files become one.
    fn rewrite(&mut self, files: &[usize]) {
        let mut rows = vec![];
        for idx in files {
            let file = &mut self.files[*idx];
            rows.extend(file.rows.iter().filter(|row| !row.is_deleted).cloned());
            file.is_live = false;
        }
        self.add_file(rows);
        self.reports.extend(files.iter().map(|idx| Report::Removed(*idx)));
    }

    fn delete_row(&mut self, pick: usize) -> Option<(usize, usize)> {
        let live: Vec<(usize, usize)> = (0..self.files.len())
            .filter(|file| self.files[*file].is_live)
            .flat_map(|file| (0..self.files[file].rows.len()).map(move |row| (file, row)))
            .filter(|(file, row)| !self.files[*file].rows[*row].is_deleted)
            .collect();
        if live.is_empty() {
            return None;
        }
        let (file, row) = live[pick % live.len()];
        let deleted = &mut self.files[file].rows[row];
        // A staged row may repeat it; whether that is unchanged would depend on what was followed.
        if self.slots.iter().flat_map(|s| s.chunks.iter().flatten()).any(|line| line.id == deleted.id) {
            return None;
        }
        deleted.is_deleted = true;
        self.hit.insert(deleted.id.clone());
        Some((file, row))
    }

    /// The follower reports what is new, then an older report again, as one that runs late would.
    fn follow(&mut self, repeat: usize) {
        while self.followed_count < self.reports.len() {
            self.report(self.followed_count);
            self.followed_count += 1;
        }
        if let Some(late) = self.reports.len().checked_sub(repeat + 1) {
            self.report(late);
        }
        let (now, sequence) = (at(self.now), sequence(self.reports.len()));
        self.call(|ledger| ledger.followed(now, "t", Some(sequence), sequence)).unwrap();
    }

    fn report(&mut self, idx: usize) {
        let now = at(self.now);
        match self.reports[idx].clone() {
            Report::Added(file_idx) => {
                let LakeFile { path, sequence, rows, .. } = &self.files[file_idx];
                let (path, sequence) = (path.clone(), *sequence);
                let rows: Vec<SeenRow> = rows
                    .iter()
                    .zip(0..)
                    .map(|(row, n)| {
                        let fact = &self.facts[&row.id][&row.version];
                        let mut made = line(&row.id, &fact.json);
                        made.standing.deleted = fact.deleted;
                        seen(&made, row.version, n)
                    })
                    .collect();
                self.call(|ledger| ledger.confirm(now, &file(&path, sequence), &rows)).unwrap();
            }
            Report::Removed(file_idx) => {
                let path = self.files[file_idx].path.clone();
                self.call(|ledger| ledger.files_removed(now, "t", &[&path])).unwrap();
            }
            Report::Deleted(file_idx, row) => {
                let LakeFile { path, sequence, .. } = &self.files[file_idx];
                let (path, sequence) = (path.clone(), *sequence);
                self.call(|ledger| ledger.rows_deleted(&file(&path, sequence), &[row as u64])).unwrap();
            }
        }
    }

    /// The highest live version in the lake: a lookup by manifests.
    fn lookup(&self, id: &str) -> Option<i64> {
        let live = self.files.iter().filter(|file| file.is_live).flat_map(|file| &file.rows);
        live.filter(|row| row.id == id && !row.is_deleted).map(|row| row.version).max()
    }

    /// A read, as serve does it.
    fn read(&self, id: &str) -> Option<i64> {
        let known = match self.ledger.read("page", id).unwrap() {
            // Whoever followed less than all looks at the rest.
            Read::Unknown { .. } if self.followed_count == self.reports.len() => return None,
            Read::Unknown { .. } => return self.lookup(id),
            Read::Known(known) => known,
        };
        let fact = &self.facts[id][&known.version];
        assert_eq!(known.standing.deleted, fact.deleted);
        match known.place {
            Place::Content(json) => {
                assert_eq!(
                    json,
                    format!(r#"{{"version":{},{}"#, known.version, &fact.json[1..]).into_bytes()
                );
                Some(known.version)
            }
            Place::Located(location) => {
                let file = self.files.iter().find(|file| file.path == location.file).unwrap();
                let row = &file.rows[usize::try_from(location.row).unwrap()];
                assert_eq!((row.id.as_str(), row.version), (id, known.version));
                if file.is_live && !row.is_deleted { Some(known.version) } else { self.lookup(id) }
            }
            Place::Elsewhere { beneath } => self.lookup(id).max(beneath.map(|known| known.version)),
        }
    }

    fn check(&self) {
        for (id, versions) in &self.facts {
            let found = self.read(id);
            if !self.hit.contains(id) {
                assert_eq!(found, versions.keys().next_back().copied(), "{id}");
            } else if self.followed_count == self.reports.len() {
                let was_flushed = |version: &i64| {
                    self.files
                        .iter()
                        .flat_map(|f| &f.rows)
                        .any(|row| row.id == *id && row.version == *version)
                };
                let waiting = versions.keys().copied().filter(|version| !was_flushed(version)).max();
                assert_eq!(found, self.lookup(id).max(waiting), "{id}");
            }
        }
        if !self.ledger.is_ready().unwrap() {
            return;
        }
        let db = &self.db.db;
        let held = db.number(
            "SELECT COALESCE((SELECT SUM(len_bytes) FROM staged), 0) \
             + COALESCE((SELECT SUM(len_bytes) FROM outbox WHERE lane % 8 < 7), 0)",
        );
        let status = self.ledger.status().unwrap();
        assert_eq!(status.held_len_bytes, u64::try_from(held).unwrap());
        assert_eq!(status.version_count, u64::try_from(db.number("SELECT COUNT(*) FROM versions")).unwrap());
        let orphans = db.number(
            "SELECT COUNT(*) FROM content WHERE content NOT IN (SELECT content FROM outbox) \
             AND content NOT IN (SELECT content FROM staged)",
        );
        assert_eq!(orphans, 0);
    }

    /// Everything works from now on: what was acknowledged ends in the lake, and nothing stays behind.
    fn settle(&mut self) {
        self.db.next.set(None);
        self.begin(0);
        self.now += 10_000;
        for _ in 0..8 {
            while let Some(batch) = self.ledger.next_batch(at(self.now), 100).unwrap() {
                for version in &batch.versions {
                    let id =
                        self.facts.iter().find(|(_, versions)| versions.contains_key(version)).unwrap().0;
                    self.stream.push((id.clone(), *version));
                }
                self.ledger.sent(at(self.now), &batch).unwrap();
            }
            self.flush();
            self.follow(0);
            self.now += 1_000;
            while self.ledger.sweep(at(self.now)).unwrap().upkeep == crate::sweep::Upkeep::More {}
            self.check();
        }
        let db = &self.db.db;
        let status = self.ledger.status().unwrap();
        assert_eq!(
            status.unsent_count + status.sent_count + status.confirmed_count + status.running_count,
            0
        );
        assert_eq!(db.number("SELECT COUNT(*) FROM content"), i64::try_from(status.parked_count).unwrap());
        assert_eq!(db.number("SELECT COUNT(*) FROM staged"), 0);
        let in_lake: BTreeSet<i64> = self.files.iter().flat_map(|f| &f.rows).map(|row| row.version).collect();
        let parked: BTreeSet<i64> =
            self.ledger.parked(0, 1_000).unwrap().into_iter().map(|p| p.version).collect();
        for version in self.facts.values().flat_map(BTreeMap::keys) {
            assert!(in_lake.contains(version) != parked.contains(version), "{version}");
        }
    }
}

fn sequence(count: usize) -> i64 {
    i64::try_from(count).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_lost_or_mixed_up(ops in ops()) {
        let mut world = World::new();
        for op in ops {
            world.apply(op);
            world.check();
        }
        world.settle();
    }
}
