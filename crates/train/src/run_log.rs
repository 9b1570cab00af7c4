//! Where a training run reports to. The loop knows this trait and no tracking system; `cli` joins it to one.

use std::path::Path;

/// The record of one run. Implementations take what they are given without blocking the training step and deliver it
/// from a thread of their own; [`RunLog::flush`] is the one place that waits.
pub trait RunLog: Send {
    /// Parameters, once per key.
    fn params(&mut self, params: &[(String, String)]);

    /// Metrics of one optimizer step. A (key, step) that the run already has is dropped by the implementation, so that a
    /// resumed run can repeat what it did since its checkpoint.
    fn metrics(&mut self, step: u64, metrics: &[(&str, f64)]);

    /// Copies a local file to `path` (with `/`) among the run's artifacts. The file must stay until the next flush.
    fn artifact(&mut self, path: &str, file: &Path);

    /// The data set as an input of the run.
    fn dataset(&mut self, dataset: &DatasetRecord);

    /// Waits until everything given so far is stored. The loop calls it before a checkpoint becomes visible: what lies
    /// before a checkpoint is never logged again, so it must already be safe.
    fn flush(&mut self) -> Result<(), RunLogError>;
}

/// A data set as tracking systems record it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetRecord {
    /// For example `CIFAR10`.
    pub name: String,
    /// Digest of the images and, for a part of a data set, of which they are; at most 36 characters.
    pub digest: String,
    /// What it was used for: `train`, `validation`, `test`.
    pub context: String,
    /// Where it lies.
    pub source: String,
    /// Shapes and counts as JSON.
    pub profile: String,
}

/// The record could not be stored; the text says what and why.
#[derive(Debug, thiserror::Error)]
#[error("the run's record could not be written: {0}")]
pub struct RunLogError(pub String);
