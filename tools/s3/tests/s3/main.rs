//! The adapter against a peer in this process: the conformance suite, the requests it sends, and every fault.

mod conformance;
mod faults;
mod peer;
mod requests;
mod signature;
