//! Changing experiments and runs, inside a transaction of [`super::commit`].

use std::collections::HashMap;

use anmok_protocol::{
    ApiError, Batch, ErrorCode, LifecycleStage, RUN_NAME_TAG, Run, RunInfo, RunInputs, RunStatus, RunTag, limits, validate,
};
use rusqlite::OptionalExtension;

use super::commit::Write;
use super::failure::Failure;
use super::location::Locations;
use super::read;
use crate::error::TrackingError;
use crate::run_name::{random_run_id, random_run_name};
use crate::store::{NewExperiment, NewRun, RunUpdate, now_ms};

pub(super) fn create_experiment(
    write: &mut Write,
    new: &NewExperiment,
    location: Option<&str>,
    locations: &Locations,
) -> Result<String, Failure> {
    let now = now_ms();
    let inserted = write
        .connection
        .prepare_cached(
            "INSERT INTO anmok_experiments (name, artifact_location, lifecycle_stage, creation_time, last_update_time)
             VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT DO NOTHING",
        )?
        .execute((&new.name, location.unwrap_or_default(), LifecycleStage::Active.name(), now))?;
    if inserted == 0 {
        return Err(super::already_exists(&new.name).into());
    }
    let experiment = write.connection.last_insert_rowid();
    if location.is_none() {
        write
            .connection
            .prepare_cached("UPDATE anmok_experiments SET artifact_location = ?2 WHERE experiment = ?1")?
            .execute((experiment, locations.of_experiment(experiment)))?;
    }
    for tag in &new.tags {
        let key = write.key(&tag.key)?;
        write
            .connection
            .prepare_cached("INSERT OR REPLACE INTO anmok_experiment_tags (experiment, key, value) VALUES (?1, ?2, ?3)")?
            .execute((experiment, key, &tag.value))?;
    }
    Ok(experiment.to_string())
}

/// Deletes or restores an experiment that is in the opposite stage, and its runs with it.
pub(super) fn set_experiment_stage(write: &mut Write, experiment: i64, stage: LifecycleStage) -> Result<(), Failure> {
    let from = if stage == LifecycleStage::Active { LifecycleStage::Deleted } else { LifecycleStage::Active };
    let now = now_ms();
    let changed = write
        .connection
        .prepare_cached(
            "UPDATE anmok_experiments SET lifecycle_stage = ?2, last_update_time = ?3 WHERE experiment = ?1 AND lifecycle_stage = ?4",
        )?
        .execute((experiment, stage.name(), now, from.name()))?;
    if changed == 0 {
        return Err(ApiError::experiment_not_found(&experiment.to_string()).into());
    }
    write.connection.prepare_cached("UPDATE anmok_runs SET lifecycle_stage = ?2, deleted_time = ?3 WHERE experiment = ?1")?.execute((
        experiment,
        stage.name(),
        (stage == LifecycleStage::Deleted).then_some(now),
    ))?;
    Ok(())
}

/// A run to insert, checked and named.
pub(super) struct CheckedRun {
    new: NewRun,
    experiment: i64,
    run_id: String,
    run_name: String,
}

impl CheckedRun {
    pub fn new(new: &NewRun) -> Result<Self, TrackingError> {
        let experiment = validate::experiment_id(&new.experiment_id)?;
        for (index, tag) in new.tags.iter().enumerate() {
            validate::tag(tag, &format!("tags[{index}]."))?;
        }
        let tagged =
            new.tags.iter().rev().find(|tag| tag.key == RUN_NAME_TAG).map(|tag| tag.value.as_str()).filter(|name| !name.is_empty());
        let given = new.run_name.as_deref().filter(|name| !name.is_empty());
        let run_name = match (given, tagged) {
            (Some(given), Some(tagged)) if given != tagged => {
                return Err(ApiError::invalid(format!(
                    "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values (run_name='{given}', \
                     mlflow.runName='{tagged}')."
                ))
                .into());
            }
            (Some(name), _) | (None, Some(name)) => name.to_string(),
            (None, None) => random_run_name()?,
        };
        Ok(Self { new: new.clone(), experiment, run_id: random_run_id()?, run_name })
    }
}

pub(super) fn create_run(write: &mut Write, row: &CheckedRun, locations: &Locations) -> Result<Run, Failure> {
    let experiment: Option<(String, String)> = write
        .connection
        .prepare_cached("SELECT lifecycle_stage, artifact_location FROM anmok_experiments WHERE experiment = ?1")?
        .query_row([row.experiment], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (stage, location) = experiment.ok_or_else(|| ApiError::experiment_not_found(&row.experiment.to_string()))?;
    if stage != LifecycleStage::Active.name() {
        return Err(ApiError::invalid(format!(
            "The experiment {} must be in the 'active' state. Current state is {stage}.",
            row.experiment
        ))
        .into());
    }
    write
        .connection
        .prepare_cached(
            "INSERT INTO anmok_runs (run_id, experiment, run_name, user_id, status, start_time, lifecycle_stage, artifact_uri)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            &row.run_id,
            row.experiment,
            limits::cut(&row.run_name, limits::TAG_VALUE_LENGTH),
            &row.new.user_id,
            RunStatus::Running.name(),
            row.new.start_time,
            LifecycleStage::Active.name(),
            format!("{location}/{}/artifacts", row.run_id),
        ))?;
    let run = write.connection.last_insert_rowid();
    for tag in row.new.tags.iter().filter(|tag| tag.key != RUN_NAME_TAG) {
        set_tag(write, run, tag)?;
    }
    set_tag(write, run, &RunTag::new(RUN_NAME_TAG, &row.run_name))?;
    read::run(write.connection, locations, &row.run_id)?.ok_or_else(|| ApiError::run_not_found(&row.run_id).into())
}

/// A run's number, if it is there and active.
fn active_run(write: &Write, run_id: &str) -> Result<i64, Failure> {
    let found: Option<(i64, String)> = write
        .connection
        .prepare_cached("SELECT run, lifecycle_stage FROM anmok_runs WHERE run_id = ?1")?
        .query_row([run_id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (run, stage) = found.ok_or_else(|| ApiError::run_not_found(run_id))?;
    if stage == LifecycleStage::Active.name() {
        Ok(run)
    } else {
        Err(ApiError::invalid(format!("The run {run_id} must be in the 'active' state. Current state is {stage}.")).into())
    }
}

pub(super) fn update_run(write: &mut Write, run_id: &str, update: &RunUpdate, locations: &Locations) -> Result<RunInfo, Failure> {
    let run = active_run(write, run_id)?;
    write
        .connection
        .prepare_cached("UPDATE anmok_runs SET status = COALESCE(?2, status), end_time = COALESCE(?3, end_time) WHERE run = ?1")?
        .execute((run, update.status.map(RunStatus::name), update.end_time))?;
    if let Some(name) = update.run_name.as_deref().filter(|name| !name.is_empty()) {
        set_tag(write, run, &RunTag::new(RUN_NAME_TAG, name))?;
    }
    let info = read::run_info(write.connection, locations, run_id)?;
    info.map(|(_, info)| info).ok_or_else(|| ApiError::run_not_found(run_id).into())
}

pub(super) fn set_run_stage(write: &mut Write, run_id: &str, stage: LifecycleStage) -> Result<(), Failure> {
    let changed = write
        .connection
        .prepare_cached("UPDATE anmok_runs SET lifecycle_stage = ?2, deleted_time = ?3 WHERE run_id = ?1")?
        .execute((run_id, stage.name(), (stage == LifecycleStage::Deleted).then(now_ms)))?;
    if changed == 0 { Err(ApiError::run_not_found(run_id).into()) } else { Ok(()) }
}

/// A batch as it is stored: long values cut, infinities clamped, NaN marked.
pub(super) struct BatchRows {
    metrics: Vec<Point>,
    keys: Vec<String>,
    params: Vec<(String, String)>,
    tags: Vec<RunTag>,
}

/// One metric point; `key` counts in [`BatchRows::keys`].
#[derive(Clone, Copy)]
struct Point {
    key: usize,
    step: i64,
    timestamp: i64,
    value: f64,
    is_nan: bool,
}

impl Point {
    /// What makes a point the latest: the largest (step, timestamp, value).
    fn is_later_than(&self, other: &Self) -> bool {
        (self.step, self.timestamp).cmp(&(other.step, other.timestamp)).then(self.value.total_cmp(&other.value)).is_gt()
    }
}

impl BatchRows {
    pub fn new(batch: &Batch) -> Self {
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut keys = vec![];
        let metrics = batch
            .metrics
            .iter()
            .map(|metric| {
                let key = *places.entry(&metric.key).or_insert_with(|| {
                    keys.push(metric.key.clone());
                    keys.len() - 1
                });
                let is_nan = metric.value.is_nan();
                // -0 is 0: they compare equal, so they are the same point.
                let value = if is_nan || metric.value == 0.0 { 0.0 } else { metric.value.clamp(f64::MIN, f64::MAX) };
                Point { key, step: metric.step, timestamp: metric.timestamp, value, is_nan }
            })
            .collect();
        let cut = |text: &str, limit| limits::cut(text, limit).to_string();
        let params = batch.params.iter().map(|param| (param.key.clone(), cut(&param.value, limits::PARAM_VALUE_LENGTH))).collect();
        let tags = batch.tags.iter().map(|tag| RunTag::new(&tag.key, cut(&tag.value, limits::TAG_VALUE_LENGTH))).collect();
        Self { metrics, keys, params, tags }
    }
}

pub(super) fn log_batch(write: &mut Write, run_id: &str, batch: &BatchRows) -> Result<(), Failure> {
    let run = active_run(write, run_id)?;
    log_params(write, run, run_id, &batch.params)?;
    log_metrics(write, run, batch)?;
    batch.tags.iter().try_for_each(|tag| set_tag(write, run, tag))
}

fn log_params(write: &mut Write, run: i64, run_id: &str, params: &[(String, String)]) -> Result<(), Failure> {
    let mut changed = vec![];
    for (name, value) in params {
        let key = write.key(name)?;
        let inserted = write
            .connection
            .prepare_cached("INSERT INTO anmok_params (run, key, value) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
            .execute((run, key, value))?;
        if inserted == 0 {
            let old: String = write
                .connection
                .prepare_cached("SELECT value FROM anmok_params WHERE run = ?1 AND key = ?2")?
                .query_row((run, key), |row| row.get(0))?;
            if old != *value {
                let [name, old, new] = [name, &old, value].map(|text| validate::python_string(text));
                changed.push(format!("{{'key': {name}, 'old_value': {old}, 'new_value': {new}}}"));
            }
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "Changing param values is not allowed. Params were already logged='[{}]' for run ID='{run_id}'.",
        changed.join(", ")
    ))
    .into())
}

fn log_metrics(write: &mut Write, run: i64, batch: &BatchRows) -> Result<(), Failure> {
    let keys: Vec<i64> = batch.keys.iter().map(|name| write.key(name)).collect::<Result<_, _>>()?;
    let mut latest: Vec<Option<Point>> = vec![None; keys.len()];
    {
        let mut insert = write.connection.prepare_cached(
            "INSERT INTO anmok_metrics (run, key, timestamp, step, value, is_nan) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )?;
        for point in &batch.metrics {
            insert.execute((run, keys[point.key], point.timestamp, point.step, point.value, point.is_nan))?;
            let latest = &mut latest[point.key];
            if latest.is_none_or(|latest| point.is_later_than(&latest)) {
                *latest = Some(*point);
            }
        }
    }
    let mut update = write.connection.prepare_cached(
        "INSERT INTO anmok_latest_metrics (run, key, step, timestamp, value, is_nan) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (run, key) DO UPDATE
         SET step = excluded.step, timestamp = excluded.timestamp, value = excluded.value, is_nan = excluded.is_nan
         WHERE (excluded.step, excluded.timestamp, excluded.value) > (step, timestamp, value)",
    )?;
    for point in latest.into_iter().flatten() {
        update.execute((run, keys[point.key], point.step, point.timestamp, point.value, point.is_nan))?;
    }
    Ok(())
}

/// Sets a tag; the run's name follows its own.
fn set_tag(write: &mut Write, run: i64, tag: &RunTag) -> Result<(), Failure> {
    let key = write.key(&tag.key)?;
    write
        .connection
        .prepare_cached(
            "INSERT INTO anmok_tags (run, key, value) VALUES (?1, ?2, ?3) ON CONFLICT (run, key) DO UPDATE SET value = excluded.value",
        )?
        .execute((run, key, limits::cut(&tag.value, limits::TAG_VALUE_LENGTH)))?;
    if tag.key == RUN_NAME_TAG {
        write
            .connection
            .prepare_cached("UPDATE anmok_runs SET run_name = ?2 WHERE run = ?1")?
            .execute((run, limits::cut(&tag.value, limits::TAG_VALUE_LENGTH)))?;
    }
    Ok(())
}

pub(super) fn delete_tag(write: &mut Write, run_id: &str, name: &str) -> Result<(), Failure> {
    let run = active_run(write, run_id)?;
    let deleted = write
        .connection
        .prepare_cached("DELETE FROM anmok_tags WHERE run = ?1 AND key = (SELECT key FROM anmok_keys WHERE name = ?2)")?
        .execute((run, name))?;
    if deleted == 0 {
        return Err(ApiError::new(ErrorCode::ResourceDoesNotExist, format!("No tag with name: {name} in run with id {run_id}")).into());
    }
    Ok(())
}

pub(super) fn log_inputs(write: &mut Write, run_id: &str, inputs: &RunInputs) -> Result<(), Failure> {
    let run = active_run(write, run_id)?;
    for input in &inputs.dataset_inputs {
        let dataset = &input.dataset;
        write
            .connection
            .prepare_cached(
                "INSERT INTO anmok_datasets (experiment, name, digest, source_type, source, schema, profile)
                 SELECT experiment, ?2, ?3, ?4, ?5, ?6, ?7 FROM anmok_runs WHERE run = ?1 ON CONFLICT DO NOTHING",
            )?
            .execute((run, &dataset.name, &dataset.digest, &dataset.source_type, &dataset.source, &dataset.schema, &dataset.profile))?;
        let inserted = write
            .connection
            .prepare_cached(
                "INSERT INTO anmok_inputs (run, dataset)
                 SELECT r.run, d.dataset FROM anmok_runs r JOIN anmok_datasets d ON d.experiment = r.experiment
                 WHERE r.run = ?1 AND d.name = ?2 AND d.digest = ?3 ON CONFLICT DO NOTHING",
            )?
            .execute((run, &dataset.name, &dataset.digest))?;
        if inserted == 0 {
            continue;
        }
        let number = write.connection.last_insert_rowid();
        for tag in &input.tags {
            write
                .connection
                .prepare_cached("INSERT OR REPLACE INTO anmok_input_tags (input, key, value) VALUES (?1, ?2, ?3)")?
                .execute((number, &tag.key, &tag.value))?;
        }
    }
    Ok(())
}
