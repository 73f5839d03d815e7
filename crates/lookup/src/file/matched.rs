//! Rows of a row group that equal the key, and how much of them was read.

use firn_iceberg::value::Value;

use crate::file::{
    FoundRow, Goal,
    error::Located,
    fetched::Fetched,
    footer::FileFooter,
    group::{Allowance, Group},
    plan::Plan,
};

/// The rows of a row group that equal the key, and the columns that were read of them.
#[derive(Debug)]
pub(crate) struct Matched {
    pub(crate) group: Group,
    values: Vec<Option<Vec<Option<Value>>>>,
}

impl Matched {
    /// A row group of whose columns none was read.
    pub(crate) fn new(group: Group, plan: &Plan) -> Self {
        Self { group, values: vec![None; plan.columns.len()] }
    }

    /// Numbers of the columns that were not read yet.
    pub(crate) fn open_columns(&self) -> Vec<usize> {
        (0..).zip(&self.values).filter(|(_, values)| values.is_none()).map(|(idx, _)| idx).collect()
    }

    /// Those of them that a lookup reads on its way to `goal`.
    pub(crate) fn open_columns_of(&self, plan: &Plan, goal: Goal) -> Vec<usize> {
        let mut open = self.open_columns();
        open.retain(|idx| plan.columns.get(*idx).is_some_and(|column| goal.includes(column.when)));
        open
    }

    /// Forgets all rows but one; whether it is here.
    pub(crate) fn keep_only(&mut self, position: u64) -> bool {
        let row = position.checked_sub(self.group.first_position);
        let place = self.group.rows.rows().position(|there| Some(there) == row);
        let (Some(row), Some(place)) = (row, place) else {
            return false;
        };
        for values in self.values.iter_mut().flatten() {
            *values = values.drain(..).skip(place).take(1).collect();
        }
        self.group.turn_to(row..row + 1);
        true
    }

    /// The rows, null where a column was not read.
    pub(crate) fn rows_so_far(&self) -> Vec<FoundRow> {
        let value = |column: &Option<Vec<Option<Value>>>, place: usize| {
            column.as_ref().and_then(|values| values.get(place)).cloned().flatten()
        };
        let rows = self.group.rows.rows().enumerate();
        rows.map(|(place, row)| FoundRow {
            position: self.group.first_position + row,
            values: self.values.iter().map(|column| value(column, place)).collect(),
        })
        .collect()
    }

    /// Reads columns whose pages are fetched.
    pub(crate) fn read(
        &mut self,
        plan: &Plan,
        columns: &[usize],
        footer: &FileFooter,
        fetched: &Fetched,
        allowance: &mut Allowance,
    ) -> Result<(), Located> {
        for idx in columns {
            if let (Some(column), Some(values)) = (plan.columns.get(*idx), self.values.get_mut(*idx)) {
                *values = Some(self.group.read_column(footer, &column.projection, fetched, allowance)?);
            }
        }
        Ok(())
    }

    /// The rows; every column was read.
    pub(crate) fn into_rows(self) -> impl Iterator<Item = FoundRow> {
        let mut columns: Vec<_> =
            self.values.into_iter().map(|v| v.unwrap_or_default().into_iter()).collect();
        let first = self.group.first_position;
        let rows: Vec<u64> = self.group.rows.rows().collect();
        rows.into_iter().map(move |row| FoundRow {
            position: first + row,
            values: columns.iter_mut().map(|column| column.next().flatten()).collect(),
        })
    }
}
