//! Changing experiments and runs, inside a transaction.
//!
//! On PostgreSQL several of these run at once, on servers that know nothing of each other: rows that two transactions may
//! both change are changed in the order of their keys, so that they queue up instead of blocking each other.

use std::collections::{BTreeMap, HashMap};

use anmok_protocol::{
    ApiError, Batch, ErrorCode, LifecycleStage, RUN_NAME_TAG, ResourceType, Run, RunInfo, RunInputs, RunStatus, RunTag, limits, validate,
};

use super::accounts;
use super::connection::{Connection, DO_NOTHING};
use super::failure::Failure;
use super::location::Locations;
use super::logged_models::{self, ModelPoint};
use super::{params, read};
use crate::accounts::of_creator;
use crate::error::TrackingError;
use crate::run_name::{random_run_id, random_run_name};
use crate::store::{NewExperiment, NewRun, RunUpdate, now_ms};

pub(super) fn create_experiment(
    connection: &mut dyn Connection,
    new: &NewExperiment,
    location: Option<&str>,
    locations: &Locations,
) -> Result<String, Failure> {
    // New keys first: on PostgreSQL they have the work done again, and an INSERT that is undone has used up a number, so that
    // the experiment's id would skip one.
    let keys: Vec<&str> = new.tags.iter().map(|tag| tag.key.as_str()).collect();
    connection.keys(&keys)?;
    let inserted = connection.first(
        "INSERT INTO anmok_experiments (name, artifact_location, lifecycle_stage, creation_time, last_update_time)
         VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT DO NOTHING RETURNING experiment",
        &[(&new.name).into(), location.unwrap_or_default().into(), LifecycleStage::Active.name().into(), now_ms().into()],
        |row| row.integer(0),
    )?;
    let experiment = inserted.ok_or_else(|| already_exists(&new.name))?;
    if location.is_none() {
        connection.execute(
            "UPDATE anmok_experiments SET artifact_location = ?2 WHERE experiment = ?1",
            &[experiment.into(), locations.of_experiment(experiment).into()],
        )?;
    }
    let tags = new.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str()));
    set_keyed(connection, "anmok_experiment_tags", "experiment", experiment, tags)?;
    let experiment_id = experiment.to_string();
    accounts::grant_to_creator(connection, new.creator, &of_creator(ResourceType::Experiment, &experiment_id))?;
    Ok(experiment_id)
}

pub(super) fn already_exists(name: &str) -> ApiError {
    ApiError::new(ErrorCode::ResourceAlreadyExists, format!("Experiment(name={name}) already exists."))
}

/// Sets tags in a table of (owner, key, value); the last value of a key stays.
pub(super) fn set_keyed<'a>(
    connection: &mut dyn Connection,
    table: &str,
    owner_column: &str,
    owner: i64,
    tags: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Failure> {
    let (names, texts): (Vec<&str>, Vec<&str>) = tags.unzip();
    let rows: BTreeMap<i64, &str> = connection.keys(&names)?.into_iter().zip(texts).collect();
    let (keys, values): (Vec<i64>, Vec<&str>) = rows.into_iter().unzip();
    connection.insert_rows_later(
        table,
        &[(owner_column, owner.into()), ("key", keys.into()), ("value", values.into())],
        &format!("ON CONFLICT ({owner_column}, key) DO UPDATE SET value = excluded.value"),
    )?;
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
            validate::new_run_tag(tag, &format!("tags[{index}]."))?;
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

pub(super) fn create_run(connection: &mut dyn Connection, row: &CheckedRun, locations: &Locations) -> Result<Run, Failure> {
    // Held until the commit: an experiment that is being deleted takes this run with it, or refuses it.
    let sql = format!(
        "SELECT lifecycle_stage, artifact_location FROM anmok_experiments WHERE experiment = ?1{}",
        connection.dialect().for_share()
    );
    let experiment = connection.first(&sql, &[row.experiment.into()], |row| Ok((row.string(0)?, row.string(1)?)))?;
    let (stage, location) = experiment.ok_or_else(|| ApiError::experiment_not_found(&row.experiment.to_string()))?;
    if stage != LifecycleStage::Active.name() {
        return Err(ApiError::invalid(format!(
            "The experiment {} must be in the 'active' state. Current state is {stage}.",
            row.experiment
        ))
        .into());
    }
    let inserted = connection.first(
        "INSERT INTO anmok_runs (run_id, experiment, run_name, user_id, status, start_time, lifecycle_stage, artifact_uri)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING run",
        &[
            (&row.run_id).into(),
            row.experiment.into(),
            limits::cut(&row.run_name, limits::TAG_VALUE_LENGTH).into(),
            (&row.new.user_id).into(),
            RunStatus::Running.name().into(),
            row.new.start_time.into(),
            LifecycleStage::Active.name().into(),
            format!("{location}/{}/artifacts", row.run_id).into(),
        ],
        |row| row.integer(0),
    )?;
    let run = inserted.ok_or_else(|| Failure::other("a new run has no number"))?;
    let tags = row.new.tags.iter().filter(|tag| tag.key != RUN_NAME_TAG).map(|tag| (tag.key.as_str(), tag.value.as_str()));
    set_tags(connection, run, tags.chain([(RUN_NAME_TAG, row.run_name.as_str())]))?;
    read::run(connection, locations, &row.run_id)?.ok_or_else(|| ApiError::run_not_found(&row.run_id).into())
}

/// A run's number, if it is there and active.
pub(super) fn active_run(connection: &mut dyn Connection, run_id: &str) -> Result<i64, Failure> {
    let found = connection.first("SELECT run, lifecycle_stage FROM anmok_runs WHERE run_id = ?1", &[run_id.into()], |row| {
        Ok((row.integer(0)?, row.string(1)?))
    })?;
    let (run, stage) = found.ok_or_else(|| ApiError::run_not_found(run_id))?;
    if stage == LifecycleStage::Active.name() {
        Ok(run)
    } else {
        Err(ApiError::invalid(format!("The run {run_id} must be in the 'active' state. Current state is {stage}.")).into())
    }
}

pub(super) fn update_run(
    connection: &mut dyn Connection,
    run_id: &str,
    update: &RunUpdate,
    locations: &Locations,
) -> Result<RunInfo, Failure> {
    let run = active_run(connection, run_id)?;
    if let Some(name) = update.run_name.as_deref().filter(|name| !name.is_empty()) {
        set_tags(connection, run, [(RUN_NAME_TAG, name)].into_iter())?;
    }
    connection.execute(
        "UPDATE anmok_runs SET status = COALESCE(?2, status), end_time = COALESCE(?3, end_time) WHERE run = ?1",
        &[run.into(), update.status.map(RunStatus::name).into(), update.end_time.into()],
    )?;
    let info = read::run_info(connection, locations, run_id)?;
    info.map(|(_, info)| info).ok_or_else(|| ApiError::run_not_found(run_id).into())
}

/// A batch as it is stored: long values cut, infinities clamped, NaN marked.
pub(super) struct BatchRows {
    metrics: Vec<Point>,
    /// Those of them that are logged models' too.
    model_metrics: Vec<ModelPoint>,
    keys: Vec<String>,
    pub params: Vec<(String, String)>,
    tags: Vec<RunTag>,
}

/// One metric point; `key` counts in [`BatchRows::keys`].
#[derive(Clone, Copy)]
pub(super) struct Point {
    pub key: usize,
    pub step: i64,
    pub timestamp: i64,
    pub value: f64,
    pub is_nan: bool,
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
        let metrics: Vec<Point> = batch
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
        let model_metrics = batch.metrics.iter().zip(&metrics).filter_map(|(metric, point)| ModelPoint::new(metric, *point)).collect();
        let cut = |text: &str, limit| limits::cut(text, limit).to_string();
        let params = batch.params.iter().map(|param| (param.key.clone(), cut(&param.value, limits::PARAM_VALUE_LENGTH))).collect();
        let tags = batch.tags.iter().map(|tag| RunTag::new(&tag.key, cut(&tag.value, limits::TAG_VALUE_LENGTH))).collect();
        Self { metrics, model_metrics, keys, params, tags }
    }
}

pub(super) fn log_batch(connection: &mut dyn Connection, run_id: &str, batch: &BatchRows) -> Result<(), Failure> {
    let run = active_run(connection, run_id)?;
    // All keys at once, so that new ones cost one round trip.
    let names: Vec<&str> = batch
        .keys
        .iter()
        .chain(batch.params.iter().map(|(key, _)| key))
        .chain(batch.tags.iter().map(|tag| &tag.key))
        .map(String::as_str)
        .collect();
    let keys = connection.keys(&names)?;
    let (metric_keys, rest) = keys.split_at(batch.keys.len());
    let (param_keys, _) = rest.split_at(batch.params.len());
    params::log_batch(connection, run, run_id, &batch.params, param_keys)?;
    log_metrics(connection, run, &batch.metrics, metric_keys)?;
    logged_models::log_metrics(connection, run, &batch.model_metrics, metric_keys)?;
    set_tags(connection, run, batch.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())))
}

/// Of the latest points, the later one stays.
pub(super) const LATER_POINT: &str = "ON CONFLICT (run, key) DO UPDATE
    SET step = excluded.step, timestamp = excluded.timestamp, value = excluded.value, is_nan = excluded.is_nan
    WHERE (excluded.step, excluded.timestamp, excluded.value) > (there.step, there.timestamp, there.value)";

/// `keys` are the numbers of the points' keys, in the order of [`BatchRows::keys`].
fn log_metrics(connection: &mut dyn Connection, run: i64, points: &[Point], keys: &[i64]) -> Result<(), Failure> {
    let columns = |points: &[Point]| {
        [
            ("key", points.iter().map(|point| keys[point.key]).collect::<Vec<i64>>().into()),
            ("timestamp", points.iter().map(|point| point.timestamp).collect::<Vec<i64>>().into()),
            ("step", points.iter().map(|point| point.step).collect::<Vec<i64>>().into()),
            ("value", points.iter().map(|point| point.value).collect::<Vec<f64>>().into()),
            ("is_nan", points.iter().map(|point| point.is_nan.into()).collect::<Vec<i64>>().into()),
            ("run", run.into()),
        ]
    };
    connection.insert_rows_later("anmok_metrics", &columns(points), DO_NOTHING)?;
    let mut latest: BTreeMap<i64, Point> = BTreeMap::new();
    for point in points {
        let latest = latest.entry(keys[point.key]).or_insert(*point);
        if point.is_later_than(latest) {
            *latest = *point;
        }
    }
    let latest: Vec<Point> = latest.into_values().collect();
    connection.insert_rows_later("anmok_latest_metrics", &columns(&latest), LATER_POINT)?;
    Ok(())
}

/// Sets tags; the run's name follows its own.
fn set_tags<'a>(connection: &mut dyn Connection, run: i64, tags: impl Iterator<Item = (&'a str, &'a str)>) -> Result<(), Failure> {
    let mut name = None;
    let tags: Vec<(&str, &str)> = tags.map(|(key, value)| (key, limits::cut(value, limits::TAG_VALUE_LENGTH))).collect();
    for (key, value) in &tags {
        if *key == RUN_NAME_TAG {
            name = Some(*value);
        }
    }
    if !tags.is_empty() {
        set_keyed(connection, "anmok_tags", "run", run, tags.into_iter())?;
    }
    if let Some(name) = name {
        connection.execute("UPDATE anmok_runs SET run_name = ?2 WHERE run = ?1", &[run.into(), name.into()])?;
    }
    Ok(())
}

pub(super) fn delete_tag(connection: &mut dyn Connection, run_id: &str, name: &str) -> Result<(), Failure> {
    let run = active_run(connection, run_id)?;
    let deleted = connection.execute(
        "DELETE FROM anmok_tags WHERE run = ?1 AND key = (SELECT key FROM anmok_keys WHERE name = ?2)",
        &[run.into(), name.into()],
    )?;
    if deleted == 0 {
        return Err(ApiError::new(ErrorCode::ResourceDoesNotExist, format!("No tag with name: {name} in run with id {run_id}")).into());
    }
    Ok(())
}

pub(super) fn log_inputs(connection: &mut dyn Connection, run_id: &str, inputs: &RunInputs) -> Result<(), Failure> {
    let run = active_run(connection, run_id)?;
    for input in &inputs.dataset_inputs {
        let dataset = &input.dataset;
        connection.execute(
            "INSERT INTO anmok_datasets (experiment, name, digest, source_type, source, schema, profile)
             SELECT experiment, ?2, ?3, ?4, ?5, ?6, ?7 FROM anmok_runs WHERE run = ?1 ON CONFLICT DO NOTHING",
            &[
                run.into(),
                (&dataset.name).into(),
                (&dataset.digest).into(),
                (&dataset.source_type).into(),
                (&dataset.source).into(),
                dataset.schema.as_ref().into(),
                dataset.profile.as_ref().into(),
            ],
        )?;
        let inserted = connection.first(
            "INSERT INTO anmok_inputs (run, dataset)
             SELECT r.run, d.dataset FROM anmok_runs r JOIN anmok_datasets d ON d.experiment = r.experiment
             WHERE r.run = ?1 AND d.name = ?2 AND d.digest = ?3 ON CONFLICT DO NOTHING RETURNING input",
            &[run.into(), (&dataset.name).into(), (&dataset.digest).into()],
            |row| row.integer(0),
        )?;
        let Some(number) = inserted else { continue };
        let tags: BTreeMap<&str, &str> = input.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect();
        let (keys, values): (Vec<&str>, Vec<&str>) = tags.into_iter().unzip();
        connection.insert_rows_later(
            "anmok_input_tags",
            &[("input", number.into()), ("key", keys.into()), ("value", values.into())],
            "",
        )?;
    }
    logged_models::log_inputs(connection, run, &inputs.model_inputs)
}
