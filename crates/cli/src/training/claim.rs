//! One process trains a run, no two.

use anyhow::Context;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The folder of a run's checkpoints, held by this process: no other one trains the same run.
pub struct Claim {
    /// `CHECKPOINT_DIR/RUN_ID`.
    pub folder: PathBuf,
    _lock: File,
}

impl Claim {
    /// Makes the folder and locks it until the claim is dropped or the process ends, however it ends.
    pub fn take(folder: &Path, run_id: &str) -> anyhow::Result<Self> {
        let remedy = || {
            format!("cannot write the folder {} for checkpoints: make it writable, or name another with --checkpoint-dir", folder.display())
        };
        std::fs::create_dir_all(folder).with_context(remedy)?;
        let lock = File::options().create(true).truncate(false).write(true).open(folder.join("lock")).with_context(remedy)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: lock }),
            Err(std::fs::TryLockError::WouldBlock) => {
                anyhow::bail!("run {run_id} is being trained by another process on this machine: stop that one first")
            }
            Err(std::fs::TryLockError::Error(e)) => Err(e).with_context(remedy),
        }
    }
}
