//! One run's log that never makes the training step wait for a disk.
//!
//! Calls put what they are given on a queue; a thread of its own gathers it into batches of MLflow's size and writes them
//! through the [`RunStore`]. What is on the queue when the process dies is lost: whoever needs to know that something is
//! stored calls [`RunWriter::flush`].

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anmok_protocol::{ApiError, ArtifactPath, Batch, DatasetInput, LifecycleStage, Metric, Param, RunInputs, RunStatus, RunTag, limits};

use crate::artifact::ArtifactStore;
use crate::error::TrackingError;
use crate::store::{RunStore, RunUpdate, now_ms};

/// Calls that wait in the queue at most; then a call waits for a place.
const QUEUED_CALLS: usize = 8192;
/// How long the thread gathers before it writes: few commits, and still a live picture for whoever watches the run.
const GATHERING: Duration = Duration::from_millis(200);
/// Calls that are kept while the store fails: hours of training. With more the record is given up, so that a store that
/// stays away cannot fill the memory.
const KEPT_CALLS: usize = 100_000;

/// The log of one run. It is dropped only after everything was written (or failed).
pub struct RunWriter {
    run_id: String,
    store: Arc<dyn RunStore>,
    queue: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    keys: HashMap<String, Key>,
}

/// A metric's name, and the step up to which the store had it when the writer was opened.
struct Key {
    name: Arc<str>,
    stored: Option<i64>,
}

/// What the thread tells.
#[derive(Default)]
struct Shared {
    cpu_nanoseconds: AtomicU64,
    failure: Mutex<Option<TrackingError>>,
}

impl Shared {
    fn failure(&self) -> MutexGuard<'_, Option<TrackingError>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Message {
    Metrics { timestamp: i64, step: i64, points: Vec<(Arc<str>, f64)> },
    Params(Vec<(String, String)>),
    Tags(Vec<(String, String)>),
    Artifact { path: String, file: PathBuf },
    Dataset(DatasetInput),
    Flush(SyncSender<()>),
}

impl RunWriter {
    /// Opens the log of a run that is there and active, and reads how far each of its metrics is.
    ///
    /// # Errors
    /// An unknown or deleted run; whatever keeps the store from answering.
    pub fn open(store: Arc<dyn RunStore>, run_id: &str) -> Result<Self, TrackingError> {
        let run = store.run(run_id)?.ok_or_else(|| ApiError::run_not_found(run_id))?;
        if run.info.lifecycle_stage != LifecycleStage::Active {
            let message = format!("The run {run_id} must be in the 'active' state. Current state is {}.", run.info.lifecycle_stage);
            return Err(ApiError::invalid(message).into());
        }
        let keys = run
            .data
            .metrics
            .into_iter()
            .map(|metric| (metric.key.clone(), Key { name: metric.key.into(), stored: Some(metric.step) }))
            .collect();
        let shared = Arc::new(Shared::default());
        let (queue, messages) = sync_channel(QUEUED_CALLS);
        let delivery = Delivery {
            run_id: run_id.into(),
            artifacts: store.artifacts(&run.info.artifact_uri),
            store: Arc::clone(&store),
            shared: Arc::clone(&shared),
            health: Health::Well,
            waiting: VecDeque::new(),
            batch: Batch::default(),
            inputs: vec![],
        };
        let thread = std::thread::Builder::new()
            .name("run-writer".into())
            .spawn(move || delivery.run(&messages))
            .map_err(|error| TrackingError::System { doing: "starting the logging thread", detail: error.to_string() })?;
        Ok(Self { run_id: run_id.into(), store, queue: Some(queue), thread: Some(thread), shared, keys })
    }

    /// The run that is written to.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Metrics of one step, with this moment as their timestamp. A point that is not above the step that the store had of
    /// its key when the writer was opened is dropped: a resumed run repeats what it did since its checkpoint.
    ///
    /// Never waits for the disk. If the queue is full (the store has been far too slow for long), it waits for a place.
    pub fn metrics(&mut self, step: i64, metrics: &[(&str, f64)]) {
        let mut points = Vec::with_capacity(metrics.len());
        for &(name, value) in metrics {
            if !self.keys.contains_key(name) {
                self.keys.insert(name.into(), Key { name: name.into(), stored: None });
            }
            let key = &self.keys[name];
            if key.stored.is_none_or(|stored| step > stored) {
                points.push((Arc::clone(&key.name), value));
            }
        }
        if !points.is_empty() {
            self.send(Message::Metrics { timestamp: now_ms(), step, points });
        }
    }

    /// Params; one that the run has already with another value is an error, which [`Self::flush`] gives.
    pub fn params(&mut self, params: &[(String, String)]) {
        self.send(Message::Params(params.to_vec()));
    }

    /// Tags; the last value of a key stays.
    pub fn tags(&mut self, tags: &[(String, String)]) {
        self.send(Message::Tags(tags.to_vec()));
    }

    /// Copies a file to `path` among the run's artifacts. The file must stay until a flush has succeeded.
    pub fn artifact(&mut self, path: &str, file: &Path) {
        self.send(Message::Artifact { path: path.into(), file: file.into() });
    }

    /// A data set that the run reads.
    pub fn dataset(&mut self, input: DatasetInput) {
        self.send(Message::Dataset(input));
    }

    /// Waits until everything given so far is stored.
    ///
    /// # Errors
    /// What keeps it from being stored. Nothing is written past it: a later point would hide that an earlier one is
    /// missing. What can pass (a lock, a full disk) is tried again with the next call or flush, and everything given
    /// meanwhile is kept; a refusal is final, and every further flush gives the same error.
    pub fn flush(&mut self) -> Result<(), TrackingError> {
        let (done, wait) = sync_channel(1);
        self.send(Message::Flush(done));
        let answered = wait.recv().is_ok();
        match self.shared.failure().clone() {
            Some(error) => Err(error),
            None if !answered => Err(TrackingError::System { doing: "logging to the run", detail: "the logging thread has ended".into() }),
            None => Ok(()),
        }
    }

    /// Flushes, and sets the run's status and end time.
    ///
    /// # Errors
    /// As [`Self::flush`]; the status is set all the same, if it can be.
    pub fn finish(mut self, status: RunStatus) -> Result<(), TrackingError> {
        let flushed = self.flush();
        let update = RunUpdate { status: Some(status), end_time: Some(now_ms()), run_name: None };
        let updated = self.store.update_run(&self.run_id, &update);
        flushed.and(updated.map(drop))
    }

    /// CPU time of the logging thread so far, the store's work in it included: the cost of tracking besides these calls.
    pub fn cpu_seconds(&self) -> f64 {
        self.shared.cpu_nanoseconds.load(Ordering::Relaxed) as f64 / 1e9
    }

    fn send(&mut self, message: Message) {
        if let Some(queue) = &self.queue {
            // Fails only if the thread is gone, which the next flush tells.
            queue.send(message).ok();
        }
    }
}

impl Drop for RunWriter {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Well,
    /// The last attempt failed, the next one may not.
    Failing,
    /// Nothing is written any more.
    Over,
}

/// The thread's side.
struct Delivery {
    run_id: String,
    store: Arc<dyn RunStore>,
    /// Opened with the writer; a location that cannot be reached is an error only for a run that has artifacts.
    artifacts: Result<ArtifactStore, TrackingError>,
    shared: Arc<Shared>,
    health: Health,
    /// Not yet in the batch, in the order they came: only while the store fails are there any.
    waiting: VecDeque<Message>,
    batch: Batch,
    inputs: Vec<DatasetInput>,
}

impl Delivery {
    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(first) = messages.recv() {
            let deadline = Instant::now() + GATHERING;
            let mut flushes = vec![];
            let mut next = Some(first);
            while let Some(message) = next {
                if let Message::Flush(done) = message {
                    flushes.push(done);
                    break;
                }
                self.accept(message);
                let left = deadline.saturating_duration_since(Instant::now());
                next = if left.is_zero() { None } else { messages.recv_timeout(left).ok() };
            }
            self.deliver();
            self.shared.cpu_nanoseconds.store(thread_cpu_nanoseconds(), Ordering::Relaxed);
            // Whoever waits may have gone; nobody is told then.
            for done in flushes {
                done.send(()).ok();
            }
        }
        // Nobody can ask any more; what waits has one last chance.
        self.deliver();
    }

    /// Takes a message in its turn: at once, or after those that a failing store has left waiting.
    fn accept(&mut self, message: Message) {
        if self.health == Health::Over {
            return;
        }
        self.waiting.push_back(message);
        if self.health == Health::Well {
            let taken = self.take_waiting();
            self.judge(taken);
        } else if self.waiting.len() > KEPT_CALLS {
            self.give_up();
        }
    }

    fn deliver(&mut self) {
        if self.health != Health::Over {
            let written = self.take_waiting().and_then(|()| self.write());
            self.judge(written);
        }
    }

    fn judge(&mut self, result: Result<(), TrackingError>) {
        match result {
            Ok(()) if self.health == Health::Well => {}
            Ok(()) => {
                self.health = Health::Well;
                *self.shared.failure() = None;
            }
            Err(error) => {
                self.health = Health::Failing;
                let can_pass = error.can_pass();
                *self.shared.failure() = Some(error);
                if !can_pass {
                    self.give_up();
                }
            }
        }
    }

    fn give_up(&mut self) {
        self.health = Health::Over;
        self.waiting = VecDeque::new();
        self.batch = Batch::default();
        self.inputs.clear();
    }

    /// A message that fails stays in front and is taken again from its beginning. What of it the store has already does no
    /// harm, for the store drops a point, param or input that it has; nor is a failed commit sure to have left nothing.
    fn take_waiting(&mut self) -> Result<(), TrackingError> {
        while let Some(message) = self.waiting.pop_front() {
            if let Err(error) = self.take(&message) {
                self.waiting.push_front(message);
                return Err(error);
            }
        }
        Ok(())
    }

    fn take(&mut self, message: &Message) -> Result<(), TrackingError> {
        match message {
            Message::Metrics { timestamp, step, points } => {
                for (key, value) in points {
                    self.make_room(|batch| batch.metrics.len() < limits::BATCH_METRICS)?;
                    self.batch.metrics.push(Metric::new(&**key, *value, *timestamp, *step));
                }
            }
            Message::Params(params) => {
                for (key, value) in params {
                    self.make_room(|batch| {
                        batch.params.len() < limits::BATCH_PARAMS && batch.params.iter().all(|param| param.key != *key)
                    })?;
                    self.batch.params.push(Param::new(key, value));
                }
            }
            Message::Tags(tags) => {
                for (key, value) in tags {
                    self.make_room(|batch| batch.tags.len() < limits::BATCH_TAGS)?;
                    self.batch.tags.push(RunTag::new(key, value));
                }
            }
            Message::Artifact { path, file } => {
                self.write()?;
                self.artifacts.as_ref().map_err(Clone::clone)?.put_file(&ArtifactPath::parse(path)?, file)?;
            }
            Message::Dataset(input) => self.inputs.push(input.clone()),
            // Handled by the caller.
            Message::Flush(_) => {}
        }
        Ok(())
    }

    /// Writes the batch if it cannot take one more thing.
    fn make_room(&mut self, has_room: impl Fn(&Batch) -> bool) -> Result<(), TrackingError> {
        let Batch { metrics, params, tags } = &self.batch;
        if metrics.len() + params.len() + tags.len() < limits::BATCH_ENTITIES && has_room(&self.batch) { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> Result<(), TrackingError> {
        if self.batch != Batch::default() {
            self.store.log_batch(&self.run_id, &self.batch)?;
            self.batch.metrics.clear();
            self.batch.params.clear();
            self.batch.tags.clear();
        }
        if !self.inputs.is_empty() {
            self.store.log_inputs(&self.run_id, &RunInputs::datasets(self.inputs.clone()))?;
            self.inputs.clear();
        }
        Ok(())
    }
}

/// CPU time of the calling thread, 0 if the system does not tell.
fn thread_cpu_nanoseconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec, which it is given.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    if result == 0 { time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewRun, StoreOptions, open};

    /// A thread that dies drops its queue before it has ended: between the two, a flush took the silence for success.
    #[test]
    fn a_flush_that_nobody_answers_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let uri = format!("sqlite:///{}", folder.path().join("anmok.db").display());
        let store: Arc<dyn RunStore> = Arc::from(open(&uri, &StoreOptions::default()).unwrap());
        let run_id = store.create_run(&NewRun::default()).unwrap().info.run_id;
        let mut writer = RunWriter::open(store, &run_id).unwrap();
        let (queue, messages) = sync_channel(1);
        drop(messages);
        // The real thread still runs, as a dying one does.
        let real = writer.queue.replace(queue);
        let error = writer.flush().unwrap_err().to_string();
        assert_eq!(error, "logging to the run: the logging thread has ended");
        drop(real);
    }
}
