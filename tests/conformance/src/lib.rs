//! Runs the suite that every store must pass ([`firn_store::conformance`]) against R2's binding on workerd.
//!
//! Any request puts the suite's objects into the bucket `LAKE_BUCKET` and answers with a line for each claim: the claim,
//! and after a tab what was found instead, if anything. A Worker of its own, so that the shipped one carries none of it.

use firn_platform::R2Read;
use firn_store::conformance;
use worker::{Context, Env, Request, Response, Result, event};

#[event(fetch)]
async fn fetch(_: Request, env: Env, _: Context) -> Result<Response> {
    let bucket = env.bucket("LAKE_BUCKET")?;
    for (key, bytes) in conformance::objects() {
        bucket.put(key.as_str(), bytes.to_vec()).execute().await?;
    }
    let mut report = String::new();
    for (claim, outcome) in conformance::run(&R2Read::open(&env).map_err(worker::Error::RustError)?).await {
        report.push_str(claim);
        if let Err(found) = outcome {
            report.push('\t');
            report.push_str(&found);
        }
        report.push('\n');
    }
    Response::ok(report)
}
