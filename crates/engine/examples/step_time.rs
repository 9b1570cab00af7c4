//! Times the training step and inference of a network of the zoo:
//! `cargo run --release -p anmok-engine --example step_time -- MODEL THREADS BATCH [STEM] [LEVEL]`.

#![allow(clippy::disallowed_macros, reason = "an example is a program: it prints")]

use anmok_engine::native::{Level, NativeEngine, NativeOptions};
use anmok_engine::{Engine, Rule, Targets, TrainOptions, TrainPass, Update, Weights};
use anmok_graph::zoo;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |i: usize, default: &str| arguments.get(i).cloned().unwrap_or_else(|| default.to_owned());
    let (name, threads, batch) = (argument(0, "mobilenet_v3_small"), argument(1, "2").parse()?, argument(2, "64").parse::<usize>()?);
    let stem = if argument(3, "imagenet") == "cifar" { zoo::Stem::Cifar } else { zoo::Stem::Imagenet };
    let level = arguments.get(4).and_then(|name| Level::from_name(name));
    let graph = zoo::build(&name, &zoo::ZooOptions { classes: 10, stem, ..Default::default() })?;
    let train = TrainOptions {
        rule: Rule::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
        weight_decay: 0.0,
        decay_norm_and_bias: true,
        trainable: vec![true; graph.parameters.len()],
        ema_decay: None,
    };
    let state = graph.initial_state(0);
    let mut engine = NativeEngine::new(graph, NativeOptions { threads, max_batch: batch, level, train: Some(train) })?;
    engine.load_model_state(&state)?;
    let elements = engine.graph().input.elements();
    let mut draw = anmok_random::Stream::new(&[1]);
    let images: Vec<f32> = (0..batch * elements).map(|_| draw.normal() as f32).collect();
    let labels: Vec<u32> = (0..batch).map(|_| draw.below(10) as u32).collect();
    let mut logits = vec![0.0; batch * 10];
    let (mut steps, mut passes, mut updates, mut infers) = (vec![], vec![], vec![], vec![]);
    for pass in 0..150 {
        let begin = Instant::now();
        let outcome = engine.train_pass(
            &images,
            Targets { labels: &labels, mix: None },
            TrainPass { label_smoothing: 0.0, seed: 0, pass, accumulate: false, loss_scale: 1.0 },
        )?;
        let middle = Instant::now();
        engine.update(Update { learning_rate: 0.001, clip_norm: None })?;
        let end = Instant::now();
        if pass >= 20 {
            steps.push((end - begin).as_secs_f64() * 1e3);
            passes.push((middle - begin).as_secs_f64() * 1e3);
            updates.push((end - middle).as_secs_f64() * 1e3);
        }
        if pass % 50 == 0 {
            println!("pass {pass}: loss {:.4}", outcome.loss);
        }
    }
    for _ in 0..100 {
        let begin = Instant::now();
        engine.infer(&images, Weights::Live, &mut logits)?;
        infers.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    for (what, mut times) in [("step", steps), ("pass", passes), ("update", updates), ("infer", infers)] {
        times.sort_by(f64::total_cmp);
        println!("{what}: median {:.3} ms, min {:.3}", times[times.len() / 2], times[0]);
    }
    Ok(())
}
