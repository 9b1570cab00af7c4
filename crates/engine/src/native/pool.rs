//! Threads for pieces of work of some tens of microseconds.
//!
//! A general thread pool (rayon) costs more per call than many of our layers take. Here a call publishes one job, every
//! thread takes a contiguous share of its tasks first (so that it finds in its cache what it wrote a layer earlier) and
//! then helps the others; the threads spin for a moment between calls before they sleep. Which thread runs a task never
//! changes a result: tasks are cut by the problem, not by the number of threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

type Task<'a> = dyn Fn(usize, usize) + Sync + 'a;

/// One share of a job: tasks `next..end`, on a cache line of its own.
#[repr(align(128))]
#[derive(Default)]
struct Share {
    next: AtomicUsize,
    end: AtomicUsize,
}

struct Shared {
    /// Counts the jobs; a worker that sees it move has work.
    generation: AtomicUsize,
    /// The job's function; valid while `busy` is not 0.
    task: std::cell::UnsafeCell<Option<*const Task<'static>>>,
    shares: Vec<Share>,
    /// Workers that have not finished with the current job.
    busy: AtomicUsize,
    panicked: AtomicBool,
    stop: AtomicBool,
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
}

// SAFETY: `task` is written by the owner only while no worker is inside a job (`busy` is 0), and read by workers only
// after they saw `generation` move, which the owner does after writing it (release / acquire).
unsafe impl Sync for Shared {}
unsafe impl Send for Shared {}

/// The engine's threads: the caller's and `threads - 1` workers.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// How often to look before giving the processor away: some tens of microseconds, longer than the gap between two layers.
const SPINS: usize = 1_000;

/// How often a worker then gives the processor away before it sleeps: on a busy machine whoever holds up the job gets to
/// run, on a quiet one this is a few hundred microseconds of further looking.
const YIELDS: usize = 1_000;

impl Pool {
    /// Starts `threads - 1` workers.
    pub fn new(threads: usize) -> Self {
        let threads = threads.max(1);
        let shared = Arc::new(Shared {
            generation: AtomicUsize::new(0),
            task: std::cell::UnsafeCell::new(None),
            shares: (0..threads).map(|_| Share::default()).collect(),
            busy: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
        });
        let workers = (1..threads)
            // Fewer threads than asked for will do, but their numbers must have no gap: scratch is laid out by number.
            .map_while(|thread| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new().name(format!("anmok-engine-{thread}")).spawn(move || shared.work(thread)).ok()
            })
            .collect();
        Self { shared, workers }
    }

    /// Threads that do work, the caller's included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task(index, thread)` once for every index below `tasks`, on all threads, and returns when all are done.
    pub fn run(&mut self, tasks: usize, task: &Task<'_>) {
        let threads = self.threads();
        if threads == 1 || tasks <= 1 {
            for index in 0..tasks {
                task(index, 0);
            }
            return;
        }
        let shared = &*self.shared;
        for (thread, share) in shared.shares.iter().take(threads).enumerate() {
            share.next.store(tasks * thread / threads, Ordering::Relaxed);
            share.end.store(tasks * (thread + 1) / threads, Ordering::Relaxed);
        }
        // SAFETY: no worker is inside a job here, and none is when this function returns, so the borrow of `task`
        // outlives every use of the pointer.
        unsafe { *shared.task.get() = Some(std::mem::transmute::<*const Task<'_>, *const Task<'static>>(task)) };
        shared.busy.store(self.workers.len(), Ordering::Relaxed);
        shared.generation.fetch_add(1, Ordering::SeqCst);
        if shared.sleepers.load(Ordering::SeqCst) > 0 {
            let _guard = shared.sleep.lock();
            shared.wake.notify_all();
        }
        let finish = Finish(shared);
        shared.take_tasks(0, threads, task);
        drop(finish);
        assert!(!shared.panicked.load(Ordering::Relaxed), "a worker thread of the engine panicked");
    }
}

/// Waits for the workers even if the caller's own task panics: they hold a borrow of it.
struct Finish<'a>(&'a Shared);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        let mut spins = 0usize;
        while self.0.busy.load(Ordering::Acquire) > 0 {
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }
}

impl Shared {
    fn take_tasks(&self, thread: usize, threads: usize, task: &Task<'_>) {
        for offset in 0..threads {
            let share = &self.shares[(thread + offset) % threads];
            let end = share.end.load(Ordering::Relaxed);
            while share.next.load(Ordering::Relaxed) < end {
                let index = share.next.fetch_add(1, Ordering::Relaxed);
                if index >= end {
                    break;
                }
                task(index, thread);
            }
        }
    }

    fn work(&self, thread: usize) {
        let threads = self.shares.len();
        let mut seen = 0;
        loop {
            let mut spins = 0;
            while self.generation.load(Ordering::Acquire) == seen {
                spins += 1;
                if spins < SPINS {
                    std::hint::spin_loop();
                    continue;
                }
                if spins < SPINS + YIELDS {
                    std::thread::yield_now();
                    continue;
                }
                let Ok(mut guard) = self.sleep.lock() else { return };
                self.sleepers.fetch_add(1, Ordering::SeqCst);
                while self.generation.load(Ordering::SeqCst) == seen && !self.stop.load(Ordering::SeqCst) {
                    guard = match self.wake.wait(guard) {
                        Ok(guard) => guard,
                        Err(_) => return,
                    };
                }
                self.sleepers.fetch_sub(1, Ordering::SeqCst);
                drop(guard);
                if self.stop.load(Ordering::SeqCst) {
                    return;
                }
            }
            seen = self.generation.load(Ordering::Acquire);
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            // SAFETY: see `Shared`; the owner waits in `run` until `busy` is 0.
            if let Some(task) = unsafe { *self.task.get() } {
                let task = unsafe { &*task };
                let work = std::panic::AssertUnwindSafe(|| self.take_tasks(thread, threads, task));
                if std::panic::catch_unwind(work).is_err() {
                    self.panicked.store(true, Ordering::Relaxed);
                }
            }
            self.busy.fetch_sub(1, Ordering::Release);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.generation.fetch_add(1, Ordering::SeqCst);
        if let Ok(_guard) = self.shared.sleep.lock() {
            self.shared.wake.notify_all();
        }
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_on_any_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            let mut pool = Pool::new(threads);
            for tasks in [0, 1, 2, 7, 1000] {
                for _ in 0..20 {
                    let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                    pool.run(tasks, &|index, thread| {
                        assert!(thread < threads);
                        counts[index].fetch_add(1, Ordering::Relaxed);
                    });
                    assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
                }
            }
        }
    }

    #[test]
    fn workers_that_went_to_sleep_wake_again() {
        let mut pool = Pool::new(2);
        for _ in 0..3 {
            std::thread::sleep(std::time::Duration::from_millis(20));
            let sum = AtomicUsize::new(0);
            pool.run(100, &|index, _| {
                sum.fetch_add(index, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 4950);
        }
    }
}
