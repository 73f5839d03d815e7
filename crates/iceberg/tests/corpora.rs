//! Metadata, manifest lists and manifests by other writers (`FIRN_CORPORA`).
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test opens files, and what fails it may panic"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use firn_iceberg::{
    error::ErrorKind,
    manifest::{Manifest, StatsOf},
    manifest_list::ManifestList,
    metadata::{Manifests, TableMetadata},
};

fn corpora() -> Option<PathBuf> {
    let folder = std::env::var("FIRN_CORPORA").ok().filter(|folder| !folder.is_empty()).map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: FIRN_CORPORA is not set");
    }
    folder
}

fn files_below(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path, suffix));
        } else if path.to_string_lossy().ends_with(suffix) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn valid_metadata_parses_and_invalid_is_a_typed_error() {
    let Some(corpora) = corpora() else { return };
    let folder = corpora.join("iceberg-metadata/table_metadata");
    let invalid = [
        "TableMetadataUnsupportedVersion",
        "TableMetadataV1NoValidSchema",
        "TableMetadataV2CurrentSchemaNotFound",
        "TableMetadataV2MissingLastPartitionId",
        "TableMetadataV2MissingPartitionSpecs",
        "TableMetadataV2MissingSchemas",
        "TableMetadataV2MissingSortOrder",
    ];
    let files = files_below(&folder, ".json");
    assert_eq!(files.len(), 15);
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let parsed = TableMetadata::parse(&fs::read(&file).unwrap());
        match parsed {
            Ok(_) => assert!(!invalid.contains(&name), "{name}"),
            Err(error) => {
                assert!(invalid.contains(&name), "{name}: {error}");
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}: {error}");
            }
        }
    }
    for file in files_below(&corpora.join("iceberg-metadata"), ".json") {
        if file.file_name().unwrap().to_str().unwrap().starts_with("example_") {
            TableMetadata::parse(&fs::read(&file).unwrap()).unwrap();
        }
    }
}

#[test]
fn manifest_lists_of_other_writers_parse_and_an_encrypted_one_is_unsupported() {
    let Some(corpora) = corpora() else { return };
    for file in files_below(&corpora.join("iceberg-metadata/manifests_lists"), ".avro") {
        let parsed = ManifestList::parse(&fs::read(&file).unwrap());
        if file.to_string_lossy().contains("encrypted") {
            assert_eq!(parsed.unwrap_err().kind(), ErrorKind::Unsupported);
        } else {
            let list = parsed.unwrap();
            assert!(!list.manifests.is_empty());
            assert!(list.manifests.iter().all(|m| !m.location.is_empty() && m.stated_len_bytes > 0));
        }
    }
}

/// Maps a location inside the test tables to its file.
fn table_file(corpora: &Path, location: &str) -> PathBuf {
    let path = location.split("://").last().unwrap();
    corpora.join("iceberg-tables").join(
        path.strip_prefix("hyperparam-iceberg/")
            .map_or(path.to_owned(), |p| format!("hyperparam-iceberg/{p}")),
    )
}

#[test]
fn every_snapshot_of_the_test_tables_names_live_files_that_exist() {
    let Some(corpora) = corpora() else { return };
    let mut manifest_count = 0;
    for file in files_below(&corpora.join("iceberg-tables/hyperparam-iceberg"), ".metadata.json") {
        let metadata = TableMetadata::parse(&fs::read(&file).unwrap()).unwrap();
        for snapshot in &metadata.snapshots {
            let Manifests::List(location) = &snapshot.manifests else { panic!("v1 without a list") };
            let list = ManifestList::parse(&fs::read(table_file(&corpora, location)).unwrap()).unwrap();
            for manifest_file in &list.manifests {
                manifest_count += 1;
                let bytes = fs::read(table_file(&corpora, &manifest_file.location)).unwrap();
                let spec = metadata.partition_spec(manifest_file.partition_spec_id).unwrap();
                let manifest = Manifest::parse(&bytes, manifest_file, spec, StatsOf::All).unwrap();
                let live = manifest.live().count() as u64;
                assert_eq!(Some(live), manifest_file.live_file_count, "{}", manifest_file.location);
                for entry in manifest.live() {
                    let file = table_file(&corpora, &entry.file.location);
                    assert!(file.exists(), "{}", entry.file.location);
                    assert!(entry.sequence_number <= snapshot.sequence_number);
                    assert_eq!(entry.file.partition.len(), spec.fields.len());
                }
            }
        }
    }
    assert!(manifest_count > 10, "{manifest_count}");
}
