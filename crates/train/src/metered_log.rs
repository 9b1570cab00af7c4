//! A RunLog with a stopwatch: what tracking costs the training thread.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::run_log::{DatasetRecord, RunLog, RunLogError};

/// What the training thread spent inside [`RunLog`]. The log's own threads are the log's to count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrackingCost {
    /// Calls.
    pub calls: u64,
    /// Time on the clock, waiting included.
    pub wall: Duration,
    /// CPU time of the training thread.
    pub cpu: Duration,
}

/// Passes everything on to another log.
pub(crate) struct MeteredLog<'a> {
    log: &'a mut dyn RunLog,
    pub cost: TrackingCost,
}

impl<'a> MeteredLog<'a> {
    pub fn new(log: &'a mut dyn RunLog) -> Self {
        Self { log, cost: TrackingCost::default() }
    }

    fn measure<T>(&mut self, call: impl FnOnce(&mut dyn RunLog) -> T) -> T {
        let (wall, cpu) = (Instant::now(), thread_cpu_time());
        let result = call(self.log);
        self.cost.cpu += thread_cpu_time().saturating_sub(cpu);
        self.cost.wall += wall.elapsed();
        self.cost.calls += 1;
        result
    }
}

fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

impl RunLog for MeteredLog<'_> {
    fn params(&mut self, params: &[(String, String)]) {
        self.measure(|log| log.params(params));
    }

    fn metrics(&mut self, step: u64, metrics: &[(&str, f64)]) {
        self.measure(|log| log.metrics(step, metrics));
    }

    fn artifact(&mut self, path: &str, file: &Path) {
        self.measure(|log| log.artifact(path, file));
    }

    fn dataset(&mut self, dataset: &DatasetRecord) {
        self.measure(|log| log.dataset(dataset));
    }

    fn flush(&mut self) -> Result<(), RunLogError> {
        self.measure(|log| log.flush())
    }
}
