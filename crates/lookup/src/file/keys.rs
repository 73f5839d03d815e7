//! Row groups on their way through the key pages: how many at a time, and which columns come along.

use std::ops::Range;

use crate::file::{
    Goal, When,
    error::Located,
    fetched::Fetched,
    footer::FileFooter,
    group::Group,
    limits::{HELD_LEN_BYTES_MAX, SPECULATIVE_LEN_BYTES_MAX},
    matched::Matched,
    plan::Plan,
};

/// Row groups on their way through the key pages.
#[derive(Debug)]
pub(crate) struct KeyWork {
    /// Not begun.
    pub(crate) waiting: std::vec::IntoIter<Group>,
    pub(crate) batch: Vec<Group>,
    /// Columns, by number, that are read in this wave.
    pub(crate) columns: Vec<usize>,
    /// What was asked of keys and small columns.
    pub(crate) small: Vec<Range<u64>>,
    pub(crate) done: Vec<Matched>,
}

impl KeyWork {
    pub(crate) fn new(groups: Vec<Group>) -> Self {
        let waiting = groups.into_iter();
        Self { waiting, batch: Vec::new(), columns: Vec::new(), small: Vec::new(), done: Vec::new() }
    }
}

/// Takes as many row groups as may be held at once, at least one.
pub(crate) fn fill_batch(plan: &Plan, work: &mut KeyWork, footer: &FileFooter) -> Result<(), Located> {
    let mut len_bytes = 0u64;
    while let Some(next) = work.waiting.as_mut_slice().first_mut() {
        for leaf_idx in plan.leaves(&next.open_keys, &plan.columns_of(When::WithKey)) {
            len_bytes = len_bytes.saturating_add(next.len_bytes_of(footer, leaf_idx)?);
        }
        if len_bytes > HELD_LEN_BYTES_MAX / 2 && !work.batch.is_empty() {
            return Ok(());
        }
        work.batch.extend(work.waiting.next());
    }
    Ok(())
}

/// Which columns to read in the wave of the key pages.
///
/// Those of [`When::Target`] come along where the rows are known already, or where keys must be waited for and only one
/// small range of rows is left.
/// Otherwise a wave for them follows, and those of [`When::WithKey`] wait for it where they are large too.
pub(crate) fn first_columns(
    plan: &Plan,
    batch: &mut [Group],
    is_only: bool,
    goal: Goal,
    footer: &FileFooter,
    fetched: &Fetched,
) -> Result<Vec<usize>, Located> {
    let (with_key, targets) = (plan.columns_of(When::WithKey), plan.columns_of(When::Target));
    let (mut with_key_len, mut target_len) = (0u64, 0u64);
    let mut is_waiting = false;
    for group in batch.iter_mut() {
        let small = plan.leaves(&group.open_keys, &with_key);
        is_waiting |= !group.is_fetched(footer, &small, fetched)?;
        for leaf_idx in plan.leaves(&[], &with_key) {
            with_key_len = with_key_len.saturating_add(group.len_bytes_of(footer, leaf_idx)?);
        }
        for leaf_idx in plan.leaves(&[], &targets) {
            target_len = target_len.saturating_add(group.len_bytes_of(footer, leaf_idx)?);
        }
    }
    let rows_are_known = goal == Goal::All && batch.iter().all(|group| group.open_keys.is_empty());
    let is_one_row = goal == Goal::All && batch.iter().map(|group| group.rows.row_count()).sum::<u64>() == 1;
    let is_one_range = batch.iter().map(|group| group.rows.ranges().len()).sum::<usize>() == 1;
    let is_cheap = is_waiting && is_one_range && target_len <= SPECULATIVE_LEN_BYTES_MAX;
    let all = || with_key.iter().chain(&targets).copied().collect();
    Ok(if is_only && (rows_are_known || is_one_row || is_cheap) {
        all()
    } else if with_key_len <= SPECULATIVE_LEN_BYTES_MAX || targets.is_empty() {
        with_key
    } else {
        Vec::new()
    })
}
