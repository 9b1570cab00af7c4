//! The run that `--resume` means, and its checkpoint: the local one, or else the one among the run's artifacts.

use super::claim::Claim;
use crate::failure::Usage;
use crate::settings::Settings;
use crate::tracking;
use anmok_protocol::{ArtifactPath, Run, RunStatus};
use anmok_tracking::RunStore;
use anmok_train::{Checkpoint, Recipe, checkpoint};
use anyhow::{Context, bail};

/// Where the loop keeps the last checkpoint among the artifacts.
const CHECKPOINT_ARTIFACT: &str = "checkpoints/last.safetensors";

/// A run that can go on.
pub struct Resumption {
    pub run: Run,
    pub checkpoint: Checkpoint,
    pub claim: Claim,
}

impl Resumption {
    /// Finds the run (`latest`: the last one that is not finished), takes it for this process and loads its checkpoint.
    pub fn find(text: &str, settings: &Settings) -> anyhow::Result<Self> {
        let store = tracking::open(settings)?;
        let run = tracking::find_run(store.as_ref(), text, "attributes.status != 'FINISHED'")?;
        let run_id = &run.info.run_id;
        let claim = Claim::take(&settings.checkpoint_dir.join(run_id), run_id)?;
        let path = claim.folder.join(checkpoint::LAST);
        if !path.exists() {
            fetch(store.as_ref(), &run, &claim)?;
        }
        let checkpoint = Checkpoint::load_file(&path).with_context(|| {
            format!("run {run_id} cannot go on; without {}, the copy among the run's artifacts is taken", path.display())
        })?;
        if checkpoint.state.run_id != *run_id {
            bail!("{} is a checkpoint of run {}, not of {run_id}: it was left as it is", path.display(), checkpoint.state.run_id);
        }
        Ok(Self { run, checkpoint, claim })
    }

    /// The recipe that the run was last trained with.
    pub fn recipe(&self) -> &Recipe {
        &self.checkpoint.state.recipe
    }

    /// Refuses a run that has nothing left to do by `recipe`.
    pub fn check_unfinished(&self, recipe: &Recipe) -> Result<(), Usage> {
        let done = self.checkpoint.state.history.epochs.len();
        if self.run.info.status == RunStatus::Finished && recipe.epochs <= done {
            return Err(Usage(format!(
                "run {} is finished after {done} epochs: --epochs with more than that goes on",
                self.run.info.run_id
            )));
        }
        Ok(())
    }
}

fn fetch(store: &dyn RunStore, run: &Run, claim: &Claim) -> anyhow::Result<()> {
    let artifacts = store.artifacts(&run.info.artifact_uri)?;
    let path = ArtifactPath::parse(CHECKPOINT_ARTIFACT)?;
    if artifacts.open_file(&path)?.is_none() {
        bail!(
            "run {} has no checkpoint, neither in {} nor among its artifacts at {}: start a new run",
            run.info.run_id,
            claim.folder.display(),
            run.info.artifact_uri
        );
    }
    artifacts.get_file(&path, &claim.folder.join(checkpoint::LAST)).context("the checkpoint cannot be fetched from the run's artifacts")
}
