//! Sequences of commits through a store in memory: what a reader finds after each.

use std::collections::BTreeMap;

use firn_iceberg::{
    data_file::PartitionValue, manifest as reading, manifest_list::ManifestList, metadata::Manifests,
    pointer::Pointer, value::Literal,
};
use firn_types::time::Micros;
use proptest::prelude::*;
use uuid::Uuid;

use super::{Objects, files::versions_of, row};
use crate::{
    avro::AvroError,
    commit::{
        Append, CommitError, CommitIds, CommitPlan, CurrentTable, StoredDataFile, StreamRange, TableConfig,
        plan_commit, plan_create, plan_merge,
    },
    data_file::encode_data_file,
    manifest::{CommitIdentity, ManifestFile, decode_manifest_list, encode_merged},
    metadata::{
        METADATA_LOG_COUNT_MAX, MetadataError, SNAPSHOT_COUNT_MAX, TableMetadata, committed_sequence,
        current_manifest_list,
    },
};

const STREAM: &str = "build";
const DAY_MICROS: i64 = 86_400_000_000;
const START: Micros = Micros(1_795_000_000_000_000);

/// A bucket with one table in it, and the writer's side of the protocol.
struct Bucket {
    table: TableConfig,
    objects: Objects,
    commit_count: u64,
}

impl Bucket {
    fn new() -> Self {
        let table = TableConfig {
            root: "s3://lake".into(),
            prefix: "wh/firn/artifacts_build".into(),
            namespace: "firn".into(),
            name: "artifacts_build".into(),
        };
        Self { table, objects: Objects::new(), commit_count: 0 }
    }

    fn pointer(&self) -> Option<Pointer> {
        self.objects.get("catalog/firn/artifacts_build.json").map(|bytes| Pointer::parse(bytes).unwrap())
    }

    #[track_caller]
    fn read(&self, location: &str) -> &[u8] {
        let key = self.table.key_of(location).unwrap();
        self.objects.get(key.as_str()).unwrap_or_else(|| panic!("{key} is missing"))
    }

    fn metadata(&self) -> TableMetadata {
        TableMetadata::parse(self.read(&self.pointer().unwrap().metadata_location)).unwrap()
    }

    fn manifests(&self) -> Vec<ManifestFile> {
        let metadata = self.read(&self.pointer().unwrap().metadata_location);
        decode_manifest_list(self.read(&current_manifest_list(metadata).unwrap().unwrap())).unwrap()
    }

    /// The versions of all rows in the table, sorted; of each row it is its sequence.
    fn live_versions(&self) -> Vec<u64> {
        let entries = self.live_entries();
        let mut versions: Vec<u64> =
            entries.iter().flat_map(|entry| versions_of(self.read(&entry.file.location))).collect();
        versions.sort_unstable();
        versions
    }

    /// The live files, as the reading side sees them.
    fn live_entries(&self) -> Vec<reading::ManifestEntry> {
        let metadata = self.read(&self.pointer().unwrap().metadata_location);
        let metadata = firn_iceberg::metadata::TableMetadata::parse(metadata).unwrap();
        let Manifests::List(location) = &metadata.current_snapshot().unwrap().manifests else { panic!() };
        let list = ManifestList::parse(self.read(location)).unwrap();
        let parse = |line: &firn_iceberg::manifest_list::ManifestFile| {
            let spec = metadata.partition_spec(line.partition_spec_id).unwrap();
            reading::Manifest::parse(self.read(&line.location), line, spec, reading::StatsOf::All).unwrap()
        };
        list.manifests.iter().flat_map(|line| parse(line).live().cloned().collect::<Vec<_>>()).collect()
    }

    fn ids(&mut self) -> CommitIds {
        self.commit_count += 1;
        let n = u128::from(self.commit_count);
        CommitIds {
            commit: Uuid::from_u128(n << 64 | n),
            table: Uuid::from_u128(7),
            snapshot_id: i64::try_from(n).unwrap() + 1_000,
        }
    }

    /// Steps 1 to 4 of the protocol.
    fn plan(&mut self, first: u64, last: u64, now: Micros) -> Result<CommitPlan, CommitError> {
        let ids = self.ids();
        let rows: Vec<_> =
            (first..=last).map(|n| row(&format!("id-{n}"), n.try_into().unwrap(), "")).collect();
        let file = encode_data_file(&rows, now).unwrap();
        let key = self.table.data_file_key(file.metrics.day, ids.commit);
        self.objects.insert(key.as_str().into(), file.bytes);
        let files = [StoredDataFile { key, metrics: file.metrics }];
        let range = StreamRange { stream: STREAM.into(), first, last };
        let append = Append { files: &files, range: &range, summary: BTreeMap::new() };
        let Some(pointer) = self.pointer() else {
            return plan_commit(&self.table, None, &append, &ids, now);
        };
        let metadata_json = self.read(&pointer.metadata_location);
        let manifest_list =
            current_manifest_list(metadata_json).unwrap().map(|location| self.read(&location));
        let manifests: Vec<(String, Vec<u8>)> = manifest_list
            .map_or(Vec::new(), |bytes| plan_merge(bytes).unwrap())
            .into_iter()
            .map(|location| (location.clone(), self.read(&location).to_vec()))
            .collect();
        let current = CurrentTable {
            metadata_location: &pointer.metadata_location,
            metadata_json,
            manifest_list,
            manifests: &manifests,
        };
        plan_commit(&self.table, Some(&current), &append, &ids, now)
    }

    fn store_objects(&mut self, plan: &CommitPlan) {
        for (key, bytes) in &plan.objects {
            assert_eq!(
                self.objects.insert(key.as_str().into(), bytes.clone()),
                None,
                "{key} is stored twice"
            );
        }
    }

    /// Step 5, where the pointer is still that of step 1.
    fn put_pointer(&mut self, plan: &CommitPlan) {
        self.objects.insert(plan.pointer.0.as_str().into(), plan.pointer.1.clone());
    }

    #[track_caller]
    fn commit(&mut self, first: u64, last: u64, now: Micros) -> CommitPlan {
        let plan = self.plan(first, last, now).unwrap();
        self.store_objects(&plan);
        self.put_pointer(&plan);
        plan
    }

    #[track_caller]
    fn committed(&self) -> Option<u64> {
        committed_sequence(self.read(&self.pointer().unwrap().metadata_location), STREAM).unwrap()
    }
}

fn after(commits: i64) -> Micros {
    Micros(START.0 + commits * 1_000_000)
}

#[test]
fn three_commits_leave_three_snapshots_that_build_on_each_other() {
    let mut bucket = Bucket::new();
    for n in 0..3_u64 {
        bucket.commit(n * 10 + 1, n * 10 + 10, after(n.try_into().unwrap()));
        assert_eq!(bucket.committed(), Some(n * 10 + 10));
    }
    let metadata = bucket.metadata();
    let parents: Vec<_> =
        metadata.snapshots.iter().map(|s| (s.snapshot_id, s.parent_snapshot_id, s.sequence_number)).collect();
    assert_eq!(parents, [(1_001, None, 1), (1_002, Some(1_001), 2), (1_003, Some(1_002), 3)]);
    let summary = &metadata.snapshots[2].summary;
    for (key, value) in [
        ("operation", "append"),
        ("added-data-files", "1"),
        ("added-records", "10"),
        ("total-data-files", "3"),
        ("total-records", "30"),
        ("total-delete-files", "0"),
        ("changed-partition-count", "1"),
        ("firn.stream", "build"),
        ("firn.committed-sequence", "30"),
    ] {
        assert_eq!(summary.get(key).map(String::as_str), Some(value), "{key}");
    }
    let lines: Vec<_> = bucket.manifests().iter().map(|m| (m.sequence_number, m.added_rows_count)).collect();
    assert_eq!(lines, [(3, 10), (2, 10), (1, 10)]);
    for manifest in bucket.manifests() {
        assert_eq!(
            manifest.manifest_length,
            i64::try_from(bucket.read(&manifest.manifest_path).len()).unwrap()
        );
    }
    let location = bucket.pointer().unwrap().metadata_location;
    assert!(location.starts_with("s3://lake/wh/firn/artifacts_build/metadata/00002-"), "{location}");
}

/// Merged or not, an entry reads as it was written: its sequence number, partition, size and bounds.
#[test]
fn reading_side_finds_what_was_written() {
    let mut bucket = Bucket::new();
    for n in 1..=6_u32 {
        bucket.commit(n.into(), n.into(), Micros(i64::from(n) * DAY_MICROS));
    }
    assert!(bucket.manifests().iter().any(|line| line.existing_files_count > 0));
    let mut entries = bucket.live_entries();
    entries.sort_by_key(|entry| entry.sequence_number);
    for (entry, n) in entries.iter().zip(1_i32..) {
        assert_eq!((entry.sequence_number, entry.snapshot_id), (i64::from(n), Some(1_000 + i64::from(n))));
        let reading::ManifestEntry { file, .. } = entry;
        assert_eq!(file.partition, [PartitionValue::Is(Literal::Date(n))]);
        assert_eq!((file.record_count, file.sort_order_id), (1, Some(0)));
        assert_eq!(file.stated_len_bytes, bucket.read(&file.location).len() as u64);
        let version = file.stats_of(4).unwrap();
        let bytes = i64::from(n).to_le_bytes();
        let bounds = (version.lower_bound.as_deref(), version.upper_bound.as_deref());
        assert_eq!(bounds, (Some(&bytes[..]), Some(&bytes[..])));
        assert!(file.stats_of(5).is_none());
    }
    assert_eq!(entries.len(), 6);
}

#[test]
fn manifest_with_fewer_files_than_stated_is_not_merged() {
    let mut bucket = Bucket::new();
    let plan = bucket.commit(1, 3, START);
    let (mut line, bytes) = (bucket.manifests().remove(0), &plan.objects[0].1);
    let commit =
        CommitIdentity { snapshot_id: 9, parent_snapshot_id: None, sequence_number: 9, uuid: Uuid::nil() };
    let merge = |line: &ManifestFile| encode_merged(&commit, "s3://lake/m".into(), &[(line, bytes)]);
    assert!(merge(&line).is_ok());
    line.added_files_count = 2;
    assert!(matches!(merge(&line), Err(AvroError::LiveCount { found: 1, stated: 2 })));
}

#[test]
fn created_table_is_empty_and_takes_commits() {
    let mut bucket = Bucket::new();
    let ids = bucket.ids();
    let plan = plan_create(&bucket.table, &ids, START).unwrap();
    bucket.store_objects(&plan);
    bucket.put_pointer(&plan);
    assert_eq!(bucket.committed(), None);
    assert_eq!(current_manifest_list(&plan.metadata_json).unwrap(), None);
    bucket.commit(1, 2, after(1));
    assert_eq!(bucket.committed(), Some(2));
    assert!(bucket.pointer().unwrap().metadata_location.contains("/metadata/00001-"));
}

#[test]
fn objects_come_before_what_names_them() {
    let mut bucket = Bucket::new();
    let names = |plan: &CommitPlan| -> Vec<&'static str> {
        let kind = |key: &str| match key {
            key if key.ends_with("-m0.avro") => "manifest",
            key if key.ends_with("-m1.avro") => "merged manifest",
            key if key.contains("/snap-") => "manifest list",
            key if key.ends_with(".metadata.json") => "metadata",
            _ => "?",
        };
        plan.objects.iter().map(|(key, _)| kind(key.as_str())).collect()
    };
    for n in 1..=4 {
        assert_eq!(names(&bucket.commit(n, n, after(1))), ["manifest", "manifest list", "metadata"]);
    }
    let plan = bucket.commit(5, 5, after(1));
    assert_eq!(names(&plan), ["manifest", "merged manifest", "manifest list", "metadata"]);
    assert_eq!(plan.objects.last().unwrap().1, plan.metadata_json);
}

/// Two writers plan from the same table; the one whose conditional put fails plans again.
#[test]
fn loser_of_a_conflict_commits_its_rows_once_on_top_of_the_winner() {
    let mut bucket = Bucket::new();
    bucket.commit(1, 5, after(0));
    let loser = bucket.plan(6, 8, after(1)).unwrap();
    bucket.store_objects(&loser);
    bucket.commit(6, 7, after(2));
    // The loser's put fails; from step 1: 6 and 7 are committed, 8 is not.
    assert!(matches!(
        bucket.plan(6, 8, after(3)),
        Err(CommitError::AlreadyCommitted { first: 6, committed: 7 })
    ));
    bucket.commit(8, 8, after(3));
    assert_eq!(bucket.committed(), Some(8));
    let rows: i64 = bucket.manifests().iter().map(|m| m.added_rows_count + m.existing_rows_count).sum();
    assert_eq!(rows, 8);
}

#[test]
fn refused_commits_say_why() {
    let mut bucket = Bucket::new();
    bucket.commit(1, 5, after(0));
    assert!(matches!(
        bucket.plan(5, 9, after(1)),
        Err(CommitError::AlreadyCommitted { first: 5, committed: 5 })
    ));
    bucket.commit_count -= 2;
    assert!(matches!(bucket.plan(6, 9, after(1)), Err(CommitError::SnapshotId(1_001))));

    let ids = bucket.ids();
    let plan =
        |files: &[StoredDataFile], (first, last), current: Option<&CurrentTable<'_>>, ids: &CommitIds| {
            let range = StreamRange { stream: STREAM.into(), first, last };
            let append = Append { files, range: &range, summary: BTreeMap::new() };
            plan_commit(&bucket.table, current, &append, ids, START).unwrap_err()
        };
    let file = encode_data_file(&[row("a", 1, "")], START).unwrap();
    let key = bucket.table.data_file_key(file.metrics.day, ids.commit);
    let files = [StoredDataFile { key, metrics: file.metrics }];
    assert!(matches!(plan(&[], (6, 6), None, &ids), CommitError::NoFiles));
    assert!(matches!(plan(&files, (7, 6), None, &ids), CommitError::Range { first: 7, last: 6 }));
    for snapshot_id in [0, -1, i64::MIN] {
        let ids = CommitIds { snapshot_id, ..ids };
        assert!(matches!(plan(&files, (6, 6), None, &ids), CommitError::SnapshotId(id) if id == snapshot_id));
    }
    let location = bucket.pointer().unwrap().metadata_location;
    let metadata_json = bucket.read(&location);
    let current =
        CurrentTable { metadata_location: &location, metadata_json, manifest_list: None, manifests: &[] };
    assert!(matches!(plan(&files, (6, 6), Some(&current), &ids), CommitError::ManifestListMissing(_)));
}

#[test]
fn hundreds_of_commits_leave_few_manifests_and_a_bounded_metadata() {
    let mut bucket = Bucket::new();
    let commits = 400_u64;
    let (mut most, mut obsolete) = (0, 0);
    for n in 1..=commits {
        obsolete += bucket
            .commit(n, n, Micros(START.0 + i64::try_from(n).unwrap() * DAY_MICROS / 100))
            .obsolete
            .len();
        most = most.max(bucket.manifests().len());
    }
    assert!(most <= 12, "{most} manifests");
    let manifests = bucket.manifests();
    let rows: i64 = manifests.iter().map(|m| m.added_rows_count + m.existing_rows_count).sum();
    assert_eq!(rows, i64::try_from(commits).unwrap());
    let oldest = manifests.iter().map(|m| m.min_sequence_number).min();
    assert_eq!(oldest, Some(1));
    let metadata = bucket.metadata();
    assert_eq!(metadata.snapshots.len(), SNAPSHOT_COUNT_MAX);
    let json: serde_json::Value = serde_json::from_slice(&metadata.encode().unwrap()).unwrap();
    let ids = |list: &str| -> Vec<_> {
        json[list].as_array().unwrap().iter().map(|entry| entry["snapshot-id"].clone()).collect()
    };
    assert_eq!(ids("snapshot-log"), ids("snapshots"));
    assert_eq!(json["metadata-log"].as_array().unwrap().len(), METADATA_LOG_COUNT_MAX);
    let len_bytes = bucket.read(&bucket.pointer().unwrap().metadata_location).len();
    assert!(len_bytes < 60_000, "{len_bytes} bytes of metadata");
    // The first commit has no earlier metadata.
    let expected = (400 - SNAPSHOT_COUNT_MAX) + (400 - 1 - METADATA_LOG_COUNT_MAX);
    assert_eq!(obsolete, expected);
    assert_eq!(bucket.committed(), Some(commits));
}

#[test]
fn sequence_survives_commits_of_others_and_a_cut_history_is_no_empty_one() {
    let mut bucket = Bucket::new();
    bucket.commit(1, 5, after(0));
    bucket.commit(6, 9, after(1));
    let json = bucket.read(&bucket.pointer().unwrap().metadata_location).to_vec();
    assert_eq!(committed_sequence(&json, STREAM).unwrap(), Some(9));
    assert_eq!(committed_sequence(&json, "other").unwrap(), None);

    let mut value: serde_json::Value = serde_json::from_slice(&json).unwrap();
    value["snapshots"][1]["summary"].as_object_mut().unwrap().remove("firn.stream");
    let foreign = serde_json::to_vec(&value).unwrap();
    assert_eq!(committed_sequence(&foreign, STREAM).unwrap(), Some(5));

    value["snapshots"].as_array_mut().unwrap().remove(0);
    let cut = serde_json::to_vec(&value).unwrap();
    assert!(matches!(committed_sequence(&cut, STREAM), Err(MetadataError::HistoryCut(1_001))));
}

#[test]
fn metadata_of_others_is_refused_or_carried_over() {
    let mut bucket = Bucket::new();
    let plan = bucket.commit(1, 5, after(0));
    let value: serde_json::Value = serde_json::from_slice(&plan.metadata_json).unwrap();
    let with = |pointer: &str, new: serde_json::Value| {
        let mut value = value.clone();
        *value.pointer_mut(pointer).unwrap() = new;
        TableMetadata::parse(&serde_json::to_vec(&value).unwrap()).and_then(|m| m.check_shape())
    };
    assert!(matches!(with("/format-version", 3.into()), Err(MetadataError::FormatVersion { found: 3 })));
    assert!(matches!(with("/schemas/0/fields/2/type", "int".into()), Err(MetadataError::ForeignShape)));
    assert!(matches!(with("/default-spec-id", 1.into()), Err(MetadataError::ForeignShape)));
    assert!(matches!(
        with("/partition-specs/0/fields/0/transform", "hour".into()),
        Err(MetadataError::ForeignShape)
    ));
    assert!(with("/location", "s3://lake/elsewhere".into()).is_ok());

    let mut extended = value.clone();
    extended["new-in-the-specification"] = 1.into();
    let bytes = serde_json::to_vec(&extended).unwrap();
    let carried: serde_json::Value =
        serde_json::from_slice(&TableMetadata::parse(&bytes).unwrap().encode().unwrap()).unwrap();
    assert_eq!(carried, extended);
}

#[test]
fn corrupt_objects_are_errors() {
    let mut bucket = Bucket::new();
    let plan = bucket.commit(1, 5, after(0));
    for len in [0, 1, plan.metadata_json.len() / 2, plan.metadata_json.len() - 1] {
        assert!(matches!(
            committed_sequence(&plan.metadata_json[..len], STREAM),
            Err(MetadataError::Corrupt(_))
        ));
    }
    let list = &plan.objects[1].1;
    for len in 0..list.len() {
        // A cut right after the header is a list without lines.
        assert!(plan_merge(&list[..len]).is_err() || decode_manifest_list(&list[..len]).unwrap().is_empty());
    }
}

/// The bytes of a commit depend on nothing but its arguments.
#[test]
fn same_arguments_give_the_same_objects() {
    let plan = || Bucket::new().plan(1, 3, START).unwrap();
    assert_eq!(plan().objects, plan().objects);
}

/// What a writer of the model does next; `usize` picks the writer.
#[derive(Clone, Debug)]
enum Move {
    /// Steps 1 to 4, up to so many rows.
    Plan(usize, u64),
    /// Step 5.
    Put(usize),
    /// Step 5, whose answer is lost.
    PutAndForget(usize),
    /// The process ends.
    Crash(usize),
}

fn any_move() -> impl Strategy<Value = Move> {
    let writer = 0..2_usize;
    prop_oneof![
        (writer.clone(), 1..9_u64).prop_map(|(writer, rows)| Move::Plan(writer, rows)),
        (writer.clone(), 1..9_u64).prop_map(|(writer, rows)| Move::Plan(writer, rows)),
        writer.clone().prop_map(Move::Put),
        writer.clone().prop_map(Move::PutAndForget),
        writer.prop_map(Move::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Two writers of one stream that plan, lose conflicts, lose answers and crash at any time: after each move every
    /// row up to the committed sequence is in the table once, and none after it.
    #[test]
    fn every_row_is_committed_exactly_once(moves in proptest::collection::vec(any_move(), 1..60)) {
        let mut bucket = Bucket::new();
        // A plan and the pointer that it was made from: the condition of its put.
        let mut plans: [Option<(CommitPlan, Option<Pointer>)>; 2] = [None, None];
        for (step, next) in moves.into_iter().enumerate() {
            match next {
                Move::Plan(writer, row_count) => {
                    let before = bucket.pointer();
                    let first = before.as_ref().map_or(0, |_| bucket.committed().unwrap()) + 1;
                    let plan = bucket.plan(first, first + row_count - 1, after(step.try_into().unwrap())).unwrap();
                    bucket.store_objects(&plan);
                    plans[writer] = Some((plan, before));
                }
                Move::Put(writer) | Move::PutAndForget(writer) => {
                    if let Some((plan, before)) = &plans[writer] && *before == bucket.pointer() {
                        bucket.put_pointer(plan);
                    }
                    // Whether it was stored, lost, or stored without an answer: from step 1.
                    plans[writer] = None;
                }
                Move::Crash(writer) => plans[writer] = None,
            }
            if bucket.pointer().is_some() {
                let committed = bucket.committed().unwrap();
                prop_assert_eq!(bucket.live_versions(), (1..=committed).collect::<Vec<_>>());
            }
        }
    }

    /// Whatever a bit of a stored object becomes, reading it ends in a value or an error.
    #[test]
    fn damaged_objects_never_panic(object_idx in 0..3_usize, position in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut bucket = Bucket::new();
        let plan = bucket.commit(1, 3, START);
        let mut bytes = plan.objects[object_idx].1.clone();
        let position = position.index(bytes.len());
        bytes[position] ^= 1 << bit;
        let _ = plan_merge(&bytes);
        let _ = committed_sequence(&bytes, STREAM);
        let line = bucket.manifests().remove(0);
        let commit = CommitIdentity { snapshot_id: 9, parent_snapshot_id: None, sequence_number: 9, uuid: Uuid::nil() };
        let _ = encode_merged(&commit, "s3://lake/m".into(), &[(&line, &bytes)]);
    }
}
