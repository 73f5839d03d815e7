//! From a snapshot to the data files that may hold the key, and the deletes that apply to them: one wave for the
//! manifest list, one for the manifests that survive it.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use firn_iceberg::{
    data_file::FileContent,
    deletes::DeleteIndex,
    error::Part,
    manifest::{Manifest, ManifestEntry, StatsOf},
    manifest_list::{ManifestFile, ManifestList},
    metadata::Manifests,
    prune::Pruning,
};
use firn_types::object::ObjectKey;

use super::{error::TableError, query::Resolved, wave::Wave, whole::WholeObject};
use crate::{
    held::{Held, HeldObjects},
    need::{Role, Step, Supplied},
};

/// How long a manifest list is guessed to be, for metadata does not say: 1,000 manifests of 200 bytes. A longer one
/// costs a second read, a shorter one nothing.
const MANIFEST_LIST_LEN_BYTES_GUESS: u64 = 256 * 1024;

/// How much more of a manifest is asked for than its list says it has, because writers have counted wrongly.
const MANIFEST_LEN_BYTES_SLACK: u64 = 4 * 1024;

/// Asked for where the list says nothing of a manifest's length.
const MANIFEST_LEN_BYTES_GUESS: u64 = 256 * 1024;

/// Most manifests that are read at once. A store answers six requests at a time, so more would only wait, in memory:
/// 64 of 100 KB are 6 MB.
const MANIFESTS_AT_ONCE_MAX: usize = 64;

/// Most data files that a lookup considers: a Worker may make 10,000 requests, and each of these takes one at least.
const DATA_FILE_COUNT_MAX: usize = 10_000;

/// Most data files that a scan, which has no key, goes through: 400 MB at 400 bytes each, for a native tool.
const SCANNED_FILE_COUNT_MAX: usize = 1_000_000;

/// Most delete files that a lookup considers: 400 bytes each, 20 MB.
const DELETE_FILE_COUNT_MAX: usize = 50_000;

/// A data file that may hold the key.
#[derive(Clone, Debug)]
pub(crate) struct DataTask {
    pub(crate) entry: ManifestEntry,
    /// The delete files that apply to it, by their place in [`TablePlan::deletes`].
    pub(crate) deletes: Vec<usize>,
}

/// Which files a lookup has to read.
#[derive(Clone, Debug, Default)]
pub(crate) struct TablePlan {
    pub(crate) data: Vec<DataTask>,
    pub(crate) deletes: Vec<ManifestEntry>,
}

/// Reads manifest list and manifests.
#[derive(Debug, Default)]
pub(crate) struct Planner {
    wave: Wave<Read>,
    /// Manifests that survived and were not begun.
    waiting: std::vec::IntoIter<ManifestFile>,
    at_once: usize,
    data: Vec<ManifestEntry>,
    deletes: Vec<ManifestEntry>,
    has_begun: bool,
}

/// An object on its way.
#[derive(Debug)]
enum Read {
    List(WholeObject),
    Manifest(ManifestFile, WholeObject),
}

impl Planner {
    /// Goes on with the answers to the needs of the step before.
    pub(crate) fn step(
        &mut self,
        query: &Resolved,
        supplied: &[Supplied],
        held: &mut dyn HeldObjects,
    ) -> Result<Step<TablePlan>, TableError> {
        let answers = std::mem::take(&mut self.wave).answer(supplied)?;
        if !std::mem::replace(&mut self.has_begun, true) {
            self.begin(query, held)?;
        }
        for (read, supplied) in answers {
            let answer = supplied.into_iter().next().ok_or(TableError::Answers { expected: 1, found: 0 })?;
            self.take(read, answer, query, held)?;
        }
        while self.at_once < MANIFESTS_AT_ONCE_MAX
            && let Some(of) = self.waiting.next()
        {
            self.open_manifest(of, query, held)?;
        }
        if self.wave.is_empty() {
            let (data, deletes) = (std::mem::take(&mut self.data), std::mem::take(&mut self.deletes));
            return Ok(Step::Done(apply_deletes(data, &deletes, query)));
        }
        Ok(Step::Need(self.wave.needs()))
    }

    fn begin(&mut self, query: &Resolved, held: &mut dyn HeldObjects) -> Result<(), TableError> {
        let Some(snapshot) = &query.snapshot else { return Ok(()) };
        match &snapshot.manifests {
            Manifests::Inline(locations) => {
                let manifests: Vec<ManifestFile> =
                    locations.iter().map(|l| ManifestFile::inline(l)).collect();
                self.prune(&manifests, query)
            }
            Manifests::List(location) => {
                let object = query.locations.object_key(location);
                if snapshot.is_encrypted {
                    return Err(encrypted(object, Part::ManifestList));
                }
                if let Some(Held::ManifestList(list)) = held.get(&object) {
                    return self.prune(&list.manifests, query);
                }
                let (read, need) =
                    WholeObject::new(object, Role::ManifestList, MANIFEST_LIST_LEN_BYTES_GUESS);
                self.wave.ask(Read::List(read), vec![need]);
                Ok(())
            }
        }
    }

    fn take(
        &mut self,
        mut read: Read,
        answer: Supplied,
        query: &Resolved,
        held: &mut dyn HeldObjects,
    ) -> Result<(), TableError> {
        let (Read::List(object) | Read::Manifest(_, object)) = &mut read;
        let bytes = match object.step(answer)? {
            Step::Need(needs) => {
                self.wave.ask(read, needs);
                return Ok(());
            }
            Step::Done(bytes) => bytes,
        };
        match read {
            Read::List(read) => self.take_list(read.object(), &bytes, query, held),
            Read::Manifest(of, read) => {
                self.at_once -= 1;
                self.take_manifest(&of, read.object(), &bytes, query, held)
            }
        }
    }

    fn take_list(
        &mut self,
        object: &ObjectKey,
        bytes: &Bytes,
        query: &Resolved,
        held: &mut dyn HeldObjects,
    ) -> Result<(), TableError> {
        let list = ManifestList::parse(bytes)
            .map_err(|source| TableError::Metadata { object: object.clone(), source })?;
        check_complete(object, &list, query)?;
        let list = Arc::new(list);
        held.put(object, Held::ManifestList(Arc::clone(&list)), list.memory_len_bytes() as u64);
        self.prune(&list.manifests, query)
    }

    /// Chooses the manifests to open.
    fn prune(&mut self, manifests: &[ManifestFile], query: &Resolved) -> Result<(), TableError> {
        let mut survivors = Vec::new();
        for of in manifests {
            let object = || query.locations.object_key(&of.location);
            let Some(spec) = query.metadata.partition_spec(of.partition_spec_id) else {
                return Err(unknown_spec(object(), of));
            };
            if query.key.prune_manifest(of, spec) == Pruning::CannotMatch {
                continue;
            }
            if of.is_encrypted {
                return Err(encrypted(object(), Part::Manifest));
            }
            survivors.push(of.clone());
        }
        self.waiting = survivors.into_iter();
        Ok(())
    }

    fn open_manifest(
        &mut self,
        of: ManifestFile,
        query: &Resolved,
        held: &mut dyn HeldObjects,
    ) -> Result<(), TableError> {
        let object = query.locations.object_key(&of.location);
        if let Some(Held::Manifest(manifest)) = held.get(&object) {
            return self.gather(&manifest, query);
        }
        let guess = match of.stated_len_bytes {
            0 => MANIFEST_LEN_BYTES_GUESS,
            stated => stated.saturating_add(MANIFEST_LEN_BYTES_SLACK),
        };
        let (read, need) = WholeObject::new(object, Role::Manifest, guess);
        self.at_once += 1;
        self.wave.ask(Read::Manifest(of, read), vec![need]);
        Ok(())
    }

    fn take_manifest(
        &mut self,
        of: &ManifestFile,
        object: &ObjectKey,
        bytes: &Bytes,
        query: &Resolved,
        held: &mut dyn HeldObjects,
    ) -> Result<(), TableError> {
        let spec = query.metadata.partition_spec(of.partition_spec_id);
        let spec = spec.ok_or_else(|| unknown_spec(object.clone(), of))?;
        let manifest = Manifest::parse(bytes, of, spec, StatsOf::Fields(&query.stats_fields))
            .map_err(|source| TableError::Metadata { object: object.clone(), source })?;
        let manifest = Arc::new(manifest);
        held.put(object, Held::Manifest(Arc::clone(&manifest)), manifest.memory_len_bytes() as u64);
        self.gather(&manifest, query)
    }

    /// Keeps the files that may matter, so that the manifest itself can go.
    fn gather(&mut self, manifest: &Manifest, query: &Resolved) -> Result<(), TableError> {
        for entry in manifest.live() {
            let file = &entry.file;
            let Some(spec) = query.metadata.partition_spec(file.spec_id) else { continue };
            let might_match = match file.content {
                FileContent::Data => query.key.prune_file(file, spec),
                FileContent::EqualityDeletes => query.key.prune_equality_deletes(file),
                FileContent::PositionDeletes => Pruning::MightMatch,
            };
            let (kind, limit) = match file.content {
                FileContent::Data if query.key.terms.is_empty() => (&mut self.data, SCANNED_FILE_COUNT_MAX),
                FileContent::Data => (&mut self.data, DATA_FILE_COUNT_MAX),
                _ => (&mut self.deletes, DELETE_FILE_COUNT_MAX),
            };
            if might_match == Pruning::CannotMatch {
                continue;
            }
            if kind.len() >= limit {
                let object = query.locations.object_key(&file.location);
                let (found, limit) = (limit as u64 + 1, limit as u64);
                return Err(TableError::Limit { object, what: "files that may matter", found, limit });
            }
            kind.push(entry.clone());
        }
        Ok(())
    }
}

/// Finds the deletes that apply to each data file.
pub(crate) fn apply_deletes(
    data: Vec<ManifestEntry>,
    deletes: &[ManifestEntry],
    query: &Resolved,
) -> TablePlan {
    let index = DeleteIndex::new(deletes);
    let mut plan = TablePlan::default();
    // A delete file is the same one wherever it applies; its address tells.
    let mut known: HashMap<*const ManifestEntry, usize> = HashMap::new();
    for entry in data {
        let applicable = index.plan(&entry, &query.metadata);
        let applicable = applicable.vectors.iter().chain(&applicable.positions).chain(&applicable.equalities);
        let places = applicable.copied().map(|delete| {
            *known.entry(std::ptr::from_ref(delete)).or_insert_with(|| {
                plan.deletes.push(delete.clone());
                plan.deletes.len() - 1
            })
        });
        let deletes = places.collect();
        plan.data.push(DataTask { entry, deletes });
    }
    plan
}

/// A list that was cut off before its first block is a valid one without manifests.
fn check_complete(object: &ObjectKey, list: &ManifestList, query: &Resolved) -> Result<(), TableError> {
    let stated = query.snapshot.as_ref().and_then(|s| s.stated_data_file_count);
    if list.manifests.is_empty() && stated.is_some_and(|count| count > 0) {
        let (object, found) = (object.clone(), "0".to_owned());
        return Err(TableError::Inconsistent { object, what: "count of manifests", found });
    }
    Ok(())
}

fn encrypted(object: ObjectKey, part: Part) -> TableError {
    TableError::Unsupported { object, what: "encryption of", found: part.to_string() }
}

fn unknown_spec(object: ObjectKey, of: &ManifestFile) -> TableError {
    TableError::Inconsistent { object, what: "partition spec id", found: of.partition_spec_id.to_string() }
}
