//! The writing side of the lake, pure: rows to Parquet, Avro manifests, snapshot commits; and how others read the
//! result, a read-only Iceberg REST catalog over an S3-compatible read path.
//!
//! Nothing here does I/O, knows the time or makes an id: a Worker (or a test) stores what is planned here.

pub mod row;

pub mod batch;
pub mod data_file;
pub mod partition;

pub mod avro;
mod manifest;
pub mod metadata;
mod summary;
mod table_schema;

pub mod commit;

pub mod catalog;
pub mod s3;
mod uri;

#[cfg(test)]
mod tests;
