//! What ends a run.

use anmok_data::DataError;
use anmok_engine::EngineError;

use crate::checkpoint::CheckpointError;
use crate::evaluation::EvaluationError;
use crate::recipe::RecipeError;
use crate::run_log::RunLogError;

/// A run that cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The recipe cannot be used.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The images cannot be had.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The engine refuses.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// No checkpoint to start from or to stop with.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The model does not fit the images it is evaluated on.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// The record of the run cannot be written.
    #[error(transparent)]
    Log(#[from] RunLogError),
    /// Network and images do not fit.
    #[error("the network takes {network} and the images are {images}")]
    Mismatch {
        /// Input and classes of the network.
        network: String,
        /// Shape and classes of the images.
        images: String,
    },
    /// BatchNorm on 1x1 maps cannot train on a batch of one image.
    #[error(
        "each epoch would end with a batch of one image ({images} images in batches of {batch_size}), for which {node}, on 1x1 maps, has no variance \
         (PyTorch stops there with \"Expected more than 1 value per channel when training\"): use another batch_size (at least 2), or set drop_last = true"
    )]
    BatchOfOne {
        /// Training images.
        images: usize,
        /// Images per batch.
        batch_size: usize,
        /// The first such BatchNorm.
        node: String,
    },
    /// The images ran out before the epoch did.
    #[error(
        "there are no images for batch {batch} of epoch {epoch}, which is an error in this program: please report it; the last checkpoint is kept"
    )]
    NoBatch {
        /// Epoch, from 1.
        epoch: u64,
        /// Batch in the epoch, from 1.
        batch: u64,
    },
    /// Training has diverged.
    #[error(
        "{what} is not finite in epoch {epoch}, batch {batch} (step {step}, learning rate {learning_rate:e}): training has diverged. Lower learning_rate, \
         lengthen warmup_epochs, or set clip_norm (1.0 is common). The last good checkpoint is kept"
    )]
    NotFinite {
        /// What: the loss, the gradient norm, a tensor.
        what: String,
        /// Epoch, from 1.
        epoch: u64,
        /// Batch in the epoch, from 1.
        batch: u64,
        /// Optimizer steps done.
        step: u64,
        /// The rate of the last step.
        learning_rate: f64,
    },
}
