//! `anmok predict FILE...`: what a model sees in pictures.

use super::Surroundings;
use crate::settings::flags::Flags;
use crate::settings::{Resolved, Settings};
use crate::terminal::style::Style;
use crate::terminal::table::{Align, Table};
use crate::terminal::{print, print_json, units};
use crate::trained_model::{OfTrainedModel, TrainedModel, Which};
use anmok_data::DatasetName;
use anmok_engine::Weights;
use anmok_train::ModelDescription;
use anyhow::bail;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// What a model sees in pictures.
#[derive(Debug, Args)]
pub struct Predict {
    /// PNG or JPEG files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    which: Which,
    /// Print this many classes for each picture
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<OfTrainedModel>,
}

pub const EXAMPLES: &str = "\
Examples:
  anmok predict cat.png dog.jpg                   by the model of the last finished run
  anmok predict --run-id 3f2a *.png --json
  anmok predict --weights torchvision.pth --model-name resnet18 --dataset CIFAR10 cat.png";

/// A class and its probability.
struct Guess<'a> {
    class: &'a str,
    probability: f32,
}

impl Predict {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let (model, Resolved { settings, .. }) = self.which.load(surroundings, &self.flags)?;
        let description = description(&model, &settings)?;
        let mut engine = model.engine(description.graph()?, &settings)?;

        let style = Style::new(settings.color, &std::io::stdout());
        let (mut rows, mut bad) = (vec![], 0);
        let mut table = Table::new(&[Align::Left, Align::Right, Align::Left]);
        for file in &self.files {
            let image = match pixels(file, &description) {
                Ok(image) => image,
                Err(e) => {
                    bad += 1;
                    eprintln!("{} {e}", Style::new(settings.color, &std::io::stderr()).red("error:"));
                    continue;
                }
            };
            let mut logits = vec![0.0; description.class_names.len()];
            engine.infer(&image, Weights::Live, &mut logits)?;
            let guesses = top(&logits, &description.class_names, usize::from(self.top));
            for (place, guess) in guesses.iter().enumerate() {
                let (name, class) = if place == 0 {
                    (file.display().to_string(), style.bold(guess.class))
                } else {
                    (String::new(), guess.class.to_owned())
                };
                table.row([name, units::percent(f64::from(guess.probability)), class]);
            }
            let guesses = guesses.iter().map(|guess| json!({ "class": guess.class, "probability": guess.probability }));
            rows.push(json!({ "file": file, "predictions": guesses.collect::<Vec<_>>() }));
        }
        if self.json {
            print_json(&json!(rows))
        } else {
            print(&table.render(""))
        }
        if bad > 0 {
            bail!("{bad} of {} files could not be read as images", self.files.len());
        }
        Ok(())
    }
}

/// What the model expects, from its file, or else from the data set that was named.
fn description(model: &TrainedModel, settings: &Settings) -> anyhow::Result<ModelDescription> {
    if let Some(description) = &model.description {
        return Ok(description.clone());
    }
    let recipe = &settings.recipe;
    let data = anmok_data::open(&recipe.dataset, &recipe.open_options(&settings.data_dir))?;
    Ok(ModelDescription::new(recipe, &data.test))
}

/// The picture as the network's input: fitted, scaled to [0, 1], normalised.
fn pixels(file: &Path, description: &ModelDescription) -> anyhow::Result<Vec<f32>> {
    let ModelDescription { height, width, channels, mean, std, .. } = description;
    let shape = anmok_data::Shape { height: *height, width: *width, channels: *channels };
    // A folder that has gone away since the training had no border either.
    let border = DatasetName::parse(&description.dataset).map_or(0, |name| name.border());
    let bytes = anmok_data::read_picture(file, shape, border)?;
    if mean.len() != *channels || std.len() != *channels {
        bail!("the model's description is damaged: {channels} channels, but {} means and {} deviations", mean.len(), std.len());
    }
    let normalised = bytes.iter().enumerate().map(|(index, &byte)| {
        let channel = index % channels;
        (f32::from(byte) / 255.0 - mean[channel]) / std[channel]
    });
    Ok(normalised.collect())
}

/// The `most` classes with the highest softmax probability.
fn top<'a>(logits: &[f32], classes: &'a [String], most: usize) -> Vec<Guess<'a>> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f32> = logits.iter().map(|logit| (logit - highest).exp()).collect();
    let sum: f32 = exponentials.iter().sum();
    let mut guesses: Vec<Guess<'a>> =
        exponentials.iter().zip(classes).map(|(exponential, class)| Guess { class, probability: exponential / sum }).collect();
    guesses.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    guesses.truncate(most);
    guesses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_classes_come_first() {
        let classes = ["cat", "dog", "frog"].map(str::to_owned);
        let guesses = top(&[0.0, 1000.0, 998.0], &classes, 2);
        assert_eq!(guesses.iter().map(|guess| guess.class).collect::<Vec<_>>(), ["dog", "frog"]);
        assert!((guesses[0].probability - 0.880_797).abs() < 1e-5);
    }
}
