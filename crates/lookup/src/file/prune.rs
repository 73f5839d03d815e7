//! Narrowing by bounds. Pruning may change the cost, never the answer.

use std::cmp::Ordering;

use parquet::file::page_index::column_index::{ByteArrayColumnIndex, ColumnIndexMetaData};

use crate::file::{
    convert::Matcher,
    decode::values::Raw,
    footer::{Chunk, PageSpan},
    rows::RowSet,
};

/// What bounds say of `column = key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No value is the key.
    CannotMatch,
    /// Some may be.
    MightMatch,
    /// Every value is the key: least and greatest are, and none is null.
    Certain,
}

/// Bounds of some cells of a column.
#[derive(Clone, Copy, Debug)]
struct Bounds<'a> {
    min: Option<Raw<'a>>,
    max: Option<Raw<'a>>,
    null_count: Option<u64>,
    cell_count: u64,
}

impl Bounds<'_> {
    fn verdict(self, matcher: &Matcher) -> Verdict {
        if self.null_count == Some(self.cell_count) && self.cell_count > 0 {
            return Verdict::CannotMatch;
        }
        if !matcher.has_bounds() {
            return Verdict::MightMatch;
        }
        let min = self.min.and_then(|min| matcher.compare_bound(min));
        let max = self.max.and_then(|max| matcher.compare_bound(max));
        match (min, max) {
            (Some(Ordering::Greater), _) | (_, Some(Ordering::Less)) => Verdict::CannotMatch,
            // Bounds leave out NaN, so that a float column may hold more than they say.
            (Some(Ordering::Equal), Some(Ordering::Equal))
                if self.null_count == Some(0) && !is_float(self.min) =>
            {
                Verdict::Certain
            }
            _ => Verdict::MightMatch,
        }
    }
}

fn is_float(raw: Option<Raw<'_>>) -> bool {
    matches!(raw, Some(Raw::F32(_) | Raw::F64(_)))
}

/// What the statistics of a chunk say.
pub(crate) fn prune_chunk(chunk: &Chunk<'_>, matcher: &Matcher) -> Verdict {
    let Some(statistics) = chunk.metadata.statistics() else { return Verdict::MightMatch };
    let is_trusted = if statistics.is_min_max_deprecated() {
        matcher.conversion().has_signed_order()
    } else {
        chunk.has_type_order
    };
    let storage = chunk.shape.storage;
    let is_trusted = is_trusted && statistics.physical_type() == storage.physical;
    let min = statistics.min_bytes_opt().filter(|_| is_trusted);
    let max = statistics.max_bytes_opt().filter(|_| is_trusted);
    let bounds = Bounds {
        min: min.and_then(|bytes| storage.fixed(bytes).ok()),
        max: max.and_then(|bytes| storage.fixed(bytes).ok()),
        null_count: statistics.null_count_opt(),
        cell_count: chunk.row_count,
    };
    bounds.verdict(matcher)
}

/// What the column index says of each page that holds some of `among`: the rows that might match, and whether every row
/// of these does.
pub(crate) fn prune_pages(
    index: &ColumnIndexMetaData,
    pages: &[PageSpan],
    among: &RowSet,
    chunk: &Chunk<'_>,
    matcher: &Matcher,
) -> (RowSet, bool) {
    let (mut rows, mut all_match) = (RowSet::default(), true);
    for (page_idx, page) in pages.iter().enumerate().filter(|(_, page)| among.overlaps(&page.rows)) {
        let cell_count = page.rows.end - page.rows.start;
        // parquet-mr marks a page that was written without statistics as one of nulls alone; it gives itself away by a
        // number of nulls below zero, or by a column that has none.
        let null_count = index.null_count(page_idx).map(u64::try_from);
        let verdict = if index.is_null_page(page_idx) {
            let is_all_nulls = null_count.is_none_or(|count| count.is_ok_and(|count| count >= cell_count));
            if is_all_nulls && chunk.shape.def_max > 0 { Verdict::CannotMatch } else { Verdict::MightMatch }
        } else {
            let (min, max) = if chunk.has_type_order { page_bounds(index, page_idx) } else { (None, None) };
            let null_count = null_count.and_then(Result::ok);
            Bounds { min, max, null_count, cell_count }.verdict(matcher)
        };
        if verdict != Verdict::CannotMatch {
            rows.push(page.rows.clone());
            all_match &= verdict == Verdict::Certain;
        }
    }
    (rows, all_match)
}

fn page_bounds(index: &ColumnIndexMetaData, page_idx: usize) -> (Option<Raw<'_>>, Option<Raw<'_>>) {
    use ColumnIndexMetaData as I;
    match index {
        I::BOOLEAN(of) => {
            (of.min_value(page_idx).copied().map(Raw::Bool), of.max_value(page_idx).copied().map(Raw::Bool))
        }
        I::INT32(of) => {
            (of.min_value(page_idx).copied().map(Raw::I32), of.max_value(page_idx).copied().map(Raw::I32))
        }
        I::INT64(of) => {
            (of.min_value(page_idx).copied().map(Raw::I64), of.max_value(page_idx).copied().map(Raw::I64))
        }
        I::FLOAT(of) => {
            (of.min_value(page_idx).copied().map(Raw::F32), of.max_value(page_idx).copied().map(Raw::F32))
        }
        I::DOUBLE(of) => {
            (of.min_value(page_idx).copied().map(Raw::F64), of.max_value(page_idx).copied().map(Raw::F64))
        }
        I::BYTE_ARRAY(of) | I::FIXED_LEN_BYTE_ARRAY(of) => byte_bounds(of, page_idx),
        I::INT96(_) => (None, None),
    }
}

fn byte_bounds(index: &ByteArrayColumnIndex, page_idx: usize) -> (Option<Raw<'_>>, Option<Raw<'_>>) {
    (index.min_value(page_idx).map(Raw::Bytes), index.max_value(page_idx).map(Raw::Bytes))
}

#[cfg(test)]
mod tests {
    use firn_iceberg::{schema::PrimitiveType, value::Literal};
    use parquet::{
        basic::Type as Physical,
        data_type::{ByteArray, FixedLenByteArray},
        file::statistics::Statistics,
        schema::{parser::parse_message_type, types::Type as ParquetType},
    };

    use super::*;
    use crate::file::convert::Conversion;

    fn matcher(field: &str, target: PrimitiveType, key: &Literal) -> Matcher {
        let schema = parse_message_type(&format!("message m {{ required {field}; }}")).unwrap();
        let leaf: &ParquetType = &schema.get_fields()[0];
        Matcher::new(Conversion::new(leaf, target).unwrap(), key).unwrap()
    }

    #[track_caller]
    fn check(matcher: &Matcher, min: Raw<'_>, max: Raw<'_>, null_count: Option<u64>, expected: Verdict) {
        let bounds = Bounds { min: Some(min), max: Some(max), null_count, cell_count: 10 };
        assert_eq!(bounds.verdict(matcher), expected);
    }

    #[test]
    fn bounds_exclude_include_or_leave_open() {
        use Verdict::{CannotMatch, Certain, MightMatch};
        let key = matcher("binary a (UTF8)", PrimitiveType::String, &Literal::String("m".into()));
        let text = |of: &'static str| Raw::Bytes(of.as_bytes());
        check(&key, text("a"), text("l"), Some(0), CannotMatch);
        check(&key, text("n"), text("z"), Some(0), CannotMatch);
        check(&key, text("a"), text("z"), Some(0), MightMatch);
        check(&key, text("a"), text("m"), Some(0), MightMatch);
        check(&key, text("m"), text("m"), Some(0), Certain);
        check(&key, text("m"), text("m"), Some(1), MightMatch);
        check(&key, text("m"), text("m"), None, MightMatch);
        check(&key, text("m"), text("m"), Some(10), CannotMatch);
        // Bounds of bytes compare as unsigned; a bound may be cut inside a character.
        check(&key, text("a"), Raw::Bytes(&[0xc3]), Some(0), MightMatch);
        let none = Bounds { min: None, max: None, null_count: None, cell_count: 10 };
        assert_eq!(none.verdict(&key), MightMatch);
        let half = Bounds { min: Some(text("n")), ..none };
        assert_eq!(half.verdict(&key), CannotMatch);
    }

    #[test]
    fn bounds_of_floats_leave_out_nan_and_the_sign_of_zero() {
        use Verdict::{CannotMatch, MightMatch};
        let key = |of| matcher("double a", PrimitiveType::Double, &Literal::Double(of));
        check(&key(f64::NAN), Raw::F64(1.0), Raw::F64(2.0), Some(0), MightMatch);
        check(&key(1.5), Raw::F64(1.5), Raw::F64(1.5), Some(0), MightMatch);
        check(&key(1.5), Raw::F64(f64::NAN), Raw::F64(f64::NAN), Some(0), MightMatch);
        check(&key(-0.0), Raw::F64(0.0), Raw::F64(9.0), Some(0), MightMatch);
        check(&key(3.0), Raw::F64(1.0), Raw::F64(2.0), Some(0), CannotMatch);
    }

    #[test]
    fn unsigned_numbers_and_decimals_compare_by_value() {
        use Verdict::{CannotMatch, MightMatch};
        let key = matcher("int32 a (INTEGER(32, false))", PrimitiveType::Long, &Literal::Long(3_000_000_000));
        check(&key, Raw::I32(1), Raw::I32(-1), Some(0), MightMatch);
        let decimal = PrimitiveType::Decimal { precision: 4, scale: 1 };
        let key = matcher("binary a (DECIMAL(4, 1))", decimal, &Literal::Decimal { unscaled: -5, scale: 1 });
        check(&key, Raw::Bytes(&[0xf0]), Raw::Bytes(&[0, 1]), Some(0), MightMatch);
        check(&key, Raw::Bytes(&[0]), Raw::Bytes(&[1]), Some(0), CannotMatch);
    }

    /// The old fields `min` and `max` compare bytes as signed: right for numbers, wrong for text.
    #[test]
    fn deprecated_bounds_count_for_signed_types_alone() {
        let old = |statistics: &Statistics| statistics.is_min_max_deprecated();
        let text = |of: &str| Some(ByteArray::from(of));
        assert!(old(&Statistics::byte_array(text("a"), text("b"), None, None, true)));
        let fixed = FixedLenByteArray::from(vec![0]);
        assert!(old(&Statistics::fixed_len_byte_array(Some(fixed), None, None, None, true)));
        for (field, target, is_signed) in [
            ("int64 a", PrimitiveType::Long, true),
            ("int32 a (DATE)", PrimitiveType::Date, true),
            ("double a", PrimitiveType::Double, true),
            ("binary a (UTF8)", PrimitiveType::String, false),
            ("int32 a (INTEGER(32, false))", PrimitiveType::Long, false),
            ("binary a (DECIMAL(4, 1))", PrimitiveType::Decimal { precision: 4, scale: 1 }, false),
        ] {
            let schema = parse_message_type(&format!("message m {{ required {field}; }}")).unwrap();
            let leaf = &schema.get_fields()[0];
            assert_eq!(Conversion::new(leaf, target).unwrap().has_signed_order(), is_signed, "{field}");
            assert_ne!(leaf.get_physical_type(), Physical::INT96);
        }
    }
}
