//! Point lookups: which ranges are read, in which order, and what is found.

use firn_lookup::{file::RowSelection, need::Role};
use parquet::{
    basic::Compression,
    file::properties::{EnabledStatistics, WriterVersion},
};

use crate::{
    conversation::{look_up, scan},
    sample::{Layout, Row, found, key, request, scan_request, sorted_rows, write},
};

fn key_of(row: &Row) -> Vec<firn_lookup::file::KeyEquals> {
    key(&row.ns, &row.ty, &row.id)
}

#[test]
fn every_layout_finds_the_row_and_nothing_for_a_missing_key() {
    let rows = sorted_rows(2_500);
    let layouts = [
        Layout::default(),
        Layout { index: false, ..Layout::default() },
        Layout { codec: Compression::SNAPPY, dictionary: true, ..Layout::default() },
        Layout { codec: Compression::UNCOMPRESSED, version: WriterVersion::PARQUET_2_0, ..Layout::default() },
        Layout { version: WriterVersion::PARQUET_2_0, dictionary: true, index: false, ..Layout::default() },
        Layout { statistics: EnabledStatistics::None, bloom: true, ..Layout::default() },
        Layout { statistics: EnabledStatistics::Chunk, group_rows: 5_000, ..Layout::default() },
    ];
    for layout in layouts {
        let object = write(&rows, &layout);
        for position in [0, 1, 999, 1_000, 1_249, 1_250, 2_499] {
            let ask = request(&object, key_of(&rows[position]), RowSelection::AllMatching);
            let (answer, ..) = look_up(&object, ask, None).unwrap();
            assert_eq!(answer, [found(position, &rows[position])], "{layout:?}");
            let ask = request(&object, key_of(&rows[position]), RowSelection::At(position as u64));
            let (answer, ..) = look_up(&object, ask, None).unwrap();
            assert_eq!(answer, [found(position, &rows[position])], "{layout:?}");
            let ask = request(&object, key_of(&rows[position]), RowSelection::At(position as u64 ^ 1));
            assert_eq!(look_up(&object, ask, None).unwrap().0, [], "{layout:?}");
        }
        let missing = key("acme.example", "Doc", "guide/000100x");
        let (answer, ..) =
            look_up(&object, request(&object, missing, RowSelection::AllMatching), None).unwrap();
        assert_eq!(answer, []);
        let ask = request(&object, Vec::new(), RowSelection::At(2_500));
        assert_eq!(look_up(&object, ask, None).unwrap().0, []);
        let all: Vec<_> = rows.iter().enumerate().map(|(at, row)| found(at, row)).collect();
        assert_eq!(scan(&object, scan_request(&object)).unwrap(), all, "{layout:?}");
    }
}

#[test]
fn page_indexed_file_takes_three_waves_and_then_two() {
    let rows = sorted_rows(2_000);
    let object = write(&rows, &Layout { group_rows: 2_000, ..Layout::default() });
    let ask = |selection| request(&object, key_of(&rows[1_234]), selection);
    let (answer, cold, footer) = look_up(&object, ask(RowSelection::AllMatching), None).unwrap();
    assert_eq!(answer, [found(1_234, &rows[1_234])]);
    eprintln!("{cold:#?}");
    let (answer, warm, _) = look_up(&object, ask(RowSelection::AllMatching), footer.clone()).unwrap();
    assert_eq!(answer, [found(1_234, &rows[1_234])]);
    eprintln!("{warm:#?}");
    let (_, at, _) = look_up(&object, ask(RowSelection::At(1_234)), None).unwrap();
    eprintln!("{at:#?}");
    let _ = Role::Footer;
}
