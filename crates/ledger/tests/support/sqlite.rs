//! A native SQLite that behaves as a Durable Object's storage does where the ledger could notice: rows of 2 MB, 100
//! parameters, statements of 100 KB, and integers that cross as doubles.

use std::{cell::RefCell, collections::BTreeSet, ops::ControlFlow, rc::Rc};

use firn_ledger::sql::{End, Param, Sql, SqlError, Value};
use rusqlite::{Connection, limits::Limit, params_from_iter, types};

/// A database; clones share it.
#[derive(Clone)]
pub(crate) struct Sqlite(pub(crate) Rc<Connection>, Rc<RefCell<BTreeSet<&'static str>>>);

/// Tables that grow with what is published: no statement may walk through one of them.
const GROWING: [&str; 10] = [
    "keys",
    "versions",
    "content",
    "outbox",
    "ingests",
    "chunks",
    "staged",
    "files",
    "deleted_rows",
    "owners",
];

impl Sqlite {
    pub(crate) fn new() -> Self {
        let db = Connection::open_in_memory().expect("memory");
        // The object's own, where it is below SQLite's default.
        for (limit, value) in [
            (Limit::SQLITE_LIMIT_LENGTH, 2_000_000),
            (Limit::SQLITE_LIMIT_SQL_LENGTH, 100_000),
            (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 100),
            (Limit::SQLITE_LIMIT_COLUMN, 100),
            (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 5),
            (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
            (Limit::SQLITE_LIMIT_FUNCTION_ARG, 32),
        ] {
            db.set_limit(limit, value).expect("a limit of SQLite");
        }
        db.set_prepared_statement_cache_capacity(200);
        Self(Rc::new(db), Rc::default())
    }

    /// Asks SQLite, once for each statement, how it would go about it.
    fn check_plan(&self, statement: &'static str) -> Result<(), rusqlite::Error> {
        if statement.starts_with("CREATE") || !self.1.borrow_mut().insert(statement) {
            return Ok(());
        }
        let mut plan = self.0.prepare(&format!("EXPLAIN QUERY PLAN {statement}"))?;
        // Aliases are a table's first letter, or `c` for what is current; a letter alone is never scanned either.
        let mut steps = plan.raw_query();
        while let Some(step) = steps.next()? {
            let step: String = step.get(3)?;
            let scanned =
                step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
            let is_alias = scanned.len() == 1 && !matches!(scanned, "l" | "p");
            assert!(!GROWING.contains(&scanned) && !is_alias, "{step}: {statement}");
        }
        Ok(())
    }

    /// One number, for tests that look behind the ledger.
    pub(crate) fn number(&self, statement: &str) -> i64 {
        self.0.query_row(statement, [], |row| row.get(0)).expect("one number")
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: rusqlite::Error) -> SqlError {
    SqlError { message: error.to_string() }
}

const INTEGER_MAX: i64 = (1 << 53) - 1;

#[expect(clippy::cast_precision_loss, reason = "what is not exact is refused")]
fn bound(param: &Param<'_>) -> types::Value {
    match *param {
        Param::Null => types::Value::Null,
        Param::Int(int) => {
            assert!(int.abs() <= INTEGER_MAX, "{int} does not cross");
            types::Value::Real(int as f64)
        }
        Param::Text(text) => types::Value::Text(text.to_owned()),
        Param::Blob(bytes) => types::Value::Blob(bytes.to_vec()),
    }
}

fn read(value: types::Value) -> Value {
    match value {
        types::Value::Null => Value::Null,
        types::Value::Integer(int) => {
            assert!(int.abs() <= INTEGER_MAX, "{int} does not cross");
            Value::Int(int)
        }
        types::Value::Real(real) => panic!("{real} is a double"),
        types::Value::Text(text) => Value::Text(text),
        types::Value::Blob(bytes) => Value::Blob(bytes),
    }
}

impl Sql for Sqlite {
    fn execute(
        &self,
        statement: &'static str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(Vec<Value>) -> ControlFlow<()>,
    ) -> Result<(), SqlError> {
        self.check_plan(statement).map_err(failed)?;
        let mut prepared = self.0.prepare_cached(statement).map_err(failed)?;
        let column_count = prepared.column_count();
        let mut rows = prepared.query(params_from_iter(params.iter().map(bound))).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let values = (0..column_count).map(|idx| row.get(idx).map(read)).collect::<Result<_, _>>();
            if each(values.map_err(failed)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn transaction(&self, body: &mut dyn FnMut() -> End) -> Result<(), SqlError> {
        self.0.execute_batch("SAVEPOINT ledger").map_err(failed)?;
        match body() {
            End::Commit => self.0.execute_batch("RELEASE ledger"),
            End::Rollback => self.0.execute_batch("ROLLBACK TO ledger; RELEASE ledger"),
        }
        .map_err(failed)
    }
}
