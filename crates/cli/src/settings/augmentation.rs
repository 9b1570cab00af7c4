//! How training images are varied.

use super::value::{Real, Switch, Whole};
use super::{Section, setting};

pub const SECTION: Section = Section {
    title: "Augmentation",
    of_recipe: true,
    settings: &[
        setting(
            "use_augmentation",
            "Vary the training images: random crop and flip, and what is on below",
            &Switch { field: |s| &mut s.recipe.use_augmentation },
        ),
        setting(
            "crop_padding",
            "Zeros added around an image before a random crop of the original size",
            &Whole { field: |s| &mut s.recipe.crop_padding },
        ),
        setting("flip", "Probability of a horizontal flip", &Real { field: |s| &mut s.recipe.flip }),
        setting("cutout", "Side of a square set to the mean colour; 0 is off", &Whole { field: |s| &mut s.recipe.cutout }),
        setting("random_erasing", "Probability of random erasing", &Real { field: |s| &mut s.recipe.random_erasing }),
        setting("mixup", "Alpha of mixup; 0 is off", &Real { field: |s| &mut s.recipe.mixup }),
        setting(
            "cutmix",
            "Alpha of cutmix; 0 is off (with mixup, one of the two is drawn per batch)",
            &Real { field: |s| &mut s.recipe.cutmix },
        ),
        setting("rand_augment", "RandAugment operations per image; 0 is off", &Whole { field: |s| &mut s.recipe.rand_augment }),
        setting("rand_augment_magnitude", "RandAugment's magnitude, 0 to 30", &Whole { field: |s| &mut s.recipe.rand_augment_magnitude }),
    ],
};
