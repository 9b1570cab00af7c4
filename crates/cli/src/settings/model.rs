//! Which network is trained, and from which weights.

use super::value::{Kind, List, Name, OneOf, Optional, OptionalText, Real};
use super::{Section, Setting};
use anmok_train::recipe::Stem;

pub const SECTION: Section = Section {
    title: "Model",
    of_recipe: true,
    settings: &[
        Setting {
            name: "model_name",
            variables: &[],
            help: "The network",
            value: &Name { field: |s| &mut s.recipe.model_name, names: anmok_graph::zoo::NAMES, or: "" },
        },
        Setting {
            name: "stem",
            variables: &[],
            help: "Strides of the first layers: torchvision's, or stride 1 for 32x32 images",
            value: &OneOf { field: |s| &mut s.recipe.stem, names: &[("imagenet", Stem::Imagenet), ("cifar", Stem::Cifar)] },
        },
        Setting {
            name: "width_multiplier",
            variables: &[],
            help: "Multiplies the number of channels, rounded to multiples of 8",
            value: &Real { field: |s| &mut s.recipe.width_multiplier },
        },
        Setting {
            name: "dropout",
            variables: &[],
            help: "Dropout before the last layer of MobileNetV3",
            value: &Real { field: |s| &mut s.recipe.dropout },
        },
        Setting {
            name: "batch_norm_momentum",
            variables: &[],
            help: "Momentum of BatchNorm's running statistics",
            value: &Optional { field: |s| &mut s.recipe.batch_norm_momentum, kind: Kind::Real, absent: "the network's own" },
        },
        Setting {
            name: "initial_weights",
            variables: &[],
            help: "Start from this .safetensors or .pth file (a classifier of another size is replaced)",
            value: &OptionalText { field: |s| &mut s.recipe.initial_weights, noun: "FILE", what: "a file, or none (random weights)" },
        },
        Setting {
            name: "freeze",
            variables: &[],
            help: "Parameters that stay as they are, by name with * and ?, for example features.*",
            value: &List { field: |s| &mut s.recipe.freeze, what: "patterns of parameter names" },
        },
    ],
};
