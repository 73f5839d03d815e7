//! Which JSON objects are records, and what a line error says of those that are not (design.md §2).

#[cfg(test)]
#[path = "../../../tests/fuzz/checks/records.rs"]
mod oracle;

#[cfg(test)]
mod record {
    use firn_ndjson::error::QUOTED_NAME_LEN_BYTES_MAX;
    use firn_ndjson::record::{EXPIRES_AT_MAX, EXPIRES_AT_MIN, IfVersion, Record, parse_record};
    use firn_types::error::LineErrorCode::{
        self, DuplicateKey, InvalidJson, InvalidType, InvalidValue, LoneSurrogate, MetadataTooLarge,
        MissingField, RecordTooLarge, ServerSetField, UnknownField,
    };
    use firn_types::limits::{METADATA_LEN_BYTES_MAX, RECORD_LEN_BYTES_MAX};
    use firn_types::schema::{COLUMNS, CallerValue, Column, ColumnGroup, column_named};
    use firn_types::time::Micros;
    use firn_types::version::{VERSION_MAX, Version};
    use firn_types::visibility::Visibility;

    use super::oracle;

    const KEY: &str = r#""ns":"n","type":"t","id":"i""#;

    fn with(member: &str) -> String {
        format!("{{{KEY},{member}}}")
    }

    #[track_caller]
    fn accepts(line: &str) -> Record<'_> {
        oracle::check(line.as_bytes());
        parse_record(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[track_caller]
    fn refuses(line: &str, code: LineErrorCode, field: Option<&str>, detail: &str) {
        oracle::check(line.as_bytes());
        let error = parse_record(line.as_bytes()).map(drop).unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (code, field), "{line}: {error}");
        assert_eq!(error.detail, detail, "{line}");
    }

    fn columns_of(caller: CallerValue) -> impl Iterator<Item = &'static Column> {
        COLUMNS.iter().filter(move |column| column.caller == caller)
    }

    #[test]
    fn key_is_required_and_follows_its_grammar() {
        let record = accepts(r#"{"type":"Page","id":"a/ü 😀","ns":"App.DO"}"#);
        assert_eq!(record.key.ns, "app.do");
        assert_eq!(record.key.artifact_type, "Page");
        assert_eq!(record.key.id, "a/ü 😀");
        assert_eq!(accepts(r#"{"ns":"\u006e","type":"\u0054","\u0069d":"\ud83d\ude00\/x"}"#).key.id, "😀/x");

        refuses("{}", MissingField, Some("ns"), "ns is required");
        refuses(r#"{"ns":"n","id":"i"}"#, MissingField, Some("type"), "type is required");
        refuses(r#"{"ns":"n","type":"t"}"#, MissingField, Some("id"), "id is required");
        refuses(r#"{"ns":"","type":"t","id":"i"}"#, InvalidValue, Some("ns"), "ns is empty");
        refuses(
            r#"{"ns":"n","type":"-t","id":"i"}"#,
            InvalidValue,
            Some("type"),
            "type must start with a letter or a digit",
        );
        let id = "x".repeat(1025);
        let line = format!(r#"{{"ns":"n","type":"t","id":"{id}"}}"#);
        refuses(&line, InvalidValue, Some("id"), "id has 1025 bytes; at most 1024 are allowed");
        for id in ["a@v1", "a.mdast", "a//b", "../a", r"a\\b", r"a\u0000", r"a\n"] {
            let line = format!(r#"{{"ns":"n","type":"t","id":"{id}"}}"#);
            let error = parse_record(line.as_bytes()).map(drop).unwrap_err();
            assert_eq!((error.code, error.field.as_deref()), (InvalidValue, Some("id")), "{id}");
            oracle::check(line.as_bytes());
        }
        refuses(
            r#"{"ns":1,"type":"t","id":"i"}"#,
            InvalidType,
            Some("ns"),
            "ns must be a string, not a number",
        );
    }

    #[test]
    fn every_column_of_a_caller_takes_its_type_and_no_other() {
        let values = ["null", "true", "1", "\"a\"", "[\"a\"]", "[1]", "{\"a\":1}"];
        for column in COLUMNS.iter().filter(|c| c.caller != CallerValue::None && c.group != ColumnGroup::Key)
        {
            for value in values {
                let line = with(&format!("\"{}\":{value}", column.name));
                let is_typed = match column.caller {
                    CallerValue::None => false,
                    CallerValue::String | CallerValue::Timestamp => value.starts_with('"'),
                    CallerValue::Bool => value == "true",
                    CallerValue::Object => value.starts_with('{'),
                    CallerValue::Json => true,
                    CallerValue::StringList => value == "[\"a\"]",
                };
                let found =
                    parse_record(line.as_bytes()).map(drop).map_err(|error| (error.code, error.field));
                let is_grammar = matches!(found, Err((InvalidValue, _))) && is_typed;
                let expected = Err((InvalidType, Some(column.name.to_owned())));
                assert!(is_grammar || found == if is_typed { Ok(()) } else { expected }, "{line}: {found:?}");
                oracle::check(line.as_bytes());
            }
        }
        assert_eq!(columns_of(CallerValue::Json).count(), 4);
        assert_eq!(columns_of(CallerValue::StringList).count(), 2);
    }

    #[test]
    fn wrong_types_are_named() {
        refuses(
            &with(r#""markdown":42"#),
            InvalidType,
            Some("markdown"),
            "markdown must be a string, not a number",
        );
        refuses(
            &with(r#""markdown":null"#),
            InvalidType,
            Some("markdown"),
            "markdown must be a string, not null; leave it out if there is no value",
        );
        refuses(
            &with(r#""deleted":"true""#),
            InvalidType,
            Some("deleted"),
            "deleted must be true or false, not a string",
        );
        refuses(
            &with(r#""frontmatter":[]"#),
            InvalidType,
            Some("frontmatter"),
            "frontmatter must be an object, not an array",
        );
        refuses(
            &with(r#""exports":{}"#),
            InvalidType,
            Some("exports"),
            "exports must be an array of strings, not an object",
        );
        refuses(
            &with(r#""exports":["a",null]"#),
            InvalidType,
            Some("exports"),
            "exports[1] must be a string, not null",
        );
        refuses(
            &with(r#""if_version":1"#),
            InvalidType,
            Some("if_version"),
            "if_version must be a string, not a number",
        );
    }

    #[test]
    fn tree_may_be_any_json_and_keeps_its_bytes() {
        for value in ["null", "0", "\"\\u0061\"", "[ 1 , 2 ]", "{ \"a\" :\t1.50e+00 }", "false"] {
            let line = with(&format!("\"estree\": {value} "));
            let record = accepts(&line);
            assert_eq!(record.raw(column_named("estree").unwrap()), Some(value));
        }
    }

    #[test]
    fn unknown_and_server_set_fields_are_named() {
        refuses(
            &with(r#""markdwon":"x""#),
            UnknownField,
            Some("markdwon"),
            "\"markdwon\" at byte 30 is no field of a record",
        );
        refuses(
            &with(r#""Markdown":"x""#),
            UnknownField,
            Some("Markdown"),
            "\"Markdown\" at byte 30 is no field of a record",
        );
        refuses(&with(r#""":1"#), UnknownField, Some(""), "\"\" at byte 30 is no field of a record");
        for column in columns_of(CallerValue::None) {
            let detail = format!("\"{}\" at byte 30 is set by the server", column.name);
            refuses(&with(&format!("\"{}\":1", column.name)), ServerSetField, Some(column.name), &detail);
        }
        assert_eq!(columns_of(CallerValue::None).count(), 16);
        let long = "é".repeat(100);
        let error = parse_record(with(&format!("\"{long}\":1")).as_bytes()).map(drop).unwrap_err();
        assert_eq!(error.field, Some(format!("{}…", "é".repeat(QUOTED_NAME_LEN_BYTES_MAX / 2))));
        assert!(error.detail.len() < 200);
    }

    #[test]
    fn errors_never_repeat_content() {
        const SECRET: &str = "hunter2";
        for member in [
            format!("\"markdown\":[\"{SECRET}\"]"),
            format!("\"markdown\":\"{SECRET}\\ud800\""),
            format!("\"mdast\":{{\"{SECRET}\":1,\"{SECRET}\":1}}"),
            format!("\"exports\":[\"{SECRET}\",1]"),
            format!("\"visibility\":\"{SECRET}\""),
            format!("\"expires_at\":\"{SECRET}\""),
            format!("\"if_version\":\"{SECRET}\""),
            format!("\"markdown\":\"{SECRET}"),
            format!("\"markdown\":{SECRET}"),
            format!("\"metadata\":{{\"a\":\"{}\"}}", SECRET.repeat(3_000)),
        ] {
            let error = parse_record(with(&member).as_bytes()).map(drop).unwrap_err();
            assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
        }
    }

    #[test]
    fn field_twice_is_refused_however_it_is_spelt() {
        refuses(&with(r#""ns":"n""#), DuplicateKey, Some("ns"), "the record has \"ns\" already, at byte 30");
        refuses(
            &with(r#""\u006es":"n""#),
            DuplicateKey,
            Some("ns"),
            "the record has \"ns\" already, at byte 30",
        );
        let twice = r#""if_version":"0","if_version":"0""#;
        refuses(
            &with(twice),
            DuplicateKey,
            Some("if_version"),
            "the record has \"if_version\" already, at byte 47",
        );
    }

    #[test]
    fn visibility_and_deletion_are_read() {
        let record = accepts("{\"ns\":\"n\",\"type\":\"t\",\"id\":\"i\"}");
        assert_eq!(
            (record.visibility, record.deleted, record.expires_at, record.if_version),
            (None, false, None, None)
        );
        for visibility in Visibility::ALL {
            let line = with(&format!("\"visibility\":\"{}\"", visibility.as_str()));
            assert_eq!(accepts(&line).visibility, Some(visibility));
        }
        assert_eq!(accepts(&with(r#""visibility":"\u006frg""#)).visibility, Some(Visibility::Org));
        assert!(accepts(&with(r#""deleted":true"#)).deleted);
        assert!(!accepts(&with(r#""deleted":false"#)).deleted);
        let detail = "visibility must be one of public, unlisted, org, user";
        refuses(&with(r#""visibility":"Public""#), InvalidValue, Some("visibility"), detail);
        refuses(&with(r#""visibility":"""#), InvalidValue, Some("visibility"), detail);
    }

    #[test]
    fn expiry_is_an_instant_that_every_reader_can_name() {
        for (text, micros) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2030-01-31T12:00:00.123456789+02:00", 1_896_084_000_123_456),
            ("0001-01-01T00:00:00Z", EXPIRES_AT_MIN.0),
            ("9999-12-31T23:59:59.999999999Z", EXPIRES_AT_MAX.0),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
        ] {
            let line = with(&format!("\"expires_at\":\"{text}\""));
            assert_eq!(accepts(&line).expires_at, Some(Micros(micros)), "{text}");
        }
        assert_eq!(EXPIRES_AT_MIN.to_rfc3339(), "0001-01-01T00:00:00.000000Z");
        assert_eq!(EXPIRES_AT_MAX.to_rfc3339(), "9999-12-31T23:59:59.999999Z");
        let detail = "expires_at must be a date-time of RFC 3339, as 2030-01-31T12:00:00Z";
        for text in [
            "",
            "2030-01-31",
            "tomorrow",
            "2030-02-30T00:00:00Z",
            "2030-01-31T12:00:00",
            "10000-01-01T00:00:00Z",
        ] {
            refuses(&with(&format!("\"expires_at\":\"{text}\"")), InvalidValue, Some("expires_at"), detail);
        }
        let detail =
            "expires_at must lie between 0001-01-01T00:00:00.000000Z and 9999-12-31T23:59:59.999999Z";
        for text in ["0000-12-31T23:59:59Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"] {
            refuses(&with(&format!("\"expires_at\":\"{text}\"")), InvalidValue, Some("expires_at"), detail);
        }
    }

    #[test]
    fn if_version_is_zero_or_a_version() {
        assert_eq!(accepts(&with(r#""if_version":"0""#)).if_version, Some(IfVersion::Absent));
        for version in [1, 1_795_000_000_000_000, VERSION_MAX] {
            let line = with(&format!("\"if_version\":\"{version}\""));
            assert_eq!(accepts(&line).if_version, Version::new(version).map(IfVersion::Is));
        }
        let detail = "if_version must be \"0\" or a version in decimal digits, at most 9007199254740991";
        for text in [
            "",
            "00",
            "01",
            "-1",
            "+1",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "x",
            "9007199254740992",
            "99999999999999999999",
            "١",
        ] {
            refuses(&with(&format!("\"if_version\":\"{text}\"")), InvalidValue, Some("if_version"), detail);
        }
    }

    #[test]
    fn metadata_is_limited_in_bytes_as_written() {
        let of_len = |len_bytes: usize| {
            let text = "x".repeat(len_bytes - 10);
            format!("{{ \"a\":\"{text}\" }}")
        };
        assert_eq!(of_len(100).len(), 100);
        let line = with(&format!("\"metadata\": {} ", of_len(METADATA_LEN_BYTES_MAX)));
        assert_eq!(accepts(&line).metadata().map(str::len), Some(METADATA_LEN_BYTES_MAX));
        let line = with(&format!("\"metadata\":{}", of_len(METADATA_LEN_BYTES_MAX + 1)));
        refuses(
            &line,
            MetadataTooLarge,
            Some("metadata"),
            "metadata has 16385 bytes; at most 16384 are allowed",
        );
    }

    #[test]
    fn line_over_the_limit_is_not_looked_at() {
        let line = with(&format!("\"markdown\":\"{}\"", "x".repeat(RECORD_LEN_BYTES_MAX)));
        let len_bytes = line.len();
        let detail = format!("the line has {len_bytes} bytes; at most 1900000 are allowed");
        refuses(&line, RecordTooLarge, None, &detail);
    }

    #[test]
    fn first_fault_from_the_left_decides() {
        refuses(
            &with(r#""x":1,"ns":2"#),
            UnknownField,
            Some("x"),
            "\"x\" at byte 30 is no field of a record",
        );
        refuses(
            &with(r#""markdown":1,"x":1"#),
            InvalidType,
            Some("markdown"),
            "markdown must be a string, not a number",
        );
        let detail = "this escape is half of a surrogate pair at byte 47";
        refuses(&with(r#""markdown":"12345\ud800","x":1"#), LoneSurrogate, Some("markdown"), detail);
        refuses(r#"{"ns":"","mdx":"a" "x"}"#, InvalidJson, None, "expected ',' or '}' at byte 19");
        refuses(r#"{"ns":"","mdx":"a",}"#, InvalidJson, None, "expected a name in double quotes at byte 19");
    }

    #[test]
    fn every_truncation_of_a_record_is_an_error() {
        let line = with(
            r#" "markdown" : "a\n\ud83d\ude00é","mdast":{"a":[1.5e3,-0,true,null,{"\u0062":"c"}]},"exports":["x","y"],"metadata":{} "#,
        );
        accepts(&line);
        for end_idx in 0..line.len() {
            let cut = &line.as_bytes()[..end_idx];
            assert!(parse_record(cut).is_err(), "{}", cut.escape_ascii());
            oracle::check(cut);
        }
    }

    #[test]
    fn whitespace_may_stand_between_any_tokens() {
        let tight = r#"{"ns":"n","type":"t","id":"i","mdast":{"a":[1,{}],"b":[]},"exports":["x","y"],"deleted":true}"#;
        let loose: String = tight
            .chars()
            .map(|c| if "{}[]:,".contains(c) { format!(" \t\r\n{c}\n\r \t") } else { c.to_string() })
            .collect();
        assert!(accepts(&loose).deleted);
        for other in ['\u{a0}', '\u{b}', '\u{c}', '\0', '\u{2028}', '\u{feff}'] {
            for (idx, _) in tight.char_indices().filter(|(_, c)| "{}[]:,".contains(*c)) {
                let line = format!("{}{other}{}", &tight[..idx], &tight[idx..]);
                oracle::check(line.as_bytes());
                assert_eq!(
                    parse_record(line.as_bytes()).map(drop).unwrap_err().code,
                    InvalidJson,
                    "{line:?}"
                );
            }
        }
    }
}
