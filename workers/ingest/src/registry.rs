//! Which namespaces have a ledger: a key in KV for each, because Durable Objects cannot be listed. The lake Worker goes
//! through it.

use std::{cell::RefCell, collections::HashSet};

use firn_platform::Kv;
use firn_types::key::Namespace;
use worker::Env;

/// Namespaces that one isolate remembers as registered; beyond it they are asked for anew.
const REMEMBERED_COUNT_MAX: usize = 10_000;

const PREFIX: &str = "ledger:";

thread_local! {
    static REGISTERED: RefCell<HashSet<Namespace>> = RefCell::default();
}

/// Sees to it that a namespace is listed, before its ledger takes anything.
pub(crate) async fn register_ledger(env: &Env, ns: &Namespace) -> Result<(), String> {
    if REGISTERED.with_borrow(|registered| registered.contains(ns)) {
        return Ok(());
    }
    let kv = Kv::open(env, "FIRN_CONFIG").ok_or("there is no binding FIRN_CONFIG")?;
    let key = format!("{PREFIX}{ns}");
    if kv.get(&key).await?.is_none() {
        kv.put(&key, b"", None).await?;
    }
    REGISTERED.with_borrow_mut(|registered| {
        if registered.len() >= REMEMBERED_COUNT_MAX {
            registered.clear();
        }
        registered.insert(ns.clone());
    });
    Ok(())
}
