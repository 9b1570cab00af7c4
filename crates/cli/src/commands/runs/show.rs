//! `anmok runs show RUN`.

use super::list::colored_status;
use super::{OfRuns, age, as_json, history, length};
use crate::commands::{Given, Surroundings};
use crate::settings::flags::{Flags, Sections};
use crate::terminal::sparkline::sparkline;
use crate::terminal::style::Style;
use crate::terminal::table::{Align, Table};
use crate::terminal::{print, print_json, units};
use crate::tracking;
use anmok_protocol::{ArtifactPath, DATASET_CONTEXT_TAG, FileInfo, Run};
use anmok_tracking::{ArtifactStore, RunStore};
use clap::Args;
use serde_json::json;

/// Print all of a run: parameters, metrics with their curves, tags, data, artifacts.
#[derive(Debug, Args)]
pub struct Show {
    /// The run: its id, the first digits of it, its name, or latest
    #[arg(default_value = "latest")]
    run: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// With --json: every value of every metric, not only the last
    #[arg(long, requires = "json")]
    history: bool,
    #[command(flatten)]
    flags: Flags<OfRuns>,
}

/// A picture of a run's artifacts ends here: more files than this are counted, not listed.
const MOST_FILES: usize = 200;

impl Show {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let settings = surroundings.resolve(OfRuns::SECTIONS, Given { flags: &self.flags.given, ..Given::default() })?.settings;
        let store = tracking::open(&settings)?;
        let run = tracking::find_run(store.as_ref(), &self.run, "")?;
        let artifacts = store.artifacts(&run.info.artifact_uri)?;
        let mut files = vec![];
        list_files(&artifacts, None, &mut files)?;
        if self.json {
            let mut all = as_json(&run)?;
            all["artifacts"] = files.iter().map(|file| json!({ "path": file.path, "file_size": file.file_size })).collect();
            if self.history {
                let series =
                    run.data.metrics.iter().map(|metric| {
                        Ok((metric.key.clone(), serde_json::to_value(history(store.as_ref(), &run.info.run_id, &metric.key)?)?))
                    });
                all["history"] = series.collect::<anyhow::Result<serde_json::Map<_, _>>>()?.into();
            }
            print_json(&all);
        } else {
            print(&text(store.as_ref(), &run, &files, Style::new(settings.color, &std::io::stdout()))?);
        }
        Ok(())
    }
}

/// Every file below `folder`.
fn list_files(artifacts: &ArtifactStore, folder: Option<&ArtifactPath>, files: &mut Vec<FileInfo>) -> anyhow::Result<()> {
    for entry in artifacts.list(folder)? {
        if entry.is_dir {
            list_files(artifacts, Some(&ArtifactPath::parse(&entry.path)?), files)?;
        } else {
            files.push(entry);
        }
    }
    Ok(())
}

fn text(store: &dyn RunStore, run: &Run, files: &[FileInfo], style: Style) -> anyhow::Result<String> {
    let info = &run.info;
    let experiment = store.experiment(&info.experiment_id)?.map_or_else(|| info.experiment_id.clone(), |experiment| experiment.name);
    let mut head = Table::new(&[Align::Left, Align::Left]);
    head.row(["run", &style.bold(&info.run_id)]);
    head.row(["name", &info.run_name]);
    head.row(["experiment", &experiment]);
    head.row(["status", &colored_status(info.status, style)]);
    head.row(["started", &format!("{} by {}, took {}", age(run), info.user_id, units::duration(length(run)))]);
    head.row(["artifacts", &info.artifact_uri]);
    let mut text = head.render("");

    let mut metrics = Table::new(&[Align::Left, Align::Right, Align::Right, Align::Left]);
    for metric in &run.data.metrics {
        let points = history(store, &info.run_id, &metric.key)?;
        let values: Vec<f64> = points.iter().map(|point| point.value).collect();
        let curve = if values.len() > 1 { style.cyan(&sparkline(&values, 40)) } else { String::new() };
        metrics.row([metric.key.clone(), units::number(metric.value), style.dim(&format!("step {}", metric.step)), curve]);
    }
    let mut params = Table::new(&[Align::Left, Align::Left]);
    run.data.params.iter().for_each(|param| params.row([&param.key, &param.value]));
    let mut tags = Table::new(&[Align::Left, Align::Left]);
    run.data.tags.iter().for_each(|tag| tags.row([&tag.key, &tag.value]));
    let mut inputs = Table::new(&[Align::Left, Align::Left, Align::Left]);
    for input in &run.inputs.dataset_inputs {
        let context = input.tags.iter().find(|tag| tag.key == DATASET_CONTEXT_TAG).map_or("", |tag| tag.value.as_str());
        inputs.row([context, input.dataset.name.as_str(), input.dataset.digest.as_str()]);
    }
    let mut artifacts = Table::new(&[Align::Left, Align::Right]);
    files.iter().take(MOST_FILES).for_each(|file| artifacts.row([file.path.clone(), file.file_size.map_or(String::new(), units::bytes)]));
    for (title, table) in [("Metrics", metrics), ("Parameters", params), ("Data", inputs), ("Tags", tags), ("Artifacts", artifacts)] {
        let lines = table.render("  ");
        if !lines.is_empty() {
            text += &format!("\n{}\n{lines}", style.bold(title));
        }
    }
    if files.len() > MOST_FILES {
        text += &format!("  and {} more\n", files.len() - MOST_FILES);
    }
    Ok(text)
}
