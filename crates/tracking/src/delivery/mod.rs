//! From a journal to a store: in order, in batches of MLflow's size, each thing at least once and with the same effect as once.
//!
//! A point that comes again is the same point to a store (its timestamp was fixed when it was journalled), a param or data set
//! that comes again changes nothing, and an artifact is replaced by itself: so what a crash leaves in doubt is delivered again.
//!
//! Order: nothing overtakes what was logged before it, with one exception. An artifact whose upload fails (a bucket that is
//! away, credentials that have expired) is passed over and tried again later, so that metrics are not held up by it. A
//! checkpoint among the artifacts therefore never is newer than the metrics.
//!
//! - `batch`: what goes into one request
//! - `backoff`: when to try again
//! - `artifacts`: files, which are passed over while they cannot be uploaded
//! - [`event`]: what the user should know
//! - [`offline`]: runs that have no store yet
//! - [`refusal`]: what a store refuses for good
//! - [`superseded`]: a journal that comes after a later one
//! - [`sync`]: delivering what other processes left

mod artifacts;
pub(crate) mod backoff;
pub(crate) mod batch;
pub mod event;
pub mod offline;
pub mod refusal;
pub mod superseded;
pub mod sync;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anmok_protocol::{ApiError, Batch, LifecycleStage, RunInputs};

use self::backoff::Backoff;
use self::batch::Gathering;
pub use self::event::{Event, Listener};
use self::refusal::{Refusal, is_refusal};
use self::superseded::Superseded;
use crate::artifact::ArtifactStore;
use crate::error::TrackingError;
use crate::journal::{self, Folder, Next, Position, Positions, Reader, Record};
use crate::store::{RunStore, RunUpdate};

/// Where a journal goes.
#[derive(Clone)]
pub struct Target {
    /// The store.
    pub store: Arc<dyn RunStore>,
    /// Its URI without passwords.
    pub tracking_uri: String,
    /// The run there.
    pub run_id: String,
}

/// Why nothing more is delivered at the moment.
#[derive(Debug, Clone)]
pub enum Obstacle {
    /// The store does not answer, or not as it should: later it may.
    Away(TrackingError),
    /// The run is deleted or not there: nothing of it can be stored until somebody restores it.
    RunGone(TrackingError),
    /// The journal itself cannot be read or its position not be written.
    Journal(TrackingError),
}

impl Obstacle {
    /// What happened.
    pub fn error(&self) -> &TrackingError {
        match self {
            Self::Away(error) | Self::RunGone(error) | Self::Journal(error) => error,
        }
    }
}

/// A journal on its way to one store.
pub struct Delivery {
    target: Target,
    folder: Folder,
    listener: Listener,
    reader: Reader,
    positions: Positions,
    position: Position,
    artifacts: Option<ArtifactStore>,
    artifact_backoff: Backoff,
    next_artifacts: Option<Instant>,
    refused: Vec<Refusal>,
    missing_artifacts: usize,
    told_that_artifacts_wait: bool,
    superseded: Option<Superseded>,
    /// Whether the run's own store still needs the artifacts that are kept.
    leaves_files: bool,
    progress: Arc<Progress>,
}

/// What a delivery that stays at one place of the journal is about.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes of the artifact that is on its way, which may take long; 0 if none is.
    pub uploading: AtomicU64,
    /// How often the store has answered what it was given.
    pub answers: AtomicU64,
}

impl Delivery {
    /// Goes on where delivery to this store stands.
    ///
    /// # Errors
    /// A journal that cannot be read.
    pub fn new(folder: &Folder, target: Target, listener: Listener) -> Result<Self, TrackingError> {
        let positions = Positions::read(&folder.delivered());
        let position = match positions.of(&target.tracking_uri).filter(|position| position.run_id == target.run_id) {
            Some(position) => position.clone(),
            None => Position {
                tracking_uri: target.tracking_uri.clone(),
                run_id: target.run_id.clone(),
                offset: journal::first_record(folder)?,
                artifacts: vec![],
                refused: 0,
            },
        };
        let reader = journal::open_at(&folder.journal(), position.offset)?;
        Ok(Self {
            folder: folder.clone(),
            listener,
            reader,
            // What waits may be tried at once.
            next_artifacts: None,
            artifact_backoff: Backoff::default(),
            artifacts: None,
            refused: vec![],
            missing_artifacts: 0,
            told_that_artifacts_wait: false,
            superseded: None,
            leaves_files: false,
            progress: Arc::default(),
            positions,
            position,
            target,
        })
    }

    /// Leaves artifacts where they are kept: the run's own store has yet to get them.
    pub fn leave_files(&mut self) {
        self.leaves_files = true;
    }

    /// Delivers only what the store lacks.
    pub fn supersede(&mut self, superseded: Option<Superseded>) {
        self.superseded = superseded;
    }

    /// How far everything but the artifacts that wait is delivered.
    pub fn offset(&self) -> u64 {
        self.position.offset
    }

    /// How many artifacts wait.
    pub fn waiting_artifacts(&self) -> usize {
        self.position.artifacts.len()
    }

    /// How often the upload of artifacts has failed in a row.
    pub fn artifact_failures(&self) -> u32 {
        self.artifact_backoff.failures()
    }

    /// Artifacts that were passed over because they are not kept any more.
    pub fn missing_artifacts(&self) -> usize {
        self.missing_artifacts
    }

    /// What has been refused by the store since the last call.
    pub fn take_refused(&mut self) -> Vec<Refusal> {
        std::mem::take(&mut self.refused)
    }

    /// The run that is written to, and where.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whether everything up to `end` is delivered.
    pub fn is_complete(&self, end: u64) -> bool {
        self.position.offset >= end && self.position.artifacts.is_empty()
    }

    /// Tells another thread what is done.
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// When waiting artifacts are tried again; `None` if none wait, or they can be tried now.
    pub fn next_artifacts(&self) -> Option<Instant> {
        self.next_artifacts.filter(|_| !self.position.artifacts.is_empty())
    }

    /// Delivers the next batch or the next single thing of what ends at `end` or before. False: there is nothing to do now.
    ///
    /// # Errors
    /// [`Obstacle`]; the next call tries the same again.
    pub fn step(&mut self, end: u64) -> Result<bool, Obstacle> {
        let due = self.next_artifacts.is_none_or(|next| Instant::now() >= next);
        if due && !self.position.artifacts.is_empty() {
            self.retry_artifact()?;
            return Ok(true);
        }
        if self.position.offset >= end {
            return Ok(false);
        }
        self.reader.seek(self.position.offset);
        let (gathering, end_of_batch) = self.gather(end)?;
        if gathering.records.is_empty() {
            let start = self.reader.offset();
            let Some(record) = self.read(end)? else { return Ok(false) };
            let end_of_record = self.reader.offset();
            self.deliver(record, start)?;
            self.position.offset = end_of_record;
        } else {
            self.deliver_batch(&gathering)?;
            self.position.offset = end_of_batch;
        }
        self.save()?;
        Ok(true)
    }

    /// As many records as fit into a batch, and where the last of them ends.
    fn gather(&mut self, end: u64) -> Result<(Gathering, u64), Obstacle> {
        let mut gathering = Gathering::default();
        let mut offset = self.reader.offset();
        while let Some(record) = self.read(end)? {
            if gathering.take(record).is_some() {
                break;
            }
            offset = self.reader.offset();
        }
        self.reader.seek(offset);
        Ok((gathering, offset))
    }

    fn read(&mut self, end: u64) -> Result<Option<Record>, Obstacle> {
        match self.reader.record(end) {
            Ok(Next::Whole(record)) => Ok(Some(record)),
            Ok(Next::End | Next::Torn) => Ok(None),
            Err(error) => Err(Obstacle::Journal(TrackingError::io("reading the journal", &self.folder.journal(), error))),
        }
    }

    fn deliver_batch(&mut self, gathering: &Gathering) -> Result<(), Obstacle> {
        match self.log(gathering.batch()) {
            Ok(()) => Ok(()),
            Err(error) if is_refusal(&error) => self.find_refused(gathering),
            Err(error) => Err(Obstacle::Away(error)),
        }
    }

    fn log(&mut self, batch: Batch) -> Result<(), TrackingError> {
        let Target { store, run_id, .. } = &self.target;
        let batch = match &mut self.superseded {
            Some(superseded) => superseded.missing(batch, store.as_ref())?,
            None => batch,
        };
        if batch == Batch::default() {
            return Ok(());
        }
        let logged = store.log_batch(run_id, &batch);
        if logged.as_ref().err().is_none_or(is_refusal) {
            self.progress.answers.fetch_add(1, Ordering::Relaxed);
        }
        logged
    }

    /// A batch is stored wholly or not at all: what is wrong with it is found by sending ever smaller ones.
    fn find_refused(&mut self, gathering: &Gathering) -> Result<(), Obstacle> {
        self.check_run()?;
        let mut refused = vec![];
        for record in &gathering.records {
            let batch = batch::batch_of(record);
            match self.log(batch.clone()) {
                Ok(()) => continue,
                Err(error) if !is_refusal(&error) => return Err(Obstacle::Away(error)),
                Err(_) => {}
            }
            for one in batch::each(batch) {
                match self.log(one.clone()) {
                    Ok(()) => {}
                    Err(error) if is_refusal(&error) => refused.push(Refusal::of(&one, &error)),
                    Err(error) => return Err(Obstacle::Away(error)),
                }
            }
        }
        // The run may have been deleted in the meantime: then nothing of this was wrong.
        self.check_run()?;
        refused.into_iter().try_for_each(|refusal| self.refuse(refusal))
    }

    fn check_run(&self) -> Result<(), Obstacle> {
        let run_id = &self.target.run_id;
        match self.target.store.run(run_id) {
            Ok(Some(run)) if run.info.lifecycle_stage == LifecycleStage::Active => Ok(()),
            Ok(Some(_)) => Err(Obstacle::RunGone(ApiError::invalid(format!("the run {run_id} is deleted in the store")).into())),
            Ok(None) => Err(Obstacle::RunGone(ApiError::run_not_found(run_id).into())),
            Err(error) if is_refusal(&error) => Err(Obstacle::RunGone(error)),
            Err(error) => Err(Obstacle::Away(error)),
        }
    }

    fn refuse(&mut self, refusal: Refusal) -> Result<(), Obstacle> {
        refusal.record(&self.folder.refused()).map_err(Obstacle::Journal)?;
        (self.listener)(&Event::Refused(&refusal));
        self.position.refused += 1;
        self.refused.push(refusal);
        Ok(())
    }

    /// Delivers what is no part of a batch.
    fn deliver(&mut self, record: Record, start: u64) -> Result<(), Obstacle> {
        let (store, run_id) = (&self.target.store, &self.target.run_id);
        let (what, stored) = match record {
            Record::Dataset(input) => {
                (format!("data set {}", input.dataset.name), store.log_inputs(run_id, &RunInputs::datasets(vec![input])))
            }
            Record::Status { .. } if self.superseded.is_some() => return Ok(()),
            Record::Status { status, end_time } => {
                let update = RunUpdate { status: Some(status), end_time, run_name: None };
                (format!("status {status}"), store.update_run(run_id, &update).map(drop))
            }
            Record::Artifact { path, file } => return self.deliver_artifact(&path, file, start),
            // Made before anything was delivered; the rest goes into batches.
            Record::Birth(_) | Record::Metrics { .. } | Record::Params(_) | Record::Tags(_) => return Ok(()),
        };
        match stored {
            Ok(()) => Ok(()),
            Err(error) if is_refusal(&error) => {
                self.check_run()?;
                self.refuse(Refusal::new(what, &error))
            }
            Err(error) => Err(Obstacle::Away(error)),
        }
    }

    fn save(&mut self) -> Result<(), Obstacle> {
        self.positions.set(self.position.clone());
        self.positions.write(&self.folder.delivered()).map_err(Obstacle::Journal)
    }
}
