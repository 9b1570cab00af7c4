//! The recipe, the training loop, checkpoints, evaluation and report pictures.
//!
//! (The map of the crate is completed as it grows.)

pub mod evaluation;
pub mod exact;
pub mod history;
pub mod pictures;
pub mod recipe;
pub mod run_log;
pub mod schedule;

pub use evaluation::EvaluationReport;
pub use history::{EpochRecord, History};
pub use recipe::Recipe;
pub use run_log::RunLog;
