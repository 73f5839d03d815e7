//! Records to rows, rows to chunks, content to its hash.

#[cfg(test)]
mod rows {
    use firn_ndjson::chunk::{Chunker, Rows};
    use firn_ndjson::digest::{ContentHash, Sha256, SoftwareSha256, content_digest, content_size_bytes};
    use firn_ndjson::record::{Record, parse_record};
    use firn_ndjson::row::{RequestFields, RowFields, RowRenderer};
    use firn_ndjson::values::Values;
    use firn_types::error::LineErrorCode;
    use firn_types::limits::RECORD_LEN_BYTES_MAX;
    use firn_types::mode::Mode;
    use firn_types::schema::stream_columns;
    use firn_types::time::Micros;
    use firn_types::version::Version;
    use firn_types::visibility::Visibility;

    const REQUEST: RequestFields<'static> = RequestFields {
        owner_iss: Some("https://issuer.example"),
        owner_org: Some("Ör\"g\u{0}"),
        owner_sub: Some("alice"),
        ts: Micros(1_795_000_000_000_001),
        mode: Mode::Preview,
        ingest_id: "i-1",
    };

    const ANONYMOUS: RequestFields<'static> =
        RequestFields { owner_iss: None, owner_org: None, owner_sub: None, ..REQUEST };

    fn fields() -> RowFields {
        let hash = Some(ContentHash([0xA5; 32]));
        RowFields { version: Version::new(7), visibility: Visibility::Org, hash, size_bytes: 42 }
    }

    fn record(line: &str) -> Record<'_> {
        parse_record(line.as_bytes()).unwrap()
    }

    fn with(members: &str) -> String {
        format!(r#"{{"ns":"n","type":"t","id":"i"{members}}}"#)
    }

    fn row_of(request: &RequestFields<'_>, fields: &RowFields, line: &str) -> String {
        let mut row = Vec::new();
        let len_bytes = RowRenderer::new(request).render_row(&record(line), fields, &mut row).unwrap();
        assert_eq!(len_bytes, row.len());
        String::from_utf8(row).unwrap()
    }

    #[test]
    fn row_is_exactly_this() {
        let line = concat!(
            r#"{"exports" : [ "x" ,"\u0079"], "mdast" : {"a": [1,"#,
            "\t",
            r#""x\n"]} ,"css":"","frontmatter":{"é":"\""},"metadata":{ },"expires_at":"2030-01-31T12:00:00+02:00","#,
            r#""deleted":true,"id":"a\/\u00e9","type":"T","ns":"\u0041pp.DO","markdown":"a\n\"b\" é","if_version":"3"}"#
        );
        let expected = concat!(
            r#"{"ns":"app.do","type":"T","id":"a\/\u00e9","version":7,"visibility":"org","#,
            r#""owner_iss":"https://issuer.example","owner_org":"Ör\"g\u0000","owner_sub":"alice","deleted":true,"#,
            r#""expires_at":"2030-01-31T10:00:00.000000Z","ts":"2026-11-18T11:06:40.000001Z","#,
            r#""hash":"a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5","size_bytes":42,"mode":"preview","#,
            r#""ingest_id":"i-1","metadata":"{ }","markdown":"a\n\"b\" é","css":"","#,
            r#""mdast":"{\"a\": [1,\t\"x\\n\"]}","frontmatter":"{\"é\":\"\\\"\"}","exports":[ "x" ,"\u0079"]}"#,
        );
        assert_eq!(row_of(&REQUEST, &fields(), line), expected);
    }

    #[test]
    fn column_without_a_value_is_not_in_the_row() {
        let row = row_of(&ANONYMOUS, &RowFields { hash: None, ..fields() }, &with(""));
        let expected = concat!(
            r#"{"ns":"n","type":"t","id":"i","version":7,"visibility":"org","deleted":false,"#,
            r#""ts":"2026-11-18T11:06:40.000001Z","size_bytes":42,"mode":"preview","ingest_id":"i-1"}"#,
        );
        assert_eq!(row, expected);
    }

    #[test]
    fn every_column_of_the_stream_is_filled_but_those_of_later_versions() {
        let line = with(concat!(
            r#","visibility":"org","deleted":false,"expires_at":"2030-01-31T12:00:00Z","metadata":{},"markdown":"","mdx":"","#,
            r#""html":"","esm":"","dts":"","css":"","mdast":1,"hast":1,"estree":1,"tsast":1,"frontmatter":{},"#,
            r#""dependencies":[],"exports":[]"#
        ));
        let row = row_of(&REQUEST, &fields(), &line);
        let absent: Vec<&str> = stream_columns()
            .map(|column| column.name)
            .filter(|name| !row.contains(&format!("\"{name}\":")))
            .collect();
        let later = [
            "blob_digest",
            "blob_size_bytes",
            "blob_content_type",
            "blob_key",
            "signature",
            "signature_key_id",
        ];
        assert_eq!(absent, later);
    }

    #[test]
    fn row_over_the_limit_is_a_line_error_and_writes_nothing() {
        let renderer = RowRenderer::new(&REQUEST);
        let empty_len_bytes = row_of(&REQUEST, &fields(), &with(r#","mdx":"""#)).len();
        let room_len_bytes = RECORD_LEN_BYTES_MAX - empty_len_bytes;
        let line_of = |len_bytes: usize| with(&format!(r#","mdx":"{}""#, "x".repeat(len_bytes)));

        let mut row = Vec::new();
        let fitting = line_of(room_len_bytes);
        assert_eq!(renderer.render_row(&record(&fitting), &fields(), &mut row), Ok(RECORD_LEN_BYTES_MAX));
        assert_eq!(row.capacity(), RECORD_LEN_BYTES_MAX, "the room is made once");

        let over = line_of(room_len_bytes + 1);
        let mut row = b"before".to_vec();
        let error = renderer.render_row(&record(&over), &fields(), &mut row).unwrap_err();
        assert_eq!(error.code, LineErrorCode::RecordTooLarge);
        assert_eq!(error.detail, "the row has 1900001 bytes as it is sent; at most 1900000 are allowed");
        assert_eq!(row, b"before");
    }

    #[test]
    fn tree_that_grows_over_the_limit_as_text_is_a_line_error() {
        let strings = vec!["\"\""; 400_000].join(",");
        let line = with(&format!(",\"mdast\":[{strings}]"));
        assert!(line.len() < RECORD_LEN_BYTES_MAX);
        let error = RowRenderer::new(&REQUEST).plan_row(&record(&line), &fields()).map(drop).unwrap_err();
        assert_eq!(error.code, LineErrorCode::RecordTooLarge);
    }

    #[test]
    fn row_goes_into_its_chunk_as_it_is_rendered_alone() {
        let renderer = RowRenderer::new(&REQUEST);
        let lines = [with(""), with(r#","mdx":"aé","hast":{"b":"\"\\"}"#), with(r#","exports":["x"]"#)];
        for len_bytes_max in [0, 700, 1_100, 100_000] {
            let (mut planned, mut pushed) = (Chunker::new(len_bytes_max), Chunker::new(len_bytes_max));
            for (line, number) in lines.iter().cycle().take(20).zip(1..) {
                let record = record(line);
                let by_plan = planned.push_row(number, &renderer.plan_row(&record, &fields()).unwrap());
                let mut row = Vec::new();
                renderer.render_row(&record, &fields(), &mut row).unwrap();
                assert_eq!(by_plan, pushed.push(number, &row));
            }
            assert_eq!(planned.finish(), pushed.finish());
        }
    }

    #[test]
    fn values_are_exactly_this() {
        let renderer = RowRenderer::new(&ANONYMOUS);
        let line = with(r#","css":"a\n","exports":["x","\u0079"],"metadata":{"a":"\n"},"deleted":true"#);
        let record = record(&line);
        let row = renderer.plan_values(&record, &fields(), None::<SoftwareSha256>).unwrap();
        let mut chunker = Chunker::new(0);
        chunker.push_values(1, row);
        let Some(Rows::Values(values)) = chunker.finish().map(|chunk| chunk.rows) else { panic!("values") };
        let texts = [
            "nti",
            "org",
            r#"{"a":"\n"}"#,
            "\0\0\0\0\0\0\0\0css\0\0\0\0\0\0\0\0a\n",
            "\0\0\0\0\0\0\0\0exports\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0x\0\0\0\0\0\0\0\0y",
        ];
        assert_eq!(values.texts(), texts.concat().as_bytes());
        let (text, list, number, yes) = (0, 1 << 8, 2 << 8, 3 << 8);
        let words = [
            [10, 0, 78].as_slice(),
            &[text, 0, 1],
            &[text + 1, 1, 2],
            &[text + 2, 2, 3],
            &[number + 3, 0, 7],
            &[text + 4, 3, 6],
            &[yes + 8],
            &[number + 12, 0, 42],
            &[text + 21, 6, 16],
            &[text + 27, 35, 37],
            &[list + 34, 2, 68, 69, 77, 78],
        ];
        assert_eq!(values.words(), words.concat());
        let shared: serde_json::Value = serde_json::from_str(values.shared_json()).unwrap();
        assert_eq!((&shared["names"][27], &shared["names"][34]), (&"css".into(), &"exports".into()));
        let members = r#"{"ts":"2026-11-18T11:06:40.000001Z","mode":"preview","ingest_id":"i-1"}"#;
        assert_eq!(shared["members"].to_string(), {
            let sorted: serde_json::Value = serde_json::from_str(members).unwrap();
            sorted.to_string()
        });
    }

    /// Keeps the preimage.
    #[derive(Default)]
    struct Keep<'a>(Option<&'a mut Vec<Vec<u8>>>);

    impl Sha256 for Keep<'_> {
        fn update(&mut self, bytes: &[u8]) {
            self.0.as_mut().unwrap().push(bytes.to_vec());
        }

        fn finish(mut self, last: &[u8]) -> [u8; 32] {
            self.update(last);
            [7; 32]
        }
    }

    /// The preimage of a record's hash, and its size.
    fn preimage_of(line: &str) -> (Vec<u8>, u64) {
        let mut pieces = Vec::new();
        let hash = content_digest(&record(line), Keep(Some(&mut pieces)), &mut Values::default());
        assert_eq!((hash, pieces.len()), (ContentHash([7; 32]), 1), "a record is hashed in one call");
        (pieces.concat(), content_size_bytes(&record(line)))
    }

    fn hash_of(line: &str) -> ContentHash {
        content_digest(&record(line), SoftwareSha256::default(), &mut Values::default())
    }

    #[test]
    fn preimage_is_exactly_this() {
        let line = with(concat!(
            r#","exports":["a","\u00e9"],"metadata":{"x":1},"css":"","hast": [1, "\n"] ,"markdown":"a\n\ud83d\ude00","#,
            r#""dependencies":[],"frontmatter":{}"#,
        ));
        let (preimage, size_bytes) = preimage_of(&line);
        let mut expected = Vec::new();
        let mut add = |bytes: &[u8]| {
            expected.extend((bytes.len() as u64).to_be_bytes());
            expected.extend(bytes);
        };
        add(b"markdown");
        add("a\n😀".as_bytes());
        add(b"css");
        add(b"");
        add(b"hast");
        add(br#"[1, "\n"]"#);
        add(b"frontmatter");
        add(b"{}");
        add(b"dependencies");
        expected.extend(0_u64.to_be_bytes());
        let mut add = |bytes: &[u8]| {
            expected.extend((bytes.len() as u64).to_be_bytes());
            expected.extend(bytes);
        };
        add(b"exports");
        expected.extend(2_u64.to_be_bytes());
        expected.extend([0, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 0, 0, 0, 0, 0, 2, 0xC3, 0xA9]);
        assert_eq!(preimage, expected);
        assert_eq!(size_bytes, 6 + 9 + 2 + 3);
    }

    #[test]
    fn hash_is_sha_256_in_hexadecimal() {
        assert_eq!(content_size_bytes(&record(&with(""))), 0);
        let expected = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hash_of(&with("")).to_string(), expected);
    }

    #[test]
    fn hash_covers_content_as_stored_and_nothing_else() {
        let base = hash_of(&with(r#","markdown":"é/\n","exports":["a","b"]"#));
        for same in [
            r#","exports":[ "\u0061" , "b" ],"markdown":"\u00e9\/\u000A""#,
            r#","markdown":"é/\n","exports":["a","b"],"metadata":{"a":1},"visibility":"user","deleted":true"#,
            r#","markdown":"é/\n","exports":["a","b"],"if_version":"0","expires_at":"2030-01-31T12:00:00Z""#,
        ] {
            assert_eq!(hash_of(&with(same)), base, "{same}");
        }
        for other in [
            r#","mdx":"é/\n","exports":["a","b"]"#,
            r#","markdown":"é/\n","exports":["ab"]"#,
            r#","markdown":"é/\n","exports":["a","b",""]"#,
            r#","markdown":"é/\n","dependencies":["a","b"]"#,
            r#","markdown":"é/\n""#,
            r#","markdown":"é/\n","exports":["a","b"],"css":"""#,
        ] {
            assert_ne!(hash_of(&with(other)), base, "{other}");
        }
        let (tight, loose) = (hash_of(&with(r#","hast":[1]"#)), hash_of(&with(r#","hast":[1 ]"#)));
        assert_ne!(tight, loose, "a tree's bytes are the caller's");
    }

    #[test]
    fn preimage_holds_long_values_decoded() {
        for len in [0, 1, 16_000, 16_300, 16_384, 40_000, 100_000] {
            for unit in ["x", r"\n", r"\ud83d\ude00", "é", r"ab\u00e9"] {
                let line = with(&format!(r#","mdx":"{}","css":"end""#, unit.repeat(len / 2)));
                let (preimage, size_bytes) = preimage_of(&line);
                let value: String = serde_json::from_str(&format!("\"{}\"", unit.repeat(len / 2))).unwrap();
                let mut expected = b"\0\0\0\0\0\0\0\x03mdx".to_vec();
                expected.extend((value.len() as u64).to_be_bytes());
                expected.extend(value.as_bytes());
                expected.extend(b"\0\0\0\0\0\0\0\x03css\0\0\0\0\0\0\0\x03end");
                assert!(preimage == expected, "{len} of {unit}");
                assert_eq!(size_bytes, value.len() as u64 + 3);
            }
        }
    }
}
