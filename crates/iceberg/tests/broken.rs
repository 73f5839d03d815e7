//! Broken bytes: a typed error, or an answer; never a panic, and never more memory than the limits allow.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test opens files, and what fails it may panic"
)]
#![expect(clippy::indexing_slicing, unreachable_pub, reason = "a test")]

mod support;

use firn_iceberg::{
    data_file::PartitionValue,
    error::{Error, ErrorKind},
    manifest::{Manifest, ManifestEntry, StatsOf},
    manifest_list::{ManifestFile, ManifestList},
    metadata::TableMetadata,
    partition::PartitionSpec,
};
use proptest::prelude::*;
use support::{bytes, container, fixture, long, metadata};

const TABLES: [&str; 3] = ["pyiceberg-default", "pyiceberg-identity", "pyiceberg-bucket"];

/// What is there to read: the manifests of a table, each with how its list describes it and its spec.
fn manifests(table: &str) -> Vec<(Vec<u8>, ManifestFile, PartitionSpec)> {
    let metadata = TableMetadata::parse(&metadata(table)).unwrap();
    let list = ManifestList::parse(&fixture(table, "list")[0]).unwrap();
    let spec = PartitionSpec::clone(metadata.partition_spec(0).unwrap());
    let described = fixture(table, "manifest").into_iter().map(|bytes| {
        let by_length = |m: &&ManifestFile| m.stated_len_bytes == bytes.len() as u64;
        let of = list.manifests.iter().find(by_length).unwrap().clone();
        (bytes, of, spec.clone())
    });
    described.collect()
}

fn read_list(bytes: &[u8]) -> Result<usize, Error> {
    ManifestList::parse(bytes).map(|list| list.manifests.len())
}

fn read_manifest(bytes: &[u8], of: &ManifestFile, spec: &PartitionSpec) -> Result<usize, Error> {
    Manifest::parse(bytes, of, spec, StatsOf::All).map(|manifest| manifest.entries.len())
}

#[test]
fn every_truncation_is_a_typed_error() {
    for table in TABLES {
        let metadata = metadata(table);
        for len in 0..metadata.trim_ascii_end().len() {
            assert_eq!(
                TableMetadata::parse(&metadata[..len]).unwrap_err().kind(),
                ErrorKind::Corrupt,
                "{len}"
            );
        }
        // A manifest list that ends before its only block is a valid one without manifests.
        let list = &fixture(table, "list")[0];
        let readable = (0..list.len()).filter(|len| read_list(&list[..*len]).is_ok());
        assert_eq!(readable.count(), 1, "{table}");
        for (bytes, of, spec) in manifests(table) {
            for len in 0..bytes.len() {
                let error = read_manifest(&bytes[..len], &of, &spec).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{len}: {error}");
            }
        }
    }
}

#[test]
fn every_corrupt_byte_of_a_manifest_is_a_typed_error_or_harmless() {
    for (bytes, of, spec) in manifests("pyiceberg-bucket") {
        let whole = Manifest::parse(&bytes, &of, &spec, StatsOf::All).unwrap();
        for idx in 0..bytes.len() {
            for flip in [0x01, 0xff] {
                let mut broken = bytes.clone();
                broken[idx] ^= flip;
                if let Ok(read) = Manifest::parse(&broken, &of, &spec, StatsOf::All) {
                    assert!(says_less(&read, &whole), "{idx} ^ {flip}");
                }
            }
        }
    }
}

/// Whether a manifest says the same of its files as another, or leaves open what only pruning uses. The blocks are
/// checked by what their writer left of an Adler-32; in the header a field can lose its id.
fn says_less(read: &Manifest, whole: &Manifest) -> bool {
    let same = |(a, b): (&ManifestEntry, &ManifestEntry)| {
        let mut b = b.clone();
        for (of_a, of_b) in a.file.partition.iter().zip(&mut b.file.partition) {
            if *of_a == PartitionValue::Unknown {
                *of_b = PartitionValue::Unknown;
            }
        }
        for (of_a, of_b) in a.file.stats.iter().zip(&mut b.file.stats) {
            of_b.value_count = of_b.value_count.filter(|_| of_a.value_count.is_some());
            of_b.null_count = of_b.null_count.filter(|_| of_a.null_count.is_some());
            of_b.lower_bound = of_b.lower_bound.take().filter(|_| of_a.lower_bound.is_some());
            of_b.upper_bound = of_b.upper_bound.take().filter(|_| of_a.upper_bound.is_some());
        }
        b.file.stated_len_bytes = a.file.stated_len_bytes;
        *a == b
    };
    read.entries.len() == whole.entries.len() && read.entries.iter().zip(&whole.entries).all(same)
}

#[test]
fn corrupt_bytes_never_panic() {
    for table in TABLES {
        let metadata = metadata(table);
        for idx in 0..metadata.len() {
            let mut broken = metadata.clone();
            broken[idx] ^= 0x1f;
            let _ = TableMetadata::parse(&broken);
        }
        let list = &fixture(table, "list")[0];
        for idx in 0..list.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut broken = list.clone();
                broken[idx] ^= flip;
                let _ = read_list(&broken);
            }
        }
    }
}

const PATH_AND_SPEC: &str = r#"{"type": "record", "name": "manifest_file", "fields": [
    {"name": "manifest_path", "type": "string", "field-id": 500},
    {"name": "partition_spec_id", "type": "int", "field-id": 502},
    {"name": "what_nobody_knows", "type": EXTRA, "field-id": 9999}
]}"#;

fn list_with(extra_type: &str, extra: &[u8]) -> Vec<u8> {
    let datum = [bytes(b"s3://b/m.avro"), long(0), extra.to_vec()].concat();
    container(&PATH_AND_SPEC.replace("EXTRA", extra_type), "null", &[(1, datum)])
}

#[track_caller]
fn check(extra_type: &str, extra: &[u8], expected: Option<ErrorKind>) {
    let result = read_list(&list_with(extra_type, extra));
    assert_eq!(result.as_ref().err().map(Error::kind), expected, "{result:?}");
}

#[test]
fn unknown_fields_of_any_type_are_passed_over() {
    check(r#""null""#, &[], None);
    check(r#""boolean""#, &[1], None);
    check(r#""long""#, &long(i64::MIN), None);
    check(r#""float""#, &[0; 4], None);
    check(r#""double""#, &[0; 8], None);
    check(r#""bytes""#, &bytes(&[1, 2, 3]), None);
    check(r#"{"type": "fixed", "name": "f", "size": 3}"#, &[1, 2, 3], None);
    check(r#"{"type": "enum", "name": "e", "symbols": ["a", "b"]}"#, &long(1), None);
    check(r#"["null", "string"]"#, &[long(1), bytes(b"x")].concat(), None);
    let map = [long(1), bytes(b"key"), long(5), long(0)].concat();
    check(r#"{"type": "map", "values": "int"}"#, &map, None);
    let array = [long(2), long(5), long(6), long(-1), long(1), long(7), long(0)].concat();
    check(r#"{"type": "array", "items": "int"}"#, &array, None);
    let record = r#"{"type": "record", "name": "r", "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": {"type": "int", "logicalType": "date"}}]}"#;
    check(record, &[long(1), long(2)].concat(), None);
}

#[test]
fn values_that_the_bytes_cannot_hold_are_corrupt() {
    let corrupt = Some(ErrorKind::Corrupt);
    // Empty values take no byte, so only the count of steps ends these.
    check(r#"{"type": "array", "items": "null"}"#, &[long(i64::MAX), long(0)].concat(), corrupt);
    let wide = format!(
        r#"{{"type": "array", "items": {{"type": "record", "name": "r", "fields": [{}]}}}}"#,
        (0..1_000).map(|i| format!(r#"{{"name": "n{i}", "type": "null"}}"#)).collect::<Vec<_>>().join(",")
    );
    check(&wide, &[long(1_000_000), long(0)].concat(), corrupt);
    check(r#"{"type": "array", "items": "int"}"#, &long(i64::MIN), corrupt);
    check(r#""bytes""#, &long(i64::MAX), corrupt);
    check(r#""bytes""#, &long(-1), corrupt);
    check(r#""long""#, &[0xff; 10], corrupt);
    check(r#"["null", "int"]"#, &long(2), corrupt);
    check(r#"["null", "int"]"#, &long(-1), corrupt);
    check(r#"["null", ["null", "int"]]"#, &[long(1), long(1), long(1)].concat(), corrupt);
    check(r#"{"type": "fixed", "name": "f", "size": 99999999999999}"#, &[], corrupt);
    // One byte more than the values take.
    check(r#""null""#, &[0], corrupt);
}

#[test]
fn schema_that_no_value_can_follow_ends_at_a_limit() {
    let recursive = r#"{"type": "record", "name": "r", "fields": [{"name": "r", "type": "r"}]}"#;
    check(recursive, &[], Some(ErrorKind::LimitExceeded));
    let mut deep = r#""int""#.to_owned();
    for _ in 0..40 {
        deep = format!(r#"{{"type": "array", "items": {deep}}}"#);
    }
    check(&deep, &[], Some(ErrorKind::LimitExceeded));
    check(r#""nowhere_declared""#, &[], Some(ErrorKind::Corrupt));
    check(r#"{"type": "record", "name": "r"}"#, &[], Some(ErrorKind::Corrupt));
    check("7", &[], Some(ErrorKind::Corrupt));
}

#[test]
fn compression_bombs_end_at_the_limit() {
    let zeros = vec![0_u8; 65 << 20];
    let zstd = zstd::bulk::compress(&zeros, 1).unwrap();
    let snappy = {
        let mut block = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
        block.extend([0; 4]);
        block
    };
    let mut deflater = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut deflater, &zeros).unwrap();
    let deflate = deflater.finish().unwrap();
    let schema = PATH_AND_SPEC.replace("EXTRA", r#""null""#);
    for (codec, block) in [("zstandard", zstd), ("snappy", snappy), ("deflate", deflate)] {
        let error = read_list(&container(&schema, codec, &[(1, block)])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{codec}: {error}");
    }
}

#[test]
fn every_codec_is_read_and_an_unknown_one_is_unsupported() {
    let schema = PATH_AND_SPEC.replace("EXTRA", r#""null""#);
    let datum = [bytes(b"s3://b/m.avro"), long(3)].concat();
    let mut deflater = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut deflater, &datum).unwrap();
    let deflate = deflater.finish().unwrap();
    let mut crc = flate2::Crc::new();
    crc.update(&datum);
    let snappy =
        [snap::raw::Encoder::new().compress_vec(&datum).unwrap(), crc.sum().to_be_bytes().to_vec()].concat();
    // A writer that streams does not put the content's length into the frame.
    let mut streamed = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    std::io::Write::write_all(&mut streamed, &datum).unwrap();
    let streamed = streamed.finish().unwrap();
    for (codec, block) in [
        ("null", datum.clone()),
        ("deflate", deflate.clone()),
        ("deflate", [deflate.clone(), vec![1, 2]].concat()),
        ("snappy", snappy.clone()),
        ("zstandard", zstd::bulk::compress(&datum, 3).unwrap()),
        ("zstandard", streamed),
    ] {
        let list =
            ManifestList::parse(&container(&schema, codec, &[(1, block.clone()), (1, block)])).unwrap();
        assert_eq!(list.manifests.len(), 2, "{codec}");
        assert_eq!(list.manifests[1].location, "s3://b/m.avro");
        assert_eq!(list.manifests[1].partition_spec_id, 3);
    }
    let mut wrong_crc = snappy;
    *wrong_crc.last_mut().unwrap() ^= 1;
    for (codec, block, kind) in [
        ("bzip2", datum.clone(), ErrorKind::Unsupported),
        ("snappy", wrong_crc, ErrorKind::Corrupt),
        ("snappy", vec![1], ErrorKind::Corrupt),
        ("zstandard", vec![1, 2, 3], ErrorKind::Corrupt),
        ("deflate", vec![0xff, 0xff], ErrorKind::Corrupt),
        ("deflate", Vec::new(), ErrorKind::Corrupt),
        // The first three bytes of an Adler-32, and not of this content.
        ("deflate", [deflate, vec![1, 2, 3]].concat(), ErrorKind::Corrupt),
    ] {
        let error = read_list(&container(&schema, codec, &[(1, block)])).unwrap_err();
        assert_eq!(error.kind(), kind, "{codec}: {error}");
    }
}

proptest! {
    #[test]
    fn noise_is_never_a_panic(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = ManifestList::parse(&noise);
        let _ = TableMetadata::parse(&noise);
        let datum = noise.clone();
        let _ = read_list(&list_with(r#"{"type": "array", "items": ["null", {"type": "map", "values": "bytes"}]}"#, &datum));
    }

    #[test]
    fn many_corrupt_bytes_are_never_a_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        for (bytes, of, spec) in manifests("pyiceberg-identity") {
            let mut broken = bytes;
            for (at, value) in &edits {
                let idx = at.index(broken.len());
                broken[idx] = *value;
            }
            let _ = read_manifest(&broken, &of, &spec);
        }
    }
}
