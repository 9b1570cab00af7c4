//! Which runs a search has to look at, as far as an index can tell.
//!
//! A search takes the runs of its experiments one by one. Among many runs that is slow in two cases: under a condition that few
//! of them meet, and in an order by a metric, for which all have to be read before the first is known. In both an index gives
//! a short list (SQLite's of names, too), and the same search among the list gives the same page.

use std::collections::BTreeSet;

use anmok_protocol::search::{Clause, Comparison, OrderField, TextField, TextTest};

use super::connection::{Connection, Dialect, Planning, Query};
use super::failure::Failure;
use super::select::{Sql, metric_at_end};
use crate::store::RunQuery;

/// How many runs there are in some experiments, counted up to a number.
pub(super) fn count(connection: &mut dyn Connection, experiments: &[i64], most: usize) -> Result<usize, Failure> {
    let mut sql = Sql::new(connection.dialect());
    sql.require_experiments("v.experiment", experiments.to_vec());
    let some = sql.select("1", "anmok_runs v", &format!("LIMIT {most}"));
    let counted = connection.first(&format!("SELECT count(*) FROM ({some}) AS v"), sql.parameters(), |row| row.integer(0))?;
    Ok(counted.and_then(|counted| usize::try_from(counted).ok()).unwrap_or(0))
}

/// The conditions of a search that an index answers.
#[derive(Default)]
pub(super) struct Questions {
    /// What an index finds at once.
    values: Vec<Question>,
    /// All names have to be read for one.
    names: Vec<Question>,
}

/// A condition on the table `v`.
struct Question {
    sql: Sql,
    table: &'static str,
}

impl Questions {
    pub fn new(dialect: Dialect, query: &RunQuery, experiments: &[i64]) -> Result<Self, Failure> {
        let mut questions = Self::default();
        for clause in &query.filter.clauses {
            let mut sql = Sql::new(dialect);
            let Some(table) = indexed(&mut sql, clause, experiments)? else { continue };
            let is_name = matches!(clause, Clause::Text { field: TextField::RunName, .. });
            let kind = if is_name { &mut questions.names } else { &mut questions.values };
            kind.push(Question { sql, table });
        }
        Ok(questions)
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.names.is_empty()
    }

    /// All runs that meet each condition which at most `rare` runs meet, if there is such a condition.
    pub fn few_runs(&self, connection: &mut dyn Connection, rare: usize) -> Result<Option<Vec<i64>>, Failure> {
        match common(connection, &self.values, rare)? {
            None => common(connection, &self.names, rare),
            found => Ok(found),
        }
    }
}

fn common(connection: &mut dyn Connection, questions: &[Question], rare: usize) -> Result<Option<Vec<i64>>, Failure> {
    if questions.is_empty() {
        return Ok(None);
    }
    let some = format!("LIMIT {}", rare + 1);
    let statements: Vec<String> = questions.iter().map(|question| question.sql.select("v.run", question.table, &some)).collect();
    let queries: Vec<Query> = statements.iter().zip(questions).map(|(sql, question)| (sql.as_str(), question.sql.parameters())).collect();
    let mut found = vec![vec![]; questions.len()];
    connection.queries(Planning::Anew, &queries, &mut |place, row| {
        found[place].push(row.integer(0)?);
        Ok(())
    })?;
    let few = found.into_iter().filter(|runs| runs.len() <= rare);
    Ok(few
        .map(|runs| runs.into_iter().collect::<BTreeSet<i64>>())
        .reduce(|left, right| &left & &right)
        .map(|runs| runs.into_iter().collect()))
}

/// The table `v` that has all that a condition asks, in an index where the database has one; the condition is then required.
fn indexed(sql: &mut Sql, clause: &Clause, experiments: &[i64]) -> Result<Option<&'static str>, Failure> {
    Ok(Some(match clause {
        Clause::Metric { key, comparison, value } if *comparison != Comparison::NotEqual => {
            let (key, value) = (sql.key(key), sql.bind(*value));
            sql.require(format!("v.key = {key} AND v.is_nan = 0 AND v.value {} {value}", comparison.symbol()));
            "anmok_latest_metrics v"
        }
        Clause::Param { key, test: TextTest::Equal(value) } => {
            require_value(sql, key, value);
            "anmok_params v"
        }
        Clause::Tag { key, test: TextTest::Equal(value) } => {
            require_value(sql, key, value);
            "anmok_tags v"
        }
        Clause::Text { field: TextField::RunName, test } => {
            sql.require_experiments("v.experiment", experiments.to_vec());
            let condition = sql.test("v.run_name", test)?;
            sql.require(condition);
            "anmok_runs v"
        }
        _ => return Ok(None),
    }))
}

fn require_value(sql: &mut Sql, key: &str, value: &str) {
    let (key, value) = (sql.key(key), sql.bind(value.to_owned()));
    // What an index of texts holds of each, as the indexes say it: PostgreSQL's entries have a limit.
    let prefix = |text: &str| format!("substr({text}, 1, 64)");
    sql.require(format!("v.key = {key} AND {} = {} AND v.value = {value}", prefix("v.value"), prefix(&value)));
}

/// Whether a search is ordered by a metric before all else.
pub(super) fn is_by_metric(query: &RunQuery) -> bool {
    query.order_by.first().is_some_and(|term| matches!(term.field, OrderField::Metric(_)))
}

/// The first runs of an order.
pub(super) struct Head {
    pub runs: Vec<i64>,
    /// Whether no other run has a number there.
    pub is_all: bool,
}

/// The runs that come first in an order by a metric, after the page before: at most `most`, and every other run comes after
/// all of them. `None` where the order is another one, or the page before ended among runs without a number.
pub(super) fn head_by_metric(connection: &mut dyn Connection, query: &RunQuery, most: usize) -> Result<Option<Head>, Failure> {
    let Some((OrderField::Metric(key), ascending)) = query.order_by.first().map(|term| (&term.field, term.ascending)) else {
        return Ok(None);
    };
    let (before, after, direction) = if ascending { ('<', '>', "") } else { ('>', '<', " DESC") };
    let table = "anmok_latest_metrics v";
    let mut sql = Sql::new(connection.dialect());
    let key = sql.key(key);
    sql.require(format!("v.key = {key} AND v.is_nan = 0"));
    if let Some(token) = &query.page_token {
        let Some(end) = metric_at_end(token)? else { return Ok(None) };
        let end = sql.bind(end);
        sql.require(format!("v.value {after}= {end}"));
    }
    let bound =
        sql.column(connection, "v.value", table, &format!("ORDER BY v.value{direction} LIMIT 1 OFFSET {most}"), |row| row.real(0))?;
    // Runs with equal values stand in an order that this index does not know: all of them are on the list, or none.
    if let Some(bound) = bound.first() {
        let bound = sql.bind(*bound);
        sql.require(format!("v.value {before} {bound}"));
    }
    let runs = sql.column(connection, "v.run", table, "", |row| row.integer(0))?;
    Ok(Some(Head { runs, is_all: bound.is_empty() }))
}
