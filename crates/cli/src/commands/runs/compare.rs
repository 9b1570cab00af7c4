//! `anmok runs compare RUN RUN...`.

use super::{OfRuns, history, length, short};
use crate::commands::{Given, Surroundings};
use crate::settings::flags::{Flags, Sections};
use crate::terminal::sparkline::sparkline;
use crate::terminal::style::Style;
use crate::terminal::table::{Align, Table};
use crate::terminal::{print, print_json, units};
use crate::tracking;
use anmok_protocol::Run;
use anmok_tracking::RunStore;
use clap::Args;
use serde_json::json;
use std::collections::BTreeSet;

/// Print what two or more runs have in common and where they differ.
#[derive(Debug, Args)]
pub struct Compare {
    /// The runs: ids, first digits of ids, names, or latest
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    runs: Vec<String>,
    /// Also print parameters that are the same in all
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<OfRuns>,
}

/// Columns of a curve.
const CURVE: usize = 12;

impl Compare {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let settings = surroundings.resolve(OfRuns::SECTIONS, Given { flags: &self.flags.given, ..Given::default() })?.settings;
        let store = tracking::open(&settings)?;
        let runs: anyhow::Result<Vec<Run>> = self.runs.iter().map(|text| tracking::find_run(store.as_ref(), text, "")).collect();
        let runs = runs?;
        if self.json {
            print_json(&as_json(&runs, self.all));
        } else {
            print(&self.text(store.as_ref(), &runs, Style::new(settings.color, &std::io::stdout()))?);
        }
        Ok(())
    }

    fn text(&self, store: &dyn RunStore, runs: &[Run], style: Style) -> anyhow::Result<String> {
        let columns: Vec<Align> = std::iter::once(Align::Left).chain(runs.iter().map(|_| Align::Right)).collect();
        let row = |table: &mut Table, name: &str, cells: Vec<String>| table.row(std::iter::once(name.to_owned()).chain(cells));
        let mut table = Table::new(&columns);
        row(&mut table, "run", runs.iter().map(|run| style.bold(short(&run.info.run_id))).collect());
        row(&mut table, "name", runs.iter().map(|run| run.info.run_name.clone()).collect());
        row(&mut table, "status", runs.iter().map(|run| super::list::colored_status(run.info.status, style)).collect());
        row(&mut table, "took", runs.iter().map(|run| units::duration(length(run))).collect());

        row(&mut table, &style.bold("Metrics"), vec![]);
        for key in metric_keys(runs) {
            let values: Vec<Option<f64>> = runs.iter().map(|run| run.data.metric(&key)).collect();
            let best = best_of(&key, &values);
            let cells = values.iter().map(|value| match value {
                Some(value) if Some(*value) == best => style.green(&units::number(*value)),
                Some(value) => units::number(*value),
                None => style.dim("-"),
            });
            row(&mut table, &format!("  {key}"), cells.collect());
            let mut curves = vec![];
            for run in runs {
                let values: Vec<f64> = history(store, &run.info.run_id, &key)?.iter().map(|point| point.value).collect();
                curves.push(if values.len() > 1 { style.cyan(&sparkline(&values, CURVE)) } else { String::new() });
            }
            if curves.iter().any(|curve| !curve.is_empty()) {
                row(&mut table, "", curves);
            }
        }

        let (differing, same) = params(runs);
        row(&mut table, &style.bold("Parameters that differ"), vec![]);
        let values = |key: &str| runs.iter().map(|run| run.data.param(key).map_or(style.dim("-"), str::to_owned)).collect();
        for key in &differing {
            row(&mut table, &format!("  {key}"), values(key));
        }
        if self.all {
            row(&mut table, &style.bold("Parameters that are the same"), vec![]);
            for key in &same {
                row(&mut table, &format!("  {key}"), values(key));
            }
        }
        let hidden = if self.all || same.is_empty() {
            String::new()
        } else {
            format!("\n{} parameters are the same in all (--all prints them)\n", same.len())
        };
        Ok(table.render("") + &hidden)
    }
}

/// Every metric that one of the runs has; those of single batches stay out, as they have no meaning beside each other.
fn metric_keys(runs: &[Run]) -> BTreeSet<String> {
    let keys = runs.iter().flat_map(|run| &run.data.metrics).map(|metric| metric.key.clone());
    keys.filter(|key| !key.starts_with("batch_")).collect()
}

/// The best of the values, for metrics of which one can say what is better.
fn best_of(key: &str, values: &[Option<f64>]) -> Option<f64> {
    let numbers = values.iter().flatten().copied().filter(|value| value.is_finite());
    if key.contains("loss") || key.contains("error") {
        numbers.min_by(f64::total_cmp)
    } else if ["accuracy", "f1", "precision", "recall", "images_per_second"].iter().any(|word| key.contains(word)) {
        numbers.max_by(f64::total_cmp)
    } else {
        None
    }
}

/// The parameters whose values differ, and those whose values do not.
fn params(runs: &[Run]) -> (Vec<String>, Vec<String>) {
    let keys: BTreeSet<&str> = runs.iter().flat_map(|run| &run.data.params).map(|param| param.key.as_str()).collect();
    let differs = |key: &&str| runs.windows(2).any(|pair| pair[0].data.param(key) != pair[1].data.param(key));
    let (differing, same): (Vec<&str>, Vec<&str>) = keys.into_iter().partition(differs);
    (differing.into_iter().map(str::to_owned).collect(), same.into_iter().map(str::to_owned).collect())
}

fn as_json(runs: &[Run], all: bool) -> serde_json::Value {
    let (differing, same) = params(runs);
    let shown: Vec<&String> = differing.iter().chain(same.iter().filter(|_| all)).collect();
    let each = runs.iter().map(|run| {
        let metrics: serde_json::Map<_, _> = metric_keys(runs).into_iter().map(|key| (key.clone(), json!(run.data.metric(&key)))).collect();
        let params: serde_json::Map<_, _> = shown.iter().map(|key| ((*key).clone(), json!(run.data.param(key)))).collect();
        json!({ "run_id": run.info.run_id, "run_name": run.info.run_name, "status": run.info.status.to_string(), "metrics": metrics, "params": params })
    });
    json!({ "runs": each.collect::<Vec<_>>(), "differing_params": differing })
}
