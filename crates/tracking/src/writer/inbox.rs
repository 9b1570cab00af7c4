//! What the training thread hands over, and what it is told.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::delivery::refusal::Refusal;
use crate::error::TrackingError;
use crate::journal::Lock;

/// Bytes that wait for the journal before a call waits too: only for a disk that works but is slow.
const SLOW_DISK_BYTES: usize = 16 << 20;
/// Bytes that wait at most while the journal cannot be written. With more the record is given up: a disk that stays full must
/// not fill the memory as well.
pub(super) const KEPT_BYTES: usize = 64 << 20;

/// Shared by the calls and the two threads.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// CPU time of the thread that writes the journal.
    pub journal_nanoseconds: AtomicU64,
    /// CPU time of the thread that delivers.
    pub delivery_nanoseconds: AtomicU64,
}

/// Changed under the lock only.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Frames, in order.
    pub frames: Vec<u8>,
    /// Files that belong between them.
    pub files: Vec<File>,
    /// Flushes that were asked for and answered, by number.
    pub flush_asked: u64,
    pub flush_answered: u64,
    /// What keeps the journal from being written.
    pub journal_failure: Option<TrackingError>,
    /// Something was dropped: from then on nothing is taken.
    pub lost: bool,
    /// The run's end is logged: it gives no more signs of life.
    pub ending: bool,
    /// No more will come.
    pub closed: bool,
    /// The end of the run does not wait any longer for what is under way.
    pub abandoned: bool,
    /// The journal's, of which that is a part: nobody else may deliver it as long as the thread lives.
    pub lock: Option<Lock>,
    /// The journal's end: what may be delivered.
    pub written: u64,
    /// The threads that have ended, by themselves or by a panic.
    pub journal_gone: bool,
    pub delivery_gone: bool,
    /// What has been delivered, as far as it has.
    pub delivered: u64,
    pub waiting_artifacts: usize,
    /// What stands in the way of delivery.
    pub obstacle: Option<TrackingError>,
    pub refused: Vec<Refusal>,
}

/// A file to keep, at its place among the frames.
#[derive(Debug)]
pub(super) struct File {
    /// So many bytes of frames come before it.
    pub after: usize,
    /// Among the run's artifacts.
    pub path: String,
    /// Where it lies.
    pub file: PathBuf,
    pub may_change: bool,
    /// Made for this, and not needed any more when it is kept.
    pub remove: bool,
}

impl Shared {
    /// Every change under the lock leaves the state whole, so that a panic elsewhere does not matter.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wait_for<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    pub fn notify(&self) {
        self.changed.notify_all();
    }

    /// Room for more, or `None` when nothing is taken any more.
    pub fn room(&self) -> Option<MutexGuard<'_, State>> {
        let mut state = self.lock();
        while state.frames.len() >= SLOW_DISK_BYTES && state.journal_failure.is_none() && !state.journal_gone {
            state = self.wait(state);
        }
        if state.frames.len() >= KEPT_BYTES {
            state.lost = true;
        }
        if state.lost || state.closed || state.journal_gone { None } else { Some(state) }
    }
}

/// CPU time of the calling thread, 0 if the system does not tell.
pub(super) fn thread_cpu_nanoseconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec, which it is given.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    if result == 0 { time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64 } else { 0 }
}
