//! A connection to PostgreSQL as the statements see it.

use std::collections::HashMap;
use std::error::Error;

use bytes::BytesMut;
use futures_util::future::join;
use futures_util::{StreamExt, pin_mut};
use tokio::runtime::Runtime;
use tokio_postgres::Statement;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::address::Address;
use super::failure::failure;
use super::keys::Keys;
use crate::sql::{Connection, Dialect, Failure, Fault, Row, Value};

/// The prepared statements that a connection keeps at most; then it starts afresh.
const STATEMENTS: usize = 256;

/// A connection with its own small runtime, which runs only while a caller waits for an answer.
pub(super) struct Client {
    runtime: Option<Runtime>,
    client: tokio_postgres::Client,
    statements: HashMap<String, Statement>,
}

impl Client {
    pub fn connect(address: &Address) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::other(format!("no runtime can be made: {error}")))?;
        let client = runtime.block_on(async {
            let (client, connection) = address.config.connect(address.tls.clone()).await?;
            // Its end is told by whatever uses the client next.
            tokio::spawn(async move { connection.await.ok() });
            // An acknowledged write is on the server's disk, whatever the server's default; compiling a query that takes
            // milliseconds costs more than it saves.
            client.batch_execute("SET synchronous_commit = on; SET jit = off").await?;
            Ok(client)
        });
        Ok(Self { runtime: Some(runtime), client: client.map_err(failure)?, statements: HashMap::new() })
    }

    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs statements without parameters.
    pub fn batch(&self, sql: &str) -> Result<(), Failure> {
        self.wait(self.client.batch_execute(sql))?.map_err(failure)
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        Ok(self.runtime.as_ref().ok_or_else(|| Failure::new(Fault::Unavailable, "the connection was closed"))?.block_on(work))
    }

    fn statement(&mut self, sql: &str) -> Result<Statement, Failure> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.wait(self.client.prepare(&translated(sql)))?.map_err(failure)?;
        if self.statements.len() >= STATEMENTS {
            self.statements.clear();
        }
        self.statements.insert(sql.into(), statement.clone());
        Ok(statement)
    }

    /// Runs a statement, after `first` in the same round trip, and gives the number of rows that it changed.
    fn run(
        &mut self,
        first: Option<&str>,
        sql: &str,
        parameters: &[&Value],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        let statement = self.statement(sql)?;
        let client = &self.client;
        let first = async {
            match first {
                Some(first) => client.batch_execute(first).await,
                None => Ok(()),
            }
        };
        let rows = client.query_raw(&statement, parameters.iter().map(|value| Bound(value)));
        self.wait(async {
            let (first, rows) = join(first, rows).await;
            first.map_err(failure)?;
            let rows = rows.map_err(failure)?;
            pin_mut!(rows);
            while let Some(row) = rows.next().await {
                each(&PostgresRow(row.map_err(failure)?))?;
            }
            Ok(rows.rows_affected().unwrap_or(0))
        })?
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The plain drop of a runtime panics inside another runtime, where a server may well drop its store.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A transaction, begun with its first statement.
pub(super) struct Session<'a> {
    pub client: &'a mut Client,
    /// The statement that begins it, until then.
    pub begin: Option<&'static str>,
    /// `None` where nothing is written.
    pub keys: Option<&'a Keys>,
}

impl Session<'_> {
    /// Ends it; nothing is to be done if it never began.
    pub fn end(self, sql: &str) -> Result<(), Failure> {
        if self.begin.is_some() { Ok(()) } else { self.client.batch(sql) }
    }
}

impl Connection for Session<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn execute(&mut self, sql: &str, parameters: &[Value]) -> Result<u64, Failure> {
        let parameters: Vec<&Value> = parameters.iter().collect();
        self.client.run(self.begin.take(), sql, &parameters, &mut |_| Ok(()))
    }

    fn query(&mut self, sql: &str, parameters: &[Value], each: &mut dyn FnMut(&dyn Row) -> Result<(), Failure>) -> Result<(), Failure> {
        let parameters: Vec<&Value> = parameters.iter().collect();
        self.client.run(self.begin.take(), sql, &parameters, each)?;
        Ok(())
    }

    /// One statement with a list for each column: one round trip for any number of rows.
    fn insert_rows(&mut self, table: &str, columns: &[(&str, Value)], conflict: &str) -> Result<u64, Failure> {
        if columns.iter().any(|(_, value)| value.rows() == Some(0)) {
            return Ok(0);
        }
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let (mut outputs, mut lists, mut list_names) = (vec![], vec![], vec![]);
        for (at, (name, value)) in columns.iter().enumerate() {
            let kind = match value {
                Value::Integer(_) | Value::Integers(_) | Value::OptionalIntegers(_) => "BIGINT",
                Value::Real(_) | Value::Reals(_) => "DOUBLE PRECISION",
                Value::Null | Value::Text(_) | Value::Texts(_) | Value::OptionalTexts(_) => "TEXT",
            };
            let place = at + 1;
            if value.rows().is_some() {
                outputs.push((*name).to_string());
                list_names.push(*name);
                lists.push(format!("CAST(?{place} AS {kind}[])"));
            } else {
                outputs.push(format!("CAST(?{place} AS {kind})"));
            }
        }
        let from = if lists.is_empty() {
            String::new()
        } else {
            format!(" FROM UNNEST({}) AS given ({})", lists.join(", "), list_names.join(", "))
        };
        let sql = format!("INSERT INTO {table} AS there ({}) SELECT {}{from} {conflict}", names.join(", "), outputs.join(", "));
        let parameters: Vec<&Value> = columns.iter().map(|(_, value)| value).collect();
        self.client.run(self.begin.take(), &sql, &parameters, &mut |_| Ok(()))
    }

    fn keys(&mut self, names: &[&str]) -> Result<Vec<i64>, Failure> {
        let Some(keys) = self.keys else { return Err(Failure::other("new keys were asked for while reading")) };
        keys.numbers(self, names)
    }
}

/// A statement in PostgreSQL's words: tables in the schema `anmok`, parameters `$1`, lists by ANY and ALL.
fn translated(sql: &str) -> String {
    const LIST: &str = "IN (SELECT value FROM json_each(?";
    let mut text = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(at) = rest.find(LIST) {
        let before = &rest[..at];
        let after = &rest[at + LIST.len()..];
        let end = after.find("))").unwrap_or(after.len());
        match before.strip_suffix("NOT ") {
            Some(before) => text += &format!("{before}<> ALL(?{})", &after[..end]),
            None => text += &format!("{before}= ANY(?{})", &after[..end]),
        }
        rest = after.get(end + 2..).unwrap_or_default();
    }
    text += rest;
    text.replace("anmok_", "anmok.").replace('?', "$")
}

/// A parameter, in the type that the statement asks for.
#[derive(Debug)]
struct Bound<'a>(&'a Value<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let narrow = |list: &[i64]| list.iter().map(|value| i32::try_from(*value)).collect::<Result<Vec<_>, _>>();
        match self.0 {
            Value::Null => Ok(IsNull::Yes),
            Value::Integer(value) => match *ty {
                Type::INT4 => i32::try_from(*value)?.to_sql(ty, out),
                Type::INT2 => i16::try_from(*value)?.to_sql(ty, out),
                Type::FLOAT8 => (*value as f64).to_sql(ty, out),
                _ => value.to_sql_checked(ty, out),
            },
            Value::Real(value) => value.to_sql_checked(ty, out),
            Value::Text(value) => value.as_ref().to_sql_checked(ty, out),
            Value::Integers(list) if *ty == Type::INT4_ARRAY => narrow(list)?.to_sql(ty, out),
            Value::Integers(list) => list.as_ref().to_sql_checked(ty, out),
            Value::OptionalIntegers(list) => list.to_sql_checked(ty, out),
            Value::Reals(list) => list.as_ref().to_sql_checked(ty, out),
            Value::Texts(list) => list.iter().map(AsRef::as_ref).collect::<Vec<&str>>().to_sql_checked(ty, out),
            Value::OptionalTexts(list) => list.iter().map(Option::as_deref).collect::<Vec<Option<&str>>>().to_sql_checked(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

struct PostgresRow(tokio_postgres::Row);

impl PostgresRow {
    fn optional_number(&self, column: usize) -> Result<Option<i64>, Failure> {
        let number = match *self.0.columns()[column].type_() {
            Type::INT4 => self.0.try_get::<_, Option<i32>>(column).map(|value| value.map(i64::from)),
            Type::INT2 => self.0.try_get::<_, Option<i16>>(column).map(|value| value.map(i64::from)),
            Type::BOOL => self.0.try_get::<_, Option<bool>>(column).map(|value| value.map(i64::from)),
            _ => self.0.try_get::<_, Option<i64>>(column),
        };
        number.map_err(failure)
    }
}

impl Row for PostgresRow {
    fn value(&self, column: usize) -> Result<Value<'_>, Failure> {
        Ok(match *self.0.columns()[column].type_() {
            Type::FLOAT8 => self.0.try_get::<_, Option<f64>>(column).map_err(failure)?.into(),
            Type::INT8 | Type::INT4 | Type::INT2 | Type::BOOL => self.optional_number(column)?.into(),
            _ => self.0.try_get::<_, Option<&str>>(column).map_err(failure)?.into(),
        })
    }

    fn integer(&self, column: usize) -> Result<i64, Failure> {
        self.optional_number(column)?.ok_or_else(|| Failure::other(format!("column {column} has no number")))
    }

    fn real(&self, column: usize) -> Result<f64, Failure> {
        self.0.try_get(column).map_err(failure)
    }

    fn text(&self, column: usize) -> Result<&str, Failure> {
        self.0.try_get(column).map_err(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::translated;

    #[test]
    fn statements_are_translated() {
        for (sqlite, postgres) in [
            ("SELECT run FROM anmok_runs WHERE run_id = ?1 LIMIT ?12", "SELECT run FROM anmok.runs WHERE run_id = $1 LIMIT $12"),
            ("x IN (SELECT value FROM json_each(?3)) AND y = ?4", "x = ANY($3) AND y = $4"),
            ("(x NOT IN (SELECT value FROM json_each(?3)))", "(x <> ALL($3))"),
            (
                "x IN (SELECT run FROM anmok_tags WHERE key IN (SELECT value FROM json_each(?1)))",
                "x IN (SELECT run FROM anmok.tags WHERE key = ANY($1))",
            ),
        ] {
            assert_eq!(translated(sqlite), postgres);
        }
    }
}
