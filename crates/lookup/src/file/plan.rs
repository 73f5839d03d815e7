//! A request against one footer: where its columns are, and which row groups can hold its rows.

use std::ops::Range;

use firn_iceberg::value::Value;

use crate::file::{
    ColumnRef, FileRequest, KeyEquals, RowSelection, WantedColumn, When,
    columns::{Node, Projection, Resolver},
    convert::Matcher,
    error::{Cause, Located},
    footer::FileFooter,
    index::Wanted,
    prune::{Verdict, prune_chunk},
};

/// A request whose columns were found in the file.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) keys: Vec<KeyColumn>,
    pub(crate) columns: Vec<PlannedColumn>,
    /// Whether the file lacks a key column, and its default is not the key: then no row can match.
    pub(crate) is_impossible: bool,
}

/// A key column that the file has.
#[derive(Debug)]
pub(crate) struct KeyColumn {
    pub(crate) leaf_idx: usize,
    pub(crate) matcher: Matcher,
}

/// A wanted column.
#[derive(Debug)]
pub(crate) struct PlannedColumn {
    pub(crate) projection: Projection,
    pub(crate) when: When,
}

/// A row group that might hold rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) group_idx: usize,
    /// Its rows, as positions in the file.
    pub(crate) rows: Range<u64>,
    /// Keys, by their place in [`Plan::keys`], that statistics leave open.
    pub(crate) open_keys: Vec<usize>,
}

impl Plan {
    /// Finds the columns of `request` in the file.
    pub(crate) fn new(request: &FileRequest, footer: &FileFooter) -> Result<Self, Located> {
        let schema = footer.metadata().file_metadata().schema_descr();
        let resolver = Resolver::new(schema, request.names.as_deref());
        let resolve = |column: &ColumnRef| {
            resolver.resolve(column).map_err(|cause| Located {
                row_group: None,
                column: Some(format!("field {}", column.field_id)),
                cause,
            })
        };
        let mut plan = Self { keys: Vec::new(), columns: Vec::new(), is_impossible: false };
        for key in &request.key {
            plan.add_key(key, resolve(&key.column)?)?;
        }
        for WantedColumn { column, when } in &request.columns {
            plan.columns.push(PlannedColumn { projection: resolve(column)?, when: *when });
        }
        Ok(plan)
    }

    /// Numbers of the columns that are fetched at a time.
    pub(crate) fn columns_of(&self, when: When) -> Vec<usize> {
        (0..).zip(&self.columns).filter(|(_, column)| column.when == when).map(|(idx, _)| idx).collect()
    }

    /// The leaf columns of keys and columns, each once.
    pub(crate) fn leaves(&self, keys: &[usize], columns: &[usize]) -> Vec<usize> {
        let keys = keys.iter().filter_map(|idx| self.keys.get(*idx)).map(|key| key.leaf_idx);
        let columns = columns.iter().filter_map(|idx| self.columns.get(*idx));
        let columns = columns.flat_map(|column| &column.projection.leaves).map(|leaf| leaf.leaf_idx);
        let mut leaves: Vec<usize> = keys.chain(columns).collect();
        leaves.sort_unstable();
        leaves.dedup();
        leaves
    }

    /// What of the page index a row group is read by.
    pub(crate) fn wanted(&self, candidate: &Candidate, selection: RowSelection) -> Wanted {
        let keys = self.leaves(&candidate.open_keys, &[]);
        let all_columns: Vec<usize> = (0..self.columns.len()).collect();
        Wanted {
            group_idx: candidate.group_idx,
            bounds: if selection == RowSelection::AllMatching { keys } else { Vec::new() },
            places: self.leaves(&candidate.open_keys, &all_columns),
        }
    }

    fn add_key(&mut self, key: &KeyEquals, projection: Projection) -> Result<(), Located> {
        let not_primitive = || Cause::unsupported("key of type", &key.column.ty);
        let literal = key.value.as_literal().ok_or_else(not_primitive)?;
        match (projection.node, projection.leaves.as_slice()) {
            (Node::Constant(default), _) => {
                let default = default.as_ref().and_then(Value::as_literal);
                self.is_impossible |= !default.is_some_and(|default| default.is_same(literal));
                Ok(())
            }
            (Node::Leaf { .. }, [leaf]) => {
                let conversion = leaf.conversion.ok_or_else(not_primitive)?;
                let matcher = Matcher::new(conversion, literal)?;
                self.keys.push(KeyColumn { leaf_idx: leaf.leaf_idx, matcher });
                Ok(())
            }
            _ => Err(not_primitive().into()),
        }
    }

    /// Row groups that statistics do not exclude.
    pub(crate) fn candidates(
        &self,
        selection: RowSelection,
        footer: &FileFooter,
    ) -> Result<Vec<Candidate>, Located> {
        let mut candidates = Vec::new();
        if self.is_impossible {
            return Ok(candidates);
        }
        for (group_idx, rows) in footer.row_groups() {
            let is_selected = match selection {
                RowSelection::AllMatching => !rows.is_empty(),
                RowSelection::At(position) => rows.contains(&position),
            };
            if !is_selected {
                continue;
            }
            if let Some(open_keys) = self.open_keys(group_idx, footer)? {
                candidates.push(Candidate { group_idx, rows, open_keys });
            }
        }
        Ok(candidates)
    }

    /// The keys that statistics leave open; `None` where they exclude the row group.
    fn open_keys(&self, group_idx: usize, footer: &FileFooter) -> Result<Option<Vec<usize>>, Located> {
        let mut open = Vec::new();
        for (key_idx, key) in self.keys.iter().enumerate() {
            let chunk = footer
                .chunk(group_idx, key.leaf_idx)
                .map_err(|cause| footer.locate(group_idx, key.leaf_idx, cause))?;
            match prune_chunk(&chunk, &key.matcher) {
                Verdict::CannotMatch => return Ok(None),
                Verdict::MightMatch => open.push(key_idx),
                Verdict::Certain => {}
            }
        }
        Ok(Some(open))
    }
}
