//! A walk over a footer before the `parquet` crate parses it.
//!
//! The crate allocates what a list's header promises, recurses as deep as a schema goes, and reads a field by its number
//! whatever its type is. Here every promise is checked, the schema is a complete and shallow tree, and a field of a type
//! that its number does not have (which Thrift's own readers skip as unknown) is *unsupported*.
//!
//! Spec: <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>

use crate::file::{
    error::Cause,
    limits::{LEAF_COLUMNS_MAX, ROW_GROUPS_MAX, SCHEMA_DEPTH_MAX},
    thrift::{Cursor, Kind, Walk},
};

/// The types of a structure's fields, from field 1 on.
type Layout = [Kind];

const BOOL: Kind = Kind::Bool(true);

const FILE_METADATA: &Layout = {
    use Kind::{Binary, Int, List, Struct};
    &[Int, List, Int, List, List, Binary, List, Struct, Binary]
};

const SCHEMA_ELEMENT: &Layout = {
    use Kind::{Binary, Int, Struct};
    &[Int, Int, Int, Binary, Int, Int, Int, Int, Int, Struct]
};

const ROW_GROUP: &Layout = {
    use Kind::{Int, List};
    &[List, Int, Int, List, Int, Int, Int]
};

const COLUMN_CHUNK: &Layout = {
    use Kind::{Binary, Int, Struct};
    &[Binary, Int, Struct, Int, Int, Int, Int, Struct, Binary]
};

const COLUMN_METADATA: &Layout = {
    use Kind::{Int, List, Struct};
    &[Int, List, List, Int, Int, Int, Int, List, Int, Int, Int, Struct, List, Int, Int, Struct, Struct]
};

const STATISTICS: &Layout = {
    use Kind::{Binary, Int};
    &[Binary, Binary, Int, Int, Binary, Binary, BOOL, BOOL, Int]
};

/// Walks a footer (`FileMetaData`).
pub(crate) fn check_footer(bytes: &[u8]) -> Result<(), Cause> {
    let (mut cursor, mut walk, mut id) = (Cursor::new(bytes, "footer"), Walk::default(), 0);
    while let Some(kind) = field(&mut cursor, FILE_METADATA, &mut id)? {
        match id {
            2 => check_schema(&mut cursor, &mut walk)?,
            4 => check_row_groups(&mut cursor, &mut walk)?,
            _ => cursor.skip(kind, &mut walk)?,
        }
    }
    Ok(())
}

/// The next field of a structure, of the type that its layout says.
fn field(cursor: &mut Cursor<'_>, layout: &Layout, id: &mut i16) -> Result<Option<Kind>, Cause> {
    let Some(kind) = cursor.field(id)? else { return Ok(None) };
    let expected = usize::try_from(*id).ok().and_then(|id| layout.get(id.checked_sub(1)?));
    let is_expected = match (kind, expected) {
        (Kind::Bool(_), Some(Kind::Bool(_))) | (_, None) => true,
        (kind, Some(expected)) => kind == *expected,
    };
    if is_expected { Ok(Some(kind)) } else { Err(Cause::unsupported("footer field", (*id, kind))) }
}

/// A list of structures; how many.
fn structs(cursor: &mut Cursor<'_>, walk: &mut Walk) -> Result<usize, Cause> {
    let (kind, len) = cursor.list()?;
    if kind != Kind::Struct && len > 0 {
        return Err(Cause::unsupported("footer list of", kind));
    }
    walk.count(kind, len)?;
    Ok(len)
}

fn check_row_groups(cursor: &mut Cursor<'_>, walk: &mut Walk) -> Result<(), Cause> {
    let groups = structs(cursor, walk)?;
    Cause::check_limit("row groups", groups as u64, ROW_GROUPS_MAX as u64)?;
    for _ in 0..groups {
        let mut id = 0;
        while let Some(kind) = field(cursor, ROW_GROUP, &mut id)? {
            if id == 1 { check_chunks(cursor, walk)? } else { cursor.skip(kind, walk)? }
        }
    }
    Ok(())
}

fn check_chunks(cursor: &mut Cursor<'_>, walk: &mut Walk) -> Result<(), Cause> {
    for _ in 0..structs(cursor, walk)? {
        let mut id = 0;
        while let Some(kind) = field(cursor, COLUMN_CHUNK, &mut id)? {
            match id {
                3 => check_chunk_metadata(cursor, walk)?,
                8 | 9 => return Err(Cause::unsupported("column chunk", "encrypted")),
                _ => cursor.skip(kind, walk)?,
            }
        }
    }
    Ok(())
}

fn check_chunk_metadata(cursor: &mut Cursor<'_>, walk: &mut Walk) -> Result<(), Cause> {
    let mut id = 0;
    while let Some(kind) = field(cursor, COLUMN_METADATA, &mut id)? {
        if id != 12 {
            cursor.skip(kind, walk)?;
            continue;
        }
        let mut statistic = 0;
        while let Some(kind) = field(cursor, STATISTICS, &mut statistic)? {
            cursor.skip(kind, walk)?;
        }
    }
    Ok(())
}

/// Walks the flattened tree of schema elements: `num_children`, in a depth-first traversal.
fn check_schema(cursor: &mut Cursor<'_>, walk: &mut Walk) -> Result<(), Cause> {
    let len = structs(cursor, walk)?;
    // How many children each open group still lacks; one root stands for itself.
    let mut open = vec![1usize];
    let mut leaf_count = 0u64;
    for _ in 0..len {
        let children = schema_children(cursor, walk)?;
        while open.last() == Some(&0) {
            open.pop();
        }
        let Some(lacking) = open.last_mut() else {
            return Err(Cause::invalid("schema length", len as u64));
        };
        *lacking -= 1;
        if children == 0 {
            leaf_count += 1;
        } else if children > len {
            return Err(Cause::invalid("schema children", children as u64));
        } else {
            open.push(children);
        }
        Cause::check_limit("schema depth", open.len() as u64, SCHEMA_DEPTH_MAX as u64)?;
        Cause::check_limit("leaf columns", leaf_count, LEAF_COLUMNS_MAX as u64)?;
    }
    if open.iter().all(|lacking| *lacking == 0) {
        Ok(())
    } else {
        Err(Cause::invalid("schema length", len as u64))
    }
}

fn schema_children(cursor: &mut Cursor<'_>, walk: &mut Walk) -> Result<usize, Cause> {
    let (mut id, mut children) = (0, 0);
    while let Some(kind) = field(cursor, SCHEMA_ELEMENT, &mut id)? {
        if id == 5 {
            let found = cursor.int()?;
            children = usize::try_from(found).map_err(|_| Cause::invalid("schema children", found))?;
        } else {
            cursor.skip(kind, walk)?;
        }
    }
    Ok(children)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::file::thrift::tests::list_of;

    /// A footer whose only field is a schema with these numbers of children.
    fn footer(children: &[u8]) -> Vec<u8> {
        let mut bytes = list_of(2, children.len());
        for count in children {
            bytes.extend([0x55, count * 2, 0]);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn schema_is_a_complete_and_shallow_tree() {
        for (children, is_tree) in [
            (&[1, 0][..], true),
            (&[2, 1, 0, 0], true),
            (&[2, 0, 1, 0], true),
            (&[0], true),
            (&[], false),
            (&[1], false),
            (&[2, 0], false),
            (&[1, 0, 0], false),
            (&[60, 0], false),
        ] {
            assert_eq!(check_footer(&footer(children)).is_ok(), is_tree, "{children:?}");
        }
        let deep = |depth: usize| footer(&[vec![1; depth], vec![0]].concat());
        check_footer(&deep(SCHEMA_DEPTH_MAX - 1)).unwrap();
        assert!(matches!(check_footer(&deep(SCHEMA_DEPTH_MAX)), Err(Cause::Limit { .. })));
    }

    #[test]
    fn field_of_an_unexpected_type_is_unsupported() {
        // Field 1, the version, as text.
        let error = check_footer(&[0x18, 1, b'x', 0]).unwrap_err();
        assert!(matches!(error, Cause::Unsupported { .. }), "{error}");
        // Field 10 does not exist: any type may come.
        check_footer(&[0xa8, 1, b'x', 0]).unwrap();
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = check_footer(&bytes);
        }
    }
}
