//! `GET` and `HEAD /$.content/{ns}/{type}/{id}.{ext}` (design.md §3): the path, who may read, the answer, what of
//! it is sent.

pub mod answer;
pub mod artifact;
pub mod conditional;
pub mod path;
pub mod read;
