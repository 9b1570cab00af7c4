//! What stops a run, and what does not.

use super::*;
use crate::checkpoint::{BEST, CheckpointError, LAST};
use crate::recipe::RecipeError;
use crate::training::Ending;

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint() {
    let recipe = Recipe { learning_rate: 1e6, clip_norm: 0.0, warmup_epochs: 0.0, schedule: Schedule::Constant, ..recipe() };
    let folder = tempfile::tempdir().unwrap();
    let stop = never();
    let sitting = Sitting { cadence: Cadence::Every(Duration::ZERO), ..Sitting::new(&recipe, folder.path(), &stop) };
    let graph = softmax::graph(false);
    let mut engine = SoftmaxRegression::new(graph.clone(), recipe.train_options(&graph).unwrap());
    // Weights whose products overflow.
    let huge: Vec<NamedTensor> = anmok_engine::Engine::model_state(&engine, anmok_engine::Weights::Live)
        .unwrap()
        .into_iter()
        .map(|t| NamedTensor::f32(&t.name, &t.shape.clone(), vec![1e38; t.as_f32().unwrap().len()]))
        .collect();
    anmok_engine::Engine::load_model_state(&mut engine, &huge).unwrap();
    let error = sitting.run_on(&mut engine, &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { epoch: 1, batch: 1, step: 0, .. }), "{error}");
    let text = error.to_string();
    for part in ["the loss", "epoch 1, batch 1", "learning rate 1e6", "Lower learning_rate", "clip_norm"] {
        assert!(text.contains(part), "{text}");
    }
    let kept = load(folder.path()).unwrap();
    assert_eq!(kept.state.position.step, 0);
    assert_eq!(kept.not_finite(), None);
}

#[test]
fn weights_that_overflow_in_a_step_never_reach_a_checkpoint() {
    // The loss of the second step is still finite, its update is not.
    let recipe =
        Recipe { learning_rate: 1e6, clip_norm: 0.0, warmup_epochs: 0.0, ema_decay: 0.0, schedule: Schedule::Constant, ..recipe() };
    let folder = tempfile::tempdir().unwrap();
    let stop = never();
    let graph = softmax::graph(false);
    let mut engine = SoftmaxRegression::new(graph.clone(), recipe.train_options(&graph).unwrap());
    engine.spoil_update = Some(2);
    let sitting = Sitting { cadence: Cadence::Every(Duration::ZERO), ..Sitting::new(&recipe, folder.path(), &stop) };
    let error = sitting.run_on(&mut engine, &mut ()).unwrap_err();
    assert!(matches!(&error, TrainError::NotFinite { what, step: 2, .. } if what.contains("classifier.weight")), "{error}");
    assert_eq!(load(folder.path()).unwrap().state.position.step, 1);
}

#[test]
fn early_stopping_waits_for_its_patience_and_survives_a_resume() {
    // A rate that changes nothing: the first epoch stays the best.
    let recipe = Recipe {
        learning_rate: 1e-30,
        epochs: 50,
        early_stopping: 3,
        ema_decay: 0.0,
        warmup_epochs: 0.0,
        schedule: Schedule::Constant,
        ..recipe()
    };
    let folder = tempfile::tempdir().unwrap();
    let stop = never();
    let outcome = Sitting::new(&recipe, folder.path(), &stop).run(&mut ()).unwrap();
    assert_eq!((outcome.ending, outcome.history.epochs.len()), (Ending::StoppedEarly, 4));
    assert!(outcome.test.is_some());
    let again = Sitting { resume: true, ..Sitting::new(&recipe, folder.path(), &stop) }.run(&mut ()).unwrap();
    assert_eq!((again.ending, again.history.epochs.len()), (Ending::StoppedEarly, 4));
}

#[test]
fn a_batch_of_one_on_a_1x1_map_is_refused_before_the_first_step() {
    let stop = never();
    let attempt = |recipe: &Recipe| {
        let folder = tempfile::tempdir().unwrap();
        let graph = softmax::graph(true);
        let mut engine = SoftmaxRegression::new(graph.clone(), recipe.train_options(&graph).unwrap());
        let error = Sitting::new(recipe, folder.path(), &stop).run_on(&mut engine, &mut ());
        (error.map(|outcome| outcome.steps), std::fs::read_dir(folder.path()).unwrap().count())
    };
    let recipe = Recipe { batch_size: 33, epochs: 1, ..recipe() };
    let (error, files) = attempt(&recipe);
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("a batch of one image (100 images in batches of 33)") && text.contains("norm") && text.contains("drop_last = true"),
        "{text}"
    );
    assert_eq!(files, 0);
    assert!(attempt(&Recipe { drop_last: true, ..recipe.clone() }).0.is_ok());
    assert!(attempt(&Recipe { batch_size: 32, ..recipe.clone() }).0.is_ok());
    assert!(attempt(&Recipe { batch_size: 1, ..recipe }).0.is_err());
}

#[test]
fn a_recipe_with_problems_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe { batch_size: 0, epochs: 0, ..recipe() };
    let error = Sitting::new(&recipe, folder.path(), &never()).run(&mut ()).unwrap_err().to_string();
    assert!(error.contains("epochs = 0") && error.contains("batch_size = 0"), "{error}");
}

/// A share so small that it rounds to no image: early stopping would end the run, and plateau never lower the rate.
#[test]
fn what_watches_the_validation_is_refused_where_nothing_is_held_out() {
    let attempt = |recipe: &Recipe| {
        let folder = tempfile::tempdir().unwrap();
        Sitting::new(recipe, folder.path(), &never()).run(&mut ()).map(|outcome| outcome.ending)
    };
    let none = Recipe { validation_split: 1e-6, epochs: 1, warmup_epochs: 0.0, schedule: Schedule::Constant, ..recipe() };
    for (recipe, watcher) in [
        (Recipe { early_stopping: 1, ..none.clone() }, "early_stopping"),
        (Recipe { schedule: Schedule::Plateau, ..none.clone() }, "plateau"),
    ] {
        let error = attempt(&recipe).unwrap_err();
        assert!(matches!(error, TrainError::Recipe(RecipeError::Problems(_))), "{error}");
        let text = error.to_string();
        assert!(text.contains("validation_split = 0.000001: holds out none of the") && text.contains(watcher), "{text}");
    }
    assert_eq!(attempt(&none).unwrap(), Ending::Completed);
}

#[test]
fn batches_that_run_out_are_an_error_not_a_step() {
    let (recipe, folder, stop, live) = (recipe(), tempfile::tempdir().unwrap(), never(), LiveFigures::new());
    let graph = softmax::graph(false);
    let mut engine = SoftmaxRegression::new(graph.clone(), recipe.train_options(&graph).unwrap());
    let (mut log, mut progress) = (Memory::default(), ());
    let job = Job {
        engine: &mut engine,
        data: &DATA,
        recipe: &recipe,
        log: &mut log,
        progress: &mut progress,
        live: &live,
        stop: &stop,
        checkpoints: folder.path(),
        run_id: "r1",
        resume: None,
    };
    let mut run = Run::start(job, Cadence::EpochEnds).unwrap();
    let mut spent = anmok_data::Walk::new(run.batches.training.clone(), 0..0, 0);
    let error = run.epoch(&mut spent).unwrap_err();
    assert!(matches!(error, TrainError::NoBatch { epoch: 1, batch: 1 }), "{error}");
    assert_eq!(run.state.position.step, 0);
}

#[test]
fn a_folder_that_cannot_be_written_is_found_out_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let log = Memory::default();
    let stop = never();
    let recipe = recipe();
    let sitting = Sitting { log: log.clone(), ..Sitting::new(&recipe, &file, &stop) };
    let error = sitting.run(&mut ()).unwrap_err();
    assert!(matches!(&error, TrainError::Checkpoint(CheckpointError::Folder { path, .. }) if *path == file), "{error}");
    assert!(log.now().metrics.is_empty());
}

/// The folder is taken away in the first epoch and given back in the third: what a full disk does, without one.
#[test]
fn a_checkpoint_that_fails_is_a_warning_and_the_run_goes_on() {
    let parent = tempfile::tempdir().unwrap();
    let (folder, aside) = (parent.path().join("checkpoints"), parent.path().join("aside"));
    let recipe = recipe();
    let stop = never();
    for given_back in [true, false] {
        let log = Memory::default();
        let mut steps = 0;
        let mut watcher = Watcher::new(|_| {
            steps += 1;
            if steps == 2 {
                std::fs::rename(&folder, &aside).unwrap();
            }
            if steps == 22 && given_back {
                std::fs::rename(&aside, &folder).unwrap();
            }
        });
        let sitting = Sitting { log: log.clone(), ..Sitting::new(&recipe, &folder, &stop) };
        let outcome = sitting.run(&mut watcher).unwrap();
        assert_eq!((outcome.ending, outcome.history.epochs.len()), (Ending::Completed, 3));
        assert!(
            watcher.warnings.iter().any(|w| w.contains("the checkpoint was not saved") && w.contains("training goes on")),
            "{:?}",
            watcher.warnings
        );
        assert_eq!(outcome.checkpoint_error.is_some(), !given_back, "{:?}", outcome.checkpoint_error);
        if given_back {
            assert_eq!(load(&folder).unwrap().state.position.epoch, 3);
        } else {
            assert_eq!(load(&aside).unwrap().state.position.epoch, 0, "the one before is kept");
        }
    }
}

/// `best.safetensors` is for people; without it the run is as safe as ever.
#[test]
fn a_best_model_that_cannot_be_written_is_no_lost_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    // A folder stands where the file should.
    std::fs::create_dir(folder.path().join(BEST)).unwrap();
    let (recipe, stop, mut watcher) = (recipe(), never(), Watcher::new(|_| {}));
    let outcome = Sitting::new(&recipe, folder.path(), &stop).run(&mut watcher).unwrap();
    assert!(outcome.checkpoint_error.is_none(), "{:?}", outcome.checkpoint_error);
    assert!(
        !watcher.warnings.is_empty() && watcher.warnings.iter().all(|w| w.starts_with("the best model was not written")),
        "{:?}",
        watcher.warnings
    );
    assert_eq!(load(folder.path()).unwrap().state.position.epoch, 3);

    // A resumed run tries again.
    std::fs::remove_dir(folder.path().join(BEST)).unwrap();
    Sitting { resume: true, ..Sitting::new(&recipe, folder.path(), &stop) }.run(&mut ()).unwrap();
    assert!(folder.path().join(BEST).is_file());
}

/// The log fails at the interruption, while the last epoch's checkpoint is still being written: that one's success is not
/// this moment's.
#[test]
fn an_interrupted_run_is_not_saved_by_an_older_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, stop) = (recipe(), never());
    // One flush before the first step, one at the end of the epoch; the third is the interruption's.
    let log = Memory::of(Logged { flushes: Some(2), ..Logged::default() });
    let sitting = Sitting { log: log.clone(), ..Sitting::new(&recipe, folder.path(), &stop) };
    let error = sitting.run(&mut StopAfterEpoch(&stop)).unwrap_err();
    assert!(matches!(error, TrainError::Log(_)), "{error}");
    assert_eq!(load(folder.path()).unwrap().state.position.epoch, 1);
}

struct StopAfterEpoch<'a>(&'a AtomicBool);

impl Progress for StopAfterEpoch<'_> {
    fn epoch_finished(&mut self, _record: &EpochRecord, _is_best: bool) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_interrupted_run_that_cannot_save_its_checkpoint_says_so() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("checkpoints");
    let stop = never();
    let recipe = recipe();
    let mut watcher = Watcher::new(|now| {
        if now == 3 {
            std::fs::remove_dir_all(&folder).unwrap();
            stop.store(true, Ordering::Relaxed);
        }
    });
    let error = Sitting::new(&recipe, &folder, &stop).run(&mut watcher).unwrap_err();
    assert!(matches!(error, TrainError::Checkpoint(CheckpointError::Write(_))), "{error}");
}

#[test]
fn a_checkpoint_does_not_get_ahead_of_a_log_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let stop = never();
    let recipe = recipe();
    let log = Memory::default();
    let mut watcher = Watcher::new(|now| log.0.lock().unwrap().flush_fails = now >= 2);
    let sitting = Sitting { log: log.clone(), ..Sitting::new(&recipe, folder.path(), &stop) };
    let outcome = sitting.run(&mut watcher).unwrap();
    assert!(outcome.checkpoint_error.unwrap().to_string().contains("the disk is full"));
    assert_eq!(load(folder.path()).unwrap().state.position.step, 0);
    assert!(folder.path().join(LAST).exists());
}
