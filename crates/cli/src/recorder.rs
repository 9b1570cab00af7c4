//! The training loop's record, kept by the tracking store: joins [`RunLog`] with [`RunWriter`].

use anmok_protocol::{DATASET_CONTEXT_TAG, Dataset, DatasetInput, InputTag, RunStatus};
use anmok_tracking::writer::{Closed, SideEntrance};
use anmok_tracking::{RunWriter, TrackingError};
use anmok_train::run_log::{DatasetRecord, RunLog, RunLogError};
use std::path::Path;

/// The record of one run.
pub struct Recorder {
    writer: RunWriter,
}

impl Recorder {
    /// Records through `writer`.
    pub fn new(writer: RunWriter) -> Self {
        Self { writer }
    }

    /// CPU time of the thread that writes.
    pub fn cpu_seconds(&self) -> f64 {
        self.writer.cpu_seconds()
    }

    /// Tags of the run.
    pub fn tags(&mut self, tags: &[(String, String)]) {
        self.writer.tags(tags);
    }

    /// The first step of metrics whose names begin so.
    pub fn next_step(&self, prefix: &str) -> i64 {
        self.writer.next_step(prefix)
    }

    /// For metrics of another thread.
    pub fn side_entrance(&self) -> SideEntrance {
        self.writer.side_entrance()
    }

    /// As [`RunLog::artifact`], for a file that is written to afterwards.
    pub fn growing_artifact(&mut self, path: &str, file: &Path) {
        self.writer.changing_artifact(path, file);
    }

    /// Delivers everything, as far as the store takes it.
    pub fn close(self) -> Result<Closed, TrackingError> {
        self.writer.close()
    }

    /// Delivers everything, as far as the store takes it, and ends the run.
    pub fn finish(self, status: RunStatus) -> Result<Closed, TrackingError> {
        self.writer.finish(status)
    }
}

impl RunLog for Recorder {
    fn params(&mut self, params: &[(String, String)]) {
        self.writer.params(params);
    }

    fn metrics(&mut self, step: u64, metrics: &[(&str, f64)]) {
        self.writer.metrics(i64::try_from(step).unwrap_or(i64::MAX), metrics);
    }

    fn artifact(&mut self, path: &str, file: &Path) {
        self.writer.artifact(path, file);
    }

    fn dataset(&mut self, record: &DatasetRecord) {
        let DatasetRecord { name, digest, context, source, profile } = record;
        let source = serde_json::json!({ "uri": source }).to_string();
        self.writer.dataset(DatasetInput {
            tags: vec![InputTag { key: DATASET_CONTEXT_TAG.to_owned(), value: context.clone() }],
            dataset: Dataset {
                name: name.clone(),
                digest: digest.clone(),
                source_type: "local".to_owned(),
                source,
                schema: None,
                profile: Some(profile.clone()),
            },
        });
    }

    fn flush(&mut self) -> Result<(), RunLogError> {
        self.writer.flush().map_err(|e| RunLogError(e.to_string()))
    }
}
