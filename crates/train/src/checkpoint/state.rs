//! The part of a checkpoint that is not tensors.

use serde::{Deserialize, Serialize};

use crate::exact;
use crate::history::History;
use crate::recipe::Recipe;
use crate::schedule::Plateau;

/// Raised when the layout of a checkpoint changes so that older programs cannot read it.
pub const FORMAT_VERSION: u32 = 1;

/// Everything but the tensors. Floats come back with their bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointState {
    /// [`FORMAT_VERSION`] of the program that wrote it.
    pub version: u32,
    /// The tracked run it belongs to.
    pub run_id: String,
    /// The resolved recipe.
    pub recipe: Recipe,
    /// Number of classes.
    pub classes: usize,
    /// Digest of the training images ([`anmok_data::Dataset::digest`]).
    pub data_digest: String,
    /// The SIMD level the run was on: only on the same level are the bits the same.
    pub level: String,
    /// Where the run is.
    pub position: Position,
    /// The sums of the epoch in progress.
    pub sums: EpochSums,
    /// The plateau schedule's memory.
    pub plateau: Plateau,
    /// Finished epochs.
    pub history: History,
    /// The best epoch so far.
    pub best: Option<Best>,
    /// Seconds trained and validated so far, all sittings together.
    pub seconds: f64,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Finished epochs (validation included).
    pub epoch: u64,
    /// Batches done in the epoch in progress; all of them when only the validation is still to come.
    pub batch: u64,
    /// Optimizer steps of the whole run: the step of the batch metrics.
    pub step: u64,
    /// Training passes (batches) of the whole run: names dropout's draws.
    pub pass: u64,
}

/// What the metrics of an epoch are made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochSums {
    /// Sum over the images of their batch's mean loss.
    #[serde(with = "exact")]
    pub loss: f64,
    /// Images classified rightly.
    pub correct: u64,
    /// Images seen.
    pub images: u64,
    /// Seconds spent on them.
    pub seconds: f64,
    /// Of these, seconds of passes and updates.
    #[serde(default)]
    pub engine_seconds: f64,
    /// Seconds besides: of what followed the epoch before, and of validation.
    #[serde(default)]
    pub other_seconds: f64,
}

/// The best epoch so far, by validation accuracy; of equals the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Number of the epoch, from 1.
    pub epoch: u64,
    /// Its validation accuracy.
    pub val_accuracy: f64,
    /// Its validation loss.
    #[serde(with = "exact")]
    pub val_loss: f64,
}

impl CheckpointState {
    pub(super) fn to_json(&self) -> String {
        // Structs, strings and numbers: there is no value here that JSON cannot take.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Epochs since the best one.
    pub fn epochs_without_improvement(&self) -> u64 {
        self.position.epoch - self.best.as_ref().map_or(0, |best| best.epoch).min(self.position.epoch)
    }
}
