//! One point lookup as a state machine that asks for byte ranges and never fetches them (sans-IO).
//!
//! The driver in `api` calls `step`, performs the needs it returns, supplies the bytes and steps again.

pub mod file;
pub mod held;
pub mod need;
pub mod table;
