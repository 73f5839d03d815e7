//! The SQL that the ledger needs: a small synchronous trait that a Durable Object's storage and a native SQLite both
//! satisfy, and rows as they come out of it.
//!
//! What the statements of this crate keep to, because a Durable Object asks for it: at most 100 parameters and
//! 100,000 bytes a statement, rows below 2 MB, no `PRAGMA`, no transaction statements, integers within 2^53 (they
//! cross as doubles, so no statement may rely on a parameter's being an integer: a column's affinity makes it one
//! when it is stored), and only functions of SQLite's core, its window functions and `json_each`.

use std::{ops::ControlFlow, vec};

use thiserror::Error;

use crate::LedgerError;

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
    /// statement that changes rows has done so completely before its first row is given.
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

/// A row whose values are taken out from left to right.
#[derive(Debug)]
pub(crate) struct Row(vec::IntoIter<Value>);

impl Row {
    pub(crate) fn new(values: Vec<Value>) -> Self {
        Self(values.into_iter())
    }

    fn next(&mut self) -> Result<Value, LedgerError> {
        self.0.next().ok_or(LedgerError::Corrupt)
    }

    pub(crate) fn opt_int(&mut self) -> Result<Option<i64>, LedgerError> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Int(value) => Ok(Some(value)),
            _ => Err(LedgerError::Corrupt),
        }
    }

    pub(crate) fn int(&mut self) -> Result<i64, LedgerError> {
        self.opt_int()?.ok_or(LedgerError::Corrupt)
    }

    pub(crate) fn count(&mut self) -> Result<u64, LedgerError> {
        u64::try_from(self.int()?).map_err(|_| LedgerError::Corrupt)
    }

    pub(crate) fn opt_text(&mut self) -> Result<Option<String>, LedgerError> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            _ => Err(LedgerError::Corrupt),
        }
    }

    pub(crate) fn text(&mut self) -> Result<String, LedgerError> {
        self.opt_text()?.ok_or(LedgerError::Corrupt)
    }

    pub(crate) fn opt_blob(&mut self) -> Result<Option<Vec<u8>>, LedgerError> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Blob(bytes) => Ok(Some(bytes)),
            _ => Err(LedgerError::Corrupt),
        }
    }

    pub(crate) fn blob(&mut self) -> Result<Vec<u8>, LedgerError> {
        self.opt_blob()?.ok_or(LedgerError::Corrupt)
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
