//! Damaged files: a typed error or the right answer, never a panic, a hang or memory without bound.

use std::sync::OnceLock;

use bytes::Bytes;
use firn_lookup::file::{FoundRow, RowSelection, error::LookupError, limits::HELD_LEN_BYTES_MAX};
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    file::properties::WriterVersion,
};

use proptest::prelude::*;

use crate::{
    allocation,
    conversation::{look_up, scan},
    sample::{Layout, Row, found, key, noise, request, scan_request, sorted_rows, write},
};

/// Small files that between them hold every structure that is read.
fn files() -> &'static [(Vec<Row>, Bytes)] {
    static FILES: OnceLock<Vec<(Vec<Row>, Bytes)>> = OnceLock::new();
    FILES.get_or_init(make_files)
}

fn make_files() -> Vec<(Vec<Row>, Bytes)> {
    let small = Layout { group_rows: 12, page_rows: 4, ..Layout::default() };
    let layouts = [
        Layout { bloom: true, ..small.clone() },
        Layout { codec: Compression::UNCOMPRESSED, dictionary: true, ..small.clone() },
        Layout {
            codec: Compression::SNAPPY,
            version: WriterVersion::PARQUET_2_0,
            encoding: Some(Encoding::DELTA_BYTE_ARRAY),
            ..small.clone()
        },
        Layout {
            codec: Compression::UNCOMPRESSED,
            version: WriterVersion::PARQUET_2_0,
            encoding: Some(Encoding::DELTA_LENGTH_BYTE_ARRAY),
            index: false,
            ..small.clone()
        },
        Layout { codec: Compression::ZSTD(ZstdLevel::default()), index: false, dictionary: true, ..small },
    ];
    let mut rows = sorted_rows(18);
    for row in &mut rows {
        row.markdown = row.markdown.take().map(|text| text.chars().take(12).collect());
    }
    layouts.iter().map(|layout| (rows.clone(), write(&rows, layout))).collect()
}

/// A lookup and a scan, neither of which allocates more at once than what may be held of a file.
fn read(object: &Bytes, row: &Row) -> [Result<Vec<FoundRow>, LookupError>; 2] {
    allocation::watch();
    let ask = request(object, key(&row.ns, &row.ty, &row.id), RowSelection::AllMatching);
    let outcomes = [look_up(object, ask, None).map(|(rows, ..)| rows), scan(object, scan_request(object))];
    let largest = allocation::largest();
    assert!(largest as u64 <= HELD_LEN_BYTES_MAX, "{largest} bytes at once");
    outcomes
}

#[test]
fn every_truncation_is_an_error() {
    for (rows, object) in files() {
        for len in 0..object.len() {
            for outcome in read(&object.slice(..len), &rows[14]) {
                outcome.unwrap_err();
            }
        }
    }
}

#[test]
fn every_changed_byte_is_survived() {
    for (rows, object) in files() {
        let mut differing = 0;
        for position in 0..object.len() {
            let mut changed = object.to_vec();
            changed[position] ^= if position % 2 == 0 { 1 << (position / 2 % 8) } else { 0xff };
            let [looked_up, _] = read(&changed.into(), &rows[14]);
            differing += usize::from(looked_up.is_ok_and(|rows_found| rows_found != [found(14, &rows[14])]));
        }
        // A changed byte of a stored text, of a bound or of a filter makes another valid file: without checksums
        // nobody can tell. It stays the exception.
        assert!(differing * 4 < object.len(), "{differing} of {}", object.len());
    }
}

/// A value that is stored once and stands in a hundred rows.
#[test]
fn values_that_would_fill_memory_meet_a_limit() {
    let mut rows = sorted_rows(100);
    for row in &mut rows {
        row.markdown = Some(noise(1, 900_000));
    }
    let object = write(&rows, &Layout { dictionary: true, ..Layout::default() });
    assert!(object.len() < 2_000_000);
    let error = scan(&object, scan_request(&object)).unwrap_err();
    assert!(error.is_limit(), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn many_changed_bytes_are_survived(
        file_idx in 0..5usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let (rows, object) = &files()[file_idx];
        let mut changed = object.to_vec();
        for (at, byte) in changes {
            *at.get_mut(&mut changed) = byte;
        }
        let _ = read(&changed.into(), &rows[14]);
    }
}
