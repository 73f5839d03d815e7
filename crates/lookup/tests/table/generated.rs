//! Generated tables: a pruned lookup gives the row that is left when everything was read.

use std::{collections::BTreeSet, sync::Arc};

use firn_iceberg::{
    metadata::TableMetadata,
    schema::PrimitiveType,
    value::{Literal, Value},
};
use firn_lookup::{
    held::HoldNothing,
    table::{
        Outcome, RowLocation, TableLookup,
        location::LocationMap,
        query::{SnapshotChoice, TableQuery},
    },
};
use proptest::{prelude::*, strategy::ValueTree};

use crate::{
    build::{
        Column, Row, Table,
        avro::Codec,
        parquet::{Ids, Index, Layout},
    },
    lake::{HoldAll, Lake, drive, scan, text},
};

/// Columns: a key of two, the version, a small one, content, and one that is added later.
const NAME: i32 = 1;
const NUMBER: i32 = 2;
const VERSION: i32 = 3;
const SMALL: i32 = 4;
const CONTENT: i32 = 5;
const ADDED: i32 = 6;

fn columns() -> Vec<Column> {
    let column = |id, name: &str, ty| Column { id, name: name.to_owned(), ty, initial_default: None };
    vec![
        column(NAME, "name", PrimitiveType::String),
        column(NUMBER, "number", PrimitiveType::Int),
        column(VERSION, "version", PrimitiveType::Long),
        column(SMALL, "small", PrimitiveType::String),
        column(CONTENT, "content", PrimitiveType::String),
    ]
}

/// Longer than a bound, and alike in what a bound keeps.
const NAMES: [&str; 6] = ["a", "guide/01", "guide/02", "guidf", "é", "zz😀"];

const SPECS: [&[(i32, &str)]; 6] = [
    &[],
    &[(NAME, "identity")],
    &[(NUMBER, "bucket[3]")],
    &[(NAME, "truncate[2]"), (NUMBER, "truncate[10]")],
    &[(NUMBER, "identity"), (NAME, "void")],
    &[(NAME, "bucket[2]"), (NUMBER, "identity")],
];

/// A row of small choices, so that keys meet; `None` is null.
type Choice = (Option<usize>, Option<i32>, Option<i64>, Option<u8>);

fn choice() -> impl Strategy<Value = Choice> {
    (
        prop::option::weighted(0.95, 0..NAMES.len()),
        prop::option::weighted(0.95, prop_oneof![-2..4_i32, Just(i32::MAX)]),
        prop::option::weighted(0.9, 0..6_i64),
        prop::option::of(0..3_u8),
    )
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Choice>),
    DeletePositions(prop::sample::Index, BTreeSet<u64>, bool),
    DeleteByVector(prop::sample::Index, BTreeSet<u64>),
    DeleteEqual(usize, Vec<Choice>, Reach),
    Repartition(usize),
    Rename,
    Promote,
    Add,
    Drop,
    Reorder,
}

/// Whether a step is the last of its snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commit {
    After,
    Later,
}

fn commit() -> impl Strategy<Value = Commit> {
    prop_oneof![2 => Just(Commit::After), 1 => Just(Commit::Later)]
}

/// Which rows an equality delete reaches.
#[derive(Clone, Copy, Debug)]
enum Reach {
    Partition,
    Table,
}

fn step() -> impl Strategy<Value = Step> {
    let positions = || prop::collection::btree_set(0..12_u64, 1..5);
    prop_oneof![
        5 => prop::collection::vec(choice(), 1..25).prop_map(Step::Append),
        2 => (any::<prop::sample::Index>(), positions(), any::<bool>()).prop_map(|(a, b, c)| Step::DeletePositions(a, b, c)),
        2 => (any::<prop::sample::Index>(), positions()).prop_map(|(a, b)| Step::DeleteByVector(a, b)),
        3 => (0..EQUALITY_IDS.len(), prop::collection::vec(choice(), 1..4), prop_oneof![Just(Reach::Partition), Just(Reach::Table)])
            .prop_map(|(ids, rows, reach)| Step::DeleteEqual(ids, rows, reach)),
        1 => (0..SPECS.len()).prop_map(Step::Repartition),
        1 => Just(Step::Rename),
        1 => Just(Step::Promote),
        1 => Just(Step::Add),
        1 => Just(Step::Drop),
        1 => Just(Step::Reorder),
    ]
}

const EQUALITY_IDS: [&[i32]; 5] = [&[NAME, NUMBER], &[NAME], &[NUMBER, SMALL], &[SMALL], &[VERSION, NAME]];

fn row(choice: &Choice, table: &Table, serial: usize) -> Row {
    let (name, number, version, small) = *choice;
    let mut row = Row::new();
    for column in table.schema() {
        let value = match column.id {
            NAME => name.map(|idx| text(NAMES[idx])),
            NUMBER => number.map(Literal::Int),
            VERSION => version.map(Literal::Long),
            SMALL => small.map(|s| text(&format!("small {s}"))),
            CONTENT => Some(text(&format!("content {serial} {}", "x".repeat(serial % 50)))),
            _ => serial.is_multiple_of(2).then_some(Literal::Long(serial as i64)),
        };
        if let Some(value) = value {
            row.insert(column.id, value.promote(column.ty).unwrap());
        }
    }
    row
}

/// Does a step, as far as the table is in a state for it.
fn apply(table: &mut Table, step: &Step, serial: &mut usize, format_version: u8) {
    match step {
        Step::Append(choices) => {
            let rows: Vec<Row> = choices
                .iter()
                .map(|choice| {
                    *serial += 1;
                    row(choice, table, *serial)
                })
                .collect();
            table.append(&rows);
        }
        Step::DeletePositions(of, positions, is_referenced)
            if table.data_count() > 0 && format_version == 2 =>
        {
            let data_idx = of.index(table.data_count());
            let limit = table.row_count(data_idx) as u64;
            let positions: BTreeSet<u64> = positions.iter().map(|p| p % limit).collect();
            table.delete_positions(data_idx, &positions, *is_referenced);
        }
        Step::DeleteByVector(of, positions) if table.data_count() > 0 && format_version == 3 => {
            let data_idx = of.index(table.data_count());
            let limit = table.row_count(data_idx) as u64;
            table.delete_by_vector(data_idx, &positions.iter().map(|p| p % limit).collect());
        }
        Step::DeleteEqual(ids, choices, reach) if format_version > 1 => {
            let ids: Vec<i32> = EQUALITY_IDS[*ids]
                .iter()
                .copied()
                .filter(|id| table.schema().iter().any(|c| c.id == *id))
                .collect();
            let rows: Vec<Row> = choices.iter().map(|choice| row(choice, table, 0)).collect();
            let of_ids = |row: &Row| {
                row.iter().filter(|(id, _)| ids.contains(id)).map(|(k, v)| (*k, v.clone())).collect()
            };
            let values: Vec<Row> = rows.iter().map(of_ids).collect();
            if let Reach::Table = reach {
                table.repartition(Vec::new());
            }
            if !ids.is_empty() {
                table.delete_equal(&ids, &values, &rows[0]);
            }
        }
        Step::Repartition(spec) => table.repartition(SPECS[*spec].to_vec()),
        Step::Rename => table.evolve(|columns| {
            for column in columns {
                column.name.push('_');
            }
        }),
        Step::Promote => table.evolve(|columns| {
            for column in columns.iter_mut().filter(|c| c.id == NUMBER) {
                column.ty = PrimitiveType::Long;
            }
        }),
        Step::Add => table.evolve(|columns| {
            if columns.iter().all(|c| c.id != ADDED) {
                let initial_default = (format_version > 2).then_some(Literal::Long(77));
                let ty = PrimitiveType::Long;
                columns.insert(0, Column { id: ADDED, name: "added".into(), ty, initial_default });
            }
        }),
        Step::Drop => table.evolve(|columns| columns.retain(|c| c.id != SMALL)),
        Step::Reorder => table.evolve(|columns| columns.reverse()),
        Step::DeletePositions(..) | Step::DeleteByVector(..) | Step::DeleteEqual(..) => {}
    }
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    format_version: u8,
    spec: usize,
    codec: Codec,
    layout: Layout,
}

fn shape() -> impl Strategy<Value = Shape> {
    let layout = (1..6_usize, 4..12_usize, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        |(page_row_count, group_row_count, has_index, has_no_ids)| Layout {
            page_row_count,
            group_row_count,
            index: if has_index { Index::Page } else { Index::None },
            ids: if has_no_ids { Ids::LeftOut } else { Ids::Written },
        },
    );
    let codec = prop_oneof![Just(Codec::Null), Just(Codec::Deflate), Just(Codec::Zstandard)];
    (1..=3_u8, 0..SPECS.len(), codec, layout).prop_map(|(format_version, spec, codec, layout)| Shape {
        format_version,
        spec,
        codec,
        layout,
    })
}

fn build(shape: Shape, steps: &[(Step, Commit)], prefix: Option<String>) -> Table {
    let mut table = Table::new(shape.format_version, columns(), SPECS[shape.spec].to_vec());
    table.prefix = prefix.unwrap_or(table.prefix);
    table.codec = shape.codec;
    table.layout = shape.layout;
    let mut serial = 0;
    for (step, commit) in steps {
        apply(&mut table, step, &mut serial, shape.format_version);
        if *commit == Commit::After {
            table.commit();
        }
    }
    table
}

/// Every key that a row could have.
fn keys(table: &Table) -> Vec<(Literal, Literal)> {
    let ty = table.schema().iter().find(|c| c.id == NUMBER).unwrap().ty;
    let numbers = [-2, -1, 0, 1, 2, 3, i32::MAX].map(|n| Literal::Int(n).promote(ty).unwrap());
    NAMES.iter().flat_map(|name| numbers.clone().map(|number| (text(name), number))).collect()
}

/// Sequence number, object and position.
type Rank = (i64, String, u64);

/// A full scan gives every live row, and where it lies.
fn check_scan(metadata: &Arc<TableMetadata>, lake: &Lake, live: &[(Rank, Row)], held: &mut HoldAll) {
    let ids: Vec<i32> = metadata.current_schema().fields.iter().map(|f| f.id).collect();
    let query = TableQuery {
        metadata: Arc::clone(metadata),
        snapshot: SnapshotChoice::Current,
        key: Vec::new(),
        version: None,
        columns: ids.clone(),
        target: Vec::new(),
        locations: LocationMap::default(),
    };
    let mut scanned: Vec<(Rank, Vec<Option<Value>>)> = scan(query, lake, held)
        .unwrap()
        .into_iter()
        .map(|row| {
            let RowLocation { object, position, sequence_number } = row.location;
            ((sequence_number, object.as_str().to_owned(), position), row.values)
        })
        .collect();
    let value = |row: &Row, id: &i32| row.get(id).cloned().map(Value::Primitive);
    let mut expected: Vec<_> = live
        .iter()
        .map(|(rank, row)| (rank.clone(), ids.iter().map(|id| value(row, id)).collect::<Vec<_>>()))
        .collect();
    scanned.sort_by(|a, b| a.0.cmp(&b.0));
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(scanned, expected);
}

fn check(shape: Shape, steps: &[(Step, Commit)]) {
    let table = build(shape, steps, None);
    let (keys, live) = (keys(&table), table.live_rows());
    let has = |id: i32| table.schema().iter().any(|c| c.id == id);
    let small: Vec<i32> = [NAME, SMALL, ADDED].into_iter().filter(|id| has(*id)).collect();
    let (lake, metadata) = table.finish();
    let mut held = HoldAll::default();
    check_scan(&metadata, &lake, &live, &mut held);
    for (name, number) in keys {
        let matching =
            live.iter().filter(|(_, row)| row.get(&NAME) == Some(&name) && row.get(&NUMBER) == Some(&number));
        let version =
            |row: &Row| row.get(&VERSION).map(|v| if let Literal::Long(v) = v { *v } else { panic!() });
        let expected = matching.max_by_key(|(rank, row)| (version(row), rank.clone()));
        let query = || TableQuery {
            metadata: metadata.clone(),
            snapshot: SnapshotChoice::Current,
            key: vec![(NAME, name.clone()), (NUMBER, number.clone())],
            version: Some(VERSION),
            columns: small.clone(),
            target: vec![CONTENT],
            locations: LocationMap::default(),
        };
        for is_held in [false, true] {
            let mut lookup = TableLookup::new(query()).unwrap();
            let found = if is_held {
                drive(&mut lookup, &lake, &mut held)
            } else {
                drive(&mut lookup, &lake, &mut HoldNothing)
            };
            let (outcome, conversation) = found.unwrap();
            let Some((rank, row)) = expected else {
                assert_eq!(outcome, Outcome::Absent, "{name:?} {number:?}");
                continue;
            };
            let Outcome::Found(found) = outcome else { panic!("{name:?} {number:?} is absent, not {row:?}") };
            let place = (
                found.location.sequence_number,
                found.location.object.as_str().to_owned(),
                found.location.position,
            );
            assert_eq!(place, *rank, "{name:?} {number:?}");
            assert_eq!(found.version, version(row));
            let values = |ids: &[i32]| -> Vec<Option<Value>> {
                ids.iter().map(|id| row.get(id).cloned().map(Value::Primitive)).collect()
            };
            assert_eq!(found.columns, values(&small), "{name:?} {number:?}");
            assert_eq!(found.target, values(&[CONTENT]), "{name:?} {number:?}");
            assert!(conversation.waves.len() <= 8, "{conversation:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn pruned_lookup_equals_full_scan(shape in shape(), steps in prop::collection::vec((step(), commit()), 1..14)) {
        check(shape, &steps);
    }
}

/// How many tables are left for other engines.
const KEPT_TABLE_COUNT: usize = 60;

/// Writes tables and the rows that are live in them to the folder that `FIRN_KEEP_TABLES` names, for
/// `scripts/check-generated-tables`: other engines must see the same rows, or the tables prove nothing.
#[test]
fn generated_tables_are_kept_for_other_engines() {
    let Ok(folder) = std::env::var("FIRN_KEEP_TABLES") else {
        eprintln!("skipped: FIRN_KEEP_TABLES is not set");
        return;
    };
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for idx in 0..KEPT_TABLE_COUNT {
        let strategy = (shape(), prop::collection::vec((step(), commit()), 1..14));
        let (mut shape, steps) = strategy.new_tree(&mut runner).unwrap().current();
        shape.layout.ids = Ids::Written;
        // DuckDB knows no other.
        shape.codec = Codec::Deflate;
        let root = std::path::Path::new(&folder).join(format!("{idx:03}"));
        let table = build(shape, &steps, Some(format!("{}/", root.display())));
        let columns: Vec<(i32, String)> = table.schema().iter().map(|c| (c.id, c.name.clone())).collect();
        let rows = table.live_rows().into_iter().map(|(_, row)| {
            let value = |id: i32| match row.get(&id) {
                None => serde_json::Value::Null,
                Some(Literal::Int(v)) => (*v).into(),
                Some(Literal::Long(v)) => (*v).into(),
                Some(Literal::String(s)) => s.as_str().into(),
                Some(other) => panic!("{other:?}"),
            };
            let fields = columns.iter().map(|(id, name)| (name.clone(), value(*id)));
            serde_json::Value::Object(fields.collect()).to_string() + "\n"
        });
        let rows: String = rows.collect();
        let (lake, _) = table.finish();
        for (key, object) in &lake.objects {
            let path = root.join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, object).unwrap();
        }
        std::fs::write(root.join("rows.jsonl"), rows).unwrap();
    }
}
