//! A split through the engine, into a report.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anmok_data::{Dataset, Loader, Walk};
use anmok_engine::{Engine, Weights};

use crate::error::TrainError;
use crate::evaluation::{EvaluationReport, Evaluator};
use crate::progress::Progress;

/// Mistakes that a report keeps.
pub const WORST_MISTAKES: usize = 64;

/// The images to evaluate on, and how.
#[derive(Debug, Clone)]
pub struct Questions {
    /// What the report calls them: `test`, `validation`.
    pub split: String,
    /// Their batches.
    pub loader: Loader,
    /// Mistakes to keep.
    pub worst: usize,
}

impl Questions {
    /// All images of a data set. `batch_size` is at most what the engine was made for.
    pub fn all(split: &str, dataset: Arc<Dataset>, batch_size: usize) -> Result<Self, TrainError> {
        let everything: Vec<u32> = (0..dataset.len() as u32).collect();
        Ok(Self { split: split.to_owned(), loader: Loader::evaluation(dataset, everything, batch_size)?, worst: WORST_MISTAKES })
    }
}

/// Evaluates on a whole split; `None` if `stop` was set on the way.
pub fn evaluate(
    engine: &mut dyn Engine,
    weights: Weights,
    questions: &Questions,
    progress: &mut dyn Progress,
    stop: &AtomicBool,
) -> Result<Option<EvaluationReport>, TrainError> {
    let Questions { split, loader, worst } = questions;
    let classes = engine.graph().classes();
    let mut evaluator = Evaluator::new(split, loader.dataset().classes(), *worst);
    let mut batches = Walk::new(loader.clone(), 0..1, 0);
    let mut logits = vec![];
    while let Some(batch) = batches.next(&mut |parts, part| engine.spread(parts, part)) {
        logits.resize(batch.labels.len() * classes, 0.0);
        engine.infer(&batch.images, weights, &mut logits)?;
        evaluator.add(&logits, &batch.labels)?;
        progress.evaluating(split, evaluator.images(), loader.images() as u64);
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
    }
    Ok(Some(evaluator.finish()))
}
