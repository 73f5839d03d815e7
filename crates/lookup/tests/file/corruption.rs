//! Damaged files: a typed error or the right answer, never a panic, a hang or memory without bound.

use bytes::Bytes;
use firn_lookup::file::{FoundRow, RowSelection, error::LookupError};
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    file::properties::WriterVersion,
};

use crate::{
    conversation::{look_up, scan},
    sample::{Layout, Row, found, key, request, scan_request, sorted_rows, write},
};

/// Small files that between them hold every structure that is read.
fn files() -> Vec<(Vec<Row>, Bytes)> {
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

/// A lookup and a scan.
fn read(object: &Bytes, row: &Row) -> [Result<Vec<FoundRow>, LookupError>; 2] {
    let ask = request(object, key(&row.ns, &row.ty, &row.id), RowSelection::AllMatching);
    [look_up(object, ask, None).map(|(rows, ..)| rows), scan(object, scan_request(object))]
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
