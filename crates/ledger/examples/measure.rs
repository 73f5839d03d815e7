//! What a ledger costs on a native SQLite in memory: publishes, reads and confirmations a second, and bytes a version.
//! `cargo run --release -p firn-ledger --example measure [versions]`

use std::time::Instant;

use firn_ledger::{
    Ledger, LedgerError,
    confirm::{DataFile, SeenRow},
    lease::{Begin, Begun},
    limits::Options,
    publish::StagedChunk,
    row::{Owner, StagedRow, Standing},
};
use firn_types::{mode::Mode, time::Micros, visibility::Visibility};

#[path = "../tests/support/sqlite.rs"]
mod sqlite;

/// Rows of one publish and of one data file.
const ROW_COUNT: i64 = 1_000;

#[expect(clippy::disallowed_methods, reason = "a native tool that measures time")]
fn clock() -> Instant {
    Instant::now()
}

fn main() -> Result<(), LedgerError> {
    let argument = std::env::args().nth(1).and_then(|count| count.parse().ok());
    let version_count: i64 = argument.unwrap_or(200_000);
    let db = sqlite::Sqlite::new();
    let ledger =
        Ledger::new(Box::new(db.clone()), Options { held_len_bytes_max: 1 << 40, ..Options::default() });
    let json = format!(r#"{{"ns":"n","html":"{}"}}"#, "x".repeat(1_000));
    let begun = clock();
    let mut reported = 0.0;
    for publish in 0..version_count / ROW_COUNT {
        let first = self::publish(&ledger, publish, &json)?;
        let before = clock();
        confirm(&ledger, publish, first)?;
        reported += before.elapsed().as_secs_f64();
        ledger.release(Micros(i64::MAX), 10_000)?;
    }
    let took = begun.elapsed().as_secs_f64() - reported;
    println!(
        "written    {:9.0} rows a second, staged one by one, {ROW_COUNT} a publish",
        per_second(version_count, took)
    );
    println!("confirmed  {:9.0} rows a second", per_second(version_count, reported));
    let begun = clock();
    for n in 0..version_count {
        ledger.read("page", &id(n * 7_919 % version_count))?;
    }
    println!("read       {:9.0} a second", per_second(version_count, begun.elapsed().as_secs_f64()));
    let begun = clock();
    for n in 0..2_000 {
        one(&ledger, n, &json)?;
    }
    println!("published  {:9.0} a second, of one row", per_second(2_000, begun.elapsed().as_secs_f64()));
    ledger.sweep(Micros(i64::MAX))?;
    let used = db.number("SELECT (SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM pragma_freelist_count)");
    let len_bytes = used * db.number("SELECT page_size FROM pragma_page_size");
    println!(
        "size       {:9.1} bytes a version, of ids of {} bytes",
        quotient(len_bytes, version_count),
        id(0).len()
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
fn per_second(count: i64, secs: f64) -> f64 {
    count as f64 / secs
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
fn quotient(a: i64, b: i64) -> f64 {
    a as f64 / b as f64
}

fn id(n: i64) -> String {
    format!("packages/some-package/{:08x}", n.wrapping_mul(2_654_435_761) & 0xffff_ffff)
}

const fn standing() -> Standing {
    Standing { visibility: Some(Visibility::Public), deleted: false, expires_at: None, size_bytes: 1_000 }
}

fn owner() -> Owner {
    Owner { iss: Some("https://issuer".to_owned()), org: Some("org".to_owned()), sub: Some("ada".to_owned()) }
}

fn hash(n: i64) -> [u8; 32] {
    let mut hash = [7; 32];
    for (to, from) in hash.iter_mut().zip(n.to_be_bytes()) {
        *to = from;
    }
    hash
}

fn publish(ledger: &Ledger, publish: i64, json: &str) -> Result<i64, LedgerError> {
    let ids: Vec<String> = (0..ROW_COUNT).map(|n| id(publish * ROW_COUNT + n)).collect();
    put(ledger, publish, &ids, json)
}

fn one(ledger: &Ledger, n: i64, json: &str) -> Result<i64, LedgerError> {
    put(ledger, 1_000_000 + n, &[format!("one/{n}")], json)
}

fn put(ledger: &Ledger, n: i64, ids: &[String], json: &str) -> Result<i64, LedgerError> {
    let now = Micros(1_800_000_000_000_000 + n * 1_000_000);
    let begin = Begin { key: None, fingerprint: b"", ingest_id: "measure", mode: Mode::Build };
    let Begun::Started(lease) = ledger.begin(now, &begin)? else { return Err(LedgerError::LeaseLost) };
    let row = |(id, line): (&'_ String, u64)| (id.clone(), line);
    let lines: Vec<(String, u64)> = ids.iter().zip(1..).map(row).collect();
    let rows: Vec<StagedRow<'_>> = lines
        .iter()
        .map(|(id, line)| StagedRow {
            line: *line,
            artifact_type: "page",
            id,
            standing: standing(),
            hash: hash(n),
            metadata_digest: [0; 16],
            if_version: None,
            json: json.as_bytes(),
        })
        .collect();
    ledger.stage(now, lease, &owner(), &StagedChunk { idx: 0, digest: b"d", rows: &rows })?;
    let mut first = 0;
    ledger.commit(now, lease, 1, &mut |summary| {
        first = summary.first_version.unwrap_or_default();
        vec![]
    })?;
    Ok(first)
}

fn confirm(ledger: &Ledger, publish: i64, first: i64) -> Result<(), LedgerError> {
    let path = format!("__r2_data_catalog/warehouse/table/data/day=2026-11-20/{publish:032x}.parquet");
    let file = DataFile { table: "build", path: &path, sequence: publish };
    let rows: Vec<SeenRow> = (0..ROW_COUNT)
        .zip(0..)
        .map(|(n, row)| SeenRow {
            artifact_type: "page".to_owned(),
            id: id(publish * ROW_COUNT + n),
            version: Some(first + n),
            owner: owner(),
            standing: standing(),
            hash: Some(hash(publish)),
            row,
        })
        .collect();
    ledger.confirm(Micros(first), &file, &rows)?;
    Ok(())
}
