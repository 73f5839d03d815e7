//! What holds for every body, whatever it contains and however it arrives.

#[cfg(test)]
#[path = "../../../tests/fuzz/checks/records.rs"]
mod oracle;

#[cfg(test)]
mod properties {
    use firn_ndjson::chunk::{Chunk, Chunker};
    use firn_ndjson::digest::{SoftwareSha256, content_digest, content_size_bytes};
    use firn_ndjson::error::LineError;
    use firn_ndjson::frame::{Framer, Line};
    use firn_ndjson::record::{parse_record, too_large};
    use firn_ndjson::row::{RequestFields, RowFields, RowRenderer};
    use firn_ndjson::values::Values;
    use firn_types::mode::Mode;
    use firn_types::schema::{COLUMNS, CallerValue, ColumnGroup};
    use firn_types::time::Micros;
    use firn_types::version::VersionClock;
    use firn_types::visibility::Visibility;
    use proptest::prelude::*;

    use super::oracle;

    /// The text of a JSON string, with every way to write a character.
    fn json_string() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[ -!#-\\[\\]-~]{0,30}",
            2 => "[é万年雪❄😀\u{7f}\u{2028}]{1,8}",
            2 => r#"(\\["\\/bfnrt]){1,3}"#,
            1 => "\\\\u[0-9a-cA-Cef][0-9a-fA-F]{3}",
            1 => "\\\\u[dD][89abAB][0-9a-f]{2}\\\\u[dD][c-fC-F][0-9A-F]{2}",
            1 => any::<char>().prop_map(|c| {
                let string = serde_json::to_string(&c).unwrap();
                string[1..string.len() - 1].to_owned()
            }),
        ];
        prop::collection::vec(piece, 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
    }

    fn json_value() -> impl Strategy<Value = String> {
        let scalar = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|b| b.to_string()),
            any::<i64>().prop_map(|n| n.to_string()),
            any::<f64>().prop_filter("JSON has no other", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
            json_string(),
        ];
        scalar.prop_recursive(5, 40, 6, |inner| {
            let space = "[ \t\r]{0,2}";
            prop_oneof![
                (prop::collection::vec(inner.clone(), 0..6), space).prop_map(|(elements, space)| format!(
                    "[{space}{}{space}]",
                    elements.join(&format!("{space},"))
                )),
                json_object(inner),
            ]
        })
    }

    fn json_object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
        // The number makes the names of an object differ.
        let members = prop::collection::vec((json_string(), value), 0..12);
        members.prop_map(|members| {
            let member = |(number, (name, value)): (usize, &(String, String))| {
                format!("{}{number}\" :{value}", &name[..name.len() - 1])
            };
            format!("{{{}}}", members.iter().enumerate().map(member).collect::<Vec<_>>().join(", "))
        })
    }

    fn value_of(caller: CallerValue, name: &'static str) -> BoxedStrategy<String> {
        match caller {
            CallerValue::None => Just(String::new()).boxed(),
            CallerValue::String if name == "visibility" => {
                prop::sample::select(&Visibility::ALL[..]).prop_map(|v| format!("\"{}\"", v.as_str())).boxed()
            }
            CallerValue::String => json_string().boxed(),
            CallerValue::Bool => any::<bool>().prop_map(|b| b.to_string()).boxed(),
            CallerValue::Timestamp => (0_i64..4_000_000_000_000_000)
                .prop_map(|at| format!("\"{}\"", Micros(at).to_rfc3339()))
                .boxed(),
            CallerValue::Object => json_object(json_value()).boxed(),
            CallerValue::Json => json_value().boxed(),
            CallerValue::StringList => prop::collection::vec(json_string(), 0..5)
                .prop_map(|list| format!("[{}]", list.join(" , ")))
                .boxed(),
        }
    }

    /// A line that is a record, its fields in any order. (Its metadata may be too large; its content never is.)
    fn record_line() -> impl Strategy<Value = String> {
        let key = ("[a-zA-Z0-9][a-zA-Z0-9._-]{0,20}", "[a-zA-Z0-9][a-zA-Z0-9._-]{0,20}", "[a-z0-9é❄]{1,20}");
        let caller = COLUMNS.iter().filter(|c| c.caller != CallerValue::None && c.group != ColumnGroup::Key);
        let optional: Vec<_> = caller
            .map(|c| prop::option::weighted(0.3, value_of(c.caller, c.name).prop_map(|v| (c.name, v))))
            .collect();
        let members = (key, optional).prop_map(|((ns, artifact_type, id), optional)| {
            let mut members = vec![
                ("ns", format!("\"{ns}\"")),
                ("type", format!("\"{artifact_type}\"")),
                ("id", format!("\"{id}\"")),
            ];
            members.extend(optional.into_iter().flatten());
            members
        });
        members.prop_shuffle().prop_map(|members| {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("\"{name}\" : {value}")).collect();
            format!("{{{}}}", members.join(", "))
        })
    }

    /// What a body gives: its chunks, and its bad lines.
    type Outcome = (Vec<Chunk>, Vec<(u64, LineError)>);

    /// How rows are written.
    #[derive(Clone, Copy)]
    enum Form {
        Json,
        Values,
    }

    fn ingest<'a>(buffers: impl IntoIterator<Item = &'a [u8]>, len_bytes_max: usize, form: Form) -> Outcome {
        let renderer = RowRenderer::new(&RequestFields {
            owner_iss: Some("iss"),
            owner_org: None,
            owner_sub: Some("sub"),
            ts: Micros(0),
            mode: Mode::Build,
            ingest_id: "i",
        });
        let (mut framer, mut chunker, mut clock) =
            (Framer::default(), Chunker::new(len_bytes_max), VersionClock::default());
        let (mut chunks, mut errors) = (Vec::new(), Vec::new());
        let mut take = |line: Line<'_>| {
            let record = match line {
                Line::Whole { bytes, .. } => parse_record(bytes),
                Line::TooLarge { len_bytes, .. } => Err(too_large(len_bytes)),
            };
            let pushed = record.and_then(|record| {
                let hash = content_digest(&record, SoftwareSha256::default(), &mut Values::default());
                let fields = RowFields {
                    version: Some(clock.next(Micros(0))),
                    visibility: record.visibility.unwrap_or(Visibility::Public),
                    hash: Some(hash),
                    size_bytes: content_size_bytes(&record),
                };
                match form {
                    Form::Json => {
                        renderer.plan_row(&record, &fields).map(|row| chunker.push_row(line.number(), &row))
                    }
                    Form::Values => renderer
                        .plan_values(&record, &fields, Some(SoftwareSha256::default()))
                        .map(|row| chunker.push_values(line.number(), row)),
                }
            });
            match pushed {
                Ok(closed) => chunks.extend(closed),
                Err(error) => errors.push((line.number(), error)),
            }
        };
        for mut rest in buffers {
            while let Some(line) = framer.next_line(&mut rest) {
                take(line);
            }
        }
        if let Some(line) = framer.finish() {
            take(line);
        }
        chunks.extend(chunker.finish());
        (chunks, errors)
    }

    fn pieces<'a>(body: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn row_holds_what_the_caller_wrote(line in record_line()) {
            parse_record(line.as_bytes()).unwrap();
            oracle::check(line.as_bytes());
        }

        #[test]
        fn every_truncation_of_a_record_is_an_error(line in record_line(), cut: prop::sample::Index) {
            let cut = &line.as_bytes()[..cut.index(line.len())];
            prop_assert!(parse_record(cut).is_err());
            oracle::check(cut);
        }

        #[test]
        fn damaged_line_is_judged_as_the_oracle_does(
            line in record_line(),
            edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, prop_oneof![
                prop::sample::select(b"\"\\{}[]:,0129.eE+-u \t\r\ndDfn".as_slice()),
                any::<u8>(),
            ]), 1..4),
        ) {
            let mut line = line.into_bytes();
            for (place, edit, byte) in edits {
                let idx = place.index(line.len());
                match edit {
                    0 => line[idx] = byte,
                    1 => line.insert(idx, byte),
                    _ => { line.remove(idx); }
                }
            }
            oracle::check(&line);
        }

        #[test]
        fn any_line_is_judged_as_the_oracle_does(line in "[\\[\\]{}:, \"a0-9.eE+u\\\\-]{0,40}") {
            oracle::check(line.as_bytes());
            let record = format!(r#"{{"ns":"n","type":"t","id":"i","mdast":{line}}}"#);
            oracle::check(record.as_bytes());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn chunks_do_not_depend_on_the_cuts_and_hold_every_record(
            lines in prop::collection::vec(
                prop_oneof![4 => record_line(), 1 => Just(String::new()), 1 => Just("{}".to_owned())], 0..12),
            ends in prop::collection::vec(prop::sample::select(&["\n", "\r\n"][..]), 12),
            mark in prop::sample::select(&["", "\u{feff}"][..]),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
            len_bytes_max in 0..6_000_usize,
        ) {
            let mut body = mark.to_owned();
            for (line, end) in lines.iter().zip(&ends) {
                body.push_str(line);
                body.push_str(end);
            }
            let body = body.as_bytes();
            let whole = ingest([body], len_bytes_max, Form::Json);
            prop_assert_eq!(&ingest(pieces(body, &cuts), len_bytes_max, Form::Json), &whole);
            prop_assert_eq!(&ingest(body.chunks(1), len_bytes_max, Form::Json), &whole);
            let unended = body.strip_suffix(b"\n").unwrap_or(body);
            prop_assert_eq!(&ingest(pieces(unended, &cuts), len_bytes_max, Form::Json), &whole);
            let values = ingest([body], len_bytes_max, Form::Values);
            prop_assert_eq!(&ingest(pieces(body, &cuts), len_bytes_max, Form::Values), &values);
            prop_assert_eq!(&values.1, &whole.1);
            let ends = |chunks: &[Chunk]| -> Vec<_> {
                chunks.iter().map(|c| (c.len_bytes, c.record_count, c.first_line, c.last_line)).collect()
            };
            prop_assert_eq!(ends(&values.0), ends(&whole.0), "values are cut as JSON is");

            let (chunks, errors) = whole;
            let taken: u64 = chunks.iter().map(|chunk| chunk.record_count).sum();
            let line_count = lines.iter().filter(|line| !line.is_empty()).count();
            prop_assert_eq!(taken + errors.len() as u64, line_count as u64);
            for chunk in &chunks {
                let rows: Vec<serde_json::Value> = serde_json::from_slice(chunk.rows.json()).unwrap();
                prop_assert_eq!(rows.len() as u64, chunk.record_count);
                prop_assert_eq!(chunk.rows.json().len(), chunk.len_bytes);
                prop_assert!(chunk.len_bytes <= len_bytes_max || chunk.record_count == 1);
                prop_assert!(chunk.first_line <= chunk.last_line);
            }
            for pair in chunks.windows(2) {
                prop_assert!(pair[0].last_line < pair[1].first_line);
                // The next chunk's first row would not have fitted.
                let rows: Vec<&serde_json::value::RawValue> = serde_json::from_slice(pair[1].rows.json()).unwrap();
                prop_assert!(pair[0].len_bytes + 1 + rows[0].get().len() > len_bytes_max);
            }
        }
    }
}
