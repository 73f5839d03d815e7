//! The row at a place in a data file, as a ledger knows it: footer, then one page of each column.
//!
//! The place is only a hint: the row counts if key and version are what the ledger says. The table's metadata tells the
//! columns' field ids alone, which never change, so any that is held will do.

use std::sync::Arc;

use firn_iceberg::{
    metadata::TableMetadata,
    value::{Literal, Value},
};
use firn_lookup::{
    file::{
        ColumnRef, FileRequest, KeyEquals, RowSelection, WantedColumn, When, footer::FileFooter,
        lookup::FileLookup,
    },
    held::{Held, HeldObjects},
    need::{Step, Supplied},
    table::error::TableError,
};
use firn_types::{key::ArtifactKey, object::ObjectKey, representation::Representation};

use super::{config::TableName, error::LakeError, pointers::TablePointers, read::Reader};
use crate::content::artifact::{ArtifactRow, rights_columns, target_columns};

/// A place in a table.
#[derive(Clone, Debug)]
pub struct Place {
    /// The table, as `namespace.name`.
    pub table: String,
    /// The data file.
    pub file: ObjectKey,
    /// Position of the row, from 0.
    pub row: u64,
    /// The version that lies there.
    pub version: i64,
}

impl Reader<'_> {
    /// `None`: another row lies there, or the table is none of ours.
    pub(super) async fn read_located(
        &self,
        pointers: &impl TablePointers,
        key: &ArtifactKey,
        place: &Place,
        representation: Representation,
    ) -> Result<Option<ArtifactRow>, LakeError> {
        let is_its = |table: &&TableName| place.table == format!("{}.{}", table.namespace, table.name);
        let Some(table) = self.config.tables.iter().find(is_its) else { return Ok(None) };
        let Some(metadata) = self.any_metadata(pointers, table).await? else { return Ok(None) };
        let Some((request, names)) = request(&metadata, key, place, representation) else { return Ok(None) };
        let mut held = self.held;
        let before = held.file_footer(&place.file);
        let mut lookup = FileLookup::new(request, before.clone());
        let mut supplied = Vec::new();
        let failed =
            |source: TableError| LakeError::Table { table: table.name.clone(), source: Box::new(source) };
        let rows = loop {
            match lookup.step(std::mem::take(&mut supplied)).map_err(|error| failed(error.into()))? {
                Step::Done(rows) => break rows,
                Step::Need(needs) => {
                    let asked: Vec<_> = needs.into_iter().map(|need| (need.object, need.range)).collect();
                    let answers = self.wave(&asked).await?.into_iter();
                    supplied = answers
                        .map(|answer| Supplied {
                            bytes: answer.bytes,
                            offset: answer.offset,
                            object_len_bytes: answer.object_len_bytes,
                        })
                        .collect();
                }
            }
        };
        let is_more = |footer: &Arc<FileFooter>| before.is_none_or(|before| footer.knows_more_than(&before));
        if let Some(footer) = lookup.footer().filter(is_more) {
            let len_bytes = footer.memory_len_bytes();
            held.put(&place.file, Held::File(footer), len_bytes);
        }
        let row = rows.into_iter().next();
        Ok(row.map(|row| ArtifactRow::new(Some(place.version), names.into_iter().zip(row.values))))
    }

    /// Metadata of the table that is held, however old; else the current.
    async fn any_metadata(
        &self,
        pointers: &impl TablePointers,
        table: &TableName,
    ) -> Result<Option<Arc<TableMetadata>>, LakeError> {
        if let Some(metadata) = self.held.last_metadata(table) {
            return Ok(Some(metadata));
        }
        let located = self.read_pointers(pointers).await?;
        let wanted = located.into_iter().filter(|(found, _)| *found == table).collect();
        Ok(self.read_metadata(wanted).await?.into_iter().next().map(|(_, metadata)| metadata))
    }
}

/// What to ask of the file, and the names of the columns in the order of the answer. `None`: the table lacks a column of
/// the key or the version.
fn request(
    metadata: &TableMetadata,
    key: &ArtifactKey,
    place: &Place,
    representation: Representation,
) -> Option<(FileRequest, Vec<&'static str>)> {
    let schema = metadata.current_schema();
    let column = |name: &str| {
        let field = schema.column_named(name)?;
        Some(ColumnRef {
            field_id: field.id,
            ty: field.ty.clone(),
            initial_default: field.initial_default.clone(),
        })
    };
    let text = |text: &str| Literal::String(text.to_owned());
    let key = [
        ("ns", text(key.ns.as_str())),
        ("type", text(key.artifact_type.as_str())),
        ("id", text(key.id.as_str())),
        ("version", Literal::Long(place.version)),
    ];
    let equals =
        |(name, literal)| Some(KeyEquals { column: column(name)?, value: Value::Primitive(literal) });
    let key = key.into_iter().map(equals).collect::<Option<Vec<_>>>()?;
    let small: Vec<_> = rights_columns().chain(["mode"]).collect();
    let target = target_columns(representation).into_iter().filter(|name| !small.contains(name));
    let wanted =
        small.iter().map(|name| (*name, When::WithKey)).chain(target.map(|name| (name, When::Target)));
    let (names, columns) =
        wanted.filter_map(|(name, when)| Some((name, WantedColumn { column: column(name)?, when }))).unzip();
    let request = FileRequest {
        object: place.file.clone(),
        stated_len_bytes: 0,
        key,
        columns,
        rows: RowSelection::At(place.row),
        names: metadata.name_mapping.clone(),
    };
    Some((request, names))
}
