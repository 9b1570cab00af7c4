//! The care of experiments: names, tags, and the data sets of their runs.

use anmok_protocol::{ApiError, DATASET_CONTEXT_TAG, DatasetSummary, ErrorCode, LifecycleStage, limits, validate};

use super::connection::Connection;
use super::failure::{Failure, Fault};
use super::write::{already_exists, set_keyed};
use crate::store::now_ms;

pub(super) fn rename(connection: &mut dyn Connection, experiment: i64, name: &str) -> Result<(), Failure> {
    if stage(connection, experiment)? != LifecycleStage::Active.name() {
        return Err(ApiError::new(ErrorCode::InvalidState, "Cannot rename a non-active experiment.").into());
    }
    let changed = connection.execute(
        "UPDATE anmok_experiments SET name = ?2, last_update_time = ?3 WHERE experiment = ?1",
        &[experiment.into(), name.into(), now_ms().into()],
    );
    match changed {
        Err(failure) if failure.fault() == Some(Fault::Duplicate) => Err(already_exists(name).into()),
        changed => changed.map(drop),
    }
}

fn stage(connection: &mut dyn Connection, experiment: i64) -> Result<String, Failure> {
    let sql = format!("SELECT lifecycle_stage FROM anmok_experiments WHERE experiment = ?1{}", connection.dialect().for_share());
    let stage = connection.first(&sql, &[experiment.into()], |row| row.string(0))?;
    Ok(stage.ok_or_else(|| ApiError::experiment_not_found(&experiment.to_string()))?)
}

/// An error unless the experiment is there and active; it stays so until the commit.
pub(super) fn require_active(connection: &mut dyn Connection, experiment: i64) -> Result<(), Failure> {
    let stage = stage(connection, experiment)?;
    if stage == LifecycleStage::Active.name() {
        return Ok(());
    }
    Err(ApiError::invalid(format!("The experiment {experiment} must be in the 'active' state. Current state is {stage}.")).into())
}

pub(super) fn set_tag(connection: &mut dyn Connection, experiment: i64, key: &str, value: &str) -> Result<(), Failure> {
    require_active(connection, experiment)?;
    set_keyed(connection, "anmok_experiment_tags", "experiment", experiment, [(key, value)].into_iter())
}

pub(super) fn delete_tag(connection: &mut dyn Connection, experiment: i64, key: &str) -> Result<(), Failure> {
    require_active(connection, experiment)?;
    let deleted = connection.execute(
        "DELETE FROM anmok_experiment_tags WHERE experiment = ?1 AND key = (SELECT key FROM anmok_keys WHERE name = ?2)",
        &[experiment.into(), key.into()],
    )?;
    if deleted == 0 {
        let message = format!("No tag with name: {key} in experiment with id {experiment}");
        return Err(ApiError::new(ErrorCode::ResourceDoesNotExist, message).into());
    }
    Ok(())
}

pub(super) fn dataset_summaries(connection: &mut dyn Connection, experiment_ids: &[String]) -> Result<Vec<DatasetSummary>, Failure> {
    let experiments: Vec<i64> = experiment_ids.iter().map(|id| validate::experiment_id(id)).collect::<Result<_, _>>()?;
    connection.all(
        "SELECT DISTINCT d.experiment, d.name, d.digest, t.value
         FROM anmok_experiments e JOIN anmok_datasets d USING (experiment) JOIN anmok_inputs i USING (dataset)
         LEFT JOIN anmok_input_tags t ON t.input = i.input AND t.key = ?3
         WHERE e.experiment IN (SELECT value FROM json_each(?1)) AND e.lifecycle_stage = ?2
         ORDER BY d.experiment, d.name, d.digest, t.value LIMIT ?4",
        &[experiments.into(), LifecycleStage::Active.name().into(), DATASET_CONTEXT_TAG.into(), (limits::DATASET_SUMMARIES as i64).into()],
        |row| {
            Ok(DatasetSummary {
                experiment_id: row.integer(0)?.to_string(),
                name: row.string(1)?,
                digest: row.string(2)?,
                context: row.optional_string(3)?,
            })
        },
    )
}
