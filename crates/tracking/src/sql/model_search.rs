//! The search for logged models.

use anmok_protocol::search::{Comparison, LoggedModelClause, LoggedModelOrderField, LoggedModelText, LoggedModelTime};
use anmok_protocol::{ApiError, LoggedModel, ViewType, validate};

use super::connection::Connection;
use super::failure::Failure;
use super::location::Locations;
use super::logged_models::{COLUMNS, filled, model_row};
use super::select::{SortKey, Sql, missing};
use crate::store::Page;
use crate::tracking_store::LoggedModelQuery;

pub(super) fn logged_models(
    connection: &mut dyn Connection,
    locations: &Locations,
    query: &LoggedModelQuery,
) -> Result<Page<LoggedModel>, Failure> {
    let mut sql = Sql::new(connection.dialect());
    let experiments = query.experiment_ids.iter().map(|id| validate::experiment_id(id)).collect::<Result<_, _>>()?;
    sql.require_experiments("l.experiment", experiments);
    sql.require_view("l.lifecycle_stage", ViewType::ActiveOnly);
    let on_datasets = on_datasets(&mut sql, query);
    for clause in &query.filter.clauses {
        let condition = clause_condition(&mut sql, clause, &on_datasets)?;
        sql.require(condition);
    }
    let asks_metrics = query.filter.clauses.iter().any(|clause| matches!(clause, LoggedModelClause::Metric { .. }));
    if !asks_metrics && !on_datasets.is_empty() {
        sql.require(format!("EXISTS (SELECT 1 FROM anmok_logged_model_metrics m WHERE m.model = l.model{on_datasets})"));
    }
    let sort = order(&mut sql, query);
    sql.require_after(&sort, query.page_token.as_deref())?;
    let (found, next_page_token) =
        sql.page(connection, COLUMNS, "anmok_logged_models l", &sort, query.max_results, |row| model_row(row, locations))?;
    Ok(Page { items: filled(connection, found)?, next_page_token })
}

/// What makes a point `m` one that was measured on one of the query's data sets; empty if it names none.
fn on_datasets(sql: &mut Sql, query: &LoggedModelQuery) -> String {
    let alternatives: Vec<String> = query
        .datasets
        .iter()
        .map(|dataset| {
            let name = format!("m.dataset_name = {}", sql.bind(dataset.name.clone()));
            match &dataset.digest {
                Some(digest) => format!("({name} AND m.dataset_digest = {})", sql.bind(digest.clone())),
                None => name,
            }
        })
        .collect();
    if alternatives.is_empty() { String::new() } else { format!(" AND ({})", alternatives.join(" OR ")) }
}

fn clause_condition(sql: &mut Sql, clause: &LoggedModelClause, on_datasets: &str) -> Result<String, ApiError> {
    let owner = "v.model = l.model";
    Ok(match clause {
        LoggedModelClause::Metric { key, comparison, value } => {
            let (key, value) = (sql.key(key), sql.bind(*value));
            // As with runs, NaN passes no comparison but "not equal".
            let nan = if *comparison == Comparison::NotEqual { "OR m.is_nan = 1" } else { "AND m.is_nan = 0" };
            format!(
                "EXISTS (SELECT 1 FROM anmok_logged_model_metrics m
                 WHERE m.model = l.model AND m.key = {key} AND (m.value {} {value} {nan}){on_datasets})",
                comparison.symbol()
            )
        }
        LoggedModelClause::Param { key, test } => sql.keyed("anmok_logged_model_params", owner, key, test)?,
        LoggedModelClause::Tag { key, test } => sql.keyed("anmok_logged_model_tags", owner, key, test)?,
        LoggedModelClause::Text { field, test } => sql.test(text(*field), test)?,
        LoggedModelClause::Time { field, comparison, value } => sql.compare(time(*field), *comparison, *value),
    })
}

fn text(field: LoggedModelText) -> &'static str {
    match field {
        LoggedModelText::Name => "l.name",
        LoggedModelText::ModelId => "l.model_id",
        LoggedModelText::ModelType => "l.model_type",
        LoggedModelText::Status => "l.status",
        LoggedModelText::SourceRunId => "l.source_run_id",
    }
}

fn time(field: LoggedModelTime) -> &'static str {
    match field {
        LoggedModelTime::Creation => "l.creation_time",
        LoggedModelTime::LastUpdated => "l.last_update_time",
    }
}

fn order(sql: &mut Sql, query: &LoggedModelQuery) -> Vec<SortKey> {
    let mut sort = vec![];
    let (mut by_creation, mut by_id) = (false, false);
    for term in &query.order_by {
        let descending = !term.ascending;
        match &term.field {
            LoggedModelOrderField::Metric { key, dataset_name, dataset_digest } => {
                let mut which = format!("m.model = l.model AND m.key = {}", sql.key(key));
                for (column, wanted) in [("m.dataset_name", dataset_name), ("m.dataset_digest", dataset_digest)] {
                    if let Some(wanted) = wanted {
                        which += &format!(" AND {column} = {}", sql.bind(wanted.clone()));
                    }
                }
                let latest = |column: &str| {
                    format!(
                        "(SELECT m.{column} FROM anmok_logged_model_metrics m WHERE {which} ORDER BY m.timestamp DESC, m.step DESC, m.run LIMIT 1)"
                    )
                };
                sort.push(SortKey::new(format!("COALESCE({}, 2)", latest("is_nan")), false));
                sort.push(SortKey::new(format!("COALESCE({}, 0.0)", latest("value")), descending));
            }
            LoggedModelOrderField::Text(field @ (LoggedModelText::ModelType | LoggedModelText::SourceRunId)) => {
                sort.push(SortKey::new(missing(text(*field)), false));
                sort.push(SortKey::new(format!("COALESCE({}, '')", text(*field)), descending));
            }
            LoggedModelOrderField::Text(field) => {
                by_id |= *field == LoggedModelText::ModelId;
                sort.push(SortKey::new(text(*field), descending));
            }
            LoggedModelOrderField::Time(field) => {
                by_creation |= *field == LoggedModelTime::Creation;
                sort.push(SortKey::new(time(*field), descending));
            }
        }
    }
    if !by_creation {
        sort.push(SortKey::new("l.creation_time", true));
    }
    if !by_id {
        sort.push(SortKey::new("l.model_id", false));
    }
    sort
}
