//! Reading a checkpoint back, and whether it fits the run that wants it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anmok_data::Dataset;
use anmok_engine::{Engine, EngineInfo};
use anmok_formats::safetensors::{self, Contents};
use anmok_graph::{Graph, NamedTensor};
use serde::Deserialize;

use super::{Checkpoint, CheckpointError, CheckpointState, DIGEST_KEY, FORMAT_VERSION, LAST, STATE_KEY, digest};
use crate::recipe::{Problem, Recipe};

impl Checkpoint {
    /// Reads a checkpoint file. Anything but exactly what was written is an error that names the file.
    pub fn load_file(path: &Path) -> Result<Self, CheckpointError> {
        if !path.try_exists().unwrap_or(true) {
            return Err(CheckpointError::Missing { path: path.to_owned() });
        }
        Self::from_contents(safetensors::read(path).map_err(CheckpointError::Read)?, path)
    }

    /// `path` is for messages.
    pub(super) fn from_contents(mut contents: Contents, path: &Path) -> Result<Self, CheckpointError> {
        let mut metadata = |key| contents.metadata.remove(key).ok_or(CheckpointError::NotACheckpoint { path: path.to_owned(), key });
        let (state, saved_digest) = (metadata(STATE_KEY)?, metadata(DIGEST_KEY)?);
        let damaged = |problem: String| CheckpointError::Damaged { path: path.to_owned(), problem };

        // The version first: a newer state may have fields that the rest of this function would take for damage.
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let found = serde_json::from_str::<Versioned>(&state).map_err(|error| damaged(format!("its state: {error}")))?.version;
        if found > FORMAT_VERSION {
            return Err(CheckpointError::Version { path: path.to_owned(), found, known: FORMAT_VERSION });
        }
        if digest::digest(&state, &contents.tensors) != saved_digest {
            return Err(damaged("its contents do not have the digest they were written with".to_owned()));
        }
        let state = serde_json::from_str(&state).map_err(|error| damaged(format!("its state: {error}")))?;
        Self::sort_out(state, contents.tensors).map_err(|name| damaged(format!("tensor `{name}` has no place in a checkpoint")))
    }

    /// Tensors by the prefix of their names; an unknown one comes back as the error.
    fn sort_out(state: CheckpointState, tensors: Vec<NamedTensor>) -> Result<Self, String> {
        let (mut model, mut training, mut best) = (vec![], vec![], vec![]);
        for mut tensor in tensors {
            if let Some(name) = tensor.name.strip_prefix("model.") {
                tensor.name = name.to_owned();
                model.push(tensor);
            } else if let Some(name) = tensor.name.strip_prefix("best.") {
                tensor.name = name.to_owned();
                best.push(tensor);
            } else if tensor.name.starts_with("optimizer.") || tensor.name.starts_with("ema.") {
                training.push(tensor);
            } else {
                return Err(tensor.name);
            }
        }
        let best = (!best.is_empty()).then(|| Arc::new(best));
        Ok(Self { state, model, training, best })
    }

    /// Whether a run with this network, recipe and data can go on from here. Returns what the user should know.
    pub fn check(&self, graph: &Graph, info: &EngineInfo, recipe: &Recipe, data: &Dataset) -> Result<Vec<String>, CheckpointError> {
        let saved = &self.state;
        if saved.recipe.model_name != recipe.model_name || saved.classes != graph.classes() {
            return Err(CheckpointError::OtherModel {
                saved: saved.recipe.model_name.clone(),
                saved_classes: saved.classes,
                now: recipe.model_name.clone(),
                classes: graph.classes(),
            });
        }
        if saved.data_digest != data.digest() {
            return Err(CheckpointError::OtherData {
                saved_name: saved.recipe.dataset.clone(),
                saved: saved.data_digest.clone(),
                name: data.name().to_owned(),
                now: data.digest().to_owned(),
            });
        }
        let changed = fixed_settings_changed(&saved.recipe, recipe);
        if !changed.is_empty() {
            return Err(CheckpointError::OtherSettings(changed));
        }
        let mut warnings = vec![];
        if saved.level != info.level {
            warnings.push(format!(
                "this run was on SIMD level {}, and goes on with {}: its results will differ in the last bits from an uninterrupted run's",
                saved.level, info.level
            ));
        }
        Ok(warnings)
    }

    /// Gives the engine its weights and optimizer state back.
    pub fn restore(&self, engine: &mut dyn Engine) -> Result<(), CheckpointError> {
        engine.load_model_state(&self.model)?;
        engine.load_training_state(&self.training)?;
        self.check_best()
    }

    /// The best model is first loaded at the end of the run: that it fits must be known before. The engine has taken
    /// `model`, so that is what it must be like.
    fn check_best(&self) -> Result<(), CheckpointError> {
        let Some(best) = &self.best else { return Ok(()) };
        let layout = |state: &[NamedTensor]| -> BTreeMap<String, (Vec<usize>, bool)> {
            state.iter().map(|tensor| (tensor.name.clone(), (tensor.shape.clone(), tensor.as_f32().is_some()))).collect()
        };
        let (wanted, found) = (layout(&self.model), layout(best));
        let odd = wanted
            .iter()
            .find(|(name, like)| found.get(*name) != Some(like))
            .or_else(|| found.iter().find(|(name, _)| !wanted.contains_key(*name)));
        match odd {
            None => Ok(()),
            Some((name, _)) => Err(CheckpointError::Damaged {
                path: LAST.into(),
                problem: format!("tensor `best.{name}` is not there or not as the network's `{name}`"),
            }),
        }
    }
}

/// Settings that decide the network, the images or their order: a changed one would make the position in the epoch, the
/// optimizer's state or the series of metrics meaningless. Everything else may change on resume.
const FIXED: [&str; 17] = [
    "model_name",
    "stem",
    "width_multiplier",
    "freeze",
    "dataset",
    "image_size",
    "image_channels",
    "validation_split",
    "split_seed",
    "limit_train",
    "batch_size",
    "accumulate",
    "drop_last",
    "optimizer",
    "momentum",
    "ema_decay",
    "seed",
];

fn fixed_settings_changed(saved: &Recipe, now: &Recipe) -> Vec<Problem> {
    let pairs = saved.parameters().into_iter().zip(now.parameters());
    pairs
        .filter_map(|((key, before), (_, after))| {
            let setting = FIXED.into_iter().find(|fixed| *fixed == key && before != after)?;
            let message = "cannot change in a resumed run".to_owned();
            Some(Problem { setting, value: after, message, allowed: before })
        })
        .collect()
}
