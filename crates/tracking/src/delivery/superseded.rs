//! A journal that comes late: another sitting, on another machine, has gone on with the run since, from the last checkpoint among
//! its artifacts, and has logged again what this journal holds from there on.
//!
//! Then only what the store lacks is delivered: points of other steps, params without a value, artifacts without a file. Tags and
//! status are the later sitting's.

use std::collections::{HashMap, HashSet};

use anmok_protocol::{ArtifactPath, Batch, Run};

use crate::artifact::ArtifactStore;
use crate::error::TrackingError;
use crate::journal::Contents;
use crate::store::{PageRequest, RunStore};

/// The tag that counts the sittings of a run, from 1.
pub const ATTEMPT_TAG: &str = "anmok.attempt";

/// What the store has.
#[derive(Debug)]
pub struct Superseded {
    run_id: String,
    params: HashSet<String>,
    /// Of the metrics that were asked for so far.
    steps: HashMap<String, HashSet<i64>>,
}

impl Superseded {
    /// `None` for a journal of the run's last sitting, or of a run whose sittings are not counted.
    pub fn find(run: &Run, contents: &Contents) -> Option<Self> {
        let of_birth = || contents.birth.as_ref()?.tags.iter().find(|tag| tag.key == ATTEMPT_TAG).map(|tag| &tag.value);
        let journalled: u64 = contents.tags.get(ATTEMPT_TAG).or_else(of_birth)?.parse().ok()?;
        let stored: u64 = run.data.tag(ATTEMPT_TAG)?.parse().ok()?;
        let params = run.data.params.iter().map(|param| param.key.clone()).collect();
        (stored > journalled).then(|| Self { run_id: run.info.run_id.clone(), params, steps: HashMap::new() })
    }

    /// What of a batch the store lacks.
    pub fn missing(&mut self, mut batch: Batch, store: &dyn RunStore) -> Result<Batch, TrackingError> {
        batch.tags.clear();
        batch.params.retain(|param| !self.params.contains(&param.key));
        for metric in &batch.metrics {
            if !self.steps.contains_key(&metric.key) {
                let points = store.metric_history(&self.run_id, &metric.key, &PageRequest::default())?.items;
                self.steps.insert(metric.key.clone(), points.into_iter().map(|point| point.step).collect());
            }
        }
        batch.metrics.retain(|metric| self.steps.get(&metric.key).is_none_or(|steps| !steps.contains(&metric.step)));
        Ok(batch)
    }

    /// Whether the run has an artifact already.
    pub fn has_artifact(artifacts: &ArtifactStore, path: &ArtifactPath) -> Result<bool, TrackingError> {
        Ok(artifacts.open_file(path)?.is_some())
    }
}
