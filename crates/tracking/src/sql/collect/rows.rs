//! Claiming rows, and removing them.

use std::collections::HashMap;

use anmok_protocol::{ApiError, LifecycleStage, ResourceType};

use super::super::accounts;
use super::super::connection::{Connection, Value};
use super::super::failure::Failure;
use super::plan::Item;
use crate::maintenance::Collectable;

/// Since when something is marked deleted. Runs of other programs' making may have no time.
pub(super) const RUN_SINCE: &str = "COALESCE(deleted_time, 0)";
pub(super) const MODEL_SINCE: &str = "last_update_time";
pub(super) const EXPERIMENT_SINCE: &str = "last_update_time";

/// Points of one metric that are removed in one transaction.
const POINTS: i64 = 20_000;

/// Whose files a model version's are, by the names in its source: runs' files are given as `runs:/ID/...` or by a URI with
/// the run's id in it.
fn used(id: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM anmok_model_versions v
                 WHERE v.source LIKE '%' || {id} || '%' OR COALESCE(v.storage_location, '') LIKE '%' || {id} || '%' OR v.model_id = {id})"
    )
}

/// One model version for each of the things whose files it uses, by their ids.
pub(super) fn users(connection: &mut dyn Connection, items: &[Item]) -> Result<HashMap<String, String>, Failure> {
    let versions = connection.all(
        "SELECT m.name, v.version, v.source, v.storage_location, v.model_id
         FROM anmok_model_versions v JOIN anmok_registered_models m USING (registered_model)",
        &[],
        |row| {
            let places = format!(
                "{}\n{}\n{}",
                row.text(2)?,
                row.optional_string(3)?.unwrap_or_default(),
                row.optional_string(4)?.unwrap_or_default()
            );
            Ok((format!("model version {}/{}", row.text(0)?, row.integer(1)?), places))
        },
    )?;
    let user = |item: &Item| versions.iter().find(|(_, places)| places.contains(&item.id)).map(|(name, _)| (item.id.clone(), name.clone()));
    Ok(items.iter().filter_map(user).collect())
}

/// Claims those of a list that are still deleted, and gives all of the list that are claimed.
pub(super) fn claim(connection: &mut dyn Connection, kind: Collectable, numbers: &[i64], before: i64) -> Result<Vec<i64>, Failure> {
    let (table, number, id, since) = match kind {
        Collectable::LoggedModel => ("anmok_logged_models", "model", "model_id", MODEL_SINCE),
        _ => ("anmok_runs", "run", "run_id", RUN_SINCE),
    };
    connection.execute(
        &format!(
            "UPDATE {table} SET collected = 1
             WHERE {number} IN (SELECT value FROM json_each(?1)) AND collected = 0 AND lifecycle_stage = ?2 AND {since} <= ?3
               AND NOT {}",
            used(&format!("{table}.{id}"))
        ),
        &[numbers.into(), LifecycleStage::Deleted.name().into(), before.into()],
    )?;
    connection.all(
        &format!("SELECT {number} FROM {table} WHERE {number} IN (SELECT value FROM json_each(?1)) AND collected = 1"),
        &[numbers.into()],
        |row| row.integer(0),
    )
}

/// Claims an experiment with all that is in it; refused if it or a run of it was restored.
pub(super) fn claim_experiment(connection: &mut dyn Connection, experiment: i64, before: i64) -> Result<(), Failure> {
    let refuse = |why: &str| Err(ApiError::invalid(why).into());
    let of_experiment: [Value; 2] = [experiment.into(), LifecycleStage::Deleted.name().into()];
    let claimed = connection.execute(
        &format!(
            "UPDATE anmok_experiments SET collected = 1
             WHERE experiment = ?1 AND lifecycle_stage = ?2 AND collected = 0 AND {EXPERIMENT_SINCE} <= ?3"
        ),
        &[experiment.into(), LifecycleStage::Deleted.name().into(), before.into()],
    )?;
    if claimed == 0 {
        return refuse("it was restored, or claimed by another collection, since a moment ago");
    }
    connection.execute("UPDATE anmok_runs SET collected = 1 WHERE experiment = ?1 AND lifecycle_stage = ?2", &of_experiment)?;
    connection.execute("UPDATE anmok_logged_models SET collected = 1, lifecycle_stage = ?2 WHERE experiment = ?1", &of_experiment)?;
    let left = connection
        .first("SELECT count(*) FROM anmok_runs WHERE experiment = ?1 AND collected = 0", &of_experiment[..1], |row| row.integer(0))?;
    if left != Some(0) {
        return refuse("one of its runs was restored a moment ago");
    }
    Ok(())
}

/// Removes some points of one of a claimed run's metrics; `false` if the run has none any more.
pub(super) fn remove_points(connection: &mut dyn Connection, run: i64) -> Result<bool, Failure> {
    let key = connection.first("SELECT min(key) FROM anmok_metrics WHERE run = ?1", &[run.into()], |row| row.optional_integer(0))?;
    let Some(key) = key.flatten() else { return Ok(false) };
    let last = connection.first(
        "SELECT timestamp FROM anmok_metrics WHERE run = ?1 AND key = ?2 ORDER BY timestamp LIMIT 1 OFFSET ?3",
        &[run.into(), key.into(), POINTS.into()],
        |row| row.integer(0),
    )?;
    connection.execute(
        "DELETE FROM anmok_metrics WHERE run = ?1 AND key = ?2 AND timestamp <= ?3",
        &[run.into(), key.into(), last.unwrap_or(i64::MAX).into()],
    )?;
    Ok(true)
}

/// Logged models with metrics of these runs.
pub(super) fn models_with_points_of(connection: &mut dyn Connection, runs: &[i64]) -> Result<Vec<i64>, Failure> {
    connection.all(
        "SELECT DISTINCT model FROM anmok_logged_model_metrics WHERE run IN (SELECT value FROM json_each(?1))",
        &[runs.into()],
        |row| row.integer(0),
    )
}

/// Removes claimed runs whose points are gone. `models` are those with points of theirs.
pub(super) fn remove_runs(connection: &mut dyn Connection, runs: &[i64], models: &[i64]) -> Result<(), Failure> {
    connection.execute(
        "DELETE FROM anmok_logged_model_metrics
         WHERE model IN (SELECT value FROM json_each(?1)) AND run IN (SELECT value FROM json_each(?2))",
        &[models.into(), runs.into()],
    )?;
    connection.execute(
        "DELETE FROM anmok_input_tags
         WHERE input IN (SELECT input FROM anmok_inputs WHERE run IN (SELECT value FROM json_each(?1)))",
        &[runs.into()],
    )?;
    for table in [
        "anmok_metrics",
        "anmok_latest_metrics",
        "anmok_params",
        "anmok_tags",
        "anmok_inputs",
        "anmok_model_inputs",
        "anmok_model_outputs",
        "anmok_runs",
    ] {
        connection.execute(&format!("DELETE FROM {table} WHERE run IN (SELECT value FROM json_each(?1))"), &[runs.into()])?;
    }
    Ok(())
}

/// Removes claimed logged models.
pub(super) fn remove_models(connection: &mut dyn Connection, models: &[i64]) -> Result<(), Failure> {
    for table in ["anmok_logged_model_metrics", "anmok_logged_model_params", "anmok_logged_model_tags", "anmok_logged_models"] {
        connection.execute(&format!("DELETE FROM {table} WHERE model IN (SELECT value FROM json_each(?1))"), &[models.into()])?;
    }
    Ok(())
}

/// Removes a claimed experiment; `false` if something of it is left. Another collection may have been faster.
pub(super) fn remove_experiment(connection: &mut dyn Connection, experiment: i64) -> Result<bool, Failure> {
    let removed = connection.execute(
        "DELETE FROM anmok_experiments WHERE experiment = ?1 AND collected = 1
           AND NOT EXISTS (SELECT 1 FROM anmok_runs WHERE experiment = ?1)
           AND NOT EXISTS (SELECT 1 FROM anmok_logged_models WHERE experiment = ?1)",
        &[experiment.into()],
    )?;
    if removed == 0 {
        let left = connection.first("SELECT 1 FROM anmok_experiments WHERE experiment = ?1", &[experiment.into()], |row| row.integer(0))?;
        return Ok(left.is_none());
    }
    for table in ["anmok_datasets", "anmok_experiment_tags"] {
        connection.execute(&format!("DELETE FROM {table} WHERE experiment = ?1"), &[experiment.into()])?;
    }
    accounts::move_grants(connection, ResourceType::Experiment, &experiment.to_string(), None)?;
    Ok(true)
}
