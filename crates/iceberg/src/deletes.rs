//! Which delete files apply to a data file.
//!
//! Spec: "Scan Planning", the rules for delete files and deletion vectors.

use std::collections::HashMap;

use crate::{
    data_file::{DataFile, FileContent, PartitionValue},
    manifest::{DELETE_FILE_PATH_ID, ManifestEntry},
    metadata::TableMetadata,
};

/// The deletes that apply to one data file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApplicableDeletes<'a> {
    /// Deletion vectors. A table that follows the spec has one at most; of more, each is honoured.
    pub vectors: Vec<&'a ManifestEntry>,
    /// Position delete files that may name rows of the file.
    pub positions: Vec<&'a ManifestEntry>,
    /// Equality delete files.
    pub equalities: Vec<&'a ManifestEntry>,
}

impl<'a> ApplicableDeletes<'a> {
    /// Chooses those of `deletes` that apply to `data`. Where a manifest leaves something open, a delete applies: a
    /// deleted row that is served is worse than a delete file read in vain.
    pub fn plan(
        data: &ManifestEntry,
        deletes: impl IntoIterator<Item = &'a ManifestEntry>,
        metadata: &TableMetadata,
    ) -> Self {
        let mut plan = Self::default();
        for delete in deletes {
            match delete.file.content {
                FileContent::EqualityDeletes if equality_applies(data, delete, metadata) => {
                    plan.equalities.push(delete);
                }
                FileContent::PositionDeletes if position_applies(data, delete) => {
                    if delete.file.is_deletion_vector() {
                        plan.vectors.push(delete);
                    } else {
                        plan.positions.push(delete);
                    }
                }
                FileContent::Data | FileContent::EqualityDeletes | FileContent::PositionDeletes => {}
            }
        }
        // A vector holds whatever the position delete files before it said.
        if !plan.vectors.is_empty() {
            plan.positions.clear();
        }
        plan
    }

    /// Whether none applies.
    pub fn is_empty(&self) -> bool {
        self.vectors.is_empty() && self.positions.is_empty() && self.equalities.is_empty()
    }
}

/// Delete files by what they can apply to, so that each of many data files need not be held against each of them.
#[derive(Clone, Debug, Default)]
pub struct DeleteIndex<'a> {
    /// Those of one data file, by its location.
    by_path: HashMap<&'a [u8], Vec<&'a ManifestEntry>>,
    /// All others.
    others: Vec<&'a ManifestEntry>,
}

impl<'a> DeleteIndex<'a> {
    /// Sorts delete files.
    pub fn new(deletes: impl IntoIterator<Item = &'a ManifestEntry>) -> Self {
        let mut index = Self::default();
        for delete in deletes {
            match only_path(&delete.file) {
                Some(path) => index.by_path.entry(path).or_default().push(delete),
                None => index.others.push(delete),
            }
        }
        index
    }

    /// Chooses those that apply to `data`.
    pub fn plan(&self, data: &ManifestEntry, metadata: &TableMetadata) -> ApplicableDeletes<'a> {
        let of_path = self.by_path.get(data.file.location.as_bytes()).map(Vec::as_slice).unwrap_or_default();
        ApplicableDeletes::plan(data, of_path.iter().chain(&self.others).copied(), metadata)
    }
}

/// The location of the only data file that a position delete file or deletion vector can apply to.
fn only_path(delete: &DataFile) -> Option<&[u8]> {
    if delete.content != FileContent::PositionDeletes {
        return None;
    }
    if let Some(referenced) = &delete.referenced_data_file {
        return Some(referenced.as_bytes());
    }
    let stats = delete.stats_of(DELETE_FILE_PATH_ID)?;
    // An upper bound that was cut short was raised as well, so bounds that are equal are whole.
    stats.lower_bound.as_deref().filter(|lower| Some(*lower) == stats.upper_bound.as_deref())
}

/// An equality delete never applies to rows of its own snapshot, which may be the ones that replace the deleted.
fn equality_applies(data: &ManifestEntry, delete: &ManifestEntry, metadata: &TableMetadata) -> bool {
    let is_global =
        || metadata.partition_spec(delete.file.spec_id).is_none_or(|spec| spec.is_unpartitioned());
    data.sequence_number < delete.sequence_number
        && (shares_partition(&data.file, &delete.file) || is_global())
}

fn position_applies(data: &ManifestEntry, delete: &ManifestEntry) -> bool {
    if data.sequence_number > delete.sequence_number {
        return false;
    }
    let path = data.file.location.as_bytes();
    match only_path(&delete.file) {
        Some(only) => only == path,
        None => might_hold_path(&delete.file, path) && shares_partition(&data.file, &delete.file),
    }
}

/// Whether a location lies within the bounds of the paths in a position delete file.
fn might_hold_path(delete: &DataFile, path: &[u8]) -> bool {
    let Some(stats) = delete.stats_of(DELETE_FILE_PATH_ID) else {
        return true;
    };
    stats.lower_bound.as_deref().is_none_or(|bound| bound <= path)
        && stats.upper_bound.as_deref().is_none_or(|bound| path <= bound)
}

fn shares_partition(data: &DataFile, delete: &DataFile) -> bool {
    let same = |(a, b): (&PartitionValue, &PartitionValue)| {
        a.is_same(b) || matches!(a, PartitionValue::Unknown) || matches!(b, PartitionValue::Unknown)
    };
    data.spec_id == delete.spec_id && data.partition.iter().zip(&delete.partition).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        data_file::{ColumnStats, FileFormat},
        manifest::Status,
        value::Literal,
    };

    /// Spec 0 has one field, spec 1 none, spec 2 only a void one.
    fn metadata() -> TableMetadata {
        TableMetadata::parse(
            br#"{"format-version": 1, "location": "s3://b/t", "last-updated-ms": 0, "last-column-id": 1,
            "schema": {"type": "struct", "fields": [{"id": 1, "name": "a", "required": true, "type": "long"}]},
            "partition-specs": [
                {"spec-id": 0, "fields": [{"name": "a", "transform": "identity", "source-id": 1, "field-id": 1000}]},
                {"spec-id": 1, "fields": []},
                {"spec-id": 2, "fields": [{"name": "a", "transform": "void", "source-id": 1, "field-id": 1000}]}
            ]}"#,
        )
        .unwrap()
    }

    fn entry(content: FileContent, sequence_number: i64, spec_id: i32, partition: &[i64]) -> ManifestEntry {
        let file = DataFile {
            content,
            location: "s3://b/t/data.parquet".into(),
            format: FileFormat::Parquet,
            spec_id,
            partition: partition.iter().map(|v| PartitionValue::Is(Literal::Long(*v))).collect(),
            record_count: 1,
            stated_len_bytes: 1,
            stated_column_count: 0,
            stated_columns_len_bytes: 0,
            stats: Vec::new(),
            equality_ids: Vec::new(),
            sort_order_id: None,
            referenced_data_file: None,
            content_offset: None,
            content_size_bytes: None,
            is_encrypted: false,
        };
        ManifestEntry { status: Status::Added, snapshot_id: None, sequence_number, file }
    }

    #[derive(Debug, PartialEq)]
    enum Applies {
        Vector,
        Position,
        Equality,
        Not,
    }

    #[track_caller]
    fn check(delete: &ManifestEntry, expected: &Applies) {
        let data = entry(FileContent::Data, 5, 0, &[7]);
        let metadata = metadata();
        let plan = ApplicableDeletes::plan(&data, [delete], &metadata);
        assert_eq!(DeleteIndex::new([delete]).plan(&data, &metadata), plan);
        let found = match (plan.vectors.len(), plan.positions.len(), plan.equalities.len()) {
            (1, 0, 0) => Applies::Vector,
            (0, 1, 0) => Applies::Position,
            (0, 0, 1) => Applies::Equality,
            _ => Applies::Not,
        };
        assert_eq!(found, *expected, "{delete:?}");
    }

    #[test]
    fn equality_deletes_apply_to_older_files_of_their_partition_or_of_all() {
        let equality = |sequence_number, spec_id, partition: &[i64]| {
            entry(FileContent::EqualityDeletes, sequence_number, spec_id, partition)
        };
        check(&equality(6, 0, &[7]), &Applies::Equality);
        check(&equality(5, 0, &[7]), &Applies::Not);
        check(&equality(6, 0, &[8]), &Applies::Not);
        check(&equality(6, 1, &[]), &Applies::Equality);
        check(&equality(5, 1, &[]), &Applies::Not);
        check(&equality(6, 2, &[]), &Applies::Equality);
        let mut unknown = equality(6, 0, &[8]);
        unknown.file.partition = vec![PartitionValue::Unknown];
        check(&unknown, &Applies::Equality);
    }

    #[test]
    fn position_deletes_apply_to_files_up_to_their_own_sequence_number() {
        let position = |sequence_number, spec_id, partition: &[i64]| {
            entry(FileContent::PositionDeletes, sequence_number, spec_id, partition)
        };
        check(&position(5, 0, &[7]), &Applies::Position);
        check(&position(4, 0, &[7]), &Applies::Not);
        check(&position(5, 0, &[8]), &Applies::Not);
        check(&position(5, 1, &[]), &Applies::Not);
        let bounded = |lower: &str, upper: &str, partition: &[i64]| {
            let mut delete = position(5, 0, partition);
            delete.file.stats = vec![ColumnStats {
                field_id: DELETE_FILE_PATH_ID,
                lower_bound: Some(lower.as_bytes().into()),
                upper_bound: Some(upper.as_bytes().into()),
                ..ColumnStats::default()
            }];
            delete
        };
        check(&bounded("s3://b/t/a", "s3://b/t/e", &[7]), &Applies::Position);
        check(&bounded("s3://b/t/a", "s3://b/t/b", &[7]), &Applies::Not);
        check(&bounded("s3://b/t/e", "s3://b/t/f", &[7]), &Applies::Not);
        check(&bounded("s3://b/t/data.parquet", "s3://b/t/data.parquet", &[8]), &Applies::Position);
        let referencing = |path: &str| {
            let mut delete = position(5, 0, &[7]);
            delete.file.referenced_data_file = Some(path.into());
            delete
        };
        check(&referencing("s3://b/t/data.parquet"), &Applies::Position);
        check(&referencing("s3://b/t/other.parquet"), &Applies::Not);
    }

    #[test]
    fn deletion_vector_overrides_position_delete_files() {
        let data = entry(FileContent::Data, 5, 0, &[7]);
        let position = entry(FileContent::PositionDeletes, 6, 0, &[7]);
        let equality = entry(FileContent::EqualityDeletes, 6, 0, &[7]);
        let mut vector = position.clone();
        vector.file.format = FileFormat::Puffin;
        vector.file.referenced_data_file = Some(data.file.location.clone());
        check(&vector, &Applies::Vector);
        let all = [position, equality, vector];
        let metadata = metadata();
        let plan = ApplicableDeletes::plan(&data, &all, &metadata);
        assert_eq!((plan.vectors.len(), plan.positions.len(), plan.equalities.len()), (1, 0, 1));
    }
}
