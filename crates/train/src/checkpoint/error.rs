//! What goes wrong with checkpoints.

use std::path::PathBuf;

use anmok_engine::EngineError;
use anmok_formats::FormatError;

use crate::recipe::Problem;

/// A checkpoint that cannot be written, read or used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The folder cannot be made.
    #[error("cannot make the folder {} for checkpoints: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be written; the one before is untouched.
    #[error("the checkpoint was not saved (the one before it is kept): {0}")]
    Write(FormatError),
    /// The best model's own file cannot be written; the checkpoint, which holds that model too, is not touched by it.
    #[error("the best model was not written to its own file (the checkpoint has it; it will be tried again with the next one): {0}")]
    WriteBest(FormatError),
    /// The thread that writes cannot be started.
    #[error("cannot start the thread that writes checkpoints: {source}")]
    Thread {
        /// Why.
        source: std::io::Error,
    },
    /// The thread that writes has died.
    #[error("the checkpoint was not saved: the thread that writes checkpoints has ended")]
    WriterGone,
    /// No checkpoint lies there.
    #[error("no checkpoint at {}: the run wrote none, or its folder was moved", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Not a readable safetensors file.
    #[error("the checkpoint cannot be read: {0}")]
    Read(FormatError),
    /// A safetensors file, but not one of ours.
    #[error("{} holds tensors but no checkpoint (its metadata lack `{key}`): give it as --initial-weights to start a new run from it", path.display())]
    NotACheckpoint {
        /// The file.
        path: PathBuf,
        /// What is not there.
        key: &'static str,
    },
    /// Written by a newer program.
    #[error("{}: checkpoint format {found} is newer than {known}, which this program knows: use the version that wrote it", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The contents are not what was written.
    #[error("{} is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// Made with another data set.
    #[error("the checkpoint was made with other images: {saved_name} with digest {saved}, these are {name} with digest {now}")]
    OtherData {
        /// The data set then.
        saved_name: String,
        /// Its digest.
        saved: String,
        /// The data set now.
        name: String,
        /// Its digest.
        now: String,
    },
    /// Made by another model.
    #[error("the checkpoint is of {saved} with {saved_classes} classes, this run trains {now} with {classes}")]
    OtherModel {
        /// The model then.
        saved: String,
        /// Its classes.
        saved_classes: usize,
        /// The model now.
        now: String,
        /// Its classes.
        classes: usize,
    },
    /// Settings that a run cannot change half-way.
    #[error("a resumed run keeps these settings: {}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("; "))]
    OtherSettings(Vec<Problem>),
    /// The engine does not take the tensors.
    #[error("the checkpoint does not fit the network: {0}")]
    State(#[from] EngineError),
}
