//! Logs points of metrics to a tracking server as fast as it can: `log_points URI JOURNAL_FOLDER POINTS`. `bench/compare-logging`
//! runs it beside MLflow's client and reads the line that it prints.

#![allow(clippy::disallowed_macros, reason = "an example is a program: it prints")]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anmok_protocol::RunStatus;
use anmok_tracking::{LogOptions, NewRun, RunStore, RunWriter, StoreOptions, now_ms, open, uri};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [uri, journals, points] = &arguments[..] else { return Err("log_points URI JOURNAL_FOLDER POINTS".into()) };
    let points: i64 = points.parse()?;
    let store: Arc<dyn RunStore> = open(uri, &StoreOptions::default())?.into();
    let new = NewRun { experiment_id: "0".into(), user_id: "bench".into(), start_time: now_ms(), ..NewRun::default() };
    let run_id = store.create_run(&new)?.info.run_id;
    let options =
        LogOptions { journals: PathBuf::from(journals), tracking_uri: uri::identity(uri), listener: Arc::new(|_| ()), heartbeat: false };
    let mut writer = RunWriter::open(store, &run_id, &options)?;
    let begin = Instant::now();
    for step in 0..points {
        writer.metrics(step, &[("loss", step as f64)]);
    }
    let logged = begin.elapsed();
    writer.flush()?;
    let safe = begin.elapsed();
    let closed = writer.finish(RunStatus::Finished)?;
    let delivered = begin.elapsed();
    if let Some(pending) = closed.pending {
        return Err(format!("not delivered: {pending:?}").into());
    }
    println!(
        "{{\"run_id\": \"{run_id}\", \"logged_s\": {:.4}, \"on_disk_s\": {:.4}, \"delivered_s\": {:.4}}}",
        logged.as_secs_f64(),
        safe.as_secs_f64(),
        delivered.as_secs_f64()
    );
    Ok(())
}
