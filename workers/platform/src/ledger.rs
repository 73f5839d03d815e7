//! Calls of a namespace's ledger, the Durable Object behind the binding `LEDGER`.

use firn_types::key::Namespace;
use js_sys::Uint8Array;
use worker::{Env, Method, Request, RequestInit};

/// Sends a message to the ledger of `ns`; gives the reply.
///
/// # Errors
/// What the runtime says; for the log.
pub async fn call_ledger(env: &Env, ns: &Namespace, message: Vec<u8>) -> Result<Vec<u8>, String> {
    let ask = async {
        let stub = env.durable_object("LEDGER")?.get_by_name(ns.as_str())?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_body(Some(Uint8Array::from(message.as_slice()).into()));
        let mut answer =
            stub.fetch_with_request(Request::new_with_init("http://ledger/call", &init)?).await?;
        let bytes = answer.bytes().await?;
        Ok::<_, worker::Error>((answer.status_code(), bytes))
    };
    match ask.await {
        Ok((200, reply)) => Ok(reply),
        Ok((status, _)) => Err(format!("the ledger answered {status}")),
        Err(error) => Err(error.to_string()),
    }
}
