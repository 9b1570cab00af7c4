//! Searches: a typed filter and order to SQL, and pages that start where the last one ended by value.

use anmok_protocol::search::{Clause, DatasetField, NumberField, OrderField, TextField, TextTest};
use anmok_protocol::{ApiError, DATASET_CONTEXT_TAG, Experiment, LifecycleStage, Run, ViewType, validate};
use serde::{Deserialize, Serialize};

use super::connection::{Connection, Dialect, Row, Value};
use super::failure::Failure;
use super::location::Locations;
use super::{page, read};
use crate::store::{ExperimentQuery, Page, RunQuery};

/// SQLite's own limit on a LIKE pattern, in bytes.
const PATTERN_BYTES: usize = 50_000;

/// A statement in the making. Every value is a parameter; none is ever part of the text.
struct Sql {
    dialect: Dialect,
    joins: String,
    conditions: Vec<String>,
    parameters: Vec<Value<'static>>,
}

impl Sql {
    fn new(dialect: Dialect) -> Self {
        Self { dialect, joins: String::new(), conditions: vec![], parameters: vec![] }
    }

    /// Adds a parameter and gives its place in the text.
    fn bind(&mut self, value: impl Into<Value<'static>>) -> String {
        self.parameters.push(value.into());
        format!("?{}", self.parameters.len())
    }

    fn require(&mut self, condition: String) {
        self.conditions.push(condition);
    }

    fn require_view(&mut self, column: &str, view: ViewType) {
        let stage = match view {
            ViewType::ActiveOnly => LifecycleStage::Active,
            ViewType::DeletedOnly => LifecycleStage::Deleted,
            ViewType::All => return,
        };
        let place = self.bind(stage.name());
        self.require(format!("{column} = {place}"));
    }

    /// The condition on a text expression that is not NULL.
    fn test(&mut self, expression: &str, test: &TextTest) -> Result<String, ApiError> {
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

    fn list(&mut self, list: &[String]) -> String {
        format!("(SELECT value FROM json_each({}))", self.bind(list.to_vec()))
    }

    fn where_clause(&self) -> String {
        if self.conditions.is_empty() { String::new() } else { format!("WHERE {}", self.conditions.join(" AND ")) }
    }
}

/// One column of the order: an expression that is never NULL, and its direction.
struct SortKey {
    expression: String,
    descending: bool,
}

impl SortKey {
    fn new(expression: impl Into<String>, descending: bool) -> Self {
        Self { expression: expression.into(), descending }
    }
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

/// Tells orders apart within tokens (FNV-1a, the same on every machine).
fn order_digest(sort: &[SortKey]) -> u64 {
    Sql::order_clause(sort).bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

impl Sql {
    /// Lets through only what comes after the last page's end.
    fn require_after(&mut self, sort: &[SortKey], token: Option<&str>) -> Result<(), Failure> {
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
    fn page<T>(
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

pub(super) fn experiments(
    connection: &mut dyn Connection,
    locations: &Locations,
    query: &ExperimentQuery,
) -> Result<Page<Experiment>, Failure> {
    let mut sql = Sql::new(connection.dialect());
    sql.require_view("lifecycle_stage", query.view);
    let sort = [SortKey::new("creation_time", true), SortKey::new("experiment", false)];
    sql.require_after(&sort, query.page_token.as_deref())?;
    let (found, next_page_token) =
        sql.page(connection, read::EXPERIMENT_COLUMNS, "anmok_experiments", &sort, query.max_results, |row| {
            read::experiment_row(row, locations)
        })?;
    Ok(Page { items: read::experiments_with_tags(connection, found)?, next_page_token })
}

pub(super) fn runs(connection: &mut dyn Connection, locations: &Locations, query: &RunQuery) -> Result<Page<Run>, Failure> {
    let mut sql = Sql::new(connection.dialect());
    let experiments: Vec<i64> = query.experiment_ids.iter().map(|id| validate::experiment_id(id)).collect::<Result<_, _>>()?;
    match experiments[..] {
        // Said plainly, so that the index can give the default order without sorting.
        [experiment] => {
            let place = sql.bind(experiment);
            sql.require(format!("r.experiment = {place}"));
        }
        _ => {
            let place = sql.bind(experiments);
            sql.require(format!("r.experiment IN (SELECT value FROM json_each({place}))"));
        }
    }
    sql.require_view("r.lifecycle_stage", query.view);
    for clause in &query.filter.clauses {
        let condition = sql.clause(clause, locations)?;
        sql.require(condition);
    }
    let sort = sql.run_order(query, locations);
    sql.require_after(&sort, query.page_token.as_deref())?;
    let (infos, next_page_token) =
        sql.page(connection, read::RUN_COLUMNS, "anmok_runs r", &sort, query.max_results, |row| read::run_row(row, locations))?;
    Ok(Page { items: read::filled(connection, infos)?, next_page_token })
}

impl Sql {
    fn clause(&mut self, clause: &Clause, locations: &Locations) -> Result<String, ApiError> {
        Ok(match clause {
            Clause::Metric { key, comparison, value } => {
                let (key, value) = (self.key(key), self.bind(*value));
                // NaN is stored as 0: it must pass no comparison but "not equal".
                let nan = if comparison.symbol() == "!=" { "OR m.is_nan = 1" } else { "AND m.is_nan = 0" };
                format!(
                    "EXISTS (SELECT 1 FROM anmok_latest_metrics m WHERE m.run = r.run AND m.key = {key} AND (m.value {} {value} {nan}))",
                    comparison.symbol()
                )
            }
            Clause::Param { key, test } => self.keyed("anmok_params", key, test)?,
            Clause::Tag { key, test } => self.keyed("anmok_tags", key, test)?,
            Clause::Text { field, test } => {
                let expression = self.text(*field, locations);
                self.test(&expression, test)?
            }
            Clause::Number { field, comparison, value } => {
                // Told the type, because PostgreSQL would take the column's own and refuse a fraction.
                format!("{} {} CAST({} AS DOUBLE PRECISION)", number(*field), comparison.symbol(), self.bind(*value))
            }
            Clause::Dataset { field: DatasetField::Context, test } => {
                let (context, condition) = (self.bind(DATASET_CONTEXT_TAG), self.test("t.value", test)?);
                format!(
                    "EXISTS (SELECT 1 FROM anmok_inputs i JOIN anmok_input_tags t USING (input)
                     WHERE i.run = r.run AND t.key = {context} AND {condition})"
                )
            }
            Clause::Dataset { field, test } => {
                let column = if *field == DatasetField::Name { "d.name" } else { "d.digest" };
                let condition = self.test(column, test)?;
                format!("EXISTS (SELECT 1 FROM anmok_inputs i JOIN anmok_datasets d USING (dataset) WHERE i.run = r.run AND {condition})")
            }
        })
    }

    /// A condition on a param or tag.
    fn keyed(&mut self, table: &str, key: &str, test: &TextTest) -> Result<String, ApiError> {
        let key = self.key(key);
        let there = format!("EXISTS (SELECT 1 FROM {table} v WHERE v.run = r.run AND v.key = {key}");
        Ok(match test {
            TextTest::Missing => format!("NOT {there})"),
            TextTest::Present => format!("{there})"),
            test => format!("{there} AND {})", self.test("v.value", test)?),
        })
    }

    /// The number of a key; NULL, which equals nothing, for an unknown one.
    fn key(&mut self, name: &str) -> String {
        format!("(SELECT key FROM anmok_keys WHERE name = {})", self.bind(name.to_string()))
    }

    fn text(&mut self, field: TextField, locations: &Locations) -> String {
        match field {
            TextField::RunId => "r.run_id".into(),
            TextField::RunName => "r.run_name".into(),
            TextField::UserId => "r.user_id".into(),
            TextField::Status => "r.status".into(),
            TextField::ArtifactUri => {
                self.bind(locations.prefix());
                format!("({})", Locations::resolved_sql("r.artifact_uri", self.parameters.len()))
            }
        }
    }

    /// The order's terms, then start time (newest first), then run id. Missing values come last, NaN before them, whatever
    /// the direction.
    fn run_order(&mut self, query: &RunQuery, locations: &Locations) -> Vec<SortKey> {
        let mut sort = vec![];
        for (at, term) in query.order_by.iter().enumerate() {
            let descending = !term.ascending;
            let table = match &term.field {
                OrderField::Metric(_) => "anmok_latest_metrics",
                OrderField::Param(_) => "anmok_params",
                OrderField::Tag(_) => "anmok_tags",
                OrderField::Text(field) => {
                    sort.push(SortKey::new(self.text(*field, locations), descending));
                    continue;
                }
                OrderField::Number(NumberField::StartTime) => {
                    sort.push(SortKey::new("r.start_time", descending));
                    continue;
                }
                OrderField::Number(NumberField::EndTime) => {
                    sort.push(SortKey::new(missing("r.end_time"), false));
                    sort.push(SortKey::new("COALESCE(r.end_time, 0)", descending));
                    continue;
                }
            };
            if let OrderField::Metric(key) | OrderField::Param(key) | OrderField::Tag(key) = &term.field {
                let key = self.key(key);
                self.joins += &format!(" LEFT JOIN {table} s{at} ON s{at}.run = r.run AND s{at}.key = {key}");
            }
            if table == "anmok_latest_metrics" {
                sort.push(SortKey::new(format!("(CASE WHEN s{at}.value IS NULL THEN 2 ELSE s{at}.is_nan END)"), false));
                sort.push(SortKey::new(format!("COALESCE(s{at}.value, 0.0)"), descending));
            } else {
                sort.push(SortKey::new(missing(&format!("s{at}.value")), false));
                sort.push(SortKey::new(format!("COALESCE(s{at}.value, '')"), descending));
            }
        }
        if !query.order_by.iter().any(|term| term.field == OrderField::Number(NumberField::StartTime)) {
            sort.push(SortKey::new("r.start_time", true));
        }
        sort.push(SortKey::new("r.run_id", false));
        sort
    }
}

/// 1 where an expression is NULL, 0 elsewhere.
fn missing(expression: &str) -> String {
    format!("(CASE WHEN {expression} IS NULL THEN 1 ELSE 0 END)")
}

fn number(field: NumberField) -> &'static str {
    match field {
        NumberField::StartTime => "r.start_time",
        NumberField::EndTime => "r.end_time",
    }
}
