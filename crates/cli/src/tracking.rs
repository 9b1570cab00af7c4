//! The tracking store as commands use it: opening it, and finding the run that a user means.

use crate::failure::Usage;
use crate::settings::Settings;
use anmok_protocol::{LifecycleStage, Run, RunFilter, RunOrder, ViewType};
use anmok_tracking::delivery::sync::experiment_named;
use anmok_tracking::{ArtifactOptions, LogOptions, RunQuery, RunStore, ServerOptions, StoreOptions, all_experiments, uri};
use anyhow::Context;
use std::sync::Arc;

/// The fewest digits of a run id that stand for the whole.
const SHORTEST_PREFIX: usize = 4;

/// Opens the store of the settings.
pub fn open(settings: &Settings) -> anyhow::Result<Arc<dyn RunStore>> {
    open_with(&settings.tracking_uri, settings, settings.connection.clone())
}

/// Opens a store for the log of runs. What fails there is tried again by way of the journal, for as long as it takes, and told:
/// a client that tries for minutes by itself would only hide an outage, and hold up the end of a run.
pub fn open_for_log(uri: &str, settings: &Settings) -> anyhow::Result<Arc<dyn RunStore>> {
    let connection = &settings.connection;
    open_with(uri, settings, ServerOptions { max_retries: connection.max_retries.or(Some(1)), ..connection.clone() })
}

fn open_with(uri: &str, settings: &Settings, server: ServerOptions) -> anyhow::Result<Arc<dyn RunStore>> {
    let options = StoreOptions {
        durability: settings.durability,
        artifact_root: Some(settings.default_artifact_root.clone()),
        artifacts: ArtifactOptions { destination: None, buckets: settings.buckets.clone() },
        server,
        ..StoreOptions::default()
    };
    let store = anmok_tracking::open(uri, &options)?;
    Ok(Arc::from(store))
}

/// How runs are logged: by way of the journal.
pub fn log_options(settings: &Settings) -> LogOptions {
    LogOptions {
        journals: settings.journal_dir.clone(),
        tracking_uri: uri::identity(&settings.tracking_uri),
        listener: crate::journal_events::listener(),
        heartbeat: false,
    }
}

/// The experiment that a new run belongs to: its parent's, for MLflow's UI shows a child under its parent only there; else by
/// MLflow's rules for MLFLOW_EXPERIMENT_NAME and MLFLOW_EXPERIMENT_ID.
pub fn experiment_of(store: &dyn RunStore, settings: &Settings) -> anyhow::Result<String> {
    if let Some(parent) = parent(store, settings)? {
        return Ok(parent.info.experiment_id);
    }
    let Some(id) = &settings.experiment_id else { return named(store, &settings.experiment_name) };
    let experiment = store
        .experiment(id)?
        .ok_or_else(|| Usage(format!("there is no experiment with the id {id} (experiment_id, MLFLOW_EXPERIMENT_ID)")))?;
    // The default name is no choice of anybody's.
    if settings.experiment_name != Settings::default().experiment_name && settings.experiment_name != experiment.name {
        let message = format!(
            "experiment_id = {id} (MLFLOW_EXPERIMENT_ID) is the experiment {:?}, and experiment_name = {:?} another one: unset one of them",
            experiment.name, settings.experiment_name
        );
        return Err(Usage(message).into());
    }
    Ok(experiment.experiment_id)
}

/// The run that a run is nested in.
///
/// # Errors
/// It is not there, or deleted.
pub fn parent(store: &dyn RunStore, settings: &Settings) -> anyhow::Result<Option<Run>> {
    let Some(id) = &settings.parent_run_id else { return Ok(None) };
    let run = store.run(id)?.filter(|run| run.info.lifecycle_stage == LifecycleStage::Active);
    Ok(Some(run.with_context(|| format!("there is no run {id} to nest another in (--parent-run-id, ANMOK_PARENT_RUN_ID)"))?))
}

fn named(store: &dyn RunStore, name: &str) -> anyhow::Result<String> {
    experiment_named(store, name).with_context(|| format!("the experiment {name:?} cannot be made"))
}

/// Runs of all active experiments that match `filter`, the one that was started last first, at most `most`.
pub fn latest_runs(store: &dyn RunStore, filter: &str, most: usize) -> anyhow::Result<Vec<Run>> {
    let query = RunQuery {
        experiment_ids: all_experiments(store)?.into_iter().map(|experiment| experiment.experiment_id).collect(),
        filter: RunFilter::parse(filter)?,
        order_by: vec![RunOrder::parse("attributes.start_time DESC")?],
        view: ViewType::ActiveOnly,
        max_results: most,
        ..RunQuery::default()
    };
    Ok(store.search_runs(&query)?.items)
}

/// The run that `text` means: an id, the first digits of one, a run's name, or `latest`, of which `latest_filter` says
/// what counts.
pub fn find_run(store: &dyn RunStore, text: &str, latest_filter: &str) -> anyhow::Result<Run> {
    if text == "latest" {
        let runs = latest_runs(store, latest_filter, 1)?;
        let condition = if latest_filter.is_empty() { String::new() } else { format!(" with {latest_filter}") };
        return runs.into_iter().next().with_context(|| format!("there is no run{condition}: `anmok runs list` shows all there are"));
    }
    if let Some(run) = store.run(text)? {
        return Ok(run);
    }
    let hexadecimal = text.len() >= SHORTEST_PREFIX && text.len() < 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut found = if hexadecimal { latest_runs(store, &format!("attributes.run_id LIKE '{text}%'"), 3)? } else { vec![] };
    if found.is_empty() && !text.contains('\'') {
        found = latest_runs(store, &format!("attributes.run_name = '{text}'"), 3)?;
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Usage(format!("no run has the id or name {text:?}: `anmok runs list` shows all there are")).into()),
        _ => {
            let ids: Vec<&str> = found.iter().map(|run| run.info.run_id.as_str()).collect();
            Err(Usage(format!("{text:?} means several runs: {}; type more of the id", ids.join(", "))).into())
        }
    }
}
