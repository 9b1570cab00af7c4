//! Checkpoints: all that a run needs to go on as if it had never stopped.
//!
//! In the folder of a run's checkpoints lie
//!
//! - `last.safetensors`: everything, in one file. Tensors `model.*` (the state dict), `optimizer.*` and `ema.*` (the
//!   engine's training state) and `best.*` (the best model so far); in the metadata, `anmok.checkpoint` is the
//!   [`CheckpointState`] as JSON and `anmok.digest` a SHA-256 over that text and all tensors.
//! - `best.safetensors`: the best model so far as a plain state dict that torchvision loads, for people. It is never
//!   read to resume.
//!
//! State and tensors are one file because two files can come from different moments, however carefully they are written.
//! The file is written to a temporary name, fsynced and renamed: at every moment `last.safetensors` is a whole
//! checkpoint, the old one or the new one. The training thread only takes the snapshot; the thread in `writer` does the rest.

mod digest;
mod error;
mod load;
mod state;
#[cfg(test)]
mod tests;
pub(crate) mod writer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anmok_formats::safetensors;
use anmok_graph::NamedTensor;

pub use error::CheckpointError;
pub use state::{Best, CheckpointState, EpochSums, FORMAT_VERSION, Position};

/// The checkpoint to resume from, in a run's folder of checkpoints.
pub const LAST: &str = "last.safetensors";
/// The best model so far, beside it.
pub const BEST: &str = "best.safetensors";

const STATE_KEY: &str = "anmok.checkpoint";
const DIGEST_KEY: &str = "anmok.digest";

/// A run at one moment, between two optimizer steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Where the run is and what it remembers.
    pub state: CheckpointState,
    /// The weights being trained: the network's state dict.
    pub model: Vec<NamedTensor>,
    /// What the engine needs besides (`optimizer.*`, `ema.*`).
    pub training: Vec<NamedTensor>,
    /// The state dict of the best epoch, once there is one. Shared, because every checkpoint until a better epoch holds it.
    pub best: Option<Arc<Vec<NamedTensor>>>,
}

impl Checkpoint {
    /// Writes the checkpoint to `path`, atomically.
    pub fn save(self, path: &Path) -> Result<(), CheckpointError> {
        let (tensors, metadata) = self.encode();
        safetensors::write(path, &tensors, &metadata).map_err(CheckpointError::Write)
    }

    fn encode(self) -> (Vec<NamedTensor>, BTreeMap<String, String>) {
        let prefixed = |prefix: &str, tensor: NamedTensor| NamedTensor { name: format!("{prefix}{}", tensor.name), ..tensor };
        let mut tensors: Vec<NamedTensor> = self.model.into_iter().map(|tensor| prefixed("model.", tensor)).collect();
        tensors.extend(self.training);
        if let Some(best) = self.best {
            let best = Arc::unwrap_or_clone(best);
            tensors.extend(best.into_iter().map(|tensor| prefixed("best.", tensor)));
        }
        let state = self.state.to_json();
        let digest = digest::digest(&state, &tensors);
        (tensors, BTreeMap::from([(STATE_KEY.to_owned(), state), (DIGEST_KEY.to_owned(), digest)]))
    }

    /// The first number that is NaN or infinite in the weights or the optimizer's state, by tensor name.
    pub(crate) fn not_finite(&self) -> Option<&str> {
        let spoilt = |tensor: &&NamedTensor| tensor.as_f32().is_some_and(|values| !values.iter().all(|v| v.is_finite()));
        self.model.iter().chain(&self.training).find(spoilt).map(|tensor| tensor.name.as_str())
    }
}
