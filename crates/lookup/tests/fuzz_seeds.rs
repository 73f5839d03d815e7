//! The seeds of the fuzz targets about this crate (`tests/fuzz`), replayed by the stable toolchain.
#![cfg(test)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    reason = "seeds are files, and this is a test"
)]

use std::{fs, path::Path};

#[path = "../../../tests/fuzz/checks/parquet_file.rs"]
mod parquet_file;
#[path = "../../../tests/fuzz/checks/parquet_footer.rs"]
mod parquet_footer;
#[path = "../../../tests/fuzz/checks/parquet_index.rs"]
mod parquet_index;
#[path = "../../../tests/fuzz/checks/parquet_pages.rs"]
mod parquet_pages;
#[path = "../../../tests/fuzz/checks/parquet_read.rs"]
mod parquet_read;

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
fn files_of_any_content_are_survived() {
    replay("parquet_file", parquet_file::check);
    replay("parquet_footer", parquet_footer::check);
    replay("parquet_pages", parquet_pages::check);
    replay("parquet_index", parquet_index::check);
}
