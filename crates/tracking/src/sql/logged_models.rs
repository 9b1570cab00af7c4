//! Logged models: made, changed and read.

use std::collections::{BTreeMap, HashMap};

use anmok_protocol::{
    ApiError, ErrorCode, LifecycleStage, LoggedModel, LoggedModelData, LoggedModelInfo, LoggedModelParameter, LoggedModelStatus,
    LoggedModelTag, Metric, ModelInput, ModelOutput, validate,
};

use super::connection::{Connection, DO_NOTHING, Row};
use super::failure::Failure;
use super::location::Locations;
use super::read::{metric_value, parsed};
use super::write::{Point, active_run, set_keyed};
use crate::error::TrackingError;
use crate::run_name::{random_run_id, random_run_name};
use crate::store::now_ms;
use crate::tracking_store::NewLoggedModel;

pub(super) const COLUMNS: &str = "l.model, l.model_id, l.experiment, l.name, l.creation_time, l.last_update_time, l.artifact_uri, l.status, \
                                  l.model_type, l.source_run_id";

/// A logged model's number, and itself, from [`COLUMNS`] (what was logged to it is filled in by [`filled`]).
pub(super) fn model_row(row: &dyn Row, locations: &Locations) -> Result<(i64, LoggedModel), Failure> {
    let info = LoggedModelInfo {
        model_id: row.string(1)?,
        experiment_id: row.integer(2)?.to_string(),
        name: row.string(3)?,
        creation_timestamp_ms: row.integer(4)?,
        last_updated_timestamp_ms: row.integer(5)?,
        artifact_uri: locations.resolved(row.text(6)?),
        status: parsed(row, 7)?,
        creator_id: None,
        model_type: row.optional_string(8)?,
        source_run_id: row.optional_string(9)?,
        status_message: None,
        tags: vec![],
        registrations: vec![],
    };
    Ok((row.integer(0)?, LoggedModel { info, data: LoggedModelData::default() }))
}

/// Models with their tags, params and metrics, in the order given.
pub(super) fn filled(connection: &mut dyn Connection, found: Vec<(i64, LoggedModel)>) -> Result<Vec<LoggedModel>, Failure> {
    let numbers: Vec<i64> = found.iter().map(|(number, _)| *number).collect();
    let places: HashMap<i64, usize> = numbers.iter().enumerate().map(|(place, number)| (*number, place)).collect();
    let mut models: Vec<LoggedModel> = found.into_iter().map(|(_, model)| model).collect();
    let mut each = |sql: &str, add: &mut dyn FnMut(&mut LoggedModel, &dyn Row) -> Result<(), Failure>| {
        connection.query(sql, &[numbers.as_slice().into()], &mut |row| match places.get(&row.integer(0)?) {
            Some(place) => add(&mut models[*place], row),
            None => Ok(()),
        })
    };
    each(
        "SELECT t.model, k.name, t.value FROM anmok_logged_model_tags t JOIN anmok_keys k USING (key)
         WHERE t.model IN (SELECT value FROM json_each(?1)) ORDER BY t.model, k.name",
        &mut |model, row| {
            model.info.tags.push(LoggedModelTag { key: row.string(1)?, value: row.string(2)? });
            Ok(())
        },
    )?;
    each(
        "SELECT p.model, k.name, p.value FROM anmok_logged_model_params p JOIN anmok_keys k USING (key)
         WHERE p.model IN (SELECT value FROM json_each(?1)) ORDER BY p.model, k.name",
        &mut |model, row| {
            model.data.params.push(LoggedModelParameter { key: row.string(1)?, value: row.string(2)? });
            Ok(())
        },
    )?;
    each(
        "SELECT m.model, k.name, m.value, m.is_nan, m.timestamp, m.step, m.dataset_name, m.dataset_digest, r.run_id
         FROM anmok_logged_model_metrics m JOIN anmok_keys k USING (key) JOIN anmok_runs r USING (run)
         WHERE m.model IN (SELECT value FROM json_each(?1)) ORDER BY m.model, k.name, m.timestamp, m.step, r.run_id, m.value",
        &mut |model, row| {
            let mut metric = Metric::new(row.text(1)?, metric_value(row, 2)?, row.integer(4)?, row.integer(5)?);
            metric.dataset_name = row.optional_string(6)?;
            metric.dataset_digest = row.optional_string(7)?;
            metric.run_id = row.optional_string(8)?;
            metric.model_id = Some(model.info.model_id.clone());
            model.data.metrics.push(metric);
            Ok(())
        },
    )?;
    Ok(models)
}

pub(super) fn model(
    connection: &mut dyn Connection,
    locations: &Locations,
    model_id: &str,
    deleted_too: bool,
) -> Result<Option<LoggedModel>, Failure> {
    let hidden = if deleted_too { "" } else { LifecycleStage::Deleted.name() };
    let sql = format!("SELECT {COLUMNS} FROM anmok_logged_models l WHERE l.model_id = ?1 AND l.lifecycle_stage != ?2");
    match connection.first(&sql, &[model_id.into(), hidden.into()], |row| model_row(row, locations))? {
        Some(found) => Ok(filled(connection, vec![found])?.pop()),
        None => Ok(None),
    }
}

/// The number of a model, deleted or not.
fn number(connection: &mut dyn Connection, model_id: &str) -> Result<i64, Failure> {
    let model = connection.first("SELECT model FROM anmok_logged_models WHERE model_id = ?1", &[model_id.into()], |row| row.integer(0))?;
    Ok(model.ok_or_else(|| ApiError::logged_model_not_found(model_id))?)
}

/// A model to insert, checked and named.
pub(super) struct CheckedModel {
    new: NewLoggedModel,
    experiment: i64,
    model_id: String,
    name: String,
}

impl CheckedModel {
    pub fn new(new: &NewLoggedModel) -> Result<Self, TrackingError> {
        let experiment = validate::experiment_id(&new.experiment_id)?;
        new.params.iter().try_for_each(|param| validate::logged_model_parameter(&param.key, &param.value))?;
        new.tags.iter().try_for_each(|tag| validate::logged_model_tag(&tag.key, &tag.value))?;
        let name = match &new.name {
            Some(name) => {
                validate::logged_model_name(name)?;
                name.clone()
            }
            None => random_run_name()?,
        };
        Ok(Self { new: new.clone(), experiment, model_id: format!("m-{}", random_run_id()?), name })
    }
}

pub(super) fn create(connection: &mut dyn Connection, row: &CheckedModel, locations: &Locations) -> Result<LoggedModel, Failure> {
    super::experiments::require_active(connection, row.experiment)?;
    let now = now_ms();
    let inserted = connection.first(
        "INSERT INTO anmok_logged_models
             (model_id, experiment, name, model_type, source_run_id, status, creation_time, last_update_time, lifecycle_stage, artifact_uri)
         SELECT ?2, experiment, ?3, ?4, ?5, ?6, ?7, ?7, ?8, artifact_location || ?9 FROM anmok_experiments WHERE experiment = ?1
         RETURNING model",
        &[
            row.experiment.into(),
            (&row.model_id).into(),
            (&row.name).into(),
            row.new.model_type.as_ref().into(),
            row.new.source_run_id.as_ref().into(),
            LoggedModelStatus::Pending.name().into(),
            now.into(),
            LifecycleStage::Active.name().into(),
            format!("/models/{}/artifacts", row.model_id).into(),
        ],
        |row| row.integer(0),
    )?;
    let model = inserted.ok_or_else(|| Failure::other("a new logged model has no number"))?;
    log_params_of(connection, model, &row.model_id, &row.new.params)?;
    set_tags_of(connection, model, &row.new.tags)?;
    self::model(connection, locations, &row.model_id, false)?.ok_or_else(|| ApiError::logged_model_not_found(&row.model_id).into())
}

pub(super) fn finalize(
    connection: &mut dyn Connection,
    locations: &Locations,
    model_id: &str,
    status: LoggedModelStatus,
) -> Result<LoggedModel, Failure> {
    connection.execute(
        "UPDATE anmok_logged_models SET status = ?2, last_update_time = ?3 WHERE model_id = ?1",
        &[model_id.into(), status.name().into(), now_ms().into()],
    )?;
    model(connection, locations, model_id, true)?.ok_or_else(|| ApiError::logged_model_not_found(model_id).into())
}

pub(super) fn delete(connection: &mut dyn Connection, model_id: &str) -> Result<(), Failure> {
    let changed = connection.execute(
        "UPDATE anmok_logged_models SET lifecycle_stage = ?2, last_update_time = ?3 WHERE model_id = ?1",
        &[model_id.into(), LifecycleStage::Deleted.name().into(), now_ms().into()],
    )?;
    if changed == 0 { Err(ApiError::logged_model_not_found(model_id).into()) } else { Ok(()) }
}

pub(super) fn set_tags(connection: &mut dyn Connection, model_id: &str, tags: &[LoggedModelTag]) -> Result<(), Failure> {
    let model = number(connection, model_id)?;
    set_tags_of(connection, model, tags)
}

fn set_tags_of(connection: &mut dyn Connection, model: i64, tags: &[LoggedModelTag]) -> Result<(), Failure> {
    let tags = tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str()));
    set_keyed(connection, "anmok_logged_model_tags", "model", model, tags)
}

pub(super) fn delete_tag(connection: &mut dyn Connection, model_id: &str, key: &str) -> Result<(), Failure> {
    let model = number(connection, model_id)?;
    let deleted = connection.execute(
        "DELETE FROM anmok_logged_model_tags WHERE model = ?1 AND key = (SELECT key FROM anmok_keys WHERE name = ?2)",
        &[model.into(), key.into()],
    )?;
    if deleted == 0 {
        let [key, model_id] = [key, model_id].map(validate::python_string);
        let message = format!("No tag with key {key} found for model with ID {model_id}.");
        return Err(ApiError::new(ErrorCode::ResourceDoesNotExist, message).into());
    }
    Ok(())
}

pub(super) fn log_params(connection: &mut dyn Connection, model_id: &str, params: &[LoggedModelParameter]) -> Result<(), Failure> {
    let model = number(connection, model_id)?;
    log_params_of(connection, model, model_id, params)
}

fn log_params_of(connection: &mut dyn Connection, model: i64, model_id: &str, params: &[LoggedModelParameter]) -> Result<(), Failure> {
    let names: Vec<&str> = params.iter().map(|param| param.key.as_str()).collect();
    let keys = connection.keys(&names)?;
    let changed = |param: &LoggedModelParameter, old: &str| {
        let [key, old, new] = [param.key.as_str(), old, param.value.as_str()].map(validate::python_string);
        ApiError::invalid(format!(
            "Changing param values is not allowed. Param with key={key} was already logged with value={old} for model ID='{model_id}'. \
             Attempted logging new value {new}."
        ))
    };
    let mut rows: BTreeMap<i64, &str> = BTreeMap::new();
    for (key, param) in keys.iter().zip(params) {
        if let Some(earlier) = rows.insert(*key, &param.value).filter(|earlier| *earlier != param.value) {
            return Err(changed(param, earlier).into());
        }
    }
    let wanted = rows.len() as u64;
    let (sorted, values): (Vec<i64>, Vec<&str>) = rows.into_iter().unzip();
    let inserted = connection.insert_rows(
        "anmok_logged_model_params",
        &[("model", model.into()), ("key", sorted.as_slice().into()), ("value", values.into())],
        DO_NOTHING,
    )?;
    if inserted == wanted {
        return Ok(());
    }
    let there: HashMap<i64, String> = connection
        .all(
            "SELECT key, value FROM anmok_logged_model_params WHERE model = ?1 AND key IN (SELECT value FROM json_each(?2))",
            &[model.into(), sorted.into()],
            |row| Ok((row.integer(0)?, row.string(1)?)),
        )?
        .into_iter()
        .collect();
    for (key, param) in keys.iter().zip(params) {
        if let Some(old) = there.get(key).filter(|old| **old != param.value) {
            return Err(changed(param, old).into());
        }
    }
    Ok(())
}

/// The points of a run that are a model's too. `keys` are the numbers of the points' keys.
pub(super) fn log_metrics(connection: &mut dyn Connection, run: i64, points: &[ModelPoint], keys: &[i64]) -> Result<(), Failure> {
    if points.is_empty() {
        return Ok(());
    }
    let model_ids: Vec<&str> = points.iter().map(|point| point.model_id.as_str()).collect();
    let models: HashMap<String, i64> = connection
        .all(
            "SELECT model_id, model FROM anmok_logged_models WHERE model_id IN (SELECT value FROM json_each(?1))",
            &[model_ids.into()],
            |row| Ok((row.string(0)?, row.integer(1)?)),
        )?
        .into_iter()
        .collect();
    let mut numbers = Vec::with_capacity(points.len());
    for point in points {
        numbers.push(*models.get(&point.model_id).ok_or_else(|| ApiError::logged_model_not_found(&point.model_id))?);
    }
    connection.insert_rows_later(
        "anmok_logged_model_metrics",
        &[
            ("model", numbers.into()),
            ("key", points.iter().map(|point| keys[point.point.key]).collect::<Vec<_>>().into()),
            ("timestamp", points.iter().map(|point| point.point.timestamp).collect::<Vec<_>>().into()),
            ("step", points.iter().map(|point| point.point.step).collect::<Vec<_>>().into()),
            ("value", points.iter().map(|point| point.point.value).collect::<Vec<_>>().into()),
            ("is_nan", points.iter().map(|point| point.point.is_nan.into()).collect::<Vec<i64>>().into()),
            ("dataset_name", points.iter().map(|point| point.dataset_name.as_deref()).collect::<Vec<_>>().into()),
            ("dataset_digest", points.iter().map(|point| point.dataset_digest.as_deref()).collect::<Vec<_>>().into()),
            ("run", run.into()),
        ],
        DO_NOTHING,
    )?;
    Ok(())
}

/// A point that belongs to a logged model.
pub(super) struct ModelPoint {
    pub point: Point,
    model_id: String,
    dataset_name: Option<String>,
    dataset_digest: Option<String>,
}

impl ModelPoint {
    /// `None` for a point of no model.
    pub fn new(metric: &Metric, point: Point) -> Option<Self> {
        let model_id = metric.model_id.clone().filter(|model_id| !model_id.is_empty())?;
        Some(Self { point, model_id, dataset_name: metric.dataset_name.clone(), dataset_digest: metric.dataset_digest.clone() })
    }
}

pub(super) fn log_outputs(connection: &mut dyn Connection, run_id: &str, models: &[ModelOutput]) -> Result<(), Failure> {
    let run = active_run(connection, run_id)?;
    connection.insert_rows(
        "anmok_model_outputs",
        &[
            ("run", run.into()),
            ("model_id", models.iter().map(|model| model.model_id.as_str()).collect::<Vec<_>>().into()),
            ("step", models.iter().map(|model| model.step).collect::<Vec<_>>().into()),
        ],
        DO_NOTHING,
    )?;
    Ok(())
}

pub(super) fn log_inputs(connection: &mut dyn Connection, run: i64, models: &[ModelInput]) -> Result<(), Failure> {
    let model_ids: Vec<&str> = models.iter().map(|model| model.model_id.as_str()).collect();
    connection.insert_rows_later("anmok_model_inputs", &[("run", run.into()), ("model_id", model_ids.into())], DO_NOTHING)?;
    Ok(())
}
