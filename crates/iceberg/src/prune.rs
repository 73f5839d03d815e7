//! Which manifests and files may hold a key.
//!
//! Spec: "Scan Planning". Pruning may change what a lookup costs, never its answer: whatever is missing, unknown or
//! unreadable is a match.

use std::cmp::Ordering;

use crate::{
    data_file::{ColumnStats, DataFile, PartitionValue, coerce},
    manifest_list::{ManifestFile, PartitionSummary},
    partition::{PartitionField, PartitionSpec},
    schema::PrimitiveType,
    transform::Transform,
    value::Literal,
};

/// What statistics say about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pruning {
    /// It may be there.
    MightMatch,
    /// It is not there.
    CannotMatch,
}

impl Pruning {
    const fn unless(excluded: bool) -> Self {
        if excluded { Self::CannotMatch } else { Self::MightMatch }
    }
}

/// One column of a key, and the value that it must have.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyTerm {
    /// The column.
    pub field_id: i32,
    /// Its type of today, which [`Self::value`] is of.
    pub ty: PrimitiveType,
    /// The value.
    pub value: Literal,
}

/// Equality on a set of columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyPredicate {
    /// All must hold; none matches every row.
    pub terms: Vec<KeyTerm>,
}

impl KeyPredicate {
    /// Whether a manifest may name a file that holds the key. `spec` is the manifest's.
    pub fn prune_manifest(&self, manifest: &ManifestFile, spec: &PartitionSpec) -> Pruning {
        if manifest.live_file_count == Some(0) {
            return Pruning::CannotMatch;
        }
        let summaries = spec.fields.iter().zip(&manifest.partitions);
        let excludes = |(field, summary): (&PartitionField, &PartitionSummary)| {
            self.terms_of(field).any(|term| summary_excludes(summary, field.transform, &term.value))
        };
        Pruning::unless(summaries.into_iter().any(excludes))
    }

    /// Whether a data file may hold the key. `spec` is the file's.
    pub fn prune_file(&self, file: &DataFile, spec: &PartitionSpec) -> Pruning {
        if self.prune_partition(file, spec) == Pruning::CannotMatch {
            return Pruning::CannotMatch;
        }
        let excludes = |term: &KeyTerm| file.stats_of(term.field_id).is_some_and(|s| stats_exclude(s, term));
        Pruning::unless(self.terms.iter().any(excludes))
    }

    /// Whether an equality delete file may delete a row that has the key.
    pub fn prune_equality_deletes(&self, file: &DataFile) -> Pruning {
        let compared = self.terms.iter().filter(|term| file.equality_ids.contains(&term.field_id));
        let excludes = |term: &KeyTerm| file.stats_of(term.field_id).is_some_and(|s| stats_exclude(s, term));
        Pruning::unless(compared.into_iter().any(excludes))
    }

    /// Whether a file's partition may hold the key; of use for delete files too, whose statistics are of other rows.
    pub fn prune_partition(&self, file: &DataFile, spec: &PartitionSpec) -> Pruning {
        let values = spec.fields.iter().zip(&file.partition);
        let excludes = |(field, value): (&PartitionField, &PartitionValue)| {
            self.terms_of(field).any(|term| partition_excludes(value, field.transform, &term.value))
        };
        Pruning::unless(values.into_iter().any(excludes))
    }

    fn terms_of(&self, field: &PartitionField) -> impl Iterator<Item = &KeyTerm> {
        self.terms.iter().filter(|term| field.source_id == Some(term.field_id))
    }
}

/// The partition values that rows with this value may be stored under: one, or two where old writers rounded times
/// before 1970 towards zero. `None` where nothing can be said.
fn partition_values(transform: Transform, value: &Literal) -> Option<(Literal, Option<Literal>)> {
    let exact = transform.apply(value)?;
    let rounded = match exact {
        Literal::Int(v) if v < 0 && transform.is_temporal() => Some(Literal::Int(v + 1)),
        Literal::Date(v) if v < 0 && transform.is_temporal() => Some(Literal::Date(v + 1)),
        _ => None,
    };
    Some((exact, rounded))
}

fn partition_excludes(stored: &PartitionValue, transform: Transform, value: &Literal) -> bool {
    let Some((exact, rounded)) = partition_values(transform, value) else {
        return false;
    };
    match stored {
        // Every transform but void gives null for null alone.
        PartitionValue::Null => true,
        PartitionValue::Is(raw) => match coerce(raw, exact.primitive_type()) {
            Some(stored) => !stored.is_same(&exact) && !rounded.is_some_and(|r| stored.is_same(&r)),
            None => false,
        },
        PartitionValue::Unknown => false,
    }
}

fn summary_excludes(summary: &PartitionSummary, transform: Transform, value: &Literal) -> bool {
    let Some((exact, rounded)) = partition_values(transform, value) else {
        return false;
    };
    let excludes = |value: &Literal| {
        bounds_exclude(
            summary.lower_bound.as_deref(),
            summary.upper_bound.as_deref(),
            summary.contains_nan,
            value,
            value.primitive_type(),
        )
    };
    excludes(&exact) && rounded.as_ref().is_none_or(excludes)
}

fn stats_exclude(stats: &ColumnStats, term: &KeyTerm) -> bool {
    if let (Some(values), Some(nulls)) = (stats.value_count, stats.null_count)
        && values > 0
        && values == nulls
    {
        return true;
    }
    bounds_exclude(
        stats.lower_bound.as_deref(),
        stats.upper_bound.as_deref(),
        stats.nan_count.map(|count| count != 0),
        &term.value,
        term.ty,
    )
}

/// Whether a value lies outside of bounds. Bounds of text and bytes may be cut short; a lower one is then still below
/// and an upper one was raised, so they compare like whole ones.
fn bounds_exclude(
    lower: Option<&[u8]>,
    upper: Option<&[u8]>,
    contains_nan: Option<bool>,
    value: &Literal,
    ty: PrimitiveType,
) -> bool {
    // Bounds leave NaN out.
    if value.is_nan() {
        return contains_nan == Some(false);
    }
    let below = lower.is_some_and(|bound| compare_with_bound(value, bound, ty) == Some(Ordering::Less));
    let above = upper.is_some_and(|bound| compare_with_bound(value, bound, ty) == Some(Ordering::Greater));
    match (value, lower, upper) {
        // Some writers ordered UUIDs as two signed integers: only what both orders exclude is excluded.
        (Literal::Uuid(_), Some(lower), Some(upper)) => {
            (below || above) && signed_uuid_excludes(value, lower, upper)
        }
        (Literal::Uuid(_), ..) => false,
        _ => below || above,
    }
}

fn compare_with_bound(value: &Literal, bound: &[u8], ty: PrimitiveType) -> Option<Ordering> {
    match value {
        // As bytes: a bound that was cut inside a character is not UTF-8.
        Literal::String(text) => Some(text.as_bytes().cmp(bound)),
        Literal::Fixed(bytes) | Literal::Binary(bytes) => Some(bytes.as_slice().cmp(bound)),
        _ => value.compare(&Literal::decode(bound, ty)?),
    }
}

fn signed_uuid_excludes(value: &Literal, lower: &[u8], upper: &[u8]) -> bool {
    let signed = |bytes: &[u8]| {
        let (high, low) = bytes.split_first_chunk::<8>()?;
        let low = <[u8; 8]>::try_from(low).ok()?;
        Some((i64::from_be_bytes(*high), i64::from_be_bytes(low)))
    };
    let Literal::Uuid(value) = value else {
        return false;
    };
    match (signed(value), signed(lower), signed(upper)) {
        (Some(value), Some(lower), Some(upper)) => value < lower || value > upper,
        _ => false,
    }
}
