//! `anmok bench train|infer|layers|data`: how fast this machine trains, infers and makes batches, and where the time goes.
//!
//! - [`train`], [`infer`], [`layers`], [`data`]: the four benchmarks
//! - [`workload`]: a network with images to run it on
//! - [`timing`]: how long is timed, and what the times were
//! - [`measurement`]: what `train` and `infer` tell
//! - [`process`]: start and memory of this process

mod data;
mod infer;
mod layers;
mod measurement;
mod process;
mod timing;
mod train;
mod workload;

use super::{Given, Surroundings};
use crate::logging;
use crate::settings::flags::{Flags, Sections};
use crate::settings::output::LogFormat;
use crate::settings::{Section, Settings, machine, model, optimization, output};
use crate::terminal::progress;
use clap::{Args, Subcommand};

/// How fast this machine is: training steps, inference, layer by layer, the data pipeline.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  anmok bench train --model resnet18 --batch 64 --threads 2
  anmok bench infer --batch 1,64
  anmok bench layers --top 10 --sort time
  anmok bench data FashionMNIST-sample

Times are of this machine as it is now: what else runs on it counts. Compare medians of runs in turn, not single runs.")]
pub struct Bench {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Time whole training steps: forward, loss, backward, update
    #[command(after_help = train::AFTER_HELP)]
    Train(Box<train::Train>),
    /// Time inference, one batch size after the other
    #[command(after_help = infer::AFTER_HELP)]
    Infer(Box<infer::Infer>),
    /// Where the time of a step goes, layer by layer, beside what this machine can do
    #[command(after_help = layers::AFTER_HELP)]
    Layers(Box<layers::Layers>),
    /// Time the making of training batches alone
    #[command(after_help = data::AFTER_HELP)]
    Data(Box<data::Data>),
}

impl Bench {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let began = process::began();
        match self.command {
            BenchCommand::Train(command) => command.run(surroundings, began),
            BenchCommand::Infer(command) => command.run(surroundings, began),
            BenchCommand::Layers(command) => command.run(surroundings),
            BenchCommand::Data(command) => command.run(surroundings),
        }
    }
}

/// Which network is timed.
#[derive(Debug, Clone, Args)]
struct Network {
    /// A built-in recipe or a TOML file to take settings from
    #[arg(long, value_name = "NAME|FILE")]
    recipe: Option<String>,
    /// The network: short for --model-name
    #[arg(long, value_name = "NAME", conflicts_with = "model_name")]
    model: Option<String>,
    /// Number of classes
    #[arg(long, value_name = "N", default_value_t = 10)]
    classes: usize,
    /// Side of the images, which have three channels
    #[arg(long, value_name = "PIXELS", default_value_t = 32)]
    image_size: usize,
}

/// A network and a step of training.
#[derive(Debug, Args)]
struct Step {
    #[command(flatten)]
    network: Network,
    /// Images per step: short for --batch-size
    #[arg(long, value_name = "N", conflicts_with = "batch_size")]
    batch: Option<usize>,
    #[command(flatten)]
    flags: Flags<OfStep>,
}

#[derive(Debug)]
struct OfStep;

impl Sections for OfStep {
    const SECTIONS: &'static [&'static Section] = &[&model::SECTION, &optimization::SECTION, &machine::SECTION, &output::SECTION];
}

impl Step {
    fn settings(&self, surroundings: &Surroundings) -> anyhow::Result<Settings> {
        let mut flags = self.flags.given.clone();
        flags.extend(self.network.model.iter().map(|name| ("model_name", name.clone())));
        flags.extend(self.batch.map(|batch| ("batch_size", batch.to_string())));
        settings(surroundings, OfStep::SECTIONS, &flags, self.network.recipe.as_deref())
    }
}

/// The settings of a benchmark; what there is to warn of is told at once.
fn settings(
    surroundings: &Surroundings,
    sections: &[&'static Section],
    flags: &[(&'static str, String)],
    recipe: Option<&str>,
) -> anyhow::Result<Settings> {
    let resolved = surroundings.resolve(sections, Given { flags, recipe, saved: None })?;
    logging::start(&resolved.settings, &progress::bars(resolved.settings.log_format == LogFormat::Human), None);
    resolved.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(resolved.settings)
}
