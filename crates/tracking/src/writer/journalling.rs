//! The thread that writes the journal.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::inbox::{File, Shared, thread_cpu_nanoseconds};
use crate::delivery::refusal::Refusal;
use crate::delivery::{Event, Listener};
use crate::error::TrackingError;
use crate::journal::{Journal, Record, frame};

/// How long calls are gathered before they are written: few writes, and little that a killed process has not written.
const GATHERING: Duration = Duration::from_millis(200);
/// Bytes that are not gathered any further.
pub(super) const ENOUGH: usize = 1 << 20;
/// How long written records may be on their way to the disk.
const SYNC_EVERY: Duration = Duration::from_secs(5);
/// How long to wait after a failure, unless a flush asks before.
const RETRY: Duration = Duration::from_secs(1);

pub(super) struct Journalling {
    pub journal: Journal,
    pub shared: Arc<Shared>,
    pub listener: Listener,
    /// Taken, and not yet written: only after a failure is there any.
    frames: Vec<u8>,
    files: Vec<File>,
    /// Since when something written waits for the disk.
    unsynced: Option<Instant>,
    failing: bool,
}

impl Journalling {
    pub fn new(journal: Journal, shared: Arc<Shared>, listener: Listener) -> Self {
        Self { journal, shared, listener, frames: vec![], files: vec![], unsynced: None, failing: false }
    }

    /// Writes until there is nothing more to come, and gives the journal back.
    pub fn run(mut self) -> Journal {
        /// Also when the thread panics: whoever waits must wake up and find it gone.
        struct Farewell(Arc<Shared>);
        impl Drop for Farewell {
            fn drop(&mut self) {
                self.0.lock().journal_gone = true;
                self.0.notify();
            }
        }
        let _farewell = Farewell(self.shared.clone());
        loop {
            let (flush, closed) = self.take();
            let mut result = self.write();
            if result.is_ok() && (flush.is_some() || closed || self.unsynced.is_some_and(|since| since.elapsed() >= SYNC_EVERY)) {
                result = self.sync();
            }
            self.shared.journal_nanoseconds.store(thread_cpu_nanoseconds(), Ordering::Relaxed);
            self.tell(result, flush);
            if closed {
                return self.journal;
            }
        }
    }

    /// Waits for work and takes it: the flush that is to be answered, and whether this is the end.
    fn take(&mut self) -> (Option<u64>, bool) {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        let urgent = |state: &super::inbox::State| state.closed || state.flush_asked > state.flush_answered;
        if self.failing {
            if !urgent(&state) {
                state = shared.wait_for(state, RETRY);
            }
        } else {
            while !urgent(&state) && state.frames.is_empty() && state.files.is_empty() {
                match self.unsynced.map(|since| SYNC_EVERY.saturating_sub(since.elapsed())) {
                    Some(Duration::ZERO) => return (None, false),
                    Some(left) => state = shared.wait_for(state, left),
                    None => state = shared.wait(state),
                }
            }
            let deadline = Instant::now() + GATHERING;
            while !urgent(&state) && state.frames.len() < ENOUGH {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                state = shared.wait_for(state, left);
            }
        }
        if self.frames.is_empty() && self.files.is_empty() {
            // Swapped, so that neither side allocates in the long run.
            std::mem::swap(&mut self.frames, &mut state.frames);
            std::mem::swap(&mut self.files, &mut state.files);
        } else if self.frames.len() < super::inbox::KEPT_BYTES {
            let before = self.frames.len();
            self.frames.append(&mut state.frames);
            self.files.extend(state.files.drain(..).map(|file| File { after: file.after + before, ..file }));
        }
        let flush = (state.flush_asked > state.flush_answered).then_some(state.flush_asked);
        let closed = state.closed;
        drop(state);
        // Whoever waited for room.
        shared.notify();
        (flush, closed)
    }

    /// Writes what was taken; what cannot be written stays.
    fn write(&mut self) -> Result<(), TrackingError> {
        while let Some(file) = self.files.first() {
            let after = file.after;
            self.append(after)?;
            let file = self.files.remove(0);
            // The frames before it are gone from the front.
            self.files.iter_mut().for_each(|later| later.after -= after);
            if let Err(error) = self.keep(&file) {
                self.files.insert(0, File { after: 0, ..file });
                return Err(error);
            }
        }
        self.append(self.frames.len())
    }

    fn append(&mut self, bytes: usize) -> Result<(), TrackingError> {
        if bytes > 0 {
            self.journal.append(&self.frames[..bytes])?;
            self.frames.drain(..bytes);
            self.unsynced.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// Keeps a file and notes it. One that is not there never will be: it is told, and the rest goes on.
    fn keep(&mut self, file: &File) -> Result<(), TrackingError> {
        let number = match self.journal.keep(&file.file, file.may_change) {
            Ok(number) => number,
            Err(error) if !file.file.is_file() => {
                let refusal = Refusal::new(format!("artifact {}", file.path), &error);
                (self.listener)(&Event::Refused(&refusal));
                // The list that survives the process may be on the disk that fails; the one in memory is told at the end.
                refusal.record(&self.journal.folder().refused()).ok();
                self.shared.lock().refused.push(refusal);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut bytes = vec![];
        frame::frame(&mut bytes, |bytes| Record::Artifact { path: file.path.clone(), file: number }.encode(bytes));
        self.journal.append(&bytes)?;
        self.unsynced.get_or_insert_with(Instant::now);
        if file.remove {
            std::fs::remove_file(&file.file).ok();
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), TrackingError> {
        if self.unsynced.is_some() {
            self.journal.sync()?;
            self.unsynced = None;
        }
        Ok(())
    }

    fn tell(&mut self, result: Result<(), TrackingError>, flush: Option<u64>) {
        let failing = result.is_err();
        match &result {
            Err(error) if !self.failing => (self.listener)(&Event::JournalFails(error)),
            Ok(()) if self.failing => (self.listener)(&Event::JournalWorks),
            _ => {}
        }
        self.failing = failing;
        let mut state = self.shared.lock();
        state.written = self.journal.end();
        state.journal_failure = result.err();
        if let Some(flush) = flush {
            state.flush_answered = flush;
        }
        let waiting = self.frames.len() + state.frames.len();
        let lost = !state.lost && failing && waiting >= super::inbox::KEPT_BYTES;
        state.lost |= lost;
        if state.lost {
            // Points after a gap would hide it: a resumed run skips what is journalled.
            (state.frames, state.files) = (vec![], vec![]);
            (self.frames, self.files) = (vec![], vec![]);
        }
        drop(state);
        if lost {
            (self.listener)(&Event::RecordLost);
        }
        self.shared.notify();
    }
}
