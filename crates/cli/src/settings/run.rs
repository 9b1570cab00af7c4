//! The run itself: its seed, how often it reports and saves.

use super::value::Whole;
use super::{Section, Setting};

pub const SECTION: Section = Section {
    title: "Run",
    of_recipe: true,
    settings: &[
        Setting {
            name: "seed",
            variables: &[],
            help: "Names every random draw of the run: same seed, same bits",
            value: &Whole { field: |s| &mut s.recipe.seed },
        },
        Setting {
            name: "log_every",
            variables: &[],
            help: "Log batch metrics every N batches; 0 is never",
            value: &Whole { field: |s| &mut s.recipe.log_every },
        },
        Setting {
            name: "checkpoint_every",
            variables: &[],
            help: "Seconds between checkpoints; 0 is at the end of each epoch only",
            value: &Whole { field: |s| &mut s.recipe.checkpoint_every },
        },
    ],
};
