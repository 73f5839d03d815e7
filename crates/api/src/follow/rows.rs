//! Key columns of a row, as a ledger takes them.

use firn_iceberg::{
    metadata::TableMetadata,
    value::{Literal, Value},
};
use firn_ledger::{
    confirm::SeenRow,
    row::{Owner, Standing},
};
use firn_lookup::table::scan::ScannedRow;
use firn_types::{
    key::{ArtifactType, Namespace},
    time::Micros,
    visibility::Visibility,
};

use super::FollowError;

/// The columns that are read of a row, in the order in which [`Columns`] has their places.
const NAMES: [&str; 12] = [
    "ns",
    "type",
    "id",
    "version",
    "visibility",
    "owner_iss",
    "owner_org",
    "owner_sub",
    "deleted",
    "expires_at",
    "hash",
    "size_bytes",
];

/// How many of [`NAMES`] a table must have.
const KEY_COUNT: usize = 3;

/// Field ids of the columns that a table has.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    ids: Vec<i32>,
    /// The place of each name among the ids; none where the table lacks the column, which is null then.
    places: [Option<usize>; NAMES.len()],
}

impl Columns {
    /// Finds them in the schema of today.
    pub(super) fn of(metadata: &TableMetadata, table: &str) -> Result<Self, FollowError> {
        let mut columns = Self { ids: Vec::new(), places: [None; NAMES.len()] };
        for (idx, (name, place)) in NAMES.iter().zip(&mut columns.places).enumerate() {
            match metadata.current_schema().column_named(name) {
                Some(field) => {
                    *place = Some(columns.ids.len());
                    columns.ids.push(field.id);
                }
                None if idx < KEY_COUNT => {
                    return Err(FollowError::NoKeyColumn { table: table.to_owned(), column: name });
                }
                None => {}
            }
        }
        Ok(columns)
    }

    /// Those of no table.
    pub(super) const fn none() -> Self {
        Self { ids: Vec::new(), places: [None; NAMES.len()] }
    }

    /// Their field ids.
    pub(super) fn ids(&self) -> &[i32] {
        &self.ids
    }

    /// Field id of the namespace.
    pub(super) fn ns(&self) -> i32 {
        self.ids.first().copied().unwrap_or(-1)
    }

    /// Whose row it is, and the row. `None`: no ledger takes it, because its namespace is none as records have it, or
    /// nobody could ask for its key.
    pub(super) fn read_row(&self, row: ScannedRow) -> Option<(Namespace, SeenRow)> {
        let mut values = row.values;
        let mut take = |idx: usize| {
            let place = self.places.get(idx).copied().flatten()?;
            match values.get_mut(place)?.take()? {
                Value::Primitive(literal) => Some(literal),
                _ => None,
            }
        };
        let namespace = parse_namespace(&text(take(0))?)?;
        let artifact_type = text(take(1)).filter(|text| ArtifactType::parse(text).is_ok())?;
        let id = text(take(2))?;
        let version = integer(take(3));
        let visibility = text(take(4)).as_deref().and_then(Visibility::parse);
        let owner = Owner { iss: text(take(5)), org: text(take(6)), sub: text(take(7)) };
        let deleted = matches!(take(8), Some(Literal::Boolean(true)));
        let expires_at = instant(take(9));
        let hash = text(take(10)).and_then(|hex| decode_hash(&hex));
        let size_bytes = integer(take(11)).and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        let standing = Standing { visibility, deleted, expires_at, size_bytes };
        let row = row.location.position;
        Some((namespace, SeenRow { artifact_type, id, version, owner, standing, hash, row }))
    }
}

/// The namespace of a row of which nothing else was read.
pub(super) fn read_namespace(row: ScannedRow) -> Option<Namespace> {
    match row.values.into_iter().next().flatten()? {
        Value::Primitive(Literal::String(text)) => parse_namespace(&text),
        _ => None,
    }
}

/// A namespace as it stands in a row. `None` where a lookup, which asks for the canonical text, would not find it.
pub(super) fn parse_namespace(text: &str) -> Option<Namespace> {
    Namespace::parse(text).ok().filter(|namespace| namespace.as_str() == text)
}

fn text(literal: Option<Literal>) -> Option<String> {
    match literal? {
        Literal::String(text) => Some(text),
        _ => None,
    }
}

fn integer(literal: Option<Literal>) -> Option<i64> {
    match literal? {
        Literal::Long(value) => Some(value),
        Literal::Int(value) => Some(value.into()),
        _ => None,
    }
}

fn instant(literal: Option<Literal>) -> Option<Micros> {
    match literal? {
        Literal::Timestamptz(micros) | Literal::Timestamp(micros) => Some(Micros(micros)),
        Literal::TimestamptzNs(nanos) | Literal::TimestampNs(nanos) => Some(Micros(nanos.div_euclid(1_000))),
        _ => None,
    }
}

/// 64 hexadecimal digits.
fn decode_hash(hex: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.len() != 32 {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_64_hexadecimal_digits() {
        let hex = format!("0aF9{}", "0".repeat(60));
        let hash = decode_hash(&hex).unwrap();
        assert_eq!((hash[0], hash[1], hash[31]), (0x0a, 0xf9, 0));
        for bad in ["", "0", &hex[1..], &format!("{hex}00"), &hex.replace('a', "g")] {
            assert_eq!(decode_hash(bad), None, "{bad}");
        }
    }
}
