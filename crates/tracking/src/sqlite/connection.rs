//! A connection to SQLite as the statements see it.

use std::borrow::Cow;
use std::collections::HashMap;

use rusqlite::params_from_iter;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use super::failure::failure;
use crate::sql::{Connection, Dialect, Failure, Row, Value};

/// The keys that the cache holds at most; then it starts afresh.
const CACHED_KEYS: usize = 10_000;

/// A connection inside a transaction.
pub(super) struct Session<'a> {
    pub connection: &'a rusqlite::Connection,
    /// The numbers of keys, as far as they are known; `None` where nothing is written.
    pub keys: Option<&'a mut HashMap<String, i64>>,
}

impl Connection for Session<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn execute(&mut self, sql: &str, parameters: &[Value]) -> Result<u64, Failure> {
        let mut statement = self.connection.prepare_cached(sql).map_err(failure)?;
        let changed = statement.execute(params_from_iter(parameters.iter().map(Bound))).map_err(failure)?;
        Ok(changed as u64)
    }

    fn query(&mut self, sql: &str, parameters: &[Value], each: &mut dyn FnMut(&dyn Row) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut statement = self.connection.prepare_cached(sql).map_err(failure)?;
        let mut rows = statement.query(params_from_iter(parameters.iter().map(Bound))).map_err(failure)?;
        while let Some(row) = rows.next().map_err(failure)? {
            each(&SqliteRow(row))?;
        }
        Ok(())
    }

    /// One prepared statement, run for each row: SQLite has no round trips to save.
    fn insert_rows(&mut self, table: &str, columns: &[(&str, Value)], conflict: &str) -> Result<u64, Failure> {
        let rows = columns.iter().find_map(|(_, value)| value.rows()).unwrap_or(1);
        if rows == 0 {
            return Ok(0);
        }
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let places: Vec<String> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
        let sql = format!("INSERT INTO {table} AS there ({}) VALUES ({}) {conflict}", names.join(", "), places.join(", "));
        let mut statement = self.connection.prepare_cached(&sql).map_err(failure)?;
        let mut inserted = 0;
        for row in 0..rows {
            for (place, (_, value)) in columns.iter().enumerate() {
                // What stands in every row stays bound.
                if row == 0 || value.rows().is_some() {
                    statement.raw_bind_parameter(place + 1, element(value, row)).map_err(failure)?;
                }
            }
            inserted += statement.raw_execute().map_err(failure)?;
        }
        Ok(inserted as u64)
    }

    fn keys(&mut self, names: &[&str]) -> Result<Vec<i64>, Failure> {
        let Some(known) = &mut self.keys else { return Err(Failure::other("new keys were asked for while reading")) };
        let mut numbers = Vec::with_capacity(names.len());
        for name in names {
            if let Some(key) = known.get(*name) {
                numbers.push(*key);
                continue;
            }
            let run = |sql| self.connection.prepare_cached(sql).map_err(failure);
            run("INSERT INTO anmok_keys (name) VALUES (?1) ON CONFLICT DO NOTHING")?.execute([name]).map_err(failure)?;
            let key = run("SELECT key FROM anmok_keys WHERE name = ?1")?.query_row([name], |row| row.get(0)).map_err(failure)?;
            if known.len() >= CACHED_KEYS {
                known.clear();
            }
            known.insert((*name).into(), key);
            numbers.push(key);
        }
        Ok(numbers)
    }
}

/// What a column has in one row.
fn element<'a>(value: &'a Value, row: usize) -> ToSqlOutput<'a> {
    let text = |text: &'a Cow<str>| ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()));
    match value {
        Value::Integers(list) => ToSqlOutput::Owned(list[row].into()),
        Value::Reals(list) => ToSqlOutput::Owned(list[row].into()),
        Value::Texts(list) => text(&list[row]),
        Value::OptionalTexts(list) => list[row].as_ref().map_or(ToSqlOutput::Borrowed(ValueRef::Null), text),
        Value::OptionalIntegers(list) => ToSqlOutput::Owned(list[row].into()),
        Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
        Value::Integer(value) => ToSqlOutput::Borrowed(ValueRef::Integer(*value)),
        Value::Real(value) => ToSqlOutput::Borrowed(ValueRef::Real(*value)),
        Value::Text(value) => text(value),
    }
}

/// A parameter; a list is given as JSON, for `json_each`.
struct Bound<'a>(&'a Value<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let json = |json: serde_json::Result<String>| {
            json.map(ToSqlOutput::from).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
        };
        match self.0 {
            Value::Integers(list) => json(serde_json::to_string(list)),
            Value::Reals(list) => json(serde_json::to_string(list)),
            Value::Texts(list) => json(serde_json::to_string(list)),
            Value::OptionalTexts(list) => json(serde_json::to_string(list)),
            Value::OptionalIntegers(list) => json(serde_json::to_string(list)),
            single => Ok(element(single, 0)),
        }
    }
}

struct SqliteRow<'a>(&'a rusqlite::Row<'a>);

impl Row for SqliteRow<'_> {
    fn value(&self, column: usize) -> Result<Value<'_>, Failure> {
        Ok(match self.0.get_ref(column).map_err(failure)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(value) => Value::Integer(value),
            ValueRef::Real(value) => Value::Real(value),
            text => Value::Text(Cow::Borrowed(text.as_str().map_err(|error| Failure::other(format!("column {column}: {error}")))?)),
        })
    }

    fn lossy_text(&self, column: usize) -> Result<Option<(String, bool)>, Failure> {
        Ok(match self.0.get_ref(column).map_err(failure)? {
            ValueRef::Null => None,
            ValueRef::Integer(value) => Some((value.to_string(), false)),
            ValueRef::Real(value) => Some((value.to_string(), false)),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                Some((text.to_string(), matches!(text, Cow::Owned(_))))
            }
        })
    }

    fn integer(&self, column: usize) -> Result<i64, Failure> {
        self.0.get(column).map_err(failure)
    }

    fn real(&self, column: usize) -> Result<f64, Failure> {
        self.0.get(column).map_err(failure)
    }

    fn text(&self, column: usize) -> Result<&str, Failure> {
        let value = self.0.get_ref(column).map_err(failure)?;
        value.as_str().map_err(|error| Failure::other(format!("column {column}: {error}")))
    }
}
