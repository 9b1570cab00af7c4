//! A run that was interrupted anywhere ends like one that was not.

use super::*;
use crate::checkpoint::{BEST, LAST};
use crate::training::Ending;

#[test]
fn interrupted_after_any_step_a_run_ends_with_the_same_bits() {
    let recipe = recipe();
    let (expected, expected_log) = uninterrupted(&recipe);
    assert!(expected.test.0.accuracy > 0.4, "the small engine should learn: {}", expected.test.0.accuracy);
    let mut stops = 0;
    for moment in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let stop = never();
        let log = Memory::default();
        let first = Sitting { log: log.clone(), ..Sitting::new(&recipe, folder.path(), &stop) };
        let outcome =
            first.run(&mut Watcher::new(|now| stop.store(now == moment || stop.load(Ordering::Relaxed), Ordering::Relaxed))).unwrap();
        if outcome.ending != Ending::Interrupted {
            break;
        }
        stops += 1;
        assert!(outcome.test.is_none());
        stop.store(false, Ordering::Relaxed);
        let second = Sitting { log: log.clone(), resume: true, ..Sitting::new(&recipe, folder.path(), &stop) };
        let outcome = second.run(&mut ()).unwrap();
        assert_eq!(outcome.ending, Ending::Completed);
        assert_eq!(essence(&outcome), expected, "interrupted at moment {moment}");
        let logged = log.now();
        assert_eq!(logged.exact(), expected_log.exact(), "interrupted at moment {moment}");
        assert_eq!(logged.repeated, [], "interrupted at moment {moment}");
        assert_eq!(logged.params, expected_log.params);
    }
    // Three epochs of four steps, the validation's four batches and the epoch's end.
    assert_eq!(stops, 3 * (4 + 4 + 1));
}

#[test]
fn interrupted_again_and_again_a_run_ends_with_the_same_bits() {
    let recipe = Recipe { accumulate: 1, schedule: Schedule::OneCycle, ..recipe() };
    let (expected, expected_log) = uninterrupted(&recipe);
    let folder = tempfile::tempdir().unwrap();
    let log = Memory::default();
    let mut sittings = 0;
    loop {
        let stop = never();
        let sitting = Sitting { log: log.clone(), resume: sittings > 0, ..Sitting::new(&recipe, folder.path(), &stop) };
        // Five moments each; the stop set before the third sitting begins must not cost a step either.
        stop.store(sittings == 2, Ordering::Relaxed);
        let outcome =
            sitting.run(&mut Watcher::new(|now| stop.store(now >= 5 || stop.load(Ordering::Relaxed), Ordering::Relaxed))).unwrap();
        sittings += 1;
        if outcome.ending == Ending::Completed {
            assert_eq!(essence(&outcome), expected);
            break;
        }
    }
    assert!(sittings > 5, "{sittings}");
    assert_eq!(log.now().exact(), expected_log.exact());
    assert_eq!(log.now().repeated, []);
}

/// What lies on the disk at any moment (here: at every step) is a checkpoint that leads to the same end.
#[test]
fn whatever_lies_on_the_disk_when_a_run_is_killed_leads_to_the_same_end() {
    let recipe = recipe();
    let (expected, expected_log) = uninterrupted(&recipe);
    let folder = tempfile::tempdir().unwrap();
    let stop = never();
    let log = Memory::default();
    let mut moments: Vec<(Vec<u8>, Logged)> = vec![];
    let sitting = Sitting { log: log.clone(), cadence: Cadence::Every(Duration::ZERO), ..Sitting::new(&recipe, folder.path(), &stop) };
    sitting
        .run(&mut Watcher::new(|_| {
            let file = || std::fs::read(folder.path().join(LAST)).unwrap();
            // Some moments give the writer time to finish, others catch it at work.
            let patience = std::time::Instant::now();
            while moments.len() % 3 == 1 && moments.last().is_some_and(|last| last.0 == file()) && patience.elapsed().as_millis() < 500 {
                std::thread::sleep(Duration::from_millis(1));
            }
            moments.push((file(), log.now()));
        }))
        .unwrap();
    moments.dedup_by(|a, b| a.0 == b.0);
    assert!(moments.len() > 5, "{}", moments.len());
    for (file, logged) in moments {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(LAST), file).unwrap();
        let log = Memory::of(logged);
        let resumed = Sitting { log: log.clone(), resume: true, ..Sitting::new(&recipe, folder.path(), &stop) };
        assert_eq!(essence(&resumed.run(&mut ()).unwrap()), expected);
        assert_eq!(log.now().exact(), expected_log.exact());
    }
}

#[test]
fn a_finished_run_that_is_resumed_only_tests_again() {
    let recipe = recipe();
    let folder = tempfile::tempdir().unwrap();
    let stop = never();
    let first = essence(&Sitting::new(&recipe, folder.path(), &stop).run(&mut ()).unwrap());
    let mut watcher = Watcher::new(|_| {});
    let again = Sitting { resume: true, ..Sitting::new(&recipe, folder.path(), &stop) }.run(&mut watcher).unwrap();
    assert_eq!(essence(&again), first);
    assert_eq!(watcher.epochs, []);
}

#[test]
fn epochs_can_be_added_on_resume() {
    let short = Recipe { schedule: Schedule::Constant, ..recipe() };
    let long = Recipe { epochs: 5, ..short.clone() };
    let (expected, _) = uninterrupted(&long);
    let folder = tempfile::tempdir().unwrap();
    let stop = never();
    Sitting::new(&short, folder.path(), &stop).run(&mut ()).unwrap();
    let longer = Sitting { resume: true, ..Sitting::new(&long, folder.path(), &stop) }.run(&mut ()).unwrap();
    assert_eq!(essence(&longer), expected);
}

#[test]
fn the_best_model_lies_beside_the_checkpoint() {
    let recipe = recipe();
    let folder = tempfile::tempdir().unwrap();
    let stop = never();
    let outcome = Sitting::new(&recipe, folder.path(), &stop).run(&mut ()).unwrap();
    let contents = anmok_formats::safetensors::read(&folder.path().join(BEST)).unwrap();
    assert_eq!(contents.tensors, outcome.model);
    let description = crate::ModelDescription::from_metadata(&contents.metadata).unwrap().unwrap();
    assert_eq!((description.class_names.len(), description.channels), (10, 1));
}

#[test]
fn what_a_resumed_run_cannot_change_is_refused_by_name() {
    let recipe = recipe();
    let folder = tempfile::tempdir().unwrap();
    let stop = never();
    Sitting::new(&recipe, folder.path(), &stop).run(&mut ()).unwrap();
    let problem =
        |recipe: &Recipe| Sitting { resume: true, ..Sitting::new(recipe, folder.path(), &stop) }.run(&mut ()).unwrap_err().to_string();
    let text = problem(&Recipe { batch_size: 32, ema_decay: 0.0, ..recipe.clone() });
    assert!(text.contains("batch_size = 32: cannot change in a resumed run (allowed: 16)") && text.contains("ema_decay"), "{text}");
    let text = problem(&Recipe { model_name: "mobilenet_v3_small".into(), ..recipe.clone() });
    assert!(text.contains("the checkpoint is of resnet18 with 10 classes, this run trains mobilenet_v3_small with 10"), "{text}");

    let mut other_images = load(folder.path()).unwrap();
    other_images.state.data_digest = "0123".into();
    other_images.save(&folder.path().join(LAST)).unwrap();
    let text = problem(&recipe);
    assert!(text.contains("was made with other images: FashionMNIST-sample with digest 0123"), "{text}");
}

/// It is needed only at the very end, after all the training.
#[test]
fn a_best_model_of_another_network_is_refused_before_the_first_step() {
    let (recipe, folder, stop) = (recipe(), tempfile::tempdir().unwrap(), never());
    Sitting::new(&recipe, folder.path(), &stop).run(&mut ()).unwrap();
    let whole = load(folder.path()).unwrap();
    let problem = |spoil: &dyn Fn(&mut Vec<NamedTensor>)| {
        let mut spoilt = whole.clone();
        spoil(Arc::make_mut(spoilt.best.as_mut().unwrap()));
        spoilt.save(&folder.path().join(LAST)).unwrap();
        Sitting { resume: true, ..Sitting::new(&recipe, folder.path(), &stop) }.run(&mut ()).unwrap_err().to_string()
    };
    for text in [
        problem(&|best| best[0] = NamedTensor::f32(best[0].name.clone(), &[1], vec![0.0])),
        problem(&|best| drop(best.remove(0))),
        problem(&|best| best.push(NamedTensor::f32("strange", &[1], vec![0.0]))),
    ] {
        assert!(text.contains("last.safetensors is damaged: tensor `best."), "{text}");
    }
}

#[test]
fn another_simd_level_is_a_warning() {
    let recipe = recipe();
    let folder = tempfile::tempdir().unwrap();
    let stop = never();
    Sitting::new(&recipe, folder.path(), &stop).run(&mut ()).unwrap();
    let graph = softmax::graph(false);
    let mut engine = SoftmaxRegression::new(graph.clone(), recipe.train_options(&graph).unwrap());
    engine.level = "avx2".into();
    let mut watcher = Watcher::new(|_| {});
    Sitting { resume: true, ..Sitting::new(&recipe, folder.path(), &stop) }.run_on(&mut engine, &mut watcher).unwrap();
    assert!(watcher.warnings[0].contains("was on SIMD level portable, and goes on with avx2"), "{:?}", watcher.warnings);
}
