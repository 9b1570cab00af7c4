//! Which images, and how they are split.

use super::value::{Kind, Name, Optional, Real, Whole};
use super::{Section, Setting};

pub const SECTION: Section = Section {
    title: "Data",
    of_recipe: true,
    settings: &[
        Setting {
            name: "dataset",
            variables: &[],
            help: "The images: a data set by name, or a folder with one sub-folder per class",
            value: &Name {
                field: |s| &mut s.recipe.dataset,
                names: &anmok_data::NAMES,
                or: ", or the path of a folder with one sub-folder per class",
            },
        },
        Setting {
            name: "image_size",
            variables: &[],
            help: "Side to which the images of a folder are resized",
            value: &Optional { field: |s| &mut s.recipe.image_size, kind: Kind::Whole, absent: "32" },
        },
        Setting {
            name: "image_channels",
            variables: &[],
            help: "Channels of FashionMNIST's images: 3 (repeated grey) or 1",
            value: &Whole { field: |s| &mut s.recipe.image_channels },
        },
        Setting {
            name: "validation_split",
            variables: &[],
            help: "Share of the training images held out for validation, stratified by class",
            value: &Real { field: |s| &mut s.recipe.validation_split },
        },
        Setting {
            name: "split_seed",
            variables: &[],
            help: "Names the validation split (apart from --seed)",
            value: &Whole { field: |s| &mut s.recipe.split_seed },
        },
        Setting {
            name: "limit_train",
            variables: &[],
            help: "Use only the first N training images; 0 is all",
            value: &Whole { field: |s| &mut s.recipe.limit_train },
        },
    ],
};
