//! The numbers of an evaluation, from logits and labels.
//!
//! - [`evaluator`]: gathers predictions batch by batch
//! - [`report`]: what it finds, as saved and drawn

pub mod evaluator;
pub mod report;

pub use evaluator::{EvaluationError, Evaluator, argmax};
pub use report::{Calibration, CalibrationBin, ClassReport, EvaluationReport, Mistake};
