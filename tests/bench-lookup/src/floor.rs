//! What a lookup by manifests cannot do without, of the objects that one has read: the fewest waves, in them the fewest
//! requests, in those the fewest bytes.
//!
//! ```text
//! metadata │ manifest list │ manifests that survive it │ footers with the index of the wanted columns │ key pages │ content
//! ```
//! As if every length were known before it is read, and from the page index on also in which page the row lies. Nothing
//! is read before it is known to be wanted, except that what lies between two wanted ranges comes along where one
//! request less is worth it (`firn_store::coalesce`). Without a page index a column chunk is its only page.

use std::{fs, iter, ops::Range, path::Path};

use bytes::Bytes;
use firn_lookup::need::Role;
use firn_store::coalesce::plan_reads;
use firn_types::object::{ByteRange, ObjectKey};
use parquet::file::metadata::{
    ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};

use crate::{Outcome, client::LastFind};

/// The least cost.
#[derive(Debug, Default)]
pub(crate) struct Floor {
    pub(crate) requests: usize,
    pub(crate) waves: usize,
    pub(crate) len_bytes: u64,
}

impl Floor {
    /// Adds a wave of ranges.
    fn wave(&mut self, ranges: impl IntoIterator<Item = (ObjectKey, Range<u64>)>) {
        let asked: Vec<_> = ranges.into_iter().map(|(key, range)| (key, ByteRange::Range(range))).collect();
        let plan = plan_reads(&asked);
        self.requests += plan.reads.len();
        self.waves += usize::from(!asked.is_empty());
        self.len_bytes += plan.len_bytes();
    }
}

/// The floor of a lookup that read everything, with its objects in a folder.
#[expect(clippy::disallowed_methods, reason = "a native tool: the folder is its bucket")]
pub(crate) fn of(folder: &Path, find: &LastFind) -> Outcome<Floor> {
    let whole = |key: &ObjectKey| -> Outcome<_> {
        Ok((key.clone(), 0..fs::metadata(folder.join(key.as_str()))?.len()))
    };
    let with_role = |role: Role| {
        let mut objects: Vec<&ObjectKey> =
            find.asked.iter().filter(|(_, of)| *of == role).map(|(object, _)| object).collect();
        objects.sort();
        objects.dedup();
        objects
    };
    let mut floor = Floor::default();
    floor.wave([whole(&find.metadata)?]);
    for role in [Role::ManifestList, Role::Manifest] {
        floor.wave(with_role(role).into_iter().map(whole).collect::<Outcome<Vec<_>>>()?);
    }
    let (mut tails, mut keys, mut content) = (Vec::new(), Vec::new(), Vec::new());
    for object in with_role(Role::Footer) {
        let bytes = Bytes::from(fs::read(folder.join(object.as_str()))?);
        let file = File::parse(&bytes)?;
        tails.push((object.clone(), file.tail_start(find)..bytes.len() as u64));
        if *object == find.location.object {
            let (group, row) = file.group_of(find.location.position)?;
            let (target, small) = find.field_ids.split_last().ok_or("no columns")?;
            let ids = find.key_ids.iter().chain(small);
            keys.extend(
                ids.flat_map(|id| file.pages_of(group, *id, row)).map(|range| (object.clone(), range)),
            );
            content
                .extend(file.pages_of(group, *target, row).into_iter().map(|range| (object.clone(), range)));
        }
    }
    floor.wave(tails);
    floor.wave(keys);
    floor.wave(content);
    Ok(floor)
}

struct File {
    metadata: ParquetMetaData,
    /// Where the footer begins.
    footer_start: u64,
}

impl File {
    fn parse(bytes: &Bytes) -> Outcome<Self> {
        let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = reader.parse_and_finish(bytes)?;
        let length = bytes.len().checked_sub(8).and_then(|at| bytes.get(at..at + 4)).ok_or("no footer")?;
        let length = u64::from(u32::from_le_bytes(length.try_into()?));
        Ok(Self { metadata, footer_start: bytes.len() as u64 - 8 - length })
    }

    /// Where the part of the end starts that holds the index of the wanted columns: bounds and places of the key's pages,
    /// places of the others'.
    fn tail_start(&self, find: &LastFind) -> u64 {
        let mut start = self.footer_start;
        for chunk in self.metadata.row_groups().iter().flat_map(RowGroupMetaData::columns) {
            let id = field_id(chunk);
            let is_key = find.key_ids.contains(&id) && !is_constant(chunk);
            let bounds = chunk.column_index_offset().filter(|_| is_key);
            let places = chunk.offset_index_offset().filter(|_| is_key || find.field_ids.contains(&id));
            let starts = bounds.into_iter().chain(places).filter_map(|offset| u64::try_from(offset).ok());
            start = starts.fold(start, u64::min);
        }
        start
    }

    /// The row group of a row, and the row's number in it.
    fn group_of(&self, position: u64) -> Outcome<(usize, u64)> {
        let mut row = position;
        for (idx, group) in self.metadata.row_groups().iter().enumerate() {
            let count = u64::try_from(group.num_rows())?;
            match row.checked_sub(count) {
                None => return Ok((idx, row)),
                Some(rest) => row = rest,
            }
        }
        Err("the file has no such row".into())
    }

    /// The page of a column that holds a row, and its dictionary. None of a column whose every value the footer tells.
    fn pages_of(&self, group_idx: usize, id: i32, row: u64) -> Vec<Range<u64>> {
        let groups = self.metadata.row_groups();
        let Some(group) = groups.get(group_idx) else { return Vec::new() };
        let Some((leaf_idx, chunk)) =
            group.columns().iter().enumerate().find(|(_, chunk)| field_id(chunk) == id)
        else {
            return Vec::new();
        };
        if is_constant(chunk) {
            return Vec::new();
        }
        let (start, length) = chunk.byte_range();
        let index = self.metadata.page_index_for_row_group(group_idx);
        let Some(pages) = index.page_locations(leaf_idx).filter(|pages| !pages.is_empty()) else {
            return iter::once(start..start + length).collect();
        };
        let is_before = |first_row: i64| u64::try_from(first_row).is_ok_and(|first| first <= row);
        let holding = pages.iter().rev().find(|page| is_before(page.first_row_index));
        let span = |offset: i64, length: i32| -> Option<Range<u64>> {
            let offset = u64::try_from(offset).ok()?;
            Some(offset..offset + u64::try_from(length).ok()?)
        };
        let first = pages.first().and_then(|page| u64::try_from(page.offset).ok()).unwrap_or(start);
        let dictionary = (start < first).then_some(start..first);
        let page = holding.and_then(|page| span(page.offset, page.compressed_page_size));
        dictionary.into_iter().chain(page).collect()
    }
}

fn field_id(chunk: &ColumnChunkMetaData) -> i32 {
    let info = chunk.column_descr().self_type().get_basic_info();
    if info.has_id() { info.id() } else { -1 }
}

/// Whether its statistics say that all rows hold one value.
fn is_constant(chunk: &ColumnChunkMetaData) -> bool {
    chunk.statistics().is_some_and(|statistics| {
        let bounds = statistics.min_bytes_opt().zip(statistics.max_bytes_opt());
        statistics.null_count_opt() == Some(0) && bounds.is_some_and(|(min, max)| min == max)
    })
}
