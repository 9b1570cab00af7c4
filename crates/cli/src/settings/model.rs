//! Which network is trained, and from which weights.

use super::value::{Kind, List, Name, OneOf, Optional, Real};
use super::{Section, setting};
use anmok_train::recipe::Stem;

pub const SECTION: Section = Section {
    title: "Model",
    of_recipe: true,
    settings: &[
        setting("model_name", "The network", &Name { field: |s| &mut s.recipe.model_name, names: anmok_graph::zoo::NAMES, or: "" }),
        setting(
            "stem",
            "Strides of the first layers: torchvision's, or stride 1 for 32x32 images",
            &OneOf { field: |s| &mut s.recipe.stem, names: &[("imagenet", Stem::Imagenet), ("cifar", Stem::Cifar)] },
        ),
        setting(
            "width_multiplier",
            "Multiplies the number of channels, rounded to multiples of 8",
            &Real { field: |s| &mut s.recipe.width_multiplier },
        ),
        setting("dropout", "Dropout before the last layer of MobileNetV3", &Real { field: |s| &mut s.recipe.dropout }),
        setting(
            "batch_norm_momentum",
            "Momentum of BatchNorm's running statistics",
            &Optional {
                field: |s| &mut s.recipe.batch_norm_momentum,
                kind: Kind::Real,
                noun: "X",
                what: "a number",
                absent: "the network's own",
            },
        ),
        setting(
            "initial_weights",
            "Start from this .safetensors or .pth file (a classifier of another size is replaced)",
            &Optional {
                field: |s| &mut s.recipe.initial_weights,
                kind: Kind::Text,
                noun: "FILE",
                what: "a file",
                absent: "random weights",
            },
        ),
        setting(
            "freeze",
            "Parameters that stay as they are, by name with * and ?, for example features.*",
            &List { field: |s| &mut s.recipe.freeze, what: "patterns of parameter names" },
        ),
    ],
};
