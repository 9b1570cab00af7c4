//! The recipe: everything that decides what a training run computes, checked and typed.
//!
//! `cli` makes one from flags, environment, a TOML file and `.env`; it is saved with every run (`recipe.toml` among the
//! artifacts, and in each checkpoint), and `--resume` reads it back. Field names are the TOML keys, and in upper case the
//! environment variables.

mod error;
mod file;
mod freeze;
mod joins;
mod problems;
mod spelling;

use serde::{Deserialize, Serialize};

pub use error::RecipeError;
pub use freeze::trainable;
pub use joins::{InitialWeights, ParameterCounts};
pub use problems::Problem;
pub use spelling::nearest;

/// A training run's settings. Two runs with equal recipes, data and SIMD level give the same bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// A network of the zoo: `mobilenet_v3_small`, `mobilenet_v3_large`, `resnet18`.
    pub model_name: String,
    /// `imagenet` (torchvision's strides) or `cifar` (stride-1 stem, for small images).
    pub stem: Stem,
    /// Multiplies the number of channels (rounded to multiples of 8, as torchvision does).
    pub width_multiplier: f64,
    /// Dropout before the last layer of MobileNetV3 (torchvision: 0.2). ResNet18 has none.
    pub dropout: f64,
    /// BatchNorm momentum; `None` is the network's own (torchvision: MobileNetV3 0.01, ResNet 0.1).
    pub batch_norm_momentum: Option<f64>,
    /// safetensors or .pth file to start from instead of random weights (the classifier is replaced if its shape differs).
    pub initial_weights: Option<String>,
    /// Parameters whose name matches one of these patterns (`*` and `?`) are frozen.
    pub freeze: Vec<String>,

    /// `CIFAR10`, `CIFAR100`, `FashionMNIST`, `FashionMNIST-sample`, or a folder with one sub-folder per class.
    pub dataset: String,
    /// Side to which the images of a folder are resized; `None` is 32.
    pub image_size: Option<usize>,
    /// Channels of FashionMNIST's images: 3 (repeated grey) or 1.
    pub image_channels: usize,
    /// Share of the training images held out for validation, stratified by class (CIFAR-10: 0.1 is 5,000).
    pub validation_split: f64,
    /// Names the validation split (apart from `seed`, so that seeds can be compared on one split).
    pub split_seed: u64,
    /// Use only the first N training images (after the split); 0 is all. For quick trials.
    pub limit_train: usize,

    /// Random crop and flip, and what else is switched on below.
    pub use_augmentation: bool,
    /// Zeros added around the image before a random crop of the original size.
    pub crop_padding: usize,
    /// Probability of a horizontal flip.
    pub flip: f64,
    /// Side of the square set to the mean colour (cutout); 0 is off.
    pub cutout: usize,
    /// Probability of random erasing (torchvision's default areas and ratios).
    pub random_erasing: f64,
    /// Beta distribution's parameter of mixup; 0 is off.
    pub mixup: f64,
    /// Beta distribution's parameter of cutmix; 0 is off. With both, one of the two is drawn per batch.
    pub cutmix: f64,
    /// Number of RandAugment operations per image; 0 is off.
    pub rand_augment: usize,
    /// RandAugment's magnitude, 0 to 30.
    pub rand_augment_magnitude: usize,

    /// Passes over the training images.
    pub epochs: usize,
    /// Images per step (per pass, with accumulation).
    pub batch_size: usize,
    /// Passes whose gradients are added up before one optimizer step.
    pub accumulate: usize,
    /// Leave out the last, smaller batch of an epoch.
    pub drop_last: bool,
    /// `adam`, `adamw` or `sgd`.
    pub optimizer: Optimizer,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Momentum of SGD.
    pub momentum: f64,
    /// Nesterov's variant of SGD.
    pub nesterov: bool,
    /// First-moment decay of Adam and AdamW.
    pub beta1: f64,
    /// Second-moment decay of Adam and AdamW.
    pub beta2: f64,
    /// Epsilon of Adam and AdamW.
    pub eps: f64,
    /// Weight decay, in the optimizer's own sense.
    pub weight_decay: f64,
    /// Whether weight decay reaches BatchNorm's parameters and biases (PyTorch's default: yes).
    pub decay_norm_and_bias: bool,
    /// How the learning rate moves.
    pub schedule: Schedule,
    /// Epochs of linear warmup from 0 (fractions allowed). Of one-cycle: the rising part, from a 25th of the peak; 0 is
    /// PyTorch's default there, 30 % of the run.
    pub warmup_epochs: f64,
    /// Where cosine and one-cycle end, and what plateau does not fall below, as a share of the peak.
    pub final_learning_rate: f64,
    /// Step: epochs between drops. Plateau: epochs without improvement that are put up with before a drop (`patience`).
    pub step_epochs: usize,
    /// Step and plateau: the factor of a drop.
    pub gamma: f64,
    /// Label smoothing of the cross-entropy.
    pub label_smoothing: f64,
    /// Clip the total gradient norm to this; 0 is off.
    pub clip_norm: f64,
    /// Decay of the weights' moving average; 0 is off. With it, validation, test and the saved model use the average. In
    /// step t (from 1) the decay is at most `(1 + t) / (10 + t)`: a young average follows faster.
    pub ema_decay: f64,
    /// Stop after this many epochs without a better validation accuracy; 0 is off.
    pub early_stopping: usize,

    /// Names every random draw of the run (weights, order, augmentation, dropout).
    pub seed: u64,
    /// Batch metrics are logged every this many batches; 0 is never.
    pub log_every: usize,
    /// Seconds between checkpoints; 0 is at the end of each epoch only.
    pub checkpoint_every: u64,
}

/// Strides of the network's first layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// torchvision's.
    Imagenet,
    /// Stride 1, for 32 x 32 images.
    Cifar,
}

/// The optimizers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// `torch.optim.Adam`.
    Adam,
    /// `torch.optim.AdamW`.
    Adamw,
    /// `torch.optim.SGD`.
    Sgd,
}

/// The learning-rate schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Always the peak.
    Constant,
    /// Times `gamma` every `step_epochs`.
    Step,
    /// Half a cosine from the peak, moved once per epoch (`torch.optim.lr_scheduler.CosineAnnealingLR`).
    Cosine,
    /// Up and down once, moved at every step (`OneCycleLR`, cosine annealing).
    OneCycle,
    /// Times `gamma` after `step_epochs` epochs without a better validation loss (`ReduceLROnPlateau`).
    Plateau,
}

impl Default for Recipe {
    /// The seed's recipe: MobileNetV3-Small on CIFAR-10, batch 64, Adam 0.001, 20 epochs, augmentation, cosine to 0.
    fn default() -> Self {
        Self {
            model_name: "mobilenet_v3_small".into(),
            stem: Stem::Imagenet,
            width_multiplier: 1.0,
            dropout: 0.2,
            batch_norm_momentum: None,
            initial_weights: None,
            freeze: vec![],
            dataset: "CIFAR10".into(),
            image_size: None,
            image_channels: 3,
            validation_split: 0.1,
            split_seed: 0,
            limit_train: 0,
            use_augmentation: true,
            crop_padding: 4,
            flip: 0.5,
            cutout: 0,
            random_erasing: 0.0,
            mixup: 0.0,
            cutmix: 0.0,
            rand_augment: 0,
            rand_augment_magnitude: 9,
            epochs: 20,
            batch_size: 64,
            accumulate: 1,
            drop_last: false,
            optimizer: Optimizer::Adam,
            learning_rate: 0.001,
            momentum: 0.9,
            nesterov: false,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            decay_norm_and_bias: true,
            schedule: Schedule::Cosine,
            warmup_epochs: 0.0,
            final_learning_rate: 0.0,
            step_epochs: 10,
            gamma: 0.1,
            label_smoothing: 0.0,
            clip_norm: 0.0,
            ema_decay: 0.0,
            early_stopping: 0,
            seed: 0,
            log_every: 50,
            checkpoint_every: 60,
        }
    }
}
