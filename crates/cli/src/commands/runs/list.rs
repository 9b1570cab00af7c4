//! `anmok runs list`.

use super::{OfRuns, age, as_json, history, length, short};
use crate::commands::{Given, Surroundings};
use crate::failure::Usage;
use crate::settings::flags::{Flags, Sections};
use crate::terminal::sparkline::sparkline;
use crate::terminal::style::Style;
use crate::terminal::table::{Align, Table};
use crate::terminal::{print, print_json, units};
use crate::{liveness, tracking};
use anmok_protocol::{Run, RunFilter, RunOrder, RunStatus, ViewType};
use anmok_tracking::delivery::sync::Left;
use anmok_tracking::journal::Folder;
use anmok_tracking::{RunQuery, RunStore, all_experiments};
use clap::Args;
use std::path::Path;

pub const EXAMPLES: &str = "\
Examples:
  anmok runs list --filter \"metrics.val_accuracy > 0.6 and params.model_name = 'resnet18'\"
  anmok runs list --order-by 'metrics.test_accuracy DESC' --limit 5
  anmok runs list --experiment Default --json | jq -r '.[].info.run_id'

Filter and order are MLflow's: attributes.status, metrics.KEY, params.KEY, tags.KEY, dataset.name with =, !=, <, >, LIKE, ILIKE, IN.";

/// Print the runs, the last one first.
#[derive(Debug, Args)]
pub struct List {
    /// Only runs for which this holds, in MLflow's search grammar
    #[arg(long, value_name = "EXPRESSION", default_value = "", hide_default_value = true)]
    filter: String,
    /// Sort by this, in MLflow's grammar; several times for several keys
    #[arg(long, alias = "sort", value_name = "KEY [ASC|DESC]")]
    order_by: Vec<String>,
    /// Only runs of this experiment; several times for several
    #[arg(long, value_name = "NAME")]
    experiment: Vec<String>,
    /// Print at most this many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=50_000))]
    limit: u16,
    /// Also print deleted runs
    #[arg(long)]
    deleted: bool,
    /// Draw the curve of this metric
    #[arg(long, value_name = "METRIC", default_value = "val_accuracy")]
    curve: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<OfRuns>,
}

impl List {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let settings = surroundings.resolve(OfRuns::SECTIONS, Given { flags: &self.flags.given, ..Given::default() })?.settings;
        let store = tracking::open(&settings)?;
        liveness::mark_dead(store.as_ref());
        let query = self.query(store.as_ref())?;
        let runs = store.search_runs(&query)?.items;
        if self.json {
            let all: anyhow::Result<Vec<_>> = runs.iter().map(as_json).collect();
            print_json(&all?.into());
        } else if runs.is_empty() {
            let why = if self.filter.is_empty() { "`anmok quickstart` makes the first one" } else { "the filter leaves none" };
            eprintln!("No runs in {}: {why}.", crate::settings::without_password(&settings.tracking_uri));
        } else {
            print(&self.table(store.as_ref(), &runs, Style::new(settings.color, &std::io::stdout()))?);
        }
        say_what_waits(&settings.journal_dir);
        Ok(())
    }

    fn query(&self, store: &dyn RunStore) -> anyhow::Result<RunQuery> {
        let usage = |e: anmok_protocol::SearchError| Usage(e.to_string());
        let all = all_experiments(store)?;
        let mut experiment_ids = vec![];
        for name in &self.experiment {
            let found = all.iter().find(|experiment| experiment.name == *name);
            let names = || all.iter().map(|experiment| experiment.name.as_str()).collect::<Vec<_>>().join(", ");
            experiment_ids.push(
                found.ok_or_else(|| Usage(format!("no experiment is called {name:?}: there are {}", names())))?.experiment_id.clone(),
            );
        }
        if self.experiment.is_empty() {
            experiment_ids = all.into_iter().map(|experiment| experiment.experiment_id).collect();
        }
        let mut order_by = vec![];
        for clause in &self.order_by {
            order_by.push(RunOrder::parse(clause).map_err(usage)?);
        }
        Ok(RunQuery {
            experiment_ids,
            filter: RunFilter::parse(&self.filter).map_err(usage)?,
            order_by,
            view: if self.deleted { ViewType::All } else { ViewType::ActiveOnly },
            max_results: usize::from(self.limit),
            ..RunQuery::default()
        })
    }

    fn table(&self, store: &dyn RunStore, runs: &[Run], style: Style) -> anyhow::Result<String> {
        use Align::{Left, Right};
        let mut table = Table::new(&[Left, Left, Left, Left, Left, Left, Right, Right, Right, Left]);
        let heads = ["run", "name", "status", "started", "model", "data", "took", "val acc", "test acc", self.curve.as_str()];
        table.row(heads.map(|head| style.bold(head)));
        for run in runs {
            let metric = |key: &str| run.data.metric(key).map_or(style.dim("-"), units::percent);
            let param = |key: &str| run.data.param(key).unwrap_or("-").to_owned();
            let values: Vec<f64> = history(store, &run.info.run_id, &self.curve)?.iter().map(|point| point.value).collect();
            table.row([
                style.cyan(short(&run.info.run_id)),
                run.info.run_name.clone(),
                colored_status(run.info.status, style),
                age(run),
                param("model_name"),
                param("dataset"),
                units::duration(length(run)),
                metric("best_val_accuracy"),
                metric("test_accuracy"),
                sparkline(&values, 20),
            ]);
        }
        Ok(table.render(""))
    }
}

/// What this machine still owes to tracking stores, on standard error: it is no part of the list, which comes from one store.
/// What a live run has not delivered at this moment is its own affair.
fn say_what_waits(journals: &Path) {
    let folders = match Folder::list(journals) {
        Ok(folders) => folders,
        Err(error) => return eprintln!("{error}"),
    };
    for folder in folders {
        match Left::read(folder.clone()) {
            Ok(left) if left.busy => {}
            Ok(left) => {
                let (bytes, artifacts) = left.pending();
                let name = left.contents.birth.map_or(String::new(), |birth| format!(" ({})", birth.run_name));
                let to = left.header.tracking_uri.map_or("any store".to_owned(), |uri| uri);
                let artifacts = if artifacts == 0 { String::new() } else { format!(" and {artifacts} artifacts") };
                eprintln!(
                    "pending: run {}{name} has {}{artifacts} in its journal, not delivered to {to}: anmok sync {}",
                    left.header.run_id,
                    units::bytes(bytes),
                    left.header.run_id
                );
            }
            Err(error) => eprintln!("{error}"),
        }
    }
}

/// The status in its colour.
pub fn colored_status(status: RunStatus, style: Style) -> String {
    let word = status.to_string();
    match status {
        RunStatus::Finished => style.green(&word),
        RunStatus::Failed => style.red(&word),
        RunStatus::Killed => style.yellow(&word),
        RunStatus::Running | RunStatus::Scheduled => style.cyan(&word),
    }
}
