use std::collections::BTreeMap;

use super::*;
use crate::outbox::{Batch, SendFailure};

const CHUNK: usize = 1_000;

/// Sends all that is due, as the alarm does; `stream` says what becomes of a batch.
fn drain(ledger: &Ledger, now: Micros, mut stream: impl FnMut(&Batch) -> Option<SendFailure>) {
    while let Some(batch) = ledger.next_batch(now, CHUNK).unwrap() {
        match stream(&batch) {
            None => ledger.sent(now, &batch).unwrap(),
            Some(failure) => ledger.send_failed(now, &batch, failure).unwrap(),
        }
    }
    ledger.sweep(now).unwrap();
}

fn lines(count: usize) -> Vec<Line> {
    (0..count).map(|n| line(&format!("a{n:03}"), "0123456789")).collect()
}

#[test]
fn batches_are_full_and_in_order() {
    let (ledger, _db) = open();
    publish(&ledger, at(1), &lines(50));
    publish(&ledger, at(2), &lines(3).into_iter().map(|l| line(&l.id, "later")).collect::<Vec<_>>());
    let mut versions: Vec<i64> = vec![];
    let mut lens = vec![];
    drain(&ledger, at(3), |batch| {
        let text = std::str::from_utf8(&batch.json).unwrap();
        assert!(text.starts_with(r#"[{"version":"#) && text.ends_with("}]"));
        assert_eq!(text.matches(r#"{"version":"#).count(), batch.versions.len());
        lens.push(batch.json.len());
        versions.extend(&batch.versions);
        None
    });
    assert_eq!(versions.len(), 53);
    assert!(versions.is_sorted());
    let (_, full) = lens.split_last().unwrap();
    assert!(full.iter().all(|len| (CHUNK - 100..=CHUNK).contains(len)), "{lens:?}");
    assert_eq!(ledger.next_alarm(at(3)).unwrap(), Some(at(601)), "only the answers' end");
}

#[test]
fn each_mode_goes_to_its_own_stream() {
    let (ledger, _db) = open();
    for (mode, id) in [(Mode::Preview, "p"), (Mode::Build, "b")] {
        let begin = Begin { key: None, fingerprint: b"", ingest_id: "i", mode };
        let Begun::Started(lease) = ledger.begin(at(0), &begin).unwrap() else { panic!() };
        stage(&ledger, at(0), lease, 0, &[line(id, "1"), line(&format!("{id}2"), "1")]);
        commit(&ledger, at(0), lease, 1);
    }
    let mut sent = vec![];
    drain(&ledger, at(0), |batch| {
        sent.push((batch.mode, batch.versions.len()));
        None
    });
    assert_eq!(sent, [(Mode::Preview, 2), (Mode::Build, 2)]);
}

/// A follower that sees all but some rows; they are resent alone and parked, the others are confirmed.
#[test]
fn dropped_rows_end_parked_and_block_nobody() {
    let (ledger, db) = open();
    let published = lines(200);
    let first = publish(&ledger, at(0), &published).first_version.unwrap();
    let is_bad = |version: i64| (version - first) % 20 == 7;
    let mut sends = BTreeMap::<i64, u64>::new();
    let mut now = 0;
    for round in 0..10 {
        let mut seen_rows = vec![];
        drain(&ledger, at(now), |batch| {
            for version in &batch.versions {
                *sends.entry(*version).or_default() += 1;
                if !is_bad(*version) {
                    let line = &published[usize::try_from(version - first).unwrap()];
                    seen_rows.push(seen(line, *version, seen_rows.len() as u64));
                }
            }
            if round >= 3 {
                assert_eq!(batch.versions.len(), 1);
            }
            None
        });
        now += 900;
        ledger.confirm(at(now), &file(&format!("f{round}"), round), &seen_rows).unwrap();
        ledger.followed(at(now), "t", Some(round), round).unwrap();
        ledger.sweep(at(now + 60)).unwrap();
        let fresh = line("fresh", &round.to_string());
        let version = publish(&ledger, at(now), std::slice::from_ref(&fresh)).first_version.unwrap();
        ledger.confirm(at(now), &file(&format!("g{round}"), round), &[seen(&fresh, version, 0)]).unwrap();
    }
    for (version, count) in sends.into_iter().filter(|(version, _)| *version < first + 200) {
        assert_eq!(count, if is_bad(version) { 5 } else { 1 }, "{version}");
    }
    let parked = ledger.parked(0, 4).unwrap();
    assert_eq!(parked.iter().map(|p| p.version - first).collect::<Vec<_>>(), [7, 27, 47, 67]);
    let status = ledger.status().unwrap();
    assert_eq!((status.parked_count, status.sent_count, status.unsent_count), (10, 0, 0));
    assert_eq!(status.oldest_unconfirmed, Some(first + 7));
    assert!(content(&ledger, "a007").contains("0123456789"), "still served");
    ledger.release(at(now + 60), 10).unwrap();
    assert_eq!(db.number("SELECT COUNT(*) FROM outbox WHERE lane % 8 <> 6"), 0);
    // It was there after all.
    ledger.confirm(at(now), &file("late", 99), &[seen(&published[7], first + 7, 0)]).unwrap();
    assert_eq!(ledger.status().unwrap().parked_count, 9);
}

#[test]
fn a_refused_row_is_isolated_at_once() {
    let (ledger, _db) = open();
    let published = lines(100);
    let first = publish(&ledger, at(0), &published).first_version.unwrap();
    let bad = first + 42;
    let (mut taken, mut refusals): (Vec<i64>, u32) = (vec![], 0);
    for now in 0..3 {
        drain(&ledger, at(now), |batch| {
            if batch.versions.contains(&bad) {
                refusals += 1;
                return Some(SendFailure::Refused);
            }
            taken.extend(&batch.versions);
            None
        });
    }
    taken.sort_unstable();
    assert_eq!(taken, (first..first + 100).filter(|v| *v != bad).collect::<Vec<_>>());
    assert_eq!(refusals, 5);
    assert_eq!(ledger.parked(0, 10).unwrap().len(), 1);
}

#[test]
fn while_the_stream_is_down_nothing_is_counted() {
    let (ledger, _db) = open();
    let first = publish(&ledger, at(0), &lines(20)).first_version.unwrap();
    let (mut now, mut attempts) = (0, 0);
    while now < 600 {
        drain(&ledger, at(now), |_| {
            attempts += 1;
            Some(SendFailure::Unavailable { retry_after: None })
        });
        let next = ledger.next_alarm(at(now)).unwrap().unwrap();
        assert!(next > at(now) && next <= at(now + 60));
        now = (next.0 - T0) / 1_000_000;
    }
    assert!(attempts <= 16, "{attempts}");
    assert_eq!(ledger.status().unwrap().unsent_count, 20);
    let asked = Some(Micros(120_000_000));
    drain(&ledger, at(700), |_| Some(SendFailure::Unavailable { retry_after: asked }));
    assert_eq!(ledger.next_batch(at(819), CHUNK).unwrap(), None);
    let mut sent: Vec<i64> = vec![];
    drain(&ledger, at(820), |batch| {
        sent.extend(&batch.versions);
        None
    });
    assert_eq!(sent, (first..first + 20).collect::<Vec<_>>());
    assert_eq!(ledger.next_batch(at(10_000), CHUNK).unwrap(), None);
}

#[test]
fn nothing_is_resent_or_parked_while_no_follower_proceeds() {
    let (ledger, _db) = open();
    publish(&ledger, at(0), &lines(3));
    drain(&ledger, at(0), |_| None);
    assert_eq!(ledger.next_batch(at(1_000_000), CHUNK).unwrap(), None);
    ledger.followed(at(899), "t", None, 0).unwrap();
    assert_eq!(ledger.next_batch(at(1_000_000), CHUNK).unwrap(), None);
    ledger.followed(at(900), "t", None, 0).unwrap();
    assert_eq!(ledger.next_alarm(at(900)).unwrap(), Some(at(900)));
    assert_eq!(ledger.next_batch(at(900), CHUNK).unwrap().unwrap().versions.len(), 2, "an eighth of a chunk");
    // A second table that was never followed holds it back, until it is forgotten.
    ledger.files_removed(at(900), "u", &["x"]).unwrap();
    assert_eq!(ledger.next_batch(at(900), CHUNK).unwrap(), None);
    ledger.unfollow("u").unwrap();
    assert!(ledger.next_batch(at(900), CHUNK).unwrap().is_some());
}

#[test]
fn a_row_confirmed_while_it_is_sent_stays_confirmed() {
    let (ledger, _db) = open();
    let a = line("a", "1");
    let version = publish(&ledger, at(0), std::slice::from_ref(&a)).first_version.unwrap();
    let batch = ledger.next_batch(at(0), CHUNK).unwrap().unwrap();
    ledger.confirm(at(1), &file("f", 1), &[seen(&a, version, 0)]).unwrap();
    ledger.sent(at(2), &batch).unwrap();
    ledger.send_failed(at(2), &batch, SendFailure::Refused).unwrap();
    let status = ledger.status().unwrap();
    assert_eq!((status.confirmed_count, status.sent_count, status.unsent_count), (1, 0, 0));
}
