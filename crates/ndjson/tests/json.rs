//! Which texts are JSON. Each case stands as the value of `mdast`, which may be any JSON, and each verdict is compared
//! with that of `serde_json` (through the oracle of the fuzz target).

#[cfg(test)]
#[path = "../../../tests/fuzz/checks/records.rs"]
mod oracle;

#[cfg(test)]
mod json {
    use firn_ndjson::record::parse_record;
    use firn_types::error::LineErrorCode::{
        self, DuplicateKey, InvalidJson, InvalidUtf8, LoneSurrogate, NestingTooDeep, NotAnObject,
        NumberOutOfRange,
    };
    use firn_types::limits::JSON_DEPTH_MAX;
    use firn_types::schema::column_named;

    use super::oracle;

    const HEAD: &[u8] = br#"{"ns":"n","type":"t","id":"i","mdast":"#;

    fn line_with(value: &[u8]) -> Vec<u8> {
        [HEAD, value, b"}"].concat()
    }

    #[track_caller]
    fn accepts(value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        let line = line_with(value);
        let record = parse_record(&line).unwrap_or_else(|error| panic!("{}: {error}", value.escape_ascii()));
        let raw = record.raw(column_named("mdast").unwrap()).unwrap();
        assert_eq!(raw.as_bytes(), value.trim_ascii(), "the caller's bytes");
        oracle::check(&line);
    }

    #[track_caller]
    fn refuses(code: LineErrorCode, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        let line = line_with(value);
        match parse_record(&line) {
            Ok(_) => panic!("{} is taken", value.escape_ascii()),
            Err(error) => assert_eq!(error.code, code, "{}: {error}", value.escape_ascii()),
        }
        oracle::check(&line);
    }

    #[track_caller]
    fn refuses_at(code: LineErrorCode, value: &str, at_idx: usize) {
        let line = line_with(value.as_bytes());
        let error = parse_record(&line).map(drop).unwrap_err();
        assert_eq!(error.code, code, "{value}: {error}");
        let expected = format!(" at byte {}", HEAD.len() + at_idx);
        assert!(error.detail.ends_with(&expected), "{value}: {error}, expected{expected}");
        assert_eq!(error.field.as_deref(), Some("mdast"));
    }

    #[test]
    fn scalars() {
        for value in ["null", "true", "false", "0", "-0", "1", "\"\"", "\"a\"", " 1 ", "\t1\r", "\n\"a\"\n"] {
            accepts(value);
        }
        for value in [
            "",
            "nul",
            "nulll",
            "Null",
            "NULL",
            "TRUE",
            "truE",
            "fals",
            "undefined",
            "NaN",
            "nan",
            "Infinity",
            "-Infinity",
            "'a'",
            "a",
            "\\u0031",
            "1 2",
            "true false",
            "\"a\" \"b\"",
            "\"a",
            "a\"",
            "\u{a0}1",
            "1\u{2028}",
            "\u{feff}1",
            "/**/1",
            "1//",
            "#1",
            "`a`",
            "\0",
            "1\0",
            "\u{b}1",
            "\u{c}1",
            "$",
            "True",
        ] {
            refuses(InvalidJson, value);
        }
    }

    #[test]
    fn numbers() {
        let digits = "9".repeat(400);
        for value in [
            "0",
            "-0",
            "10",
            "-1",
            "0.0",
            "-0.0",
            "0.1",
            "10.01",
            "1e1",
            "1E1",
            "1e+1",
            "1e-1",
            "0e0",
            "0E+0",
            "0e-0",
            "1.5e3",
            "-1.5E-3",
            "9007199254740993",
            "18446744073709551616",
            "-9223372036854775809",
            "1e308",
            "1.7976931348623157e308",
            "-1.7976931348623157e308",
            "1.7976931348623158e308",
            "1e-400",
            "-1e-999999999999999999",
            "0e999999999999999999",
            "0.0e999",
            "1e0000000000000000000000308",
            "123456789012345678901234567890",
        ] {
            accepts(value);
        }
        accepts(&digits[..308]);
        accepts(format!("-{}.{digits}", &digits[..308]));
        accepts(format!("0.{digits}e-{digits}"));
        accepts(format!("0.{}1e308", "0".repeat(2_000)));
        accepts(format!("1{}e-2000", "0".repeat(2_000)));
        for value in [
            "1e309",
            "-1e309",
            "1e999",
            "1E+400",
            "1.7976931348623159e308",
            "0.1e310",
            "1e99999999999999999999999",
            "123456789e301",
        ] {
            refuses(NumberOutOfRange, value);
        }
        refuses(NumberOutOfRange, &digits[..309]);
        refuses(NumberOutOfRange, format!("{digits}e-1"));
        refuses(NumberOutOfRange, format!("[1,{digits}]"));
        for value in [
            "-", "+", "+1", "--1", "-+1", "01", "-01", "00", "-00", "1.", "-1.", ".1", "-.1", "1.e1", "1e",
            "1E", "1e+", "1e-", "1e1.5", "1.2.3", "0x1", "0X1F", "1a", "1_000", "1,000", "0e", "-a", "1e1e1",
            "٣", "１", "1 .0", "- 1", "0b1", "1f", "1n", "1e 5", "2.e+3", "1eE2", "0e+-1", "-2.",
        ] {
            refuses(InvalidJson, value);
        }
    }

    #[test]
    fn strings() {
        for value in [
            r#""\"\\\/\b\f\n\r\t""#,
            r#""A\u00e9\u65e5\uD834\uDD1E""#,
            r#""\u0000\u001f\u007F""#,
            r#""\uFFFF\uFFFE\uFDD0""#,
            "\"\u{7f}\u{80}é日𝄞\u{10ffff}\"",
            "\"\u{2028}\u{2029}\"",
            r#""\ud7ff\ue000""#,
            r#""\\u0000""#,
            r#""\\ud800""#,
            r#""/""#,
            r#""a\\""#,
            r#""\\\"""#,
            "\"'\"",
            "\"\u{feff}\"",
            r#""\uDBFF\uDFFF""#,
            r#""\ud83d\uDE00\ud83d\ude00""#,
        ] {
            accepts(value);
        }
        for value in [
            r#"""""#,
            r#""\""#,
            r#""\a""#,
            r#""\'""#,
            r#""\0""#,
            r#""\x41""#,
            r#""\u""#,
            r#""\u1""#,
            r#""\u12""#,
            r#""\u123""#,
            r#""\u123g""#,
            r#""\u 123""#,
            r#""\u+123""#,
            r#""\u-123""#,
            r#""\U0041""#,
            r#""\🌀""#,
            "\"\\\n\"",
            "\"\t\"",
            "\"\n\"",
            "\"\r\"",
            "\"\0\"",
            "\"\u{1f}\"",
            "\"\u{1}aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
            "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\u{8}\"",
            r#""\ud800\u12""#,
            "\"\\\u{e9}\"",
            "'a'",
        ] {
            refuses(InvalidJson, value);
        }
        for value in [
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\uDFFF""#,
            r#""\uDBFF""#,
            r#""a\ud800b""#,
            r#""\ud800\ud800""#,
            r#""\udc00\ud800""#,
            r#""\ud800\n""#,
            r#""\ud800\ue000""#,
            r#""\uD800\\uDC00""#,
            r#""\ud83d\ude00\ud83d""#,
            r#""\uD800é""#,
            r#"{"\ud800":1}"#,
            r#"[[["\udead"]]]"#,
            r#"{"a":{"b":"\ud900x"}}"#,
        ] {
            refuses(LoneSurrogate, value);
        }
    }

    #[test]
    fn special_bytes_are_found_in_every_place_of_a_string() {
        for len in 0..36 {
            for at in 0..=len {
                let (head, tail) = ("x".repeat(at), "é".repeat(len - at));
                accepts(format!(r#""{head}\n\n{tail}""#));
                accepts(format!(r#"["{head}","\ud83d\ude00{tail}"]"#));
                refuses(InvalidJson, format!("\"{head}\u{1f}{tail}\""));
                refuses(InvalidJson, format!(r#""{head}"{tail}""#));
                refuses(InvalidJson, format!(r#""{head}\e{tail}""#));
                refuses(LoneSurrogate, format!(r#""{head}\udfff{tail}""#));
                refuses(InvalidUtf8, [b"\"", head.as_bytes(), b"\xff", tail.as_bytes(), b"\""].concat());
            }
        }
    }

    #[test]
    fn arrays_and_objects() {
        for value in [
            "[]",
            "[ ]",
            "[1]",
            "[1,2]",
            "[ 1 , 2 ]",
            "[[]]",
            "[[],[]]",
            "[null,true,\"a\",{},[]]",
            "{}",
            "{ }",
            r#"{"a":1}"#,
            r#"{"a":1,"b":2}"#,
            r#"{ "a" : 1 , "b" : { } }"#,
            r#"{"":0}"#,
            r#"{"a":{"a":{"a":[]}}}"#,
            r#"[{"a":1},{"a":1}]"#,
            r#"{"a":[{"a":1}],"A":1,"a ":1}"#,
            r#"{"\n":1,"n":2}"#,
            "{\"\u{e9}\":1,\"e\u{301}\":2}",
            r#"{"ns":1,"if_version":2,"version":3}"#,
            "[\r\n\t 1\r\n]",
        ] {
            accepts(value);
        }
        for value in [
            "[",
            "]",
            "[]]",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[,]",
            "[1,,2]",
            "[1 2]",
            "[1:2]",
            "[1;2]",
            "[1}",
            "[\"a\"",
            "[{}",
            "[[]",
            "{",
            "{]",
            "{\"a\"",
            "{\"a\"}",
            "{\"a\":",
            "{\"a\":}",
            "{\"a\":1",
            "{\"a\":1,",
            "{\"a\":1,}",
            "{,}",
            "{,\"a\":1}",
            "{a:1}",
            "{'a':1}",
            "{1:1}",
            "{null:1}",
            "{\"a\" 1}",
            "{\"a\"::1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":1,,\"b\":2}",
            "{\"a\":1]",
            "{\"a\",1}",
            "{\"a\":1;}",
            "{[]:1}",
            "{{}:1}",
            "[1]x",
            "{}x",
            "{}{}",
            "[][]",
            "...",
            "[...]",
            "{\"a\":1}//",
            "[/**/]",
        ] {
            refuses(InvalidJson, value);
        }
    }

    #[test]
    fn name_twice_is_refused_in_every_object() {
        for value in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"a":3}"#,
            r#"{"":1,"":2}"#,
            r#"[{"x":{"a":1,"a":2}}]"#,
            r#"{"b":{"c":1,"c":1},"b":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"\u0061":1,"a":2}"#,
            r#"{"\u00e9":1,"é":2}"#,
            r#"{"\ud83d\ude00":1,"😀":2}"#,
            r#"{"\/":1,"/":2}"#,
            r#"{"a\n":1,"\u0061\u000A":2}"#,
            r#"[1,{"a":[{"b":1}],"a":[{"b":1}]}]"#,
        ] {
            refuses(DuplicateKey, value);
        }
        for name_count in 2..40 {
            let names: Vec<String> = (0..name_count).map(|n| format!("\"k{}\":{n}", n * 7 % 41)).collect();
            accepts(format!("{{{}}}", names.join(",")));
            for repeated in 0..name_count - 1 {
                let twice = [names.join(","), names[repeated].clone()].join(",");
                refuses(DuplicateKey, format!("{{{twice}}}"));
            }
        }
        accepts(r#"{"a":{"a":{"a":1},"b":1},"b":{"a":1}}"#);
        refuses_at(DuplicateKey, r#"{"a":1,"b":1,"c":1,"b":1,"a":1}"#, 20);
        refuses_at(DuplicateKey, r#"{"a":1,"c":1,"\u0063":1,"a":1}"#, 14);
        refuses_at(
            DuplicateKey,
            r#"{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"c":1,"b":1}"#,
            56,
        );
    }

    #[test]
    fn many_names_cost_no_more_than_a_sort() {
        let names = (0..150_000).map(|n| format!("\"{n:x}\":0,")).collect::<Vec<_>>().concat();
        accepts(format!("{{{names}\"z\":0}}"));
        refuses(DuplicateKey, format!("{{{names}\"0\":0}}"));
        let escaped = (0..60_000).map(|n| format!("\"\\u0061{n:x}\":0,")).collect::<Vec<_>>().concat();
        accepts(format!("{{{escaped}\"z\":0}}"));
        refuses(DuplicateKey, format!("{{{escaped}\"a0\":0}}"));
    }

    #[test]
    fn nesting_is_limited_with_the_record_counted() {
        let nested = |open: &str, inner: &str, close: &str, depth: usize| {
            format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
        };
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[1,", ",2]")] {
            accepts(nested(open, "0", close, JSON_DEPTH_MAX - 1));
            refuses(NestingTooDeep, nested(open, "0", close, JSON_DEPTH_MAX));
            refuses(NestingTooDeep, nested(open, "", "", 100_000));
        }
        accepts(nested("[", "[]", "]", JSON_DEPTH_MAX - 2));
        refuses(NestingTooDeep, nested("[", "{}", "]", JSON_DEPTH_MAX - 1));
        let wide = ["[[]]"; 1_000].join(",");
        accepts(format!("[{wide}]"));
        let deep = nested("[", "", "]", JSON_DEPTH_MAX);
        let error = parse_record(&line_with(deep.as_bytes())).map(drop).unwrap_err();
        assert!(error.detail.contains(&JSON_DEPTH_MAX.to_string()), "{error}");
        let error = parse_record("[".repeat(JSON_DEPTH_MAX + 1).as_bytes()).map(drop).unwrap_err();
        assert_eq!(error.code, NestingTooDeep);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_wherever_they_are() {
        for bytes in [
            b"\xff".as_slice(),
            b"\x80",
            b"\xc0\x80",
            b"\xc1\xbf",
            b"\xe0\x80\x80",
            b"\xed\xa0\x80",
            b"\xed\xbf\xbf",
            b"\xf0\x80\x80\x80",
            b"\xf4\x90\x80\x80",
            b"\xf5\x80\x80\x80",
            b"\xc3",
            b"\xe6\x97",
            b"\xf0\x9f\x98",
            b"\xfe",
            b"a\xe9b",
        ] {
            refuses(InvalidUtf8, [b"\"", bytes, b"\""].concat());
            refuses(InvalidUtf8, [b"{\"", bytes, b"\":1}"].concat());
            refuses(InvalidUtf8, bytes);
        }
    }

    #[test]
    fn faults_say_where_they_are() {
        refuses_at(InvalidJson, "[1,]", 3);
        refuses_at(InvalidJson, r#"{"a" 1}"#, 5);
        refuses_at(InvalidJson, "01", 0);
        refuses_at(InvalidJson, "-x", 1);
        refuses_at(InvalidJson, "\"ab\u{1}\"", 3);
        refuses_at(InvalidJson, r#""ab\q""#, 3);
        refuses_at(LoneSurrogate, r#"["a","\ud800"]"#, 6);
        refuses_at(NumberOutOfRange, "[1,1e999]", 3);
        refuses_at(InvalidJson, "tru", 0);
    }

    #[test]
    fn line_that_is_no_object_says_what_it_is() {
        #[track_caller]
        fn check(line: &str, code: LineErrorCode, detail: &str) {
            let error = parse_record(line.as_bytes()).map(drop).unwrap_err();
            assert_eq!((error.code, error.detail.as_str(), error.field), (code, detail, None), "{line}");
            oracle::check(line.as_bytes());
        }
        check("null", NotAnObject, "the line is null, not an object");
        check(" [1] ", NotAnObject, "the line is an array, not an object");
        check("\"a\"", NotAnObject, "the line is a string, not an object");
        check("1", NotAnObject, "the line is a number, not an object");
        check("false", NotAnObject, "the line is a boolean, not an object");
        check("[1", InvalidJson, "expected ',' or ']' at byte 2");
        check("1 2", InvalidJson, "expected nothing after the value at byte 2");
        check("nonsense", InvalidJson, "expected a value at byte 0");
        check("{", InvalidJson, "expected a name in double quotes at byte 1");
        check("{} x", InvalidJson, "expected nothing after the object at byte 3");
        check("{}{}", InvalidJson, "expected nothing after the object at byte 2");
        check("", InvalidJson, "expected a value at byte 0");
        check("\u{feff}{}", InvalidJson, "expected a value at byte 0");
    }
}
