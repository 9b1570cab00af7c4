//! What can be refused before the first step, and the batches of the run.

use anmok_data::{Loader, Splits, stratified_split};
use anmok_graph::{Graph, Op, Shape};

use super::evaluate::Questions;
use crate::error::TrainError;
use crate::recipe::{Recipe, RecipeError};

/// The run's images in batches.
pub struct Batches {
    pub training: Loader,
    /// `None` where nothing is held out.
    pub validation: Option<Questions>,
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
    check_last_batch(recipe, graph, split.train.len())?;
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
        validation,
        test: Questions::all("test", data.test.clone(), recipe.batch_size)?,
    })
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
