//! How the weights move: optimizer, schedule, loss.

use super::value::{OneOf, Real, Switch, Whole};
use super::{Section, setting};
use anmok_train::recipe::{Optimizer, Schedule};

pub const SECTION: Section = Section {
    title: "Optimization",
    of_recipe: true,
    settings: &[
        setting("epochs", "Passes over the training images", &Whole { field: |s| &mut s.recipe.epochs }),
        setting("batch_size", "Images per step (per pass, with --accumulate)", &Whole { field: |s| &mut s.recipe.batch_size }),
        setting(
            "accumulate",
            "Passes whose gradients are added up before one optimizer step",
            &Whole { field: |s| &mut s.recipe.accumulate },
        ),
        setting("drop_last", "Leave out the last, smaller batch of an epoch", &Switch { field: |s| &mut s.recipe.drop_last }),
        setting(
            "optimizer",
            "The update rule, as PyTorch defines it",
            &OneOf {
                field: |s| &mut s.recipe.optimizer,
                names: &[("adam", Optimizer::Adam), ("adamw", Optimizer::Adamw), ("sgd", Optimizer::Sgd)],
            },
        ),
        setting("learning_rate", "Peak learning rate", &Real { field: |s| &mut s.recipe.learning_rate }),
        setting("momentum", "Momentum of SGD", &Real { field: |s| &mut s.recipe.momentum }),
        setting("nesterov", "Nesterov's variant of SGD", &Switch { field: |s| &mut s.recipe.nesterov }),
        setting("beta1", "First-moment decay of Adam and AdamW", &Real { field: |s| &mut s.recipe.beta1 }),
        setting("beta2", "Second-moment decay of Adam and AdamW", &Real { field: |s| &mut s.recipe.beta2 }),
        setting("eps", "Epsilon of Adam and AdamW", &Real { field: |s| &mut s.recipe.eps }),
        setting("weight_decay", "Weight decay, in the optimizer's own sense", &Real { field: |s| &mut s.recipe.weight_decay }),
        setting(
            "decay_norm_and_bias",
            "Let weight decay reach BatchNorm's parameters and biases",
            &Switch { field: |s| &mut s.recipe.decay_norm_and_bias },
        ),
        setting(
            "schedule",
            "How the learning rate moves",
            &OneOf {
                field: |s| &mut s.recipe.schedule,
                names: &[
                    ("constant", Schedule::Constant),
                    ("step", Schedule::Step),
                    ("cosine", Schedule::Cosine),
                    ("one_cycle", Schedule::OneCycle),
                    ("plateau", Schedule::Plateau),
                ],
            },
        ),
        setting(
            "warmup_epochs",
            "Epochs of linear warmup from 0, fractions allowed; of one_cycle: the rising part",
            &Real { field: |s| &mut s.recipe.warmup_epochs },
        ),
        setting(
            "final_learning_rate",
            "Where cosine, one_cycle and plateau end, as a share of the peak",
            &Real { field: |s| &mut s.recipe.final_learning_rate },
        ),
        setting(
            "step_epochs",
            "step: epochs between drops; plateau: epochs without improvement before a drop",
            &Whole { field: |s| &mut s.recipe.step_epochs },
        ),
        setting("gamma", "step and plateau: the factor of a drop", &Real { field: |s| &mut s.recipe.gamma }),
        setting("label_smoothing", "Label smoothing of the cross-entropy", &Real { field: |s| &mut s.recipe.label_smoothing }),
        setting("clip_norm", "Clip the total gradient norm to this; 0 is off", &Real { field: |s| &mut s.recipe.clip_norm }),
        setting(
            "ema_decay",
            "Decay of the weights' moving average, which is then validated and saved; 0 is off",
            &Real { field: |s| &mut s.recipe.ema_decay },
        ),
        setting(
            "early_stopping",
            "Stop after this many epochs without a better validation accuracy; 0 is off",
            &Whole { field: |s| &mut s.recipe.early_stopping },
        ),
    ],
};
