//! The numbers of an evaluation, from logits and labels.

pub mod report;

pub use report::{Calibration, CalibrationBin, ClassReport, EvaluationReport, Mistake};
