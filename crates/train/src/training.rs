//! The run: epochs of steps, validation, checkpoints, the test at the end.
//!
//! Metrics have one of two axes. Those of a batch are named `batch_*` and stand at the optimizer step (from 1); those of an
//! epoch stand at the epoch's number (from 1); the test's at the last epoch's. No name is on both, so a (key, step) means
//! one thing.
//!
//! The test set is looked at once, when training is over, by the weights that are saved as the run's model
//! (`test_accuracy` and the rest) and by the last weights (`test_accuracy_last`, `test_loss_last`). The saved model is the
//! one of the best validation accuracy, or the last one where nothing is held out; which of the two is decided before
//! the test set is opened. With a moving average of the weights (EMA), validation, test and saved models are the average.
//!
//! What stops a run and what does not: a loss that is not finite stops it, and the last good checkpoint stays. A
//! checkpoint or log that cannot be written is a warning, tried again at the next one; the run goes on, because hours of
//! training are worth more, and [`Outcome::checkpoint_error`] tells of it at the end. Only the first checkpoint, before
//! any work is done, and the last one of an interrupted run must succeed.
//!
//! - `run`: the steps in their order
//! - `reporting`: what is told to the log and the watchers
//! - `preflight`: what can be refused before the first step
//! - [`evaluate`]: a split through the engine

pub mod evaluate;
mod preflight;
mod reporting;
mod run;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anmok_data::Splits;
use anmok_engine::Engine;
use anmok_graph::NamedTensor;

use crate::checkpoint::{Best, Checkpoint};
use crate::error::TrainError;
use crate::evaluation::EvaluationReport;
use crate::history::History;
use crate::live::LiveFigures;
use crate::metered_log::TrackingCost;
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::run_log::RunLog;

/// A run to be done.
pub struct Job<'a> {
    /// The network on its device, set up by [`Recipe::train_options`]. A new run's has its first weights
    /// ([`Recipe::initial_weights`]); a resumed one gets them from the checkpoint.
    pub engine: &'a mut dyn Engine,
    /// The images.
    pub data: &'a Splits,
    /// All settings.
    pub recipe: &'a Recipe,
    /// Where the run is recorded.
    pub log: &'a mut dyn RunLog,
    /// Who watches.
    pub progress: &'a mut dyn Progress,
    /// Figures for Prometheus.
    pub live: &'a LiveFigures,
    /// Once true, the run finishes its step, writes a checkpoint and returns [`Ending::Interrupted`].
    pub stop: &'a AtomicBool,
    /// The folder of the run's checkpoints; it is made if it does not exist.
    pub checkpoints: &'a Path,
    /// The tracked run's id, for the checkpoint.
    pub run_id: &'a str,
    /// Where to go on from; `None` starts anew.
    pub resume: Option<Checkpoint>,
}

/// How a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All epochs are done.
    Completed,
    /// The validation accuracy has not improved for `early_stopping` epochs.
    StoppedEarly,
    /// [`Job::stop`] was set; a checkpoint of this moment is saved.
    Interrupted,
}

/// What a run leaves.
#[derive(Debug)]
pub struct Outcome {
    /// Why it ended.
    pub ending: Ending,
    /// The finished epochs.
    pub history: History,
    /// The best of them; `None` without validation.
    pub best: Option<Best>,
    /// The model to save, as a state dict: of the best epoch, or the last one without validation.
    pub model: Vec<NamedTensor>,
    /// The weights after the last step.
    pub last_model: Vec<NamedTensor>,
    /// The test; `None` after an interruption.
    pub test: Option<TestOutcome>,
    /// Optimizer steps of the whole run.
    pub steps: u64,
    /// Seconds of training and validation, all sittings together.
    pub seconds: f64,
    /// Images per second over the epochs and sittings, validation not counted.
    pub images_per_second: f64,
    /// What tracking cost in this sitting.
    pub tracking: TrackingCost,
    /// The latest failure to save a checkpoint (or the log before it), unless a later one was saved.
    pub checkpoint_error: Option<TrainError>,
}

/// The one look at the test set.
#[derive(Debug, Clone, PartialEq)]
pub struct TestOutcome {
    /// By [`Outcome::model`].
    pub model: EvaluationReport,
    /// By [`Outcome::last_model`].
    pub last: EvaluationReport,
}

/// When a checkpoint is taken between the ends of epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cadence {
    EpochEnds,
    Every(Duration),
}

/// Trains, from the start or from a checkpoint, to the end or until stopped.
pub fn train(job: Job<'_>) -> Result<Outcome, TrainError> {
    let cadence = match job.recipe.checkpoint_every {
        0 => Cadence::EpochEnds,
        seconds => Cadence::Every(Duration::from_secs(seconds)),
    };
    run::Run::start(job, cadence)?.finish()
}
