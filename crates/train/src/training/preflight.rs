//! What can be refused before the first step, and the batches of the run.

use anmok_data::{Dataset, Loader, Splits, stratified_split};
use anmok_graph::{Graph, Op, Shape};
use sha2::{Digest, Sha256};

use super::evaluate::Questions;
use crate::error::TrainError;
use crate::recipe::{Problem, Recipe, RecipeError, Schedule};

/// The run's images in batches.
pub struct Batches {
    pub training: Loader,
    /// [`part_digest`] of the training images.
    pub training_digest: String,
    /// `None` where nothing is held out.
    pub validation: Option<Questions>,
    pub validation_digest: String,
    pub test: Questions,
}

/// Checks the recipe by itself and against network and images, and sets up the batches.
pub fn check(recipe: &Recipe, graph: &Graph, data: &Splits) -> Result<Batches, TrainError> {
    let problems = recipe.problems();
    if !problems.is_empty() {
        return Err(RecipeError::Problems(problems).into());
    }
    check_fit(graph, data)?;
    let mut split = stratified_split(data.train.labels(), recipe.validation_split, recipe.split_seed)?;
    if recipe.limit_train > 0 {
        split.train.truncate(recipe.limit_train);
    }
    check_validation(recipe, data.train.len(), split.validation.len())?;
    check_last_batch(recipe, graph, split.train.len())?;
    let [training_digest, validation_digest] = [&split.train, &split.validation].map(|chosen| part_digest(&data.train, chosen));
    let validation = match split.validation {
        none if none.is_empty() => None,
        some => Some(Questions {
            split: "validation".into(),
            loader: Loader::evaluation(data.train.clone(), some, recipe.batch_size)?,
            worst: 0,
        }),
    };
    Ok(Batches {
        training: Loader::training(data.train.clone(), split.train, &recipe.loader_options())?,
        training_digest,
        validation,
        validation_digest,
        test: Questions::all("test", data.test.clone(), recipe.batch_size)?,
    })
}

/// A whole data set has its own digest. A part has one of that and the chosen images: stores keep one input for each name
/// and digest, so that training and validation images of one set would be one.
fn part_digest(data: &Dataset, chosen: &[u32]) -> String {
    if chosen.len() == data.len() {
        return data.digest().to_owned();
    }
    let mut hash = Sha256::new();
    hash.update(data.digest());
    chosen.iter().for_each(|index| hash.update(index.to_le_bytes()));
    hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check_fit(graph: &Graph, data: &Splits) -> Result<(), TrainError> {
    for part in [&data.train, &data.test] {
        let shape = part.shape();
        let images = (Shape::new(shape.channels, shape.height, shape.width), part.classes().len());
        let network = (graph.input, graph.classes());
        if images != network {
            let text = |(shape, classes): (Shape, usize)| format!("{shape} in {classes} classes");
            return Err(TrainError::Mismatch { network: text(network), images: text(images) });
        }
    }
    Ok(())
}

/// A share above 0 may still hold out no image; without one early stopping would stop a run that learns, and plateau would never act.
fn check_validation(recipe: &Recipe, images: usize, held_out: usize) -> Result<(), RecipeError> {
    let watcher = match recipe {
        _ if held_out > 0 => return Ok(()),
        Recipe { early_stopping: 1.., .. } => "early_stopping",
        Recipe { schedule: Schedule::Plateau, .. } => "the schedule plateau",
        _ => return Ok(()),
    };
    Err(RecipeError::Problems(vec![Problem {
        setting: "validation_split",
        value: recipe.validation_split.to_string(),
        message: format!("holds out none of the {images} images, and {watcher} watches the validation"),
        allowed: format!("at least {}, or a recipe without {watcher}", 0.5 / images as f64),
    }]))
}

/// A batch of one image on a 1x1 map has no variance. PyTorch finds out at the end of the first epoch, or of the first
/// night; the remedy is the user's to choose, so the image is not left out on the quiet.
fn check_last_batch(recipe: &Recipe, graph: &Graph, images: usize) -> Result<(), TrainError> {
    let single = match (recipe.batch_size, images % recipe.batch_size) {
        (1, _) => images > 0,
        (_, 1) => !recipe.drop_last,
        _ => false,
    };
    let on_a_point = graph.nodes.iter().find(|node| matches!(node.op, Op::BatchNorm2d { .. }) && node.output.positions() == 1);
    match on_a_point {
        Some(node) if single => Err(TrainError::BatchOfOne { images, batch_size: recipe.batch_size, node: node.name.clone() }),
        _ => Ok(()),
    }
}
