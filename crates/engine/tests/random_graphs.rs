//! Small networks drawn at random, run by the engine at every SIMD level and on several numbers of threads, against the
//! plain double-precision reference. What one fixed suite of shapes would miss (a tail of channels, a map smaller than
//! its kernel, a value read twice) turns up here.

mod reference;

use anmok_engine::native::{Level, NativeEngine, NativeOptions};
use anmok_engine::{Engine, Rule, Targets, TrainOptions, TrainPass, Update, Weights};
use anmok_graph::{Activation, Builder, Graph, NamedTensor, Op, Shape, ValueId};
use anmok_random::Stream;

/// Draws a network: a few layers of any kind, then pooling and a Linear.
fn network(draw: &mut Stream) -> Graph {
    let input = Shape::new(1 + draw.below(5) as usize, 1 + draw.below(13) as usize, 1 + draw.below(13) as usize);
    let mut b = Builder::new("random", input);
    let mut value: ValueId = 0;
    let layers = 2 + draw.below(6);
    for layer in 0..layers {
        let name = format!("layer{layer}");
        let shape = b.shape(value);
        let channels = 1 + draw.below(40) as usize;
        let kernel = [1, 3, 5][draw.below(3) as usize];
        let stride = 1 + draw.below(3) as usize;
        let padding = draw.below(kernel as u64) as usize;
        let fits = shape.height + 2 * padding >= kernel && shape.width + 2 * padding >= kernel;
        let op = match draw.below(9) {
            0 | 1 if fits => {
                Op::Conv2d { in_channels: shape.channels, out_channels: channels, kernel, stride, padding, groups: 1, bias: layer % 2 == 0 }
            }
            2 | 3 if fits => {
                let groups = shape.channels;
                Op::Conv2d { in_channels: groups, out_channels: groups, kernel, stride, padding, groups, bias: layer % 2 == 1 }
            }
            4 if fits && shape.channels.is_multiple_of(2) => {
                Op::Conv2d { in_channels: shape.channels, out_channels: 2 * channels, kernel, stride, padding, groups: 2, bias: false }
            }
            5 if fits => Op::MaxPool2d { kernel, stride, padding: padding.min(kernel / 2) },
            6 => Op::Activation([Activation::Relu, Activation::Hardswish, Activation::Hardsigmoid][draw.below(3) as usize]),
            7 => {
                // Squeeze-excite: the map is read twice.
                let pooled = b.add(&format!("{name}.pool"), Op::GlobalAvgPool, &[value]).unwrap();
                let gate = Op::Conv2d {
                    in_channels: shape.channels,
                    out_channels: shape.channels,
                    kernel: 1,
                    stride: 1,
                    padding: 0,
                    groups: 1,
                    bias: true,
                };
                let gate = b.add(&format!("{name}.fc"), gate, &[pooled]).unwrap();
                let gate = b.add(&format!("{name}.gate"), Op::Activation(Activation::Hardsigmoid), &[gate]).unwrap();
                value = b.add(&format!("{name}.scale"), Op::ChannelScale, &[value, gate]).unwrap();
                continue;
            }
            _ => {
                // A residual block; sometimes both sides are the same value.
                let conv = Op::Conv2d {
                    in_channels: shape.channels,
                    out_channels: shape.channels,
                    kernel: 3,
                    stride: 1,
                    padding: 1,
                    groups: 1,
                    bias: false,
                };
                let side = if draw.below(4) == 0 { value } else { b.add(&format!("{name}.conv"), conv, &[value]).unwrap() };
                value = b.add(&format!("{name}.add"), Op::Add, &[side, value]).unwrap();
                value = b.add(&format!("{name}.relu"), Op::Activation(Activation::Relu), &[value]).unwrap();
                continue;
            }
        };
        value = b.add(&name, op, &[value]).unwrap();
        let shape = b.shape(value);
        if draw.below(2) == 0 {
            let norm = Op::BatchNorm2d { channels: shape.channels, eps: 1e-3, momentum: 0.1 };
            value = b.add(&format!("{name}.norm"), norm, &[value]).unwrap();
        }
        if draw.below(2) == 0 {
            value = b.add(&format!("{name}.act"), Op::Activation(Activation::Hardswish), &[value]).unwrap();
        }
    }
    value = b.add("pool", Op::GlobalAvgPool, &[value]).unwrap();
    let in_features = b.shape(value).channels;
    b.add("head", Op::Linear { in_features, out_features: 7, bias: true }, &[value]).unwrap();
    b.finish()
}

/// Weights that keep every layer's output near 1, BatchNorm's included, so that errors can be judged absolutely.
fn weights(graph: &Graph, draw: &mut Stream) -> Vec<NamedTensor> {
    let mut state = graph.initial_state(draw.next_bits());
    for tensor in &mut state {
        if let anmok_graph::TensorData::F32(values) = &mut tensor.data {
            let (base, spread) = match tensor.name.rsplit('.').next() {
                Some("running_var") => (1.0, 0.5),
                Some("running_mean" | "bias") => (0.0, 0.5),
                Some("weight") if tensor.shape.len() == 1 => (1.0, 0.5),
                _ => continue,
            };
            values.iter_mut().for_each(|v| *v = base + spread * (draw.uniform() * 2.0 - 1.0));
        }
    }
    state
}

fn distance(ours: &[f32], reference: &[f64]) -> f64 {
    assert_eq!(ours.len(), reference.len());
    let scale = reference.iter().fold(0.0f64, |m, v| m.max(v.abs())).max(1e-3);
    ours.iter().zip(reference).map(|(&a, &b)| (f64::from(a) - b).abs()).fold(0.0, f64::max) / scale
}

#[test]
fn random_networks_agree_with_the_reference_at_every_level_and_on_any_number_of_threads() {
    for case in 0..150u64 {
        let mut draw = Stream::new(&[case]);
        let graph = network(&mut draw);
        let n = 2 + draw.below(40) as usize;
        let images: Vec<f32> = (0..n * graph.input.elements()).map(|_| draw.normal() as f32).collect();
        let labels: Vec<u32> = (0..n).map(|_| draw.below(7) as u32).collect();
        let start = weights(&graph, &mut draw);
        let doubles = reference::state(&start);
        let eval = reference::run(&graph, &doubles, &images, n, None);
        let train = reference::run(&graph, &doubles, &images, n, Some(&labels));
        // Statistics of few values amplify rounding without bound; such draws say nothing about the engine.
        let shaky = graph.nodes.iter().any(|node| matches!(node.op, Op::BatchNorm2d { .. }) && n * node.output.positions() < 16);
        let tolerance = if shaky { 2e-2 } else { 5e-4 };
        for level in Level::available() {
            let (mut states, mut singles) = (Vec::new(), Vec::new());
            // A batch smaller than the engine has room for must give the same bits: the last of an epoch is.
            for (threads, max_batch) in [(1, n), (3, n + 7)] {
                let options = TrainOptions {
                    rule: Rule::Sgd { momentum: 0.9, nesterov: false },
                    weight_decay: 0.0,
                    decay_norm_and_bias: true,
                    trainable: vec![true; graph.parameters.len()],
                    ema_decay: None,
                };
                let mut engine =
                    NativeEngine::new(graph.clone(), NativeOptions { threads, max_batch, level: Some(level), train: Some(options) })
                        .unwrap();
                engine.load_model_state(&start).unwrap();
                let what = format!("case {case}, {}, {threads} threads, n {n}, {graph:?}", level.name());
                let mut logits = vec![0.0; n * 7];
                engine.infer(&images, Weights::Live, &mut logits).unwrap();
                assert!(distance(&logits, &eval.logits) < 1e-4, "logits: {what}");
                let mut in_parts = logits.clone();
                let parts = NativeOptions { threads, max_batch: n / 2 + 1, level: Some(level), train: None };
                let mut small = NativeEngine::new(graph.clone(), parts).unwrap();
                small.load_model_state(&start).unwrap();
                small.infer(&images, Weights::Live, &mut in_parts).unwrap();
                assert_eq!(logits, in_parts, "inference in parts, and without room for training: {what}");
                let single = NativeOptions { threads, max_batch: 1, level: Some(level), train: None };
                let mut single = NativeEngine::new(graph.clone(), single).unwrap();
                single.load_model_state(&start).unwrap();
                for (image, logits) in images.chunks_exact(graph.input.elements()).zip(in_parts.chunks_exact_mut(7)) {
                    single.infer(image, Weights::Live, logits).unwrap();
                }
                assert!(distance(&in_parts, &eval.logits) < 1e-4, "logits of single images: {what}");
                singles.push(in_parts);
                let pass = TrainPass { label_smoothing: 0.0, seed: 0, pass: 0, accumulate: false, loss_scale: 1.0 };
                engine.train_pass(&images, Targets { labels: &labels, mix: None }, pass).unwrap();
                for gradient in engine.gradients() {
                    let error = distance(gradient.as_f32().unwrap(), &train.gradients[&gradient.name]);
                    // A bias before BatchNorm has no effect: its gradient is rounding alone.
                    let tiny = train.gradients[&gradient.name].iter().all(|g| g.abs() < 1e-9);
                    assert!(error < tolerance || tiny, "gradient of {}, {error:e}: {what}", gradient.name);
                }
                for tensor in engine.model_state(Weights::Live).unwrap() {
                    if let Some(expected) = train.running.get(&tensor.name) {
                        assert!(distance(tensor.as_f32().unwrap(), expected) < 1e-4, "{}: {what}", tensor.name);
                    }
                }
                engine.update(Update { learning_rate: 0.01, clip_norm: Some(1.0) }).unwrap();
                states.push(engine.model_state(Weights::Live).unwrap());
            }
            assert_eq!(singles[0], singles[1], "single images on 1 and 3 threads: case {case}, {}", level.name());
            assert_eq!(states[0], states[1], "1 and 3 threads (with room for more images) differ: case {case}, {}", level.name());
        }
    }
}

#[test]
fn a_nan_wins_its_window_and_takes_the_gradient() {
    let mut b = Builder::new("pool", Shape::new(1, 2, 2));
    let pooled = b.add("pool", Op::MaxPool2d { kernel: 2, stride: 2, padding: 0 }, &[0]).unwrap();
    b.add("head", Op::Linear { in_features: 1, out_features: 2, bias: false }, &[pooled]).unwrap();
    let graph = b.finish();
    for level in Level::available() {
        for place in 0..4 {
            let options = NativeOptions { threads: 1, max_batch: 1, level: Some(level), train: None };
            let mut engine = NativeEngine::new(graph.clone(), options).unwrap();
            engine.load_model_state(&[NamedTensor::f32("head.weight", &[2, 1], vec![1.0, 1.0])]).unwrap();
            let mut images = [1.0, 2.0, 3.0, 0.5];
            images[place] = f32::NAN;
            let mut logits = [0.0; 2];
            engine.infer(&images, Weights::Live, &mut logits).unwrap();
            assert!(logits.iter().all(|v| v.is_nan()), "{} with NaN at {place}: {logits:?}", level.name());
        }
    }
}
