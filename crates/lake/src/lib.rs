//! The writing side: Arrow to Parquet, Avro manifests, snapshot commits.
