//! Reading the Thrift compact protocol, as far as Firn needs it itself: page headers, and a walk over a footer or a
//! page index before the `parquet` crate parses it.
//!
//! Spec: <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>
//!
//! The walk exists because the crate allocates what a list's header promises: a walked value holds every element that it
//! promises, few enough of them, and is flat enough. And because the crate (60.1) goes by a field's number and not by its
//! type: a field that is not what its number says is read out of step with what was written, and a few bytes then promise
//! billions of booleans, which it passes over as if they took no bytes. So a walk knows the [`Shape`] of what the crate
//! reads, and what has another one is *unsupported*; so are booleans in a list that no shape has.

use crate::file::{
    error::Cause,
    limits::{THRIFT_DEPTH_MAX, THRIFT_STRUCTS_MAX},
};

/// A position in Thrift bytes.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
    what: &'static str,
}

/// The type of a field or an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A boolean; as a field its type holds its value.
    Bool(bool),
    /// One byte.
    Byte,
    /// A zigzag number of at most 16, 32 or 64 bits.
    Int,
    /// Eight bytes.
    Double,
    /// Bytes with their length before them.
    Binary,
    /// A list or a set.
    List,
    /// A map.
    Map,
    /// A structure.
    Struct,
    /// Sixteen bytes.
    Uuid,
}

impl<'a> Cursor<'a> {
    /// Starts at the front of `bytes`; `what` names them in errors.
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, position: 0, what }
    }

    /// How many bytes were read.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    fn truncated(&self) -> Cause {
        Cause::Truncated { what: self.what }
    }

    fn byte(&mut self) -> Result<u8, Cause> {
        let byte = self.bytes.get(self.position).copied().ok_or_else(|| self.truncated())?;
        self.position += 1;
        Ok(byte)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Cause> {
        let end = self.position.checked_add(len).ok_or_else(|| self.truncated())?;
        let taken = self.bytes.get(self.position..end).ok_or_else(|| self.truncated())?;
        self.position = end;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Cause> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Cause::invalid(self.what, value))
    }

    /// Reads a zigzag number.
    pub(crate) fn int(&mut self) -> Result<i64, Cause> {
        let raw = self.varint()?;
        Ok((raw >> 1).cast_signed() ^ -((raw & 1).cast_signed()))
    }

    /// Reads a zigzag number of 32 bits.
    pub(crate) fn int32(&mut self) -> Result<i32, Cause> {
        let value = self.int()?;
        i32::try_from(value).map_err(|_| Cause::invalid(self.what, value))
    }

    fn len(&mut self) -> Result<usize, Cause> {
        let len = self.varint()?;
        usize::try_from(len).map_err(|_| self.truncated())
    }

    fn kind(&self, nibble: u8) -> Result<Kind, Cause> {
        Ok(match nibble {
            1 => Kind::Bool(true),
            2 => Kind::Bool(false),
            3 => Kind::Byte,
            4..=6 => Kind::Int,
            7 => Kind::Double,
            8 => Kind::Binary,
            9 | 10 => Kind::List,
            11 => Kind::Map,
            12 => Kind::Struct,
            13 => Kind::Uuid,
            other => return Err(Cause::invalid(self.what, other)),
        })
    }

    /// Reads the header of the next field of a structure; `None` at its end. `last_id` is the field before it.
    pub(crate) fn field(&mut self, last_id: &mut i16) -> Result<Option<Kind>, Cause> {
        let header = self.byte()?;
        if header == 0 {
            return Ok(None);
        }
        let delta = i16::from(header >> 4);
        *last_id = if delta == 0 {
            let id = self.int()?;
            i16::try_from(id).map_err(|_| Cause::invalid(self.what, id))?
        } else {
            last_id.checked_add(delta).ok_or_else(|| Cause::invalid(self.what, delta))?
        };
        self.kind(header & 0x0f).map(Some)
    }

    /// Reads the header of a list. It never promises more elements than bytes are left.
    pub(crate) fn list(&mut self) -> Result<(Kind, usize), Cause> {
        let header = self.byte()?;
        let len = match header >> 4 {
            15 => self.len()?,
            short => usize::from(short),
        };
        if len > self.bytes.len().saturating_sub(self.position) {
            return Err(self.truncated());
        }
        // An empty list may leave its type open.
        let nibble = header & 0x0f;
        let kind = if len == 0 && nibble == 0 { Kind::Byte } else { self.kind(nibble)? };
        Ok((kind, len))
    }

    /// Reads the header of the next field of a structure, which has the shape that its layout says.
    pub(crate) fn shaped_field(
        &mut self,
        layout: &Layout,
        last_id: &mut i16,
    ) -> Result<Option<(Kind, Shape)>, Cause> {
        let Some(kind) = self.field(last_id)? else { return Ok(None) };
        let at = usize::try_from(*last_id).ok().and_then(|id| id.checked_sub(1));
        let shape = at.and_then(|at| layout.get(at)).copied().unwrap_or(Shape::Any);
        if shape.has(kind) {
            Ok(Some((kind, shape)))
        } else {
            Err(Cause::unsupported("type of a field", (self.what, *last_id, kind)))
        }
    }

    /// Reads the header of a list whose elements have that shape: their type, and how many there are.
    pub(crate) fn shaped_list(&mut self, of: Shape, walk: &mut Walk) -> Result<(Kind, usize), Cause> {
        let (kind, len) = self.list()?;
        if len > 0 && !of.has(kind) {
            return Err(Cause::unsupported("list of", (self.what, kind)));
        }
        if !matches!(of, Shape::Bool) {
            walk.count(kind, len)?;
        }
        Ok((kind, len))
    }

    /// Passes over a value of `kind` that is a field, whatever it holds.
    pub(crate) fn skip(&mut self, kind: Kind, walk: &mut Walk) -> Result<(), Cause> {
        self.skip_shaped(kind, Shape::Any, walk)
    }

    /// Passes over a value of `kind` that is a field and has that shape.
    pub(crate) fn skip_shaped(&mut self, kind: Kind, shape: Shape, walk: &mut Walk) -> Result<(), Cause> {
        match kind {
            Kind::Bool(_) => Ok(()),
            other => self.skip_element(other, shape, walk, 0),
        }
    }

    fn skip_element(&mut self, kind: Kind, shape: Shape, walk: &mut Walk, depth: usize) -> Result<(), Cause> {
        Cause::check_limit("thrift nesting", depth as u64, THRIFT_DEPTH_MAX as u64)?;
        match kind {
            Kind::Bool(_) | Kind::Byte => self.byte().map(drop),
            Kind::Int => self.varint().map(drop),
            Kind::Double => self.take(8).map(drop),
            Kind::Uuid => self.take(16).map(drop),
            Kind::Binary => {
                let len = self.len()?;
                self.take(len).map(drop)
            }
            Kind::List => {
                let of = if let Shape::List(of) = shape { *of } else { Shape::Any };
                let (kind, len) = self.shaped_list(of, walk)?;
                (0..len).try_for_each(|_| self.skip_element(kind, of, walk, depth + 1))
            }
            Kind::Map => self.skip_map(walk, depth),
            Kind::Struct => {
                let layout = if let Shape::Struct(layout) = shape { layout } else { &[] };
                self.skip_struct(layout, walk, depth)
            }
        }
    }

    fn skip_map(&mut self, walk: &mut Walk, depth: usize) -> Result<(), Cause> {
        let len = self.len()?;
        if len == 0 {
            return Ok(());
        }
        if len > self.bytes.len().saturating_sub(self.position) {
            return Err(self.truncated());
        }
        let kinds = self.byte()?;
        let (key, value) = (self.kind(kinds >> 4)?, self.kind(kinds & 0x0f)?);
        for kind in [key, value, Kind::Struct] {
            walk.count(kind, len)?;
        }
        for _ in 0..len {
            self.skip_element(key, Shape::Any, walk, depth + 1)?;
            self.skip_element(value, Shape::Any, walk, depth + 1)?;
        }
        Ok(())
    }

    fn skip_struct(&mut self, layout: &Layout, walk: &mut Walk, depth: usize) -> Result<(), Cause> {
        let mut id = 0;
        while let Some((kind, shape)) = self.shaped_field(layout, &mut id)? {
            if !matches!(kind, Kind::Bool(_)) {
                self.skip_element(kind, shape, walk, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// What a walk has counted.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    structs: usize,
}

impl Walk {
    /// Counts the elements of a list.
    pub(crate) fn count(&mut self, kind: Kind, len: usize) -> Result<(), Cause> {
        if matches!(kind, Kind::Bool(_)) && len > 0 {
            return Err(Cause::unsupported("thrift list of", "booleans"));
        }
        if kind == Kind::Struct {
            self.structs = self.structs.saturating_add(len);
        }
        Cause::check_limit("thrift structures", self.structs as u64, THRIFT_STRUCTS_MAX as u64)
    }
}

/// What a value is, of those that the `parquet` crate reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// A field that the crate passes over by its type.
    Any,
    /// A boolean.
    Bool,
    /// One byte.
    Byte,
    /// A number.
    Int,
    /// Eight bytes.
    Double,
    /// Bytes.
    Binary,
    /// A list of such values.
    List(&'static Shape),
    /// A structure.
    Struct(&'static Layout),
}

/// The shapes of a structure's fields, from field 1 on. Others may be there; they are passed over.
pub(crate) type Layout = [Shape];

impl Shape {
    const fn has(self, kind: Kind) -> bool {
        matches!(
            (self, kind),
            (Self::Any, _)
                | (Self::Bool, Kind::Bool(_))
                | (Self::Byte, Kind::Byte)
                | (Self::Int, Kind::Int)
                | (Self::Double, Kind::Double)
                | (Self::Binary, Kind::Binary)
                | (Self::List(_), Kind::List)
                | (Self::Struct(_), Kind::Struct)
        )
    }
}

/// Walks one structure of that layout from the front of `bytes`, and changes nothing.
pub(crate) fn check_struct(bytes: &[u8], layout: &Layout, what: &'static str) -> Result<(), Cause> {
    Cursor::new(bytes, what).skip_struct(layout, &mut Walk::default(), 0)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_zigzag_varints() {
        for (bytes, expected) in [
            (&[0][..], 0),
            (&[1], -1),
            (&[2], 1),
            (&[0x80, 1], 64),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], i64::MIN),
        ] {
            assert_eq!(Cursor::new(bytes, "").int(), Ok(expected), "{bytes:?}");
        }
        for bytes in [&[][..], &[0x80], &[0x80; 11]] {
            Cursor::new(bytes, "").int().unwrap_err();
        }
    }

    /// The header of a list of `len` structures, as a field `delta` behind the last one.
    pub(crate) fn list_of(delta: u8, len: usize) -> Vec<u8> {
        let low = |rest: usize| u8::try_from(rest % 0x80).unwrap();
        let mut bytes = vec![delta << 4 | 9, 0xfc];
        let mut rest = len;
        while rest >= 0x80 {
            bytes.push(low(rest) | 0x80);
            rest /= 0x80;
        }
        bytes.push(low(rest));
        bytes
    }

    /// A list of `len` empty structures as field 1, and the end.
    fn structs(len: usize) -> Vec<u8> {
        let mut bytes = list_of(1, len);
        bytes.resize(bytes.len() + len + 1, 0);
        bytes
    }

    #[test]
    fn promises_are_held_or_refused() {
        check_struct(&structs(THRIFT_STRUCTS_MAX), &[], "").unwrap();
        let too_many = check_struct(&structs(THRIFT_STRUCTS_MAX + 1), &[], "").unwrap_err();
        assert!(matches!(too_many, Cause::Limit { .. }), "{too_many}");
        let mut broken = structs(100);
        broken.truncate(50);
        assert_eq!(check_struct(&broken, &[], "x"), Err(Cause::Truncated { what: "x" }));
        // Structures in structures.
        let nested = |depth: usize| [vec![0x1c; depth], vec![0; depth + 1]].concat();
        check_struct(&nested(THRIFT_DEPTH_MAX), &[], "").unwrap();
        assert!(matches!(check_struct(&nested(THRIFT_DEPTH_MAX + 1), &[], ""), Err(Cause::Limit { .. })));
        check_struct(&nested(1_000_000), &[], "").unwrap_err();
    }

    #[test]
    fn a_field_is_what_its_number_says() {
        const LAYOUT: &Layout = &[Shape::List(&Shape::Bool), Shape::Struct(&[Shape::Byte, Shape::Double])];
        let check = |bytes: &[u8]| check_struct(bytes, LAYOUT, "");
        // Two booleans; nothing, of whatever type; a byte in a structure; a field that nobody knows.
        for bytes in [&[0x19, 0x21, 1, 2, 0][..], &[0x19, 0x08, 0], &[0x2c, 0x13, 7, 0, 0], &[0x38, 1, 7, 0]]
        {
            check(bytes).unwrap();
        }
        // A number for a list; numbers in the list; a boolean for the byte.
        for bytes in [&[0x15, 2, 0][..], &[0x19, 0x25, 2, 4, 0], &[0x2c, 0x11, 0, 0]] {
            assert!(matches!(check(bytes), Err(Cause::Unsupported { .. })), "{bytes:?}");
        }
        assert_eq!(check(&[0x19, 0x21, 1]), Err(Cause::Truncated { what: "" }));
    }

    #[test]
    fn booleans_stand_in_no_list_that_nobody_knows() {
        // A list of two booleans, a map of a boolean to one.
        for bytes in [&[0x19, 0x21, 1, 2, 0][..], &[0x1b, 1, 0x11, 1, 1, 0]] {
            let error = check_struct(bytes, &[], "").unwrap_err();
            assert!(matches!(error, Cause::Unsupported { .. }), "{bytes:?}");
        }
        check_struct(&[0x19, 0x01, 0], &[], "").unwrap();
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = check_struct(&bytes, &[Shape::List(&Shape::Bool), Shape::Struct(&[Shape::Double])], "");
            let _ = crate::file::header::PageHeader::parse(&bytes);
        }
    }
}
