//! What a run leaves among its artifacts: recipe, models, pictures, report, log.

use anmok_data::Splits;
use anmok_formats::{atomic_write, safetensors, torch};
use anmok_protocol::{ArtifactPath, Run};
use anmok_tracking::RunStore;
use anmok_train::pictures::{self, ImageView, Picture, Subject};
use anmok_train::run_log::RunLog;
use anmok_train::{EvaluationReport, ModelDescription, Outcome, Recipe};
use anyhow::Context;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The run's own log file.
pub const LOG: &str = "training.log";
/// The resolved recipe.
pub const RECIPE: &str = "recipe.toml";
/// The model as safetensors, among the artifacts.
pub const MODEL: &str = "model/model.safetensors";
/// The model as a PyTorch state dict.
pub const MODEL_TORCH: &str = "model/model.pth";
/// Numbers of the evaluation and of every epoch.
pub const REPORT: &str = "report.json";
/// The folder of pictures.
pub const PICTURES: &str = "pictures";

/// Files wait here until the record has them.
const STAGED: &str = "results";

/// Where a run's artifacts can be found, for people.
pub struct Places {
    pub model: String,
    pub model_torch: String,
    pub pictures: String,
    pub report: String,
}

impl Places {
    /// Local paths where the artifacts are local, URIs otherwise.
    pub fn of(store: &dyn RunStore, run: &Run) -> anyhow::Result<Self> {
        let artifacts = store.artifacts(&run.info.artifact_uri)?;
        let place = |path: &str| -> anyhow::Result<String> {
            let local = artifacts.local_path(&ArtifactPath::parse(path)?);
            Ok(local.map_or_else(|| format!("{}/{path}", run.info.artifact_uri), |path| shortened(&path)))
        };
        Ok(Self { model: place(MODEL)?, model_torch: place(MODEL_TORCH)?, pictures: place(PICTURES)?, report: place(REPORT)? })
    }

    /// Where they lie until the record has them.
    pub fn staged(folder: &Path) -> Self {
        let place = |path: &str| shortened(&folder.join(STAGED).join(path));
        Self { model: place(MODEL), model_torch: place(MODEL_TORCH), pictures: place(PICTURES), report: place(REPORT) }
    }
}

/// The path as seen from the current folder, where it lies below it.
fn shortened(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

/// Writes the resolved recipe and gives it to the record.
pub fn save_recipe(recipe: &Recipe, folder: &Path, log: &mut dyn RunLog) -> anyhow::Result<()> {
    let path = folder.join(RECIPE);
    atomic_write(&path, |file| file.write_all(recipe.to_toml().as_bytes()))?;
    log.artifact(RECIPE, &path);
    Ok(())
}

/// Writes models, report and pictures, and gives them to the record. Waits until they are safe.
pub fn save(outcome: &Outcome, recipe: &Recipe, data: &Splits, folder: &Path, log: &mut dyn RunLog) -> anyhow::Result<()> {
    let staged = folder.join(STAGED);
    for sub_folder in ["model", PICTURES] {
        let path = staged.join(sub_folder);
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make the folder {}", path.display()))?;
    }
    let subject = Subject { model: &recipe.model_name, dataset: data.train.name() };
    let mut drawn = vec![pictures::training_curves(&subject, &outcome.history)];
    if let Some(test) = &outcome.test {
        let description = ModelDescription::new(recipe, &data.train);
        safetensors::write(&staged.join(MODEL), &outcome.model, &description.metadata())?;
        torch::write(&staged.join(MODEL_TORCH), &outcome.model)?;
        let report = json!({ "test": test.model, "test_last": test.last, "history": outcome.history });
        atomic_write(&staged.join(REPORT), |file| file.write_all(format!("{report:#}\n").as_bytes()))?;
        for path in [MODEL, MODEL_TORCH, REPORT] {
            log.artifact(path, &staged.join(path));
        }
        drawn.extend(evaluation_pictures(&subject, &test.model, &data.test));
    }
    save_pictures(&drawn, &staged, log)?;
    log.flush()?;
    Ok(())
}

/// Everything that is drawn from an evaluation.
pub fn evaluation_pictures(subject: &Subject<'_>, report: &EvaluationReport, images: &anmok_data::Dataset) -> Vec<Picture> {
    let shape = images.shape();
    let view =
        |index: u64| ImageView { pixels: images.image(index as usize), height: shape.height, width: shape.width, channels: shape.channels };
    let mistakes: Vec<ImageView<'_>> = report.worst_mistakes.iter().map(|mistake| view(mistake.index)).collect();
    vec![
        pictures::confusion_matrix(subject, report),
        pictures::class_accuracy(subject, report),
        pictures::reliability_diagram(subject, report),
        pictures::worst_mistakes(subject, report, &mistakes),
    ]
}

/// Writes pictures below `staged` and gives them to the record.
pub fn save_pictures(drawn: &[Picture], staged: &Path, log: &mut dyn RunLog) -> anyhow::Result<()> {
    let folder = staged.join(PICTURES);
    for picture in drawn {
        let files: [PathBuf; 2] = picture.save(&folder)?;
        for file in files {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            log.artifact(&format!("{PICTURES}/{name}"), &file);
        }
    }
    Ok(())
}

/// Removes what the record now has. What cannot be removed only takes room.
pub fn remove_staged(folder: &Path) {
    if let Err(e) = std::fs::remove_dir_all(folder.join(STAGED)) {
        tracing::debug!("{} is left behind: {e}", folder.join(STAGED).display());
    }
}
