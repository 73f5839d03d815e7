//! The ledger's SQL over a Durable Object's storage.
//!
//! By hand, not by `worker`'s wrapper: that brings the formatting of floats, and has no synchronous transaction.

use std::{cell::RefCell, collections::HashMap, ops::ControlFlow};

use firn_ledger::sql::{End, Param, Sql, SqlError, Value};
use js_sys::{Array, ArrayBuffer, Iterator, JsString, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use worker::State;

use crate::stream::message;

/// Integers cross as doubles; the ledger's lie within.
const INTEGER_MAX: f64 = 9_007_199_254_740_991.0;

#[wasm_bindgen]
extern "C" {
    type Storage;

    #[wasm_bindgen(method, getter)]
    fn sql(this: &Storage) -> SqlStorage;

    // Rolls back where the callback throws.
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &Storage,
        body: &mut dyn FnMut() -> Result<(), JsValue>,
    ) -> Result<JsValue, JsValue>;

    type SqlStorage;

    #[wasm_bindgen(method, catch, variadic)]
    fn exec(this: &SqlStorage, statement: &JsString, bindings: &Array) -> Result<Cursor, JsValue>;

    type Cursor;

    #[wasm_bindgen(method, catch)]
    fn raw(this: &Cursor) -> Result<Iterator, JsValue>;
}

thread_local! {
    /// Statements as JavaScript has them. The runtime knows a statement that it has compiled by its string.
    static STATEMENTS: RefCell<HashMap<&'static str, JsString>> = RefCell::default();
}

fn statement_text(statement: &'static str) -> JsString {
    STATEMENTS.with_borrow_mut(|known| known.entry(statement).or_insert_with(|| statement.into()).clone())
}

/// The storage of one object.
pub(crate) struct ObjectSql {
    sql: SqlStorage,
    storage: Storage,
}

impl ObjectSql {
    pub(crate) fn new(state: &State) -> Self {
        let storage = Reflect::get(state.as_raw(), &"storage".into()).unwrap_or(JsValue::UNDEFINED);
        let storage: Storage = storage.unchecked_into();
        Self { sql: storage.sql(), storage }
    }
}

impl Sql for ObjectSql {
    fn execute(
        &self,
        statement: &'static str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(Vec<Value>) -> ControlFlow<()>,
    ) -> Result<(), SqlError> {
        let bindings: Array = params.iter().map(bind).collect();
        let statement = statement_text(statement);
        let rows = self.sql.exec(&statement, &bindings).and_then(|cursor| cursor.raw()).map_err(failed)?;
        loop {
            let next = rows.next().map_err(failed)?;
            if next.done() {
                return Ok(());
            }
            let values =
                next.value().unchecked_into::<Array>().iter().map(value).collect::<Result<_, _>>()?;
            if each(values).is_break() {
                // The runtime keeps one compiled copy of a statement, which is free again when its cursor has come to the
                // end; until then each further use compiles another. Where a row was all that was wanted, it ends here.
                rows.next().map_err(failed)?;
                return Ok(());
            }
        }
    }

    fn transaction(&self, body: &mut dyn FnMut() -> End) -> Result<(), SqlError> {
        let mut is_rolled_back = false;
        let mut run = || {
            is_rolled_back = body() == End::Rollback;
            if is_rolled_back { Err(JsValue::NULL) } else { Ok(()) }
        };
        match self.storage.transaction_sync(&mut run) {
            Err(error) if !is_rolled_back => Err(failed(error)),
            _ => Ok(()),
        }
    }
}

fn bind(param: &Param<'_>) -> JsValue {
    match *param {
        Param::Null => JsValue::NULL,
        #[expect(clippy::cast_precision_loss, reason = "within the integers of a double")]
        Param::Int(value) => JsValue::from_f64(value as f64),
        Param::Text(text) => JsValue::from_str(text),
        Param::Blob(bytes) => Uint8Array::from(bytes).into(),
    }
}

fn value(value: JsValue) -> Result<Value, SqlError> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    if let Some(number) = value.as_f64() {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number within the integers of a double")]
        let integer = number as i64;
        let is_exact = number.abs() <= INTEGER_MAX;
        let inexact = || SqlError { message: "a number is no integer of a double".to_owned() };
        return is_exact.then_some(Value::Int(integer)).ok_or_else(inexact);
    }
    if let Some(text) = value.as_string() {
        return Ok(Value::Text(text));
    }
    let buffer = value.dyn_into::<ArrayBuffer>();
    let buffer = buffer.map_err(|_| SqlError { message: "a value of a type that nothing has".to_owned() })?;
    Ok(Value::Blob(Uint8Array::new(&buffer).to_vec()))
}

#[expect(clippy::needless_pass_by_value, reason = "given to map_err")]
fn failed(error: JsValue) -> SqlError {
    SqlError { message: message(&error) }
}
