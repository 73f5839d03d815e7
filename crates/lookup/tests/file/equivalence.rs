//! Pruned lookups equal a full scan, whatever the layout.

use firn_lookup::file::RowSelection;
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    file::properties::{EnabledStatistics, WriterVersion},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::{
    conversation::{look_up, scan},
    sample::{Layout, Row, found, key, noise, request, scan_request, write},
};

fn a_row() -> impl Strategy<Value = Row> {
    let names = (select(vec!["a", "b", "acme.example"]), select(vec!["T", "Doc"]), 0..40u32);
    let rights = (option::of(select(vec!["public", "org", "user"])), option::of(any::<bool>()));
    let content = (option::of(0..1_500usize), option::of(vec("[a-z]{0,5}", 0..4)));
    (names, 0..9i64, rights, option::of(-5..5i64), content).prop_map(
        |((ns, ty, id), version, (visibility, deleted), expires_at, (markdown, exports))| Row {
            ns: ns.into(),
            ty: ty.into(),
            id: format!("guide/{id:02}"),
            version,
            visibility: visibility.map(Into::into),
            deleted,
            expires_at,
            markdown: markdown.map(|len| noise(len + id as usize, len)),
            exports,
        },
    )
}

fn a_layout() -> impl Strategy<Value = Layout> {
    let codecs = vec![
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::ZSTD(ZstdLevel::default()),
        Compression::GZIP(parquet::basic::GzipLevel::default()),
        Compression::LZ4_RAW,
        Compression::LZ4,
    ];
    let versions = vec![WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0];
    let encodings = vec![None, Some(Encoding::DELTA_BYTE_ARRAY), Some(Encoding::DELTA_LENGTH_BYTE_ARRAY)];
    let statistics = vec![EnabledStatistics::None, EnabledStatistics::Chunk, EnabledStatistics::Page];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (1..200usize, 1..60usize, select(codecs), select(versions), select(encodings), select(statistics), flags)
        .prop_map(|(group_rows, page_rows, codec, version, encoding, statistics, flags)| Layout {
            group_rows,
            page_rows,
            codec,
            version,
            dictionary: flags.0,
            encoding,
            index: flags.1,
            statistics,
            bloom: flags.2,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn lookup_equals_scan(
        mut rows in vec(a_row(), 1..300),
        is_sorted in any::<bool>(),
        layout in a_layout(),
        asked in vec((select(vec!["a", "b", "c"]), select(vec!["T", "Doc"]), 0..41u32), 1..6),
        keys in 0..=3usize,
        position in 0..300usize,
    ) {
        if is_sorted {
            rows.sort_by(|a, b| (&a.ns, &a.ty, &a.id).cmp(&(&b.ns, &b.ty, &b.id)));
        }
        let object = write(&rows, &layout);
        let all: Vec<_> = rows.iter().enumerate().map(|(at, row)| found(at, row)).collect();
        prop_assert_eq!(&scan(&object, scan_request(&object)).unwrap(), &all);

        let mut held = None;
        for (ns, ty, id) in asked {
            let key: Vec<_> = key(ns, ty, &format!("guide/{id:02}")).into_iter().rev().take(keys).collect();
            let wanted: Vec<Option<_>> = [2, 1, 0].iter().take(keys).zip(&key).map(|(column, key)| {
                Some((*column, Some(key.value.clone())))
            }).collect();
            let matches = |row: &firn_lookup::file::FoundRow| {
                wanted.iter().flatten().all(|(column, value)| row.values[*column] == *value)
            };
            let expected: Vec<_> = all.iter().filter(|row| matches(row)).cloned().collect();
            let ask = |selection| request(&object, key.clone(), selection);
            let (rows, _, footer) = look_up(&object, ask(RowSelection::AllMatching), held).unwrap();
            prop_assert_eq!(rows, expected);

            let expected: Vec<_> = all.get(position).filter(|row| matches(row)).cloned().into_iter().collect();
            let (rows, _, footer) = look_up(&object, ask(RowSelection::At(position as u64)), footer).unwrap();
            prop_assert_eq!(rows, expected);
            held = footer;
        }
    }
}
