//! Which images, and how they are split.

use super::value::{Kind, Name, Optional, Real, Whole};
use super::{Section, setting};

pub const SECTION: Section = Section {
    title: "Data",
    of_recipe: true,
    settings: &[
        setting(
            "dataset",
            "The images: a data set by name, or a folder with one sub-folder per class",
            &Name {
                field: |s| &mut s.recipe.dataset,
                names: &anmok_data::NAMES,
                or: ", or the path of a folder with one sub-folder per class",
            },
        ),
        setting(
            "image_size",
            "Side to which the images of a folder are resized",
            &Optional { field: |s| &mut s.recipe.image_size, kind: Kind::Whole, noun: "N", what: "a whole number", absent: "32" },
        ),
        setting(
            "image_channels",
            "Channels of FashionMNIST's images: 3 (repeated grey) or 1",
            &Whole { field: |s| &mut s.recipe.image_channels },
        ),
        setting(
            "validation_split",
            "Share of the training images held out for validation, stratified by class",
            &Real { field: |s| &mut s.recipe.validation_split },
        ),
        setting("split_seed", "Names the validation split (apart from --seed)", &Whole { field: |s| &mut s.recipe.split_seed }),
        setting("limit_train", "Use only the first N training images; 0 is all", &Whole { field: |s| &mut s.recipe.limit_train }),
    ],
};
