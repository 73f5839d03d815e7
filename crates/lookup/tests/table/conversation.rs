//! What a lookup asks for: which waves, how many requests, how many bytes.

use std::{collections::BTreeSet, sync::Arc};

use firn_iceberg::{metadata::TableMetadata, schema::PrimitiveType, value::Literal};
use firn_lookup::{
    held::HoldNothing,
    need::Role,
    table::{
        Outcome, TableLookup,
        location::LocationMap,
        query::{SnapshotChoice, TableQuery},
    },
};

use crate::{
    build::{
        Column, Row, Table,
        parquet::{Ids, Index, Layout},
    },
    lake::{Conversation, HoldAll, Lake, drive, text},
};

const NS: i32 = 1;
const ID: i32 = 2;
const VERSION: i32 = 3;
const VISIBILITY: i32 = 4;
const CONTENT: i32 = 5;

fn columns() -> Vec<Column> {
    let column = |id, name: &str, ty| Column { id, name: name.to_owned(), ty, initial_default: None };
    vec![
        column(NS, "ns", PrimitiveType::String),
        column(ID, "id", PrimitiveType::String),
        column(VERSION, "version", PrimitiveType::Long),
        column(VISIBILITY, "visibility", PrimitiveType::String),
        column(CONTENT, "content", PrimitiveType::String),
    ]
}

const LAYOUT: Layout =
    Layout { page_row_count: 20, group_row_count: 10_000, index: Index::Page, ids: Ids::Written };

/// Text that no codec makes small.
fn noise(seed: u64, len: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'0' + (state % 75) as u8)
    };
    (0..len).map(letter).collect()
}

/// A row with 2 KB of content, so that a file of some hundred rows is not read whole.
fn row(ns: &str, idx: u64, version: i64) -> Row {
    let content = noise(idx * 1_000 + version.unsigned_abs(), 2_000);
    Row::from([
        (NS, text(ns)),
        (ID, text(&format!("guide/{idx:06}"))),
        (VERSION, Literal::Long(version)),
        (VISIBILITY, text("public")),
        (CONTENT, text(&content)),
    ])
}

fn rows(ns: &str, range: std::ops::Range<u64>, version: i64) -> Vec<Row> {
    range.map(|idx| row(ns, idx, version)).collect()
}

fn new_table(spec: &[(i32, &'static str)]) -> Table {
    let mut table = Table::new(2, columns(), spec.to_vec());
    table.layout = LAYOUT;
    table
}

fn lookup(metadata: &Arc<TableMetadata>, ns: &str, idx: u64) -> TableLookup {
    TableLookup::new(TableQuery {
        metadata: Arc::clone(metadata),
        snapshot: SnapshotChoice::Current,
        key: vec![(NS, text(ns)), (ID, text(&format!("guide/{idx:06}")))],
        version: Some(VERSION),
        columns: vec![VISIBILITY],
        target: vec![CONTENT],
        locations: LocationMap::default(),
    })
    .unwrap()
}

/// The version and the conversation of a lookup that finds its row.
#[track_caller]
fn found(lookup: &mut TableLookup, lake: &Lake, held: &mut HoldAll) -> (Option<i64>, Conversation) {
    let (outcome, conversation) = drive(lookup, lake, held).unwrap();
    let Outcome::Found(row) = outcome else { panic!("absent") };
    assert!(row.target[0].is_some());
    (row.version, conversation)
}

/// Each wave as its roles, without repetitions.
fn roles(conversation: &Conversation) -> Vec<Vec<Role>> {
    let distinct = |wave: &Vec<Role>| {
        let mut roles = wave.clone();
        roles.dedup();
        roles
    };
    conversation.waves.iter().map(distinct).collect()
}

use Role::{Deletes, Footer, KeyPages, Manifest, ManifestList, TargetPages};

#[test]
fn warm_isolate_reads_only_what_is_not_held() {
    let mut table = new_table(&[(NS, "identity")]);
    for ns in ["a", "b", "c", "d"] {
        table.append(&rows(ns, 0..400, 1));
    }
    let (lake, metadata) = table.finish();
    let mut held = HoldAll::default();
    let (_, cold) = found(&mut lookup(&metadata, "b", 123), &lake, &mut held);
    assert_eq!(
        roles(&cold),
        [vec![ManifestList], vec![Manifest], vec![Footer], vec![KeyPages], vec![TargetPages]]
    );
    // The content page has 20 rows of 2 KB; what is not content stays small.
    assert!(cold.len_bytes < 80_000, "{cold:?}");
    let (_, other_file) = found(&mut lookup(&metadata, "c", 123), &lake, &mut held);
    assert_eq!(roles(&other_file), [vec![Footer], vec![KeyPages], vec![TargetPages]]);
    let (_, same_file) = found(&mut lookup(&metadata, "b", 300), &lake, &mut held);
    assert_eq!(roles(&same_file), [vec![KeyPages], vec![TargetPages]]);
}

#[test]
fn only_manifests_that_survive_the_list_are_opened() {
    let mut table = new_table(&[(NS, "identity")]);
    table.layout = Layout { index: Index::None, ..LAYOUT };
    for snapshot in 0..40 {
        table.append(&rows(&format!("ns{:02}", snapshot / 2), 0..2, snapshot));
        table.commit();
    }
    let (lake, metadata) = table.finish();
    let (version, cold) = found(&mut lookup(&metadata, "ns07", 1), &lake, &mut HoldAll::default());
    assert_eq!(version, Some(15));
    // Both files are small enough to come whole with their footers.
    assert_eq!(cold.waves, [vec![ManifestList], vec![Manifest; 2], vec![Footer; 2]]);
}

#[test]
fn absent_key_costs_no_file_where_statistics_exclude_it() {
    let mut table = new_table(&[]);
    table.append(&rows("a", 0..300, 1));
    let (lake, metadata) = table.finish();
    let mut held = HoldAll::default();
    let (outcome, conversation) = drive(&mut lookup(&metadata, "b", 5), &lake, &mut held).unwrap();
    assert_eq!((outcome, roles(&conversation)), (Outcome::Absent, vec![vec![ManifestList], vec![Manifest]]));
    let (outcome, conversation) = drive(&mut lookup(&metadata, "b", 5), &lake, &mut held).unwrap();
    assert_eq!((outcome, conversation.waves.len()), (Outcome::Absent, 0));
}

#[test]
fn of_many_versions_only_the_winners_content_is_read() {
    let mut table = new_table(&[]);
    for version in 1..=8 {
        table.append(&rows("a", 0..200, version));
        table.commit();
    }
    let (lake, metadata) = table.finish();
    let mut held = HoldAll::default();
    let (version, cold) = found(&mut lookup(&metadata, "a", 77), &lake, &mut held);
    assert_eq!(version, Some(8));
    assert_eq!(cold.waves.len(), 5, "{cold:?}");
    assert_eq!(cold.waves.last(), Some(&vec![TargetPages]));
    let (_, warm) = found(&mut lookup(&metadata, "a", 178), &lake, &mut held);
    assert_eq!((warm.waves.len(), warm.waves.last()), (2, Some(&vec![TargetPages])));
    // Its key pages are those of row 178.
    let (_, warmer) = found(&mut lookup(&metadata, "a", 179), &lake, &mut held);
    assert_eq!(warmer.waves, [[TargetPages]]);
    assert!(warm.len_bytes < 60_000, "{warm:?}");
}

#[test]
fn content_comes_with_keys_only_where_keys_must_be_waited_for() {
    let mut table = new_table(&[]);
    // Two rows to a page: their content costs less than a wave.
    table.layout = Layout { page_row_count: 2, ..LAYOUT };
    for version in 1..=8 {
        table.append(&rows("a", 0..60, version));
        table.commit();
    }
    let (lake, metadata) = table.finish();
    let mut held = HoldAll::default();
    let (_, cold) = found(&mut lookup(&metadata, "a", 20), &lake, &mut held);
    assert_eq!(cold.waves.len(), 4, "{cold:?}");
    let (_, warm) = found(&mut lookup(&metadata, "a", 21), &lake, &mut held);
    assert_eq!(warm.waves, [[TargetPages]]);
}

#[test]
fn deletes_of_a_few_files_take_no_wave_of_their_own() {
    let mut table = new_table(&[]);
    table.append(&rows("a", 0..200, 1));
    table.commit();
    table.append(&rows("a", 0..200, 2));
    table.commit();
    table.delete_positions(1, &BTreeSet::from([77]), false);
    table.delete_equal(&[ID], &[row("a", 78, 0)], &Row::new());
    let (lake, metadata) = table.finish();
    for (idx, version) in [(76, 2), (77, 1)] {
        let (found, cold) = found(&mut lookup(&metadata, "a", idx), &lake, &mut HoldAll::default());
        assert_eq!(found, Some(version));
        assert_eq!(cold.waves.len(), 5, "{cold:?}");
        assert!(cold.waves[2].contains(&Footer) && cold.waves[2].contains(&Deletes), "{cold:?}");
    }
    let (outcome, _) = drive(&mut lookup(&metadata, "a", 78), &lake, &mut HoldNothing).unwrap();
    assert_eq!(outcome, Outcome::Absent);
}

#[test]
fn deletes_of_many_files_are_read_for_those_that_have_the_row() {
    let mut table = new_table(&[]);
    for version in 1..=6 {
        table.append(&[rows("a", 0..100, version), rows("z", 0..100, version)].concat());
        table.commit();
    }
    for data_idx in 0..6 {
        table.delete_positions(data_idx, &BTreeSet::from([150]), true);
    }
    table.append(&[row("a", 500, 1), row("n", 1, 9), row("z", 500, 1)]);
    let (lake, metadata) = table.finish();
    let (_, cold) = found(&mut lookup(&metadata, "n", 1), &lake, &mut HoldAll::default());
    let deletes = cold.waves.iter().flatten().filter(|role| **role == Deletes).count();
    assert_eq!(deletes, 0, "{cold:?}");
    let (outcome, cold) = drive(&mut lookup(&metadata, "z", 50), &lake, &mut HoldNothing).unwrap();
    assert_eq!(outcome, Outcome::Absent);
    assert_eq!(cold.waves.iter().flatten().filter(|role| **role == Deletes).count(), 6, "{cold:?}");
}

#[test]
fn a_hundred_files_are_read_at_once_and_the_rest_as_they_finish() {
    let mut table = new_table(&[(VERSION, "identity")]);
    let versions: Vec<Row> = (1..=300).map(|version| row("a", 7, version)).collect();
    table.append(&versions);
    let (lake, metadata) = table.finish();
    let (version, cold) = found(&mut lookup(&metadata, "a", 7), &lake, &mut HoldAll::default());
    assert_eq!(version, Some(300));
    let largest = cold.waves.iter().map(Vec::len).max().unwrap();
    assert_eq!(
        (largest, cold.waves.len()),
        (128, 5),
        "{:?}",
        cold.waves.iter().map(Vec::len).collect::<Vec<_>>()
    );
}
