//! A namespace's ledger across Workers: the protocol in which it is called, and the object's side of it.
//!
//! The ledger lives in a Durable Object of the ingest Worker; serve and the lake Worker call the same object through a
//! binding of their own. A call and its reply are one message each; what may be repeated after an unknown outcome, and
//! what it then does, is said at the operation of [`firn_ledger::Ledger`] that it names.

pub mod object;
pub mod protocol;
