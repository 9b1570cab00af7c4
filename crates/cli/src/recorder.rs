//! The training loop's record, kept by the tracking store: joins [`RunLog`] with [`RunWriter`].

use anmok_protocol::{DATASET_CONTEXT_TAG, Dataset, DatasetInput, InputTag, RunStatus};
use anmok_tracking::RunWriter;
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

    /// Stores everything and ends the run.
    pub fn finish(self, status: RunStatus) -> Result<(), anmok_tracking::TrackingError> {
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
