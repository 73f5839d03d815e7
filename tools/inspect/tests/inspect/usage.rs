//! What the user can get wrong: status 2 and a message that names it.

use crate::support::{fixture, map, run};

#[track_caller]
fn check(arguments: &[&str], message: &str) {
    let said = run(arguments);
    assert_eq!((said.status, said.out.as_str()), (2, ""), "{arguments:?}: {}", said.err);
    assert!(said.err.contains(message), "{arguments:?}: {}", said.err);
}

#[test]
fn wrong_arguments_are_status_2() {
    let (table, map) = (fixture("evolved"), map());
    let scan = |more: &[&str], message: &str| {
        check(&[&["scan", "--table", &table, "--map", &map], more].concat(), message);
    };
    check(&[], "Usage");
    check(&["list"], "list");
    check(&["scan"], "--table");
    check(&["scan", "--table", "/no/such/table"], "/no/such/table");
    check(&["scan", "--table", "/no/such/v1.metadata.json"], "no such object");
    check(&["get", "--table", &table, "--map", &map], "--key");
    check(&["scan", "--table", &table, "--map", "nothing"], "--map nothing");
    check(&["scan", "--table", &table, "--map", "s3://lake=/no/such/folder"], "/no/such/folder");
    scan(&["--column", "old_name"], "column old_name");
    scan(&["--key", "old_name=a"], "column old_name");
    scan(&["--key", "id"], "COLUMN=VALUE");
    scan(&["--key", "id=one"], "\"one\" is no Long");
    scan(&["--key", "tags=a"], "column tags");
    scan(&["--snapshot", "1"], "snapshot 1");
    scan(&["--snapshot", "x"], "--snapshot");
    scan(&["--version-column", "name"], "column name");
    scan(&["--endpoint", "ftp://h"], "ftp://h");
}

#[test]
fn help_names_the_exit_statuses() {
    let said = run(&["--help"]);
    assert_eq!(said.status, 0);
    assert!(said.out.contains("3 unsupported, 4 corrupt"), "{}", said.out);
}
