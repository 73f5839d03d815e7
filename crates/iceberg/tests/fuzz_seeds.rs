//! The seeds of the fuzz targets about this crate (`tests/fuzz`), replayed by the stable toolchain.
#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "seeds are files, and this is a test")]

use std::{fs, path::Path};

#[path = "../../../tests/fuzz/checks/deletion_vector.rs"]
mod deletion_vector;
#[path = "../../../tests/fuzz/checks/manifest.rs"]
mod manifest;
#[path = "../../../tests/fuzz/checks/manifest_list.rs"]
mod manifest_list;
#[path = "../../../tests/fuzz/checks/name_mapping.rs"]
mod name_mapping;
#[path = "../../../tests/fuzz/checks/partition_spec.rs"]
mod partition_spec;
#[path = "../../../tests/fuzz/checks/table_metadata.rs"]
mod table_metadata;

fn replay(target: &str, check: fn(&[u8])) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/seeds").join(target);
    let mut seed_count = 0;
    for seed in fs::read_dir(seeds).unwrap() {
        let path = seed.unwrap().path();
        println!("{}", path.display());
        check(&fs::read(&path).unwrap());
        seed_count += 1;
    }
    assert!(seed_count > 0, "{target} has seeds");
}

#[test]
fn parsers_keep_their_guarantees_on_every_seed() {
    replay("table_metadata", table_metadata::check);
    replay("name_mapping", name_mapping::check);
    replay("partition_spec", partition_spec::check);
    replay("manifest_list", manifest_list::check);
    replay("manifest", manifest::check);
    replay("deletion_vector", deletion_vector::check);
}
