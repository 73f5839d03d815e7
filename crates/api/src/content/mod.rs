//! Everything below `/$.content` (design.md §3, §5, §6): the path, who may read, where a representation comes from, what
//! of it is sent.

pub mod answer;
pub mod artifact;
pub mod batch;
pub mod conditional;
pub mod edge;
mod fill;
pub mod flight;
pub mod load;
pub mod path;
pub mod ports;
pub mod query;
pub mod read;
pub mod serve;
