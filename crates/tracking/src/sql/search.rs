//! Searches for experiments and runs: a typed filter and order to SQL.

use anmok_protocol::search::{
    Clause, Comparison, DatasetField, ExperimentClause, ExperimentOrderField, ExperimentTime, IdTest, NumberField, OrderField, TextField,
};
use anmok_protocol::{ApiError, DATASET_CONTEXT_TAG, Experiment, Run, RunInfo, validate};

use super::candidates::{self, Questions};
use super::connection::Connection;
use super::failure::Failure;
use super::location::Locations;
use super::read;
use super::select::{SortKey, Sql, missing, sort_keys};
use crate::store::{ExperimentQuery, Page, RunQuery, SearchEffort};

pub(super) fn experiments(
    connection: &mut dyn Connection,
    locations: &Locations,
    query: &ExperimentQuery,
) -> Result<Page<Experiment>, Failure> {
    let mut sql = Sql::new(connection.dialect());
    sql.require_view("e.lifecycle_stage", query.view);
    sql.require_visible_experiments("e.experiment", &query.visible)?;
    for clause in &query.filter.clauses {
        let condition = match clause {
            ExperimentClause::Id(test) => match test {
                IdTest::Equal(id) => format!("e.experiment = {}", sql.bind(*id)),
                IdTest::NotEqual(id) => format!("e.experiment != {}", sql.bind(*id)),
                IdTest::In(ids) => format!("e.experiment IN (SELECT value FROM json_each({}))", sql.bind(ids.clone())),
                IdTest::NotIn(ids) => format!("e.experiment NOT IN (SELECT value FROM json_each({}))", sql.bind(ids.clone())),
            },
            ExperimentClause::Name(test) => sql.test("e.name", test)?,
            ExperimentClause::Time { field, comparison, value } => {
                format!("{} {} {}", time(*field), comparison.symbol(), sql.bind(*value))
            }
            ExperimentClause::Tag { key, test } => sql.keyed("anmok_experiment_tags", "v.experiment = e.experiment", key, test)?,
        };
        sql.require(condition);
    }
    let mut sort = sort_keys(&query.order_by, |field| match field {
        ExperimentOrderField::Id => "e.experiment",
        ExperimentOrderField::Name => "e.name",
        ExperimentOrderField::Time(field) => time(field),
    });
    if sort.is_empty() {
        sort.push(SortKey::new("e.creation_time", true));
        sort.push(SortKey::new("e.experiment", false));
    } else if !query.order_by.iter().any(|term| term.field == ExperimentOrderField::Id) {
        sort.push(SortKey::new("e.experiment", true));
    }
    sql.require_after(&sort, query.page_token.as_deref())?;
    let (found, next_page_token) =
        sql.page(connection, read::EXPERIMENT_COLUMNS, "anmok_experiments e", &sort, query.max_results, |row| {
            read::experiment_row(row, locations)
        })?;
    Ok(Page { items: read::experiments_with_tags(connection, found)?, next_page_token })
}

fn time(field: ExperimentTime) -> &'static str {
    match field {
        ExperimentTime::Creation => "e.creation_time",
        ExperimentTime::LastUpdate => "e.last_update_time",
    }
}

pub(super) fn runs(
    connection: &mut dyn Connection,
    locations: &Locations,
    effort: SearchEffort,
    query: &RunQuery,
) -> Result<Page<Run>, Failure> {
    let experiments: Vec<i64> = query.experiment_ids.iter().map(|id| validate::experiment_id(id)).collect::<Result<_, _>>()?;
    let search = RunSearch { query, experiments, locations };
    let (infos, next_page_token) = match search.narrowed(connection, effort)? {
        Some(found) => found,
        None => search.page(connection, None)?,
    };
    Ok(Page { items: read::filled(connection, infos)?, next_page_token })
}

/// A search for runs in some experiments.
struct RunSearch<'a> {
    query: &'a RunQuery,
    experiments: Vec<i64>,
    locations: &'a Locations,
}

/// Runs with their numbers, and the next page's token.
type FoundRuns = (Vec<(i64, RunInfo)>, Option<String>);

impl RunSearch<'_> {
    /// The page, found among a few runs; `None` if all have to be looked at.
    fn narrowed(&self, connection: &mut dyn Connection, effort: SearchEffort) -> Result<Option<FoundRuns>, Failure> {
        let questions = Questions::new(connection.dialect(), self.query, &self.experiments)?;
        let is_by_metric = candidates::is_by_metric(self.query);
        if questions.is_empty() && !is_by_metric {
            return Ok(None);
        }
        let runs = candidates::count(connection, &self.experiments, effort.without_condition.max(effort.without_order) + 1)?;
        if runs > effort.without_condition
            // What most of them meet is not worth a list.
            && let Some(few) = questions.few_runs(connection, effort.rare.min(runs / 4 * 3))?
        {
            return self.page(connection, Some(few)).map(Some);
        }
        if !is_by_metric || runs <= effort.without_order {
            return Ok(None);
        }
        for most in effort.heads.into_iter().filter(|most| *most > self.query.max_results) {
            let Some(head) = candidates::head_by_metric(connection, self.query, most)? else { return Ok(None) };
            let found = self.page(connection, Some(head.runs))?;
            // With a page to follow, this one is full, and whatever is not on the list comes after it.
            if found.1.is_some() {
                return Ok(Some(found));
            }
            if head.is_all {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// The page among some runs, or among all.
    fn page(&self, connection: &mut dyn Connection, among: Option<Vec<i64>>) -> Result<FoundRuns, Failure> {
        let mut sql = Sql::new(connection.dialect());
        // Where runs are named, they are what to look up by. The plus hides the index of experiments: through it, each of their runs
        // would be looked for in the list.
        let experiment = if among.is_some() { "+r.experiment" } else { "r.experiment" };
        sql.require_experiments(experiment, self.experiments.clone());
        sql.require_view("r.lifecycle_stage", self.query.view);
        let sort = run_order(&mut sql, self.query, self.locations);
        for clause in &self.query.filter.clauses {
            let condition = run_clause(&mut sql, clause, self.query, self.locations)?;
            sql.require(condition);
        }
        // After the order, in which parameters have numbers: the same search has the same tokens with a list and without.
        if let Some(runs) = among {
            let runs = sql.bind(runs);
            sql.require(format!("r.run IN (SELECT value FROM json_each({runs}))"));
        }
        sql.require_after(&sort, self.query.page_token.as_deref())?;
        sql.page(connection, read::RUN_COLUMNS, "anmok_runs r", &sort, self.query.max_results, |row| read::run_row(row, self.locations))
    }
}

/// `query` is the one whose order was made by [`run_order`].
fn run_clause(sql: &mut Sql, clause: &Clause, query: &RunQuery, locations: &Locations) -> Result<String, ApiError> {
    let owner = "v.run = r.run";
    Ok(match clause {
        Clause::Metric { key, comparison, value } => {
            let value = sql.bind(*value);
            // NaN is stored as 0: it must pass no comparison but "not equal".
            let (symbol, nan) = (comparison.symbol(), if *comparison == Comparison::NotEqual { "OR" } else { "AND NOT" });
            let met = |point: &str| format!("{point}.value {symbol} {value} {nan} {point}.is_nan = 1");
            // A CASE or a value, and nothing that could be said as a join: the databases would go through the index of values for every
            // single run.
            let ordered = query.order_by.iter().position(|term| matches!(&term.field, OrderField::Metric(metric) if metric == key));
            match ordered {
                // The order has found the metric already.
                Some(at) => format!("(CASE WHEN {} THEN 1 = 1 END)", met(&format!("s{at}"))),
                None => format!("(SELECT {} FROM anmok_latest_metrics m WHERE m.run = r.run AND m.key = {})", met("m"), sql.key(key)),
            }
        }
        Clause::Param { key, test } => sql.keyed("anmok_params", owner, key, test)?,
        Clause::Tag { key, test } => sql.keyed("anmok_tags", owner, key, test)?,
        Clause::Text { field, test } => {
            let expression = text(sql, *field, locations);
            sql.test(&expression, test)?
        }
        Clause::Number { field, comparison, value } => sql.compare(number(*field), *comparison, *value),
        Clause::Dataset { field: DatasetField::Context, test } => {
            let (context, condition) = (sql.bind(DATASET_CONTEXT_TAG), sql.test("t.value", test)?);
            format!(
                "EXISTS (SELECT 1 FROM anmok_inputs i JOIN anmok_input_tags t USING (input)
                 WHERE i.run = r.run AND t.key = {context} AND {condition})"
            )
        }
        Clause::Dataset { field, test } => {
            let column = if *field == DatasetField::Name { "d.name" } else { "d.digest" };
            let condition = sql.test(column, test)?;
            format!("EXISTS (SELECT 1 FROM anmok_inputs i JOIN anmok_datasets d USING (dataset) WHERE i.run = r.run AND {condition})")
        }
    })
}

fn text(sql: &mut Sql, field: TextField, locations: &Locations) -> String {
    match field {
        TextField::RunId => "r.run_id".into(),
        TextField::RunName => "r.run_name".into(),
        TextField::UserId => "r.user_id".into(),
        TextField::Status => "r.status".into(),
        TextField::ArtifactUri => {
            let place = sql.bind(locations.prefix());
            format!("({})", Locations::resolved_sql("r.artifact_uri", &place))
        }
    }
}

/// The order's terms, then start time (newest first), then run id. Missing values come last, NaN before them, whatever the
/// direction.
fn run_order(sql: &mut Sql, query: &RunQuery, locations: &Locations) -> Vec<SortKey> {
    let mut sort = vec![];
    for (at, term) in query.order_by.iter().enumerate() {
        let descending = !term.ascending;
        let (table, key) = match &term.field {
            OrderField::Metric(key) => ("anmok_latest_metrics", key),
            OrderField::Param(key) => ("anmok_params", key),
            OrderField::Tag(key) => ("anmok_tags", key),
            OrderField::Text(field) => {
                sort.push(SortKey::new(text(sql, *field, locations), descending));
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
        let key = sql.key(key);
        sql.joins += &format!(" LEFT JOIN {table} s{at} ON s{at}.run = r.run AND s{at}.key = {key}");
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

fn number(field: NumberField) -> &'static str {
    match field {
        NumberField::StartTime => "r.start_time",
        NumberField::EndTime => "r.end_time",
    }
}
