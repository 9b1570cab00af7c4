//! `anmok evaluate`: how good a model is, with pictures.

use super::Surroundings;
use crate::failure::Interrupted;
use crate::recorder::Recorder;
use crate::settings::Settings;
use crate::settings::flags::Flags;
use crate::settings::output::LogFormat;
use crate::signals::Stop;
use crate::terminal::progress::{self, TrainingProgress};
use crate::terminal::style::Style;
use crate::terminal::table::{Align, Table};
use crate::terminal::{print, print_json, units};
use crate::trained_model::{OfTrainedModel, TrainedModel, Which};
use crate::training::results;
use crate::{logging, tracking};
use anmok_data::Splits;
use anmok_engine::Weights;
use anmok_formats::atomic_write;
use anmok_protocol::Run;
use anmok_tracking::RunWriter;
use anmok_train::EvaluationReport;
use anmok_train::pictures::Subject;
use anmok_train::run_log::RunLog;
use anmok_train::training::evaluate::{Questions, evaluate};
use anyhow::{Context, bail};
use clap::Args;
use std::path::{Path, PathBuf};

pub const EXAMPLES: &str = "\
Examples:
  anmok evaluate                                     the model of the last finished run, on its own test images
  anmok evaluate --run-id 3f2a --json
  anmok evaluate --weights model.safetensors --out report/
  anmok evaluate --weights torchvision.pth --model-name resnet18 --stem cifar --dataset CIFAR10";

/// Test a model: accuracy, F1, calibration, confusion matrix, pictures.
#[derive(Debug, Args)]
pub struct Evaluate {
    #[command(flatten)]
    which: Which,
    /// Write report.json and the pictures into this folder
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<OfTrainedModel>,
}

/// Images that go through the network at once. Results do not depend on it.
const BATCH: usize = 64;

impl Evaluate {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let (model, resolved) = self.which.load(surroundings, &self.flags)?;
        let settings = &resolved.settings;
        let bars = progress::bars(settings.log_format == LogFormat::Human);
        logging::start(settings, &bars, None);
        resolved.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let stop = Stop::on_signals("stopping")?;

        let recipe = &settings.recipe;
        let data = anmok_data::open(&recipe.dataset, &recipe.open_options(&settings.data_dir))?;
        data.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        check_classes(&model, &data)?;
        let mut engine = model.engine(recipe.graph(&data.test)?, settings)?;
        let questions = Questions::all("test", data.test.clone(), BATCH)?;
        let mut progress = TrainingProgress::new(&bars, Style::new(settings.color, &std::io::stderr()));
        let report = evaluate(engine.as_mut(), Weights::Live, &questions, &mut progress, &stop.asked)?;
        drop(progress);
        let Some(report) = report else {
            let signal = stop.signal().unwrap_or(signal_hook::consts::SIGTERM);
            return Err(Interrupted { signal, message: "the evaluation was stopped; nothing was written".to_owned() }.into());
        };

        if let Some(folder) = &self.out {
            write(&report, &model, &data, folder)?;
        }
        if let Some(run) = &model.run {
            record(&report, &model, run, &data, settings)?;
        }
        if self.json {
            print_json(&serde_json::to_value(&report)?);
        } else {
            print(&text(&report, &model, data.test.name(), Style::new(settings.color, &std::io::stdout())));
            self.out.iter().for_each(|folder| tracing::info!("report and pictures are in {}", folder.display()));
        }
        Ok(())
    }
}

/// A model can only be asked for classes that it knows.
fn check_classes(model: &TrainedModel, data: &Splits) -> anyhow::Result<()> {
    let Some(description) = &model.description else { return Ok(()) };
    if description.class_names != data.test.classes() {
        bail!(
            "the model of {} knows the classes {}; {} has {}: choose its data set with --dataset",
            model.origin,
            some(&description.class_names),
            data.test.name(),
            some(data.test.classes())
        );
    }
    if description.mean != data.test.normalisation().mean || description.std != data.test.normalisation().std {
        tracing::warn!("{} is normalised differently from {}, on which the model was trained", data.test.name(), description.dataset);
    }
    Ok(())
}

fn some(classes: &[String]) -> String {
    let first = classes.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
    if classes.len() > 5 { format!("{first}, ... ({} in all)", classes.len()) } else { first }
}

/// Gives the files that were written.
fn write(report: &EvaluationReport, model: &TrainedModel, data: &Splits, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let mut files = vec![folder.join(results::REPORT)];
    atomic_write(&files[0], |file| file.write_all(format!("{:#}\n", serde_json::json!(report)).as_bytes()))?;
    let subject = Subject { model: &model.recipe.model_name, dataset: data.test.name() };
    for picture in results::evaluation_pictures(&subject, report, &data.test) {
        files.extend(picture.save(folder)?);
    }
    Ok(files)
}

/// Into the run that the model is from, as `eval_DATASET_accuracy` and so on: under keys of their own, because training's
/// `test_accuracy` belongs to the loop, which after `--resume` would find its own steps taken. The step is the epoch that
/// training has reached, or one more than that of the evaluation before, so that each evaluation adds a point.
fn record(report: &EvaluationReport, model: &TrainedModel, run: &Run, data: &Splits, settings: &Settings) -> anyhow::Result<()> {
    let name = data.test.name().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let run_id = &run.info.run_id;
    let store = tracking::open(settings)?;
    let mut recorder = Recorder::new(RunWriter::open(store.clone(), run_id, &tracking::log_options(settings))?);
    // Read after the writer has, which drops what is not above the steps that it found.
    let latest = store.latest_metrics(run_id)?;
    let after = |key: &str, more: u64| {
        let last = latest.iter().find(|metric| metric.key == key);
        last.map_or(0, |metric| u64::try_from(metric.step).unwrap_or(0).saturating_add(more))
    };
    let metrics = [
        ("loss", report.loss),
        ("accuracy", report.accuracy),
        ("top5_accuracy", report.top5_accuracy),
        ("f1", report.macro_f1),
        ("precision", report.macro_precision),
        ("recall", report.macro_recall),
        ("calibration_error", report.calibration.expected_calibration_error),
    ];
    for (metric, value) in metrics {
        let key = format!("eval_{name}_{metric}");
        recorder.metrics(after("train_loss", 0).max(after(&key, 1)), &[(&key, value)]);
    }
    // One folder per process: two evaluations of a run do not write and remove each other's files.
    let staged = settings.checkpoint_dir.join(run_id).join(format!("evaluation-{}", std::process::id()));
    let folder = if own_dataset(model, data) { "evaluation".to_owned() } else { format!("evaluation_{name}") };
    for path in write(report, model, data, &staged)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        recorder.artifact(&format!("{folder}/{name}"), &path);
    }
    let closed = recorder.close()?;
    std::fs::remove_dir_all(&staged).with_context(|| format!("cannot remove {}", staged.display()))?;
    if let Some(refusal) = closed.refused.first() {
        bail!("the evaluation could not be recorded wholly in run {run_id}: {} was refused: {}", refusal.what, refusal.why);
    }
    if let Some(pending) = closed.pending {
        let why = pending.obstacle.map_or(String::new(), |error| format!(" ({error})"));
        tracing::warn!("the evaluation waits in the journal{why}: `anmok sync {run_id}` delivers it");
        return Ok(());
    }
    tracing::info!("recorded in run {run_id} as eval_{name}_..., pictures under {folder}/ among its artifacts");
    Ok(())
}

/// Whether these images are of the data set that the model was trained on, by the data set's name: the recipe may have a path.
fn own_dataset(model: &TrainedModel, data: &Splits) -> bool {
    model.description.as_ref().is_some_and(|description| description.dataset == data.test.name())
}

fn text(report: &EvaluationReport, model: &TrainedModel, dataset: &str, style: Style) -> String {
    let mut head = Table::new(&[Align::Left, Align::Right]);
    head.row(["accuracy", &style.bold(&units::percent(report.accuracy))]);
    head.row(["top-5 accuracy", &units::percent(report.top5_accuracy)]);
    head.row(["loss", &format!("{:.4}", report.loss)]);
    head.row(["macro F1", &format!("{:.4}", report.macro_f1)]);
    head.row(["macro precision", &format!("{:.4}", report.macro_precision)]);
    head.row(["macro recall", &format!("{:.4}", report.macro_recall)]);
    head.row(["calibration error", &format!("{:.4}", report.calibration.expected_calibration_error)]);
    let mut classes = Table::new(&[Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Left]);
    classes.row(["class", "precision", "recall", "F1", "images", "most often taken for"].map(|title| style.bold(title)));
    for (index, class) in report.classes.iter().enumerate() {
        let others = report.confusion[index].iter().enumerate().filter(|(other, count)| *other != index && **count > 0);
        let taken_for = others
            .max_by_key(|(_, count)| **count)
            .map_or(String::new(), |(other, count)| format!("{} ({count})", report.classes[other].name));
        let share = |value: f64| format!("{value:.3}");
        classes.row([
            class.name.clone(),
            share(class.precision),
            share(class.recall),
            share(class.f1),
            class.support.to_string(),
            taken_for,
        ]);
    }
    format!(
        "{} of {} on {} test images of {dataset}\n\n{}\n{}",
        style.bold(&model.recipe.model_name),
        model.origin,
        units::grouped(report.images),
        head.render("  "),
        classes.render("  ")
    )
}
