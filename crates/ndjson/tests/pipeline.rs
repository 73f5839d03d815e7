//! The whole way of a body: bytes, lines, records, rows, chunks.

use firn_ndjson::chunk::{Chunk, Chunker};
use firn_ndjson::digest::{SoftwareSha256, content_digest};
use firn_ndjson::frame::{Framer, Line};
use firn_ndjson::record::parse_record;
use firn_ndjson::row::{RequestFields, RowFields, RowRenderer};
use firn_types::mode::Mode;
use firn_types::time::Micros;
use firn_types::version::Version;
use firn_types::visibility::Visibility;

fn chunks_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, len_bytes_max: usize) -> Vec<Chunk> {
    let (mut framer, mut chunker) = (Framer::default(), Chunker::new(len_bytes_max));
    let renderer = RowRenderer::new(&RequestFields {
        owner_iss: Some("https://issuer.example"),
        owner_org: None,
        owner_sub: Some("alice"),
        ts: Micros(0),
        mode: Mode::Build,
        ingest_id: "i-1",
    });
    let mut chunks = Vec::new();
    let mut take = |line: Line<'_>| {
        let Line::Whole { number, bytes } = line else { panic!("{line:?}") };
        let record = parse_record(bytes).expect("the line is a record");
        let digest = content_digest(&record, SoftwareSha256::default());
        let fields = RowFields {
            version: Version::new(7).expect("7 is a version"),
            visibility: record.visibility.unwrap_or(Visibility::Public),
            hash: Some(digest.hash),
            size_bytes: digest.size_bytes,
        };
        let row = renderer.plan_row(&record, &fields).expect("the row is small");
        chunks.extend(chunker.push_row(number, &row));
    };
    for piece in pieces {
        let mut rest = piece;
        while let Some(line) = framer.next_line(&mut rest) {
            take(line);
        }
    }
    if let Some(line) = framer.finish() {
        take(line);
    }
    chunks.extend(chunker.finish());
    chunks
}

#[test]
fn row_is_exactly_this() {
    let body = "{\"ns\":\"App.do\",\"type\":\"Page\",\"id\":\"home\",\"markdown\":\"a\\n\\\"b\\\"\", \"mdast\" : {\"a\": [1, \"x\\n\"]} ,\"exports\":[\"x\" , \"y\"]}";
    let chunks = chunks_of([body.as_bytes()], 1 << 20);
    let json = std::str::from_utf8(&chunks[0].json).unwrap();
    let expected = concat!(
        r#"[{"ns":"app.do","type":"Page","id":"home","version":7,"visibility":"public","#,
        r#""owner_iss":"https://issuer.example","owner_sub":"alice","deleted":false,"#,
        r#""ts":"1970-01-01T00:00:00.000000Z","#,
    );
    assert!(json.starts_with(expected), "{json}");
    let expected = concat!(
        r#""size_bytes":24,"mode":"build","ingest_id":"i-1","markdown":"a\n\"b\"","#,
        r#""mdast":"{\"a\": [1, \"x\\n\"]}","exports":["x" , "y"]}]"#,
    );
    assert!(json.ends_with(expected), "{json}");
}
