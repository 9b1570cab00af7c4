//! What every engine promises: the trait between the training loop and the arithmetic.

use anmok_graph::{Graph, NamedTensor};

/// What goes wrong in an engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// PyTorch's rule: BatchNorm in training needs more than one value per channel.
    #[error(
        "Expected more than 1 value per channel when training, got input size [{batch}, {channels}, {height}, {width}] at {node}: use a batch of at least 2 images"
    )]
    OneValuePerChannel {
        /// The BatchNorm node.
        node: String,
        /// Images in the batch.
        batch: usize,
        /// Channels of the map.
        channels: usize,
        /// Rows of the map.
        height: usize,
        /// Columns of the map.
        width: usize,
    },
    /// A batch that does not fit the network or the engine's capacity.
    #[error("{0}")]
    Batch(String),
    /// A state that does not fit the network: a missing, surplus or misshapen tensor.
    #[error("{0}")]
    State(String),
    /// A network or device that this engine cannot take.
    #[error("{0}")]
    Unsupported(String),
}

/// What one image should be classified as. With `mix`, the loss is `weight * CE(label) + (1 - weight) * CE(mix.label)`.
#[derive(Debug, Clone, Copy)]
pub struct Targets<'a> {
    /// One class per image.
    pub labels: &'a [u32],
    /// The second classes of mixup and cutmix, with the weight of the first for each image.
    pub mix: Option<(&'a [u32], &'a [f32])>,
}

/// What a training pass needs besides the images.
#[derive(Debug, Clone, Copy)]
pub struct TrainPass {
    /// Cross-entropy's label smoothing, in `[0, 1)` (`torch.nn.CrossEntropyLoss(label_smoothing=...)`).
    pub label_smoothing: f32,
    /// Names this pass for dropout: a draw is a function of (seed, pass, layer, element).
    pub seed: u64,
    /// Number of the pass, counted over the whole run.
    pub pass: u64,
    /// Add to the gradients of earlier passes instead of replacing them (gradient accumulation).
    pub accumulate: bool,
    /// The loss is multiplied by this before it is differentiated (1 / number of accumulated passes).
    pub loss_scale: f32,
}

/// The outcome of one batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchOutcome {
    /// Mean loss over the batch, unscaled.
    pub loss: f64,
    /// Images whose highest logit is their (first) label.
    pub correct: usize,
}

/// The update rule, with PyTorch's formulas.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// `torch.optim.SGD`.
    Sgd {
        /// Momentum; 0 keeps no buffer.
        momentum: f64,
        /// Nesterov's variant.
        nesterov: bool,
    },
    /// `torch.optim.Adam` (weight decay added to the gradient).
    Adam {
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the root of the second moment.
        eps: f64,
    },
    /// `torch.optim.AdamW` (weight decay applied to the parameter).
    AdamW {
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the root of the second moment.
        eps: f64,
    },
}

/// How an engine is set up for training. Fixed for the engine's life.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainOptions {
    /// The update rule.
    pub rule: Rule,
    /// Weight decay, in the rule's own sense.
    pub weight_decay: f64,
    /// Whether weight decay reaches BatchNorm's parameters and biases (PyTorch's default: yes).
    pub decay_norm_and_bias: bool,
    /// One flag per `graph.parameters`: false is frozen (no gradient step, no decay). BatchNorm layers all of whose
    /// parameters are frozen still update their running statistics, as `requires_grad = False` alone does in PyTorch.
    pub trainable: Vec<bool>,
    /// Keep an exponential moving average of parameters and buffers with this decay; in step t, with at most
    /// `(1 + t) / (10 + t)`, so that the random start is soon forgotten.
    pub ema_decay: Option<f32>,
}

/// One optimizer step.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// Scale gradients down to this total norm (`torch.nn.utils.clip_grad_norm_`).
    pub clip_norm: Option<f32>,
}

/// What an optimizer step saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UpdateOutcome {
    /// Total norm of the trainable gradients before clipping; worked out only when clipping is on.
    pub gradient_norm: Option<f32>,
}

/// Which weights to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// Those being trained.
    Live,
    /// Their moving average. An error where none is kept.
    Ema,
}

/// What the engine runs on, for logs and checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// `cpu`, `mps`, `cuda`, `vulkan`.
    pub device: String,
    /// The SIMD level (`avx512`, `avx2`, `neon`, `portable`): same level, same bits (on one system: the logarithms of
    /// another one's C library may round otherwise).
    pub level: String,
    /// Worker threads. Results do not depend on it.
    pub threads: usize,
}

/// A network on a device. Images are `[n, height, width, channels]`, normalised floats; logits `[n, classes]`.
pub trait Engine: Send {
    /// The network.
    fn graph(&self) -> &Graph;

    /// Device, SIMD level, threads.
    fn info(&self) -> EngineInfo;

    /// Calls `task(index)` once for every index below `tasks`, on the threads that the engine computes with, and returns when all are
    /// done: for what is to be made between two passes, such as the next batch.
    fn spread(&mut self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        (0..tasks).for_each(task);
    }

    /// Forward in training mode (batch statistics, dropout, running statistics move), loss, backward.
    fn train_pass(&mut self, images: &[f32], targets: Targets<'_>, pass: TrainPass) -> Result<BatchOutcome, EngineError>;

    /// One optimizer step on the gradients gathered since the last one (and the moving average's step).
    fn update(&mut self, update: Update) -> Result<UpdateOutcome, EngineError>;

    /// Forward in evaluation mode (running statistics, no dropout). `logits` is `[n, classes]`.
    fn infer(&mut self, images: &[f32], weights: Weights, logits: &mut [f32]) -> Result<(), EngineError>;

    /// The network's state dict (parameters and buffers), in torchvision's order and layout.
    fn model_state(&self, weights: Weights) -> Result<Vec<NamedTensor>, EngineError>;

    /// Replaces parameters and buffers (and starts the moving average, if one is kept, from them). Every tensor must be
    /// there with its shape; a missing, surplus or misshapen one is an error and nothing changes.
    fn load_model_state(&mut self, state: &[NamedTensor]) -> Result<(), EngineError>;

    /// What else a resumed training needs: moments, step count, moving average. Names start with `optimizer.` or `ema.`.
    fn training_state(&self) -> Vec<NamedTensor>;

    /// Takes back what [`Engine::training_state`] gave. All or nothing.
    fn load_training_state(&mut self, state: &[NamedTensor]) -> Result<(), EngineError>;

    /// The gradients of the last pass(es), by parameter, in the state dict's layout (for tests and diagnostics).
    fn gradients(&self) -> Vec<NamedTensor>;
}
