//! From a snapshot to the data files that may hold the key, and the deletes that apply to them: one wave for the
//! manifest list, one for the manifests that survive it.

use std::{collections::HashMap, sync::Arc};

use firn_iceberg::{
    data_file::FileContent,
    deletes::ApplicableDeletes,
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
    need::{Need, Role, Step, Supplied},
};

/// How long a manifest list is guessed to be, for metadata does not say: 1,000 manifests of 200 bytes. A longer one
/// costs a second read, a shorter one nothing.
const MANIFEST_LIST_LEN_BYTES_GUESS: u64 = 256 * 1024;

/// How much more of a manifest is asked for than its list says it has, because writers have counted wrongly.
const MANIFEST_LEN_BYTES_SLACK: u64 = 4 * 1024;

/// Asked for where the list says nothing of a manifest's length.
const MANIFEST_LEN_BYTES_GUESS: u64 = 256 * 1024;

/// Bytes of memory for each byte of a stored manifest list or manifest: names and numbers unpacked, paths repeated.
const PARSED_GROWTH: u64 = 6;

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
#[derive(Debug)]
pub(crate) struct Planner {
    state: State,
    wave: Wave<usize>,
}

#[derive(Debug)]
enum State {
    Start,
    List(WholeObject),
    Manifests { found: Vec<Arc<Manifest>>, reads: Vec<ManifestRead> },
}

#[derive(Debug)]
struct ManifestRead {
    of: ManifestFile,
    read: WholeObject,
}

impl Planner {
    pub(crate) fn new() -> Self {
        Self { state: State::Start, wave: Wave::default() }
    }

    pub(crate) fn step(
        &mut self,
        query: &Resolved,
        supplied: &[Supplied],
        held: &mut dyn HeldObjects,
    ) -> Result<Step<TablePlan>, TableError> {
        let answers = std::mem::take(&mut self.wave).answer(supplied)?;
        match std::mem::replace(&mut self.state, State::Start) {
            State::Start => self.start(query, held),
            State::List(mut read) => {
                let supplied = answers.into_iter().flat_map(|(_, s)| s).next();
                let expected = 1;
                let supplied = supplied.ok_or(TableError::Answers { expected, found: 0 })?;
                match read.step(supplied)? {
                    Step::Need(needs) => {
                        self.state = State::List(read);
                        Ok(self.ask(needs))
                    }
                    Step::Done(bytes) => {
                        let list = ManifestList::parse(&bytes).map_err(|source| TableError::Metadata {
                            object: read.object().clone(),
                            source,
                        })?;
                        check_complete(read.object(), &list, query)?;
                        let list = Arc::new(list);
                        let len_bytes = bytes.len() as u64 * PARSED_GROWTH;
                        held.put(read.object(), Held::ManifestList(Arc::clone(&list)), len_bytes);
                        self.open_manifests(query, &list.manifests, held)
                    }
                }
            }
            State::Manifests { found, reads } => self.take_manifests(query, found, reads, answers, held),
        }
    }

    fn ask(&mut self, needs: Vec<Need>) -> Step<TablePlan> {
        self.wave.ask(0, needs);
        Step::Need(self.wave.needs())
    }

    fn start(&mut self, query: &Resolved, held: &mut dyn HeldObjects) -> Result<Step<TablePlan>, TableError> {
        let Some(snapshot) = &query.snapshot else {
            return Ok(Step::Done(TablePlan::default()));
        };
        match &snapshot.manifests {
            Manifests::Inline(locations) => {
                let manifests: Vec<_> = locations.iter().map(|l| ManifestFile::inline(l)).collect();
                self.open_manifests(query, &manifests, held)
            }
            Manifests::List(location) => {
                let object = query.locations.object_key(location);
                if snapshot.is_encrypted {
                    return Err(encrypted(object, Part::ManifestList));
                }
                if let Some(Held::ManifestList(list)) = held.get(&object) {
                    return self.open_manifests(query, &list.manifests, held);
                }
                let (read, need) =
                    WholeObject::new(object, Role::ManifestList, MANIFEST_LIST_LEN_BYTES_GUESS);
                self.state = State::List(read);
                Ok(self.ask(vec![need]))
            }
        }
    }

    fn open_manifests(
        &mut self,
        query: &Resolved,
        manifests: &[ManifestFile],
        held: &mut dyn HeldObjects,
    ) -> Result<Step<TablePlan>, TableError> {
        let (mut found, mut reads) = (Vec::new(), Vec::new());
        for of in manifests {
            let object = query.locations.object_key(&of.location);
            let Some(spec) = query.metadata.partition_spec(of.partition_spec_id) else {
                return Err(unknown_spec(object, of));
            };
            if query.key.prune_manifest(of, spec) == Pruning::CannotMatch {
                continue;
            }
            if of.is_encrypted {
                return Err(encrypted(object, Part::Manifest));
            }
            if let Some(Held::Manifest(manifest)) = held.get(&object) {
                found.push(manifest);
                continue;
            }
            let guess = match of.stated_len_bytes {
                0 => MANIFEST_LEN_BYTES_GUESS,
                stated => stated.saturating_add(MANIFEST_LEN_BYTES_SLACK),
            };
            let (read, need) = WholeObject::new(object, Role::Manifest, guess);
            self.wave.ask(reads.len(), vec![need]);
            reads.push(ManifestRead { of: of.clone(), read });
        }
        Ok(self.wait_or_plan(query, found, reads))
    }

    fn take_manifests(
        &mut self,
        query: &Resolved,
        mut found: Vec<Arc<Manifest>>,
        mut reads: Vec<ManifestRead>,
        answers: Vec<(usize, Vec<Supplied>)>,
        held: &mut dyn HeldObjects,
    ) -> Result<Step<TablePlan>, TableError> {
        for (idx, supplied) in answers {
            let (Some(ManifestRead { of, read }), Some(supplied)) =
                (reads.get_mut(idx), supplied.into_iter().next())
            else {
                continue;
            };
            let bytes = match read.step(supplied)? {
                Step::Need(needs) => {
                    self.wave.ask(idx, needs);
                    continue;
                }
                Step::Done(bytes) => bytes,
            };
            let object = read.object();
            let spec = query.metadata.partition_spec(of.partition_spec_id);
            let spec = spec.ok_or_else(|| unknown_spec(object.clone(), of))?;
            let manifest = Manifest::parse(&bytes, of, spec, StatsOf::Fields(&query.stats_fields))
                .map_err(|source| TableError::Metadata { object: object.clone(), source })?;
            let manifest = Arc::new(manifest);
            held.put(object, Held::Manifest(Arc::clone(&manifest)), bytes.len() as u64 * PARSED_GROWTH);
            found.push(manifest);
        }
        Ok(self.wait_or_plan(query, found, reads))
    }

    fn wait_or_plan(
        &mut self,
        query: &Resolved,
        found: Vec<Arc<Manifest>>,
        reads: Vec<ManifestRead>,
    ) -> Step<TablePlan> {
        if self.wave.is_empty() {
            return Step::Done(plan_files(query, &found));
        }
        self.state = State::Manifests { found, reads };
        Step::Need(self.wave.needs())
    }
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

/// Chooses the data files that may hold the key, and the deletes that apply to each.
fn plan_files(query: &Resolved, manifests: &[Arc<Manifest>]) -> TablePlan {
    let (mut data, mut deletes) = (Vec::new(), Vec::new());
    for entry in manifests.iter().flat_map(|m| m.live()) {
        let file = &entry.file;
        let Some(spec) = query.metadata.partition_spec(file.spec_id) else {
            continue;
        };
        match file.content {
            FileContent::Data if query.key.prune_file(file, spec) == Pruning::MightMatch => data.push(entry),
            FileContent::EqualityDeletes if query.key.prune_equality_deletes(file) == Pruning::MightMatch => {
                deletes.push(entry);
            }
            FileContent::PositionDeletes => deletes.push(entry),
            FileContent::Data | FileContent::EqualityDeletes => {}
        }
    }
    let mut plan = TablePlan::default();
    // An entry is the same delete file wherever it applies; its address tells.
    let mut known: HashMap<*const ManifestEntry, usize> = HashMap::new();
    for entry in data {
        let applicable = ApplicableDeletes::plan(entry, deletes.iter().copied(), &query.metadata);
        let applicable = applicable.vectors.iter().chain(&applicable.positions).chain(&applicable.equalities);
        let mut places = Vec::new();
        for delete in applicable.copied() {
            places.push(*known.entry(std::ptr::from_ref(delete)).or_insert_with(|| {
                plan.deletes.push(delete.clone());
                plan.deletes.len() - 1
            }));
        }
        plan.data.push(DataTask { entry: entry.clone(), deletes: places });
    }
    plan
}

fn encrypted(object: ObjectKey, part: Part) -> TableError {
    TableError::Unsupported { object, what: "encryption of", found: part.to_string() }
}

fn unknown_spec(object: ObjectKey, of: &ManifestFile) -> TableError {
    TableError::Inconsistent { object, what: "partition spec id", found: of.partition_spec_id.to_string() }
}
