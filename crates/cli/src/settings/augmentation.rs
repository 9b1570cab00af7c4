//! How training images are varied.

use super::value::{Real, Switch, Whole};
use super::{Section, Setting};

pub const SECTION: Section = Section {
    title: "Augmentation",
    of_recipe: true,
    settings: &[
        Setting {
            name: "use_augmentation",
            variables: &[],
            help: "Vary the training images: random crop and flip, and what is on below",
            value: &Switch { field: |s| &mut s.recipe.use_augmentation },
        },
        Setting {
            name: "crop_padding",
            variables: &[],
            help: "Zeros added around an image before a random crop of the original size",
            value: &Whole { field: |s| &mut s.recipe.crop_padding },
        },
        Setting { name: "flip", variables: &[], help: "Probability of a horizontal flip", value: &Real { field: |s| &mut s.recipe.flip } },
        Setting {
            name: "cutout",
            variables: &[],
            help: "Side of a square set to the mean colour; 0 is off",
            value: &Whole { field: |s| &mut s.recipe.cutout },
        },
        Setting {
            name: "random_erasing",
            variables: &[],
            help: "Probability of random erasing",
            value: &Real { field: |s| &mut s.recipe.random_erasing },
        },
        Setting { name: "mixup", variables: &[], help: "Alpha of mixup; 0 is off", value: &Real { field: |s| &mut s.recipe.mixup } },
        Setting {
            name: "cutmix",
            variables: &[],
            help: "Alpha of cutmix; 0 is off (with mixup, one of the two is drawn per batch)",
            value: &Real { field: |s| &mut s.recipe.cutmix },
        },
        Setting {
            name: "rand_augment",
            variables: &[],
            help: "RandAugment operations per image; 0 is off",
            value: &Whole { field: |s| &mut s.recipe.rand_augment },
        },
        Setting {
            name: "rand_augment_magnitude",
            variables: &[],
            help: "RandAugment's magnitude, 0 to 30",
            value: &Whole { field: |s| &mut s.recipe.rand_augment_magnitude },
        },
    ],
};
