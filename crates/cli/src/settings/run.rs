//! The run itself: its seed, how often it reports and saves.

use super::value::Whole;
use super::{Section, setting};

pub const SECTION: Section = Section {
    title: "Run",
    of_recipe: true,
    settings: &[
        setting("seed", "Names every random draw of the run: same seed, same bits", &Whole { field: |s| &mut s.recipe.seed }),
        setting("log_every", "Log batch metrics every N batches; 0 is never", &Whole { field: |s| &mut s.recipe.log_every }),
        setting(
            "checkpoint_every",
            "Seconds between checkpoints; 0 is at the end of each epoch only",
            &Whole { field: |s| &mut s.recipe.checkpoint_every },
        ),
    ],
};
