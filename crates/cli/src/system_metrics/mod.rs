//! How busy this machine is, as metrics of the run under MLflow's names (`mlflow/system_metrics`): `system/` and then
//! `cpu_utilization_percentage`, `system_memory_usage_megabytes` and so on. A megabyte is a million bytes there.
//!
//! - `readings`: what the system tells
//! - `gpu`: what NVIDIA's GPUs tell

mod gpu;
mod readings;

use crate::recorder::Recorder;
use anmok_tracking::writer::SideEntrance;
use anyhow::Context;
use gpu::Gpus;
use readings::Readings;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the names begin with.
const PREFIX: &str = "system/";

/// Bytes of MLflow's megabyte.
const MEGABYTE: f64 = 1e6;

/// Samples in a thread of its own until it is dropped.
pub struct Sampler {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    /// The first sample comes after one interval; a resumed run goes on with the step after its last one.
    pub fn start(recorder: &Recorder, interval: Duration) -> anyhow::Result<Self> {
        let (log, first) = (recorder.side_entrance(), recorder.next_step(PREFIX));
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("system-metrics".to_owned()).spawn(move || {
            let gpus = Gpus::find();
            let mut before = Readings::now();
            let start = before;
            for step in first.. {
                if stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                let now = Readings::now();
                log_sample(&log, step, &now.metrics(&before, &start), &gpus.metrics());
                before = now;
            }
        });
        let thread = thread.context("no thread could be started for the system metrics")?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has cost samples, and nothing else.
            let _ = thread.join();
        }
    }
}

fn log_sample(log: &SideEntrance, step: i64, machine: &[(&str, f64)], gpus: &[(String, f64)]) {
    let all = machine.iter().copied().chain(gpus.iter().map(|(name, value)| (name.as_str(), *value)));
    let named: Vec<(String, f64)> = all.map(|(name, value)| (format!("{PREFIX}{name}"), value)).collect();
    let named: Vec<(&str, f64)> = named.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    log.metrics(step, &named);
}
