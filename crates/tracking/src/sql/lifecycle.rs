//! Marking experiments and runs as deleted, and restoring them.

use anmok_protocol::{ApiError, LifecycleStage, validate};

use super::connection::Connection;
use super::failure::Failure;
use crate::store::now_ms;

/// Deletes or restores an experiment that is in the opposite stage, and its runs with it.
pub(super) fn set_experiment_stage(connection: &mut dyn Connection, experiment: i64, stage: LifecycleStage) -> Result<(), Failure> {
    let from = if stage == LifecycleStage::Active { LifecycleStage::Deleted } else { LifecycleStage::Active };
    let now = now_ms();
    let changed = connection.execute(
        "UPDATE anmok_experiments SET lifecycle_stage = ?2, last_update_time = ?3
         WHERE experiment = ?1 AND lifecycle_stage = ?4 AND collected = 0",
        &[experiment.into(), stage.name().into(), now.into(), from.name().into()],
    )?;
    if changed == 0 {
        require_not_collected(connection, "experiment", &experiment.to_string())?;
        return Err(ApiError::experiment_not_found(&experiment.to_string()).into());
    }
    connection.execute(
        "UPDATE anmok_runs SET lifecycle_stage = ?2, deleted_time = ?3 WHERE experiment = ?1 AND collected = 0",
        &[experiment.into(), stage.name().into(), (stage == LifecycleStage::Deleted).then_some(now).into()],
    )?;
    Ok(())
}

/// Deletes or restores a run.
pub(super) fn set_run_stage(connection: &mut dyn Connection, run_id: &str, stage: LifecycleStage) -> Result<(), Failure> {
    let changed = connection.execute(
        "UPDATE anmok_runs SET lifecycle_stage = ?2, deleted_time = ?3 WHERE run_id = ?1 AND collected = 0",
        &[run_id.into(), stage.name().into(), (stage == LifecycleStage::Deleted).then(now_ms).into()],
    )?;
    if changed == 0 {
        require_not_collected(connection, "run", run_id)?;
        return Err(ApiError::run_not_found(run_id).into());
    }
    Ok(())
}

/// What `anmok gc` has claimed does not come back: its files may be gone already.
fn require_not_collected(connection: &mut dyn Connection, noun: &str, id: &str) -> Result<(), Failure> {
    let (table, column, id_value) = match noun {
        "run" => ("anmok_runs", "run_id", id.into()),
        _ => ("anmok_experiments", "experiment", validate::experiment_id(id)?.into()),
    };
    let collected = connection.first(&format!("SELECT collected FROM {table} WHERE {column} = ?1"), &[id_value], |row| row.truth(0))?;
    if collected == Some(true) {
        return Err(ApiError::invalid(format!("The {noun} {id} is being deleted for good (`anmok gc`) and cannot be restored.")).into());
    }
    Ok(())
}
