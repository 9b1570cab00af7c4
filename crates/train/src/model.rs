//! What a weights file says about its network, so that it can be evaluated and used without its recipe.

use std::collections::BTreeMap;

use anmok_data::Dataset;
use anmok_graph::zoo::{self, ZooError, ZooOptions};
use anmok_graph::{Graph, Shape};
use serde::{Deserialize, Serialize};

use crate::recipe::{Recipe, Stem};

/// The metadata key of a [`ModelDescription`] in a safetensors file.
const KEY: &str = "anmok.model";

/// A trained network's architecture, classes and input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelDescription {
    /// Name in the zoo.
    pub model_name: String,
    /// Strides of the first layers.
    pub stem: Stem,
    /// Multiplies the number of channels.
    pub width_multiplier: f64,
    /// The classes, by label.
    pub class_names: Vec<String>,
    /// Rows of the input image.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 3 (RGB) or 1 (grey).
    pub channels: usize,
    /// Subtracted from the input, per channel, after it is scaled to `[0, 1]`.
    pub mean: Vec<f32>,
    /// What the difference is divided by, per channel.
    pub std: Vec<f32>,
    /// What it was trained on.
    pub dataset: String,
}

impl ModelDescription {
    /// The network that `recipe` trains on `data`.
    pub fn new(recipe: &Recipe, data: &Dataset) -> Self {
        let shape = data.shape();
        Self {
            model_name: recipe.model_name.clone(),
            stem: recipe.stem,
            width_multiplier: recipe.width_multiplier,
            class_names: data.classes().to_vec(),
            height: shape.height,
            width: shape.width,
            channels: shape.channels,
            mean: data.normalisation().mean.clone(),
            std: data.normalisation().std.clone(),
            dataset: data.name().to_owned(),
        }
    }

    /// As a safetensors file's metadata.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        // Strings and finite numbers: JSON takes them all.
        let json = serde_json::to_string(self).unwrap_or_default();
        // `format` is what transformers and timm look for.
        BTreeMap::from([("format".to_owned(), "pt".to_owned()), (KEY.to_owned(), json)])
    }

    /// From a file's metadata: `None` where there is no description (another program's file), an error text where it
    /// cannot be read.
    pub fn from_metadata(metadata: &BTreeMap<String, String>) -> Option<Result<Self, String>> {
        let parse = |json: &String| serde_json::from_str(json).map_err(|error| format!("the metadata's `{KEY}` cannot be read: {error}"));
        metadata.get(KEY).map(parse)
    }

    /// The input of the network.
    pub fn input(&self) -> Shape {
        Shape::new(self.channels, self.height, self.width)
    }

    /// The network, for inference (without dropout).
    pub fn graph(&self) -> Result<Graph, ZooError> {
        let options = ZooOptions {
            classes: self.class_names.len(),
            channels: self.channels,
            height: self.height,
            width: self.width,
            stem: self.stem.into(),
            width_multiplier: self.width_multiplier,
            dropout: 0.0,
            batch_norm_momentum: None,
        };
        zoo::build(&self.model_name, &options)
    }
}
