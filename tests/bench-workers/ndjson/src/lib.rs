//! What `scripts/bench ndjson` measures: a body of valid records, taken so far along the way to chunks. The program
//! measures natively; as a wasm module without imports it is measured by V8.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};

use firn_ndjson::chunk::Chunker;
use firn_ndjson::digest::{SoftwareSha256, content_size_bytes};
use firn_ndjson::frame::{Framer, Line};
use firn_ndjson::record::parse_record;
use firn_ndjson::row::{RequestFields, RowFields, RowRenderer};
use firn_types::mode::Mode;
use firn_types::time::Micros;
use firn_types::version::Version;
use firn_types::visibility::Visibility;

/// As a Worker's reader fills it.
const BUFFER_LEN_BYTES: usize = 256 * 1024;

/// How far a line is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// To a line.
    Framing,
    /// To a record.
    Validation,
    /// To a row in a chunk of JSON, without a hash.
    Rows,
    /// To a row in a chunk of values, without a hash.
    Values,
    /// To a row in a chunk of values, with a hash by `sha2`.
    Hash,
}

impl Stage {
    /// Each begins with all that those before it do, but that rows are either JSON or values.
    pub const ALL: [Self; 5] = [Self::Framing, Self::Validation, Self::Rows, Self::Values, Self::Hash];
}

/// Takes each line of `body` as far as `stage`; gives the number of lines.
///
/// # Panics
/// If a line is not a record.
pub fn run(body: &[u8], stage: Stage) -> u32 {
    let renderer = RowRenderer::new(&RequestFields {
        owner_iss: Some("https://issuer.example"),
        owner_org: Some("org"),
        owner_sub: Some("sub"),
        ts: Micros(1_795_000_000_000_000),
        mode: Mode::Build,
        ingest_id: "0123456789abcdef",
    });
    let (mut framer, mut chunker) = (Framer::default(), Chunker::new(Mode::Build.chunk_len_bytes_max()));
    let mut line_count = 0;
    for buffer in body.chunks(BUFFER_LEN_BYTES) {
        let mut rest = buffer;
        while let Some(line) = framer.next_line(&mut rest) {
            line_count += 1;
            let Line::Whole { number, bytes } = line else { continue };
            if stage == Stage::Framing {
                black_box(bytes);
                continue;
            }
            let record = parse_record(bytes).expect("the body is valid");
            if stage == Stage::Validation {
                black_box(&record);
                continue;
            }
            let fields = RowFields {
                version: Version::new(1_795_000_000_000_000),
                visibility: record.visibility.unwrap_or(Visibility::Public),
                hash: None,
                size_bytes: content_size_bytes(&record),
            };
            let closed = if stage == Stage::Rows {
                chunker.push_row(number, &renderer.plan_row(&record, &fields).expect("the row is small"))
            } else {
                let sha256 = (stage == Stage::Hash).then(SoftwareSha256::default);
                let row = renderer.plan_values(&record, &fields, sha256).expect("the row is small");
                chunker.push_values(number, row)
            };
            if let Some(chunk) = closed {
                chunker.recycle(black_box(chunk).rows);
            }
        }
    }
    line_count
}

static BODY: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Where a body of so many bytes is to be written.
#[expect(unsafe_code, reason = "an export by its own name is the whole interface")]
#[unsafe(no_mangle)]
pub extern "C" fn body(len_bytes: usize) -> *mut u8 {
    let mut body = BODY.lock().unwrap_or_else(PoisonError::into_inner);
    body.clear();
    body.resize(len_bytes, 0);
    body.as_mut_ptr()
}

/// [`run`] of the body, as far as the stage at this place.
///
/// # Panics
/// If a line is not a record.
#[expect(unsafe_code, reason = "an export by its own name is the whole interface")]
#[unsafe(no_mangle)]
pub extern "C" fn take(stage_idx: usize) -> u32 {
    let stage = Stage::ALL.get(stage_idx).copied().unwrap_or(Stage::Hash);
    run(&BODY.lock().unwrap_or_else(PoisonError::into_inner), stage)
}
