//! How many megabytes a second of an NDJSON body this machine reads: `cargo run --release -p firn-ndjson --example
//! throughput`. A body of 64 MB, lines of 3.4 KB, in buffers of 64 KiB; the best of several runs.

use std::hint::black_box;

use std::time::Instant;

use firn_ndjson::chunk::Chunker;
use firn_ndjson::digest::{ContentHash, SoftwareSha256, content_digest, content_size_bytes};
use firn_ndjson::frame::{Framer, Line};
use firn_ndjson::record::{Record, parse_record};
use firn_ndjson::row::{RequestFields, Row, RowFields, RowRenderer};
use firn_types::mode::Mode;
use firn_types::time::Micros;
use firn_types::version::Version;
use firn_types::visibility::Visibility;

const BODY_LEN_BYTES: usize = 64_000_000;
const BUFFER_LEN_BYTES: usize = 64 * 1024;
const CHUNK_LEN_BYTES: usize = 1024 * 1024;
const RUN_COUNT: usize = 7;

/// A paragraph as each kind of content has it, repeated to the length of a line.
const KINDS: [(&str, &str); 4] = [
    (
        "plain ASCII, no escape",
        "Firn is the snow that turns into glacier ice: loose records in, Iceberg out. ",
    ),
    (
        "Markdown, a line break every 60",
        "## Firn\\n\\nLoose records go in, and tables of Iceberg come out.\\n\\n",
    ),
    ("code, an escape every 20", "export const a = \\\"b\\\";\\n\\tif (a) { return; }\\n"),
    ("CJK and emoji", "万年雪は氷河の氷になる雪である。記録が入り、表が出る。❄🏔"),
];

fn main() {
    for (kind, paragraph) in KINDS {
        println!("{kind}");
        measure(&body_of(&content_line(paragraph)));
    }
    println!("a syntax tree");
    measure(&body_of(&tree_line()));
}

fn content_line(paragraph: &str) -> String {
    let markdown = paragraph.repeat(3_300 / paragraph.len());
    format!(
        r#"{{"ns":"app.example","type":"Page","id":"docs/firn/0001","visibility":"public","markdown":"{markdown}"}}"#
    )
}

fn tree_line() -> String {
    let node = r#"{"type":"text","value":"Loose records go in","position":{"start":{"line":1,"column":1,"offset":0},"end":{"line":1,"column":20,"offset":19}}}"#;
    let nodes = vec![node; 22].join(",");
    format!(
        r#"{{"ns":"app.example","type":"Page","id":"docs/firn/0001","mdast":{{"type":"root","children":[{nodes}]}}}}"#
    )
}

fn body_of(line: &str) -> Vec<u8> {
    let line = format!("{line}\n");
    line.repeat(BODY_LEN_BYTES / line.len()).into_bytes()
}

fn measure(body: &[u8]) {
    let renderer = RowRenderer::new(&RequestFields {
        owner_iss: Some("https://issuer.example"),
        owner_org: Some("org"),
        owner_sub: Some("sub"),
        ts: Micros(1_795_000_000_000_000),
        mode: Mode::Build,
        ingest_id: "0123456789abcdef",
    });
    report("framing", body, |_, line| {
        black_box(line);
    });
    report("framing, validation", body, |_, line| {
        black_box(parse_record(line).expect("the body is valid"));
    });
    report("framing, validation, rows, chunks", body, |chunker, line| {
        let record = parse_record(line).expect("the body is valid");
        let fields = row_fields(&record, None, content_size_bytes(&record));
        push(chunker, &renderer.plan_row(&record, &fields).expect("the row is small"));
    });
    report("framing, validation, hash (sha2), rows, chunks", body, |chunker, line| {
        let record = parse_record(line).expect("the body is valid");
        let digest = content_digest(&record, SoftwareSha256::default());
        let fields = row_fields(&record, Some(digest.hash), digest.size_bytes);
        push(chunker, &renderer.plan_row(&record, &fields).expect("the row is small"));
    });
}

fn push(chunker: &mut Chunker, row: &Row<'_, '_>) {
    if let Some(chunk) = chunker.push_row(1, row) {
        chunker.recycle(black_box(chunk).json);
    }
}

fn row_fields(record: &Record<'_>, hash: Option<ContentHash>, size_bytes: u64) -> RowFields {
    RowFields {
        version: Version::new(1_795_000_000_000_000).expect("it is a version"),
        visibility: record.visibility.unwrap_or(Visibility::Public),
        hash,
        size_bytes,
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement on the host needs a clock")]
fn report(stages: &str, body: &[u8], mut each: impl FnMut(&mut Chunker, &[u8])) {
    let mut seconds_min = f64::MAX;
    for _ in 0..RUN_COUNT {
        let mut chunker = Chunker::new(CHUNK_LEN_BYTES);
        let mut framer = Framer::default();
        let started = Instant::now();
        for buffer in body.chunks(BUFFER_LEN_BYTES) {
            let mut rest = buffer;
            while let Some(line) = framer.next_line(&mut rest) {
                if let Line::Whole { bytes, .. } = line {
                    each(&mut chunker, bytes);
                }
            }
        }
        seconds_min = seconds_min.min(started.elapsed().as_secs_f64());
    }
    #[expect(clippy::cast_precision_loss, reason = "64 million is exact")]
    let megabytes = body.len() as f64 / 1e6;
    println!("  {:>6.0} MB/s  {stages}", megabytes / seconds_min);
}
