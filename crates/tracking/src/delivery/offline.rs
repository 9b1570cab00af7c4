//! Runs that have no store yet.

use anmok_protocol::{LifecycleStage, Param, RUN_NAME_TAG, Run, RunData, RunInfo, RunInputs, RunOutputs, RunStatus, RunTag};

use crate::error::TrackingError;
use crate::journal::{Birth, Contents, Header};
use crate::run_name::{random_run_id, random_run_name};
use crate::store::NewRun;

/// A run as a store would make it, with an id and a name; it is in no experiment, and has no place for artifacts.
///
/// # Errors
/// A system without random numbers.
pub fn offline_run(new: &NewRun) -> Result<Run, TrackingError> {
    let named = new.run_name.clone().filter(|name| !name.is_empty());
    let run_name = named.map_or_else(random_run_name, Ok)?;
    let mut tags = new.tags.clone();
    tags.push(RunTag::new(RUN_NAME_TAG, run_name.clone()));
    Ok(run(random_run_id()?, run_name, new.user_id.clone(), new.start_time, tags))
}

/// The run of a journal, with the params and tags that were logged to it there.
pub fn run_of_journal(header: &Header, contents: &Contents) -> Option<Run> {
    let Birth { run_name, user_id, start_time, mut tags, .. } = contents.birth.clone()?;
    tags.retain(|tag| !contents.tags.contains_key(&tag.key));
    tags.extend(contents.tags.iter().map(|(key, value)| RunTag::new(key, value)));
    let mut run = run(header.run_id.clone(), run_name, user_id, start_time, tags);
    run.data.params = contents.params.iter().map(|(key, value)| Param::new(key, value)).collect();
    Some(run)
}

fn run(run_id: String, run_name: String, user_id: String, start_time: i64, tags: Vec<RunTag>) -> Run {
    Run {
        info: RunInfo {
            run_id,
            run_name,
            experiment_id: String::new(),
            user_id,
            status: RunStatus::Running,
            start_time,
            end_time: None,
            artifact_uri: String::new(),
            lifecycle_stage: LifecycleStage::Active,
        },
        data: RunData { tags, ..RunData::default() },
        inputs: RunInputs::default(),
        outputs: RunOutputs::default(),
    }
}
