//! What a run tells whoever watches it: the terminal's progress bar, or nobody (`&mut ()`).

use std::time::Duration;

use crate::history::EpochRecord;

/// Called by the training thread between steps: an implementation draws at most a few times a second and returns at once.
pub trait Progress {
    /// An epoch begins, or goes on after a resume.
    fn epoch_started(&mut self, epoch: u64, epochs: u64) {
        let _ = (epoch, epochs);
    }

    /// An optimizer step is done.
    fn step(&mut self, step: &StepProgress) {
        let _ = step;
    }

    /// `done` of `total` images of a split (`validation`, `test`) are evaluated.
    fn evaluating(&mut self, split: &str, done: u64, total: u64) {
        let _ = (split, done, total);
    }

    /// An epoch is done; `is_best` if its validation accuracy is the best so far.
    fn epoch_finished(&mut self, record: &EpochRecord, is_best: bool) {
        let _ = (record, is_best);
    }

    /// A checkpoint is safe on disk.
    fn checkpoint_saved(&mut self) {}

    /// Something the user should know that does not stop the run.
    fn warning(&mut self, message: &str) {
        let _ = message;
    }
}

impl Progress for () {}

/// Where a run is. Epochs and batches count from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct StepProgress {
    /// The epoch in progress.
    pub epoch: u64,
    /// Epochs of the run.
    pub epochs: u64,
    /// Batches done in this epoch.
    pub batch: u64,
    /// Batches per epoch.
    pub batches: u64,
    /// Optimizer steps of the whole run.
    pub step: u64,
    /// Mean training loss of the epoch so far.
    pub loss: f64,
    /// Training accuracy of the epoch so far.
    pub accuracy: f64,
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// Training images per second in this epoch so far.
    pub images_per_second: f64,
    /// Estimated time to the end of the last epoch.
    pub remaining: Duration,
}
