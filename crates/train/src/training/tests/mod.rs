//! The loop against a small engine and a log that remembers everything.

mod guards;
mod kill;
mod metrics;
mod resume;
mod softmax;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use anmok_data::{OpenOptions, Splits, open};
use anmok_graph::NamedTensor;

use self::softmax::SoftmaxRegression;
use super::run::Run;
use super::{Cadence, Job, Outcome};
use crate::checkpoint::{Checkpoint, CheckpointError, LAST};
use crate::error::TrainError;
use crate::evaluation::EvaluationReport;
use crate::history::EpochRecord;
use crate::live::LiveFigures;
use crate::progress::{Progress, StepProgress};
use crate::recipe::{Optimizer, Recipe, Schedule};
use crate::run_log::{DatasetRecord, RunLog, RunLogError};

static DATA: LazyLock<Splits> =
    LazyLock::new(|| open("FashionMNIST-sample", &OpenOptions { image_channels: 1, ..OpenOptions::new("") }).unwrap());

/// Everything that has a memory is switched on. 100 images in batches of 16, two accumulated: seven passes and four steps
/// per epoch, the last step of one pass with four images.
fn recipe() -> Recipe {
    Recipe {
        dataset: "FashionMNIST-sample".into(),
        image_channels: 1,
        model_name: "resnet18".into(),
        validation_split: 0.01,
        limit_train: 100,
        mixup: 0.2,
        epochs: 3,
        batch_size: 16,
        accumulate: 2,
        optimizer: Optimizer::Sgd,
        learning_rate: 0.02,
        schedule: Schedule::Plateau,
        step_epochs: 1,
        gamma: 0.5,
        warmup_epochs: 1.0,
        label_smoothing: 0.1,
        clip_norm: 5.0,
        ema_decay: 0.8,
        log_every: 3,
        checkpoint_every: 0,
        ..Recipe::default()
    }
}

/// What was logged; a (key, step) that comes again must bring the same value, as it would be dropped by a real log.
#[derive(Default, Clone)]
struct Memory(Arc<Mutex<Logged>>);

#[derive(Default, Clone)]
struct Logged {
    params: Vec<(String, String)>,
    datasets: Vec<DatasetRecord>,
    artifacts: Vec<String>,
    metrics: BTreeMap<(String, u64), f64>,
    repeated: Vec<(String, u64)>,
    flush_fails: bool,
    /// How many flushes still work; `None` is all.
    flushes: Option<u32>,
}

fn depends_on_the_clock(key: &str) -> bool {
    matches!(key, "epoch_seconds" | "images_per_second" | "batch_images_per_second")
}

impl Memory {
    fn of(logged: Logged) -> Self {
        Self(Arc::new(Mutex::new(logged)))
    }

    fn now(&self) -> Logged {
        self.0.lock().unwrap().clone()
    }
}

impl Logged {
    fn steps(&self, key: &str) -> Vec<u64> {
        self.metrics.keys().filter(|(k, _)| k == key).map(|(_, step)| *step).collect()
    }

    /// Metrics with their bits, without those that time decides.
    fn exact(&self) -> BTreeMap<(String, u64), u64> {
        let lasting = self.metrics.iter().filter(|((key, _), _)| !depends_on_the_clock(key));
        lasting.map(|(place, value)| (place.clone(), value.to_bits())).collect()
    }
}

impl RunLog for Memory {
    fn params(&mut self, params: &[(String, String)]) {
        self.0.lock().unwrap().params.extend_from_slice(params);
    }

    fn metrics(&mut self, step: u64, metrics: &[(&str, f64)]) {
        let mut logged = self.0.lock().unwrap();
        for &(key, value) in metrics {
            match logged.metrics.insert((key.to_owned(), step), value) {
                None => {}
                Some(before) => {
                    assert!(before.to_bits() == value.to_bits() || depends_on_the_clock(key), "{key} at {step}: {before}, then {value}");
                    logged.repeated.push((key.to_owned(), step));
                }
            }
        }
    }

    fn artifact(&mut self, path: &str, file: &Path) {
        assert!(file.exists());
        self.0.lock().unwrap().artifacts.push(path.to_owned());
    }

    fn dataset(&mut self, dataset: &DatasetRecord) {
        self.0.lock().unwrap().datasets.push(dataset.clone());
    }

    fn flush(&mut self) -> Result<(), RunLogError> {
        let mut logged = self.0.lock().unwrap();
        let used_up = logged.flushes == Some(0);
        logged.flushes = logged.flushes.map(|left| left.saturating_sub(1));
        if logged.flush_fails || used_up { Err(RunLogError("the disk is full".into())) } else { Ok(()) }
    }
}

/// Watches a run and does something at every step and every evaluated batch, counted together.
struct Watcher<F: FnMut(u64)> {
    moment: u64,
    then: F,
    warnings: Vec<String>,
    epochs: Vec<(EpochRecord, bool)>,
}

impl<F: FnMut(u64)> Watcher<F> {
    fn new(then: F) -> Self {
        Self { moment: 0, then, warnings: vec![], epochs: vec![] }
    }

    fn tick(&mut self) {
        self.moment += 1;
        (self.then)(self.moment);
    }
}

impl<F: FnMut(u64)> Progress for Watcher<F> {
    fn step(&mut self, _step: &StepProgress) {
        self.tick();
    }

    fn evaluating(&mut self, split: &str, _done: u64, total: u64) {
        // The test set has a thousand images; the moments within it are all alike.
        if split == "validation" || total < 100 {
            self.tick();
        }
    }

    fn epoch_finished(&mut self, record: &EpochRecord, is_best: bool) {
        self.epochs.push((record.clone(), is_best));
        self.tick();
    }

    fn warning(&mut self, message: &str) {
        self.warnings.push(message.to_owned());
    }
}

fn load(folder: &Path) -> Result<Checkpoint, CheckpointError> {
    Checkpoint::load_file(&folder.join(LAST))
}

/// One sitting of a run with a fresh engine.
struct Sitting<'a> {
    recipe: &'a Recipe,
    folder: &'a Path,
    log: Memory,
    stop: &'a AtomicBool,
    cadence: Cadence,
    resume: bool,
}

impl<'a> Sitting<'a> {
    fn new(recipe: &'a Recipe, folder: &'a Path, stop: &'a AtomicBool) -> Self {
        Self { recipe, folder, log: Memory::default(), stop, cadence: Cadence::EpochEnds, resume: false }
    }

    fn run(self, progress: &mut dyn Progress) -> Result<Outcome, TrainError> {
        let graph = softmax::graph(false);
        let mut engine = SoftmaxRegression::new(graph.clone(), self.recipe.train_options(&graph)?);
        self.run_on(&mut engine, progress)
    }

    fn run_on(mut self, engine: &mut SoftmaxRegression, progress: &mut dyn Progress) -> Result<Outcome, TrainError> {
        let resume = if self.resume { Some(load(self.folder)?) } else { None };
        let job = Job {
            engine,
            data: &DATA,
            recipe: self.recipe,
            log: &mut self.log,
            progress,
            live: &LiveFigures::new(),
            stop: self.stop,
            checkpoints: self.folder,
            run_id: "r1",
            resume,
        };
        Run::start(job, self.cadence)?.finish()
    }
}

/// All that two runs must have in common to be called the same.
#[derive(Debug, PartialEq)]
struct Essence {
    model: Vec<NamedTensor>,
    last_model: Vec<NamedTensor>,
    history: Vec<[u64; 5]>,
    best_epoch: Option<u64>,
    test: (EvaluationReport, EvaluationReport),
    steps: u64,
}

fn essence(outcome: &Outcome) -> Essence {
    let bits = |value: Option<f64>| value.map_or(0, f64::to_bits);
    let test = outcome.test.clone().expect("the run is finished");
    Essence {
        model: outcome.model.clone(),
        last_model: outcome.last_model.clone(),
        history: outcome
            .history
            .epochs
            .iter()
            .map(|e| {
                [e.train_loss.to_bits(), e.train_accuracy.to_bits(), bits(e.val_loss), bits(e.val_accuracy), e.learning_rate.to_bits()]
            })
            .collect(),
        best_epoch: outcome.best.as_ref().map(|best| best.epoch),
        test: (test.model, test.last),
        steps: outcome.steps,
    }
}

fn never() -> AtomicBool {
    AtomicBool::new(false)
}

/// A whole run without an interruption, with its log.
fn uninterrupted(recipe: &Recipe) -> (Essence, Logged) {
    let folder = tempfile::tempdir().unwrap();
    let stop = never();
    let sitting = Sitting::new(recipe, folder.path(), &stop);
    let log = sitting.log.clone();
    let outcome = sitting.run(&mut ()).unwrap();
    (essence(&outcome), log.now())
}
