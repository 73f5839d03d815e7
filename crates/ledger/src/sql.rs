//! The SQL that the ledger needs: a small synchronous trait that a Durable Object's storage and a native SQLite both
//! satisfy, and rows as they come out of it.
//!
//! What the statements of this crate keep to, because a Durable Object asks for it: at most 100 parameters and
//! 100,000 bytes a statement, rows below 2 MB, no `PRAGMA`, no transaction statements, integers within 2^53 (they
//! cross as doubles, so no statement may rely on a parameter's being an integer: a column's affinity makes it one
//! when it is stored), and only functions of SQLite's core, its window functions and `json_each`.

use std::{ops::ControlFlow, vec};

use thiserror::Error;

/// A parameter of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Param<'a> {
    /// NULL.
    Null,
    /// An integer within ±(2^53 − 1).
    Int(i64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// NULL.
    Null,
    /// An integer within ±(2^53 − 1).
    Int(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// What the engine said.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("SQL failed: {message}")]
pub struct SqlError {
    /// Its message.
    pub message: String,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything in it is kept.
    Commit,
    /// Nothing in it is kept.
    Rollback,
}

/// A SQLite database of one namespace, used by one caller at a time.
pub trait Sql {
    /// Runs one statement with its parameters `?1`, `?2`, …; gives each row to `each`, which may break off. A
    /// statement that changes rows has done so completely before its first row is given. `each` never calls the
    /// database. A number without a fraction is a [`Value::Int`], however the engine hands it over.
    ///
    /// # Errors
    /// What the engine says. The effect of a failed statement is undone.
    fn execute(
        &self,
        statement: &'static str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(Vec<Value>) -> ControlFlow<()>,
    ) -> Result<(), SqlError>;

    /// Runs `body` once in a transaction that ends as `body` says. Never nested.
    ///
    /// # Errors
    /// Where it cannot begin or end; then nothing is kept.
    fn transaction(&self, body: &mut dyn FnMut() -> End) -> Result<(), SqlError>;
}

/// A row whose values are taken out from left to right. What is not of the type asked for leaves a default and a mark,
/// which [`Ledger::each`](crate::Ledger::each) turns into an error: a check at every value would double the code.
#[derive(Debug)]
pub(crate) struct Row {
    values: vec::IntoIter<Value>,
    pub(crate) is_corrupt: bool,
}

impl Row {
    pub(crate) fn new(values: Vec<Value>) -> Self {
        Self { values: values.into_iter(), is_corrupt: false }
    }

    fn corrupt<T: Default>(&mut self) -> T {
        self.is_corrupt = true;
        T::default()
    }

    pub(crate) fn opt_int(&mut self) -> Option<i64> {
        match self.values.next() {
            Some(Value::Null) => None,
            Some(Value::Int(value)) => Some(value),
            _ => self.corrupt(),
        }
    }

    pub(crate) fn int(&mut self) -> i64 {
        self.opt_int().unwrap_or_else(|| self.corrupt())
    }

    pub(crate) fn count(&mut self) -> u64 {
        u64::try_from(self.int()).unwrap_or_else(|_| self.corrupt())
    }

    pub(crate) fn opt_text(&mut self) -> Option<String> {
        match self.values.next() {
            Some(Value::Null) => None,
            Some(Value::Text(text)) => Some(text),
            _ => self.corrupt(),
        }
    }

    pub(crate) fn text(&mut self) -> String {
        self.opt_text().unwrap_or_else(|| self.corrupt())
    }

    pub(crate) fn opt_blob(&mut self) -> Option<Vec<u8>> {
        match self.values.next() {
            Some(Value::Null) => None,
            Some(Value::Blob(bytes)) => Some(bytes),
            _ => self.corrupt(),
        }
    }

    pub(crate) fn blob(&mut self) -> Vec<u8> {
        self.opt_blob().unwrap_or_else(|| self.corrupt())
    }

    /// A value made of the last ones, if they could be.
    pub(crate) fn made<T: Default>(&mut self, value: Option<T>) -> T {
        value.unwrap_or_else(|| self.corrupt())
    }
}

/// `[1,2,3]`, for `json_each`: a list of any length is one parameter.
pub(crate) fn json_ints(ints: &[i64]) -> String {
    let mut json = String::from("[");
    for (idx, int) in ints.iter().enumerate() {
        if idx > 0 {
            json.push(',');
        }
        json.push_str(&int.to_string());
    }
    json.push(']');
    json
}
