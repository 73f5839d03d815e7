//! Firn's side of the comparison of point lookups: a lookup for every line on standard input, its answer as a line on
//! standard output.
//!
//! ```text
//! firn-bench-lookup ORIGIN BUCKET FOLDER
//! ```
//! A line is JSON, `{how, held, table, key}`: the location of a table's metadata, the key's columns, and
//!
//! * how: `find`; `read_at`, which reads the row where a `find` of the key has found it; `floor`, which reads nothing
//!   but counts in FOLDER what the last `find` could not have done without;
//! * held: `nothing`, as in a fresh isolate; `manifests`, as where no file of the table was read yet; `footers`, as
//!   where a lookup in the same file came before.

mod client;
mod floor;

use std::{
    error::Error,
    io::{BufRead as _, Write as _, stdin, stdout},
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use firn_s3::{
    S3Read,
    config::{Endpoint, REGION_DEFAULT, S3Config},
};
use futures::executor::block_on;
use serde_json::{Value as Json, json};

use crate::client::{Client, FoundRow, HeldKinds, Key};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Longer than any read of a bench.
const TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let usage = "firn-bench-lookup ORIGIN BUCKET FOLDER";
    let mut next = || args.next().ok_or(usage);
    let (origin, bucket, folder) = (next()?, next()?, PathBuf::from(next()?));
    let store = S3Read::new(S3Config {
        endpoint: Endpoint::parse(&origin)?,
        bucket: Some(bucket),
        region: REGION_DEFAULT.to_owned(),
        credentials: None,
        timeout: TIMEOUT,
        // Of signatures, and nothing is signed.
        clock: || SystemTime::UNIX_EPOCH,
    });
    let mut client = Client::new(store);
    for line in stdin().lock().lines() {
        let answer = answer(&mut client, &folder, &serde_json::from_str(&line?)?)?;
        writeln!(stdout(), "{answer}")?;
    }
    Ok(())
}

fn answer(client: &mut Client<S3Read>, folder: &std::path::Path, asked: &Json) -> Outcome<Json> {
    let text = |name: &str| asked.get(name).and_then(Json::as_str).ok_or_else(|| format!("no {name}"));
    let (how, table) = (text("how")?, text("table")?);
    let key: Key = serde_json::from_value(asked.get("key").cloned().unwrap_or_default())?;
    if how == "floor" {
        let floor = floor::of(folder, client.last_find().ok_or("no find before")?)?;
        return Ok(json!({ "requests": floor.requests, "waves": floor.waves, "lenBytes": floor.len_bytes }));
    }
    client.keep(match text("held")? {
        // A ledger's answer comes with what is known of the table.
        "nothing" if how == "read_at" => HeldKinds::Manifests,
        "nothing" => HeldKinds::Nothing,
        "manifests" => HeldKinds::Manifests,
        "footers" => HeldKinds::Footers,
        other => return Err(format!("there is no state {other}").into()),
    });
    client.take_waves();
    #[expect(clippy::disallowed_methods, reason = "this is a clock's place: it measures")]
    let began = Instant::now();
    let row = match how {
        "find" => block_on(client.find(table, &key))?,
        "read_at" => block_on(client.read_at(table, &key))?,
        other => return Err(format!("there is no way {other}").into()),
    };
    let millis = began.elapsed().as_secs_f64() * 1_000.0;
    let waves = client.take_waves();
    Ok(json!({ "millis": millis, "plannedWaves": waves, "row": row.map(|row| render(&row)) }))
}

fn render(row: &FoundRow) -> Json {
    let mut json = serde_json::Map::new();
    json.insert("version".into(), row.version.map(|version| version.to_string()).into());
    json.insert("sha256".into(), client::sha256_hex(row.content.as_bytes()).into());
    json.extend(row.rights.iter().map(|(name, text)| ((*name).to_owned(), text.clone().into())));
    json.into()
}
