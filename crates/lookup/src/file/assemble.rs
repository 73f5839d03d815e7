//! Cells of leaf columns back into values: the inverse of striping.
//!
//! Spec: "Nested Encoding" (the Dremel paper). The levels of one column must agree with those of its neighbours; where
//! they do not, the file is corrupt.

use firn_iceberg::value::{Literal, Value};

use crate::file::{
    columns::{Items, Node},
    error::Cause,
};

/// A cell with its value converted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OwnedCell {
    /// Repetition level.
    pub(crate) rep: u32,
    /// Definition level.
    pub(crate) def: u32,
    /// The value, unless it is missing.
    pub(crate) value: Option<Literal>,
}

/// The cells of one row, by slot; each list is taken from its front.
#[derive(Debug)]
pub(crate) struct RowCells {
    slots: Vec<std::vec::IntoIter<OwnedCell>>,
}

fn disagree() -> Cause {
    Cause::Invalid { what: "levels of neighbouring columns", found: 0 }
}

impl RowCells {
    /// Assembles the value of one row, from all cells of its leaf columns.
    pub(crate) fn assemble(node: &Node, slots: Vec<Vec<OwnedCell>>) -> Result<Option<Value>, Cause> {
        let mut cells = Self { slots: slots.into_iter().map(Vec::into_iter).collect() };
        let value = cells.value(node)?;
        if cells.slots.iter().all(|slot| slot.len() == 0) { Ok(value) } else { Err(disagree()) }
    }

    fn value(&mut self, node: &Node) -> Result<Option<Value>, Cause> {
        Ok(match node {
            Node::Constant(value) => value.clone(),
            Node::Leaf { slot } => self.take(*slot)?.value.map(Value::Primitive),
            Node::Struct { def, rep, fields, slots, is_levels_only } => {
                if self.peek(slots.start)?.def < *def {
                    self.take_each(slots.clone())?;
                    return Ok(None);
                }
                if *is_levels_only {
                    self.take_levels(slots.start, *rep)?;
                }
                let values = fields.iter().map(|field| self.value(field)).collect::<Result<_, _>>()?;
                Some(Value::Struct(values))
            }
            Node::List { items, element } => {
                let mut list = Vec::new();
                let is_there = self.items(items, |cells| {
                    list.push(cells.value(element)?);
                    Ok(())
                })?;
                is_there.then_some(Value::List(list))
            }
            Node::Map { items, key, value } => {
                let mut pairs = Vec::new();
                let is_there = self.items(items, |cells| {
                    let key = cells.value(key)?.ok_or(Cause::Truncated { what: "key of a map" })?;
                    pairs.push((key, cells.value(value)?));
                    Ok(())
                })?;
                is_there.then_some(Value::Map(pairs))
            }
        })
    }

    /// Calls `item` for each item; false where the list or map is null.
    fn items(
        &mut self,
        items: &Items,
        mut item: impl FnMut(&mut Self) -> Result<(), Cause>,
    ) -> Result<bool, Cause> {
        let first = self.peek(items.slots.start)?.def;
        if first < items.item_def {
            self.take_each(items.slots.clone())?;
            return Ok(first >= items.def);
        }
        loop {
            item(self)?;
            let next = self.slots.get(items.slots.start).and_then(|slot| slot.as_slice().first());
            if next.is_none_or(|cell| cell.rep != items.rep) {
                return Ok(true);
            }
        }
    }

    fn peek(&self, slot: usize) -> Result<&OwnedCell, Cause> {
        self.slots.get(slot).and_then(|slot| slot.as_slice().first()).ok_or_else(disagree)
    }

    fn take(&mut self, slot: usize) -> Result<OwnedCell, Cause> {
        self.slots.get_mut(slot).and_then(Iterator::next).ok_or_else(disagree)
    }

    /// Takes all cells of one struct, of a leaf column that may repeat inside it.
    fn take_levels(&mut self, slot: usize, rep: u32) -> Result<(), Cause> {
        loop {
            self.take(slot)?;
            if self.peek(slot).map_or(true, |next| next.rep <= rep) {
                return Ok(());
            }
        }
    }

    fn take_each(&mut self, slots: std::ops::Range<usize>) -> Result<(), Cause> {
        for slot in slots {
            self.take(slot)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(rep: u32, def: u32, value: Option<i32>) -> OwnedCell {
        OwnedCell { rep, def, value: value.map(Literal::Int) }
    }

    fn int(value: i32) -> Value {
        Literal::Int(value).into()
    }

    /// `optional list of optional struct { optional a, optional b }`
    fn node() -> Node {
        let items = Items { def: 1, item_def: 2, rep: 1, slots: 0..2 };
        let fields = vec![Node::Leaf { slot: 0 }, Node::Leaf { slot: 1 }];
        let element = Node::Struct { def: 3, rep: 1, fields, slots: 0..2, is_levels_only: false };
        Node::List { items, element: Box::new(element) }
    }

    #[track_caller]
    fn check(slots: [Vec<OwnedCell>; 2], expected: Option<Value>) {
        assert_eq!(RowCells::assemble(&node(), slots.into()), Ok(expected));
    }

    #[test]
    fn levels_tell_null_from_empty_from_null_inside() {
        let both = |rep, def| [vec![cell(rep, def, None)], vec![cell(rep, def, None)]];
        check(both(0, 0), None);
        check(both(0, 1), Some(Value::List(vec![])));
        check(both(0, 2), Some(Value::List(vec![None])));
        check(both(0, 3), Some(Value::List(vec![Some(Value::Struct(vec![None, None]))])));
        let a = vec![cell(0, 4, Some(1)), cell(1, 2, None), cell(1, 3, None)];
        let b = vec![cell(0, 3, None), cell(1, 2, None), cell(1, 4, Some(6))];
        let items = vec![
            Some(Value::Struct(vec![Some(int(1)), None])),
            None,
            Some(Value::Struct(vec![None, Some(int(6))])),
        ];
        check([a, b], Some(Value::List(items)));
    }

    #[test]
    fn neighbours_that_disagree_are_corrupt() {
        let one = || vec![cell(0, 4, Some(1))];
        let two = || vec![cell(0, 4, Some(1)), cell(1, 4, Some(2))];
        for slots in [[one(), two()], [two(), one()], [one(), vec![]], [vec![], one()], [vec![], vec![]]] {
            assert_eq!(RowCells::assemble(&node(), slots.into()), Err(disagree()));
        }
    }
}
