//! `GET` and `HEAD /$.content/{ns}/{type}/{id}.{ext}` (design.md §3): the path, who may read, the answer.

pub mod answer;
pub mod artifact;
pub mod path;
pub mod read;
