//! One writing connection, and group commit.
//!
//! SQLite takes one writer at a time, and a commit costs more than the few inserts of a log call. So whoever gets hold of the
//! connection commits, in one transaction, the work of everybody who waits for it. (A writer thread of its own was refused:
//! it would cost a hand-over for each call, and its CPU time would be nobody's; so it counts where the work comes from.)

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::connection::Session;
use super::failure::{At, failure};
use crate::error::TrackingError;
use crate::sql::{Connection, Failure};

type Work = Box<dyn FnMut(&mut dyn Connection) -> Result<(), Failure> + Send>;

/// A waiting caller's work, and where its outcome goes.
struct Job {
    work: Work,
    outcome: Arc<Mutex<Option<Result<(), Failure>>>>,
}

/// The connection with what it remembers.
struct Writing {
    connection: rusqlite::Connection,
    keys: HashMap<String, i64>,
}

pub(super) struct Committer {
    waiting: Mutex<Vec<Job>>,
    writing: Mutex<Writing>,
}

impl Committer {
    pub fn new(connection: rusqlite::Connection) -> Self {
        Self { waiting: Mutex::new(vec![]), writing: Mutex::new(Writing { connection, keys: HashMap::new() }) }
    }

    /// Runs `work` inside a transaction and waits for its commit. Work that fails leaves no trace.
    pub fn write<T: Send + 'static>(
        &self,
        at: &At,
        doing: &str,
        mut work: impl FnMut(&mut dyn Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, TrackingError> {
        let value = Arc::new(Mutex::new(None));
        let outcome = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&value);
        let work: Work = Box::new(move |connection| {
            *lock(&keep) = Some(work(connection)?);
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
    Err(Failure::other("the writing thread was interrupted"))
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

    fn run(&self, sql: &str) -> Result<(), Failure> {
        self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map_err(failure)?;
        Ok(())
    }

    /// Each job's own outcome, or the failure of all.
    fn transaction(&mut self, jobs: &mut [Job]) -> Result<Vec<Result<(), Failure>>, Failure> {
        if !self.connection.is_autocommit() {
            // Left open by a panic or a failed commit.
            self.run("ROLLBACK")?;
            self.keys.clear();
        }
        self.run("BEGIN IMMEDIATE")?;
        let done = self.jobs(jobs).and_then(|outcomes| {
            self.run("COMMIT")?;
            Ok(outcomes)
        });
        if done.is_err() {
            self.keys.clear();
            if !self.connection.is_autocommit() {
                self.run("ROLLBACK")?;
            }
        }
        done
    }

    fn jobs(&mut self, jobs: &mut [Job]) -> Result<Vec<Result<(), Failure>>, Failure> {
        let alone = jobs.len() == 1;
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            if !alone {
                self.run("SAVEPOINT job")?;
            }
            let outcome = (job.work)(&mut Session { connection: &self.connection, keys: Some(&mut self.keys) });
            if outcome.is_err() {
                // The keys that it made are undone with it.
                self.keys.clear();
                // A full disk and the like end the whole transaction by themselves.
                if alone || self.connection.is_autocommit() {
                    return Err(outcome.err().unwrap_or_else(|| Failure::other("unknown")));
                }
                self.run("ROLLBACK TO job")?;
            }
            if !alone {
                self.run("RELEASE job")?;
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }
}
