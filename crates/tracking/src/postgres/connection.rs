//! A connection to PostgreSQL as the statements see it.

use std::collections::HashMap;
use std::error::Error;

use bytes::BytesMut;
use futures_util::future::{join_all, join3};
use futures_util::{StreamExt, TryStreamExt, pin_mut};
use tokio::runtime::Runtime;
use tokio_postgres::Statement;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::address::Address;
use super::failure::failure;
use super::keys::Keys;
use crate::sql::{Connection, DO_NOTHING, Dialect, Failure, Fault, Planning, Query, Row, Value};

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

    /// Runs statements in one round trip: `first`, then `later`, then a query; gives the number of rows that the query changed.
    fn run(
        &mut self,
        first: Option<&str>,
        later: &[Later],
        sql: &str,
        parameters: &[&Value],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        let statement = self.statement(sql)?;
        let rows = self.client.query_raw(&statement, parameters.iter().map(|value| Bound(value)));
        self.wait(async {
            // Sent in this order, and answered in it: of several failures the first is the cause.
            let (first, later, rows) = join3(self.plain(first), self.all(later), rows).await;
            first?;
            later?;
            let rows = rows.map_err(failure)?;
            pin_mut!(rows);
            while let Some(row) = rows.next().await {
                each(&PostgresRow(row.map_err(failure)?))?;
            }
            Ok(rows.rows_affected().unwrap_or(0))
        })?
    }

    /// Runs statements in one round trip: `first`, then some whose rows are given, then `last`.
    fn run_all(&self, first: Option<&str>, statements: &[Later], last: Option<&str>) -> Result<Vec<Vec<tokio_postgres::Row>>, Failure> {
        self.wait(async {
            let (first, rows, last) = join3(self.plain(first), self.all(statements), self.plain(last)).await;
            first?;
            let rows = rows?;
            last?;
            Ok(rows)
        })?
    }

    async fn plain(&self, sql: Option<&str>) -> Result<(), Failure> {
        match sql {
            Some(sql) => self.client.batch_execute(sql).await.map_err(failure),
            None => Ok(()),
        }
    }

    /// The rows of several statements; all are sent before the first is answered.
    async fn all(&self, statements: &[Later]) -> Result<Vec<Vec<tokio_postgres::Row>>, Failure> {
        let answers = statements.iter().map(async |Later { statement, parameters }| {
            self.client.query_raw(statement, parameters.iter().map(Bound)).await?.try_collect::<Vec<_>>().await
        });
        join_all(answers).await.into_iter().map(|answer| answer.map_err(failure)).collect()
    }
}

/// A statement that is sent with others.
struct Later {
    statement: Statement,
    parameters: Vec<Value<'static>>,
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
    client: &'a mut Client,
    /// The statement that begins it, until then.
    begin: Option<&'static str>,
    /// What was not sent yet.
    later: Vec<Later>,
    /// `None` where nothing is written.
    keys: Option<&'a Keys>,
    /// Whether rows that are inserted later are taken to be new, whatever is said of those that are not: that takes half the time.
    /// If one of them is not new, the work fails with [`Fault::Duplicate`].
    optimistic: bool,
}

/// Rows are taken to be new if there are more than these: else there is little to win.
const FEW_ROWS: usize = 8;

impl<'a> Session<'a> {
    /// Each statement by itself where nothing begins a transaction.
    pub fn new(client: &'a mut Client, begin: Option<&'static str>, keys: Option<&'a Keys>) -> Self {
        Self { client, begin, later: vec![], keys, optimistic: false }
    }

    pub fn optimistic(self, optimistic: bool) -> Self {
        Self { optimistic, ..self }
    }

    /// Ends it with what was not sent yet; nothing is to be done if it never began. A failure of which the database told has
    /// undone the transaction.
    pub fn commit(self) -> Result<(), Failure> {
        if self.begin.is_some() && self.later.is_empty() {
            return Ok(());
        }
        self.client.run_all(self.begin, &self.later, Some("COMMIT")).map(drop)
    }

    /// Undoes it.
    pub fn roll_back(self) -> Result<(), Failure> {
        if self.begin.is_some() { Ok(()) } else { self.client.batch("ROLLBACK") }
    }

    fn run(&mut self, sql: &str, parameters: &[&Value], each: &mut dyn FnMut(&dyn Row) -> Result<(), Failure>) -> Result<u64, Failure> {
        let later = std::mem::take(&mut self.later);
        self.client.run(self.begin.take(), &later, sql, parameters, each)
    }

    fn later(&mut self, sql: &str, parameters: Vec<Value<'static>>) -> Result<(), Failure> {
        self.later.push(Later { statement: self.client.statement(sql)?, parameters });
        Ok(())
    }
}

impl Connection for Session<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn execute(&mut self, sql: &str, parameters: &[Value]) -> Result<u64, Failure> {
        self.run(sql, &parameters.iter().collect::<Vec<_>>(), &mut |_| Ok(()))
    }

    fn query(&mut self, sql: &str, parameters: &[Value], each: &mut dyn FnMut(&dyn Row) -> Result<(), Failure>) -> Result<(), Failure> {
        self.run(sql, &parameters.iter().collect::<Vec<_>>(), each)?;
        Ok(())
    }

    /// In one round trip. Left alone, PostgreSQL plans anew for each list of runs.
    fn queries(
        &mut self,
        planning: Planning,
        queries: &[Query],
        each: &mut dyn FnMut(usize, &dyn Row) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let before = self.later.len();
        for (sql, parameters) in queries {
            self.later(sql, parameters.iter().map(Value::to_static).collect())?;
        }
        let all = std::mem::take(&mut self.later);
        let begin = self.begin.take();
        let rows = match planning {
            Planning::Anew => self.client.run_all(begin, &all, None),
            Planning::Once => {
                let first = format!("{};SET LOCAL plan_cache_mode = force_generic_plan", begin.unwrap_or_default());
                self.client.run_all(Some(&first), &all, Some("SET LOCAL plan_cache_mode = auto"))
            }
        }?;
        for (place, rows) in rows.into_iter().skip(before).enumerate() {
            for row in rows {
                each(place, &PostgresRow(row))?;
            }
        }
        Ok(())
    }

    /// One statement with a list for each column: one round trip for any number of rows.
    fn insert_rows(&mut self, table: &str, columns: &[(&str, Value)], conflict: &str) -> Result<u64, Failure> {
        if columns.iter().any(|(_, value)| value.rows() == Some(0)) {
            return Ok(0);
        }
        let parameters: Vec<&Value> = columns.iter().map(|(_, value)| value).collect();
        self.run(&insertion(table, columns, conflict), &parameters, &mut |_| Ok(()))
    }

    /// No round trip of its own.
    fn insert_rows_later(&mut self, table: &str, columns: &[(&str, Value)], conflict: &str) -> Result<(), Failure> {
        if columns.iter().all(|(_, value)| value.rows() != Some(0)) {
            let parameters = columns.iter().map(|(_, value)| value.to_static()).collect();
            let many = columns.iter().filter_map(|(_, value)| value.rows()).max() > Some(FEW_ROWS);
            let conflict = if self.optimistic && many && conflict == DO_NOTHING { "" } else { conflict };
            self.later(&insertion(table, columns, conflict), parameters)?;
        }
        Ok(())
    }

    fn keys(&mut self, names: &[&str]) -> Result<Vec<i64>, Failure> {
        let Some(keys) = self.keys else { return Err(Failure::other("new keys were asked for while reading")) };
        keys.numbers(self, names)
    }
}

/// The statement that inserts rows of which each list among the columns has one element. Each parameter is cast to the widest type of
/// its kind: none fails before it is sent, when a COMMIT may be on its way behind it.
fn insertion(table: &str, columns: &[(&str, Value)], conflict: &str) -> String {
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
    let from =
        if lists.is_empty() { String::new() } else { format!(" FROM UNNEST({}) AS given ({})", lists.join(", "), list_names.join(", ")) };
    format!("INSERT INTO {table} AS there ({}) SELECT {}{from} {conflict}", names.join(", "), outputs.join(", "))
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
