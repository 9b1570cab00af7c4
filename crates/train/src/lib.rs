//! The recipe, the training loop, checkpoints, evaluation and report pictures.
//!
//! (The map of the crate is completed as it grows.)

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
