use super::*;
use crate::{confirm::Confirmed, read::Followed, status::ListedVersion};

fn located(ledger: &Ledger, id: &str) -> (String, u64) {
    match known(ledger, id).place {
        Place::Located(location) => (location.file, location.row),
        other => panic!("{id}: {other:?}"),
    }
}

fn release(ledger: &Ledger) {
    ledger.release(Micros(i64::MAX), 1_000).unwrap();
}

/// Publishes `a`, confirms it in file `f`, and lets its content go.
fn confirmed() -> (Ledger, Sqlite, Line, i64) {
    let (ledger, db) = open();
    let a = line("a", "1");
    let version = publish(&ledger, at(0), std::slice::from_ref(&a)).first_version.unwrap();
    ledger.confirm(at(1), &file("f", 1), &[seen(&a, version, 3)]).unwrap();
    release(&ledger);
    (ledger, db, a, version)
}

#[test]
fn confirming_twice_changes_nothing_and_writes_nothing() {
    let (ledger, db, a, version) = confirmed();
    let before = db.number("SELECT total_changes()");
    let confirmed = ledger.confirm(at(2), &file("f", 1), &[seen(&a, version, 3)]).unwrap();
    assert_eq!(confirmed, Confirmed::default());
    assert_eq!(db.number("SELECT total_changes()"), before);
    assert_eq!(located(&ledger, "a"), ("f".to_owned(), 3));
}

#[test]
fn rows_of_bulk_and_of_other_engines_become_known() {
    let (ledger, db) = open();
    let foreign = |version, visibility| SeenRow {
        version,
        owner: Owner::default(),
        standing: Standing { visibility, ..public() },
        hash: None,
        ..seen(&line("x", "1"), 0, 0)
    };
    let rows = [foreign(Some(5), None), foreign(Some(9), Some(Visibility::Org)), foreign(Some(7), None)];
    let confirmed = ledger.confirm(at(0), &file("f", 1), &rows).unwrap();
    assert_eq!((confirmed.learned_count, confirmed.confirmed_count), (3, 0));
    let x = known(&ledger, "x");
    assert_eq!(
        (x.version, x.standing.visibility, x.owner, x.hash),
        (9, Some(Visibility::Org), Owner::default(), None)
    );
    // The next publish is above, though without a hash nothing can be unchanged.
    assert_eq!(publish(&ledger, at(1), &[line("x", "1")]).written_count, 1);
    // What no reader can ask for is skipped.
    let nobody = [
        SeenRow { id: "i".repeat(1_025), ..foreign(Some(1), None) },
        SeenRow { id: String::new(), ..foreign(Some(1), None) },
        SeenRow { artifact_type: "t".repeat(65), ..foreign(Some(1), None) },
    ];
    assert_eq!(ledger.confirm(at(0), &file("f", 1), &nobody).unwrap().skipped_count, 3);
    assert_eq!(db.number("SELECT COUNT(*) FROM keys"), 1);
    // An owner that is not kept leaves the row to admins.
    let long = Owner { iss: Some("i".repeat(4_097)), ..Owner::default() };
    let row = SeenRow { owner: long, id: "y".to_owned(), ..foreign(Some(1), Some(Visibility::Public)) };
    ledger.confirm(at(0), &file("f", 1), &[row]).unwrap();
    assert_eq!(known(&ledger, "y").standing.visibility, None);
}

#[test]
fn versions_outside_the_range_are_elsewhere() {
    for (version, shown) in [
        (None, 0),
        (Some(0), 0),
        (Some(-5), 0),
        (Some(1 << 53), (1 << 53) - 1),
        (Some(i64::MAX), (1 << 53) - 1),
    ] {
        let (ledger, _db) = open();
        let row = SeenRow { version, ..seen(&line("x", "1"), 0, 0) };
        ledger.confirm(at(0), &file("f", 1), &[row]).unwrap();
        let x = known(&ledger, "x");
        assert_eq!((x.version, x.place), (shown, Place::Elsewhere { beneath: None }), "{version:?}");
        let lease = start(&ledger, at(1));
        stage(&ledger, at(1), lease, 0, &[line("x", "2")]);
        let committed = ledger.commit(at(1), lease, 1, &mut |_| vec![]);
        if shown == 0 {
            assert!(content(&ledger, "x").contains('2'));
        } else {
            assert_eq!(committed, Err(LedgerError::VersionsExhausted));
        }
        // Other keys do not suffer.
        assert_eq!(publish(&ledger, at(2), &[line("y", "1")]).first_version, Some(at(2).0));
    }
}

#[test]
fn a_publish_is_above_what_others_wrote_into_the_future() {
    let (ledger, _db) = open();
    let far = at(86_400 * 365).0;
    let near = at(3_600).0;
    ledger
        .confirm(at(0), &file("f", 1), &[seen(&line("far", "1"), far, 0), seen(&line("near", "1"), near, 1)])
        .unwrap();
    assert_eq!(ledger.status().unwrap().last_version, near, "the clock follows what is near");
    assert_eq!(publish(&ledger, at(0), &[line("b", "1")]).first_version, Some(near + 1));
    assert_eq!(publish(&ledger, at(0), &[line("far", "2")]).first_version, Some(far + 1));
}

#[test]
fn another_engine_may_change_rights_without_a_version() {
    let (ledger, _db, a, version) = confirmed();
    let private =
        Line { standing: Standing { visibility: Some(Visibility::User), ..public() }, ..line("a", "1") };
    ledger.confirm(at(2), &file("g", 2), &[seen(&private, version, 0)]).unwrap();
    assert_eq!(known(&ledger, "a").standing.visibility, Some(Visibility::User));
    // An older file, confirmed late, does not undo it.
    ledger.confirm(at(3), &file("e", 1), &[seen(&a, version, 0)]).unwrap();
    assert_eq!(known(&ledger, "a").standing.visibility, Some(Visibility::User));
    assert_eq!(located(&ledger, "a"), ("g".to_owned(), 0));
}

#[test]
fn compaction_moves_versions_in_any_order_of_reports() {
    for confirm_first in [true, false] {
        let (ledger, db, a, version) = confirmed();
        let unchanged = |ledger: &Ledger| publish(ledger, at(9), &[line("a", "1")]).unchanged_count;
        if confirm_first {
            ledger.confirm(at(2), &file("g", 2), &[seen(&a, version, 8)]).unwrap();
        }
        ledger.files_removed(at(2), "t", &["f"]).unwrap();
        if !confirm_first {
            assert_eq!(known(&ledger, "a").place, Place::Elsewhere { beneath: None });
            ledger.confirm(at(2), &file("g", 2), &[seen(&a, version, 8)]).unwrap();
        }
        assert_eq!(located(&ledger, "a"), ("g".to_owned(), 8));
        // A follower that is late confirms the old file again.
        ledger.confirm(at(3), &file("f", 1), &[seen(&a, version, 3)]).unwrap();
        assert_eq!(located(&ledger, "a"), ("g".to_owned(), 8));
        assert_eq!(unchanged(&ledger), 1, "hash and metadata stay known");
        assert_eq!(ledger.files_page("t", "", 10).unwrap(), ["g"]);
        ledger.sweep(at(2 + 86_400)).unwrap();
        assert_eq!(db.number("SELECT COUNT(*) FROM files"), 1);
    }
}

#[test]
fn removed_files_are_forgotten_in_bounded_steps() {
    let (ledger, db) = open();
    let rows: Vec<SeenRow> =
        (0..2_500).map(|n| seen(&line(&format!("a{n}"), "1"), n + 1, n.cast_unsigned())).collect();
    ledger.confirm(at(0), &file("f", 1), &rows).unwrap();
    ledger.files_removed(at(1), "t", &["f", "never heard of"]).unwrap();
    assert_eq!(known(&ledger, "a7").place, Place::Elsewhere { beneath: None });
    assert_eq!(ledger.next_alarm(at(1)).unwrap(), Some(at(86_401)));
    let mut steps = 0;
    while ledger.sweep(at(86_401)).unwrap().upkeep == crate::sweep::Upkeep::More {
        steps += 1;
    }
    assert!(steps >= 3);
    assert_eq!(db.number("SELECT COUNT(*) FROM versions WHERE file IS NOT NULL"), 0);
    assert_eq!(db.number("SELECT COUNT(*) FROM files"), 0);
    assert_eq!(ledger.next_alarm(at(86_401)).unwrap(), None);
}

#[test]
fn a_row_that_another_engine_deleted_is_gone_and_the_lower_one_is_current() {
    let (ledger, db, _a, v1) = confirmed();
    let second = line("a", "2");
    let v2 = publish(&ledger, at(5), std::slice::from_ref(&second)).first_version.unwrap();
    ledger.confirm(at(6), &file("g", 2), &[seen(&second, v2, 0)]).unwrap();
    // Its content is still here, and goes too.
    ledger.rows_deleted(&file("g", 2), &[0]).unwrap();
    assert_eq!((known(&ledger, "a").version, located(&ledger, "a")), (v1, ("f".to_owned(), 3)));
    // Late and twice changes nothing.
    ledger.confirm(at(7), &file("g", 2), &[seen(&second, v2, 0)]).unwrap();
    ledger.rows_deleted(&file("g", 2), &[0]).unwrap();
    assert_eq!(known(&ledger, "a").version, v1);
    ledger.rows_deleted(&file("f", 1), &[3, 4]).unwrap();
    assert_eq!(ledger.read("page", "a").unwrap(), Read::Unknown { followed: vec![] });
    assert_eq!(db.number("SELECT (SELECT COUNT(*) FROM keys) + (SELECT COUNT(*) FROM content)"), 0);
    assert_eq!(ledger.status().unwrap().version_count, 0);
}

#[test]
fn a_deletion_reported_before_the_confirmation_holds() {
    let (ledger, _db) = open();
    let a = line("a", "1");
    let version = publish(&ledger, at(0), std::slice::from_ref(&a)).first_version.unwrap();
    ledger.rows_deleted(&file("f", 1), &[3]).unwrap();
    assert!(matches!(known(&ledger, "a").place, Place::Content(_)), "nobody knows yet which row that was");
    ledger.confirm(at(1), &file("f", 1), &[seen(&a, version, 3)]).unwrap();
    assert!(matches!(ledger.read("page", "a").unwrap(), Read::Unknown { .. }));
}

#[test]
fn one_copy_deleted_leaves_the_other_to_a_lookup() {
    let a = line("a", "1");
    for order in [["f", "g"], ["g", "f"]] {
        for (deleted, is_located) in [("f", true), ("g", false)] {
            let (ledger, _db) = open();
            let version = publish(&ledger, at(0), std::slice::from_ref(&a)).first_version.unwrap();
            for path in order {
                let sequence = i64::from(path == "g");
                ledger.confirm(at(1), &file(path, sequence), &[seen(&a, version, 3)]).unwrap();
            }
            release(&ledger);
            assert_eq!(located(&ledger, "a").0, "g", "the higher sequence");
            ledger.rows_deleted(&file(deleted, 0), &[3]).unwrap();
            if is_located {
                assert_eq!(located(&ledger, "a").0, "g", "{order:?}");
            } else {
                assert_eq!(known(&ledger, "a").place, Place::Elsewhere { beneath: None }, "{order:?}");
            }
        }
    }
}

#[test]
fn what_is_elsewhere_tells_of_lower_content() {
    let (ledger, _db, a, _v1) = confirmed();
    let second = line("a", "2");
    let v2 = publish(&ledger, at(5), std::slice::from_ref(&second)).first_version.unwrap();
    let v3 = v2 + 10;
    ledger.confirm(at(6), &file("g", 2), &[seen(&a, v3, 0)]).unwrap();
    ledger.files_removed(at(7), "t", &["g"]).unwrap();
    let current = known(&ledger, "a");
    assert_eq!(current.version, v3);
    let Place::Elsewhere { beneath: Some(beneath) } = current.place else { panic!() };
    assert_eq!(beneath.version, v2);
    assert!(matches!(beneath.place, Place::Content(_)));
}

#[test]
fn a_version_deleted_by_key_is_gone_where_it_was_confirmed() {
    let (ledger, _db, a, version) = confirmed();
    assert!(!ledger.version_deleted("other", "page", "a", version).unwrap());
    assert!(!ledger.version_deleted("t", "page", "a", version + 1).unwrap());
    assert!(ledger.version_deleted("t", "page", "a", version).unwrap());
    assert!(matches!(ledger.read("page", "a").unwrap(), Read::Unknown { .. }));
    ledger.confirm(at(2), &file("f", 1), &[seen(&a, version, 3)]).unwrap();
    assert!(matches!(ledger.read("page", "a").unwrap(), Read::Unknown { .. }), "the same row, late");
    // Not confirmed: the engine cannot have seen it.
    let v2 = publish(&ledger, at(5), &[line("a", "2")]).first_version.unwrap();
    assert!(!ledger.version_deleted("t", "page", "a", v2).unwrap());
    assert!(content(&ledger, "a").contains('2'));
}

#[test]
fn a_read_says_how_far_each_table_was_followed() {
    let (ledger, _db) = open();
    ledger.followed(at(1), "t", Some(i64::MIN), 4).unwrap();
    ledger.followed(at(2), "s", None, 0).unwrap();
    ledger.followed(at(3), "t", Some(i64::MAX), 5).unwrap();
    let table = |table: &str, snapshot, sequence, secs| Followed {
        table: table.to_owned(),
        snapshot,
        sequence,
        at: at(secs),
    };
    let followed = vec![table("s", None, 0, 2), table("t", Some(i64::MAX), 5, 3)];
    assert_eq!(ledger.read("page", "a").unwrap(), Read::Unknown { followed: followed.clone() });
    assert_eq!(ledger.status().unwrap().followed, followed);
    ledger.unfollow("s").unwrap();
    assert_eq!(ledger.followed_tables().unwrap(), followed[1..]);
}

#[test]
fn a_ledger_is_rebuilt_from_what_the_lake_holds() {
    let (ledger, _db) = open();
    let lines: Vec<Line> = (0..30).map(|n| line(&format!("a{}", n % 10), &n.to_string())).collect();
    let first = publish(&ledger, at(0), &lines).first_version.unwrap();
    let rows: Vec<SeenRow> =
        lines.iter().zip(0..).map(|(l, n)| seen(l, first + n, n.cast_unsigned())).collect();
    ledger.confirm(at(1), &file("f", 1), &rows).unwrap();
    release(&ledger);
    let list = |ledger: &Ledger| {
        let (mut all, mut after): (Vec<ListedVersion>, _) = (vec![], None);
        loop {
            let page = ledger.versions_page(after, 7).unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.cursor);
            all.extend(page);
        }
        all.sort_by_key(ListedVersion::version);
        all.into_iter()
            .map(|v| (v.version(), v.id, v.owner, v.standing, v.hash, v.location))
            .collect::<Vec<_>>()
    };
    let (other, _db) = open();
    other.confirm(at(5), &file("stale", 1), &[seen(&line("gone", "1"), 1, 0)]).unwrap();
    // Interrupted in the middle, and begun again.
    other.confirm(at(6), &file("f", 1), &rows[10..20]).unwrap();
    other.confirm(at(7), &file("f", 1), &rows).unwrap();
    let stale: Vec<String> =
        other.files_page("t", "", 1_000).unwrap().into_iter().filter(|p| p != "f").collect();
    other.files_removed(at(7), "t", &stale.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let mut rebuilt = list(&other);
    let gone = rebuilt.remove(0);
    assert_eq!((gone.1.as_str(), gone.5), ("gone", None));
    assert_eq!(rebuilt, list(&ledger));
    assert_eq!(other.status().unwrap().last_version, first + 29);
}

#[test]
fn a_row_left_out_of_a_rewritten_file_is_not_served_from_here() {
    let (ledger, _db) = open();
    let a = line("a", "1");
    let version = publish(&ledger, at(0), std::slice::from_ref(&a)).first_version.unwrap();
    ledger.confirm(at(1), &file("f", 1), &[seen(&a, version, 3)]).unwrap();
    assert!(matches!(known(&ledger, "a").place, Place::Content(_)));
    ledger.files_removed(at(2), "t", &["f"]).unwrap();
    assert_eq!(known(&ledger, "a").place, Place::Elsewhere { beneath: None });
    // It was rewritten, not left out.
    ledger.confirm(at(3), &file("g", 2), &[seen(&a, version, 0)]).unwrap();
    assert!(matches!(known(&ledger, "a").place, Place::Content(_)));
}

#[test]
fn nothing_is_learned_from_a_removed_file() {
    let (ledger, _db) = open();
    ledger.files_removed(at(0), "t", &["f"]).unwrap();
    let confirmed = ledger.confirm(at(1), &file("f", 1), &[seen(&line("a", "1"), 5, 0)]).unwrap();
    assert_eq!(confirmed, Confirmed::default());
    assert!(matches!(ledger.read("page", "a").unwrap(), Read::Unknown { .. }));
}
