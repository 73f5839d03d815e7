//! Half an hour of load in simulated time: a writer each second, a stream that is down for ten minutes, loses rows or
//! stores them twice, an object that dies at a hundred points, a follower that dies between its calls. Afterwards every
//! acknowledged version is there once, nothing waits, and nothing is parked.

use std::{collections::BTreeMap, rc::Rc};

use super::{
    model::{Crash, Crashing},
    *,
};
use crate::{outbox::SendFailure, sweep::Upkeep};

/// How long the writer writes; and how long it then takes a row to be sent and lost three times.
const LOAD_SECS: i64 = 1_800;
const QUIET_SECS: i64 = 3 * 3_600;
const ROLL_SECS: i64 = 60;
const DOWN: std::ops::Range<i64> = 300..900;
const CRASH_COUNT: u64 = 100;
const KEY_COUNT: u64 = 400;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stream {
    Sound,
    /// Confirms, and drops one row in twenty.
    Dropping,
    /// Stores one row in twenty twice.
    Doubling,
}

/// xorshift64*: the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below
    }
}

struct World {
    db: Crashing,
    ledger: Ledger,
    now: i64,
    random: Random,
    stream: Stream,
    crashes_left: u64,
    /// What was acknowledged: the content of each version.
    acknowledged: BTreeMap<i64, Line>,
    /// Taken by the stream and not in a file yet; then the files.
    taken: Vec<i64>,
    files: Vec<Vec<i64>>,
    followed_count: usize,
    dropped_count: usize,
}

impl World {
    fn new(stream: Stream, seed: u64) -> Self {
        let db = Crashing { db: Sqlite::new(), next: Rc::default() };
        let ledger = Ledger::new(Box::new(db.clone()), Options::default());
        let (acknowledged, random) = (BTreeMap::new(), Random(seed));
        Self {
            db,
            ledger,
            now: 0,
            random,
            stream,
            crashes_left: CRASH_COUNT,
            acknowledged,
            taken: vec![],
            files: vec![],
            followed_count: 0,
            dropped_count: 0,
        }
    }

    /// Calls the ledger, which may die before or after its transaction; then a new one is there over what was kept, and
    /// `None` is the answer that nobody got.
    fn call<T>(&mut self, call: impl FnOnce(&Ledger) -> Result<T, LedgerError>) -> Option<T> {
        if self.crashes_left > 0 && self.random.next(40) == 0 {
            let crash = if self.random.next(2) == 0 { Crash::BeforeCommit } else { Crash::AfterCommit };
            self.db.next.set(Some(crash));
        }
        let result = call(&self.ledger);
        if self.db.next.take().is_none()
            && matches!(&result, Err(LedgerError::Sql(e)) if e.message == "crash")
        {
            self.crashes_left -= 1;
            self.ledger = Ledger::new(Box::new(self.db.clone()), Options::default());
            return None;
        }
        Some(result.unwrap())
    }

    /// One publish of a few records; a request that meets a crash is asked again as ingest does, and given up with its
    /// abort where that is what the crash leaves.
    fn write(&mut self) {
        let count = 1 + self.random.next(4);
        let lines: Vec<Line> = (0..count)
            .map(|_| line(&format!("k{}", self.random.next(KEY_COUNT)), &format!("{} {count}", self.now)))
            .collect();
        let now = at(self.now);
        let begin = Begin { key: None, fingerprint: b"", ingest_id: "i", mode: Mode::Build };
        let Some(Begun::Started(lease)) = self.call(|ledger| ledger.begin(now, &begin)) else { return };
        let rows: Vec<StagedRow<'_>> = lines.iter().zip(1..).map(|(line, nth)| line.staged(nth)).collect();
        let chunk = StagedChunk { idx: 0, digest: b"d", rows: &rows };
        for _ in 0..3 {
            let Some(staged) = self.call(|ledger| ledger.stage(now, lease, &owner(), &chunk)) else {
                continue;
            };
            assert!(matches!(staged, Staged::Taken | Staged::TakenBefore), "{staged:?}");
            break;
        }
        for _ in 0..3 {
            let committed = self.call(|ledger| match ledger.commit(now, lease, 1, &mut |_| vec![]) {
                Err(LedgerError::Incomplete) => Ok(None),
                committed => committed.map(Some),
            });
            match committed {
                Some(Some(Committed::Done { summary, .. })) => return self.acknowledge(&summary, lines),
                Some(other) => assert_eq!(other, None),
                None => {}
            }
        }
        self.call(|ledger| ledger.abort(lease));
    }

    /// Versions are given in line order; what equals the line before it, or what is current, got none.
    fn acknowledge(&mut self, summary: &Summary, lines: Vec<Line>) {
        let (Some(first), written) = (summary.first_version, summary.written_count) else { return };
        let mut lines = lines;
        let mut seen = Vec::<(String, [u8; 32])>::new();
        lines.retain(|line| {
            let repeats =
                seen.iter().rev().find(|(id, _)| *id == line.id).is_some_and(|(_, hash)| *hash == line.hash);
            seen.push((line.id.clone(), line.hash));
            !repeats
        });
        assert_eq!(lines.len() as u64, written);
        self.acknowledged.extend((first..).zip(lines));
    }

    /// The alarm of the object.
    fn alarm(&mut self) {
        loop {
            let now = at(self.now);
            let Some(Some(batch)) = self.call(|ledger| ledger.next_batch(now, 2_000)) else { break };
            if DOWN.contains(&self.now) {
                let failure = SendFailure::Unavailable { retry_after: None };
                self.call(|ledger| ledger.send_failed(now, &batch, failure));
                break;
            }
            for version in &batch.versions {
                let is_struck = self.random.next(20) == 0;
                match self.stream {
                    Stream::Dropping if is_struck => self.dropped_count += 1,
                    Stream::Doubling if is_struck => self.taken.extend([*version, *version]),
                    _ => self.taken.push(*version),
                }
            }
            self.call(|ledger| ledger.sent(now, &batch));
        }
        let now = at(self.now);
        while self.call(|ledger| ledger.sweep(now)).is_some_and(|swept| swept.upkeep == Upkeep::More) {}
    }

    /// What the stream took becomes a file, and the follower reports what it has not reported; a call that dies ends the
    /// run, and the next one begins again with the file.
    fn roll_and_follow(&mut self) {
        if !self.taken.is_empty() {
            self.files.push(std::mem::take(&mut self.taken));
        }
        let now = at(self.now);
        while let Some(versions) = self.files.get(self.followed_count).cloned() {
            let sequence = i64::try_from(self.followed_count).unwrap() + 1;
            let path = format!("f{sequence}");
            let rows: Vec<SeenRow> = versions
                .iter()
                .zip(0..)
                .map(|(version, row)| seen(&self.acknowledged_or_lost(*version), *version, row))
                .collect();
            for page in rows.chunks(100) {
                if self.call(|ledger| ledger.confirm(now, &file(&path, sequence), page)).is_none() {
                    return;
                }
            }
            self.followed_count += 1;
        }
        let sequence = i64::try_from(self.followed_count).unwrap();
        self.call(|ledger| ledger.followed(now, "t", Some(sequence), sequence));
    }

    /// A row of which the writer never heard may be in the lake too: its commit's answer was lost three times.
    fn acknowledged_or_lost(&self, version: i64) -> Line {
        self.acknowledged
            .get(&version)
            .map_or_else(|| line("lost", "lost"), |known| line(&known.id, text_of(known)))
    }
}

fn text_of(line: &Line) -> &str {
    let (_, rest) = line.json.split_once(r#""html":""#).unwrap();
    rest.trim_end_matches(r#""}"#)
}

fn run(stream: Stream, seed: u64) {
    let what = format!("{stream:?}, seed {seed}");
    let mut world = World::new(stream, seed);
    while world.now < LOAD_SECS + QUIET_SECS {
        if world.now < LOAD_SECS {
            world.write();
        } else {
            assert_eq!(world.crashes_left, 0, "{what}");
        }
        let due = world.ledger.next_alarm(at(world.now)).unwrap();
        if due.is_some_and(|due| due <= at(world.now)) {
            world.alarm();
        }
        if world.now % ROLL_SECS == 0 {
            world.roll_and_follow();
        }
        world.now += if world.now < LOAD_SECS { 1 } else { 20 };
    }
    assert!(world.acknowledged.len() > 2_000, "{what}: {}", world.acknowledged.len());
    let status = world.ledger.status().unwrap();
    let left = (
        status.unsent_count,
        status.sent_count,
        status.parked_count,
        status.held_len_bytes,
        status.running_count,
    );
    assert_eq!(left, (0, 0, 0, 0, 0), "{what}");
    assert_eq!(
        world.db.db.number("SELECT (SELECT COUNT(*) FROM content) + (SELECT COUNT(*) FROM outbox)"),
        0,
        "{what}"
    );
    assert_eq!(world.dropped_count > 0, stream == Stream::Dropping, "{what}");
    let mut newest = BTreeMap::new();
    for (version, line) in &world.acknowledged {
        newest.insert(&line.id, *version);
        let copies = world.files.iter().flatten().filter(|stored| *stored == version).count();
        assert!(copies > 0, "{what}: version {version} is not in the lake");
    }
    for (id, version) in newest {
        let found = known(&world.ledger, id);
        assert_eq!(found.version, version, "{what}: {id}");
        let Place::Located(place) = found.place else { panic!("{what}: {id} is {:?}", found.place) };
        let sequence: usize = place.file.trim_start_matches('f').parse().unwrap();
        let row = usize::try_from(place.row).unwrap();
        assert_eq!(world.files[sequence - 1][row], version, "{what}: {id} is not where it should be");
    }
}

#[test]
fn nothing_acknowledged_is_lost_in_ten_minutes_without_a_stream_and_a_hundred_deaths() {
    for seed in 1..4 {
        run(Stream::Sound, seed);
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_a_stream_that_confirms_and_drops_one_row_in_twenty() {
    for seed in 1..4 {
        run(Stream::Dropping, seed);
    }
}

#[test]
fn nothing_is_there_twice_by_a_stream_that_stores_one_row_in_twenty_twice() {
    for seed in 1..4 {
        run(Stream::Doubling, seed);
    }
}
