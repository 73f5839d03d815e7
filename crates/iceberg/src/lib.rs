//! Iceberg table metadata, manifest lists and manifests: live data files, deletes and file pruning.
