//! The writing side of the lake: rows to Parquet, Avro manifests, snapshot commits.

pub mod row;

pub mod batch;

pub mod data_file;

pub mod partition;

pub mod avro;
mod manifest;
pub mod metadata;
mod table_schema;

pub mod commit;
pub mod pointer;

#[cfg(test)]
mod tests;
