//! Reading experiments, runs and histories.

use std::collections::HashMap;

use anmok_protocol::{
    ApiError, Dataset, DatasetInput, Experiment, ExperimentTag, InputTag, Metric, ModelInput, ModelOutput, Param, Run, RunData, RunInfo,
    RunInputs, RunOutputs, RunTag,
};

use super::connection::{Connection, Planning, Row, Value};
use super::failure::Failure;
use super::location::Locations;
use super::page;
use crate::store::{Page, PageRequest};

pub(super) const EXPERIMENT_COLUMNS: &str = "experiment, name, artifact_location, lifecycle_stage, creation_time, last_update_time";

/// An experiment's number, and itself (its tags are filled in by [`experiment_tags`]).
pub(super) fn experiment_row(row: &dyn Row, locations: &Locations) -> Result<(i64, Experiment), Failure> {
    let experiment = row.integer(0)?;
    Ok((
        experiment,
        Experiment {
            experiment_id: experiment.to_string(),
            name: row.string(1)?,
            artifact_location: locations.resolved(row.text(2)?),
            lifecycle_stage: parsed(row, 3)?,
            creation_time: row.integer(4)?,
            last_update_time: row.integer(5)?,
            tags: vec![],
        },
    ))
}

pub(super) fn experiment<'a>(
    connection: &mut dyn Connection,
    locations: &Locations,
    condition: &str,
    value: impl Into<Value<'a>>,
) -> Result<Option<Experiment>, Failure> {
    let sql = format!("SELECT {EXPERIMENT_COLUMNS} FROM anmok_experiments WHERE {condition}");
    match connection.first(&sql, &[value.into()], |row| experiment_row(row, locations))? {
        Some(found) => Ok(experiments_with_tags(connection, vec![found])?.pop()),
        None => Ok(None),
    }
}

/// Experiments with their tags, in the order given.
pub(super) fn experiments_with_tags(connection: &mut dyn Connection, found: Vec<(i64, Experiment)>) -> Result<Vec<Experiment>, Failure> {
    let numbers: Vec<i64> = found.iter().map(|(number, _)| *number).collect();
    let places: HashMap<i64, usize> = numbers.iter().enumerate().map(|(place, number)| (*number, place)).collect();
    let mut experiments: Vec<Experiment> = found.into_iter().map(|(_, experiment)| experiment).collect();
    connection.query(
        "SELECT t.experiment, k.name, t.value FROM anmok_experiment_tags t JOIN anmok_keys k USING (key)
         WHERE t.experiment IN (SELECT value FROM json_each(?1)) ORDER BY t.experiment, k.name",
        &[numbers.into()],
        &mut |row| {
            if let Some(place) = places.get(&row.integer(0)?) {
                experiments[*place].tags.push(ExperimentTag { key: row.string(1)?, value: row.string(2)? });
            }
            Ok(())
        },
    )?;
    Ok(experiments)
}

pub(super) const RUN_COLUMNS: &str =
    "r.run, r.run_id, r.run_name, r.experiment, r.user_id, r.status, r.start_time, r.end_time, r.artifact_uri, r.lifecycle_stage";

/// A run's number, and its info, from [`RUN_COLUMNS`].
pub(super) fn run_row(row: &dyn Row, locations: &Locations) -> Result<(i64, RunInfo), Failure> {
    let info = RunInfo {
        run_id: row.string(1)?,
        run_name: row.string(2)?,
        experiment_id: row.integer(3)?.to_string(),
        user_id: row.string(4)?,
        status: parsed(row, 5)?,
        start_time: row.integer(6)?,
        end_time: row.optional_integer(7)?,
        artifact_uri: locations.resolved(row.text(8)?),
        lifecycle_stage: parsed(row, 9)?,
    };
    Ok((row.integer(0)?, info))
}

/// A text that stands for a case, for example a status.
pub(super) fn parsed<T: std::str::FromStr<Err = ApiError>>(row: &dyn Row, column: usize) -> Result<T, Failure> {
    row.text(column)?.parse().map_err(|error: ApiError| Failure::other(format!("an unknown value is stored: {error}")))
}

pub(super) fn run_info(connection: &mut dyn Connection, locations: &Locations, run_id: &str) -> Result<Option<(i64, RunInfo)>, Failure> {
    let sql = format!("SELECT {RUN_COLUMNS} FROM anmok_runs r WHERE r.run_id = ?1");
    connection.first(&sql, &[run_id.into()], |row| run_row(row, locations))
}

pub(super) fn run(connection: &mut dyn Connection, locations: &Locations, run_id: &str) -> Result<Option<Run>, Failure> {
    match run_info(connection, locations, run_id)? {
        Some(found) => Ok(filled(connection, vec![found])?.pop()),
        None => Ok(None),
    }
}

/// Runs with what was logged to them, in the order given: one statement for each kind of thing, however many runs.
pub(super) fn filled(connection: &mut dyn Connection, infos: Vec<(i64, RunInfo)>) -> Result<Vec<Run>, Failure> {
    let ids: Vec<i64> = infos.iter().map(|(run, _)| *run).collect();
    let places: HashMap<i64, usize> = infos.iter().enumerate().map(|(place, (run, _))| (*run, place)).collect();
    let mut runs: Vec<Run> = infos
        .into_iter()
        .map(|(_, info)| Run { info, data: RunData::default(), inputs: RunInputs::default(), outputs: RunOutputs::default() })
        .collect();
    let asked = [ids.into()];
    let mut last = None;
    connection.queries(Planning::Once, &DETAILS.map(|(sql, _)| (sql, asked.as_slice())), &mut |detail, row| match places
        .get(&row.integer(0)?)
    {
        Some(place) => add(&mut runs[*place], DETAILS[detail].1, row, &mut last),
        None => Ok(()),
    })?;
    Ok(runs)
}

#[derive(Clone, Copy)]
enum Detail {
    Metric,
    Param,
    Tag,
    Input,
    Model,
}

/// Adds a row of a [`Detail`]; `last` is the number of the input that came last.
fn add(run: &mut Run, detail: Detail, row: &dyn Row, last: &mut Option<i64>) -> Result<(), Failure> {
    match detail {
        Detail::Metric => run.data.metrics.push(metric_row(row)?),
        Detail::Param => run.data.params.push(Param { key: row.string(1)?, value: row.string(2)? }),
        Detail::Tag => run.data.tags.push(RunTag { key: row.string(1)?, value: row.string(2)? }),
        Detail::Input => {
            let input = Some(row.integer(1)?);
            if *last != input {
                *last = input;
                let dataset = Dataset {
                    name: row.string(2)?,
                    digest: row.string(3)?,
                    source_type: row.string(4)?,
                    source: row.string(5)?,
                    schema: row.optional_string(6)?,
                    profile: row.optional_string(7)?,
                };
                run.inputs.dataset_inputs.push(DatasetInput { tags: vec![], dataset });
            }
            if let (Some(key), Some(input)) = (row.optional_string(8)?, run.inputs.dataset_inputs.last_mut()) {
                input.tags.push(InputTag { key, value: row.string(9)? });
            }
        }
        Detail::Model => {
            let model_id = row.string(3)?;
            if row.truth(1)? {
                run.outputs.model_outputs.push(ModelOutput { model_id, step: row.integer(4)? });
            } else {
                run.inputs.model_inputs.push(ModelInput { model_id });
            }
        }
    }
    Ok(())
}

const DETAILS: [(&str, Detail); 5] =
    [(METRICS, Detail::Metric), (PARAMS, Detail::Param), (TAGS, Detail::Tag), (INPUTS, Detail::Input), (MODELS, Detail::Model)];

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

const MODELS: &str = "SELECT run, 0 AS is_output, input AS number, model_id, 0 AS step FROM anmok_model_inputs
    WHERE run IN (SELECT value FROM json_each(?1))
    UNION ALL SELECT run, 1, output, model_id, step FROM anmok_model_outputs
    WHERE run IN (SELECT value FROM json_each(?1)) ORDER BY 1, 2, 3";

/// Columns 1 to 5: key, value, is_nan, timestamp, step.
fn metric_row(row: &dyn Row) -> Result<Metric, Failure> {
    Ok(Metric::new(row.text(1)?, metric_value(row, 2)?, row.integer(4)?, row.integer(5)?))
}

/// A metric's value, from the column of that name and the column is_nan after it.
pub(super) fn metric_value(row: &dyn Row, column: usize) -> Result<f64, Failure> {
    if row.truth(column + 1)? { Ok(f64::NAN) } else { row.real(column) }
}

/// Where a page of a history ended.
type HistoryPosition = (i64, i64, f64, bool);

pub(super) fn metric_history(
    connection: &mut dyn Connection,
    run_id: &str,
    key: &str,
    page: &PageRequest,
) -> Result<Page<Metric>, Failure> {
    let Some(run) = run_number(connection, run_id)? else { return Ok(Page { items: vec![], next_page_token: None }) };
    let after: Option<HistoryPosition> = page.page_token.as_deref().map(page::position).transpose()?;
    let (timestamp, step, value, is_nan) = after.unwrap_or((i64::MIN, i64::MIN, f64::NEG_INFINITY, false));
    // One more than asked for tells whether there is a next page.
    let limit = page.max_results.map_or(i64::MAX, |max_results| i64::try_from(max_results).unwrap_or(i64::MAX).saturating_add(1));
    let mut items = connection.all(
        "SELECT value, is_nan, timestamp, step FROM anmok_metrics
         WHERE run = ?1 AND key = (SELECT key FROM anmok_keys WHERE name = ?2) AND (timestamp, step, value, is_nan) > (?3, ?4, ?5, ?6)
         ORDER BY timestamp, step, value, is_nan LIMIT ?7",
        &[run.into(), key.into(), timestamp.into(), step.into(), value.into(), is_nan.into(), limit.into()],
        |row| Ok(Metric::new(key, metric_value(row, 0)?, row.integer(2)?, row.integer(3)?)),
    )?;
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

/// A run's number, deleted or not.
fn run_number(connection: &mut dyn Connection, run_id: &str) -> Result<Option<i64>, Failure> {
    connection.first("SELECT run FROM anmok_runs WHERE run_id = ?1", &[run_id.into()], |row| row.integer(0))
}
