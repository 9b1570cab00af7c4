//! A model that was trained before: from a run's artifacts, or from a weights file.

use crate::commands::{Given, Surroundings};
use crate::failure::Usage;
use crate::settings::flags::{Flags, Sections};
use crate::settings::{
    Resolved, Section, Settings, connection, dataset, machine, model, output, outside_recipe, storage, tracking as tracking_section,
};
use crate::tracking;
use crate::training::results::{MODEL, RECIPE};
use anmok_engine::Engine;
use anmok_engine::native::{NativeEngine, NativeOptions};
use anmok_formats::{Format, safetensors, torch};
use anmok_graph::{Graph, NamedTensor};
use anmok_protocol::{ArtifactPath, Run};
use anmok_tracking::ArtifactStore;
use anmok_train::{ModelDescription, Recipe, checkpoint};
use anyhow::{Context, bail};
use clap::Args;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Which model is meant.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Which {
    /// The model of this run: its id, the first digits of it, its name, or latest (the last one that is finished)
    #[arg(long, value_name = "RUN")]
    run_id: Option<String>,
    /// The model in this .safetensors or .pth file
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
}

/// Weights, and what is known about them.
pub struct TrainedModel {
    /// Where they are from, for messages.
    pub origin: String,
    /// The run they belong to.
    pub run: Option<Run>,
    /// The state dict.
    pub state: Vec<NamedTensor>,
    /// Network, classes and input. Files of other programs have none.
    pub description: Option<ModelDescription>,
    /// The recipe they were trained by, as far as it is known.
    pub recipe: Recipe,
}

/// What a command with a trained model takes as flags.
#[derive(Debug)]
pub struct OfTrainedModel;

impl Sections for OfTrainedModel {
    const SECTIONS: &'static [&'static Section] = &[
        &model::SECTION,
        &dataset::SECTION,
        &machine::SECTION,
        &storage::SECTION,
        &tracking_section::SECTION,
        &connection::SECTION,
        &output::SECTION,
    ];
}

impl Which {
    /// Finds and reads it; the settings are those that were saved with it, with the flags laid over.
    pub fn load(&self, surroundings: &Surroundings, flags: &Flags<OfTrainedModel>) -> anyhow::Result<(TrainedModel, Resolved)> {
        let given = Given { flags: &flags.given, ..Given::default() };
        let settings = surroundings.resolve(&outside_recipe(OfTrainedModel::SECTIONS), given)?.settings;
        let model = match &self.weights {
            Some(path) => from_file(path)?,
            None => from_run(self.run_id.as_deref().unwrap_or("latest"), &settings)?,
        };
        let resolved = surroundings.resolve(OfTrainedModel::SECTIONS, Given { saved: Some((&model.origin, &model.recipe)), ..given })?;
        Ok((model, resolved))
    }
}

fn from_file(path: &Path) -> anyhow::Result<TrainedModel> {
    let origin = path.display().to_string();
    let (state, description) = match anmok_formats::sniff(path)? {
        Format::Torch => (torch::read(path)?, None),
        Format::Safetensors => described(safetensors::read(path)?, &origin)?,
    };
    let recipe = description.as_ref().map_or_else(Recipe::default, recipe_of);
    Ok(TrainedModel { origin, run: None, state, description, recipe })
}

fn from_run(text: &str, settings: &Settings) -> anyhow::Result<TrainedModel> {
    let store = tracking::open(settings)?;
    let run = tracking::find_run(store.as_ref(), text, "attributes.status = 'FINISHED'")?;
    let artifacts = store.artifacts(&run.info.artifact_uri)?;
    let origin = format!("run {}", run.info.run_id);
    let contents = match read(&artifacts, MODEL)? {
        Some(bytes) => safetensors::decode(&bytes).with_context(|| format!("{MODEL} of {origin}"))?,
        None => {
            // A run that is not finished has its best model so far beside its checkpoints.
            let best = settings.checkpoint_dir.join(&run.info.run_id).join(checkpoint::BEST);
            if !best.exists() {
                bail!(
                    "{origin} ({}) has no model yet: finish it with `anmok train --resume {}`, or name a file with --weights",
                    run.info.status,
                    run.info.run_id
                );
            }
            safetensors::read(&best)?
        }
    };
    let (state, description) = described(contents, &origin)?;
    let recipe = match (read(&artifacts, RECIPE)?, &description) {
        (Some(bytes), _) => Recipe::from_toml(&String::from_utf8_lossy(&bytes), &format!("{RECIPE} of {origin}"))?,
        (None, Some(description)) => recipe_of(description),
        (None, None) => Recipe::default(),
    };
    Ok(TrainedModel { origin, run: Some(run), state, description, recipe })
}

fn read(artifacts: &ArtifactStore, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(file) = artifacts.open_file(&ArtifactPath::parse(path)?)? else { return Ok(None) };
    let mut bytes = vec![];
    file.take(anmok_formats::MAX_FILE_BYTES).read_to_end(&mut bytes).with_context(|| format!("cannot read the artifact {path}"))?;
    Ok(Some(bytes))
}

fn described(contents: safetensors::Contents, origin: &str) -> anyhow::Result<(Vec<NamedTensor>, Option<ModelDescription>)> {
    let description = ModelDescription::from_metadata(&contents.metadata).transpose().map_err(|e| anyhow::anyhow!("{origin}: {e}"))?;
    Ok((contents.tensors, description))
}

/// What a description says of the recipe.
fn recipe_of(description: &ModelDescription) -> Recipe {
    let ModelDescription { model_name, stem, width_multiplier, dataset, channels, height, .. } = description.clone();
    Recipe { model_name, stem, width_multiplier, dataset, image_channels: channels, image_size: Some(height), ..Recipe::default() }
}

impl TrainedModel {
    /// An engine for `graph` with these weights, for inference.
    pub fn engine(&self, graph: Graph, settings: &Settings) -> anyhow::Result<Box<dyn Engine>> {
        let level = settings.simd_level().map_err(Usage)?;
        let (name, classes) = (graph.name.clone(), graph.classes());
        let state = complete(&graph, &self.state);
        let mut engine =
            NativeEngine::new(graph, NativeOptions { threads: settings.threads, max_batch: 0, level: Some(level), train: None })?;
        engine
            .load_model_state(&state)
            .with_context(|| format!("the weights of {} do not fit {name} with {classes} classes", self.origin))?;
        Ok(Box::new(engine))
    }
}

/// The state with `num_batches_tracked` where a file has none (PyTorch before 0.4.1, and converters): it counts, it does not compute.
fn complete(graph: &Graph, state: &[NamedTensor]) -> Vec<NamedTensor> {
    let counters = graph.buffers.iter().filter(|buffer| buffer.shape.is_empty() && !state.iter().any(|tensor| tensor.name == buffer.name));
    let missing: Vec<NamedTensor> = counters.map(|buffer| NamedTensor::i64_scalar(&buffer.name, 0)).collect();
    state.iter().cloned().chain(missing).collect()
}
