//! Lookups in single Parquet files: the conversation and the answer.

#![expect(clippy::cast_possible_truncation, reason = "offsets of small objects, on hosts of 64 bits")]

mod conversation;
mod sample;

mod corruption;
mod equivalence;
mod point;
