//! The parity ladder: each network of the zoo against torchvision's, from logits up to ten steps of training.
//!
//! Every rung is climbed at every SIMD level of the machine, and with another number of threads, which must not change a bit.

mod golden;

use anmok_engine::native::{Level, NativeEngine};
use anmok_engine::{BatchOutcome, Engine, EngineError, Rule, Targets, TrainPass, Update, Weights};
use anmok_graph::Graph;
use anmok_graph::zoo::{self, Stem, ZooOptions};
use golden::{Digest, FACTOR, NamedDigest, Verdict, bits_of, buffers, engine, images, labels, load, state, word};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Golden {
    network: String,
    stem: String,
    classes: usize,
    side: usize,
    batch: usize,
    seed: u64,
    state: Vec<String>,
    eval_logits: Digest,
    loss: Digest,
    margins: Digest,
    correct: usize,
    gradients: Vec<NamedDigest>,
    buffers: Vec<NamedDigest>,
    sgd: TenSteps,
}

#[derive(Deserialize)]
struct TenSteps {
    learning_rate: f64,
    momentum: f64,
    weight_decay: f64,
    losses: Vec<f64>,
    errors: Vec<f64>,
}

const PASS: TrainPass = TrainPass { label_smoothing: 0.0, seed: 0, pass: 0, accumulate: false, loss_scale: 1.0 };

fn network(name: &str, stem: &str, classes: usize, side: usize) -> Graph {
    let stem = if stem == "cifar" { Stem::Cifar } else { Stem::Imagenet };
    let options = ZooOptions { classes, height: side, width: side, stem, dropout: 0.0, ..ZooOptions::default() };
    zoo::build(name, &options).expect("a network of the zoo")
}

/// A network and the batch that climbs with it.
struct Climb<'a> {
    golden: &'a Golden,
    graph: &'a Graph,
    images: Vec<f32>,
    labels: Vec<u32>,
}

impl Climb<'_> {
    fn engine(&self, level: Level, threads: usize) -> NativeEngine {
        let Golden { seed, batch, ref sgd, .. } = *self.golden;
        let rule = Rule::Sgd { momentum: sgd.momentum, nesterov: false };
        engine(self.graph, &state(self.graph, seed, &BTreeMap::new()), batch, (level, threads), (rule, sgd.weight_decay))
            .expect("an engine")
    }

    fn pass(&self, engine: &mut NativeEngine, labels: &[u32]) -> BatchOutcome {
        engine.train_pass(&self.images, Targets { labels, mix: None }, PASS).expect("a training pass")
    }

    /// Logits, loss, gradients, running statistics.
    fn first_pass(&self, engine: &mut NativeEngine, verdict: &mut Verdict) -> BatchOutcome {
        let golden = self.golden;
        let mut logits = vec![0.0; golden.batch * golden.classes];
        engine.infer(&self.images, Weights::Live, &mut logits).expect("inference");
        verdict.note(golden.eval_logits.ratio(&[golden.seed, word("logits")], &logits), "logits in evaluation mode");

        let outcome = self.pass(engine, &self.labels);
        verdict.note(golden.loss.ratio(&[golden.seed, word("loss")], &[outcome.loss as f32]), "loss");
        assert_eq!(outcome.correct, golden.correct);
        verdict.tensors(golden.seed, "gradient", &golden.gradients, &engine.gradients());
        let state = engine.model_state(Weights::Live).expect("the state");
        assert!(state.iter().filter(|t| t.name.ends_with("num_batches_tracked")).all(|t| t.as_i64() == Some(&[1])));
        verdict.tensors(golden.seed, "buffers", &golden.buffers, &buffers(self.graph, state));
        outcome
    }

    /// One step of SGD, and the loss after it.
    fn step(&self, engine: &mut NativeEngine) -> f64 {
        engine.update(Update { learning_rate: self.golden.sgd.learning_rate, clip_norm: None }).expect("an update");
        self.pass(engine, &self.labels).loss
    }

    /// Compares the loss of step `index` (from 0).
    fn judge_loss(&self, index: usize, loss: f64, verdict: &mut Verdict) {
        // Rounding grows along the way, at a pace that differs from one way of computing to another: the yardstick is
        // PyTorch's largest error of the ten (the goldens' seeds are chosen so that it is below 1e-4, and mostly far below).
        let sgd = &self.golden.sgd;
        let allowed = sgd.errors.iter().fold(0.0, |worst: f64, &e| worst.max(e));
        verdict.note((loss - sgd.losses[index]).abs() / allowed, format_args!("loss of step {}", index + 1));
    }

    /// The logits in training mode, which the engine does not hand out: moving one image's label from class `a` to `b`
    /// moves the mean loss by `(logit a - logit b) / batch`.
    fn margins(&self, engine: &mut NativeEngine, outcome: BatchOutcome, verdict: &mut Verdict) {
        let Golden { batch, classes, seed, ref margins, .. } = *self.golden;
        let of_image = |image: usize| {
            let mut labels = self.labels.clone();
            labels[image] = (labels[image] + 1) % classes as u32;
            ((self.pass(engine, &labels).loss - outcome.loss) * batch as f64) as f32
        };
        let got: Vec<f32> = (0..margins.whole().len()).map(of_image).collect();
        verdict.note(margins.ratio(&[seed, word("margins")], &got), "logits in training mode");
    }
}

fn climb(name: &str) {
    let golden: Golden = load(name);
    let graph = network(&golden.network, &golden.stem, golden.classes, golden.side);
    let names: Vec<_> = graph.initial_state(0).into_iter().map(|t| t.name).collect();
    assert_eq!(names, golden.state, "the state dict's names, in torchvision's order");
    let images = images(&graph, golden.seed, golden.batch);
    let labels = labels(golden.seed, "labels", golden.batch, golden.classes);
    let climb = Climb { golden: &golden, graph: &graph, images, labels };
    for level in Level::available() {
        let mut verdict = Verdict::new(format!("{name} at {level:?}"));
        let mut engine = climb.engine(level, 2);
        let outcome = climb.first_pass(&mut engine, &mut verdict);
        climb.judge_loss(0, outcome.loss, &mut verdict);
        climb.margins(&mut climb.engine(level, 2), outcome, &mut verdict);

        let mut alone = climb.engine(level, 1);
        assert_eq!(climb.pass(&mut alone, &climb.labels), outcome, "{name} at {level:?}: one thread, another loss");
        assert!(bits_of(&alone.gradients()) == bits_of(&engine.gradients()), "{name} at {level:?}: one thread, other gradients");
        for index in 1..golden.sgd.losses.len() {
            let loss = climb.step(&mut engine);
            climb.judge_loss(index, loss, &mut verdict);
            if index < 3 {
                climb.step(&mut alone);
                let [alone, both] = [&alone, &engine].map(|e| bits_of(&e.model_state(Weights::Live).expect("the state")));
                assert!(alone == both, "{name} at {level:?}: one thread, other weights after step {index}");
            }
        }
        verdict.finish();
    }
}

#[test]
fn mobilenet_v3_small() {
    climb("mobilenet_v3_small_imagenet");
}

#[test]
fn mobilenet_v3_small_for_small_images() {
    climb("mobilenet_v3_small_cifar");
}

#[test]
fn mobilenet_v3_large() {
    climb("mobilenet_v3_large_imagenet");
}

#[test]
fn mobilenet_v3_large_for_small_images() {
    climb("mobilenet_v3_large_cifar");
}

#[test]
fn resnet18() {
    climb("resnet18_imagenet");
}

#[test]
fn resnet18_for_small_images() {
    climb("resnet18_cifar");
}

/// PyTorch: `mobilenet_v3_small(num_classes=10).train()(torch.zeros(1, 3, 32, 32))` raises "ValueError: Expected more than
/// 1 value per channel when training, got input size torch.Size([1, 288, 1, 1])", from the first BatchNorm on a 1x1 map.
#[test]
fn a_batch_of_one_on_1x1_maps_is_pytorchs_error() {
    let graph = network("mobilenet_v3_small", "imagenet", 10, 32);
    let rule = Rule::Sgd { momentum: 0.0, nesterov: false };
    let weights = state(&graph, 0, &BTreeMap::new());
    for level in Level::available() {
        let mut engine = engine(&graph, &weights, 2, (level, 1), (rule, 0.0)).expect("an engine");
        let two = images(&graph, 0, 2);
        let one = &two[..graph.input.elements()];
        let error = engine.train_pass(one, Targets { labels: &[3], mix: None }, PASS).unwrap_err();
        assert!(matches!(error, EngineError::OneValuePerChannel { .. }));
        assert_eq!(
            error.to_string(),
            "Expected more than 1 value per channel when training, got input size [1, 288, 1, 1] at features.9.block.1.1: use a batch of at least 2 images"
        );
        let after = engine.model_state(Weights::Live).expect("the state");
        assert_eq!(bits_of(&after), bits_of(&weights), "a refused batch must not move the running statistics");
        engine.train_pass(&two, Targets { labels: &[3, 4], mix: None }, PASS).expect("two images are enough");
        engine.infer(one, Weights::Live, &mut [0.0; 10]).expect("one image is enough in evaluation mode");
    }
}

/// The yardstick of [`FACTOR`] must catch what it is for: a gradient that lacks one tap, a permuted tensor, a NaN.
#[test]
fn the_verdict_catches_small_mistakes() {
    let golden: Golden = load("mobilenet_v3_small_cifar");
    let graph = network(&golden.network, &golden.stem, golden.classes, golden.side);
    let index = graph.parameters.iter().position(|p| p.name == "features.5.block.0.0.weight").expect("a pointwise convolution");
    let digest = &golden.gradients[index].digest;
    let words = [golden.seed, word("gradient"), index as u64];
    let rule = Rule::Sgd { momentum: 0.0, nesterov: false };
    let weights = state(&graph, golden.seed, &BTreeMap::new());
    let mut engine = engine(&graph, &weights, golden.batch, (Level::Portable, 1), (rule, 0.0)).expect("an engine");
    let labels = labels(golden.seed, "labels", golden.batch, golden.classes);
    let targets = Targets { labels: &labels, mix: None };
    engine.train_pass(&images(&graph, golden.seed, golden.batch), targets, PASS).expect("a training pass");
    let good = engine.gradients()[index].as_f32().expect("floats").to_vec();
    assert!(digest.ratio(&words, &good) <= FACTOR);

    let mut scaled = good.clone();
    scaled.iter_mut().for_each(|v| *v *= 1.001);
    let mut swapped = good.clone();
    swapped.reverse();
    let mut without_one_row = good.clone();
    without_one_row[..24].fill(0.0);
    let mut not_a_number = good;
    not_a_number[5] = f32::NAN;
    for wrong in [scaled, swapped, without_one_row, not_a_number] {
        assert!(digest.ratio(&words, &wrong) > FACTOR);
    }
}
