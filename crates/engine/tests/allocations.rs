//! After the first step, a training step allocates nothing: everything has its place in the plan.

use anmok_engine::native::{NativeEngine, NativeOptions};
use anmok_engine::{Engine, Rule, Targets, TrainOptions, TrainPass, Update, Weights};
use anmok_graph::zoo;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_step_after_the_first_allocates_nothing() {
    let graph = zoo::build("mobilenet_v3_small", &zoo::ZooOptions::default()).unwrap();
    let state = graph.initial_state(0);
    let train = TrainOptions {
        rule: Rule::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
        weight_decay: 0.01,
        decay_norm_and_bias: false,
        trainable: vec![true; graph.parameters.len()],
        ema_decay: Some(0.999),
    };
    let options = NativeOptions { threads: 2, max_batch: 8, level: None, train: Some(train) };
    let mut engine = NativeEngine::new(graph, options).unwrap();
    engine.load_model_state(&state).unwrap();
    let images = vec![0.5; 8 * engine.graph().input.elements()];
    let labels = [0, 1, 2, 3, 4, 5, 6, 7];
    let mut logits = vec![0.0; 80];
    let mut step = |pass: u64| {
        let targets = Targets { labels: &labels, mix: None };
        let pass = TrainPass { label_smoothing: 0.1, seed: 0, pass, accumulate: false, loss_scale: 1.0 };
        engine.train_pass(&images, targets, pass).unwrap();
        engine.update(Update { learning_rate: 0.001, clip_norm: Some(1.0) }).unwrap();
        engine.infer(&images, Weights::Ema, &mut logits).unwrap();
    };
    step(0);
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    assert!(before > 0, "the counter counts");
    (1..4).for_each(&mut step);
    assert_eq!(ALLOCATIONS.load(Ordering::SeqCst), before);
}
