//! Where a run is recorded: in a tracking store by way of the journal, or offline in the journal alone.

use super::provenance;
use crate::process::Process;
use crate::settings::{Settings, without_password};
use crate::{liveness, tracking, waiting};
use anmok_protocol::{Batch, PARENT_RUN_TAG, Run, RunStatus, RunTag};
use anmok_tracking::delivery::superseded::ATTEMPT_TAG;
use anmok_tracking::journal::{Birth, folder};
use anmok_tracking::{LogOptions, NewRun, RunStore, RunUpdate, RunWriter, now_ms, offline_run};
use anyhow::{Context, bail};
use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;

/// Where a run is recorded.
#[derive(Clone)]
pub struct Record {
    /// `None`: offline.
    pub store: Option<Arc<dyn RunStore>>,
    options: LogOptions,
    experiment_name: String,
}

impl Record {
    /// Looks at store and journal before anything else is done, so that a wrong address or a disk that cannot be written is told
    /// at once. At a terminal, a store that cannot be used is no reason to stop: one may go on offline.
    pub fn open(settings: &Settings) -> anyhow::Result<Self> {
        folder::check_writable(&settings.journal_dir).with_context(|| {
            format!(
                "what is logged cannot be kept in {}: make it writable, or name another folder with --journal-dir",
                settings.journal_dir.display()
            )
        })?;
        let store = if settings.offline { None } else { reachable(settings)? };
        match &store {
            Some(store) => liveness::mark_dead(store.as_ref()),
            None => tracing::info!("offline: the run is recorded in {} alone; `anmok sync` delivers it", settings.journal_dir.display()),
        }
        let options = LogOptions { heartbeat: true, ..tracking::log_options(settings) };
        Ok(Self { store, options, experiment_name: settings.experiment_name.clone() })
    }

    /// Makes a run.
    pub fn new_run(&self, settings: &Settings, command: &str) -> anyhow::Result<Run> {
        let mut tags = provenance::tags(command);
        tags.push(RunTag::new(ATTEMPT_TAG, "1"));
        tags.extend(Process::this().map(|process| process.tag()));
        tags.extend(settings.parent_run_id.as_ref().map(|parent| RunTag::new(PARENT_RUN_TAG, parent)));
        if let (Some(run_id), Some(store)) = (&settings.run_id, &self.store) {
            return given_run(store.as_ref(), settings, run_id, tags);
        }
        let mut new = NewRun {
            experiment_id: String::new(),
            run_name: settings.run_name.clone(),
            user_id: provenance::user(),
            start_time: now_ms(),
            tags,
        };
        Ok(match &self.store {
            None => offline_run(&new)?,
            Some(store) => {
                new.experiment_id = tracking::experiment_of(store.as_ref(), settings)?;
                store.create_run(&new)?
            }
        })
    }

    /// Says that this process goes on with a run, for the `attempt`th time, and that it runs.
    pub fn take_up(&self, run: &Run, attempt: Attempt) -> anyhow::Result<()> {
        // A run that is only journalled has its tags there, and no status that others see.
        let Some(store) = &self.store else { return Ok(()) };
        // The process before the status: whoever looks in between must not take the run for its dead predecessor's.
        let mut tags = attempt.tags();
        tags.extend(Process::this().map(|process| process.tag()));
        store.log_batch(&run.info.run_id, &Batch { tags, ..Batch::default() })?;
        store.update_run(&run.info.run_id, &RunUpdate { status: Some(RunStatus::Running), ..RunUpdate::default() })?;
        if run.data.tag(liveness::ENDED_TAG).is_some() {
            store.delete_tag(&run.info.run_id, liveness::ENDED_TAG)?;
        }
        Ok(())
    }

    /// The run's log.
    pub fn writer(&self, run: &Run) -> anyhow::Result<RunWriter> {
        let run_id = &run.info.run_id;
        Ok(match &self.store {
            Some(store) => RunWriter::open(store.clone(), run_id, &self.options)?,
            None => RunWriter::open_offline(run_id, Birth::of(run, self.experiment_name.clone()), &self.options)?,
        })
    }

    /// Marks a run that could not even begin, or that is ended at once.
    pub fn mark(&self, run_id: &str, status: RunStatus) {
        let Some(store) = &self.store else { return };
        let ended = RunUpdate { status: Some(status), end_time: Some(now_ms()), ..RunUpdate::default() };
        if let Err(e) = store.update_run(run_id, &ended) {
            tracing::warn!("run {run_id} cannot be marked {status}: {e}");
        }
    }

    /// The name of the run's experiment: a resumed run stays in its own, whatever the settings name.
    pub fn experiment_of(&self, run: &Run) -> String {
        let Some(store) = &self.store else { return self.experiment_name.clone() };
        let id = &run.info.experiment_id;
        store.experiment(id).ok().flatten().map_or_else(|| id.clone(), |found| found.name)
    }
}

/// A run that was made elsewhere (a scheduler, `mlflow run`), taken over.
fn given_run(store: &dyn RunStore, settings: &Settings, run_id: &str, tags: Vec<RunTag>) -> anyhow::Result<Run> {
    let run =
        store.run(run_id)?.with_context(|| format!("there is no run {run_id} (run_id, MLFLOW_RUN_ID): unset it to make a new run"))?;
    if !run.data.metrics.is_empty() {
        bail!(
            "run {run_id} (run_id, MLFLOW_RUN_ID) has metrics already: go on with it by --resume {run_id}, or unset it to make a new run"
        );
    }
    if let Some(parent) = tracking::parent(store, settings)?.filter(|parent| parent.info.experiment_id != run.info.experiment_id) {
        bail!(
            "run {run_id} (run_id, MLFLOW_RUN_ID) is in experiment {}, and {}, in which it is to be nested (--parent-run-id, ANMOK_PARENT_RUN_ID), in \
             experiment {}: a parent is of the same experiment",
            run.info.experiment_id,
            parent.info.run_id,
            parent.info.experiment_id
        );
    }
    // Who made the run may have said better where it comes from.
    let tags = tags.into_iter().filter(|tag| run.data.tag(&tag.key).is_none()).collect();
    store.log_batch(run_id, &Batch { tags, ..Batch::default() })?;
    store.update_run(run_id, &RunUpdate { status: Some(RunStatus::Running), ..RunUpdate::default() })?;
    store.run(run_id)?.with_context(|| format!("run {run_id} has gone"))
}

/// One sitting of a run.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// From 1.
    pub number: u64,
    /// The step that it goes on from.
    pub step: u64,
}

impl Attempt {
    /// The sitting after those that the run's tags tell of.
    pub fn after(run: &Run, step: u64) -> Self {
        let before = run.data.tag(ATTEMPT_TAG).and_then(|count| count.parse::<u64>().ok()).unwrap_or(1);
        Self { number: before.saturating_add(1), step }
    }

    /// What is noted of it.
    pub fn tags(self) -> Vec<RunTag> {
        let Self { number, step } = self;
        let begun = serde_json::json!({ "time": now_ms(), "host": crate::machine::host(), "from_step": step });
        vec![RunTag::new(ATTEMPT_TAG, number.to_string()), RunTag::new(format!("{ATTEMPT_TAG}.{number}"), begun.to_string())]
    }
}

/// The store, once it has answered. `None`: the user wants to go on offline.
fn reachable(settings: &Settings) -> anyhow::Result<Option<Arc<dyn RunStore>>> {
    let uri = without_password(&settings.tracking_uri);
    let opened = waiting::told(&format!("waiting for the tracking store {uri} to answer"), || {
        let store = tracking::open_for_log(&settings.tracking_uri, settings)?;
        store.experiment(anmok_protocol::DEFAULT_EXPERIMENT_ID)?;
        Ok(store)
    });
    let error: anyhow::Error = match opened {
        Ok(store) => return Ok(Some(store)),
        Err(error) => error,
    };
    let error = error.context(format!(
        "the tracking store {uri} cannot be used, and training has not begun: mend it (--tracking-uri), or record the run on this \
         machine with --offline and deliver it later with `anmok sync`"
    ));
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && go_on_offline(&error) { Ok(None) } else { Err(error) }
}

fn go_on_offline(error: &anyhow::Error) -> bool {
    eprint!("{error:#}\nGo on offline? [y/N] ");
    let mut answer = String::new();
    let asked = std::io::stderr().flush().and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    asked.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}
