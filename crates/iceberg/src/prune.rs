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

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "a table of cases reads better without references")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data_file::{FileContent, FileFormat};

    const FIELD: i32 = 1;

    fn key(value: Literal) -> KeyPredicate {
        let ty = value.primitive_type();
        KeyPredicate { terms: vec![KeyTerm { field_id: FIELD, ty, value }] }
    }

    fn spec(transform: &str) -> PartitionSpec {
        let transform = Transform::parse(transform);
        let field = PartitionField { source_id: Some(FIELD), field_id: 1000, name: "p".into(), transform };
        PartitionSpec { spec_id: 0, fields: vec![field] }
    }

    fn file(partition: PartitionValue, stats: ColumnStats) -> DataFile {
        DataFile {
            content: FileContent::Data,
            location: "l".into(),
            format: FileFormat::Parquet,
            spec_id: 0,
            partition: vec![partition],
            record_count: 1,
            stated_len_bytes: 1,
            stated_column_count: 0,
            stated_columns_len_bytes: 0,
            stats: vec![ColumnStats { field_id: FIELD, ..stats }],
            equality_ids: vec![FIELD],
            sort_order_id: None,
            referenced_data_file: None,
            content_offset: None,
            content_size_bytes: None,
            is_encrypted: false,
        }
    }

    fn manifest(summary: PartitionSummary) -> ManifestFile {
        ManifestFile { partitions: vec![summary], ..ManifestFile::inline("m") }
    }

    fn text(s: &str) -> Literal {
        Literal::String(s.to_owned())
    }

    fn bounds(lower: &[u8], upper: &[u8]) -> ColumnStats {
        ColumnStats {
            lower_bound: Some(lower.into()),
            upper_bound: Some(upper.into()),
            ..ColumnStats::default()
        }
    }

    use Pruning::{CannotMatch, MightMatch};

    #[track_caller]
    fn check_partition(transform: &str, value: Literal, stored: PartitionValue, expected: Pruning) {
        let found = key(value).prune_file(&file(stored.clone(), ColumnStats::default()), &spec(transform));
        assert_eq!(found, expected, "{transform} {stored:?}");
    }

    #[test]
    fn partition_value_prunes_where_it_is_another_than_the_keys() {
        let is = PartitionValue::Is;
        check_partition("identity", text("a"), is(text("a")), MightMatch);
        check_partition("identity", text("a"), is(text("b")), CannotMatch);
        check_partition("identity", text("a"), PartitionValue::Null, CannotMatch);
        check_partition("identity", text("a"), PartitionValue::Unknown, MightMatch);
        // A value that cannot be one of the column says nothing.
        check_partition("identity", text("a"), is(Literal::Boolean(true)), MightMatch);
        check_partition("identity", Literal::Int(3), is(Literal::Long(3)), MightMatch);
        check_partition("identity", Literal::Int(3), is(Literal::Long(4)), CannotMatch);
        check_partition("identity", Literal::Timestamptz(3), is(Literal::Timestamp(3)), MightMatch);
        check_partition("identity", Literal::Timestamptz(3), is(Literal::Timestamp(4)), CannotMatch);
        check_partition("identity", Literal::Double(f64::NAN), is(Literal::Double(f64::NAN)), MightMatch);
        check_partition("identity", Literal::Double(0.0), is(Literal::Double(-0.0)), MightMatch);
        check_partition("bucket[4]", text("iceberg"), is(Literal::Long(1)), MightMatch);
        check_partition("bucket[4]", text("iceberg"), is(Literal::Long(2)), CannotMatch);
        check_partition("truncate[1]", text("ab"), is(text("a")), MightMatch);
        check_partition("truncate[1]", text("ab"), is(text("b")), CannotMatch);
        check_partition("day", Literal::Timestamp(0), is(Literal::Date(0)), MightMatch);
        check_partition("day", Literal::Timestamp(0), is(Literal::Long(0)), MightMatch);
        check_partition("day", Literal::Timestamp(0), is(Literal::Date(1)), CannotMatch);
        // Written by one who rounded towards zero.
        check_partition("day", Literal::Timestamp(-1), is(Literal::Date(-1)), MightMatch);
        check_partition("day", Literal::Timestamp(-1), is(Literal::Date(0)), MightMatch);
        check_partition("day", Literal::Timestamp(-1), is(Literal::Date(1)), CannotMatch);
        check_partition("void", text("a"), PartitionValue::Null, MightMatch);
        check_partition("zorder", text("a"), is(text("b")), MightMatch);
    }

    #[track_caller]
    fn check_bounds(value: Literal, lower: &[u8], upper: &[u8], expected: Pruning) {
        let file = file(PartitionValue::Unknown, bounds(lower, upper));
        assert_eq!(key(value.clone()).prune_file(&file, &spec("void")), expected, "{value:?}");
        assert_eq!(key(value.clone()).prune_equality_deletes(&file), expected, "{value:?}");
        let summary = PartitionSummary {
            lower_bound: Some(lower.into()),
            upper_bound: Some(upper.into()),
            ..PartitionSummary::default()
        };
        assert_eq!(
            key(value.clone()).prune_manifest(&manifest(summary), &spec("identity")),
            expected,
            "{value:?}"
        );
    }

    #[test]
    fn bounds_prune_what_lies_outside() {
        check_bounds(text("m"), b"a", b"z", MightMatch);
        check_bounds(text("m"), b"m", b"m", MightMatch);
        check_bounds(text("m"), b"n", b"z", CannotMatch);
        check_bounds(text("m"), b"a", b"l", CannotMatch);
        // Cut after 16 characters, the upper one raised.
        check_bounds(text("guide/000000000000007"), b"guide/0000000000", b"guide/0000000001", MightMatch);
        // Cut inside a character.
        check_bounds(text("é"), &[0xc3], &[0xc4], MightMatch);
        check_bounds(text("z"), &[0xc3], &[0xc4], CannotMatch);
        check_bounds(Literal::Long(5), &1_i64.to_le_bytes(), &9_i64.to_le_bytes(), MightMatch);
        check_bounds(Literal::Long(-5), &1_i64.to_le_bytes(), &9_i64.to_le_bytes(), CannotMatch);
        // Written when the column was an int.
        check_bounds(Literal::Long(10), &1_i32.to_le_bytes(), &9_i32.to_le_bytes(), CannotMatch);
        check_bounds(Literal::Double(1.5), &1_f32.to_le_bytes(), &2_f32.to_le_bytes(), MightMatch);
        // Bounds of another length than the type's say nothing.
        check_bounds(Literal::Long(10), &[1], &[9], MightMatch);
        check_bounds(Literal::Double(-0.0), &0_f64.to_le_bytes(), &1_f64.to_le_bytes(), MightMatch);
        check_bounds(Literal::Double(1.0), &f64::NAN.to_le_bytes(), &f64::NAN.to_le_bytes(), MightMatch);
        let decimal = |unscaled| Literal::Decimal { unscaled, scale: 2 };
        check_bounds(decimal(300), &[1], &[0x01, 0x00], CannotMatch);
        check_bounds(decimal(-3), &[0xfd], &[0x05], MightMatch);
        // Above in unsigned order, below in signed order: one of the two is the writer's.
        let (low, high) = ([0x10; 16], [0x20; 16]);
        check_bounds(Literal::Uuid([0x90; 16]), &low, &high, CannotMatch);
        check_bounds(Literal::Uuid([0x18; 16]), &low, &high, MightMatch);
        check_bounds(Literal::Uuid([0xf0; 16]), &[0x90; 16], &[0x20; 16], MightMatch);
    }

    #[test]
    fn nan_is_pruned_by_its_count_alone() {
        let nan = || key(Literal::Double(f64::NAN));
        let stats =
            |nan_count| ColumnStats { nan_count, ..bounds(&1_f64.to_le_bytes(), &2_f64.to_le_bytes()) };
        for (nan_count, expected) in [(None, MightMatch), (Some(1), MightMatch), (Some(0), CannotMatch)] {
            let file = file(PartitionValue::Unknown, stats(nan_count));
            assert_eq!(nan().prune_file(&file, &spec("void")), expected, "{nan_count:?}");
        }
    }

    #[test]
    fn column_of_nulls_and_manifest_of_no_files_are_pruned() {
        let counts =
            |value_count, null_count| ColumnStats { value_count, null_count, ..ColumnStats::default() };
        for (stats, expected) in [
            (counts(Some(3), Some(3)), CannotMatch),
            (counts(Some(3), Some(2)), MightMatch),
            (counts(None, Some(3)), MightMatch),
            (counts(Some(0), Some(0)), MightMatch),
        ] {
            let found =
                key(text("a")).prune_file(&file(PartitionValue::Unknown, stats.clone()), &spec("void"));
            assert_eq!(found, expected, "{stats:?}");
        }
        for (live_file_count, expected) in [(Some(0), CannotMatch), (Some(1), MightMatch), (None, MightMatch)]
        {
            let manifest = ManifestFile { live_file_count, ..manifest(PartitionSummary::default()) };
            assert_eq!(key(text("a")).prune_manifest(&manifest, &spec("void")), expected);
        }
    }

    fn literals() -> impl Strategy<Value = Literal> {
        prop_oneof![
            any::<i32>().prop_map(Literal::Int),
            any::<i64>().prop_map(Literal::Long),
            any::<f64>().prop_map(Literal::Double),
            any::<i128>().prop_map(|v| Literal::Decimal { unscaled: v >> 2, scale: 3 }),
            any::<i32>().prop_map(Literal::Date),
            any::<i64>().prop_map(Literal::Timestamptz),
            any::<i64>().prop_map(Literal::TimestampNs),
            "\\PC{0,12}".prop_map(Literal::String),
            any::<[u8; 16]>().prop_map(Literal::Uuid),
            prop::collection::vec(any::<u8>(), 0..9).prop_map(Literal::Binary),
        ]
    }

    proptest! {
        /// The form in which a manifest has a partition value loses the column's type.
        #[test]
        fn file_of_the_keys_own_partition_is_never_pruned(value in literals(), transform in 0..8_usize) {
            let names = ["identity", "bucket[16]", "truncate[3]", "year", "month", "day", "hour", "void"];
            let spec = spec(names[transform]);
            let Some(stored) = Transform::parse(names[transform]).apply(&value) else { return Ok(()) };
            let bound = stored.encode();
            let raw = match stored {
                Literal::Int(v) => Literal::Long(v.into()),
                Literal::Timestamptz(v) => Literal::Timestamp(v),
                Literal::Uuid(v) => Literal::Binary(v.to_vec()),
                other => other,
            };
            let file = file(PartitionValue::Is(raw), bounds(&value.encode(), &value.encode()));
            prop_assert_eq!(key(value.clone()).prune_file(&file, &spec), MightMatch);
            let summary = PartitionSummary {
                lower_bound: Some(bound.clone().into()),
                upper_bound: Some(bound.into()),
                ..PartitionSummary::default()
            };
            prop_assert_eq!(key(value).prune_manifest(&manifest(summary), &spec), MightMatch);
        }

        #[test]
        fn single_values_round_trip(value in literals()) {
            let read = Literal::decode(&value.encode(), value.primitive_type()).unwrap();
            prop_assert!(read.is_same(&value), "{:?} {:?}", read, value);
        }

        #[test]
        fn bounds_of_any_bytes_are_never_a_panic(value in literals(), a in prop::collection::vec(any::<u8>(), 0..20)) {
            let _ = key(value).prune_file(&file(PartitionValue::Is(Literal::Binary(a.clone())), bounds(&a, &a)), &spec("identity"));
        }
    }
}
