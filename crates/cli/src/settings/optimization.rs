//! How the weights move: optimizer, schedule, loss.

use super::value::{OneOf, Real, Switch, Whole};
use super::{Section, Setting};
use anmok_train::recipe::{Optimizer, Schedule};

pub const SECTION: Section = Section {
    title: "Optimization",
    of_recipe: true,
    settings: &[
        Setting {
            name: "epochs",
            variables: &[],
            help: "Passes over the training images",
            value: &Whole { field: |s| &mut s.recipe.epochs },
        },
        Setting {
            name: "batch_size",
            variables: &[],
            help: "Images per step (per pass, with --accumulate)",
            value: &Whole { field: |s| &mut s.recipe.batch_size },
        },
        Setting {
            name: "accumulate",
            variables: &[],
            help: "Passes whose gradients are added up before one optimizer step",
            value: &Whole { field: |s| &mut s.recipe.accumulate },
        },
        Setting {
            name: "drop_last",
            variables: &[],
            help: "Leave out the last, smaller batch of an epoch",
            value: &Switch { field: |s| &mut s.recipe.drop_last },
        },
        Setting {
            name: "optimizer",
            variables: &[],
            help: "The update rule, as PyTorch defines it",
            value: &OneOf {
                field: |s| &mut s.recipe.optimizer,
                names: &[("adam", Optimizer::Adam), ("adamw", Optimizer::Adamw), ("sgd", Optimizer::Sgd)],
            },
        },
        Setting {
            name: "learning_rate",
            variables: &[],
            help: "Peak learning rate",
            value: &Real { field: |s| &mut s.recipe.learning_rate },
        },
        Setting { name: "momentum", variables: &[], help: "Momentum of SGD", value: &Real { field: |s| &mut s.recipe.momentum } },
        Setting {
            name: "nesterov",
            variables: &[],
            help: "Nesterov's variant of SGD",
            value: &Switch { field: |s| &mut s.recipe.nesterov },
        },
        Setting {
            name: "beta1",
            variables: &[],
            help: "First-moment decay of Adam and AdamW",
            value: &Real { field: |s| &mut s.recipe.beta1 },
        },
        Setting {
            name: "beta2",
            variables: &[],
            help: "Second-moment decay of Adam and AdamW",
            value: &Real { field: |s| &mut s.recipe.beta2 },
        },
        Setting { name: "eps", variables: &[], help: "Epsilon of Adam and AdamW", value: &Real { field: |s| &mut s.recipe.eps } },
        Setting {
            name: "weight_decay",
            variables: &[],
            help: "Weight decay, in the optimizer's own sense",
            value: &Real { field: |s| &mut s.recipe.weight_decay },
        },
        Setting {
            name: "decay_norm_and_bias",
            variables: &[],
            help: "Let weight decay reach BatchNorm's parameters and biases",
            value: &Switch { field: |s| &mut s.recipe.decay_norm_and_bias },
        },
        Setting {
            name: "schedule",
            variables: &[],
            help: "How the learning rate moves",
            value: &OneOf {
                field: |s| &mut s.recipe.schedule,
                names: &[
                    ("constant", Schedule::Constant),
                    ("step", Schedule::Step),
                    ("cosine", Schedule::Cosine),
                    ("one_cycle", Schedule::OneCycle),
                    ("plateau", Schedule::Plateau),
                ],
            },
        },
        Setting {
            name: "warmup_epochs",
            variables: &[],
            help: "Epochs of linear warmup from 0, fractions allowed; of one_cycle: the rising part",
            value: &Real { field: |s| &mut s.recipe.warmup_epochs },
        },
        Setting {
            name: "final_learning_rate",
            variables: &[],
            help: "Where cosine, one_cycle and plateau end, as a share of the peak",
            value: &Real { field: |s| &mut s.recipe.final_learning_rate },
        },
        Setting {
            name: "step_epochs",
            variables: &[],
            help: "step: epochs between drops; plateau: epochs without improvement before a drop",
            value: &Whole { field: |s| &mut s.recipe.step_epochs },
        },
        Setting {
            name: "gamma",
            variables: &[],
            help: "step and plateau: the factor of a drop",
            value: &Real { field: |s| &mut s.recipe.gamma },
        },
        Setting {
            name: "label_smoothing",
            variables: &[],
            help: "Label smoothing of the cross-entropy",
            value: &Real { field: |s| &mut s.recipe.label_smoothing },
        },
        Setting {
            name: "clip_norm",
            variables: &[],
            help: "Clip the total gradient norm to this; 0 is off",
            value: &Real { field: |s| &mut s.recipe.clip_norm },
        },
        Setting {
            name: "ema_decay",
            variables: &[],
            help: "Decay of the weights' moving average, which is then validated and saved; 0 is off",
            value: &Real { field: |s| &mut s.recipe.ema_decay },
        },
        Setting {
            name: "early_stopping",
            variables: &[],
            help: "Stop after this many epochs without a better validation accuracy; 0 is off",
            value: &Whole { field: |s| &mut s.recipe.early_stopping },
        },
    ],
};
