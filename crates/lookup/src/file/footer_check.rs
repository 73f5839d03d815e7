//! A walk over a footer before the `parquet` crate parses it.
//!
//! Every promise of a list is checked, the schema is a complete and shallow tree, and every field of a structure that
//! the crate reads has the type that its number says (where another has, Thrift's own readers skip it as unknown; here it
//! is *unsupported*).
//!
//! Spec: <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>

use crate::file::{
    error::Cause,
    limits::{LEAF_COLUMNS_MAX, ROW_GROUPS_MAX, SCHEMA_DEPTH_MAX},
    thrift::{
        Cursor, Layout,
        Shape::{self, Any, Binary, Bool, Byte, Double, Int, List, Struct},
        Walk,
    },
};

const INTS: Shape = List(&Int);

const KEY_VALUES: Shape = List(&Struct(&[Binary, Binary]));

/// Of one field, as every union.
const TIME_UNIT: Shape = Struct(&[EMPTY, EMPTY, EMPTY]);

const EMPTY: Shape = Struct(&[]);

const LOGICAL_TYPE: &Layout = {
    const TIME: Shape = Struct(&[Bool, TIME_UNIT]);
    const DECIMAL: Shape = Struct(&[Int, Int]);
    const INTEGER: Shape = Struct(&[Byte, Bool]);
    const GEOGRAPHY: Shape = Struct(&[Binary, Int]);
    &[
        EMPTY, // STRING
        EMPTY, // MAP
        EMPTY, // LIST
        EMPTY, // ENUM
        DECIMAL,
        EMPTY, // DATE
        TIME,
        TIME, // TIMESTAMP
        Any,  // reserved for INTERVAL
        INTEGER,
        EMPTY,             // UNKNOWN
        EMPTY,             // JSON
        EMPTY,             // BSON
        EMPTY,             // UUID
        EMPTY,             // FLOAT16
        Struct(&[Byte]),   // VARIANT
        Struct(&[Binary]), // GEOMETRY
        GEOGRAPHY,
        EMPTY, // FILE
    ]
};

const SCHEMA_ELEMENT: &Layout = &[Int, Int, Int, Binary, Int, Int, Int, Int, Int, Struct(LOGICAL_TYPE)];

const STATISTICS: &Layout = &[Binary, Binary, Int, Int, Binary, Binary, Bool, Bool, Int];

const BOUNDING_BOX: &Layout = &[Double; 8];

const COLUMN_METADATA: &Layout = &[
    Int,                                   // type
    INTS,                                  // encodings
    List(&Binary),                         // path_in_schema
    Int,                                   // codec
    Int,                                   // num_values
    Int,                                   // total_uncompressed_size
    Int,                                   // total_compressed_size
    KEY_VALUES,                            // key_value_metadata
    Int,                                   // data_page_offset
    Int,                                   // index_page_offset
    Int,                                   // dictionary_page_offset
    Struct(STATISTICS),                    // statistics
    List(&Struct(&[Int, Int, Int])),       // encoding_stats
    Int,                                   // bloom_filter_offset
    Int,                                   // bloom_filter_length
    Struct(&[Int, INTS, INTS]),            // size_statistics
    Struct(&[Struct(BOUNDING_BOX), INTS]), // geospatial_statistics
];

const COLUMN_CHUNK: &Layout = &[Binary, Int, Struct(COLUMN_METADATA), Int, Int, Int, Int, Any, Any];

const SORTING_COLUMN: Shape = Struct(&[Int, Bool, Bool]);

const ROW_GROUP: &Layout = &[List(&Struct(COLUMN_CHUNK)), Int, Int, List(&SORTING_COLUMN), Int, Int, Int];

const COLUMN_ORDER: Shape = Struct(&[EMPTY, EMPTY, EMPTY]);

const FILE_METADATA: &Layout = &[
    Int,
    List(&Struct(SCHEMA_ELEMENT)),
    Int,
    List(&Struct(ROW_GROUP)),
    KEY_VALUES,
    Binary, // created_by
    List(&COLUMN_ORDER),
    Any, // encryption_algorithm
    Any, // footer_signing_key_metadata
];

/// Walks a footer (`FileMetaData`).
pub(crate) fn check_footer(bytes: &[u8]) -> Result<(), Cause> {
    let (mut cursor, mut walk, mut id) = (Cursor::new(bytes, "footer"), Walk::default(), 0);
    while let Some((kind, shape)) = cursor.shaped_field(FILE_METADATA, &mut id)? {
        match id {
            2 => check_schema(&mut cursor, &mut walk)?,
            4 => check_row_groups(&mut cursor, &mut walk)?,
            _ => cursor.skip_shaped(kind, shape, &mut walk)?,
        }
    }
    Ok(())
}

fn check_row_groups(cursor: &mut Cursor<'_>, walk: &mut Walk) -> Result<(), Cause> {
    let (_, groups) = cursor.shaped_list(Struct(ROW_GROUP), walk)?;
    Cause::check_limit("row groups", groups as u64, ROW_GROUPS_MAX as u64)?;
    for _ in 0..groups {
        let mut id = 0;
        while let Some((kind, shape)) = cursor.shaped_field(ROW_GROUP, &mut id)? {
            if id == 1 { check_chunks(cursor, walk)? } else { cursor.skip_shaped(kind, shape, walk)? }
        }
    }
    Ok(())
}

fn check_chunks(cursor: &mut Cursor<'_>, walk: &mut Walk) -> Result<(), Cause> {
    let (_, chunks) = cursor.shaped_list(Struct(COLUMN_CHUNK), walk)?;
    for _ in 0..chunks {
        let mut id = 0;
        while let Some((kind, shape)) = cursor.shaped_field(COLUMN_CHUNK, &mut id)? {
            if matches!(id, 8 | 9) {
                return Err(Cause::unsupported("column chunk", "encrypted"));
            }
            cursor.skip_shaped(kind, shape, walk)?;
        }
    }
    Ok(())
}

/// Walks the flattened tree of schema elements: `num_children`, in a depth-first traversal.
fn check_schema(cursor: &mut Cursor<'_>, walk: &mut Walk) -> Result<(), Cause> {
    let (_, len) = cursor.shaped_list(Struct(SCHEMA_ELEMENT), walk)?;
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
    while let Some((kind, shape)) = cursor.shaped_field(SCHEMA_ELEMENT, &mut id)? {
        if id == 5 {
            let found = cursor.int()?;
            children = usize::try_from(found).map_err(|_| Cause::invalid("schema children", found))?;
        } else {
            cursor.skip_shaped(kind, shape, walk)?;
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
        let is_unsupported = |bytes: &[u8]| matches!(check_footer(bytes), Err(Cause::Unsupported { .. }));
        // Field 1, the version, as text.
        assert!(is_unsupported(&[0x18, 1, b'x', 0]));
        // Field 10 does not exist: any type may come.
        check_footer(&[0xa8, 1, b'x', 0]).unwrap();
        // A schema of one element, whose logical type is an integer of 8 bits, or of a number for the byte.
        let integer = |width: u8| [0x29, 0x1c, 0xac, 0xac, width, 8, 0x11, 0, 0, 0, 0];
        check_footer(&integer(0x13)).unwrap();
        assert!(is_unsupported(&integer(0x15)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = check_footer(&bytes);
        }
    }
}
