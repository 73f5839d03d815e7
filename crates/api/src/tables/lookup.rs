//! The lookups of all tables, stepped together.

use std::sync::Arc;

use firn_iceberg::{metadata::TableMetadata, value::Literal};
use firn_lookup::{
    need::{Step, Supplied},
    table::{
        Outcome, Row, TableLookup,
        location::LocationMap,
        query::{SnapshotChoice, TableQuery},
    },
};
use firn_types::{key::ArtifactKey, representation::Representation};

use super::{config::TableName, error::LakeError, read::Reader};
use crate::content::artifact::{ArtifactRow, rights_columns, target_columns};

/// One table of a lookup.
pub(super) struct Running<'t> {
    table: &'t TableName,
    /// Names of the query's columns, in its order.
    columns: Vec<&'static str>,
    target: Vec<&'static str>,
    lookup: TableLookup,
    supplied: Vec<Supplied>,
}

impl<'t> Running<'t> {
    pub(super) fn start(
        table: &'t TableName,
        metadata: Arc<TableMetadata>,
        key: &ArtifactKey,
        representation: Representation,
    ) -> Result<Self, LakeError> {
        let schema = Arc::clone(metadata.current_schema());
        let id = |name: &'static str| schema.column_named(name).map(|field| field.id);
        let parts = [("ns", key.ns.as_str()), ("type", key.artifact_type.as_str()), ("id", key.id.as_str())];
        let mut terms = Vec::with_capacity(parts.len());
        for (column, value) in parts {
            let missing = || LakeError::NoKeyColumn { table: table.name.clone(), column };
            terms.push((id(column).ok_or_else(missing)?, Literal::String(value.to_owned())));
        }
        // A table of another engine may lack any other column; it is null then.
        let present = |names: Vec<&'static str>| -> (Vec<&'static str>, Vec<i32>) {
            names.into_iter().filter_map(|name| Some((name, id(name)?))).unzip()
        };
        let (columns, column_ids) = present(rights_columns().chain(["mode"]).collect());
        let (target, target_ids) = present(
            target_columns(representation).into_iter().filter(|name| !columns.contains(name)).collect(),
        );
        let query = TableQuery {
            version: id("version"),
            metadata,
            snapshot: SnapshotChoice::Current,
            key: terms,
            columns: column_ids,
            target: target_ids,
            locations: LocationMap::default(),
        };
        let lookup = TableLookup::new(query)
            .map_err(|source| LakeError::Table { table: table.name.clone(), source: Box::new(source) })?;
        Ok(Self { table, columns, target, lookup, supplied: Vec::new() })
    }

    fn row(&self, row: Row) -> ArtifactRow {
        let names = self.columns.iter().chain(&self.target).copied();
        ArtifactRow::new(row.version, names.zip(row.columns.into_iter().chain(row.target)))
    }
}

impl<'a> Reader<'a> {
    /// Steps all lookups together until each is done; the highest version wins.
    pub(super) async fn run(&self, mut running: Vec<Running<'a>>) -> Result<Option<ArtifactRow>, LakeError> {
        let mut best: Option<(Option<i64>, ArtifactRow)> = None;
        while !running.is_empty() {
            let mut asked = Vec::new();
            let mut waiting = Vec::new();
            for mut table in running {
                let supplied = std::mem::take(&mut table.supplied);
                let step = table.lookup.step(supplied, &mut &*self.held);
                let step = step.map_err(|source| LakeError::Table {
                    table: table.table.name.clone(),
                    source: Box::new(source),
                })?;
                match step {
                    Step::Done(Outcome::Absent) => {}
                    Step::Done(Outcome::Found(row)) => {
                        let version = row.version;
                        // A null version is the lowest, which `None` is to `Option`'s order.
                        if best.as_ref().is_none_or(|(highest, _)| version > *highest) {
                            best = Some((version, table.row(row)));
                        }
                    }
                    Step::Need(needs) => {
                        waiting.push((table, needs.len()));
                        asked.extend(needs.into_iter().map(|need| (need.object, need.range)));
                    }
                }
            }
            let mut answers = self.wave(&asked).await?.into_iter().map(|answer| Supplied {
                bytes: answer.bytes,
                offset: answer.offset,
                object_len_bytes: answer.object_len_bytes,
            });
            running = waiting
                .into_iter()
                .map(|(table, count)| Running { supplied: answers.by_ref().take(count).collect(), ..table })
                .collect();
        }
        Ok(best.map(|(_, row)| row))
    }
}
