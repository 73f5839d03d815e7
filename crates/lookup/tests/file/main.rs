//! Lookups in single Parquet files: the conversation and the answer.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "offsets, lengths and scales of small and sound files"
)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

mod allocation;
mod canonical;
mod conversation;
mod derive;
mod sample;

mod corpora;
mod corruption;
mod equivalence;
mod fixtures;
mod point;
