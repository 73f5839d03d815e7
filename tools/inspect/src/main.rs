//! Reads Iceberg tables from the command line: one row, the plan of a lookup, every live row.
//!
//! ```text
//! inspect get|plan|scan --table <metadata.json, table folder or s3 URL> [--map <prefix in paths>=<folder>]…
//!                       [--key column=value]… [--column name]… [--snapshot id] [--endpoint URL] [--stats]
//! ```
//! The same crates that serve uses, over files and S3-compatible stores. Nothing is ever written.

mod args;
mod drive;
mod error;
mod file;
mod iso;
mod key;
mod location;
mod plan;
mod read;
mod render;
mod run;
mod stores;
mod table;
mod trace;

use std::{io::Write as _, process::ExitCode, time::SystemTime};

use clap::Parser as _;

use crate::{args::Args, error::InspectError, run::Answer};

/// `get` found no row.
const EXIT_ABSENT: u8 = 1;

fn main() -> ExitCode {
    // Usage errors end here, with status 2.
    let args = Args::parse();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let answer = run::run(&args, environment, now, &mut out);
    let flushed = out.flush().map_err(InspectError::Output);
    match answer.and_then(|answer| flushed.map(|()| answer)) {
        Ok(Answer::Given) => ExitCode::SUCCESS,
        Ok(Answer::Absent) => {
            eprintln!("absent: no row has this key");
            ExitCode::from(EXIT_ABSENT)
        }
        // Whoever reads the output has seen enough.
        Err(InspectError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}: {error}", error.label());
            ExitCode::from(error.exit_status())
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the rim: configuration enters here")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "the rim: time enters here")]
fn now() -> SystemTime {
    SystemTime::now()
}
