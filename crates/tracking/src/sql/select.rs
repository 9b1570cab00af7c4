//! A search's statement in the making: conditions, orders, and pages that start where the last one ended by value.

use anmok_protocol::search::{Comparison, Order, TextTest};
use anmok_protocol::{ApiError, LifecycleStage, ViewType, Visible, validate};
use serde::{Deserialize, Serialize};

use super::connection::{Connection, Dialect, Row, Value};
use super::failure::Failure;
use super::page;

/// SQLite's own limit on a LIKE pattern, in bytes.
const PATTERN_BYTES: usize = 50_000;

/// A statement in the making. Every value is a parameter; none is ever part of the text.
pub(super) struct Sql {
    dialect: Dialect,
    /// What is joined to the FROM clause, each with a space before it.
    pub joins: String,
    conditions: Vec<String>,
    parameters: Vec<Value<'static>>,
}

impl Sql {
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, joins: String::new(), conditions: vec![], parameters: vec![] }
    }

    /// Adds a parameter and gives its place in the text.
    pub fn bind(&mut self, value: impl Into<Value<'static>>) -> String {
        self.parameters.push(value.into());
        format!("?{}", self.parameters.len())
    }

    pub fn require(&mut self, condition: String) {
        self.conditions.push(condition);
    }

    pub fn require_view(&mut self, column: &str, view: ViewType) {
        let stage = match view {
            ViewType::ActiveOnly => LifecycleStage::Active,
            ViewType::DeletedOnly => LifecycleStage::Deleted,
            ViewType::All => return,
        };
        let place = self.bind(stage.name());
        self.require(format!("{column} = {place}"));
    }

    /// The condition on a text expression that is not NULL.
    pub fn test(&mut self, expression: &str, test: &TextTest) -> Result<String, ApiError> {
        Ok(match test {
            TextTest::Equal(text) => format!("{expression} = {}", self.bind(text.clone())),
            TextTest::NotEqual(text) => format!("{expression} != {}", self.bind(text.clone())),
            TextTest::Like(pattern) | TextTest::ILike(pattern) if pattern.len() > PATTERN_BYTES => {
                return Err(ApiError::invalid(format!("a LIKE pattern can have at most {PATTERN_BYTES} bytes, got {}", pattern.len())));
            }
            TextTest::Like(pattern) => format!("{expression} LIKE {}{}", self.bind(pattern.clone()), self.dialect.no_escape()),
            TextTest::ILike(pattern) => {
                format!("lower({expression}) LIKE lower({}){}", self.bind(pattern.clone()), self.dialect.no_escape())
            }
            TextTest::In(list) => format!("{expression} IN {}", self.list(list)),
            TextTest::NotIn(list) => format!("{expression} NOT IN {}", self.list(list)),
            TextTest::Missing => format!("{expression} IS NULL"),
            TextTest::Present => format!("{expression} IS NOT NULL"),
        })
    }

    pub fn list(&mut self, list: &[String]) -> String {
        format!("(SELECT value FROM json_each({}))", self.bind(list.to_vec()))
    }

    /// The condition on a value of a key, in a table of (owner, key, value); `owner` says whose, for example `v.run = r.run`.
    pub fn keyed(&mut self, table: &str, owner: &str, key: &str, test: &TextTest) -> Result<String, ApiError> {
        let key = self.key(key);
        let there = format!("EXISTS (SELECT 1 FROM {table} v WHERE {owner} AND v.key = {key}");
        Ok(match test {
            TextTest::Missing => format!("NOT {there})"),
            TextTest::Present => format!("{there})"),
            test => format!("{there} AND {})", self.test("v.value", test)?),
        })
    }

    /// The condition on a number that is not NULL.
    pub fn compare(&mut self, expression: &str, comparison: Comparison, value: f64) -> String {
        // Told the type, because PostgreSQL would take the column's own and refuse a fraction.
        format!("{expression} {} CAST({} AS DOUBLE PRECISION)", comparison.symbol(), self.bind(value))
    }

    /// The number of a key; NULL, which equals nothing, for an unknown one.
    pub fn key(&mut self, name: &str) -> String {
        format!("(SELECT key FROM anmok_keys WHERE name = {})", self.bind(name.to_string()))
    }

    /// Lets through only what belongs to one of some experiments.
    pub fn require_experiments(&mut self, column: &str, experiments: Vec<i64>) {
        match experiments[..] {
            // Said plainly, so that the index can give the default order without sorting.
            [experiment] => {
                let place = self.bind(experiment);
                self.require(format!("{column} = {place}"));
            }
            _ => {
                let place = self.bind(experiments);
                self.require(format!("{column} IN (SELECT value FROM json_each({place}))"));
            }
        }
    }

    /// Lets through only texts that the searcher may see.
    pub fn require_visible(&mut self, column: &str, visible: &Visible) {
        match visible {
            Visible::Everything => {}
            Visible::Except(hidden) => {
                let hidden = self.list(hidden);
                self.require(format!("{column} NOT IN {hidden}"));
            }
            Visible::Only(shown) => {
                let shown = self.list(shown);
                self.require(format!("{column} IN {shown}"));
            }
        }
    }

    /// The same of experiments, which are numbers here.
    pub fn require_visible_experiments(&mut self, column: &str, visible: &Visible) -> Result<(), ApiError> {
        let (word, ids) = match visible {
            Visible::Everything => return Ok(()),
            Visible::Except(hidden) => ("NOT IN", hidden),
            Visible::Only(shown) => ("IN", shown),
        };
        let ids: Vec<i64> = ids.iter().map(|id| validate::experiment_id(id)).collect::<Result<_, _>>()?;
        let place = self.bind(ids);
        self.require(format!("{column} {word} (SELECT value FROM json_each({place}))"));
        Ok(())
    }

    /// Runs `SELECT column FROM from WHERE ... rest`.
    pub fn column<T>(
        &self,
        connection: &mut dyn Connection,
        column: &str,
        from: &str,
        rest: &str,
        read: impl FnMut(&dyn Row) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Failure> {
        connection.all(&self.select(column, from, rest), &self.parameters, read)
    }

    /// `SELECT column FROM from WHERE ... rest`.
    pub fn select(&self, column: &str, from: &str, rest: &str) -> String {
        format!("SELECT {column} FROM {from} {} {rest}", self.where_clause())
    }

    pub fn parameters(&self) -> &[Value<'static>] {
        &self.parameters
    }

    fn where_clause(&self) -> String {
        if self.conditions.is_empty() { String::new() } else { format!("WHERE {}", self.conditions.join(" AND ")) }
    }
}

/// One column of the order: an expression that is never NULL, and its direction.
pub(super) struct SortKey {
    expression: String,
    descending: bool,
}

impl SortKey {
    pub fn new(expression: impl Into<String>, descending: bool) -> Self {
        Self { expression: expression.into(), descending }
    }
}

/// The sort keys of an order whose fields are each one expression.
pub(super) fn sort_keys<F: Copy>(order: &[Order<F>], expression: impl Fn(F) -> &'static str) -> Vec<SortKey> {
    order.iter().map(|term| SortKey::new(expression(term.field), !term.ascending)).collect()
}

/// 1 where an expression is NULL, 0 elsewhere.
pub(super) fn missing(expression: &str) -> String {
    format!("(CASE WHEN {expression} IS NULL THEN 1 ELSE 0 END)")
}

/// Where a page ended: the last item's sort keys. The order's digest is there, so that a token cannot be used for another one.
#[derive(Serialize, Deserialize)]
struct Position {
    order: u64,
    keys: Vec<Scalar>,
}

#[derive(Clone, Serialize, Deserialize)]
enum Scalar {
    I(i64),
    R(f64),
    T(String),
}

impl Scalar {
    fn read(row: &dyn Row, column: usize) -> Result<Self, Failure> {
        Ok(match row.value(column)? {
            Value::Real(value) => Self::R(value),
            Value::Text(value) => Self::T(value.into_owned()),
            _ => Self::I(row.integer(column)?),
        })
    }
}

impl From<Scalar> for Value<'_> {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::I(value) => value.into(),
            Scalar::R(value) => value.into(),
            Scalar::T(value) => value.into(),
        }
    }
}

/// The metric's value of the last item of a page that was ordered by a metric first; `None` if it had no number.
pub(super) fn metric_at_end(token: &str) -> Result<Option<f64>, ApiError> {
    let position: Position = page::position(token)?;
    Ok(match position.keys[..] {
        [Scalar::I(0), Scalar::R(value), ..] => Some(value),
        _ => None,
    })
}

/// Tells orders apart within tokens (FNV-1a, the same on every machine).
fn order_digest(sort: &[SortKey]) -> u64 {
    Sql::order_clause(sort).bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

impl Sql {
    /// Lets through only what comes after the last page's end.
    pub fn require_after(&mut self, sort: &[SortKey], token: Option<&str>) -> Result<(), Failure> {
        let Some(token) = token else { return Ok(()) };
        let position: Position = page::position(token)?;
        if position.keys.len() != sort.len() || position.order != order_digest(sort) {
            return Err(ApiError::invalid("Invalid page token: it belongs to another search").into());
        }
        let places: Vec<String> = position.keys.into_iter().map(|key| self.bind(key)).collect();
        let beyond = |key: &SortKey| if key.descending { '<' } else { '>' };
        let alternatives: Vec<String> = (0..sort.len())
            .map(|at| {
                let mut terms: Vec<String> = (0..at).map(|before| format!("{} = {}", sort[before].expression, places[before])).collect();
                terms.push(format!("{} {} {}", sort[at].expression, beyond(&sort[at]), places[at]));
                format!("({})", terms.join(" AND "))
            })
            .collect();
        // Said twice, because the index can use only the first.
        if let Some(first) = sort.first() {
            self.require(format!("{} {}= {}", first.expression, beyond(first), places[0]));
        }
        self.require(format!("({})", alternatives.join(" OR ")));
        Ok(())
    }

    fn order_clause(sort: &[SortKey]) -> String {
        let terms: Vec<String> =
            sort.iter().map(|key| format!("{}{}", key.expression, if key.descending { " DESC" } else { "" })).collect();
        format!("ORDER BY {}", terms.join(", "))
    }

    /// Runs `SELECT columns, sort keys FROM from ...`, and gives the rows read and the next page's token.
    pub fn page<T>(
        &self,
        connection: &mut dyn Connection,
        columns: &str,
        from: &str,
        sort: &[SortKey],
        max_results: usize,
        mut read: impl FnMut(&dyn Row) -> Result<T, Failure>,
    ) -> Result<(Vec<T>, Option<String>), Failure> {
        let keys: Vec<&str> = sort.iter().map(|key| key.expression.as_str()).collect();
        let first_key = columns.split(',').count();
        let sql = format!(
            "SELECT {columns}, {} FROM {from} {} {} {} LIMIT {}",
            keys.join(", "),
            self.joins,
            self.where_clause(),
            Self::order_clause(sort),
            max_results + 1
        );
        let mut items = vec![];
        let mut last: Vec<Scalar> = vec![];
        let mut more = false;
        connection.query(&sql, &self.parameters, &mut |row| {
            if items.len() == max_results {
                more = true;
                return Ok(());
            }
            items.push(read(row)?);
            if items.len() == max_results {
                last = (0..sort.len()).map(|at| Scalar::read(row, first_key + at)).collect::<Result<_, _>>()?;
            }
            Ok(())
        })?;
        let token = if more { Some(page::token(&Position { order: order_digest(sort), keys: last })?) } else { None };
        Ok((items, token))
    }
}
