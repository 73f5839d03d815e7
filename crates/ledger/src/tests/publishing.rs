use super::*;

#[test]
fn read_of_an_empty_object_writes_nothing() {
    let (ledger, db) = open();
    assert_eq!(ledger.read("page", "a").unwrap(), Read::Unknown { followed: vec![] });
    assert_eq!(db.number("SELECT COUNT(*) FROM sqlite_master"), 0);
}

#[test]
fn a_publish_is_read_at_once_and_whole() {
    let (ledger, _db) = open();
    let lease = start(&ledger, at(0));
    assert_eq!(stage(&ledger, at(0), lease, 1, &[line("b", "2")]), Staged::Taken);
    assert_eq!(stage(&ledger, at(0), lease, 0, &[line("a", "1"), line("b", "1")]), Staged::Taken);
    assert_eq!(ledger.read("page", "a").unwrap(), Read::Unknown { followed: vec![] });
    let Committed::Done { summary, answer } = commit(&ledger, at(1), lease, 2) else { panic!() };
    let first = at(1).0;
    let expected =
        Summary { chunk_count: 2, written_count: 3, unchanged_count: 0, first_version: Some(first) };
    assert_eq!((summary, answer), (expected, b"3".to_vec()));
    assert_eq!(content(&ledger, "a"), format!(r#"{{"version":{first},"id":"a","html":"1"}}"#));
    assert_eq!(content(&ledger, "b"), format!(r#"{{"version":{},"id":"b","html":"2"}}"#, first + 2));
}

#[test]
fn content_leaves_after_it_was_confirmed() {
    let (ledger, db) = open();
    let a = line("a", "1");
    let version = publish(&ledger, at(0), std::slice::from_ref(&a)).first_version.unwrap();
    let batch = ledger.next_batch(at(1), 1_000_000).unwrap().unwrap();
    assert_eq!(batch.versions, [version]);
    assert_eq!(String::from_utf8(batch.json.clone()).unwrap(), format!("[{}]", content(&ledger, "a")));
    ledger.sent(at(1), &batch).unwrap();
    assert_eq!(ledger.next_batch(at(2), 1_000_000).unwrap(), None);
    let confirmed = ledger.confirm(at(100), &file("f", 1), &[seen(&a, version, 7)]).unwrap();
    assert_eq!(confirmed.confirmed_count, 1);
    ledger.followed(at(100), "t", Some(-5_000_000_000_000_000_000), 1).unwrap();
    ledger.sweep(at(159)).unwrap();
    assert!(matches!(known(&ledger, "a").place, Place::Content(_)));
    ledger.sweep(at(160)).unwrap();
    let Place::Located(location) = known(&ledger, "a").place else { panic!() };
    assert_eq!((location.file.as_str(), location.row), ("f", 7));
    assert_eq!(db.number("SELECT COUNT(*) FROM content"), 0);
    assert_eq!(ledger.status().unwrap().held_len_bytes, 0);
}

#[test]
fn unchanged_rows_are_counted_and_not_written() {
    let base = || line("a", "1");
    let expired = Standing { expires_at: Some(at(50)), ..public() };
    for (what, before, after, is_unchanged) in [
        ("the same", base(), base(), true),
        ("content", base(), line("a", "2"), false),
        ("metadata", base(), Line { metadata_digest: [1; 16], ..base() }, false),
        ("expiry", base(), Line { standing: expired, ..base() }, false),
        ("the same expiry", Line { standing: expired, ..base() }, Line { standing: expired, ..base() }, true),
        (
            "visibility",
            base(),
            Line { standing: Standing { visibility: Some(Visibility::User), ..public() }, ..base() },
            false,
        ),
        ("a tombstone", base(), Line { standing: Standing { deleted: true, ..public() }, ..base() }, false),
        (
            "over a tombstone",
            Line { standing: Standing { deleted: true, ..public() }, ..base() },
            base(),
            false,
        ),
        (
            "a tombstone again",
            Line { standing: Standing { deleted: true, ..public() }, ..base() },
            Line { standing: Standing { deleted: true, ..public() }, ..base() },
            false,
        ),
    ] {
        let (ledger, db) = open();
        publish(&ledger, at(0), &[before]);
        let summary = publish(&ledger, at(1), &[after]);
        assert_eq!(
            (summary.unchanged_count, summary.written_count == 0),
            (u64::from(is_unchanged), is_unchanged),
            "{what}"
        );
        let contents = if is_unchanged { 1 } else { 2 };
        assert_eq!(db.number("SELECT COUNT(*) FROM content"), contents, "{what}");
        assert_eq!(db.number("SELECT COUNT(*) FROM versions"), contents, "{what}");
        let held = db.number("SELECT SUM(length(json)) FROM content");
        assert_eq!(ledger.status().unwrap().held_len_bytes, u64::try_from(held).unwrap(), "{what}");
    }
}

#[test]
fn unchanged_looks_at_the_line_before_with_the_same_key() {
    let (ledger, _db) = open();
    publish(&ledger, at(0), &[line("a", "1")]);
    // The same, another, the other again, the first again.
    let lines = [line("a", "1"), line("a", "2"), line("a", "2"), line("b", "1"), line("a", "1")];
    let summary = publish(&ledger, at(1), &lines);
    assert_eq!((summary.written_count, summary.unchanged_count), (3, 2));
    let first = summary.first_version.unwrap();
    assert_eq!((known(&ledger, "a").version, known(&ledger, "b").version), (first + 2, first + 1));
    assert_eq!(content(&ledger, "a"), format!(r#"{{"version":{},"id":"a","html":"1"}}"#, first + 2));
}

#[test]
fn another_owner_is_a_change() {
    let (ledger, _db) = open();
    publish(&ledger, at(0), &[line("a", "1")]);
    let lease = start(&ledger, at(1));
    let a = line("a", "1");
    let chunk = StagedChunk { idx: 0, digest: b"d", rows: &[a.staged(1)] };
    let other = Owner { org: Some("o".to_owned()), ..owner() };
    ledger.stage(at(1), lease, &other, &chunk).unwrap();
    assert!(
        matches!(commit(&ledger, at(1), lease, 1), Committed::Done { summary, .. } if summary.written_count == 1)
    );
    assert_eq!(known(&ledger, "a").owner, other);
}

#[test]
fn conditions_are_judged_by_what_is_current() {
    let tombstone = Standing { deleted: true, ..public() };
    let expiring = Standing { expires_at: Some(at(10)), ..public() };
    let v0 = at(0).0;
    for (what, before, if_version, found) in [
        ("nothing, none expected", None, 0, None),
        ("nothing, one expected", None, v0, Some(None)),
        ("one, none expected", Some(public()), 0, Some(Some(v0))),
        ("one, that one expected", Some(public()), v0, None),
        ("one, another expected", Some(public()), v0 - 1, Some(Some(v0))),
        ("a tombstone, none expected", Some(tombstone), 0, None),
        ("a tombstone, that one expected", Some(tombstone), v0, None),
        ("expired, none expected", Some(expiring), 0, None),
        ("expired, that one expected", Some(expiring), v0, None),
        ("expired, another expected", Some(expiring), 7, Some(Some(v0))),
    ] {
        let (ledger, db) = open();
        if let Some(standing) = before {
            publish(&ledger, at(0), &[Line { standing, ..line("a", "1") }]);
        }
        let lease = start(&ledger, at(10));
        let conditional = Line { if_version: Some(if_version), ..line("a", "2") };
        stage(&ledger, at(10), lease, 0, &[line("b", "1"), conditional]);
        let committed = commit(&ledger, at(10), lease, 1);
        match found {
            None => assert!(matches!(committed, Committed::Done { .. }), "{what}"),
            Some(found) => {
                assert_eq!(committed, Committed::Conflicts(vec![Conflict { line: 2, found }]), "{what}");
                assert!(matches!(ledger.read("page", "b").unwrap(), Read::Unknown { .. }), "{what}");
                ledger.abort(lease).unwrap();
                ledger.sweep(at(10)).unwrap();
                let keys = i64::from(before.is_some());
                assert_eq!(db.number("SELECT COUNT(*) FROM keys"), keys, "{what}");
                assert_eq!(db.number("SELECT COUNT(*) FROM content"), keys, "{what}");
            }
        }
    }
}

#[test]
fn conditions_hold_for_the_request_as_a_whole() {
    let (ledger, _db) = open();
    let v0 = publish(&ledger, at(0), &[line("a", "1")]).first_version.unwrap();
    let twice = |content| Line { if_version: Some(v0), ..line("a", content) };
    assert_eq!(publish(&ledger, at(1), &[twice("2"), twice("3")]).written_count, 2);
    let lease = start(&ledger, at(2));
    let lines: Vec<Line> = (0..150).map(|_| twice("4")).collect();
    stage(&ledger, at(2), lease, 0, &lines);
    let Committed::Conflicts(conflicts) = commit(&ledger, at(2), lease, 1) else { panic!() };
    assert_eq!((conflicts.len(), conflicts[99].line), (100, 100));
}

#[test]
fn versions_rise_when_the_clock_steps_back() {
    let (ledger, _db) = open();
    let mut last = 0;
    for secs in [0, 0, -10, 5, -1_000, 5] {
        let summary = publish(&ledger, at(secs), &[line("a", &last.to_string()), line("b", "1")]);
        let first = summary.first_version.unwrap();
        assert!(first > last && first >= at(secs).0, "{secs}");
        last = first + i64::try_from(summary.written_count).unwrap() - 1;
        assert_eq!(ledger.status().unwrap().last_version, last);
    }
}

#[test]
fn last_acknowledged_of_two_interleaved_writers_wins() {
    let (ledger, _db) = open();
    let (one, two) = (start(&ledger, at(0)), start(&ledger, at(0)));
    stage(&ledger, at(0), one, 0, &[line("a", "one")]);
    stage(&ledger, at(0), two, 0, &[line("a", "two")]);
    commit(&ledger, at(0), two, 1);
    commit(&ledger, at(-10), one, 1);
    assert!(content(&ledger, "a").contains("one"));
}

#[test]
fn commit_is_repeatable_and_knows_the_whole_body() {
    let (ledger, _db) = open();
    let lease = start(&ledger, at(0));
    stage(&ledger, at(0), lease, 0, &[line("a", "1")]);
    stage(&ledger, at(0), lease, 1, &[line("b", "1")]);
    assert_eq!(stage(&ledger, at(0), lease, 1, &[line("b", "1")]), Staged::TakenBefore);
    assert_eq!(stage(&ledger, at(0), lease, 1, &[line("b", "2")]), Staged::Mismatch);
    assert_eq!(commit(&ledger, at(0), lease, 1), Committed::Mismatch);
    let mut answer = |_: &Summary| vec![];
    assert_eq!(ledger.commit(at(0), lease, 3, &mut answer), Err(LedgerError::Incomplete));
    let first = commit(&ledger, at(0), lease, 2);
    assert!(matches!(first, Committed::Done { .. }));
    assert_eq!(commit(&ledger, at(1), lease, 2), first);
    assert_eq!(known(&ledger, "a").version, at(0).0);
    let stranger = Lease { epoch: lease.epoch + 1, ..lease };
    assert_eq!(ledger.commit(at(1), stranger, 2, &mut answer), Err(LedgerError::LeaseLost));
}

#[test]
fn an_empty_request_commits() {
    let (ledger, _db) = open();
    let lease = start(&ledger, at(0));
    let Committed::Done { summary, answer } = commit(&ledger, at(0), lease, 0) else { panic!() };
    assert_eq!((summary, answer), (Summary::default(), b"0".to_vec()));
    assert_eq!(ledger.touched(&summary, 0, 10).unwrap(), []);
}

#[test]
fn touched_artifacts_come_in_pages() {
    let (ledger, _db) = open();
    publish(&ledger, at(0), &[line("x", "1")]);
    let lines: Vec<Line> = (0..25).map(|n| line(&format!("a{n}"), "1")).collect();
    let summary = publish(&ledger, at(1), &lines);
    publish(&ledger, at(2), &[line("y", "1")]);
    let (mut from, mut ids) = (0, vec![]);
    loop {
        let page = ledger.touched(&summary, from, 10).unwrap();
        let Some(last) = page.last() else { break };
        from = last.version + 1;
        ids.extend(page.into_iter().map(|touched| touched.id));
    }
    assert_eq!(ids, (0..25).map(|n| format!("a{n}")).collect::<Vec<_>>());
}

#[test]
fn largest_record_fits_a_row_and_larger_ones_do_not() {
    let (ledger, _db) = open();
    let row = |len_bytes: usize| {
        let overhead = line(&"i".repeat(1_024), "").json.len();
        line(&"i".repeat(1_024), &"x".repeat(len_bytes - overhead))
    };
    let largest = row(firn_types::limits::RECORD_LEN_BYTES_MAX);
    publish(&ledger, at(0), std::slice::from_ref(&largest));
    let batch = ledger.next_batch(at(0), 1_000).unwrap().unwrap();
    assert_eq!(batch.json.len(), largest.json.len() + crate::row::VERSION_MEMBER_LEN_BYTES_MAX + 2);
    // What the database refuses is an error, and nothing of it stays.
    let lease = start(&ledger, at(1));
    let too_large = row(2_000_001);
    let small = line("b", "1");
    let chunk = StagedChunk { idx: 0, digest: b"d", rows: &[small.staged(1), too_large.staged(2)] };
    assert!(matches!(ledger.stage(at(1), lease, &owner(), &chunk), Err(LedgerError::Sql(_))));
    let Committed::Done { summary, .. } = commit(&ledger, at(1), lease, 0) else { panic!() };
    assert_eq!(summary.written_count, 0);
}

#[test]
fn a_stage_over_the_cap_is_refused_until_content_is_confirmed() {
    let a = line("a", "1");
    let len_bytes = a.json.len() as u64;
    let (ledger, _db) = open_with(Options { held_len_bytes_max: len_bytes * 2, ..Options::default() });
    let version = publish(&ledger, at(0), std::slice::from_ref(&a)).first_version.unwrap();
    let dead = start(&ledger, at(0));
    assert_eq!(stage(&ledger, at(0), dead, 0, &[line("b", "1")]), Staged::Taken);
    let lease = start(&ledger, at(0));
    assert!(matches!(stage(&ledger, at(0), lease, 0, &[line("c", "1")]), Staged::Full { .. }));
    ledger.abort(dead).unwrap();
    ledger.sweep(at(0)).unwrap();
    assert_eq!(stage(&ledger, at(0), lease, 0, &[line("c", "1")]), Staged::Taken);
    assert!(matches!(stage(&ledger, at(0), lease, 1, &[line("d", "1")]), Staged::Full { .. }));
    ledger.confirm(at(1), &file("f", 1), &[seen(&a, version, 0)]).unwrap();
    assert_eq!(stage(&ledger, at(1), lease, 1, &[line("d", "1")]), Staged::Taken);
    assert_eq!(ledger.status().unwrap().held_len_bytes, len_bytes * 2);
}

#[test]
fn ten_thousand_records_commit_at_once() {
    let (ledger, db) = open();
    let lease = start(&ledger, at(0));
    for idx in 0..10 {
        let lines: Vec<Line> =
            (0..1_000).map(|n| line(&format!("a{}", (n * 7 + idx) % 5_000), &format!("{idx}/{n}"))).collect();
        assert_eq!(stage(&ledger, at(0), lease, idx, &lines), Staged::Taken);
    }
    let Committed::Done { summary, .. } = commit(&ledger, at(0), lease, 10) else { panic!() };
    assert_eq!(summary.written_count, 10_000);
    let (first, count) = (summary.first_version.unwrap(), 10_000);
    assert_eq!(db.number("SELECT MIN(version) FROM versions"), first);
    assert_eq!(db.number("SELECT MAX(version) FROM versions"), first + count - 1);
    assert_eq!(db.number("SELECT COUNT(DISTINCT version) FROM versions"), count);
    let more: Vec<Line> = (0..100_001 - 10_000).map(|_| line("a", "1")).collect();
    let lease = start(&ledger, at(1));
    stage(&ledger, at(1), lease, 0, &more);
    let next: Vec<Line> = (0..10_000).map(|_| line("a", "1")).collect();
    assert_eq!(stage(&ledger, at(1), lease, 100, &next), Staged::TooManyRows);
}
