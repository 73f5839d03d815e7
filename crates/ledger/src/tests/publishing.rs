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
