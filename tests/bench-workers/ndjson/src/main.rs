//! How fast this machine takes the body on its standard input: nanoseconds a stage, the best of several runs.
//! `scripts/bench ndjson` brings the bodies and prints the table.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use firn_bench_ndjson::{Stage, run};

/// For each body. The machine may be busy: the best run is one that was left alone.
const MEASURING: Duration = Duration::from_secs(3);

#[expect(clippy::disallowed_methods, reason = "a measurement on the host needs a clock")]
fn main() -> io::Result<()> {
    let mut body = Vec::new();
    io::stdin().read_to_end(&mut body)?;
    let mut best = Stage::ALL.map(|_| Duration::MAX);
    let started = Instant::now();
    while started.elapsed() < MEASURING {
        for (stage, best) in Stage::ALL.into_iter().zip(&mut best) {
            let began = Instant::now();
            run(&body, stage);
            *best = began.elapsed().min(*best);
        }
    }
    println!("{}", best.map(|best| best.as_nanos().to_string()).join(" "));
    Ok(())
}
