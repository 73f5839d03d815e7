//! What page index and bloom filters leave of a row group.

use crate::file::{
    RowSelection,
    bloom::BloomProbe,
    error::Located,
    fetched::Fetched,
    footer::FileFooter,
    group::Group,
    limits::BLOOM_PAYS_LEN_BYTES,
    plan::{Candidate, Plan},
    prune::prune_pages,
    rows::RowSet,
};

/// The rows of a row group that the page index leaves, and the keys that it leaves open.
pub(crate) fn narrow_group(
    plan: &Plan,
    candidate: &Candidate,
    selection: RowSelection,
    footer: &FileFooter,
) -> Result<Group, Located> {
    let row_count = candidate.rows.end - candidate.rows.start;
    let mut rows = match selection {
        RowSelection::AllMatching => RowSet::one(0..row_count),
        RowSelection::At(position) => {
            let row = position.saturating_sub(candidate.rows.start);
            RowSet::one(row..row + 1)
        }
    };
    let mut open_keys = Vec::new();
    for key_idx in &candidate.open_keys {
        let Some(key) = plan.keys.get(*key_idx) else { continue };
        let chunk = footer.chunk(candidate.group_idx, key.leaf_idx);
        let chunk = chunk.map_err(|cause| footer.locate(candidate.group_idx, key.leaf_idx, cause))?;
        let (Some(bounds), Some(pages)) = (&chunk.index.columns, &chunk.index.pages) else {
            open_keys.push(*key_idx);
            continue;
        };
        let (might_match, all_match) = prune_pages(bounds, pages, &rows, &chunk, &key.matcher);
        rows = rows.intersect(&might_match);
        if !all_match {
            open_keys.push(*key_idx);
        }
    }
    let mut group = Group::new(candidate, rows);
    group.open_keys = open_keys;
    Ok(group)
}

/// The filter to ask of a row group: the largest one among its open keys, which belongs to the column with the most
/// different values.
pub(crate) fn probe_of(
    plan: &Plan,
    group: &mut Group,
    footer: &FileFooter,
    fetched: &Fetched,
) -> Result<Option<BloomProbe>, Located> {
    let mut probes = Vec::new();
    let mut len_bytes = 0u64;
    for key_idx in group.open_keys.clone() {
        let Some(key) = plan.keys.get(key_idx) else { continue };
        len_bytes = len_bytes.saturating_add(group.len_bytes_of(footer, key.leaf_idx)?);
        let chunk = footer.chunk(group.idx, key.leaf_idx);
        let chunk = chunk.map_err(|cause| footer.locate(group.idx, key.leaf_idx, cause))?;
        let stored = key.matcher.stored_form(chunk.metadata.column_descr().self_type());
        let probe =
            stored.and_then(|stored| BloomProbe::new(chunk.metadata, &stored, footer.object_len_bytes()));
        probes.extend(probe);
    }
    let probe = probes.into_iter().max_by_key(BloomProbe::filter_len);
    Ok(probe.filter(|probe| len_bytes >= BLOOM_PAYS_LEN_BYTES || fetched.get(&probe.block).is_some()))
}
