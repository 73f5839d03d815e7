//! Iceberg table metadata, manifest lists and manifests: live data files, deletes and file pruning.
//!
//! Reading only, format versions 1 to 3 of <https://iceberg.apache.org/spec/>. Everything here turns bytes into values
//! or values into decisions; nothing asks for bytes.

pub mod error;

pub mod schema;
pub mod value;

pub mod followed;
pub mod name_mapping;
pub mod partition;
pub mod pointer;
pub mod transform;

pub mod metadata;

mod avro;
pub mod data_file;
pub mod manifest;
pub mod manifest_list;

pub mod prune;

pub mod deletes;
pub mod deletion_vector;
