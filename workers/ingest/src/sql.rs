//! The ledger's SQL over a Durable Object's storage.

use std::ops::ControlFlow;

use firn_ledger::sql::{End, Param, Sql, SqlError, Value};
use js_sys::Reflect;
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use worker::{SqlStorage, SqlStorageValue, State};

use crate::stream::message;

#[wasm_bindgen]
extern "C" {
    type SyncStorage;

    // Rolls back where the callback throws. `worker` wraps only the asynchronous one.
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &SyncStorage,
        body: &mut dyn FnMut() -> Result<(), JsValue>,
    ) -> Result<JsValue, JsValue>;
}

/// The storage of one object.
pub(crate) struct ObjectSql {
    sql: SqlStorage,
    storage: SyncStorage,
}

impl ObjectSql {
    pub(crate) fn new(state: &State) -> Self {
        let storage = Reflect::get(state.as_raw(), &"storage".into()).unwrap_or(JsValue::UNDEFINED);
        Self { sql: state.storage().sql(), storage: storage.unchecked_into() }
    }
}

impl Sql for ObjectSql {
    fn execute(
        &self,
        statement: &'static str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(Vec<Value>) -> ControlFlow<()>,
    ) -> Result<(), SqlError> {
        let bindings: Vec<SqlStorageValue> = params.iter().map(bind).collect();
        let cursor = self.sql.exec(statement, bindings).map_err(failed)?;
        for row in cursor.raw() {
            let values = row.map_err(failed)?.into_iter().map(value).collect::<Result<_, _>>()?;
            if each(values).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn transaction(&self, body: &mut dyn FnMut() -> End) -> Result<(), SqlError> {
        let mut is_rolled_back = false;
        let mut run = || {
            is_rolled_back = body() == End::Rollback;
            if is_rolled_back { Err(JsValue::from_str("rolled back")) } else { Ok(()) }
        };
        match self.storage.transaction_sync(&mut run) {
            Err(error) if !is_rolled_back => Err(SqlError { message: message(&error) }),
            _ => Ok(()),
        }
    }
}

fn bind(param: &Param<'_>) -> SqlStorageValue {
    match *param {
        Param::Null => SqlStorageValue::Null,
        Param::Int(value) => SqlStorageValue::Integer(value),
        Param::Text(text) => SqlStorageValue::String(text.to_owned()),
        Param::Blob(bytes) => SqlStorageValue::Blob(bytes.to_vec()),
    }
}

fn value(value: SqlStorageValue) -> Result<Value, SqlError> {
    match value {
        SqlStorageValue::Null => Ok(Value::Null),
        SqlStorageValue::Integer(value) => Ok(Value::Int(value)),
        SqlStorageValue::String(text) => Ok(Value::Text(text)),
        SqlStorageValue::Blob(bytes) => Ok(Value::Blob(bytes)),
        _ => Err(SqlError { message: "a value of a type that no statement asks for".to_owned() }),
    }
}

fn failed(error: impl std::error::Error) -> SqlError {
    SqlError { message: error.to_string() }
}
