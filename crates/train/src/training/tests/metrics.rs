//! What is logged, where, and that a (key, step) is there once.

use std::time::Duration;

use super::*;

#[test]
fn every_metric_is_there_once_on_its_axis() {
    let recipe = recipe();
    let (result, logged) = uninterrupted(&recipe);
    assert_eq!(logged.repeated, []);
    for key in [
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_accuracy",
        "learning_rate",
        "epoch_seconds",
        "images_per_second",
        "best_val_accuracy",
    ] {
        assert_eq!(logged.steps(key), [1, 2, 3], "{key}");
    }
    // Passes after each step: 2 4 6 7, 9 11 13 14, 16 18 20 21. Those that reach a multiple of three:
    let batch_steps = [2, 3, 5, 7, 9, 10, 12];
    for key in ["batch_loss", "batch_accuracy", "batch_learning_rate", "batch_images_per_second", "batch_gradient_norm"] {
        assert_eq!(logged.steps(key), batch_steps, "{key}");
    }
    for key in [
        "test_loss",
        "test_accuracy",
        "test_top5_accuracy",
        "test_precision",
        "test_recall",
        "test_f1",
        "test_calibration_error",
        "test_loss_last",
        "test_accuracy_last",
    ] {
        assert_eq!(logged.steps(key), [3], "{key}");
    }
    let of = |key: &str, step| logged.metrics[&(key.to_owned(), step)];
    assert_eq!(of("test_accuracy", 3), result.test.0.accuracy);
    assert_eq!(of("test_f1", 3), result.test.0.macro_f1);
    assert_eq!(of("test_accuracy_last", 3), result.test.1.accuracy);
    let best = (1..=3).map(|epoch| of("val_accuracy", epoch)).fold(0.0, f64::max);
    assert_eq!(of("best_val_accuracy", 3), best);
    // Warmup over the first epoch's four steps: the last of them is at the peak.
    assert_eq!([of("batch_learning_rate", 2), of("learning_rate", 1)], [0.01, 0.02]);
}

#[test]
fn parameters_data_sets_and_checkpoints_are_recorded() {
    let (_, logged) = uninterrupted(&recipe());
    let param = |key: &str| logged.params.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
    assert_eq!(param("num_classes"), Some("10"));
    assert_eq!(param("batch_size"), Some("16"));
    assert_eq!(param("total_parameters"), Some("10250"));
    assert_eq!((param("trainable_parameters"), param("frozen_parameters")), (Some("10250"), Some("0")));
    let contexts: Vec<_> = logged.datasets.iter().map(|d| (d.context.as_str(), d.profile.contains("\"images\":100,"))).collect();
    assert_eq!(contexts, [("train", true), ("validation", false), ("test", false)]);
    assert!(logged.datasets.iter().all(|d| d.name == "FashionMNIST-sample" && !d.digest.is_empty() && d.digest.len() <= 36));
    // Training and validation images of one set are two inputs; so are more and fewer of them. The test set is whole.
    let digests = |logged: &Logged| logged.datasets.iter().map(|d| d.digest.clone()).collect::<Vec<_>>();
    let (all, fewer) = (digests(&logged), digests(&uninterrupted(&Recipe { limit_train: 90, epochs: 1, ..recipe() }).1));
    assert!(all[0] != all[1] && all[2] == DATA.test.digest(), "{all:?}");
    assert_ne!(all[0], fewer[0]);
    assert_eq!(all[1..], fewer[1..], "the same images are the same input");
    assert!(!logged.artifacts.is_empty() && logged.artifacts.iter().all(|path| path == "checkpoints/last.safetensors"));
}

#[test]
fn without_validation_the_last_model_is_saved() {
    let recipe = Recipe { validation_split: 0.0, schedule: Schedule::Cosine, ..recipe() };
    let (result, logged) = uninterrupted(&recipe);
    assert_eq!(result.best_epoch, None);
    assert_eq!(result.model, result.last_model);
    assert_eq!(result.test.0, result.test.1);
    assert!(logged.steps("val_loss").is_empty());
    assert_eq!(logged.datasets.len(), 2);
}

#[test]
fn the_saved_model_is_the_best_epochs_and_the_average_of_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let stop = never();
    // A rate that rises without bound: the first epochs are the best.
    let recipe = Recipe { epochs: 6, learning_rate: 3.0, warmup_epochs: 6.0, clip_norm: 0.0, schedule: Schedule::Constant, ..recipe() };
    let mut watcher = Watcher::new(|_| {});
    let outcome = Sitting::new(&recipe, folder.path(), &stop).run(&mut watcher).unwrap();
    let best = outcome.best.clone().unwrap();
    assert_eq!(outcome.history.best().unwrap().epoch, best.epoch);
    assert!(best.epoch < 6, "{:?}", outcome.history);
    assert_ne!(outcome.model, outcome.last_model);
    let called_best: Vec<u64> = watcher.epochs.iter().filter(|(_, is_best)| *is_best).map(|(record, _)| record.epoch).collect();
    assert_eq!(called_best.last(), Some(&best.epoch));

    // The saved model again by itself gives the test's numbers.
    let graph = softmax::graph(false);
    let mut engine = SoftmaxRegression::new(graph.clone(), recipe.train_options(&graph).unwrap());
    anmok_engine::Engine::load_model_state(&mut engine, &outcome.model).unwrap();
    let questions = crate::training::evaluate::Questions::all("test", DATA.test.clone(), 16).unwrap();
    let report =
        crate::training::evaluate::evaluate(&mut engine, anmok_engine::Weights::Live, &questions, &mut (), &stop).unwrap().unwrap();
    assert_eq!(report, outcome.test.unwrap().model);
}

#[test]
fn tracking_is_timed() {
    struct Slow;
    impl RunLog for Slow {
        fn params(&mut self, _: &[(String, String)]) {}
        fn metrics(&mut self, _: u64, _: &[(&str, f64)]) {
            std::thread::sleep(Duration::from_millis(2));
        }
        fn artifact(&mut self, _: &str, _: &Path) {}
        fn dataset(&mut self, _: &DatasetRecord) {}
        fn flush(&mut self) -> Result<(), RunLogError> {
            Ok(())
        }
    }
    let mut log = Slow;
    let mut metered = crate::metered_log::MeteredLog::new(&mut log);
    (0..5).for_each(|step| metered.metrics(step, &[("a", 1.0)]));
    assert_eq!(metered.cost.calls, 5);
    assert!(metered.cost.wall >= Duration::from_millis(10), "{:?}", metered.cost);
    assert!(metered.cost.cpu < metered.cost.wall, "waiting is not work: {:?}", metered.cost);
}

#[test]
fn whoever_watches_sees_every_step_once() {
    #[derive(Default)]
    struct Steps(Vec<StepProgress>, Vec<(String, u64, u64)>);
    impl Progress for Steps {
        fn step(&mut self, step: &StepProgress) {
            self.0.push(step.clone());
        }
        fn evaluating(&mut self, split: &str, done: u64, total: u64) {
            if done == total {
                self.1.push((split.to_owned(), done, total));
            }
        }
    }
    let (recipe, folder, live, mut seen) = (recipe(), tempfile::tempdir().unwrap(), LiveFigures::new(), Steps::default());
    let graph = softmax::graph(false);
    let outcome = crate::train(Job {
        engine: &mut SoftmaxRegression::new(graph.clone(), recipe.train_options(&graph).unwrap()),
        data: &DATA,
        recipe: &recipe,
        log: &mut Memory::default(),
        progress: &mut seen,
        live: &live,
        stop: &never(),
        checkpoints: folder.path(),
        run_id: "r1",
        resume: None,
    })
    .unwrap();
    let places: Vec<_> = seen.0.iter().map(|s| (s.epoch, s.batch, s.step)).collect();
    let expected: Vec<_> = (0..12).map(|i| (i / 4 + 1, (2 * (i % 4) + 2).min(7), i + 1)).collect();
    assert_eq!(places, expected);
    let last = outcome.history.epochs.last().unwrap();
    assert_eq!((seen.0[11].loss, seen.0[11].accuracy), (last.train_loss, last.train_accuracy));
    let split = |name: &str, images| (name.to_owned(), images, images);
    // The saved model and, where that is another one, the last weights.
    let (validations, tests) = seen.1.split_at(3);
    assert_eq!(validations, vec![split("validation", 60); 3]);
    assert!(matches!(tests.len(), 1 | 2) && tests.iter().all(|seen| *seen == split("test", 1000)), "{tests:?}");

    let text = live.render_prometheus();
    for line in [
        "anmok_training_info{run_id=\"r1\",model=\"resnet18\",dataset=\"FashionMNIST-sample\"} 1".to_owned(),
        "anmok_training_steps_total 12".to_owned(),
        "anmok_training_images_total 300".to_owned(),
        format!("anmok_training_loss {}", last.train_loss),
        format!("anmok_validation_accuracy {}", last.val_accuracy.unwrap()),
        format!("anmok_validation_best_accuracy {}", outcome.best.unwrap().val_accuracy),
        "anmok_checkpoint_failures_total 0".to_owned(),
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}

/// Someone who takes their time when an epoch is over.
struct Slow;

const PAUSE: Duration = Duration::from_millis(40);

impl Progress for Slow {
    fn epoch_finished(&mut self, _record: &EpochRecord, _is_best: bool) {
        std::thread::sleep(PAUSE);
    }
}

#[test]
fn what_follows_an_epoch_is_in_the_next_ones_seconds_and_in_no_rate() {
    let (recipe, folder, stop) = (recipe(), tempfile::tempdir().unwrap(), never());
    let outcome = Sitting::new(&recipe, folder.path(), &stop).run(&mut Slow).unwrap();
    let besides = |epoch: &EpochRecord| epoch.epoch_seconds - recipe.limit_train as f64 / epoch.images_per_second;
    let epochs = &outcome.history.epochs;
    assert!(epochs[1..].iter().all(|epoch| besides(epoch) >= PAUSE.as_secs_f64()), "{epochs:?}");
    assert!(epochs.iter().all(|epoch| 0.0 < epoch.engine_seconds && epoch.engine_seconds < epoch.epoch_seconds), "{epochs:?}");
    let sum: f64 = epochs.iter().map(|epoch| epoch.epoch_seconds).sum();
    assert!((outcome.seconds - sum).abs() < 1e-6, "{} {sum}", outcome.seconds);
}
