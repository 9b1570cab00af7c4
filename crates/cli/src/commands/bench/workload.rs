//! A network with images to run it on.

use super::Network;
use crate::failure::Usage;
use crate::machine;
use crate::settings::Settings;
use anmok_engine::native::{NativeEngine, NativeOptions};
use anmok_engine::{Engine, Targets, TrainPass, Update, Weights};
use anmok_graph::zoo::{self, ZooOptions};
use anmok_train::Recipe;

/// What is done with the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    Train,
    Infer,
}

impl Task {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Infer => "infer",
        }
    }

    /// What one step of it is called.
    pub fn step(self) -> &'static str {
        match self {
            Self::Train => "training step",
            Self::Infer => "inference",
        }
    }
}

/// An engine, a batch of random images, and what to do with it.
pub struct Workload {
    pub task: Task,
    pub engine: NativeEngine,
    pub recipe: Recipe,
    /// Images of one pass.
    pub batch: usize,
    /// One flag per parameter of the graph; none in inference.
    trainable: Vec<bool>,
    images: Vec<f32>,
    labels: Vec<u32>,
    logits: Vec<f32>,
    passes: u64,
}

/// The channels of the images.
pub const CHANNELS: usize = 3;

/// Names the random images and labels.
const SEED: u64 = 0;

impl Workload {
    /// The network of `settings` in an engine for `batch` images. For inference the engine has no memory for training.
    pub fn new(task: Task, settings: &Settings, network: &Network, batch: usize) -> anyhow::Result<Self> {
        let recipe = settings.recipe.clone();
        let graph = zoo::build(
            &recipe.model_name,
            &ZooOptions {
                classes: network.classes,
                channels: CHANNELS,
                height: network.image_size,
                width: network.image_size,
                stem: recipe.stem.into(),
                width_multiplier: recipe.width_multiplier,
                dropout: recipe.dropout,
                batch_norm_momentum: recipe.batch_norm_momentum,
            },
        )
        .map_err(|e| Usage(format!("no network for {0}x{0} images and {1} classes: {e}", network.image_size, network.classes)))?;
        machine::check_batch_fits(&graph, batch)?;
        let state = recipe.initial_weights(&graph)?.state;
        let train = match task {
            Task::Train => Some(recipe.train_options(&graph)?),
            Task::Infer => None,
        };
        let trainable = train.as_ref().map_or(vec![], |train| train.trainable.clone());
        let level = settings.simd_level().map_err(Usage)?;
        let options = NativeOptions { threads: settings.threads, max_batch: batch, level: Some(level), train };
        let mut engine = NativeEngine::new(graph, options)?;
        engine.load_model_state(&state)?;
        let (elements, classes) = (engine.graph().input.elements(), engine.graph().classes());
        Ok(Self {
            task,
            engine,
            recipe,
            batch,
            trainable,
            images: images(batch * elements),
            labels: labels(batch, classes),
            logits: vec![0.0; batch * classes],
            passes: 0,
        })
    }

    /// Images of one step.
    pub fn images_per_step(&self) -> usize {
        self.batch * self.passes_per_step()
    }

    /// Passes of one step: several where gradients are accumulated.
    pub fn passes_per_step(&self) -> usize {
        match self.task {
            Task::Train => self.recipe.accumulate,
            Task::Infer => 1,
        }
    }

    /// Whether the weights of the layer of this name are trained.
    pub fn learns(&self, layer: &str) -> bool {
        let mut learned = self.engine.graph().parameters.iter().zip(&self.trainable).filter(|(_, flag)| **flag);
        learned.any(|(parameter, _)| parameter.name.strip_prefix(layer) == Some(".weight"))
    }

    /// One training step as the training loop does it, or the logits of one batch.
    pub fn step(&mut self) -> anyhow::Result<()> {
        if self.task == Task::Infer {
            return Ok(self.engine.infer(&self.images, Weights::Live, &mut self.logits)?);
        }
        let recipe = &self.recipe;
        for pass in 0..recipe.accumulate {
            self.engine.train_pass(
                &self.images,
                Targets { labels: &self.labels, mix: None },
                TrainPass {
                    label_smoothing: recipe.label_smoothing as f32,
                    seed: recipe.seed,
                    pass: self.passes,
                    accumulate: pass > 0,
                    loss_scale: 1.0 / recipe.accumulate as f32,
                },
            )?;
            self.passes += 1;
        }
        let clip_norm = (recipe.clip_norm > 0.0).then_some(recipe.clip_norm as f32);
        self.engine.update(Update { learning_rate: recipe.learning_rate, clip_norm })?;
        Ok(())
    }
}

/// Uniform numbers of mean 0 and deviation 1, as normalised images have them.
fn images(count: usize) -> Vec<f32> {
    let key = anmok_random::key(&[SEED, u64::from_be_bytes(*b"images..")]);
    (0..count as u64).map(|index| (anmok_random::uniform_at(key, index) - 0.5) * 12f32.sqrt()).collect()
}

fn labels(count: usize, classes: usize) -> Vec<u32> {
    let mut draw = anmok_random::Stream::new(&[SEED, u64::from_be_bytes(*b"labels..")]);
    (0..count).map(|_| draw.below(classes as u64) as u32).collect()
}
