//! A namespace's ledger across Workers: the protocol in which it is called, and the object's side of it.
//!
//! The ledger lives in a Durable Object of the ingest Worker; serve and the lake Worker call the same object through a
//! binding of their own. A call and its reply are one message each; what may be repeated after an unknown outcome, and
//! what it then does, is said at the operation of [`firn_ledger::Ledger`] that it names.

pub mod deletion;
pub mod follow_call;
pub mod object;
pub mod protocol;

use firn_types::key::Namespace;

/// Calls the ledger of a namespace.
#[expect(async_fn_in_trait, reason = "one thread; callers are generic and never name the future")]
pub trait LedgerPort {
    /// Sends a message of [`protocol`]; gives the reply's bytes. The error is for the log.
    async fn call(&self, ns: &Namespace, message: Vec<u8>) -> Result<Vec<u8>, String>;
}
