//! `anmok quickstart`: a trained, evaluated, tracked model without a network.

use super::{Given, Surroundings, train};
use crate::settings::flags::{Flags, Sections};
use crate::settings::recipe_file::BUILT_IN;
use crate::settings::{Section, connection, machine, monitoring, output, storage, tracking};
use crate::terminal::print;
use crate::terminal::style::Style;
use crate::training;
use anmok_train::Recipe;
use anyhow::Context;
use clap::Args;

const RECIPE: &str = "quickstart";

/// Train, evaluate and track a model on the built-in images, in about a minute and without a network.
#[derive(Debug, Args)]
pub struct Quickstart {
    #[command(flatten)]
    flags: Flags<OfQuickstart>,
}

/// The recipe's settings are not among them: variables meant for other runs must not break the first command there is.
#[derive(Debug)]
struct OfQuickstart;

impl Sections for OfQuickstart {
    const SECTIONS: &'static [&'static Section] =
        &[&machine::SECTION, &storage::SECTION, &tracking::SECTION, &connection::SECTION, &monitoring::SECTION, &output::SECTION];
}

impl Quickstart {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let mut resolved = surroundings.resolve(OfQuickstart::SECTIONS, Given { flags: &self.flags.given, ..Given::default() })?;
        let (_, text) = BUILT_IN.iter().find(|(name, _)| *name == RECIPE).context("the recipe of quickstart is not compiled in")?;
        resolved.settings.recipe = Recipe::from_toml(text, RECIPE)?;
        let finished = training::train(&resolved, None, "quickstart")?;
        let style = Style::new(resolved.settings.color, &std::io::stdout());
        let run = finished.run.info.run_id.get(..8).unwrap_or_default().to_owned();
        print(&train::summary(&finished, style));
        print(&format!(
            "
{}
  anmok runs show {run}                     everything that was recorded
  anmok predict --run-id {run} IMAGE.png    what the model sees in a picture
  anmok data fetch CIFAR10                       162 MB; then the seed's recipe and one made to learn well:
  anmok train --recipe seed
  anmok train --recipe cifar10-strong
",
            style.bold("What to try next")
        ));
        train::check_checkpoint(finished)
    }
}
