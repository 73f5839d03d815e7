use super::*;
use crate::schema::{MIGRATIONS, SCHEMA_VERSION};

/// A database as version 1 left it, with a publish in it.
const VERSION_1: &str = include_str!("../../tests/fixtures/schema-1.sql");

fn shape(db: &Sqlite) -> Vec<String> {
    let mut statement =
        db.0.prepare("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn version_1_opens_with_all_it_holds() {
    let (ledger, db) = open();
    db.0.execute_batch(VERSION_1).unwrap();
    assert!(content(&ledger, "a").contains("from version 1"));
    publish(&ledger, at(0), &[line("b", "1")]);
    assert_eq!(db.number("SELECT value FROM meta WHERE name = 'schema'"), SCHEMA_VERSION);
    let (fresh, fresh_db) = open();
    publish(&fresh, at(0), &[line("b", "1")]);
    assert_eq!(shape(&db), shape(&fresh_db));
}

#[test]
fn migrations_run_once_each_and_all_or_none() {
    let (ledger, db) = open();
    db.0.execute_batch(VERSION_1).unwrap();
    let later: &[&str] = &["CREATE TABLE later (one)"];
    let broken: [&[&str]; 4] = [MIGRATIONS[0], MIGRATIONS[1], later, later];
    assert!(matches!(ledger.migrate(&broken), Err(LedgerError::Sql(_))));
    assert_eq!(db.number("SELECT COUNT(*) FROM sqlite_master WHERE name = 'later'"), 0);
    assert_eq!(db.number("SELECT value FROM meta WHERE name = 'schema'"), 1);
    ledger.migrate(&broken[..3]).unwrap();
    assert_eq!(db.number("SELECT value FROM meta WHERE name = 'schema'"), 3);
    assert_eq!(db.number("SELECT COUNT(*) FROM sqlite_master WHERE name = 'later'"), 1);
}

#[test]
fn a_later_schema_is_not_touched() {
    let (ledger, db) = open();
    publish(&ledger, at(0), &[line("a", "1")]);
    db.0.execute_batch("UPDATE meta SET value = 99 WHERE name = 'schema'").unwrap();
    let reopened = Ledger::new(Box::new(db), Options::default());
    assert_eq!(reopened.read("page", "a"), Err(LedgerError::SchemaNewer));
    let begin = Begin { key: None, fingerprint: b"", ingest_id: "i", mode: Mode::Build };
    assert_eq!(reopened.begin(at(1), &begin), Err(LedgerError::SchemaNewer));
}
