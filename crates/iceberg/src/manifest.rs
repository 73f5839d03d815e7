//! Manifests: the files of a table, and what is known of each.
//!
//! Spec: "Manifests". Fields are found by their field id, or by name where the writer gave no ids.

use crate::{
    avro::Container,
    data_file::DataFile,
    error::{Error, Part},
    manifest_list::ManifestFile,
    partition::PartitionSpec,
};

mod read;

use self::read::{EntryReader, Layout};

/// Most entries of a manifest: 25 times what 8 MiB, the size that writers aim at, hold at 400 bytes each.
pub const ENTRY_COUNT_MAX: usize = 500_000;

/// The reserved column `file_path` of position delete files, whose bounds say which data files are meant.
pub const DELETE_FILE_PATH_ID: i32 = 2_147_483_546;

/// The reserved column `pos` of position delete files.
pub const DELETE_POS_ID: i32 = 2_147_483_545;

const PART: Part = Part::Manifest;

/// Which columns' statistics are kept. Tables have tens of columns and lookups three, so the rest is only weight.
#[derive(Clone, Copy, Debug)]
pub enum StatsOf<'a> {
    /// Of every column.
    All,
    /// Of these, and of [`DELETE_FILE_PATH_ID`].
    Fields(&'a [i32]),
}

impl StatsOf<'_> {
    fn includes(self, field_id: i32) -> bool {
        match self {
            Self::All => true,
            Self::Fields(ids) => field_id == DELETE_FILE_PATH_ID || ids.contains(&field_id),
        }
    }
}

/// What a snapshot did with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Carried over.
    Existing,
    /// Added by the snapshot that wrote the manifest.
    Added,
    /// Removed by it: not part of the table.
    Deleted,
}

/// A file and its place in the table's history.
#[derive(Clone, Debug, PartialEq)]
pub struct ManifestEntry {
    /// What happened to it.
    pub status: Status,
    /// The snapshot in which that happened.
    pub snapshot_id: Option<i64>,
    /// The data sequence number: deletes of a higher one (or an equal one, for position deletes) apply to it.
    pub sequence_number: i64,
    /// The file.
    pub file: DataFile,
}

impl ManifestEntry {
    /// Whether the file is part of the table.
    pub fn is_live(&self) -> bool {
        self.status != Status::Deleted
    }
}

/// A parsed manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// In stored order, deleted ones too.
    pub entries: Vec<ManifestEntry>,
}

impl Manifest {
    /// Reads a manifest. `of` is how its manifest list describes it, from which entries inherit; `spec` is the
    /// partition spec that `of` names.
    pub fn parse(
        bytes: &[u8],
        of: &ManifestFile,
        spec: &PartitionSpec,
        stats: StatsOf<'_>,
    ) -> Result<Self, Error> {
        let container = Container::parse(bytes, PART)?;
        let layout = Layout::of(&container.schema, spec)?;
        let mut entries = Vec::new();
        container.for_each_datum(|cursor, schema, _| {
            Error::check_limit(PART, "entry count", entries.len() + 1, ENTRY_COUNT_MAX)?;
            entries.push(EntryReader { schema, layout: &layout, of, stats }.read(cursor)?);
            Ok(())
        })?;
        let manifest = Self { entries };
        manifest.check_complete(bytes.len(), of)?;
        Ok(manifest)
    }

    /// A container that was cut off between two blocks is a valid one with fewer files. Neither the length nor the
    /// count that the list states can be trusted alone; a manifest that falls short of both was cut off.
    fn check_complete(&self, len_bytes: usize, of: &ManifestFile) -> Result<(), Error> {
        let live_count = self.live().count() as u64;
        let falls_short = of.live_file_count.is_some_and(|stated| live_count < stated);
        if falls_short && (len_bytes as u64) < of.stated_len_bytes {
            return Err(Error::UnexpectedEnd { part: PART, field: "entries", len_bytes });
        }
        Ok(())
    }

    /// About how much memory it takes, for a cache's budget.
    pub fn memory_len_bytes(&self) -> usize {
        let of = |entry: &ManifestEntry| size_of::<ManifestEntry>() + entry.file.heap_len_bytes();
        self.entries.iter().map(of).sum::<usize>() + size_of::<Self>()
    }

    /// The files that are part of the table.
    pub fn live(&self) -> impl Iterator<Item = &ManifestEntry> {
        self.entries.iter().filter(|e| e.is_live())
    }
}
