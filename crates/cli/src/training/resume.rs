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

/// Unfinished runs among which `latest` looks for one with a checkpoint.
const MOST_UNFINISHED: usize = 1000;

/// A run that can go on.
pub struct Resumption {
    pub run: Run,
    pub checkpoint: Checkpoint,
    pub claim: Claim,
}

impl Resumption {
    /// Finds the run (`latest`: the last unfinished one that has a checkpoint), takes it for this process and loads its checkpoint.
    pub fn find(text: &str, settings: &Settings) -> anyhow::Result<Self> {
        let store = tracking::open(settings)?;
        let run = match text {
            "latest" => latest(store.as_ref(), settings)?,
            text => tracking::find_run(store.as_ref(), text, "")?,
        };
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

/// The last unfinished run that can go on. One that was killed before its first checkpoint cannot, and must not stand before
/// one that can.
fn latest(store: &dyn RunStore, settings: &Settings) -> anyhow::Result<Run> {
    let unfinished = tracking::latest_runs(store, "attributes.status != 'FINISHED'", MOST_UNFINISHED)?;
    let count = unfinished.len();
    let has_checkpoint = |run: &Run| settings.checkpoint_dir.join(&run.info.run_id).join(checkpoint::LAST).exists() || kept(store, run);
    unfinished.into_iter().find(has_checkpoint).with_context(|| match count {
        0 => "there is no unfinished run: `anmok runs list` shows all there are".to_owned(),
        _ => format!(
            "none of the {count} unfinished runs has a checkpoint, neither in {} nor among its artifacts: start a new run",
            settings.checkpoint_dir.display()
        ),
    })
}

/// Whether the run's artifacts hold a checkpoint. Those that cannot be looked at (of another program's run, say) hold none
/// that could be gone on with.
fn kept(store: &dyn RunStore, run: &Run) -> bool {
    let Ok(path) = ArtifactPath::parse(CHECKPOINT_ARTIFACT) else { return false };
    store.artifacts(&run.info.artifact_uri).and_then(|artifacts| artifacts.open_file(&path)).is_ok_and(|file| file.is_some())
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
