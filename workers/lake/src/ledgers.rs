//! The ledgers of the deployment: which there are, and how to reach them.

use worker::{Env, Error, Method, Request, RequestInit, Result};

/// Before the namespace, in the key by which ingest lists a ledger in KV.
const PREFIX: &str = "ledger:";

/// All namespaces that have a ledger. Durable Objects cannot be listed, so ingest lists them in KV.
pub(crate) async fn registered_ledgers(env: &Env) -> Result<Vec<String>> {
    let kv = env.kv("FIRN_CONFIG")?;
    let mut names = Vec::new();
    let mut cursor = None;
    loop {
        let mut list = kv.list().prefix(PREFIX.to_owned());
        if let Some(cursor) = cursor {
            list = list.cursor(cursor);
        }
        let page = list.execute().await?;
        names.extend(page.keys.iter().filter_map(|key| key.name.strip_prefix(PREFIX).map(str::to_owned)));
        cursor = page.cursor;
        if page.list_complete || cursor.is_none() {
            return Ok(names);
        }
    }
}

/// Development: a ledger sends what it holds for the streams; with `forget` it drops content that was confirmed.
pub(crate) async fn drain_ledger(env: &Env, ns: &str, forget: bool) -> Result<()> {
    let stub = env.durable_object("LEDGER")?.get_by_name(ns)?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post);
    let url = if forget { "http://ledger/drain?forget=1" } else { "http://ledger/drain" };
    let answer = stub.fetch_with_request(Request::new_with_init(url, &init)?).await?;
    if answer.status_code() == 200 {
        return Ok(());
    }
    Err(Error::RustError(format!("draining the ledger of {ns}: {}", answer.status_code())))
}
