//! The recipe, the training loop, checkpoints, evaluation and report pictures.
//!
//! This crate decides what a run is: its settings, its order of steps, what it remembers and what it reports. It knows
//! engines only through [`anmok_engine::Engine`] and tracking systems only through [`RunLog`]; it prints nothing and
//! reads no environment. Callbacks and hooks by which a run could be changed from outside were refused: a run is a
//! function of recipe, images and SIMD level, and that is what makes it resumable to the bit.
//!
//! - [`recipe`]: the settings, checked and typed, and what follows from them for the other crates
//! - [`training`]: the loop; [`train`] is the way in
//! - [`schedule`]: the learning rate of each step
//! - [`checkpoint`]: all that a killed run needs to go on
//! - [`evaluation`]: accuracy, F1, calibration, worst mistakes, from logits and labels
//! - [`history`]: the series of a run, for its curves
//! - [`pictures`]: what a report shows
//! - [`model`]: what a weights file says about its network
//! - [`run_log`]: where a run is recorded; [`metered_log`]: what that costs
//! - [`progress`], [`live`]: who watches, on the terminal and through Prometheus
//! - [`exact`]: floats through JSON without loss
//! - [`error`]: what ends a run

pub mod checkpoint;
pub mod error;
pub mod evaluation;
pub mod exact;
pub mod history;
pub mod live;
pub mod metered_log;
pub mod model;
pub mod pictures;
pub mod progress;
pub mod recipe;
pub mod run_log;
pub mod schedule;
pub mod training;

pub use checkpoint::Checkpoint;
pub use error::TrainError;
pub use evaluation::EvaluationReport;
pub use history::{EpochRecord, History};
pub use live::LiveFigures;
pub use metered_log::TrackingCost;
pub use model::ModelDescription;
pub use progress::Progress;
pub use recipe::Recipe;
pub use run_log::RunLog;
pub use training::{Ending, Job, Outcome, TestOutcome, train};
