//! `anmok runs list|show|compare|export|import`: what has been recorded.

mod carry;
mod compare;
mod list;
mod show;

use super::Surroundings;
use crate::settings::flags::Sections;
use crate::settings::{Section, connection, output, storage, tracking as tracking_section};
use anmok_protocol::{Metric, Run, RunStatus};
use anmok_tracking::{PageRequest, RunStore, now_ms};
use clap::{Args, Subcommand};
use std::time::Duration;

/// What has been recorded: list, show, compare, export, import.
#[derive(Debug, Args)]
pub struct Runs {
    #[command(subcommand)]
    command: RunsCommand,
}

#[derive(Debug, Subcommand)]
enum RunsCommand {
    /// Print the runs, the last one first
    #[command(after_help = list::EXAMPLES)]
    List(list::List),
    /// Print all of a run: parameters, metrics with their curves, tags, data, artifacts
    #[command(after_help = "Examples:\n  anmok runs show latest\n  anmok runs show 3f2a --json")]
    Show(show::Show),
    /// Print what two or more runs have in common and where they differ
    #[command(after_help = "Examples:\n  anmok runs compare 3f2a 91bc\n  anmok runs compare 3f2a 91bc --all")]
    Compare(compare::Compare),
    /// Write runs into folders, with metrics and artifacts
    #[command(
        after_help = "Examples:\n  anmok runs export 3f2a 91bc --out carried\n  anmok runs import carried/* --tracking-uri http://127.0.0.1:5000"
    )]
    Export(carry::Export),
    /// Make runs of folders that `anmok runs export` has written, in this or another store
    Import(carry::Import),
}

#[derive(Debug)]
struct OfRuns;

impl Sections for OfRuns {
    const SECTIONS: &'static [&'static Section] =
        &[&tracking_section::SECTION, &connection::SECTION, &storage::OF_RECORDS, &output::SECTION];
}

impl Runs {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        match self.command {
            RunsCommand::List(list) => list.run(surroundings),
            RunsCommand::Show(show) => show.run(surroundings),
            RunsCommand::Compare(compare) => compare.run(surroundings),
            RunsCommand::Export(export) => export.run(surroundings),
            RunsCommand::Import(import) => import.run(surroundings),
        }
    }
}

/// As many digits of a run id as people copy.
fn short(run_id: &str) -> &str {
    run_id.get(..8).unwrap_or(run_id)
}

/// How long a run took, or has taken so far.
fn length(run: &Run) -> Duration {
    let end = match (run.info.status, run.info.end_time) {
        // A resumed run keeps the end of its last sitting until it ends again.
        (RunStatus::Running, _) => now_ms(),
        (_, Some(end)) => end,
        _ => run.info.start_time,
    };
    Duration::from_millis(u64::try_from(end - run.info.start_time).unwrap_or(0))
}

/// How long ago a run was started.
fn age(run: &Run) -> String {
    let milliseconds = u64::try_from(now_ms() - run.info.start_time).unwrap_or(0);
    match milliseconds / 60_000 {
        0 => "just now".to_owned(),
        minutes @ 1..60 => format!("{minutes} min ago"),
        minutes @ 60..2880 => format!("{} h ago", minutes / 60),
        minutes => format!("{} days ago", minutes / 1440),
    }
}

/// The values of a metric, in the order of their steps.
fn history(store: &dyn RunStore, run_id: &str, key: &str) -> anyhow::Result<Vec<Metric>> {
    let mut points = store.metric_history(run_id, key, &PageRequest::default())?.items;
    points.sort_by_key(|point| (point.step, point.timestamp));
    Ok(points)
}

/// A run as JSON, shaped as MLflow's REST API shapes it.
fn as_json(run: &Run) -> anyhow::Result<serde_json::Value> {
    Ok(serde_json::to_value(run)?)
}
