//! The series of a run, one record per epoch: what the training curves are drawn from.

use serde::{Deserialize, Serialize};

use crate::exact;

/// All finished epochs of a run, first to last. Kept in the checkpoint, so a resumed run has it whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// One record per finished epoch.
    pub epochs: Vec<EpochRecord>,
}

/// One epoch. Accuracies are in `[0, 1]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Number of the epoch, from 1: the step of its metrics.
    pub epoch: u64,
    /// Mean training loss as it was minimised (label smoothing and mixing included).
    #[serde(with = "exact")]
    pub train_loss: f64,
    /// Share of augmented training images classified rightly while training (against the first label when mixed).
    pub train_accuracy: f64,
    /// Mean cross-entropy on the validation images, without label smoothing; `None` without a validation split.
    #[serde(with = "exact::option")]
    pub val_loss: Option<f64>,
    /// Accuracy on the validation images.
    pub val_accuracy: Option<f64>,
    /// The learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Seconds of training and validation together, and of what followed the epoch before (its checkpoint).
    pub epoch_seconds: f64,
    /// Of these, seconds of training passes and updates: without batches, tracking and checkpoints. 0 in records from before it was kept.
    #[serde(default)]
    pub engine_seconds: f64,
    /// Training images per second of training time (validation not counted).
    pub images_per_second: f64,
}

impl History {
    /// The epoch with the highest validation accuracy; the first of equals. `None` without validation.
    pub fn best(&self) -> Option<&EpochRecord> {
        let rate = |record: &EpochRecord| record.val_accuracy.unwrap_or(f64::NEG_INFINITY);
        self.epochs.iter().filter(|record| record.val_accuracy.is_some()).fold(None, |best: Option<&EpochRecord>, record| match best {
            Some(best) if rate(best) >= rate(record) => Some(best),
            _ => Some(record),
        })
    }
}
