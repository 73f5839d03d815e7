//! The ledgers of the deployment: which there are, and how to reach them.

use std::{cell::RefCell, collections::HashSet};

use firn_types::key::Namespace;
use worker::{Env, Error, Method, Request, RequestInit, Result};

/// Before the namespace, in the key by which a ledger is listed in KV.
const PREFIX: &str = "ledger:";

/// Namespaces that one isolate remembers as listed; beyond it they are asked for anew.
const REMEMBERED_COUNT_MAX: usize = 10_000;

thread_local! {
    static LISTED: RefCell<HashSet<Namespace>> = RefCell::default();
}

/// All namespaces that have a ledger.
pub(crate) async fn registered_ledgers(env: &Env) -> Result<Vec<Namespace>> {
    let mut namespaces = Vec::new();
    let mut cursor = None;
    loop {
        let (page, next) = list_ledgers(env, cursor.as_deref()).await?;
        namespaces.extend(page);
        cursor = next;
        if cursor.is_none() {
            return Ok(namespaces);
        }
    }
}

/// Some of the namespaces that have a ledger, and where the next page begins. Durable Objects cannot be listed, so
/// whoever writes to one first lists it in KV.
pub(crate) async fn list_ledgers(
    env: &Env,
    cursor: Option<&str>,
) -> Result<(Vec<Namespace>, Option<String>)> {
    let mut list = env.kv("FIRN_CONFIG")?.list().prefix(PREFIX.to_owned());
    if let Some(cursor) = cursor {
        list = list.cursor(cursor.to_owned());
    }
    let page = list.execute().await?;
    let namespace = |name: &str| Namespace::parse(name.strip_prefix(PREFIX)?).ok();
    let namespaces: Vec<Namespace> = page.keys.iter().filter_map(|key| namespace(&key.name)).collect();
    namespaces.iter().for_each(remember);
    Ok((namespaces, page.cursor.filter(|_| !page.list_complete)))
}

/// Lists the ledger of a namespace, whose first rows may be another engine's.
pub(crate) async fn register_ledger(env: &Env, ns: &Namespace) -> Result<()> {
    if LISTED.with_borrow(|listed| listed.contains(ns)) {
        return Ok(());
    }
    let kv = env.kv("FIRN_CONFIG")?;
    let key = format!("{PREFIX}{ns}");
    if kv.get(&key).text().await?.is_none() {
        kv.put(&key, "")?.execute().await?;
    }
    remember(ns);
    Ok(())
}

fn remember(ns: &Namespace) {
    LISTED.with_borrow_mut(|listed| {
        if listed.len() >= REMEMBERED_COUNT_MAX {
            listed.clear();
        }
        listed.insert(ns.clone());
    });
}

/// Development: a ledger sends what it holds for the streams; with `forget` it drops content that was confirmed.
pub(crate) async fn drain_ledger(env: &Env, ns: &Namespace, forget: bool) -> Result<()> {
    let stub = env.durable_object("LEDGER")?.get_by_name(ns.as_str())?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post);
    let url = if forget { "http://ledger/drain?forget=1" } else { "http://ledger/drain" };
    let answer = stub.fetch_with_request(Request::new_with_init(url, &init)?).await?;
    if answer.status_code() == 200 {
        return Ok(());
    }
    Err(Error::RustError(format!("draining the ledger of {ns}: {}", answer.status_code())))
}
