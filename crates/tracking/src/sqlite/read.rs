//! Reading experiments, runs and histories.

use std::collections::HashMap;

use anmok_protocol::{
    ApiError, Dataset, DatasetInput, Experiment, ExperimentTag, InputTag, Metric, Param, Run, RunData, RunInfo, RunInputs, RunOutputs,
    RunTag,
};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, ToSql};

use super::failure::Failure;
use super::location::Locations;
use super::page;
use crate::store::{Page, PageRequest};

pub(super) const EXPERIMENT_COLUMNS: &str = "experiment, name, artifact_location, lifecycle_stage, creation_time, last_update_time";

/// An experiment (its tags are filled in by [`experiment_tags`]).
pub(super) fn experiment_row(row: &Row, locations: &Locations) -> rusqlite::Result<Experiment> {
    Ok(Experiment {
        experiment_id: row.get::<_, i64>(0)?.to_string(),
        name: row.get(1)?,
        artifact_location: locations.resolved(row.get_ref(2)?.as_str()?),
        lifecycle_stage: parsed(row, 3)?,
        creation_time: row.get(4)?,
        last_update_time: row.get(5)?,
        tags: vec![],
    })
}

pub(super) fn experiment(
    connection: &Connection,
    locations: &Locations,
    condition: &str,
    value: impl ToSql,
) -> Result<Option<Experiment>, Failure> {
    let sql = format!("SELECT {EXPERIMENT_COLUMNS} FROM anmok_experiments WHERE {condition}");
    let found = connection.prepare_cached(&sql)?.query_row([value], |row| experiment_row(row, locations)).optional()?;
    let Some(mut experiment) = found else { return Ok(None) };
    experiment.tags = experiment_tags(connection, &experiment.experiment_id)?;
    Ok(Some(experiment))
}

pub(super) fn experiment_tags(connection: &Connection, experiment_id: &str) -> Result<Vec<ExperimentTag>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT k.name, t.value FROM anmok_experiment_tags t JOIN anmok_keys k USING (key) WHERE t.experiment = CAST(?1 AS INTEGER) ORDER BY k.name",
    )?;
    let tags = statement.query_map([experiment_id], |row| Ok(ExperimentTag { key: row.get(0)?, value: row.get(1)? }))?;
    Ok(tags.collect::<Result<_, _>>()?)
}

pub(super) const RUN_COLUMNS: &str =
    "r.run, r.run_id, r.run_name, r.experiment, r.user_id, r.status, r.start_time, r.end_time, r.artifact_uri, r.lifecycle_stage";

/// A run's number, and its info, from [`RUN_COLUMNS`].
pub(super) fn run_row(row: &Row, locations: &Locations) -> rusqlite::Result<(i64, RunInfo)> {
    let info = RunInfo {
        run_id: row.get(1)?,
        run_name: row.get(2)?,
        experiment_id: row.get::<_, i64>(3)?.to_string(),
        user_id: row.get(4)?,
        status: parsed(row, 5)?,
        start_time: row.get(6)?,
        end_time: row.get(7)?,
        artifact_uri: locations.resolved(row.get_ref(8)?.as_str()?),
        lifecycle_stage: parsed(row, 9)?,
    };
    Ok((row.get(0)?, info))
}

fn parsed<T: std::str::FromStr<Err = ApiError>>(row: &Row, column: usize) -> rusqlite::Result<T> {
    row.get_ref(column)?
        .as_str()?
        .parse()
        .map_err(|error: ApiError| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

pub(super) fn run_info(connection: &Connection, locations: &Locations, run_id: &str) -> Result<Option<(i64, RunInfo)>, Failure> {
    let sql = format!("SELECT {RUN_COLUMNS} FROM anmok_runs r WHERE r.run_id = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([run_id], |row| run_row(row, locations)).optional()?)
}

pub(super) fn run(connection: &Connection, locations: &Locations, run_id: &str) -> Result<Option<Run>, Failure> {
    match run_info(connection, locations, run_id)? {
        Some(found) => Ok(filled(connection, vec![found])?.pop()),
        None => Ok(None),
    }
}

/// Runs with what was logged to them, in the order given: one statement for each kind of thing, however many runs.
pub(super) fn filled(connection: &Connection, infos: Vec<(i64, RunInfo)>) -> Result<Vec<Run>, Failure> {
    let ids = json_array(infos.iter().map(|(run, _)| *run));
    let places: HashMap<i64, usize> = infos.iter().enumerate().map(|(place, (run, _))| (*run, place)).collect();
    let mut runs: Vec<Run> = infos
        .into_iter()
        .map(|(_, info)| Run { info, data: RunData::default(), inputs: RunInputs::default(), outputs: RunOutputs::default() })
        .collect();
    each(connection, METRICS, &ids, &places, &mut runs, |run, row| {
        run.data.metrics.push(metric_row(row)?);
        Ok(())
    })?;
    each(connection, PARAMS, &ids, &places, &mut runs, |run, row| {
        run.data.params.push(Param { key: row.get(1)?, value: row.get(2)? });
        Ok(())
    })?;
    each(connection, TAGS, &ids, &places, &mut runs, |run, row| {
        run.data.tags.push(RunTag { key: row.get(1)?, value: row.get(2)? });
        Ok(())
    })?;
    let mut last = None;
    each(connection, INPUTS, &ids, &places, &mut runs, |run, row| {
        let input: i64 = row.get(1)?;
        if last != Some(input) {
            last = Some(input);
            let dataset = Dataset {
                name: row.get(2)?,
                digest: row.get(3)?,
                source_type: row.get(4)?,
                source: row.get(5)?,
                schema: row.get(6)?,
                profile: row.get(7)?,
            };
            run.inputs.dataset_inputs.push(DatasetInput { tags: vec![], dataset });
        }
        if let (Some(key), Some(input)) = (row.get(8)?, run.inputs.dataset_inputs.last_mut()) {
            input.tags.push(InputTag { key, value: row.get(9)? });
        }
        Ok(())
    })?;
    Ok(runs)
}

const METRICS: &str =
    "SELECT m.run, k.name, m.value, m.is_nan, m.timestamp, m.step FROM anmok_latest_metrics m JOIN anmok_keys k USING (key)
    WHERE m.run IN (SELECT value FROM json_each(?1)) ORDER BY m.run, k.name";
const PARAMS: &str = "SELECT p.run, k.name, p.value FROM anmok_params p JOIN anmok_keys k USING (key)
    WHERE p.run IN (SELECT value FROM json_each(?1)) ORDER BY p.run, k.name";
const TAGS: &str = "SELECT t.run, k.name, t.value FROM anmok_tags t JOIN anmok_keys k USING (key)
    WHERE t.run IN (SELECT value FROM json_each(?1)) ORDER BY t.run, k.name";
const INPUTS: &str = "SELECT i.run, i.input, d.name, d.digest, d.source_type, d.source, d.schema, d.profile, t.key, t.value
    FROM anmok_inputs i JOIN anmok_datasets d USING (dataset) LEFT JOIN anmok_input_tags t USING (input)
    WHERE i.run IN (SELECT value FROM json_each(?1)) ORDER BY i.run, i.input, t.key";

fn each(
    connection: &Connection,
    sql: &str,
    ids: &str,
    places: &HashMap<i64, usize>,
    runs: &mut [Run],
    mut add: impl FnMut(&mut Run, &Row) -> rusqlite::Result<()>,
) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([ids])?;
    while let Some(row) = rows.next()? {
        if let Some(place) = places.get(&row.get(0)?) {
            add(&mut runs[*place], row)?;
        }
    }
    Ok(())
}

/// Columns 1 to 5: key, value, is_nan, timestamp, step.
fn metric_row(row: &Row) -> rusqlite::Result<Metric> {
    let value = if row.get(3)? { f64::NAN } else { row.get(2)? };
    Ok(Metric::new(row.get::<_, String>(1)?, value, row.get(4)?, row.get(5)?))
}

/// Where a page of a history ended.
type HistoryPosition = (i64, i64, f64, bool);

pub(super) fn metric_history(connection: &Connection, run_id: &str, key: &str, page: &PageRequest) -> Result<Page<Metric>, Failure> {
    let run: Option<i64> =
        connection.prepare_cached("SELECT run FROM anmok_runs WHERE run_id = ?1")?.query_row([run_id], |row| row.get(0)).optional()?;
    let run = run.ok_or_else(|| ApiError::run_not_found(run_id))?;
    let after: Option<HistoryPosition> = page.page_token.as_deref().map(page::position).transpose()?;
    let (timestamp, step, value, is_nan) = after.unwrap_or((i64::MIN, i64::MIN, f64::NEG_INFINITY, false));
    // One more than asked for tells whether there is a next page. SQLite takes -1 as no limit.
    let limit = page.max_results.map_or(-1, |max_results| i64::try_from(max_results).unwrap_or(i64::MAX).saturating_add(1));
    let mut statement = connection.prepare_cached(
        "SELECT run, ?2, value, is_nan, timestamp, step FROM anmok_metrics
         WHERE run = ?1 AND key = (SELECT key FROM anmok_keys WHERE name = ?2) AND (timestamp, step, value, is_nan) > (?3, ?4, ?5, ?6)
         ORDER BY timestamp, step, value, is_nan LIMIT ?7",
    )?;
    let rows = statement.query_map((run, key, timestamp, step, value, is_nan, limit), metric_row)?;
    let mut items: Vec<Metric> = rows.collect::<Result<_, _>>()?;
    let more = page.max_results.is_some_and(|max_results| items.len() > max_results);
    items.truncate(page.max_results.unwrap_or(usize::MAX));
    let next_page_token = match items.last().filter(|_| more) {
        Some(last) => {
            let value = if last.value.is_nan() { 0.0 } else { last.value };
            Some(page::token::<HistoryPosition>(&(last.timestamp, last.step, value, last.value.is_nan()))?)
        }
        None => None,
    };
    Ok(Page { items, next_page_token })
}

/// For `IN (SELECT value FROM json_each(?))`: one statement text for any number of ids.
pub(super) fn json_array(ids: impl Iterator<Item = i64>) -> String {
    format!("[{}]", ids.map(|id| id.to_string()).collect::<Vec<_>>().join(","))
}
