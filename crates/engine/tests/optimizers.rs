//! The update rules: alone on given gradients against `torch.optim`, and in the engine against the plain formulas.
//!
//! The plain formulas ([`Plain`], float64) are held against the goldens themselves; so what the engine does with its own
//! gradients (freezing, decay without norms and biases, clipping, accumulation, the moving average) can be judged by them.

mod golden;

use anmok_engine::native::optimizer::{Arrays, Step, step};
use anmok_engine::native::{Level, NativeEngine, NativeOptions};
use anmok_engine::{Engine, Rule, Targets, TrainOptions, TrainPass, Update, Weights};
use anmok_graph::{Activation, Builder, Graph, NamedTensor, Op, Shape};
use anmok_random::key;
use golden::{Digest, Verdict, images, labels, load, signed, state, word};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Goldens {
    elements: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    rule: String,
    options: Options,
    seed: u64,
    after: Vec<Digest>,
}

/// torch.optim's keyword arguments, with its defaults.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    lr: f64,
    momentum: f64,
    nesterov: bool,
    weight_decay: f64,
    betas: (f64, f64),
    eps: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { lr: 0.001, momentum: 0.0, nesterov: false, weight_decay: 0.0, betas: (0.9, 0.999), eps: 1e-8 }
    }
}

impl Case {
    fn rule(&self) -> Rule {
        let Options { momentum, nesterov, betas: (beta1, beta2), eps, .. } = self.options;
        match &*self.rule {
            "SGD" => Rule::Sgd { momentum, nesterov },
            "Adam" => Rule::Adam { beta1, beta2, eps },
            "AdamW" => Rule::AdamW { beta1, beta2, eps },
            other => panic!("the goldens name a rule `{other}`"),
        }
    }

    /// The learning rate of step `count` (from 1): halved for the second half.
    fn learning_rate(&self, count: usize) -> f64 {
        if count > self.after.len() / 2 { self.options.lr / 2.0 } else { self.options.lr }
    }

    /// The parameters at the start (step 0), or the gradients of a step: element i times 10^-(i mod 7).
    fn numbers(&self, step: usize, elements: usize) -> Vec<f32> {
        let sequence = key(&[self.seed, word("numbers"), step as u64]);
        let scale = |i: usize| if step == 0 { 1.0 } else { 10f64.powi(-((i % 7) as i32)) };
        (0..elements).map(|i| (signed(sequence, i) * scale(i)) as f32).collect()
    }
}

/// The update rules as `torch.optim`'s documentation writes them, in float64.
struct Plain {
    rule: Rule,
    weight_decay: f64,
    parameters: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
    count: i32,
}

impl Plain {
    fn new(rule: Rule, weight_decay: f64, parameters: &[f32]) -> Self {
        let zeros = vec![0.0; parameters.len()];
        let parameters = parameters.iter().map(|&p| f64::from(p)).collect();
        Self { rule, weight_decay, parameters, first: zeros.clone(), second: zeros, count: 0 }
    }

    fn step(&mut self, learning_rate: f64, gradients: &[f64]) {
        self.count += 1;
        for (i, parameter) in self.parameters.iter_mut().enumerate() {
            let coupled = !matches!(self.rule, Rule::AdamW { .. });
            let gradient = gradients[i] + if coupled { self.weight_decay * *parameter } else { 0.0 };
            match self.rule {
                Rule::Sgd { momentum, nesterov } => {
                    self.first[i] = if self.count == 1 { gradient } else { momentum * self.first[i] + gradient };
                    *parameter -= learning_rate * if nesterov { gradient + momentum * self.first[i] } else { self.first[i] };
                }
                Rule::Adam { beta1, beta2, eps } | Rule::AdamW { beta1, beta2, eps } => {
                    if !coupled {
                        *parameter -= learning_rate * self.weight_decay * *parameter;
                    }
                    self.first[i] = beta1 * self.first[i] + (1.0 - beta1) * gradient;
                    self.second[i] = beta2 * self.second[i] + (1.0 - beta2) * gradient * gradient;
                    let mean = self.first[i] / (1.0 - beta1.powi(self.count));
                    let square = self.second[i] / (1.0 - beta2.powi(self.count));
                    *parameter -= learning_rate * mean / (square.sqrt() + eps);
                }
            }
        }
    }
}

#[test]
fn the_plain_formulas_are_pytorchs() {
    let goldens: Goldens = load("optimizers");
    for case in &goldens.cases {
        let mut plain = Plain::new(case.rule(), case.options.weight_decay, &case.numbers(0, goldens.elements));
        for (index, after) in case.after.iter().enumerate() {
            let gradients: Vec<f64> = case.numbers(index + 1, goldens.elements).into_iter().map(f64::from).collect();
            plain.step(case.learning_rate(index + 1), &gradients);
            for (got, expected) in plain.parameters.iter().zip(after.whole()) {
                assert!((got - expected).abs() <= 1e-11, "{} step {}: {got} instead of {expected}", case.name, index + 1);
            }
        }
    }
}

#[test]
fn each_rule_alone_matches_torch_optim() {
    let goldens: Goldens = load("optimizers");
    assert!(goldens.cases.len() >= 11);
    for level in Level::available() {
        for case in &goldens.cases {
            let mut verdict = Verdict::new(format!("{} at {level:?}", case.name));
            let mut parameters = case.numbers(0, goldens.elements);
            let (mut first, mut second) = (vec![0.0; goldens.elements], vec![0.0; goldens.elements]);
            for (index, after) in case.after.iter().enumerate() {
                let count = index + 1;
                let (learning_rate, weight_decay) = (case.learning_rate(count), case.options.weight_decay);
                let rule = Step { rule: case.rule(), learning_rate, weight_decay, count: count as u64, gradient_scale: 1.0 };
                let gradients = case.numbers(count, goldens.elements);
                let arrays = Arrays { parameters: &mut parameters, gradients: &gradients, first: &mut first, second: &mut second };
                step(level, &rule, arrays);
                verdict.note(after.ratio(&[], &parameters), format_args!("parameters after step {count}"));
            }
            verdict.finish();
        }
    }
}

/// Convolution, BatchNorm, ReLU and a classifier: weights, norms and biases, 1x1 and larger.
fn network() -> Graph {
    let mut builder = Builder::new("small", Shape::new(3, 5, 4));
    let conv = Op::Conv2d { in_channels: 3, out_channels: 10, kernel: 3, stride: 1, padding: 1, groups: 1, bias: false };
    let mut value = builder.add("conv", conv, &[0]).expect("fits");
    for (name, op) in [
        ("norm", Op::BatchNorm2d { channels: 10, eps: 1e-3, momentum: 0.1 }),
        ("relu", Op::Activation(Activation::Relu)),
        ("mean", Op::GlobalAvgPool),
        ("head", Op::Linear { in_features: 10, out_features: 4, bias: true }),
    ] {
        value = builder.add(name, op, &[value]).expect("fits");
    }
    builder.finish()
}

const BATCH: usize = 6;

/// How one training in [`walk`] is set up, and what is taken from [`Update`].
#[derive(Clone)]
struct Setup {
    options: TrainOptions,
    clip_norm: Option<f32>,
    passes: u64,
}

impl Setup {
    fn new(rule: Rule, weight_decay: f64) -> Self {
        let trainable = vec![true; network().parameters.len()];
        let options = TrainOptions { rule, weight_decay, decay_norm_and_bias: true, trainable, ema_decay: None };
        Self { options, clip_norm: None, passes: 1 }
    }
}

fn train_pass(engine: &mut NativeEngine, step: u64, pass: u64, loss_scale: f32) {
    let seed = 100 * step + pass;
    let (images, labels) = (images(engine.graph(), seed, BATCH), labels(seed, "labels", BATCH, 4));
    let pass = TrainPass { label_smoothing: 0.0, seed: 0, pass: seed, accumulate: pass > 0, loss_scale };
    engine.train_pass(&images, Targets { labels: &labels, mix: None }, pass).expect("a training pass");
}

/// Trains eight steps and compares every parameter, after each, with the plain formulas on the engine's own gradients.
fn walk(name: &str, level: Level, setup: &Setup) -> NativeEngine {
    let graph = network();
    let start = state(&graph, 5, &BTreeMap::new());
    let options = NativeOptions { threads: 2, max_batch: BATCH, level: Some(level), train: Some(setup.options.clone()) };
    let mut engine = NativeEngine::new(graph.clone(), options).expect("an engine");
    engine.load_model_state(&start).expect("a state that fits");
    let tensor = |state: &[NamedTensor], name: &str| {
        state.iter().find(|t| t.name == name).and_then(|t| t.as_f32()).expect("a float tensor").to_vec()
    };
    let decays = |name: &str| setup.options.decay_norm_and_bias || ["conv.weight", "head.weight"].contains(&name);
    let mut plain: Vec<Plain> = graph
        .parameters
        .iter()
        .map(|p| {
            let weight_decay = if decays(&p.name) { setup.options.weight_decay } else { 0.0 };
            Plain::new(setup.options.rule, weight_decay, &tensor(&start, &p.name))
        })
        .collect();
    let mut average: Vec<Vec<f64>> = plain.iter().map(|p| p.parameters.clone()).collect();
    for count in 1..=8 {
        for pass in 0..setup.passes {
            train_pass(&mut engine, count, pass, 1.0 / setup.passes as f32);
        }
        let gradients: Vec<Vec<f64>> =
            engine.gradients().iter().map(|t| t.as_f32().expect("floats").iter().map(|&g| f64::from(g)).collect()).collect();
        let learning_rate = 0.01 / count as f64;
        let outcome = engine.update(Update { learning_rate, clip_norm: setup.clip_norm }).expect("an update");

        let trained = || gradients.iter().zip(&setup.options.trainable).filter(|(_, trains)| **trains);
        let norm = trained().flat_map(|(g, _)| g).map(|g| g * g).sum::<f64>().sqrt();
        let scale = match setup.clip_norm {
            // torch.nn.utils.clip_grad_norm_: max_norm / (total_norm + 1e-6), at most 1.
            Some(clip) => (f64::from(clip) / (norm + 1e-6)).min(1.0),
            None => 1.0,
        };
        match (setup.clip_norm, outcome.gradient_norm) {
            (Some(_), Some(got)) => assert!((f64::from(got) - norm).abs() < 1e-5 * norm, "{name}: norm {got} instead of {norm}"),
            (None, None) => {}
            (clip, got) => panic!("{name}: with clipping {clip:?} the norm is {got:?}"),
        }
        let now = engine.model_state(Weights::Live).expect("the state");
        for (index, parameter) in graph.parameters.iter().enumerate() {
            if setup.options.trainable[index] {
                let gradients: Vec<f64> = gradients[index].iter().map(|g| g * scale).collect();
                plain[index].step(learning_rate, &gradients);
            }
            let got = tensor(&now, &parameter.name);
            if !setup.options.trainable[index] {
                assert_eq!(got, tensor(&start, &parameter.name), "{name}: {} is frozen", parameter.name);
            }
            close(&format!("{name}: {} after step {count}", parameter.name), &got, &plain[index].parameters);
        }
        if let Some(decay) = setup.options.ema_decay {
            let averaged = engine.model_state(Weights::Ema).expect("an average");
            // A young average follows faster: at most (1 + t) / (10 + t) of it stays in step t.
            let decay = f64::from(decay).min((1.0 + count as f64) / (10.0 + count as f64));
            for (index, parameter) in graph.parameters.iter().enumerate() {
                let got = tensor(&averaged, &parameter.name);
                for (mean, now) in average[index].iter_mut().zip(&plain[index].parameters) {
                    *mean = decay * *mean + (1.0 - decay) * now;
                }
                close(&format!("{name}: average of {} after step {count}", parameter.name), &got, &average[index]);
            }
        }
    }
    engine
}

/// The rounding of some steps: each stores a float32 of about 1, so half of 2^-23 a step, and Adam's quotient adds its own
/// few units in the last place times the learning rate.
fn close(what: &str, got: &[f32], expected: &[f64]) {
    for (i, (&got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(got) - expected).abs();
        assert!(error <= 2e-6 * expected.abs().max(0.1), "{what}: element {i} is {got} instead of {expected}");
    }
}

const RULES: [(&str, Rule, f64); 5] = [
    ("SGD", Rule::Sgd { momentum: 0.0, nesterov: false }, 0.0),
    ("SGD with momentum", Rule::Sgd { momentum: 0.9, nesterov: false }, 0.01),
    ("SGD with Nesterov's momentum", Rule::Sgd { momentum: 0.9, nesterov: true }, 0.01),
    // A large eps: where a gradient is near zero, Adam's quotient of two tiny numbers says nothing about the formula.
    ("Adam", Rule::Adam { beta1: 0.9, beta2: 0.99, eps: 1e-3 }, 0.01),
    ("AdamW", Rule::AdamW { beta1: 0.9, beta2: 0.99, eps: 1e-3 }, 0.1),
];

fn with_every_rule(change: impl Fn(&mut Setup)) {
    for level in Level::available() {
        for (name, rule, weight_decay) in RULES {
            let mut setup = Setup::new(rule, weight_decay);
            change(&mut setup);
            walk(&format!("{name} at {level:?}"), level, &setup);
        }
    }
}

#[test]
fn the_engine_updates_every_parameter_by_the_rule() {
    with_every_rule(|_| {});
}

#[test]
fn frozen_parameters_stay() {
    with_every_rule(|setup| {
        setup.options.trainable[0] = false;
        setup.options.trainable[2] = false;
    });
}

#[test]
fn decay_can_leave_out_norms_and_biases() {
    with_every_rule(|setup| setup.options.decay_norm_and_bias = false);
}

#[test]
fn clipping_scales_to_the_norm_and_only_down() {
    with_every_rule(|setup| setup.clip_norm = Some(0.05));
    with_every_rule(|setup| setup.clip_norm = Some(1e6));
}

#[test]
fn clipping_counts_only_what_is_trained() {
    with_every_rule(|setup| {
        setup.clip_norm = Some(0.05);
        setup.options.trainable[0] = false;
    });
}

#[test]
fn accumulated_passes_make_one_step() {
    with_every_rule(|setup| setup.passes = 3);
}

#[test]
fn the_moving_average_follows() {
    with_every_rule(|setup| setup.options.ema_decay = Some(0.9));
}

/// Training that stops after three steps and goes on in a new engine ends with the bits of one that did not stop.
#[test]
fn state_that_is_carried_over_loses_no_bit() {
    for level in Level::available() {
        for (name, rule, weight_decay) in RULES {
            let mut options = Setup::new(rule, weight_decay).options;
            options.ema_decay = Some(0.9);
            let new = |threads| {
                let options = NativeOptions { threads, max_batch: BATCH, level: Some(level), train: Some(options.clone()) };
                NativeEngine::new(network(), options).expect("an engine")
            };
            let steps = |engine: &mut NativeEngine, range: std::ops::Range<u64>| {
                for count in range {
                    train_pass(engine, count, 0, 1.0);
                    engine.update(Update { learning_rate: 0.01, clip_norm: None }).expect("an update");
                }
            };
            let mut whole = new(1);
            whole.load_model_state(&state(&network(), 5, &BTreeMap::new())).expect("fits");
            steps(&mut whole, 0..3);
            let (model, training) = (whole.model_state(Weights::Live).expect("live"), whole.training_state());
            let mut resumed = new(3);
            resumed.load_model_state(&model).expect("fits");
            resumed.load_training_state(&training).expect("fits");
            steps(&mut whole, 3..7);
            steps(&mut resumed, 3..7);
            for weights in [Weights::Live, Weights::Ema] {
                let (a, b) = (whole.model_state(weights).expect("a state"), resumed.model_state(weights).expect("a state"));
                assert_eq!(golden::bits_of(&a), golden::bits_of(&b), "{name} at {level:?}, {weights:?}");
            }
            assert_eq!(golden::bits_of(&whole.training_state()), golden::bits_of(&resumed.training_state()), "{name} at {level:?}");
        }
    }
}
