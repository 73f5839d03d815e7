//! Partition specs.
//!
//! Spec: "Partitioning"; JSON form: "Appendix C", "Partition Specs".

use serde::Deserialize;

use crate::{
    error::{Error, Part},
    transform::Transform,
};

/// Most fields of a partition spec: ten times the deepest partitioning in use.
pub const PARTITION_FIELD_COUNT_MAX: usize = 1_000;

/// The first id that v1 writers give to partition fields (spec, "Partition Evolution").
const FIRST_PARTITION_FIELD_ID: i32 = 1_000;

/// One field of the partition tuple.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionField {
    /// The column it is made of; `None` if it is made of several, of which nothing can be said.
    pub source_id: Option<i32>,
    /// Id of the field in the tuple.
    pub field_id: i32,
    /// Name of the field in the tuple.
    pub name: String,
    /// How it is made.
    pub transform: Transform,
}

/// A partition spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionSpec {
    /// Its id.
    pub spec_id: i32,
    /// Fields in the order of partition summaries.
    pub fields: Vec<PartitionField>,
}

impl PartitionSpec {
    /// Whether all rows share one partition, so that equality deletes written with it apply to every partition.
    pub fn is_unpartitioned(&self) -> bool {
        self.fields.iter().all(|field| field.transform == Transform::Void)
    }
}

/// JSON form of [`PartitionSpec`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PartitionSpecJson {
    spec_id: i32,
    fields: Vec<PartitionFieldJson>,
}

/// JSON form of [`PartitionField`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PartitionFieldJson {
    source_id: Option<i32>,
    source_ids: Option<Vec<i32>>,
    field_id: Option<i32>,
    name: String,
    transform: String,
}

impl PartitionSpecJson {
    pub(crate) fn into_spec(self) -> Result<PartitionSpec, Error> {
        parse_fields(self.spec_id, self.fields)
    }
}

/// Makes a spec of v1's bare list of fields.
pub(crate) fn parse_fields(spec_id: i32, fields: Vec<PartitionFieldJson>) -> Result<PartitionSpec, Error> {
    Error::check_limit(Part::PartitionSpec, "field count", fields.len(), PARTITION_FIELD_COUNT_MAX)?;
    let fields = (FIRST_PARTITION_FIELD_ID..).zip(fields).map(|(nth_id, field)| {
        let source_id = match (field.source_id, field.source_ids.as_deref()) {
            (_, Some([_, _, ..])) => None,
            (_, Some([id])) => Some(*id),
            (Some(id), _) => Some(id),
            (None, _) => {
                return Err(Error::Missing { part: Part::PartitionSpec, field: "source-id" });
            }
        };
        Ok(PartitionField {
            source_id,
            field_id: field.field_id.unwrap_or(nth_id),
            name: field.name,
            transform: Transform::parse(&field.transform),
        })
    });
    Ok(PartitionSpec { spec_id, fields: fields.collect::<Result<_, _>>()? })
}
