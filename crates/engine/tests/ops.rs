//! Each op alone, with the shapes that kernels get wrong, at every SIMD level and with one, two and three threads.

mod golden;

use anmok_engine::native::{Level, NativeEngine, NativeOptions};
use anmok_engine::{BatchOutcome, Engine, Rule, Targets, TrainPass, Weights};
use anmok_graph::{Activation, Builder, Graph, NamedTensor, Op, Shape};
use anmok_random::{key, uniform_at};
use golden::{Digest, NamedDigest, Verdict, bits_of, buffers, engine, images, labels, load, state, word};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Goldens {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    image: [usize; 3],
    batch: usize,
    loss: Loss,
    nodes: Vec<(String, String, Value, Vec<usize>)>,
    #[serde(default)]
    images: Option<Vec<f32>>,
    #[serde(default)]
    weights: BTreeMap<String, Vec<f64>>,
    seed: u64,
    eval_logits: Digest,
    loss_value: Digest,
    gradients: Vec<NamedDigest>,
    buffers: Vec<NamedDigest>,
}

/// How the loss of a case departs from plain cross-entropy.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Loss {
    label_smoothing: f32,
    mix: bool,
    loss_scale: f32,
    passes: u64,
}

impl Default for Loss {
    fn default() -> Self {
        Self { label_smoothing: 0.0, mix: false, loss_scale: 1.0, passes: 1 }
    }
}

fn op(name: &str, attributes: &Value) -> Op {
    let number = |key: &str| attributes[key].as_u64().unwrap_or_else(|| panic!("{name}: {key}")) as usize;
    let real = |key: &str| attributes[key].as_f64().unwrap_or_else(|| panic!("{name}: {key}"));
    let flag = |key: &str| attributes[key].as_bool().unwrap_or_else(|| panic!("{name}: {key}"));
    match name {
        "conv2d" => Op::Conv2d {
            in_channels: number("in_channels"),
            out_channels: number("out_channels"),
            kernel: number("kernel"),
            stride: number("stride"),
            padding: number("padding"),
            groups: number("groups"),
            bias: flag("bias"),
        },
        "batch_norm2d" => Op::BatchNorm2d { channels: number("channels"), eps: real("eps"), momentum: real("momentum") },
        "relu" => Op::Activation(Activation::Relu),
        "hardswish" => Op::Activation(Activation::Hardswish),
        "hardsigmoid" => Op::Activation(Activation::Hardsigmoid),
        "max_pool2d" => Op::MaxPool2d { kernel: number("kernel"), stride: number("stride"), padding: number("padding") },
        "global_avg_pool" => Op::GlobalAvgPool,
        "linear" => Op::Linear { in_features: number("in_features"), out_features: number("out_features"), bias: flag("bias") },
        "add" => Op::Add,
        "channel_scale" => Op::ChannelScale,
        _ => panic!("the goldens name an op `{name}`"),
    }
}

impl Case {
    fn graph(&self) -> Graph {
        let [channels, height, width] = self.image;
        let mut builder = Builder::new(&self.name, Shape::new(channels, height, width));
        for (name, kind, attributes, inputs) in &self.nodes {
            builder.add(name, op(kind, attributes), inputs).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        }
        builder.finish()
    }

    fn pass(&self, engine: &mut NativeEngine, images: &[f32], classes: usize) -> BatchOutcome {
        let first = labels(self.seed, "labels", self.batch, classes);
        let second = labels(self.seed, "others", self.batch, classes);
        let shares = key(&[self.seed, word("shares")]);
        let shares: Vec<f32> = (0..self.batch as u64).map(|i| uniform_at(shares, i)).collect();
        let targets = Targets { labels: &first, mix: self.loss.mix.then_some((&second[..], &shares[..])) };
        let Loss { label_smoothing, loss_scale, passes, .. } = self.loss;
        let mut outcome = None;
        for pass in 0..passes {
            let pass = TrainPass { label_smoothing, seed: 0, pass, accumulate: pass > 0, loss_scale };
            outcome = Some(engine.train_pass(images, targets, pass).unwrap_or_else(|e| panic!("{}: {e}", self.name)));
        }
        outcome.expect("at least one pass")
    }

    /// The logits of an engine for one image at a time, which has ways of its own.
    fn one_by_one(&self, graph: &Graph, start: &[NamedTensor], (level, threads): (Level, usize), images: &[f32]) -> Vec<f32> {
        let options = NativeOptions { threads, max_batch: 1, level: Some(level), train: None };
        let mut engine = NativeEngine::new(graph.clone(), options).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        engine.load_model_state(start).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        let mut logits = vec![0.0; self.batch * graph.classes()];
        for (image, logits) in images.chunks_exact(graph.input.elements()).zip(logits.chunks_exact_mut(graph.classes())) {
            engine.infer(image, Weights::Live, logits).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        }
        logits
    }

    fn check(&self, level: Level) {
        let graph = self.graph();
        let images = self.images.clone().unwrap_or_else(|| images(&graph, self.seed, self.batch));
        let start = state(&graph, self.seed, &self.weights);
        let mut verdict = Verdict::new(format!("{} at {level:?}", self.name));
        let mut first = None;
        for threads in [1, 2, 3, 8] {
            let rule = Rule::Sgd { momentum: 0.0, nesterov: false };
            let mut engine =
                engine(&graph, &start, self.batch, (level, threads), (rule, 0.0)).unwrap_or_else(|e| panic!("{}: {e}", self.name));
            let mut logits = vec![0.0; self.batch * graph.classes()];
            engine.infer(&images, Weights::Live, &mut logits).unwrap_or_else(|e| panic!("{}: {e}", self.name));
            let outcome = self.pass(&mut engine, &images, graph.classes());
            let alone = self.one_by_one(&graph, &start, (level, threads), &images);
            let (gradients, after) = (engine.gradients(), engine.model_state(Weights::Live).expect("the state"));
            let bits: Vec<u32> = logits.iter().map(|v| v.to_bits()).collect();
            let alone_bits: Vec<u32> = alone.iter().map(|v| v.to_bits()).collect();
            let seen = (bits, alone_bits, outcome.loss.to_bits(), bits_of(&gradients), bits_of(&after));
            match &first {
                None => {
                    verdict.note(self.eval_logits.ratio(&[self.seed, word("logits")], &logits), "logits in evaluation mode");
                    verdict.note(self.eval_logits.ratio(&[self.seed, word("logits")], &alone), "logits of single images");
                    verdict.note(self.loss_value.ratio(&[self.seed, word("loss")], &[outcome.loss as f32]), "loss");
                    verdict.tensors(self.seed, "gradient", &self.gradients, &gradients);
                    verdict.tensors(self.seed, "buffers", &self.buffers, &buffers(&graph, after));
                    first = Some(seen);
                }
                Some(first) => assert!(*first == seen, "{} at {level:?}: {threads} threads give other bits than one", self.name),
            }
        }
        verdict.finish();
    }
}

/// Runs every case, so that one failure does not hide the others.
#[test]
fn every_op_alone_matches_pytorch() {
    let goldens: Goldens = load("ops");
    assert!(goldens.cases.len() > 80);
    let mut failures = vec![];
    for case in &goldens.cases {
        for level in Level::available() {
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case.check(level)));
            if let Err(panic) = checked {
                failures.push(panic.downcast_ref::<String>().cloned().unwrap_or_else(|| format!("{} at {level:?}: panicked", case.name)));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
