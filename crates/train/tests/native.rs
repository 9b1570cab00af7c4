//! Whole runs on the native engine and real images, through the public interface alone.

use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anmok_data::{OpenOptions, Splits, open};
use anmok_engine::native::{NativeEngine, NativeOptions};
use anmok_engine::{Engine, EngineError};
use anmok_train::checkpoint::{CheckpointError, LAST};
use anmok_train::progress::StepProgress;
use anmok_train::run_log::{DatasetRecord, RunLogError};
use anmok_train::{Checkpoint, Ending, Job, LiveFigures, Outcome, Progress, Recipe, RunLog, TrainError, train};

static DATA: LazyLock<Splits> =
    LazyLock::new(|| open("FashionMNIST-sample", &OpenOptions { image_channels: 1, ..OpenOptions::new("") }).unwrap());

/// MobileNetV3-Small at half width; 300 images, the last batch of an epoch has 44.
fn recipe() -> Recipe {
    Recipe {
        dataset: "FashionMNIST-sample".into(),
        image_channels: 1,
        width_multiplier: 0.5,
        validation_split: 0.02,
        limit_train: 300,
        epochs: 2,
        learning_rate: 0.003,
        ema_decay: 0.9,
        clip_norm: 1.0,
        cutmix: 1.0,
        rand_augment: 1,
        ..Recipe::default()
    }
}

struct NoLog;

impl RunLog for NoLog {
    fn params(&mut self, _: &[(String, String)]) {}
    fn metrics(&mut self, _: u64, _: &[(&str, f64)]) {}
    fn artifact(&mut self, _: &str, _: &Path) {}
    fn dataset(&mut self, _: &DatasetRecord) {}
    fn flush(&mut self) -> Result<(), RunLogError> {
        Ok(())
    }
}

struct StopAt<'a>(u64, &'a AtomicBool);

impl Progress for StopAt<'_> {
    fn step(&mut self, step: &StepProgress) {
        if step.step == self.0 {
            self.1.store(true, Ordering::Relaxed);
        }
    }
}

fn engine(recipe: &Recipe, threads: usize) -> NativeEngine {
    let graph = recipe.graph(&DATA.train).unwrap();
    let train = Some(recipe.train_options(&graph).unwrap());
    NativeEngine::new(graph, NativeOptions { threads, max_batch: recipe.batch_size, level: None, train }).unwrap()
}

fn load(folder: &Path) -> Result<Checkpoint, CheckpointError> {
    Checkpoint::load_file(&folder.join(LAST))
}

/// One sitting with a new engine, stopped after `stop_at` optimizer steps of the run (0: not at all).
fn sit(recipe: &Recipe, folder: &Path, threads: usize, stop_at: u64, resume: bool) -> Result<Outcome, TrainError> {
    let mut engine = engine(recipe, threads);
    let resume = if resume {
        Some(load(folder)?)
    } else {
        engine.load_model_state(&recipe.initial_weights(engine.graph())?.state)?;
        None
    };
    let stop = AtomicBool::new(false);
    train(Job {
        engine: &mut engine,
        data: &DATA,
        recipe,
        log: &mut NoLog,
        progress: &mut StopAt(stop_at, &stop),
        live: &LiveFigures::new(),
        stop: &stop,
        checkpoints: folder,
        run_id: "native",
        resume,
    })
}

#[test]
fn a_run_resumed_twice_on_other_numbers_of_threads_has_the_same_bits() {
    let recipe = recipe();
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = sit(&recipe, whole.path(), 2, 0, false).unwrap();
    assert_eq!((expected.ending, expected.steps), (Ending::Completed, 10));
    assert_eq!(sit(&recipe, parts.path(), 1, 3, false).unwrap().ending, Ending::Interrupted);
    assert_eq!(sit(&recipe, parts.path(), 3, 7, true).unwrap().ending, Ending::Interrupted);
    let resumed = sit(&recipe, parts.path(), 2, 0, true).unwrap();
    assert_eq!(resumed.ending, Ending::Completed);
    assert!(resumed.last_model == expected.last_model, "the last weights differ");
    assert!(resumed.model == expected.model, "the best weights differ");
    assert_eq!(resumed.test, expected.test);
    let (a, b) = (load(whole.path()).unwrap(), load(parts.path()).unwrap());
    assert!(a.training == b.training, "the optimizer's states differ");
    assert_eq!(a.state.position, b.state.position);
}

#[test]
fn frozen_parameters_do_not_move() {
    let recipe = Recipe { freeze: vec!["features.*".into()], epochs: 1, ema_decay: 0.0, ..recipe() };
    let folder = tempfile::tempdir().unwrap();
    let before = recipe.initial_weights(engine(&recipe, 1).graph()).unwrap().state;
    let after = sit(&recipe, folder.path(), 2, 0, false).unwrap().last_model;
    for (before, after) in before.iter().zip(&after) {
        let statistics = before.name.contains("running_") || before.name.ends_with("num_batches_tracked");
        if before.name.starts_with("features.") && !statistics {
            assert!(before == after, "{} is frozen and has moved", before.name);
        } else {
            // Also the running statistics: requires_grad = False alone does not stop them in PyTorch.
            assert!(before != after, "{} should have moved", before.name);
        }
    }
}

/// A diverging run on the real engine: the guard, not a saved model full of NaN.
#[test]
fn a_rate_far_too_high_is_stopped_with_advice() {
    let recipe = Recipe { optimizer: anmok_train::recipe::Optimizer::Sgd, learning_rate: 1e6, clip_norm: 0.0, ema_decay: 0.0, ..recipe() };
    let folder = tempfile::tempdir().unwrap();
    let error = sit(&recipe, folder.path(), 2, 0, false).unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { epoch: 1, .. }), "{error}");
    assert_eq!(load(folder.path()).unwrap().state.position.step, 0);
}

/// What the check before a run promises is what the engine would have said at the end of the first epoch.
#[test]
fn a_last_batch_of_one_is_refused_before_the_engine_would() {
    // 300 images in batches of 23 leave one over. At 32x32 torchvision's strides end in a 1x1 map.
    let recipe = Recipe { batch_size: 23, ..recipe() };
    let folder = tempfile::tempdir().unwrap();
    let error = sit(&recipe, folder.path(), 1, 0, false).unwrap_err();
    let TrainError::BatchOfOne { node, .. } = &error else { panic!("{error}") };
    let mut engine = engine(&recipe, 1);
    let pass = anmok_engine::TrainPass { label_smoothing: 0.0, seed: 0, pass: 0, accumulate: false, loss_scale: 1.0 };
    let targets = anmok_engine::Targets { labels: &[0], mix: None };
    let from_engine = engine.train_pass(&[0.0; 1024], targets, pass).unwrap_err();
    assert!(matches!(&from_engine, EngineError::OneValuePerChannel { node: same, .. } if same == node), "{from_engine}");
}

#[test]
fn a_checkpoint_of_another_network_does_not_fit() {
    let recipe = recipe();
    let folder = tempfile::tempdir().unwrap();
    sit(&recipe, folder.path(), 1, 1, false).unwrap();
    let wider = Recipe { width_multiplier: 1.0, ..recipe.clone() };
    let error = sit(&wider, folder.path(), 1, 0, true).unwrap_err().to_string();
    assert!(error.contains("width_multiplier"), "{error}");

    // A checkpoint whose tensors are not the network's is refused too, with the tensor's name.
    let mut forged = load(folder.path()).unwrap();
    forged.model.pop();
    forged.save(&folder.path().join("last.safetensors")).unwrap();
    let error = sit(&recipe, folder.path(), 1, 0, true).unwrap_err().to_string();
    assert!(error.contains("the checkpoint does not fit the network") && error.contains("classifier.3.bias"), "{error}");
}
