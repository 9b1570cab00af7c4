//! Delivering what other processes have left: killed runs, runs that were logged offline, runs whose store was away.

use std::sync::Arc;

use anmok_protocol::{ApiError, ErrorCode, PARENT_RUN_TAG, Run, RunTag};

use super::backoff::Backoff;
use super::refusal::Refusal;
use super::superseded::Superseded;
use super::{Delivery, Listener, Obstacle, Target};
use crate::error::TrackingError;
use crate::journal::{self, Birth, Contents, Folder, Header, Journal, Positions};
use crate::store::{NewExperiment, NewRun, RunStore, all_experiments, run_tagged};

/// The tag that says which run's journal a run was made from: its id where it was logged first.
pub const SOURCE_RUN_TAG: &str = "anmok.source_run_id";

/// A journal that nobody has delivered wholly yet.
#[derive(Debug)]
pub struct Left {
    /// Where it lies.
    pub folder: Folder,
    /// Whose it is.
    pub header: Header,
    /// What it holds.
    pub contents: Contents,
    /// How far it is delivered.
    pub positions: Positions,
    /// Whether a process writes or delivers it at the moment.
    pub busy: bool,
}

impl Left {
    /// What lies in a folder.
    ///
    /// # Errors
    /// A journal that cannot be read.
    pub fn read(folder: Folder) -> Result<Self, TrackingError> {
        let busy = folder.is_claimed();
        let (header, contents) = journal::read(&folder)?;
        let positions = Positions::read(&folder.delivered());
        Ok(Self { folder, header, contents, positions, busy })
    }

    /// Bytes that are not delivered to its own store, artifacts aside, and artifacts that wait.
    pub fn pending(&self) -> (u64, usize) {
        let position = self.header.tracking_uri.as_deref().and_then(|uri| self.positions.of(uri));
        match position {
            Some(position) => (self.contents.end.saturating_sub(position.offset), position.artifacts.len()),
            None => (self.contents.end, 0),
        }
    }
}

/// What became of a journal.
#[derive(Debug)]
pub struct Synced {
    /// The run that it was delivered to.
    pub run_id: String,
    /// Whether that run was made for it.
    pub created: bool,
    /// What was refused for good, now.
    pub refused: Vec<Refusal>,
    /// Artifacts that could not be uploaded and wait.
    pub waiting_artifacts: usize,
    /// What has stopped it; `None`: everything is delivered that can be.
    pub obstacle: Option<TrackingError>,
    /// Whether the journal was removed.
    pub removed: bool,
    /// Artifacts that went to the run's own store before, and are not in the journal any more.
    pub missing_artifacts: usize,
}

/// Why a journal was not touched.
#[derive(Debug)]
pub enum NotSynced {
    /// Another process writes or delivers it.
    Busy,
    /// It has been delivered in the meantime.
    Gone,
    /// It cannot be delivered there, for this reason.
    Failed(TrackingError),
}

impl From<TrackingError> for NotSynced {
    fn from(error: TrackingError) -> Self {
        Self::Failed(error)
    }
}

/// How often a store that fails is tried before the journal is left for another time.
const TRIES: u32 = 4;

/// Delivers a journal to a store. In its own store the run must be there. Another store gets a run of its own, made from the
/// journal, once: doing it again goes on with the same run.
///
/// # Errors
/// [`NotSynced`]; what stops a delivery that has begun is in [`Synced`].
pub fn sync(folder: &Folder, store: Arc<dyn RunStore>, tracking_uri: &str, listener: Listener) -> Result<Synced, NotSynced> {
    if !folder.journal().exists() {
        return Err(NotSynced::Gone);
    }
    let lock = folder.claim()?.ok_or(NotSynced::Busy)?;
    if !folder.journal().exists() {
        // Claiming has made the folder of a journal again that was removed just before.
        std::fs::remove_dir_all(folder.path()).ok();
        return Err(NotSynced::Gone);
    }
    let (header, _) = journal::read(folder)?;
    let (journal, contents) = Journal::open(lock, header.clone())?;
    let home = header.tracking_uri.as_deref() == Some(tracking_uri);
    let (run, created) = run_for(&journal, &contents, store.as_ref(), tracking_uri, home)?;
    let run_id = run.info.run_id.clone();
    let target = Target { store, tracking_uri: tracking_uri.into(), run_id: run_id.clone() };
    let mut delivery = Delivery::new(folder, target, listener)?;
    delivery.supersede(Superseded::find(&run, &contents));
    let is_last = home || header.tracking_uri.is_none();
    if !is_last {
        delivery.leave_files();
    }
    let obstacle = deliver(&mut delivery, contents.end);
    let mut synced = Synced {
        run_id,
        created,
        refused: delivery.take_refused(),
        waiting_artifacts: delivery.waiting_artifacts(),
        obstacle,
        removed: false,
        missing_artifacts: 0,
    };
    if synced.obstacle.is_none() && delivery.is_complete(contents.end) {
        synced.obstacle = delivery.leave_refusals().err();
        // What went elsewhere is still owed to the run's own store.
        if synced.obstacle.is_none() && is_last {
            journal.into_lock().remove()?;
            synced.removed = true;
        }
    }
    synced.missing_artifacts = if home { 0 } else { delivery.missing_artifacts() };
    Ok(synced)
}

fn deliver(delivery: &mut Delivery, end: u64) -> Option<TrackingError> {
    let mut backoff = Backoff::default();
    loop {
        match delivery.step(end) {
            Ok(true) => backoff.reset(),
            Ok(false) if delivery.waiting_artifacts() == 0 || delivery.artifact_failures() >= TRIES => return None,
            Ok(false) => {
                let next = delivery.next_artifacts();
                next.map(|next| next.saturating_duration_since(std::time::Instant::now())).into_iter().for_each(std::thread::sleep);
            }
            Err(Obstacle::Away(_)) if backoff.failures() + 1 < TRIES => std::thread::sleep(backoff.next()),
            Err(obstacle) => return Some(obstacle.error().clone()),
        }
    }
}

/// The run that the journal is delivered to, and whether it was made just now.
fn run_for(
    journal: &Journal,
    contents: &Contents,
    store: &dyn RunStore,
    tracking_uri: &str,
    home: bool,
) -> Result<(Run, bool), TrackingError> {
    let header = journal.header();
    if home {
        return Ok((store.run(&header.run_id)?.ok_or_else(|| ApiError::run_not_found(&header.run_id))?, false));
    }
    if let Some(position) = Positions::read(&journal.folder().delivered()).of(tracking_uri) {
        return Ok((store.run(&position.run_id)?.ok_or_else(|| ApiError::run_not_found(&position.run_id))?, false));
    }
    let Some(birth) = &contents.birth else {
        let why = "it does not say how the run came to be, so the run cannot be made in another store".into();
        return Err(TrackingError::Journal { path: journal.folder().journal(), why });
    };
    if !birth.whole {
        let home = header.tracking_uri.as_deref().unwrap_or("its own store");
        let why = format!("the beginning of the run was delivered to {home} before, so another store would get only a part of it");
        return Err(TrackingError::Journal { path: journal.folder().journal(), why });
    }
    made_before(store, &header.run_id)?.map_or_else(|| Ok((make(store, journal, birth)?, true)), |found| Ok((found, false)))
}

/// A run that was made from this journal by a process that could not note it any more. It can be in any experiment: that of its
/// parent, or of its parent's parent.
fn made_before(store: &dyn RunStore, run_id: &str) -> Result<Option<Run>, TrackingError> {
    let experiment_ids = all_experiments(store)?.into_iter().map(|experiment| experiment.experiment_id).collect();
    run_tagged(store, experiment_ids, SOURCE_RUN_TAG, run_id)
}

fn make(store: &dyn RunStore, journal: &Journal, birth: &Birth) -> Result<Run, TrackingError> {
    let mut tags = birth.tags.clone();
    let parent = match tags.iter_mut().find(|tag| tag.key == PARENT_RUN_TAG) {
        Some(tag) => parent(store, tag, journal)?,
        None => None,
    };
    tags.push(RunTag::new(SOURCE_RUN_TAG, &journal.header().run_id));
    store.create_run(&NewRun {
        experiment_id: parent.map_or_else(|| experiment_named(store, &birth.experiment_name), |run| Ok(run.info.experiment_id))?,
        run_name: Some(birth.run_name.clone()).filter(|name| !name.is_empty()),
        user_id: birth.user_id.clone(),
        start_time: birth.start_time,
        tags,
    })
}

/// The run that the tag means as the store has it: one that was logged offline too has another id there, which the tag then names.
fn parent(store: &dyn RunStore, tag: &mut RunTag, journal: &Journal) -> Result<Option<Run>, TrackingError> {
    if let Some(made) = made_before(store, &tag.value)? {
        tag.value.clone_from(&made.info.run_id);
        return Ok(Some(made));
    }
    let found = store.run(&tag.value)?;
    // A run is made once: the id that its parent will have must be known by then.
    if found.is_none() && journal.folder().of_another(&tag.value).journal().exists() {
        let why =
            format!("its parent run {} waits beside it and has to be delivered first (`anmok sync` without RUN delivers both)", tag.value);
        return Err(TrackingError::Journal { path: journal.folder().journal(), why });
    }
    Ok(found)
}

/// The id of the experiment of this name, which is made if it does not exist.
///
/// # Errors
/// What keeps the store from answering; a name that it refuses.
pub fn experiment_named(store: &dyn RunStore, name: &str) -> Result<String, TrackingError> {
    if let Some(experiment) = store.experiment_by_name(name)? {
        return Ok(experiment.experiment_id);
    }
    match store.create_experiment(&NewExperiment { name: name.to_owned(), ..NewExperiment::default() }) {
        Ok(id) => Ok(id),
        // Another process may have made it in the meantime.
        Err(TrackingError::Refused(refused)) if refused.code == ErrorCode::ResourceAlreadyExists => {
            let found = store.experiment_by_name(name)?.map(|experiment| experiment.experiment_id);
            found.ok_or(TrackingError::Refused(refused))
        }
        Err(error) => Err(error),
    }
}
