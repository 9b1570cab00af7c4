//! `anmok train`.

use super::{Given, Surroundings};
use crate::settings::flags::{Flags, Sections};
use crate::settings::{SECTIONS, Section, outside_recipe};
use crate::terminal::style::Style;
use crate::terminal::table::{Align, Table};
use crate::terminal::{print, print_json, units};
use crate::training::resume::Resumption;
use crate::training::{self, Finished};
use anyhow::Context;
use clap::Args;
use serde_json::json;

pub const EXAMPLES: &str = "\
Examples:
  anmok train                                        the seed's recipe: MobileNetV3-Small on CIFAR-10
  anmok train --recipe cifar10-strong                made to learn well
  anmok train --recipe mine.toml --learning-rate 0.01
  anmok train --dataset path/to/folder --image-size 64
  anmok train --limit-train 2000 --epochs 2          a quick trial
  anmok train --resume latest                        go on after an interruption
  anmok train --offline                              without the tracking store; `anmok sync` delivers the run later";

/// Train a network, tracked as a run.
#[derive(Debug, Args)]
pub struct Train {
    /// A built-in recipe (`anmok config recipes` lists them) or a TOML file to take settings from
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "resume")]
    recipe: Option<String>,
    /// Go on with a run: its id, the first digits of it, its name, or latest (the last unfinished one with a checkpoint)
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "latest")]
    resume: Option<String>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<OfTraining>,
}

#[derive(Debug)]
struct OfTraining;

impl Sections for OfTraining {
    const SECTIONS: &'static [&'static Section] = SECTIONS;
}

impl Train {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let given = Given { flags: &self.flags.given, recipe: self.recipe.as_deref(), saved: None };
        let (resolved, resumption) = match &self.resume {
            None => (surroundings.resolve(SECTIONS, given)?, None),
            Some(run) => {
                // The store is needed to find the run, and the run to know the recipe: what lies outside it comes first.
                let settings = surroundings.resolve(&outside_recipe(SECTIONS), given)?.settings;
                let resumption = Resumption::find(run, &settings)?;
                let with = format!("run {}", resumption.run.info.run_id);
                let saved = Some((with.as_str(), resumption.recipe()));
                let resolved = surroundings.resolve(SECTIONS, Given { saved, ..given })?;
                resumption.check_unfinished(&resolved.settings.recipe)?;
                (resolved, Some(resumption))
            }
        };
        let finished = training::train(&resolved, resumption, "train")?;
        if self.json {
            print_json(&as_json(&finished));
        } else {
            print(&summary(&finished, Style::new(resolved.settings.color, &std::io::stdout())));
        }
        check_checkpoint(finished)
    }
}

/// What came out, and where it is.
pub fn summary(finished: &Finished, style: Style) -> String {
    let Finished { run, outcome, artifacts, .. } = finished;
    let mut table = Table::new(&[Align::Left, Align::Left]);
    if let Some(test) = &outcome.test {
        let report = &test.model;
        table.row([
            "test".to_owned(),
            format!(
                "accuracy {}, loss {:.4}, F1 {:.4}, calibration error {:.4}  ({} images)",
                style.bold(&units::percent(report.accuracy)),
                report.loss,
                report.macro_f1,
                report.calibration.expected_calibration_error,
                units::grouped(report.images)
            ),
        ]);
    }
    if let Some(best) = &outcome.best {
        table.row(["validation".to_owned(), format!("accuracy {} at best, in epoch {}", units::percent(best.val_accuracy), best.epoch)]);
    }
    let time = units::duration(std::time::Duration::from_secs_f64(outcome.seconds.max(0.0)));
    table.row(["took".to_owned(), format!("{time}, {} images/s", units::grouped(outcome.images_per_second as u64))]);
    table.row(["run", &format!("{} ({})", style.bold(&run.info.run_name), run.info.run_id)]);
    table.row(["model", &artifacts.model]);
    table.row(["", &format!("{} (for PyTorch)", artifacts.model_torch)]);
    table.row(["pictures", &artifacts.pictures]);
    table.row(["report", &artifacts.report]);
    format!("\n{}", table.render(""))
}

/// A finished run whose last checkpoint is not safe: its results are there, and a script should know.
pub fn check_checkpoint(finished: Finished) -> anyhow::Result<()> {
    match finished.outcome.checkpoint_error {
        None => Ok(()),
        Some(e) => Err(e).context("the run is finished and its results are saved, but not its last checkpoint"),
    }
}

fn as_json(finished: &Finished) -> serde_json::Value {
    let Finished { run, outcome, artifacts, cost, pending } = finished;
    json!({
        "run_id": run.info.run_id,
        "run_name": run.info.run_name,
        "ending": format!("{:?}", outcome.ending),
        "epochs": outcome.history.epochs.len(),
        "best_val_accuracy": outcome.best.as_ref().map(|best| best.val_accuracy),
        "test_accuracy": outcome.test.as_ref().map(|test| test.model.accuracy),
        "test_accuracy_last": outcome.test.as_ref().map(|test| test.last.accuracy),
        "test_loss": outcome.test.as_ref().map(|test| test.model.loss),
        "images_per_second": outcome.images_per_second,
        "seconds": outcome.seconds,
        "cpu_seconds": cost.cpu_seconds,
        "tracking_cpu_seconds": cost.tracking_cpu_seconds,
        "sync_pending": pending,
        "model": artifacts.model,
        "pictures": artifacts.pictures,
        "report": artifacts.report,
    })
}
