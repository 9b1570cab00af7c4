//! `anmok bench data`.

use super::timing::{self, Row, Timing};
use super::{Surroundings, process, settings};
use crate::settings::flags::{Flags, Sections};
use crate::settings::{Section, augmentation, dataset, optimization, output, storage};
use crate::terminal::style::Style;
use crate::terminal::{print, print_json, units};
use anmok_data::{Augmentation, Loader, Walk, one_thread, stratified_split};
use anyhow::Context;
use clap::Args;
use serde_json::json;
use std::time::Instant;

pub const AFTER_HELP: &str = "\
One thread shuffles, augments and normalises training images into batches. In `anmok train` all threads of the engine share this
work, between two steps: divide by their number for its part of a step.

--json prints one object:
  bench, dataset, images (of an epoch), image_size, batch, augmented, threads (1), warmup, steps (batches);
  ms (per batch): median, min, p10, p90, mean, max; images_per_second (over all of the time); open_ms (to read the data
  set); peak_resident_bytes (of the process, null where the system does not tell).

Examples:
  anmok bench data FashionMNIST-sample
  anmok bench data CIFAR10 --recipe cifar10-strong
  anmok bench data CIFAR10 --use-augmentation false --json";

/// Time the making of training batches alone.
#[derive(Debug, Args)]
pub struct Data {
    /// The data set by name, or a folder with one sub-folder per class (default: the setting `dataset`)
    #[arg(value_name = "DATASET", conflicts_with = "dataset")]
    name: Option<String>,
    /// A built-in recipe or a TOML file to take settings from
    #[arg(long, value_name = "NAME|FILE")]
    recipe: Option<String>,
    /// Images per batch: short for --batch-size
    #[arg(long, value_name = "N", conflicts_with = "batch_size")]
    batch: Option<usize>,
    #[command(flatten)]
    timing: Timing,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<OfData>,
}

#[derive(Debug)]
struct OfData;

impl Sections for OfData {
    const SECTIONS: &'static [&'static Section] =
        &[&dataset::SECTION, &augmentation::SECTION, &optimization::SECTION, &storage::SECTION, &output::SECTION];
}

impl Data {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let mut flags = self.flags.given;
        flags.extend(self.name.iter().map(|name| ("dataset", name.clone())));
        flags.extend(self.batch.map(|batch| ("batch_size", batch.to_string())));
        let settings = settings(surroundings, OfData::SECTIONS, &flags, self.recipe.as_deref())?;
        let recipe = &settings.recipe;
        let begin = Instant::now();
        let data = anmok_data::open(&recipe.dataset, &recipe.open_options(&settings.data_dir))?;
        let open_ms = begin.elapsed().as_secs_f64() * 1e3;
        data.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let mut chosen = stratified_split(data.train.labels(), recipe.validation_split, recipe.split_seed)?.train;
        if recipe.limit_train > 0 {
            chosen.truncate(recipe.limit_train);
        }
        let loader = Loader::training(data.train.clone(), chosen, &recipe.loader_options())?;
        let mut walk = Walk::new(loader.clone(), 0..u64::MAX, 0);
        let mut step = || anyhow::Ok(walk.next(&mut one_thread).context("no training image")?.labels.len());
        self.timing.warm_up(|| step().map(drop))?;
        let mut images = 0;
        let times = self.timing.measure(|| {
            images += step()?;
            Ok(())
        })?;

        let augmented = recipe.augmentation() != Augmentation::NONE;
        let (side, peak) = (data.train.shape().height, process::peak_resident_bytes());
        let rate = images as f64 / times.sum() * 1e3;
        if self.json {
            print_json(&json!({
                "bench": "data", "dataset": data.train.name(), "images": loader.images(), "image_size": side, "batch": recipe.batch_size,
                "augmented": augmented, "threads": 1, "warmup": self.timing.warmup, "steps": times.count(), "ms": times.as_json(),
                "images_per_second": rate, "open_ms": open_ms, "peak_resident_bytes": peak,
            }));
            return Ok(());
        }
        let style = Style::new(settings.color, &std::io::stdout());
        let table = timing::table(&[Row { batch: recipe.batch_size, times: &times, images_per_second: rate }], style);
        let memory = peak.map_or(String::new(), |peak| format!("; peak resident memory {}", units::bytes(peak)));
        print(&format!(
            "batches of {}, {} images an epoch, {}, one thread\n\n{table}\nread in {open_ms:.0} ms{memory}\n",
            style.bold(data.train.name()),
            units::grouped(loader.images() as u64),
            if augmented { "augmented" } else { "not augmented" },
        ));
        Ok(())
    }
}
