//! Threads for pieces of work of some tens of microseconds.
//!
//! A general thread pool (rayon) costs more per call than many of our layers take. Here a call publishes one job, every
//! thread takes a contiguous share of its tasks first (so that it finds in its cache what it wrote a layer earlier) and
//! then helps the others; the threads spin for a moment between calls before they sleep. Which thread runs a task never
//! changes a result: tasks are cut by the problem, not by the number of threads.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

type Task<'a> = dyn Fn(usize, usize) + Sync + 'a;

/// A job, on a cache line that only the owner writes: a worker that sees it has all it needs to begin.
#[repr(align(128))]
struct Job {
    /// Counts the jobs; a worker that sees it move has work.
    generation: AtomicUsize,
    /// The job's function; valid until every worker is done.
    task: std::cell::UnsafeCell<Option<*const Task<'static>>>,
    tasks: AtomicUsize,
}

/// A thread's share of the job, on a cache line that the others look at only when they have no tasks left.
#[repr(align(128))]
#[derive(Default)]
struct Share {
    /// The next task in the lower half; in the upper half the job that it belongs to. Whoever comes first, the thread itself or one
    /// that helps it, sets it to the share's first task.
    next: AtomicU64,
    /// The last job that this thread has finished with.
    done: AtomicUsize,
}

struct Shared {
    job: Job,
    shares: Vec<Share>,
    panicked: AtomicBool,
    stop: AtomicBool,
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
}

// SAFETY: `task` is written by the owner only while no worker is inside a job (all are done with the last one), and read by
// workers only after they saw `generation` move, which the owner does after writing it (release / acquire).
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
            job: Job { generation: AtomicUsize::new(0), task: std::cell::UnsafeCell::new(None), tasks: AtomicUsize::new(0) },
            shares: (0..threads).map(|_| Share::default()).collect(),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
        });
        let workers = (1..threads)
            // Fewer threads than asked for will do (the shares of the others are taken by those there are), but their numbers must
            // have no gap: scratch is laid out by number.
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
        // SAFETY: no worker is inside a job here, and none is when this function returns, so the borrow of `task`
        // outlives every use of the pointer.
        unsafe { *shared.job.task.get() = Some(std::mem::transmute::<*const Task<'_>, *const Task<'static>>(task)) };
        shared.job.tasks.store(tasks, Ordering::Relaxed);
        let job = shared.job.generation.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
        if shared.sleepers.load(Ordering::SeqCst) > 0 {
            let _guard = shared.sleep.lock();
            shared.wake.notify_all();
        }
        let finish = Finish { workers: &shared.shares[1..threads], job };
        shared.take_tasks(0, job, tasks, task);
        drop(finish);
        assert!(!shared.panicked.load(Ordering::Relaxed), "a worker thread of the engine panicked");
    }
}

/// Waits for the workers even if the caller's own task panics: they hold a borrow of it.
struct Finish<'a> {
    workers: &'a [Share],
    job: usize,
}

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        for worker in self.workers {
            let mut spins = 0usize;
            while worker.done.load(Ordering::Acquire) != self.job {
                spins += 1;
                if spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
            }
        }
    }
}

impl Share {
    /// The next task of this share of a job, which begins with `first`.
    fn take(&self, job: usize, first: usize, end: usize) -> Option<usize> {
        let job = (job as u64) << 32;
        let mut next = self.next.load(Ordering::Relaxed);
        while next >> 32 != job >> 32 {
            match self.next.compare_exchange(next, job | first as u64, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => next = job | first as u64,
                Err(found) => next = found,
            }
        }
        // Looked at before it is counted up: the line stays with whoever works on it.
        if next as u32 as usize >= end {
            return None;
        }
        let taken = self.next.fetch_add(1, Ordering::Relaxed) as u32 as usize;
        (taken < end).then_some(taken)
    }
}

impl Shared {
    fn take_tasks(&self, thread: usize, job: usize, tasks: usize, task: &Task<'_>) {
        let threads = self.shares.len();
        for offset in 0..threads {
            let of = (thread + offset) % threads;
            let (first, end) = (tasks * of / threads, tasks * (of + 1) / threads);
            while let Some(index) = self.shares[of].take(job, first, end) {
                task(index, thread);
            }
        }
    }

    fn work(&self, thread: usize) {
        let mut seen = 0;
        loop {
            let mut spins = 0;
            while self.job.generation.load(Ordering::Acquire) == seen {
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
                while self.job.generation.load(Ordering::SeqCst) == seen && !self.stop.load(Ordering::SeqCst) {
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
            seen = self.job.generation.load(Ordering::Acquire);
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            // SAFETY: see `Shared`; the owner waits in `run` until this thread is done.
            if let Some(task) = unsafe { *self.job.task.get() } {
                let (task, tasks) = (unsafe { &*task }, self.job.tasks.load(Ordering::Relaxed));
                let work = std::panic::AssertUnwindSafe(|| self.take_tasks(thread, seen, tasks, task));
                if std::panic::catch_unwind(work).is_err() {
                    self.panicked.store(true, Ordering::Relaxed);
                }
            }
            self.shares[thread].done.store(seen, Ordering::Release);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.job.generation.fetch_add(1, Ordering::SeqCst);
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
