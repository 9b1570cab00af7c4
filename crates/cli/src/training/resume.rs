//! The run that `--resume` means, and its checkpoint: the local one, or else the one among the run's artifacts.

use super::claim::Claim;
use crate::failure::Usage;
use crate::settings::Settings;
use crate::tracking;
use anmok_protocol::{ArtifactPath, Run, RunStatus};
use anmok_tracking::RunStore;
use anmok_tracking::delivery::offline::run_of_journal;
use anmok_tracking::delivery::sync::{Left, SOURCE_RUN_TAG};
use anmok_tracking::journal::Folder;
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
        if settings.offline {
            return Self::load(offline(text, settings)?, settings, None);
        }
        let store = tracking::open(settings).context(
            "the run cannot be looked up, and training has not begun; a run that has a journal and a checkpoint on this machine goes on \
             with --offline, and `anmok sync` delivers it later",
        )?;
        let run = match text {
            "latest" => latest(store.as_ref(), settings)?,
            text => tracking::find_run(store.as_ref(), text, "")?,
        };
        Self::load(run, settings, Some(store.as_ref()))
    }

    fn load(run: Run, settings: &Settings, store: Option<&dyn RunStore>) -> anyhow::Result<Self> {
        let run_id = &run.info.run_id;
        let claim = Claim::take(&settings.checkpoint_dir.join(run_id), run_id)?;
        let path = claim.folder.join(checkpoint::LAST);
        // A run that was begun offline has another id since it is in the store.
        let earlier_id = run.data.tag(SOURCE_RUN_TAG);
        let earlier = earlier_id.map(|id| settings.checkpoint_dir.join(id).join(checkpoint::LAST)).filter(|earlier| earlier.exists());
        match (path.exists(), earlier, store) {
            (true, _, _) => {}
            (false, Some(earlier), _) => {
                std::fs::copy(&earlier, &path).with_context(|| format!("cannot copy {}", earlier.display()))?;
            }
            (false, None, Some(store)) => fetch(store, &run, &claim)?,
            (false, None, None) => bail!("run {run_id} has no checkpoint in {}: start a new run", claim.folder.display()),
        }
        let checkpoint = Checkpoint::load_file(&path).with_context(|| {
            format!("run {run_id} cannot go on; without {}, the copy among the run's artifacts is taken", path.display())
        })?;
        if checkpoint.state.run_id != *run_id && Some(checkpoint.state.run_id.as_str()) != earlier_id {
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

/// The run of a journal on this machine, by its id, the first digits of it, or its name; `latest` is the one begun last that
/// has a checkpoint.
fn offline(text: &str, settings: &Settings) -> anyhow::Result<Run> {
    let mut runs = vec![];
    for folder in Folder::list(&settings.journal_dir)? {
        let left = Left::read(folder)?;
        runs.extend(run_of_journal(&left.header, &left.contents));
    }
    runs.sort_by_key(|run| std::cmp::Reverse(run.info.start_time));
    let meant = |run: &Run| match text {
        "latest" => settings.checkpoint_dir.join(&run.info.run_id).join(checkpoint::LAST).exists(),
        text => run.info.run_id.starts_with(text) || run.info.run_name == text,
    };
    runs.into_iter().find(meant).with_context(|| {
        format!("no run in {} is meant by {text:?}: offline, only runs with a journal there can go on", settings.journal_dir.display())
    })
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
