use super::*;
use crate::{
    admit::{Admission, Allowance, Usage},
    lease::{Offered, TakenOver},
    sweep::Upkeep,
};

const KEY: Option<&[u8]> = Some(b"key");

#[track_caller]
fn taken_over(begun: Begun) -> TakenOver {
    match begun {
        Begun::TakenOver(before) => before,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn started(begun: Begun) -> Lease {
    match begun {
        Begun::Started(lease) => lease,
        other => panic!("{other:?}"),
    }
}

fn sweep_all(ledger: &Ledger, now: Micros) {
    while ledger.sweep(now).unwrap().upkeep == Upkeep::More {}
}

#[test]
fn a_key_is_in_flight_for_thirty_seconds_after_the_last_chunk() {
    let (ledger, _db) = open();
    let lease = started(begin(&ledger, at(0), KEY));
    assert_eq!(begin(&ledger, at(0), KEY), Begun::InFlight { retry_after_secs: 30 });
    stage(&ledger, at(20), lease, 0, &[line("a", "1")]);
    assert_eq!(begin(&ledger, at(49), KEY), Begun::InFlight { retry_after_secs: 1 });
    ledger.renew(at(49), lease).unwrap();
    assert_eq!(begin(&ledger, at(60), KEY), Begun::InFlight { retry_after_secs: 19 });
    assert_eq!(begin(&ledger, at(60), Some(b"other")), Begun::Started(Lease { ingest: 2, epoch: 2 }));
    let other = Begin { key: KEY, fingerprint: b"other", ingest_id: "i", mode: Mode::Build };
    assert_eq!(ledger.begin(at(60), &other).unwrap(), Begun::Mismatch);
}

#[test]
fn a_retry_takes_over_what_was_staged_and_fences_the_first_attempt() {
    let (ledger, _db) = open();
    let first = started(begin(&ledger, at(0), KEY));
    stage(&ledger, at(0), first, 0, &[line("a", "1")]);
    stage(&ledger, at(0), first, 2, &[line("c", "1")]);
    let retry = Begin { key: KEY, fingerprint: b"f", ingest_id: "other", mode: Mode::Build };
    let before = taken_over(ledger.begin(at(30), &retry).unwrap());
    assert_eq!((before.ingest_id.as_str(), before.started_at, before.chunk_count), ("i", at(0), 2));
    let digest = |l: Line| l.json.into_bytes();
    for (idx, digest, offered) in [
        (0, digest(line("a", "1")), Offered::Taken),
        (0, digest(line("a", "2")), Offered::Mismatch),
        (1, digest(line("b", "1")), Offered::Wanted),
        (2, digest(line("c", "1")), Offered::Taken),
    ] {
        assert_eq!(ledger.offer(at(30), before.lease, idx, &digest).unwrap(), offered, "{idx}");
    }
    // The first attempt wakes up and changes nothing.
    let chunk = StagedChunk { idx: 1, digest: b"x", rows: &[] };
    assert_eq!(ledger.stage(at(31), first, &owner(), &chunk), Err(LedgerError::LeaseLost));
    assert_eq!(ledger.commit(at(31), first, 2, &mut |_| vec![]), Err(LedgerError::LeaseLost));
    assert_eq!(ledger.renew(at(31), first), Err(LedgerError::LeaseLost));
    ledger.abort(first).unwrap();
    assert_eq!(stage(&ledger, at(32), before.lease, 1, &[line("b", "1")]), Staged::Taken);
    assert!(
        matches!(commit(&ledger, at(32), before.lease, 3), Committed::Done { summary, .. } if summary.written_count == 3)
    );
}

#[test]
fn eight_interleaved_requests_with_one_key_are_one_execution() {
    let (ledger, db) = open();
    let mut leases = vec![];
    for n in 0..8 {
        match begin(&ledger, at(n), KEY) {
            Begun::Started(lease) => leases.push(lease),
            Begun::InFlight { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(leases.len(), 1);
    stage(&ledger, at(8), leases[0], 0, &[line("a", "1")]);
    commit(&ledger, at(8), leases[0], 1);
    for n in 9..17 {
        assert!(matches!(begin(&ledger, at(n), KEY), Begun::Finished { answer, .. } if answer == b"1"));
    }
    assert_eq!(db.number("SELECT COUNT(*) FROM versions"), 1);
}

/// Where a request is struck, how, and what a retry with the same key then meets.
#[test]
fn faults_leave_one_effect_and_a_true_answer() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Fault {
        /// The call never reaches the ledger.
        BeforeStore,
        /// The call is done, its answer lost, and the request dies.
        AfterStore,
        /// The caller goes away: the request aborts.
        Abort,
    }
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Retry {
        AtOnce,
        AfterLease,
        OtherBody,
    }
    let lines = ["a", "b", "c"].map(|id| line(id, "1"));
    // Steps 0..3 stage a chunk, step 3 commits.
    for step in 0..4_usize {
        for fault in [Fault::BeforeStore, Fault::AfterStore, Fault::Abort] {
            for retry in [Retry::AtOnce, Retry::AfterLease, Retry::OtherBody] {
                let what = format!("{fault:?} at {step}, retry {retry:?}");
                let (ledger, db) = open();
                let lease = started(begin(&ledger, at(0), KEY));
                let run = |now, lease, idx: usize, other: bool| {
                    if idx == 3 {
                        return matches!(commit(&ledger, now, lease, 3), Committed::Done { .. });
                    }
                    let body = if other && idx == 2 { line("c", "other") } else { line(&lines[idx].id, "1") };
                    let staged = stage(&ledger, now, lease, idx as u64, &[body]);
                    assert!(!matches!(staged, Staged::Full { .. } | Staged::TooManyRows), "{what}");
                    staged != Staged::Mismatch
                };
                for idx in 0..step {
                    assert!(run(at(0), lease, idx, false));
                }
                if fault == Fault::AfterStore {
                    assert!(run(at(0), lease, step, false));
                } else if fault == Fault::Abort {
                    ledger.abort(lease).unwrap();
                }
                let stored_count = step + usize::from(fault == Fault::AfterStore);
                let now = if retry == Retry::AtOnce { at(1) } else { at(31) };
                let lease = match begin(&ledger, now, KEY) {
                    Begun::Finished { answer, lease } => {
                        assert_eq!((stored_count, answer), (4, b"3".to_vec()), "{what}");
                        // The chunks of another body are told apart.
                        let other = line("c", "other").json;
                        assert_eq!(ledger.offer(now, lease, 2, other.as_bytes()).unwrap(), Offered::Mismatch);
                        assert_eq!(db.number("SELECT COUNT(*) FROM versions"), 3, "{what}");
                        continue;
                    }
                    Begun::InFlight { .. } => {
                        assert!(
                            retry == Retry::AtOnce && fault != Fault::Abort && stored_count < 4,
                            "{what}"
                        );
                        continue;
                    }
                    Begun::Started(lease) => {
                        assert_eq!(fault, Fault::Abort, "{what}");
                        lease
                    }
                    Begun::TakenOver(before) => {
                        assert!(
                            retry != Retry::AtOnce && before.chunk_count == stored_count.min(3) as u64,
                            "{what}"
                        );
                        before.lease
                    }
                    Begun::Mismatch => panic!("{what}"),
                };
                let other = retry == Retry::OtherBody;
                let done = (0..4).all(|idx| run(now, lease, idx, other));
                let is_mismatch = other && fault != Fault::Abort && stored_count >= 3;
                assert_eq!(done, !is_mismatch, "{what}");
                let versions = if is_mismatch { 0 } else { 3 };
                assert_eq!(db.number("SELECT COUNT(*) FROM versions"), versions, "{what}");
            }
        }
    }
}

#[test]
fn dead_stages_are_dropped_in_bounded_steps() {
    let (ledger, db) = open();
    let lease = started(begin(&ledger, at(0), KEY));
    for idx in 0..3 {
        let lines: Vec<Line> = (0..900).map(|n| line(&format!("{idx}/{n}"), "1")).collect();
        stage(&ledger, at(0), lease, idx, &lines);
    }
    assert_eq!(ledger.next_alarm(at(1)).unwrap(), Some(at(630)));
    sweep_all(&ledger, at(629));
    assert_eq!(db.number("SELECT COUNT(*) FROM staged"), 2_700);
    assert_eq!(ledger.sweep(at(630)).unwrap().upkeep, Upkeep::More);
    assert_eq!(db.number("SELECT COUNT(*) FROM staged"), 1_700);
    assert!(matches!(begin(&ledger, at(630), KEY), Begun::Started(_)));
    sweep_all(&ledger, at(630));
    for table in ["staged", "content", "chunks", "keys"] {
        assert_eq!(
            db.0.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |r| r.get(0)),
            Ok(0),
            "{table}"
        );
    }
    assert_eq!(ledger.status().unwrap().held_len_bytes, 0);
    let chunk = StagedChunk { idx: 9, digest: b"x", rows: &[] };
    assert_eq!(ledger.stage(at(631), lease, &owner(), &chunk), Err(LedgerError::LeaseLost));
}

#[test]
fn answers_are_kept_for_ten_minutes() {
    let (ledger, db) = open();
    let lease = started(begin(&ledger, at(0), KEY));
    stage(&ledger, at(0), lease, 0, &[line("a", "1")]);
    commit(&ledger, at(0), lease, 1);
    sweep_all(&ledger, at(599));
    assert!(matches!(begin(&ledger, at(599), KEY), Begun::Finished { .. }));
    sweep_all(&ledger, at(600));
    assert_eq!(db.number("SELECT (SELECT COUNT(*) FROM ingests) + (SELECT COUNT(*) FROM chunks)"), 0);
    assert!(content(&ledger, "a").contains("html"));
}

#[test]
fn bulk_resumes_with_its_versions_and_sends_nothing_twice() {
    let (ledger, db) = open();
    let bulk = Begin { key: KEY, fingerprint: b"f", ingest_id: "bulk", mode: Mode::Bulk };
    let lease = started(ledger.begin(at(0), &bulk).unwrap());
    let range = ledger.reserve(at(0), lease, 1_000).unwrap();
    assert_eq!(range, at(0).0..at(0).0 + 1_000);
    assert_eq!(ledger.reserve(at(1), lease, 5).unwrap(), range);
    assert_eq!(ledger.offer(at(1), lease, 0, b"0").unwrap(), Offered::Wanted);
    ledger.chunk_taken(at(1), lease, 0, b"0", 10, 500).unwrap();
    ledger.chunk_taken(at(1), lease, 0, b"0", 10, 500).unwrap();
    // Somebody else publishes in between: above the range.
    assert_eq!(publish(&ledger, at(0), &[line("a", "1")]).first_version, Some(range.end));
    ledger.pause(at(1), lease).unwrap();
    let before = taken_over(ledger.begin(at(2), &bulk).unwrap());
    assert_eq!((before.reserved, before.chunk_count), (Some(range.clone()), 1));
    assert_eq!(ledger.offer(at(2), before.lease, 0, b"0").unwrap(), Offered::Taken);
    assert_eq!(ledger.offer(at(2), before.lease, 0, b"1").unwrap(), Offered::Mismatch);
    let before = taken_over(ledger.begin(at(2), &bulk).unwrap());
    assert_eq!(ledger.offer(at(2), before.lease, 1, b"1").unwrap(), Offered::Wanted);
    ledger.chunk_taken(at(2), before.lease, 1, b"1", 5, 100).unwrap();
    ledger.finish(at(2), before.lease, 15, b"done").unwrap();
    ledger.finish(at(2), before.lease, 15, b"again").unwrap();
    assert!(
        matches!(ledger.begin(at(3), &bulk).unwrap(), Begun::Finished { answer, .. } if answer == b"done")
    );
    let expected = Usage { record_count: 16, len_bytes: 600 + line("a", "1").json.len() as u64 };
    assert_eq!(ledger.usage(at(3)).unwrap(), expected);
    assert_eq!(db.number("SELECT COUNT(*) FROM versions"), 1);
}

#[test]
fn bulk_chunk_on_its_way_is_wanted_again_and_no_other_in_its_place() {
    let (ledger, _db) = open();
    let bulk = Begin { key: KEY, fingerprint: b"f", ingest_id: "bulk", mode: Mode::Bulk };
    let lease = started(ledger.begin(at(0), &bulk).unwrap());
    assert_eq!(ledger.offer(at(0), lease, 0, b"0").unwrap(), Offered::Wanted);
    // It died before it could note that the stream took it.
    let before = taken_over(ledger.begin(at(31), &bulk).unwrap());
    assert_eq!(before.chunk_count, 0);
    assert_eq!(ledger.offer(at(31), before.lease, 0, b"1").unwrap(), Offered::Mismatch);
    // Whoever has another body sends nothing more, and holds up nobody.
    assert_eq!(ledger.offer(at(31), before.lease, 1, b"1"), Err(LedgerError::LeaseLost));
    let before = taken_over(ledger.begin(at(31), &bulk).unwrap());
    assert_eq!(ledger.offer(at(31), before.lease, 0, b"0").unwrap(), Offered::Wanted);
    ledger.chunk_taken(at(31), before.lease, 0, b"0", 1, 1).unwrap();
    assert_eq!(ledger.offer(at(31), before.lease, 0, b"0").unwrap(), Offered::Taken);
    assert_eq!(ledger.usage(at(31)).unwrap(), Usage { record_count: 1, len_bytes: 1 });
}

#[test]
fn upkeep_leaves_a_paused_request_to_its_retry_for_ten_minutes() {
    let bulk = Begin { key: KEY, fingerprint: b"f", ingest_id: "bulk", mode: Mode::Bulk };
    for fences in [false, true] {
        let (ledger, _db) = open();
        let lease = started(ledger.begin(at(0), &bulk).unwrap());
        ledger.offer(at(0), lease, 0, b"0").unwrap();
        if fences {
            assert_eq!(ledger.offer(at(0), lease, 0, b"1").unwrap(), Offered::Mismatch);
        } else {
            ledger.pause(at(0), lease).unwrap();
        }
        assert_eq!(ledger.next_alarm(at(0)).unwrap(), Some(at(600)));
        sweep_all(&ledger, at(599));
        let before = taken_over(ledger.begin(at(599), &bulk).unwrap());
        assert_eq!(ledger.offer(at(599), before.lease, 0, b"1").unwrap(), Offered::Mismatch);
        sweep_all(&ledger, at(599 + 600));
        started(ledger.begin(at(599 + 600), &bulk).unwrap());
    }
}

#[test]
fn bulk_gives_back_what_it_did_not_use() {
    let (ledger, _db) = open();
    let bulk = Begin { key: None, fingerprint: b"", ingest_id: "bulk", mode: Mode::Bulk };
    let lease = started(ledger.begin(at(0), &bulk).unwrap());
    let range = ledger.reserve(at(0), lease, 100_000_000).unwrap();
    ledger.finish(at(0), lease, 3, b"").unwrap();
    assert_eq!(publish(&ledger, at(0), &[line("a", "1")]).first_version, Some(range.start + 3));
}

#[test]
fn rate_is_a_fixed_window_that_a_clock_cannot_reopen() {
    use Admission::{Admitted, QuotaSpent, RateLimited};
    let (ledger, _db) = open();
    let minute = |secs: i64| Micros(1_800_000_000_000_000 / 60_000_000 * 60_000_000 + secs * 1_000_000);
    let allowance =
        |limit| Allowance { requests_per_minute: limit, records_per_day: None, len_bytes_per_day: None };
    for (secs, limit, admission) in [
        (0, 2, Admitted { remaining: 1 }),
        (30, 2, Admitted { remaining: 0 }),
        (30, 2, RateLimited { retry_after_secs: 30 }),
        (-10, 2, RateLimited { retry_after_secs: 70 }),
        (59, 3, Admitted { remaining: 0 }),
        (60, 2, Admitted { remaining: 1 }),
        (179, 0, RateLimited { retry_after_secs: 1 }),
    ] {
        assert_eq!(ledger.admit(minute(secs), &allowance(limit)).unwrap(), admission, "{secs}");
    }
    publish(&ledger, at(0), &[line("a", "1"), line("b", "1"), line("a", "2"), line("a", "2")]);
    let quota = |records, len_bytes| Allowance {
        requests_per_minute: 100,
        records_per_day: Some(records),
        len_bytes_per_day: Some(len_bytes),
    };
    assert!(matches!(ledger.admit(at(0), &quota(4, 1_000)).unwrap(), Admitted { .. }));
    assert!(matches!(ledger.admit(at(0), &quota(3, 1_000)).unwrap(), QuotaSpent { .. }));
    assert!(matches!(ledger.admit(at(0), &quota(4, 10)).unwrap(), QuotaSpent { .. }));
    assert!(matches!(ledger.admit(at(86_400), &quota(3, 10)).unwrap(), Admitted { .. }));
}
