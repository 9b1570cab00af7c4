//! `anmok bench infer`.

use super::measurement::{self, Measurement};
use super::timing::Timing;
use super::workload::{Task, Workload};
use super::{Network, Surroundings, settings};
use crate::settings::flags::{Flags, Sections};
use crate::settings::{Section, machine, model, output};
use crate::terminal::style::Style;
use crate::terminal::{print, print_json};
use anmok_data::LARGEST_BATCH;
use clap::Args;
use serde_json::json;
use std::time::Instant;

pub const AFTER_HELP: &str = "\
Each batch size has an engine of its own, made for inference alone. Images are random and always the same.

--json prints an array with one object for each batch size, in their order:
  bench, model, stem, classes, image_size, batch, passes (1), threads, level, optimizer (null), warmup, steps;
  ms: median, min, p10, p90, mean, max; images_per_second (of the median); peak_resident_bytes (of the process so far,
  null where the system does not tell); first_step_ms (from the start of the process to the end of the first batch of
  all; null for the other batch sizes).

Examples:
  anmok bench infer
  anmok bench infer --model resnet18 --batch 1
  anmok bench infer --batch 1,8,64 --threads 1 --seconds 1 --json";

/// Time inference, one batch size after the other.
#[derive(Debug, Args)]
pub struct Infer {
    #[command(flatten)]
    network: Network,
    /// Images per batch, one size or several
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "1,64",
        value_parser = clap::value_parser!(u64).range(1..=LARGEST_BATCH as u64))]
    batch: Vec<u64>,
    #[command(flatten)]
    timing: Timing,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<OfInference>,
}

#[derive(Debug)]
struct OfInference;

impl Sections for OfInference {
    const SECTIONS: &'static [&'static Section] = &[&model::SECTION, &machine::SECTION, &output::SECTION];
}

impl Infer {
    pub fn run(self, surroundings: &Surroundings, began: Instant) -> anyhow::Result<()> {
        let mut flags = self.flags.given;
        flags.extend(self.network.model.iter().map(|name| ("model_name", name.clone())));
        let settings = settings(surroundings, OfInference::SECTIONS, &flags, self.network.recipe.as_deref())?;
        let mut measurements = vec![];
        for (index, &batch) in self.batch.iter().enumerate() {
            let workload = Workload::new(Task::Infer, &settings, &self.network, batch as usize)?;
            measurements.push(Measurement::take(workload, &self.timing, (index == 0).then_some(began))?);
        }
        if self.json {
            print_json(&json!(measurements.iter().map(Measurement::as_json).collect::<Vec<_>>()));
        } else {
            print(&measurement::as_text(&measurements, Style::new(settings.color, &std::io::stdout())));
        }
        Ok(())
    }
}
