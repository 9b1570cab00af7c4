//! The smallest honest engine: softmax regression on the pixels, with real gradients, dropout on the pixels, SGD with
//! momentum, clipping, a moving average, and state that can be taken out and put back. It lets the loop be tested bit by
//! bit in milliseconds; that the real engines behave alike is the engine crate's to show.

use anmok_engine::{BatchOutcome, Engine, EngineError, EngineInfo, Rule, Targets, TrainOptions, TrainPass, Update, UpdateOutcome, Weights};
use anmok_graph::{Builder, Graph, NamedTensor, Op, Shape};
use anmok_random::{key, uniform_at};

const CLASSES: usize = 10;
const PIXELS: usize = 32 * 32;
const WEIGHTS: usize = CLASSES * PIXELS;
const DROPOUT: f32 = 0.1;

pub struct SoftmaxRegression {
    graph: Graph,
    options: TrainOptions,
    /// Weight `[classes, 1, 32, 32]`, then bias `[classes]`.
    parameters: Vec<f32>,
    gradient: Vec<f32>,
    momentum: Vec<f32>,
    average: Vec<f32>,
    updates: i64,
    pub level: String,
    /// The number of an update after which a weight is infinite, as an overflow leaves it.
    pub spoil_update: Option<i64>,
}

/// A convolution as large as the image is a linear layer on its pixels. With `norm`, a BatchNorm on the 1x1 map follows
/// in the description (it is not computed): what the checks before a run look at.
pub fn graph(norm: bool) -> Graph {
    let mut builder = Builder::new("softmax_regression", Shape::new(1, 32, 32));
    let conv = Op::Conv2d { in_channels: 1, out_channels: CLASSES, kernel: 32, stride: 1, padding: 0, groups: 1, bias: true };
    let logits = builder.add("classifier", conv, &[0]).unwrap();
    if norm {
        builder.add("norm", Op::BatchNorm2d { channels: CLASSES, eps: 1e-5, momentum: 0.1 }, &[logits]).unwrap();
    }
    builder.finish()
}

impl SoftmaxRegression {
    pub fn new(graph: Graph, options: TrainOptions) -> Self {
        let n = WEIGHTS + CLASSES;
        let parameters: Vec<f32> = (0..n).map(|i| (uniform_at(key(&[7]), i as u64) - 0.5) * 0.02).collect();
        let average = parameters.clone();
        Self {
            graph,
            options,
            parameters,
            gradient: vec![0.0; n],
            momentum: vec![0.0; n],
            average,
            updates: 0,
            level: "portable".into(),
            spoil_update: None,
        }
    }

    fn logits(parameters: &[f32], image: &[f32]) -> [f32; CLASSES] {
        std::array::from_fn(|class| {
            let row = &parameters[class * PIXELS..][..PIXELS];
            row.iter().zip(image).map(|(w, x)| w * x).sum::<f32>() + parameters[WEIGHTS + class]
        })
    }

    fn named(prefix: &str, values: &[f32]) -> Vec<NamedTensor> {
        vec![
            NamedTensor::f32(format!("{prefix}classifier.weight"), &[CLASSES, 1, 32, 32], values[..WEIGHTS].to_vec()),
            NamedTensor::f32(format!("{prefix}classifier.bias"), &[CLASSES], values[WEIGHTS..].to_vec()),
        ]
    }

    fn take(prefix: &str, state: &[NamedTensor]) -> Result<Vec<f32>, EngineError> {
        let mut values = vec![];
        for (name, length) in [("weight", WEIGHTS), ("bias", CLASSES)] {
            let name = format!("{prefix}classifier.{name}");
            let found = state.iter().find(|t| t.name == name).and_then(NamedTensor::as_f32).filter(|v| v.len() == length);
            values.extend_from_slice(found.ok_or_else(|| EngineError::State(format!("`{name}` is missing or misshapen")))?);
        }
        Ok(values)
    }
}

impl Engine for SoftmaxRegression {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn info(&self) -> EngineInfo {
        EngineInfo { device: "cpu".into(), level: self.level.clone(), threads: 1 }
    }

    fn train_pass(&mut self, images: &[f32], targets: Targets<'_>, pass: TrainPass) -> Result<BatchOutcome, EngineError> {
        if !pass.accumulate {
            self.gradient.fill(0.0);
        }
        let n = targets.labels.len();
        let (mut loss, mut correct) = (0.0, 0);
        let dropout = key(&[pass.seed, pass.pass]);
        for (i, image) in images.chunks_exact(PIXELS).enumerate() {
            let kept: Vec<f32> = image
                .iter()
                .enumerate()
                .map(|(p, x)| if uniform_at(dropout, (i * PIXELS + p) as u64) < DROPOUT { 0.0 } else { x / (1.0 - DROPOUT) })
                .collect();
            let logits = Self::logits(&self.parameters, &kept);
            let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let exp = logits.map(|l| (l - top).exp());
            let sum: f32 = exp.iter().sum();
            let mut wanted = [pass.label_smoothing / CLASSES as f32; CLASSES];
            let (second, weight) = targets.mix.map_or((targets.labels[i], 1.0), |(labels, weights)| (labels[i], weights[i]));
            wanted[targets.labels[i] as usize] += (1.0 - pass.label_smoothing) * weight;
            wanted[second as usize] += (1.0 - pass.label_smoothing) * (1.0 - weight);
            for class in 0..CLASSES {
                loss -= f64::from(wanted[class]) * f64::from(logits[class] - top - sum.ln());
                let slope = (exp[class] / sum - wanted[class]) / n as f32 * pass.loss_scale;
                let row = &mut self.gradient[class * PIXELS..][..PIXELS];
                row.iter_mut().zip(&kept).for_each(|(g, x)| *g += slope * x);
                self.gradient[WEIGHTS + class] += slope;
            }
            correct += usize::from(crate::evaluation::argmax(&logits) == targets.labels[i] as usize);
        }
        Ok(BatchOutcome { loss: loss / n as f64, correct })
    }

    fn update(&mut self, update: Update) -> Result<UpdateOutcome, EngineError> {
        let Rule::Sgd { momentum, .. } = self.options.rule else {
            return Err(EngineError::Unsupported("this engine knows SGD".into()));
        };
        let mut scale = 1.0;
        let mut outcome = UpdateOutcome { gradient_norm: None };
        if let Some(clip) = update.clip_norm {
            let norm = self.gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt() as f32;
            outcome.gradient_norm = Some(norm);
            scale = (clip / (norm + 1e-6)).min(1.0);
        }
        let (momentum, rate) = (momentum as f32, update.learning_rate as f32);
        for ((p, m), g) in self.parameters.iter_mut().zip(&mut self.momentum).zip(&self.gradient) {
            *m = momentum * *m + scale * g;
            *p -= rate * *m;
        }
        if let Some(decay) = self.options.ema_decay {
            self.average.iter_mut().zip(&self.parameters).for_each(|(a, p)| *a = decay * *a + (1.0 - decay) * p);
        }
        self.updates += 1;
        if self.spoil_update == Some(self.updates) {
            self.parameters[3] = f32::INFINITY;
        }
        Ok(outcome)
    }

    fn infer(&mut self, images: &[f32], weights: Weights, logits: &mut [f32]) -> Result<(), EngineError> {
        let parameters = if weights == Weights::Ema { &self.average } else { &self.parameters };
        for (image, out) in images.chunks_exact(PIXELS).zip(logits.chunks_exact_mut(CLASSES)) {
            out.copy_from_slice(&Self::logits(parameters, image));
        }
        Ok(())
    }

    fn model_state(&self, weights: Weights) -> Result<Vec<NamedTensor>, EngineError> {
        Ok(Self::named("", if weights == Weights::Ema { &self.average } else { &self.parameters }))
    }

    fn load_model_state(&mut self, state: &[NamedTensor]) -> Result<(), EngineError> {
        self.parameters = Self::take("", state)?;
        self.average = self.parameters.clone();
        Ok(())
    }

    fn training_state(&self) -> Vec<NamedTensor> {
        let mut state = vec![NamedTensor::i64_scalar("optimizer.step", self.updates)];
        state.extend(Self::named("optimizer.momentum.", &self.momentum));
        state.extend(self.options.ema_decay.map(|_| Self::named("ema.", &self.average)).into_iter().flatten());
        state
    }

    fn load_training_state(&mut self, state: &[NamedTensor]) -> Result<(), EngineError> {
        let momentum = Self::take("optimizer.momentum.", state)?;
        if self.options.ema_decay.is_some() {
            self.average = Self::take("ema.", state)?;
        }
        self.momentum = momentum;
        let step = state.iter().find(|t| t.name == "optimizer.step").and_then(NamedTensor::as_i64);
        self.updates = *step.and_then(<[i64]>::first).ok_or_else(|| EngineError::State("`optimizer.step` is missing".into()))?;
        Ok(())
    }

    fn gradients(&self) -> Vec<NamedTensor> {
        Self::named("", &self.gradient)
    }
}
