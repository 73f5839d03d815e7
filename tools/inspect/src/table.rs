//! Which metadata file is the table's current one, and what it says.
//!
//! A file is read as table metadata, or followed where it is a pointer object. Of a folder, in this order:
//!
//! 1. `metadata/version-hint.text`, and from the version that it names on, as long as there is a next one: a writer may
//!    have ended before it wrote the hint (<https://iceberg.apache.org/spec/#file-system-tables>);
//! 2. the pointer object that a local lake keeps of a table of this name: `catalog/firn/<name>.json` in one of the
//!    folders above (<https://iceberg.apache.org/spec/#optimistic-concurrency> leaves the place to the catalog);
//! 3. the metadata file of the highest version in `metadata/`, or in the folder itself. Only in folders of this
//!    machine: a store is never listed.

use std::{fs, path::Path, sync::Arc};

use bytes::Bytes;
use firn_iceberg::{
    metadata::TableMetadata,
    pointer::{Pointer, pointer_key},
};
use firn_lookup::table::location::LocationMap;
use firn_store::read::ObjectRead;
use firn_types::object::ObjectKey;

use crate::{
    error::InspectError,
    location::object_key,
    read::{SMALL_LEN_BYTES, read_whole},
    stores::S3_SCHEME,
    trace::Trace,
};

/// First read of a metadata file: one of a hundred snapshots has some 60 KB; a longer one costs a second request.
const METADATA_LEN_BYTES_GUESS: u64 = 128 * 1024;

/// Namespace of a local lake's tables.
const NAMESPACE: &str = "firn";

/// How many folders above a table its lake's `catalog` is looked for: a local lake keeps tables two folders deep.
const ANCESTOR_COUNT_MAX: usize = 3;

/// Most versions that are looked for behind the one of the hint: each is a commit whose writer ended early.
const HINT_BEHIND_MAX: u64 = 1_000;

/// How names of metadata files end.
const SUFFIXES: [&str; 3] = [".metadata.json", ".gz.metadata.json", ".metadata.json.gz"];

/// A table: its current metadata, and where that lies.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) object: ObjectKey,
    pub(crate) metadata: Arc<TableMetadata>,
}

/// A metadata file and, where finding it took reading it, its bytes.
type Found = (ObjectKey, Option<Bytes>);

/// Finds and reads the table that `argument` names.
pub(crate) async fn read_table(
    store: &Trace<impl ObjectRead>,
    argument: &str,
    locations: &LocationMap,
) -> Result<Table, InspectError> {
    let key = object_key(argument.trim_end_matches('/'));
    let path = Path::new(key.as_str());
    // Files of this machine may have any name; of others the name has to tell.
    let is_file = path.is_file() || path.extension().is_some_and(|ending| ending == "json" || ending == "gz");
    let found = if is_file {
        (key, None)
    } else {
        current_metadata(store, &key, locations).await?.ok_or_else(|| InspectError::NoTable {
            table: argument.to_owned(),
            problem: "neither a metadata file nor a folder with metadata/version-hint.text, a pointer object or, \
                      on this machine, metadata files",
        })?
    };
    let (object, bytes) = read_metadata_file(store, found, locations).await?;
    let metadata = TableMetadata::parse(&bytes)
        .map_err(|source| InspectError::Metadata { object: object.clone(), source })?;
    Ok(Table { object, metadata: Arc::new(metadata) })
}

/// The file's bytes; or, if it is a pointer, those of the file that it points to.
async fn read_metadata_file(
    store: &Trace<impl ObjectRead>,
    (object, bytes): Found,
    locations: &LocationMap,
) -> Result<(ObjectKey, Bytes), InspectError> {
    let read = |object: ObjectKey| async move {
        let bytes = read_whole(store, &object, METADATA_LEN_BYTES_GUESS).await?;
        let table = object.to_string();
        let bytes = bytes.ok_or(InspectError::NoTable { table, problem: "no such object" })?;
        Ok::<_, InspectError>((object, bytes))
    };
    let (object, bytes) = match bytes {
        Some(bytes) => (object, bytes),
        None => read(object).await?,
    };
    match Pointer::parse(&bytes) {
        Some(pointer) => read(locations.object_key(&pointer.metadata_location)).await,
        None => Ok((object, bytes)),
    }
}

async fn current_metadata(
    store: &Trace<impl ObjectRead>,
    folder: &ObjectKey,
    locations: &LocationMap,
) -> Result<Option<Found>, InspectError> {
    if let Some(found) = hinted(store, folder).await? {
        return Ok(Some(found));
    }
    if let Some(object) = pointed(store, folder, locations).await? {
        return Ok(Some((object, None)));
    }
    if folder.as_str().contains("://") {
        return Ok(None);
    }
    for folder in [format!("{folder}/metadata"), folder.to_string()] {
        if let Some(object) = newest(&folder)? {
            return Ok(Some((object, None)));
        }
    }
    Ok(None)
}

/// The metadata file that the version hint leads to.
async fn hinted(store: &Trace<impl ObjectRead>, folder: &ObjectKey) -> Result<Option<Found>, InspectError> {
    let hint = ObjectKey::new(&format!("{folder}/metadata/version-hint.text"));
    let Some(bytes) = read_whole(store, &hint, SMALL_LEN_BYTES).await? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim();
    let Ok(version) = text.parse::<u64>() else {
        // PyIceberg takes the name of the file, with its ending or without.
        let name = if is_metadata_name(text) { text.to_owned() } else { format!("{text}.metadata.json") };
        return Ok(Some((ObjectKey::new(&format!("{folder}/metadata/{name}")), None)));
    };
    let mut found = None;
    for version in version..version.saturating_add(HINT_BEHIND_MAX) {
        match version_file(store, folder, version).await? {
            Some(file) => found = Some(file),
            None => break,
        }
    }
    let table = folder.to_string();
    let problem = "version-hint.text names a version that has no metadata file";
    found.map(Some).ok_or(InspectError::NoTable { table, problem })
}

async fn version_file(
    store: &Trace<impl ObjectRead>,
    folder: &ObjectKey,
    version: u64,
) -> Result<Option<Found>, InspectError> {
    for suffix in SUFFIXES {
        let object = ObjectKey::new(&format!("{folder}/metadata/v{version}{suffix}"));
        if let Some(bytes) = read_whole(store, &object, METADATA_LEN_BYTES_GUESS).await? {
            return Ok(Some((object, Some(bytes))));
        }
    }
    Ok(None)
}

/// What the pointer object of a local lake names.
async fn pointed(
    store: &Trace<impl ObjectRead>,
    folder: &ObjectKey,
    locations: &LocationMap,
) -> Result<Option<ObjectKey>, InspectError> {
    let (scheme, path) = match folder.as_str().strip_prefix(S3_SCHEME) {
        Some(path) => (S3_SCHEME, path),
        None => ("", folder.as_str()),
    };
    let Some((mut above, name)) = path.rsplit_once('/') else { return Ok(None) };
    for _ in 0..ANCESTOR_COUNT_MAX {
        let object = ObjectKey::new(&format!("{scheme}{above}/{}", pointer_key(NAMESPACE, name)));
        if let Some(bytes) = read_whole(store, &object, SMALL_LEN_BYTES).await?
            && let Some(pointer) = Pointer::parse(&bytes)
        {
            return Ok(Some(locations.object_key(&pointer.metadata_location)));
        }
        match above.rsplit_once('/') {
            Some((further, _)) => above = further,
            None => break,
        }
    }
    Ok(None)
}

/// The metadata file of the highest version in a folder of this machine.
fn newest(folder: &str) -> Result<Option<ObjectKey>, InspectError> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(None) };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut versions: Vec<(u64, String)> =
        names.filter_map(|name| Some((version_of_name(&name)?, name))).collect();
    versions.sort_unstable();
    let Some((version, name)) = versions.pop() else { return Ok(None) };
    if let Some((second, of_same_version)) = versions.pop()
        && second == version
    {
        return Err(InspectError::TwoNewest { first: of_same_version, second: name });
    }
    Ok(Some(ObjectKey::new(&format!("{folder}/{name}"))))
}

fn is_metadata_name(name: &str) -> bool {
    SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// The version in the name of a metadata file: `00012-<uuid>.metadata.json` or `v12.metadata.json`.
fn version_of_name(name: &str) -> Option<u64> {
    let stem = SUFFIXES.iter().rev().find_map(|suffix| name.strip_suffix(suffix))?;
    let version = stem.strip_prefix('v').or_else(|| stem.split_once('-').map(|(version, _)| version));
    version.unwrap_or(stem).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_names() {
        for (name, version) in [
            ("v3.metadata.json", Some(3)),
            ("v10.gz.metadata.json", Some(10)),
            ("v10.metadata.json.gz", Some(10)),
            ("00002-eedf51e6-8c09.metadata.json", Some(2)),
            ("00002-eedf51e6-8c09.gz.metadata.json", Some(2)),
            ("7.metadata.json", Some(7)),
            ("metadata.json", None),
            ("v.metadata.json", None),
            ("snap-1.avro", None),
            ("v3.json", None),
        ] {
            assert_eq!(version_of_name(name), version, "{name}");
        }
    }
}
