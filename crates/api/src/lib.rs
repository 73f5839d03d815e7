//! What Firn answers over HTTP, free of any platform: routes, checks in the order of the contract, status and code of
//! every outcome, and the drivers that perform the I/O which the pure crates ask for.
//!
//! A Worker hands in a request head, a body and its ports (traits of [`ports`] and [`firn_store::read::ObjectRead`])
//! and sends back what it gets.

pub mod access;
#[cfg(any(feature = "content", feature = "ingest"))]
pub mod artifact_path;
pub mod cache_tags;
#[cfg(feature = "content")]
pub mod content;
#[cfg(any(feature = "content", feature = "ingest"))]
pub mod cors;
#[cfg(feature = "follow")]
pub mod follow;
pub mod http;
#[cfg(feature = "ingest")]
pub mod ingest;
pub mod keys;
pub mod ledger;
pub mod ports;
pub mod problem;
pub mod purge;
#[cfg(feature = "content")]
pub mod tables;
#[cfg(feature = "ingest")]
pub mod tenancy;
