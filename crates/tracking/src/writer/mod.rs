//! One run's log that never makes the training step wait, and never loses what it was given.
//!
//! A call encodes what it is given into a buffer. One thread writes the buffer to the run's [journal](crate::journal); another
//! delivers the journal to the store, through any outage. When the process dies, `anmok sync` or the next sitting of the same
//! run delivers what is left.
//!
//! - `entrance`, `inbox`: into the buffer, the buffer, and what the threads tell
//! - `journalling`, `delivering`: the two threads
//! - `long_values`: MLflow's limits

mod delivering;
mod entrance;
mod inbox;
mod journalling;
mod long_values;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anmok_protocol::{ApiError, DatasetInput, LifecycleStage, Param, RunStatus, RunTag, limits};

use self::delivering::{Delivering, Heartbeat, SILENCE, SLOWEST_UPLOAD};
pub use self::delivering::{HEARTBEAT_EVERY, HEARTBEAT_TAG};
pub use self::entrance::SideEntrance;
use self::entrance::{chunks, log_metrics, send};
use self::inbox::{File, Shared};
use self::journalling::Journalling;
use self::long_values::{fit, fit_dataset, fit_name};
use crate::delivery::refusal::Refusal;
use crate::delivery::{Delivery, Event, Listener, Progress, Target};
use crate::error::TrackingError;
use crate::journal::{self, Birth, Folder, Header, Journal, Record, claim_any, frame};
use crate::store::{RunStore, now_ms};

/// How a run is logged.
#[derive(Clone)]
pub struct LogOptions {
    /// The folder that holds the journals of all runs.
    pub journals: PathBuf,
    /// The store's URI as [`crate::uri::identity`] gives it.
    pub tracking_uri: String,
    /// Who is told what the user should know.
    pub listener: Listener,
    /// Whether signs of life are given: by the process that trains the run.
    pub heartbeat: bool,
}

/// The log of one run. Dropped, it waits as [`RunWriter::close`] does.
pub struct RunWriter {
    run_id: String,
    shared: Arc<Shared>,
    threads: Option<Threads>,
    folder: Folder,
    steps: HashMap<String, Key>,
    long_values: u64,
}

struct Threads {
    journalling: JoinHandle<Journal>,
    delivering: Option<JoinHandle<Delivery>>,
    progress: Arc<Progress>,
}

/// A metric's name as it is logged, and the step up to which journal or store had it when the writer was opened.
struct Key {
    name: Box<str>,
    logged: Option<i64>,
}

/// How a log has ended.
#[derive(Debug)]
pub struct Closed {
    /// What is not delivered yet; `None`: everything is.
    pub pending: Option<Pending>,
    /// What the store has refused for good, in this sitting.
    pub refused: Vec<Refusal>,
}

/// What waits in the journal.
#[derive(Debug)]
pub struct Pending {
    /// The journal's folder.
    pub folder: PathBuf,
    /// What stands in the way; `None` for a run that is logged offline.
    pub obstacle: Option<TrackingError>,
    /// Artifacts whose upload has failed.
    pub artifacts: usize,
}

impl RunWriter {
    /// Opens the log of a run that is there and active, and reads how far each of its metrics is: in the store, and in what
    /// earlier sittings have left in journals on this machine.
    ///
    /// # Errors
    /// An unknown or deleted run; whatever keeps the store from answering; a journal that cannot be written.
    pub fn open(store: Arc<dyn RunStore>, run_id: &str, options: &LogOptions) -> Result<Self, TrackingError> {
        let run = store.run(run_id)?.ok_or_else(|| ApiError::run_not_found(run_id))?;
        if run.info.lifecycle_stage != LifecycleStage::Active {
            let message = format!("The run {run_id} must be in the 'active' state. Current state is {}.", run.info.lifecycle_stage);
            return Err(ApiError::invalid(message).into());
        }
        let experiment = store.experiment(&run.info.experiment_id)?.map_or_else(|| run.info.experiment_id.clone(), |found| found.name);
        let birth = Birth::of(&run, experiment);
        let stored = run.data.metrics.into_iter().map(|metric| (metric.key, metric.step)).collect();
        let target = Target { store, tracking_uri: options.tracking_uri.clone(), run_id: run_id.into() };
        let header = Header { run_id: run_id.into(), tracking_uri: Some(options.tracking_uri.clone()), created: now_ms() };
        Self::start(header, birth, stored, Some(target), options)
    }

    /// Opens the log of a run that has no store yet: it is only journalled, and `anmok sync` makes the run. `birth` counts for a
    /// run that has no journal yet.
    ///
    /// # Errors
    /// A journal that cannot be written.
    pub fn open_offline(run_id: &str, birth: Birth, options: &LogOptions) -> Result<Self, TrackingError> {
        let header = Header { run_id: run_id.into(), tracking_uri: None, created: now_ms() };
        Self::start(header, birth, HashMap::new(), None, options)
    }

    fn start(
        header: Header,
        birth: Birth,
        mut logged: HashMap<String, i64>,
        target: Option<Target>,
        options: &LogOptions,
    ) -> Result<Self, TrackingError> {
        let run_id = header.run_id.clone();
        let lock = claim_any(&options.journals, &run_id)?;
        let folder = lock.folder().clone();
        let (mut journal, contents) = Journal::open(lock, header)?;
        if contents.torn > 0 {
            (options.listener)(&Event::Cut(contents.torn, folder.path()));
        }
        merge(&mut logged, contents.steps);
        for other in journals_of(&options.journals, &run_id)?.into_iter().filter(|other| *other != folder) {
            merge(&mut logged, journal::read(&other)?.1.steps);
        }
        if contents.birth.is_none() {
            let mut bytes = vec![];
            frame::frame(&mut bytes, |bytes| Record::Birth(birth).encode(bytes));
            journal.append(&bytes)?;
            journal.sync()?;
        }
        let steps = logged.into_iter().map(|(name, step)| (name.clone(), Key { name: name.into(), logged: Some(step) })).collect();
        let shared = Arc::new(Shared::default());
        shared.lock().written = journal.end();
        let threads = Some(start_threads(journal, &shared, target, options)?);
        Ok(Self { run_id, shared, threads, folder, steps, long_values: 0 })
    }

    /// The run that is written to.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Metrics of one step, with this moment as their timestamp. A point that is not above the step that journal and store had
    /// of its key when the writer was opened is dropped: a resumed run repeats what it did since its checkpoint.
    ///
    /// Never waits for the store, nor for a disk that fails; for one that is slow, once 16 MiB wait for it.
    pub fn metrics(&mut self, step: i64, metrics: &[(&str, f64)]) {
        for &(name, _) in metrics {
            if !self.steps.contains_key(name) {
                self.steps.insert(name.into(), Key { name: fit_name(name).into(), logged: None });
            }
        }
        let fresh = metrics.iter().filter_map(|&(name, value)| {
            let key = self.steps.get(name)?;
            key.logged.is_none_or(|logged| step > logged).then_some((&*key.name, value))
        });
        let fresh: Vec<(&str, f64)> = fresh.collect();
        log_metrics(&self.shared, step, &fresh);
    }

    /// The first step that no metric whose name begins so has yet.
    pub fn next_step(&self, prefix: &str) -> i64 {
        let steps = self.steps.iter().filter(|(name, _)| name.starts_with(prefix)).filter_map(|(_, key)| key.logged);
        steps.max().map_or(0, |last| last.saturating_add(1))
    }

    /// For metrics of another thread.
    pub fn side_entrance(&self) -> SideEntrance {
        SideEntrance(self.shared.clone())
    }

    /// Params. A value that is too long is cut, with the whole among the artifacts. One that the run has already with another
    /// value is refused by the store, which is told and recorded.
    pub fn params(&mut self, params: &[(String, String)]) {
        let fitted = params.iter().map(|(key, value)| {
            let fitted = self.fitted("params", key, value, limits::PARAM_VALUE_LENGTH);
            (fitted.0.len() + fitted.1.len(), Param { key: fitted.0, value: fitted.1 })
        });
        for chunk in chunks(fitted.collect(), limits::BATCH_PARAMS) {
            self.send(&Record::Params(chunk));
        }
    }

    /// Tags; the last value of a key stays. Long values as with params.
    pub fn tags(&mut self, tags: &[(String, String)]) {
        let fitted = tags.iter().map(|(key, value)| {
            let fitted = self.fitted("tags", key, value, limits::TAG_VALUE_LENGTH);
            (fitted.0.len() + fitted.1.len(), RunTag { key: fitted.0, value: fitted.1 })
        });
        for chunk in chunks(fitted.collect(), limits::BATCH_TAGS) {
            self.send(&Record::Tags(chunk));
        }
    }

    /// Copies a file to `path` among the run's artifacts. It must be there until the next flush. From then on it may be replaced
    /// or removed, but not changed: the journal keeps it by a hard link where it can.
    pub fn artifact(&mut self, path: &str, file: &Path) {
        self.send_file(path, file, false, false);
    }

    /// As [`Self::artifact`] for a file that may grow or change: the journal keeps a copy of it as it is about now.
    pub fn changing_artifact(&mut self, path: &str, file: &Path) {
        self.send_file(path, file, true, false);
    }

    /// A data set that the run reads.
    pub fn dataset(&mut self, input: DatasetInput) {
        self.send(&Record::Dataset(fit_dataset(input)));
    }

    /// Where the run stands.
    pub fn status(&mut self, status: RunStatus, end_time: Option<i64>) {
        self.shared.lock().ending = !matches!(status, RunStatus::Running | RunStatus::Scheduled);
        self.send(&Record::Status { status, end_time });
    }

    /// Waits until everything given so far is in the journal and on the disk: from then on it is safe, whatever the store does.
    ///
    /// # Errors
    /// What keeps the journal from being written. It is tried again with the next flush, and everything given meanwhile is kept,
    /// up to 64 MiB; with more the record is given up, and every further flush fails.
    pub fn flush(&mut self) -> Result<(), TrackingError> {
        let mut state = self.shared.lock();
        state.flush_asked += 1;
        let ours = state.flush_asked;
        self.shared.notify();
        while state.flush_answered < ours && !state.journal_gone {
            state = self.shared.wait(state);
        }
        if state.lost {
            let why = "it could not be written for so long that what was logged had to be dropped".into();
            return Err(TrackingError::Journal { path: self.folder.journal(), why });
        }
        match &state.journal_failure {
            Some(error) => Err(error.clone()),
            None if state.flush_answered < ours => {
                Err(TrackingError::System { doing: "logging to the run", detail: "the logging thread has ended".into() })
            }
            None => Ok(()),
        }
    }

    /// Logs the run's end and closes the log.
    ///
    /// # Errors
    /// As [`Self::flush`]. A store that is away is no error: see [`Closed::pending`].
    pub fn finish(mut self, status: RunStatus) -> Result<Closed, TrackingError> {
        self.status(status, Some(now_ms()));
        self.close()
    }

    /// Waits until everything is in the journal, and until it is delivered as well as long as the store takes it; one that fails
    /// is waited for ten seconds, one that says nothing for twenty, and as long as an artifact on its way needs at 256 KiB/s. A
    /// journal that is delivered wholly is removed.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub fn close(mut self) -> Result<Closed, TrackingError> {
        self.flush()?;
        self.end()
    }

    fn end(&mut self) -> Result<Closed, TrackingError> {
        self.shared.lock().closed = true;
        self.shared.notify();
        let Some(Threads { journalling, delivering, progress }) = self.threads.take() else {
            return Ok(Closed { pending: None, refused: vec![] });
        };
        let gone = |_| TrackingError::System { doing: "logging to the run", detail: "the logging thread has ended".into() };
        let journal = journalling.join().map_err(gone)?;
        let delivery = delivering.filter(|_| self.is_answered(&progress)).map(JoinHandle::join).transpose().map_err(gone)?;
        let end = journal.end();
        let lock = journal.into_lock();
        let mut pending = Pending { folder: self.folder.path().into(), obstacle: None, artifacts: 0 };
        {
            let state = self.shared.lock();
            (pending.obstacle, pending.artifacts) = (state.obstacle.clone(), state.waiting_artifacts);
        }
        let complete = delivery.is_some_and(|mut delivery| {
            delivery.is_complete(end) && delivery.leave_refusals().inspect_err(|error| pending.obstacle = Some(error.clone())).is_ok()
        });
        let refused = std::mem::take(&mut self.shared.lock().refused);
        let mut state = self.shared.lock();
        if complete {
            lock.remove()?;
        } else if state.abandoned {
            state.lock = Some(lock);
        }
        drop(state);
        Ok(Closed { pending: (!complete).then_some(pending), refused })
    }

    /// Waits until delivery has ended. False: the store is silent, and the thread that asks it is left to itself.
    fn is_answered(&self, progress: &Progress) -> bool {
        let mut state = self.shared.lock();
        let (mut before, mut since) = (None, Instant::now());
        while !state.delivery_gone {
            let now = Some((state.delivered, state.waiting_artifacts, progress.answers.load(Ordering::Relaxed)));
            if now != before {
                (before, since) = (now, Instant::now());
            }
            let patience = SILENCE + Duration::from_secs(progress.uploading.load(Ordering::Relaxed) / SLOWEST_UPLOAD);
            if since.elapsed() >= patience {
                state.abandoned = true;
                let detail = format!("the store has not answered for {} s", patience.as_secs());
                state.obstacle.get_or_insert(TrackingError::System { doing: "logging to the run", detail });
                return false;
            }
            state = self.shared.wait_for(state, Duration::from_millis(500));
        }
        true
    }

    /// CPU time of the logging threads so far, the store's work in them included: the cost of tracking besides these calls.
    pub fn cpu_seconds(&self) -> f64 {
        let nanoseconds =
            self.shared.journal_nanoseconds.load(Ordering::Relaxed) + self.shared.delivery_nanoseconds.load(Ordering::Relaxed);
        nanoseconds as f64 / 1e9
    }

    /// Name and value as they can be logged. The whole of a long value goes to the artifacts.
    fn fitted(&mut self, kind: &str, key: &str, value: &str, limit: usize) -> (String, String) {
        let fitted = fit(kind, key, value, limit);
        if let Some((path, whole)) = fitted.whole {
            let file = self.folder.path().join("files").join(format!("long-{}-{}", std::process::id(), self.long_values));
            self.long_values += 1;
            // A file that cannot be written is told as an artifact that is missing.
            std::fs::write(&file, whole).ok();
            self.send_file(&path, &file, false, true);
        }
        (fitted.key, fitted.value)
    }

    fn send(&mut self, record: &Record) {
        send(&self.shared, |bytes| record.encode(bytes));
    }

    fn send_file(&mut self, path: &str, file: &Path, may_change: bool, remove: bool) {
        if let Some(mut state) = self.shared.room() {
            let idle = state.frames.is_empty() && state.files.is_empty();
            let after = state.frames.len();
            state.files.push(File { after, path: path.into(), file: file.into(), may_change, remove });
            drop(state);
            if idle {
                self.shared.notify();
            }
        }
    }
}

impl Drop for RunWriter {
    fn drop(&mut self) {
        // Whoever wants to know how it ended closes it.
        self.end().ok();
    }
}

fn merge(steps: &mut HashMap<String, i64>, more: HashMap<String, i64>) {
    for (name, step) in more {
        steps.entry(name).and_modify(|last| *last = step.max(*last)).or_insert(step);
    }
}

/// The folders of a run's journals.
fn journals_of(root: &Path, run_id: &str) -> Result<Vec<Folder>, TrackingError> {
    let mut folders = Folder::list(root)?;
    folders.retain(|folder| {
        let name = folder.path().file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name == run_id || name.strip_prefix(run_id).is_some_and(|rest| rest.starts_with('.'))
    });
    Ok(folders)
}

fn start_threads(journal: Journal, shared: &Arc<Shared>, target: Option<Target>, options: &LogOptions) -> Result<Threads, TrackingError> {
    let failed = |error: std::io::Error| TrackingError::System { doing: "starting the logging thread", detail: error.to_string() };
    let delivering = match target {
        None => None,
        Some(target) => Some(Delivering {
            delivery: Delivery::new(journal.folder(), target.clone(), options.listener.clone())?,
            target,
            shared: shared.clone(),
            listener: options.listener.clone(),
            heartbeat: options.heartbeat.then(Heartbeat::new),
            tried_at_the_end: false,
        }),
    };
    let progress = delivering.as_ref().map(|delivering| delivering.delivery.progress()).unwrap_or_default();
    let journalling = Journalling::new(journal, shared.clone(), options.listener.clone());
    let journalling = std::thread::Builder::new().name("journal".into()).spawn(move || journalling.run()).map_err(failed)?;
    let delivering = delivering.map(|delivering| std::thread::Builder::new().name("delivery".into()).spawn(move || delivering.run()));
    let delivering = delivering.transpose().map_err(|error| {
        shared.lock().closed = true;
        shared.notify();
        failed(error)
    })?;
    Ok(Threads { journalling, delivering, progress })
}
