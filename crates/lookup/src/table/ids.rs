//! Whether a file says which of its columns is which.
//!
//! A column that a file lacks reads as its default. That is right for a data file that is older than the column, and
//! fatal where the file only does not say what its columns are: rows would be missed, or deletes be overlooked.

use firn_iceberg::name_mapping::NameMapping;
use firn_types::object::ObjectKey;
use parquet::schema::types::Type as ParquetType;

use super::error::TableError;
use crate::file::footer::FileFooter;

/// Fails for a file that has neither field ids nor a mapping for its names.
pub(crate) fn check_has_ids(
    footer: &FileFooter,
    names: Option<&NameMapping>,
    object: &ObjectKey,
) -> Result<(), TableError> {
    let root = footer.metadata().file_metadata().schema_descr().root_schema();
    if names.is_some() || root.get_fields().iter().any(|field| has_ids(field)) {
        return Ok(());
    }
    let found = "and without a name mapping".to_owned();
    Err(TableError::Unsupported { object: object.clone(), what: "file without field ids", found })
}

/// Fails for a file that lacks one of these columns: of a delete file those by which it deletes, of a data file those of
/// the key that every row must have.
pub(crate) fn check_has_columns(
    footer: &FileFooter,
    names: Option<&NameMapping>,
    field_ids: &[i32],
    object: &ObjectKey,
) -> Result<(), TableError> {
    let root = footer.metadata().file_metadata().schema_descr().root_schema();
    let fields = root.get_fields();
    let has_own = fields.iter().any(|field| has_ids(field));
    let id_of = |field: &ParquetType| {
        let info = field.get_basic_info();
        if has_own { info.has_id().then(|| info.id()) } else { names?.field_id(&[field.name()]) }
    };
    let missing = field_ids.iter().find(|id| !fields.iter().any(|field| id_of(field) == Some(**id)));
    match missing {
        None => Ok(()),
        Some(id) => Err(TableError::Inconsistent {
            object: object.clone(),
            what: "schema of a file",
            found: format!("without column {id}"),
        }),
    }
}

fn has_ids(ty: &ParquetType) -> bool {
    let children = if ty.is_group() { ty.get_fields() } else { &[] };
    ty.get_basic_info().has_id() || children.iter().any(|child| has_ids(child))
}
