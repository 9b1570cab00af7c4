//! Runs whose process has died without a word: whoever notices ends them in the store.
//!
//! Only runs that our own training began are looked at: they have a tag with their process and one with the time of their last
//! sign of life. A process of this machine can be looked up; one of another machine is taken for dead when it has been silent
//! for ten minutes. Should that be wrong (a long outage, a laptop that slept), its next sign of life sets the run right again.

use crate::process::{Life, PROCESS_TAG, Process};
use crate::tracking;
use anmok_protocol::{Batch, Run, RunStatus, RunTag};
use anmok_tracking::writer::HEARTBEAT_TAG;
use anmok_tracking::{RunStore, RunUpdate, Store, TrackingError, now_ms};
use std::sync::Arc;
use std::time::Duration;

/// How long a process that cannot be looked up may be silent: twenty signs of life.
const SILENCE: Duration = Duration::from_secs(600);

/// Between two looks of a server.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Running ones that are looked at, at most, the latest first.
const MOST_RUNNING: usize = 1000;

/// The tag that says who ended a run that could not end itself, and why.
pub const ENDED_TAG: &str = "anmok.ended_by";

/// Marks the runs whose process is dead as KILLED. A store that does not answer is left alone: this is only tidying up.
pub fn mark_dead(store: &dyn RunStore) {
    if let Err(error) = try_mark_dead(store) {
        tracing::debug!("runs whose process has died could not be looked for: {error:#}");
    }
}

/// Looks again and again, as long as this program runs: for a server, whose clients may all be gone.
pub fn watch(store: Arc<dyn Store>) -> std::io::Result<()> {
    let looking = move || {
        loop {
            mark_dead(store.as_ref());
            std::thread::sleep(LOOK_EVERY);
        }
    };
    std::thread::Builder::new().name("liveness".to_owned()).spawn(looking).map(drop)
}

fn try_mark_dead(store: &dyn RunStore) -> anyhow::Result<()> {
    let Some(here) = Process::this() else { return Ok(()) };
    // Runs of other programs do not count among those that are looked at.
    let filter = format!("attributes.status = 'RUNNING' AND tags.`{PROCESS_TAG}` LIKE '%'");
    let running = tracking::latest_runs(store, &filter, MOST_RUNNING)?;
    for run in running {
        if let Some(why) = death(&run, &here, now_ms()) {
            end(store, &run, &why)?;
            tracing::info!("run {} ({}) is marked KILLED: {why}", run.info.run_name, run.info.run_id);
        }
    }
    Ok(())
}

/// Why a run that is RUNNING must be dead, if it must.
fn death(run: &Run, here: &Process, now: i64) -> Option<String> {
    let process = Process::from_tag(run.data.tag(PROCESS_TAG)?)?;
    match process.life(here) {
        Life::Alive => None,
        Life::Dead => Some("its process has ended".to_owned()),
        Life::Unknown => {
            let heartbeat: i64 = run.data.tag(HEARTBEAT_TAG)?.parse().ok()?;
            let silence = now.saturating_sub(heartbeat);
            (silence > SILENCE.as_millis() as i64).then(|| format!("it has given no sign of life for {} minutes", silence / 60_000))
        }
    }
}

fn end(store: &dyn RunStore, run: &Run, why: &str) -> Result<(), TrackingError> {
    let run_id = &run.info.run_id;
    // When it was last known to live.
    let heartbeat = run.data.tag(HEARTBEAT_TAG).and_then(|time| time.parse().ok());
    let end_time = Some(heartbeat.unwrap_or_else(now_ms).max(run.info.start_time));
    store.update_run(run_id, &RunUpdate { status: Some(RunStatus::Killed), end_time, run_name: None })?;
    let note = format!("{}: {why}", crate::machine::host());
    store.log_batch(run_id, &Batch { tags: vec![RunTag::new(ENDED_TAG, note)], ..Batch::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anmok_tracking::{NewRun, offline_run};

    #[test]
    fn silence_ends_what_cannot_be_looked_up_and_nothing_else() {
        let here = Process::this().unwrap();
        let elsewhere = serde_json::json!(here).to_string().replace(&crate::machine::host(), "elsewhere");
        let check = |tags: &[(&str, &str)]| {
            let tags = tags.iter().map(|(key, value)| RunTag::new(*key, *value)).collect();
            death(&offline_run(&NewRun { tags, ..NewRun::default() }).unwrap(), &here, 10_000_000)
        };
        assert_eq!(check(&[]), None, "another program's run");
        assert_eq!(check(&[(HEARTBEAT_TAG, "1")]), None);
        assert_eq!(check(&[(PROCESS_TAG, "nonsense"), (HEARTBEAT_TAG, "1")]), None);
        assert_eq!(check(&[(PROCESS_TAG, &here.tag().value), (HEARTBEAT_TAG, "1")]), None, "alive, however silent");
        assert_eq!(check(&[(PROCESS_TAG, &elsewhere)]), None, "silent since nobody knows when");
        assert_eq!(check(&[(PROCESS_TAG, &elsewhere), (HEARTBEAT_TAG, "9500000")]), None);
        let why = check(&[(PROCESS_TAG, &elsewhere), (HEARTBEAT_TAG, "9300000")]).unwrap();
        assert_eq!(why, "it has given no sign of life for 11 minutes");
    }
}
