//! One writing connection, and group commit.
//!
//! SQLite takes one writer at a time, and a commit costs more than the few inserts of a log call. So whoever gets hold of the
//! connection commits, in one transaction, the work of everybody who waits for it. (A writer thread of its own was refused:
//! it would cost a hand-over for each call, and its CPU time would be nobody's; so it counts where the work comes from.)

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::failure::{At, Failure};
use crate::error::TrackingError;

/// The keys that the cache holds at most; then it starts afresh.
const CACHED_KEYS: usize = 10_000;

/// The connection inside a transaction.
pub(super) struct Write<'a> {
    pub connection: &'a Connection,
    keys: &'a mut HashMap<String, i64>,
}

impl Write<'_> {
    /// The number of a metric's, param's or tag's key, new ones included.
    pub fn key(&mut self, name: &str) -> Result<i64, Failure> {
        if let Some(key) = self.keys.get(name) {
            return Ok(*key);
        }
        self.connection.prepare_cached("INSERT INTO anmok_keys (name) VALUES (?1) ON CONFLICT DO NOTHING")?.execute([name])?;
        let key = self.connection.prepare_cached("SELECT key FROM anmok_keys WHERE name = ?1")?.query_row([name], |row| row.get(0))?;
        if self.keys.len() >= CACHED_KEYS {
            self.keys.clear();
        }
        self.keys.insert(name.into(), key);
        Ok(key)
    }
}

type Work = Box<dyn FnMut(&mut Write) -> Result<(), Failure> + Send>;

/// A waiting caller's work, and where its outcome goes.
struct Job {
    work: Work,
    outcome: Arc<Mutex<Option<Result<(), Failure>>>>,
}

/// The connection with what it remembers.
struct Writing {
    connection: Connection,
    keys: HashMap<String, i64>,
}

pub(super) struct Committer {
    waiting: Mutex<Vec<Job>>,
    writing: Mutex<Writing>,
}

impl Committer {
    pub fn new(connection: Connection) -> Self {
        Self { waiting: Mutex::new(vec![]), writing: Mutex::new(Writing { connection, keys: HashMap::new() }) }
    }

    /// Runs `work` inside a transaction and waits for its commit. Work that fails leaves no trace.
    pub fn write<T: Send + 'static>(
        &self,
        at: &At,
        doing: &str,
        mut work: impl FnMut(&mut Write) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, TrackingError> {
        let value = Arc::new(Mutex::new(None));
        let outcome = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&value);
        let work: Work = Box::new(move |write| {
            *lock(&keep) = Some(work(write)?);
            Ok(())
        });
        lock(&self.waiting).push(Job { work, outcome: Arc::clone(&outcome) });
        {
            let mut writing = lock(&self.writing);
            if lock(&outcome).is_none() {
                let jobs = std::mem::take(&mut *lock(&self.waiting));
                writing.commit(jobs);
            }
        }
        let outcome = lock(&outcome).take();
        at.result(doing, outcome.unwrap_or_else(interrupted))?;
        let value = lock(&value).take();
        at.result(doing, value.map_or_else(interrupted, Ok))
    }
}

/// The thread that held our work panicked.
fn interrupted<T>() -> Result<T, Failure> {
    Err(Failure::Sqlite { code: None, detail: "the writing thread was interrupted".into() })
}

/// A panic while a lock was held leaves whole data behind here: transactions are rolled back by the next writer.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writing {
    /// Does all jobs in one transaction and tells each how it went.
    fn commit(&mut self, mut jobs: Vec<Job>) {
        let outcomes = self.transaction(&mut jobs);
        match outcomes {
            Ok(outcomes) => {
                for (job, outcome) in jobs.iter().zip(outcomes) {
                    *lock(&job.outcome) = Some(outcome);
                }
            }
            Err(failure) => {
                for job in &jobs {
                    *lock(&job.outcome) = Some(Err(failure.clone()));
                }
            }
        }
    }

    /// Each job's own outcome, or the failure of all.
    fn transaction(&mut self, jobs: &mut [Job]) -> Result<Vec<Result<(), Failure>>, Failure> {
        if !self.connection.is_autocommit() {
            // Left open by a panic or a failed commit.
            self.connection.execute_batch("ROLLBACK")?;
            self.keys.clear();
        }
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let done = self.jobs(jobs).and_then(|outcomes| {
            self.connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(outcomes)
        });
        if done.is_err() {
            self.keys.clear();
            if !self.connection.is_autocommit() {
                self.connection.execute_batch("ROLLBACK")?;
            }
        }
        done
    }

    fn jobs(&mut self, jobs: &mut [Job]) -> Result<Vec<Result<(), Failure>>, Failure> {
        let alone = jobs.len() == 1;
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            if !alone {
                self.connection.prepare_cached("SAVEPOINT job")?.execute([])?;
            }
            let outcome = (job.work)(&mut Write { connection: &self.connection, keys: &mut self.keys });
            if outcome.is_err() {
                // The keys that it made are undone with it.
                self.keys.clear();
                // A full disk and the like end the whole transaction by themselves.
                if alone || self.connection.is_autocommit() {
                    return Err(outcome.err().unwrap_or_else(|| Failure::Sqlite { code: None, detail: "unknown".into() }));
                }
                self.connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
            }
            if !alone {
                self.connection.prepare_cached("RELEASE job")?.execute([])?;
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }
}
