//! Any sequence of commits, followed at any points: what the ledgers say is what the table has.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::{
    build::{Row, Table},
    world::{ID, NS, World, keys, row},
};

#[derive(Clone, Debug)]
enum Action {
    Append(Vec<(u8, u8)>),
    /// Positions of a file, by a position delete file or a vector.
    DeletePositions(u8, BTreeSet<u8>, bool),
    DeleteEqual(u8, u8),
    Remove(u8),
    Compact,
    Expire,
    MakeAnew,
    Follow,
    FollowLittle,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let key = || (0..3_u8, 0..5_u8);
    prop::collection::vec(
        prop_oneof![
            6 => prop::collection::vec(key(), 1..8).prop_map(Action::Append),
            2 => (any::<u8>(), prop::collection::btree_set(0..8_u8, 1..4), any::<bool>())
                .prop_map(|(file, positions, whole)| Action::DeletePositions(file, positions, whole)),
            2 => key().prop_map(|(ns, id)| Action::DeleteEqual(ns, id)),
            1 => any::<u8>().prop_map(Action::Remove),
            1 => Just(Action::Compact),
            1 => Just(Action::Expire),
            1 => Just(Action::MakeAnew),
            4 => Just(Action::Follow),
            1 => Just(Action::FollowLittle),
        ],
        1..30,
    )
}

const NAMESPACES: [&str; 3] = ["a", "alpha.example", "alpha.other"];

fn key_row((ns, id): (u8, u8), version: i64) -> Row {
    row(NAMESPACES[usize::from(ns)], &format!("k{id}"), version)
}

fn act(world: &mut World, action: &Action, version: &mut i64, seen: &mut Vec<Row>) {
    let file =
        |table: &Table, idx: u8| (table.data_count() > 0).then(|| usize::from(idx) % table.data_count());
    match action {
        Action::Append(some) => {
            let rows: Vec<Row> = some
                .iter()
                .map(|key| {
                    *version += 1;
                    key_row(*key, *version)
                })
                .collect();
            world.table.append(&rows);
            seen.extend(rows);
        }
        Action::DeletePositions(idx, positions, is_referenced) => {
            let Some(idx) = file(&world.table, *idx) else { return };
            let count = world.table.row_count(idx) as u64;
            let positions: BTreeSet<u64> =
                positions.iter().map(|p| u64::from(*p)).filter(|p| *p < count).collect();
            if positions.is_empty() {
                return;
            }
            if world.table.format_version == 3 {
                world.table.delete_by_vector(idx, &positions);
            } else {
                world.table.delete_positions(idx, &positions, *is_referenced);
            }
        }
        Action::DeleteEqual(ns, id) => {
            world.table.delete_equal(&[NS, ID], &[key_row((*ns, *id), 0)], &Row::new());
        }
        Action::Remove(idx) => match file(&world.table, *idx) {
            Some(idx) => world.table.remove(idx),
            None => return,
        },
        Action::Compact => world.compact(),
        Action::MakeAnew => world.make_anew(),
        Action::Expire | Action::Follow | Action::FollowLittle => return,
    }
    world.snapshot();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn ledgers_know_what_the_table_has_whenever_they_follow(format in 2..4_u8, actions in actions()) {
        let mut world = World::new(format);
        let (mut version, mut seen) = (0, Vec::new());
        for action in &actions {
            match action {
                Action::Follow => {
                    world.follow();
                    world.check_or_elsewhere(&keys(&seen));
                }
                Action::FollowLittle => {
                    let config = firn_api::follow::FollowConfig { request_count_max: 6, ..World::config() };
                    futures::executor::block_on(world.run(&config));
                }
                Action::Expire if world.has_snapshot() => world.expire(),
                action => act(&mut world, action, &mut version, &mut seen),
            }
        }
        world.follow();
        world.check_or_elsewhere(&keys(&seen));
    }
}
