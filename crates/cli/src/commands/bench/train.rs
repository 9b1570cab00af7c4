//! `anmok bench train`.

use super::measurement::{self, Measurement};
use super::timing::Timing;
use super::workload::{Task, Workload};
use super::{Step, Surroundings};
use crate::terminal::style::Style;
use crate::terminal::{print, print_json};
use clap::Args;
use std::time::Instant;

pub const AFTER_HELP: &str = "\
A step is what `anmok train` would do with the same settings: forward, loss, backward, update. Images and labels are
random and always the same; making batches is not a part of it (`anmok bench data`).

--json prints one object:
  bench, model, stem, classes, image_size, batch, passes (per step), threads, level, optimizer, warmup, steps;
  ms: median, min, p10, p90, mean, max; images_per_second (of the median); peak_resident_bytes (of the process, null where
  the system does not tell); first_step_ms (from the start of the process to the end of its first step, warm-up or not).

Examples:
  anmok bench train
  anmok bench train --model resnet18 --stem cifar --batch 64 --threads 2
  anmok bench train --recipe cifar10-strong
  anmok bench train --simd portable --optimizer sgd --steps 50 --warmup 5 --json";

/// Time whole training steps: forward, loss, backward, update.
#[derive(Debug, Args)]
pub struct Train {
    #[command(flatten)]
    step: Step,
    #[command(flatten)]
    timing: Timing,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Train {
    pub fn run(self, surroundings: &Surroundings, began: Instant) -> anyhow::Result<()> {
        let settings = self.step.settings(surroundings)?;
        let workload = Workload::new(Task::Train, &settings, &self.step.network, settings.recipe.batch_size)?;
        let measurement = Measurement::take(workload, &self.timing, Some(began))?;
        if self.json {
            print_json(&measurement.as_json());
        } else {
            print(&measurement::as_text(&[measurement], Style::new(settings.color, &std::io::stdout())));
        }
        Ok(())
    }
}
