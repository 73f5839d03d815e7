//! Point lookups: which ranges are read, in which order, and what is found.

use std::sync::Arc;

use bytes::Bytes;
use firn_lookup::{
    file::{
        FileRequest, FoundRow, KeyEquals, RowSelection, WantedColumn, When, footer::FileFooter,
        lookup::FileLookup,
    },
    need::Role::{self, Footer, KeyPages, PageIndex, TargetPages},
};
use parquet::{
    basic::Compression,
    file::properties::{EnabledStatistics, WriterVersion},
};

use crate::{
    conversation::{Conversation, drive, look_up, scan},
    sample::{Layout, Row, columns, found, key, noise, request, scan_request, sorted_rows, write},
};

fn key_of(row: &Row) -> Vec<KeyEquals> {
    key(&row.ns, &row.ty, &row.id)
}

struct Case {
    rows: Vec<Row>,
    object: Bytes,
}

impl Case {
    fn new(rows: Vec<Row>, layout: &Layout) -> Self {
        let object = write(&rows, layout);
        Self { rows, object }
    }

    fn ask(&self, position: usize, selection: RowSelection) -> FileRequest {
        request(&self.object, key_of(&self.rows[position]), selection)
    }

    /// Looks up the row at `position` by its key, or there; checks the answer.
    #[track_caller]
    fn read(
        &self,
        position: usize,
        selection: RowSelection,
        held: Option<Arc<FileFooter>>,
    ) -> (Conversation, Option<Arc<FileFooter>>) {
        let (rows, conversation, footer) =
            look_up(&self.object, self.ask(position, selection), held).unwrap();
        assert_eq!(rows, [found(position, &self.rows[position])]);
        (conversation, footer)
    }

    #[track_caller]
    fn find(&self, position: usize) -> Conversation {
        self.read(position, RowSelection::AllMatching, None).0
    }

    #[track_caller]
    fn miss(&self, key: Vec<KeyEquals>) -> Conversation {
        let ask = request(&self.object, key, RowSelection::AllMatching);
        let (rows, conversation, _) = look_up(&self.object, ask, None).unwrap();
        assert_eq!(rows, []);
        conversation
    }
}

/// One row group, pages of 25 rows: about 7 KB of content each, within what is read on speculation.
fn small_pages() -> Layout {
    Layout { group_rows: 10_000, page_rows: 25, ..Layout::default() }
}

/// Pages of 40 rows: beyond it.
fn large_pages() -> Layout {
    Layout { page_rows: 40, ..small_pages() }
}

#[track_caller]
fn check(conversation: &Conversation, roles: &[&[Role]], requests: usize, len_bytes_max: u64) {
    assert_eq!(conversation.roles(), roles, "{conversation:#?}");
    assert_eq!(conversation.requests, requests, "{conversation:#?}");
    assert!(conversation.len_bytes <= len_bytes_max, "{conversation:#?}");
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
        let case = Case::new(rows.clone(), &layout);
        for position in [0, 1, 999, 1_000, 1_249, 1_250, 2_499] {
            case.find(position);
            case.read(position, RowSelection::At(position as u64), None);
            let neighbour = case.ask(position, RowSelection::At(position as u64 ^ 1));
            assert_eq!(look_up(&case.object, neighbour, None).unwrap().0, [], "{layout:?}");
        }
        case.miss(key("acme.example", "Doc", "guide/000100x"));
        let beyond = request(&case.object, Vec::new(), RowSelection::At(2_500));
        assert_eq!(look_up(&case.object, beyond, None).unwrap().0, []);
        let all: Vec<FoundRow> = rows.iter().enumerate().map(|(at, row)| found(at, row)).collect();
        assert_eq!(scan(&case.object, scan_request(&case.object)).unwrap(), all, "{layout:?}");
    }
}

#[test]
fn page_indexed_lookup_takes_three_waves_and_two_with_the_footer_held() {
    let case = Case::new(sorted_rows(600), &large_pages());
    let (cold, held) = case.read(321, RowSelection::AllMatching, None);
    check(&cold, &[&[Footer], &[KeyPages], &[TargetPages]], 3, 33_000);
    let (warm, held) = case.read(361, RowSelection::AllMatching, held);
    check(&warm, &[&[KeyPages], &[TargetPages]], 3, 22_000);
    // Rows 361 and 362 share their key pages.
    let (warm, _) = case.read(362, RowSelection::AllMatching, held);
    check(&warm, &[&[TargetPages]], 2, 20_000);
}

#[test]
fn key_pages_that_are_kept_with_the_footer_are_few() {
    let mut rows = sorted_rows(3_000);
    for row in &mut rows {
        row.id = format!("{}-{}", row.id, noise(row.version as usize, 40));
    }
    let case = Case::new(rows, &Layout { group_rows: 3_000, ..large_pages() });
    let (mut held, mut asked) = (None, 0);
    let mut keys = 0;
    for position in (10..3_000).step_by(40) {
        let (conversation, footer) = case.read(position, RowSelection::AllMatching, held);
        keys += usize::from(conversation.roles().iter().any(|wave| wave.contains(&KeyPages)));
        asked += 1;
        held = footer;
    }
    let (parsed, held) = (case.read(10, RowSelection::AllMatching, None).1.unwrap(), held.unwrap());
    assert_eq!(keys, asked, "each row has other key pages");
    let kept = held.memory_len_bytes() - parsed.memory_len_bytes();
    assert!((1..=16 * 1024).contains(&kept), "{kept}");
}

#[test]
fn tail_is_as_long_as_the_manifest_says() {
    let case = Case::new(sorted_rows(600), &large_pages());
    let find = |end: Option<u64>| {
        let mut lookup = FileLookup::new(case.ask(321, RowSelection::AllMatching), None);
        lookup.expect_end(end);
        let (rows, conversation) = drive(&mut lookup, &case.object).unwrap();
        assert_eq!(rows, [found(321, &case.rows[321])]);
        conversation
    };
    let tail_of =
        |conversation: &Conversation| conversation.waves[0][0].1.end - conversation.waves[0][0].1.start;
    let guessed = find(None);
    for (end, expected) in [
        (Some(9_000), 9_000),
        (Some(64 * 1024), 64 * 1024),
        // Too much, or less than the fixed end has: guessed.
        (Some(64 * 1024 + 1), tail_of(&guessed)),
        (Some(7), tail_of(&guessed)),
        (Some(u64::MAX), tail_of(&guessed)),
        // Wrong: it costs a wave, not the answer.
        (Some(8), 8),
    ] {
        assert_eq!(tail_of(&find(end)), expected, "{end:?}");
    }
}

#[test]
fn small_target_comes_with_the_key_pages() {
    let case = Case::new(sorted_rows(600), &small_pages());
    let (cold, held) = case.read(321, RowSelection::AllMatching, None);
    check(&cold, &[&[Footer], &[KeyPages]], 3, 33_000);
    let (warm, _) = case.read(321, RowSelection::AllMatching, held);
    // The key pages were kept.
    check(&warm, &[&[TargetPages]], 2, 7_000);
}

#[test]
fn targets_of_several_ranges_wait_until_the_rows_are_known() {
    let mut half = sorted_rows(300);
    for (i, row) in half.iter_mut().enumerate() {
        row.markdown = Some(noise(i, 60));
    }
    let case = Case::new([half.clone(), half].concat(), &Layout { group_rows: 300, ..small_pages() });
    let ask = case.ask(21, RowSelection::AllMatching);
    let (rows, conversation, _) = look_up(&case.object, ask, None).unwrap();
    assert_eq!(rows, [found(21, &case.rows[21]), found(321, &case.rows[21])]);
    assert_eq!(conversation.roles().last().map(Vec::as_slice), Some(&[TargetPages][..]));
}

#[test]
fn read_at_takes_two_waves_and_one_with_the_footer_held() {
    let case = Case::new(sorted_rows(600), &large_pages());
    let (cold, held) = case.read(321, RowSelection::At(321), None);
    check(&cold, &[&[Footer], &[KeyPages]], 3, 38_000);
    let (warm, held) = case.read(361, RowSelection::At(361), held);
    check(&warm, &[&[KeyPages]], 3, 22_000);
    let (warm, _) = case.read(362, RowSelection::At(362), held);
    check(&warm, &[&[KeyPages]], 2, 20_000);
}

#[test]
fn page_index_beyond_the_tail_takes_one_more_wave() {
    let mut rows = sorted_rows(6_000);
    for (i, row) in rows.iter_mut().enumerate() {
        row.markdown = Some(noise(i, 20));
        row.exports = None;
    }
    let case = Case::new(rows, &small_pages());
    let (cold, held) = case.read(3_210, RowSelection::AllMatching, None);
    assert_eq!(cold.roles(), [[Footer], [PageIndex], [KeyPages]]);
    let (warm, _) = case.read(3_210, RowSelection::AllMatching, held);
    assert_eq!(warm.roles(), [[TargetPages]]);
}

#[test]
fn whole_small_file_is_read_at_once() {
    let case = Case::new(sorted_rows(40), &Layout::default());
    check(&case.find(33), &[&[Footer]], 1, 24_576);
}

#[test]
fn statistics_and_page_index_exclude_without_another_wave() {
    let case = Case::new(sorted_rows(600), &small_pages());
    for missing in [
        key("acme", "Doc", "guide/000321"),
        key("acme.example", "Zzz", "guide/000321"),
        key("acme.example", "Doc", "guide/999999"),
        // Sorted by type first: the last page of `Doc` ends before it, the first one of `Post` begins behind it.
        key("acme.example", "Doc", "guide/000300"),
    ] {
        check(&case.miss(missing), &[&[Footer]], 1, 12_000);
    }
}

/// Rows in an order in which no bound excludes anything.
fn shuffled(count: usize) -> Vec<Row> {
    let mut rows = sorted_rows(count);
    rows.sort_by_key(|row| noise(row.version as usize, 8));
    rows
}

#[test]
fn bloom_filter_spares_the_key_pages_of_an_unsorted_file() {
    let mut rows = shuffled(4_000);
    for row in &mut rows {
        row.id = format!("{}-{}", row.id, noise(row.version as usize, 40));
    }
    let layout = Layout { bloom: true, ..small_pages() };
    let (with, without) = (Case::new(rows.clone(), &layout), Case::new(rows, &small_pages()));
    let missing = || key("acme.example", "Doc", "guide/0012345");
    let (with_filter, without_filter) = (with.miss(missing()), without.miss(missing()));
    assert_eq!(with_filter.roles().last().map(Vec::as_slice), Some(&[PageIndex][..]), "{with_filter:#?}");
    assert_eq!(without_filter.roles().last().map(Vec::as_slice), Some(&[KeyPages][..]));
    assert!(with_filter.len_bytes + 100_000 < without_filter.len_bytes);
    assert!(with.find(1_234).len_bytes > with_filter.len_bytes);
}

#[test]
fn file_without_page_index_is_read_by_chunks_and_pieces() {
    let mut rows = sorted_rows(3_000);
    for (i, row) in rows.iter_mut().enumerate() {
        row.markdown = Some(noise(i, 2_000));
    }
    let layout = Layout {
        index: false,
        group_rows: 3_000,
        page_rows: 50,
        codec: Compression::UNCOMPRESSED,
        ..Layout::default()
    };
    let case = Case::new(rows, &layout);
    // 6 MB of content: pieces of 512 KiB, doubling, until the page of the row is there.
    let early = case.find(100);
    check(&early, &[&[Footer], &[KeyPages], &[TargetPages]], 5, 900_000);
    let late = case.find(2_900);
    assert!(late.waves.len() <= 12 && late.len_bytes < 7_000_000, "{late:#?}");
    let at = case.read(100, RowSelection::At(100), None).0;
    check(&at, &[&[Footer], &[KeyPages]], 3, 1_000_000);
}

#[test]
fn page_that_goes_on_behind_a_piece_is_not_read_twice() {
    let mut rows = sorted_rows(1_000);
    for (i, row) in rows.iter_mut().enumerate() {
        row.markdown = Some(noise(i, 2_000));
    }
    let layout =
        Layout { index: false, page_rows: 1_000, codec: Compression::UNCOMPRESSED, ..Layout::default() };
    // One page of 2 MB, in pieces of 512 KiB: its header tells how long it is.
    let plain = Case::new(rows.clone(), &layout).find(100);
    check(&plain, &[&[Footer], &[KeyPages], &[TargetPages], &[TargetPages]], 6, 2_200_000);
    // A dictionary of 1 MB is asked for whole.
    let with = Case::new(rows[..500].to_vec(), &Layout { dictionary: true, ..layout });
    check(&with.find(100), &[&[Footer], &[KeyPages], &[TargetPages]], 3, 1_200_000);
}

#[test]
fn footer_beyond_the_tail_takes_one_more_wave() {
    let rows = sorted_rows(2_000);
    let case = Case::new(rows, &Layout { group_rows: 20, page_rows: 20, ..Layout::default() });
    let conversation = case.find(1_000);
    assert_eq!(conversation.roles()[..2], [[Footer], [Footer]], "{conversation:#?}");
    let [(_, tail)] = &conversation.waves[0][..] else { panic!() };
    let [(_, rest)] = &conversation.waves[1][..] else { panic!() };
    assert_eq!(rest.end, tail.start, "nothing is read twice");
}

#[test]
fn stated_length_is_only_a_hint() {
    let case = Case::new(sorted_rows(600), &small_pages());
    for stated_len_bytes in [0, 1, 100, 1 << 40, u64::MAX] {
        let ask = FileRequest { stated_len_bytes, ..case.ask(321, RowSelection::AllMatching) };
        let (rows, conversation, _) = look_up(&case.object, ask, None).unwrap();
        assert_eq!(rows, [found(321, &case.rows[321])]);
        assert_eq!(conversation.waves.len(), 2);
    }
}

#[test]
fn every_version_of_a_key_is_found() {
    let mut rows = shuffled(3_000);
    for row in &mut rows {
        row.ty = "Doc".into();
        row.id = format!("guide/{}", row.version % 10);
    }
    let case = Case::new(rows, &Layout { group_rows: 700, ..Layout::default() });
    let ask = request(&case.object, key("acme.example", "Doc", "guide/7"), RowSelection::AllMatching);
    let (answer, ..) = look_up(&case.object, ask, None).unwrap();
    let numbered = case.rows.iter().enumerate();
    let expected: Vec<FoundRow> =
        numbered.filter(|(_, row)| row.id == "guide/7").map(|(at, row)| found(at, row)).collect();
    assert_eq!(answer, expected);
    assert_eq!(answer.len(), 300);
}

#[test]
fn column_that_the_file_lacks_has_its_default() {
    let case = Case::new(sorted_rows(10), &Layout::default());
    let mut ask = case.ask(3, RowSelection::AllMatching);
    let mut column = columns().remove(0).column;
    column.field_id = 77;
    column.initial_default = Some(crate::sample::text("spring"));
    ask.columns = vec![WantedColumn { column: column.clone(), when: When::Target }];
    let values = |ask| {
        look_up(&case.object, ask, None).unwrap().0.into_iter().map(|row| row.values).collect::<Vec<_>>()
    };
    assert_eq!(values(ask.clone()), [[column.initial_default.clone()]]);
    for (value, is_found) in [("spring", true), ("summer", false)] {
        let mut ask = ask.clone();
        ask.key.push(KeyEquals { column: column.clone(), value: crate::sample::text(value) });
        assert_eq!(values(ask).len(), usize::from(is_found));
    }
    column.initial_default = None;
    ask.key.push(KeyEquals { column, value: crate::sample::text("spring") });
    assert_eq!(values(ask), Vec::<Vec<_>>::new());
}
