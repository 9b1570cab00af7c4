//! The thread that writes checkpoints. The training thread hands over a snapshot and goes on; a snapshot that comes while
//! another is being written waits, and is replaced when a newer one comes, for only the newest is of use.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anmok_formats::safetensors;
use anmok_graph::NamedTensor;

use super::{BEST, Checkpoint, CheckpointError, LAST};
use crate::model::ModelDescription;

/// What became of a snapshot.
#[derive(Debug)]
pub struct Written {
    /// Whether it (or one it replaced) was taken at the end of an epoch.
    pub epoch_end: bool,
    /// Whether it is safe on disk.
    pub result: Result<(), CheckpointError>,
    /// Whether `best.safetensors` is up to date as well, which no run needs to go on.
    pub best: Result<(), CheckpointError>,
}

#[derive(Default)]
struct Desk {
    waiting: Option<(Checkpoint, bool)>,
    busy: bool,
    /// No more snapshots will come.
    closed: bool,
    /// The thread has ended: by itself only when closed, otherwise by a panic.
    gone: bool,
    done: Vec<Written>,
}

impl Desk {
    /// What a dead thread has not finished is lost. Each loss is told once.
    fn take_done(&mut self) -> Vec<Written> {
        let waiting = self.waiting.take_if(|_| self.gone);
        if self.gone && (self.busy || waiting.is_some()) {
            self.busy = false;
            let epoch_end = waiting.is_some_and(|(_, epoch_end)| epoch_end);
            self.done.push(Written { epoch_end, result: Err(CheckpointError::WriterGone), best: Ok(()) });
        }
        std::mem::take(&mut self.done)
    }
}

struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
}

impl Shared {
    /// A panic elsewhere leaves the desk as it was: every change to it is a single assignment.
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, desk: MutexGuard<'a, Desk>) -> MutexGuard<'a, Desk> {
        self.changed.wait(desk).unwrap_or_else(PoisonError::into_inner)
    }
}

/// The training thread's end.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub fn start(mut files: Files) -> Result<Self, CheckpointError> {
        let shared = Arc::new(Shared { desk: Mutex::default(), changed: Condvar::new() });
        let at_work = shared.clone();
        let thread = std::thread::Builder::new()
            .name("checkpoints".into())
            .spawn(move || write_until_closed(&at_work, &mut files))
            .map_err(|source| CheckpointError::Thread { source })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Hands over a snapshot, without waiting.
    pub fn submit(&self, checkpoint: Checkpoint, epoch_end: bool) {
        let mut desk = self.shared.lock();
        let replaced_epoch_end = desk.waiting.take().is_some_and(|(_, epoch_end)| epoch_end);
        desk.waiting = Some((checkpoint, epoch_end || replaced_epoch_end));
        self.shared.changed.notify_all();
    }

    /// What has been written since the last call.
    pub fn reports(&self) -> Vec<Written> {
        self.shared.lock().take_done()
    }

    /// Waits until everything handed over is written, and reports on it.
    pub fn settle(&self) -> Vec<Written> {
        let mut desk = self.shared.lock();
        while (desk.busy || desk.waiting.is_some()) && !desk.gone {
            desk = self.shared.wait(desk);
        }
        desk.take_done()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been told by `settle`; there is nobody left to tell here.
            let _ = thread.join();
        }
    }
}

fn write_until_closed(shared: &Shared, files: &mut Files) {
    /// Also when the thread panics: whoever waits in `settle` must wake up and find it gone.
    struct Farewell<'a>(&'a Shared);
    impl Drop for Farewell<'_> {
        fn drop(&mut self) {
            self.0.lock().gone = true;
            self.0.changed.notify_all();
        }
    }
    let _farewell = Farewell(shared);
    let mut desk = shared.lock();
    loop {
        if let Some((checkpoint, epoch_end)) = desk.waiting.take() {
            desk.busy = true;
            drop(desk);
            let written = files.write(checkpoint, epoch_end);
            desk = shared.lock();
            desk.busy = false;
            desk.done.push(written);
            shared.changed.notify_all();
        } else if desk.closed {
            return;
        } else {
            desk = shared.wait(desk);
        }
    }
}

/// The folder's files.
pub struct Files {
    folder: PathBuf,
    description: ModelDescription,
    /// The epoch of the model in `best.safetensors`, as far as this process has written it.
    best_written: Option<u64>,
}

impl Files {
    /// Makes the folder.
    pub fn create(folder: &Path, description: ModelDescription) -> Result<Self, CheckpointError> {
        std::fs::create_dir_all(folder).map_err(|source| CheckpointError::Folder { path: folder.to_owned(), source })?;
        Ok(Self { folder: folder.to_owned(), description, best_written: None })
    }

    /// `last.safetensors` first: it is what must not be lost.
    pub fn write(&mut self, checkpoint: Checkpoint, epoch_end: bool) -> Written {
        let best = checkpoint.best.clone();
        let best_epoch = checkpoint.state.best.as_ref().map(|best| best.epoch);
        let result = checkpoint.save(&self.folder.join(LAST));
        let best = match best {
            Some(best) if result.is_ok() && self.best_written != best_epoch => self.write_best(&best, best_epoch),
            _ => Ok(()),
        };
        Written { epoch_end, result, best }
    }

    fn write_best(&mut self, best: &[NamedTensor], epoch: Option<u64>) -> Result<(), CheckpointError> {
        safetensors::write(&self.folder.join(BEST), best, &self.description.metadata()).map_err(CheckpointError::WriteBest)?;
        self.best_written = epoch;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::tests::checkpoint;

    #[test]
    fn a_dead_thread_is_noticed_at_the_next_look_and_told_once_for_each_loss() {
        let desk = Desk { busy: true, gone: true, ..Desk::default() };
        let writer = Writer { shared: Arc::new(Shared { desk: Mutex::new(desk), changed: Condvar::new() }), thread: None };
        let lost = |reports: Vec<Written>| {
            assert!(reports.iter().all(|report| matches!(report.result, Err(CheckpointError::WriterGone))), "{reports:?}");
            reports.iter().map(|report| report.epoch_end).collect::<Vec<_>>()
        };
        assert_eq!(lost(writer.reports()), [false]);
        assert!(writer.reports().is_empty());
        writer.submit(checkpoint(), true);
        assert_eq!(lost(writer.reports()), [true]);
        writer.submit(checkpoint(), false);
        assert_eq!(lost(writer.settle()), [false]);
        assert!(writer.settle().is_empty());
    }
}
