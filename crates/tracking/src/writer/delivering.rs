//! The thread that delivers the journal while the run is under way.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anmok_protocol::{RunStatus, RunTag};

use super::inbox::{Shared, State, thread_cpu_nanoseconds};
use crate::delivery::backoff::Backoff;
use crate::delivery::refusal::is_refusal;
use crate::delivery::{Delivery, Event, Listener, Obstacle, Target};
use crate::store::{RunUpdate, now_ms};

/// Between two deliveries while the run is under way: few commits, and still a live picture for whoever watches.
const PAUSE: Duration = Duration::from_millis(300);
/// How long the end of a run waits for a store that fails; the journal keeps the rest.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it waits for a store that says nothing at all, besides what an artifact needs.
pub(super) const SILENCE: Duration = Duration::from_secs(20);
/// Bytes per second of an artifact on its way that are waited for.
pub(super) const SLOWEST_UPLOAD: u64 = 256 << 10;
/// How often the end of a run tries to upload an artifact.
const ARTIFACT_TRIES: u32 = 4;
/// Between two tries for a run that is deleted: somebody may restore it.
const RUN_GONE_RETRY: Duration = Duration::from_secs(60);

/// The sign of life of a run: a tag with the time, in milliseconds since 1970.
pub const HEARTBEAT_TAG: &str = "anmok.heartbeat";
/// Between two of them.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(30);

pub(super) struct Delivering {
    pub delivery: Delivery,
    pub target: Target,
    pub shared: Arc<Shared>,
    pub listener: Listener,
    /// When the last sign of life was given; `None` for whoever gives none.
    pub heartbeat: Option<Heartbeat>,
    pub tried_at_the_end: bool,
}

/// Signs of life that are not journalled: one that waits says nothing.
pub(super) struct Heartbeat {
    last: Option<Instant>,
}

impl Heartbeat {
    pub fn new() -> Self {
        Self { last: None }
    }

    fn left(&self) -> Duration {
        self.last.map_or(Duration::ZERO, |last| HEARTBEAT_EVERY.saturating_sub(last.elapsed()))
    }
}

/// Since when the store fails, and when to try again.
struct Failing {
    since: Instant,
    retry: Instant,
    told: bool,
    /// The run is deleted, and not the store away.
    gone: bool,
}

impl Delivering {
    pub fn run(mut self) -> Delivery {
        struct Farewell(Arc<Shared>);
        impl Drop for Farewell {
            fn drop(&mut self) {
                self.0.lock().delivery_gone = true;
                self.0.notify();
            }
        }
        let _farewell = Farewell(self.shared.clone());
        let mut backoff = Backoff::default();
        let mut failing: Option<Failing> = None;
        loop {
            let (written, closed) = self.wait(failing.as_ref());
            let last_chance = closed && self.tried_at_the_end;
            if last_chance || failing.as_ref().is_none_or(|failing| Instant::now() >= failing.retry) {
                failing = match self.deliver(written) {
                    Ok(()) => {
                        backoff.reset();
                        self.recovered(failing)
                    }
                    Err(obstacle) => Some(self.failed(failing, &obstacle, backoff.next())),
                };
            }
            self.report(failing.as_ref());
            if closed && (self.delivery.is_complete(written) || self.is_hopeless(failing.as_ref())) {
                return self.delivery;
            }
        }
    }

    /// Whether whoever ends the run should not wait any longer: the journal keeps the rest.
    fn is_hopeless(&mut self, failing: Option<&Failing>) -> bool {
        if self.shared.lock().abandoned {
            return true;
        }
        match failing {
            // What has failed for long is tried once more before the end.
            Some(failing) => failing.gone || (failing.since.elapsed() >= PATIENCE && std::mem::replace(&mut self.tried_at_the_end, true)),
            None => self.delivery.artifact_failures() >= ARTIFACT_TRIES,
        }
    }

    /// Until there is something to do: the journal's end, and whether it is the last one.
    fn wait(&self, failing: Option<&Failing>) -> (u64, bool) {
        let mut state = self.shared.lock();
        let start = Instant::now();
        loop {
            let ended = state.closed && state.journal_gone;
            let left = self.time_left(&state, failing, ended, start);
            if left.is_zero() {
                return (state.written, ended);
            }
            state = self.shared.wait_for(state, left);
        }
    }

    fn time_left(&self, state: &State, failing: Option<&Failing>, ended: bool, start: Instant) -> Duration {
        let now = Instant::now();
        if let Some(failing) = failing {
            // Closing, a store is tried more often: whoever ends the program waits for it.
            let retry = failing.retry.saturating_duration_since(now);
            return if ended { retry.min(Duration::from_secs(1).saturating_sub(start.elapsed())) } else { retry };
        }
        if ended {
            let artifacts = self.delivery.next_artifacts().filter(|_| self.delivery.offset() >= state.written);
            return artifacts.map_or(Duration::ZERO, |next| next.saturating_duration_since(now));
        }
        let mut left = Duration::MAX;
        if state.written > self.delivery.offset() {
            left = PAUSE.saturating_sub(start.elapsed());
        }
        if let Some(heartbeat) = &self.heartbeat {
            left = left.min(heartbeat.left());
        }
        if self.delivery.waiting_artifacts() > 0 {
            left = left.min(self.delivery.next_artifacts().map_or(Duration::ZERO, |next| next.saturating_duration_since(now)));
        }
        left.min(Duration::from_secs(3600))
    }

    fn deliver(&mut self, written: u64) -> Result<(), Obstacle> {
        self.give_sign_of_life()?;
        while self.delivery.step(written)? {
            self.report(None);
            if self.shared.lock().abandoned {
                break;
            }
            self.give_sign_of_life()?;
        }
        Ok(())
    }

    /// Somebody may have taken the run for dead, after a long outage or because clocks differ: so it says that it runs, too.
    fn give_sign_of_life(&mut self) -> Result<(), Obstacle> {
        let Some(heartbeat) = self.heartbeat.as_mut().filter(|heartbeat| heartbeat.left().is_zero()) else { return Ok(()) };
        let state = self.shared.lock();
        if state.closed || state.ending {
            return Ok(());
        }
        drop(state);
        let obstacle = |error| if is_refusal(&error) { Obstacle::RunGone(error) } else { Obstacle::Away(error) };
        let (store, run_id) = (&self.target.store, &self.target.run_id);
        let runs = RunUpdate { status: Some(RunStatus::Running), ..RunUpdate::default() };
        store.update_run(run_id, &runs).map_err(obstacle)?;
        store.set_tag(run_id, &RunTag::new(HEARTBEAT_TAG, now_ms().to_string())).map_err(obstacle)?;
        heartbeat.last = Some(Instant::now());
        Ok(())
    }

    fn recovered(&self, failing: Option<Failing>) -> Option<Failing> {
        if let Some(failing) = failing.filter(|failing| failing.told) {
            (self.listener)(&Event::Back(failing.since.elapsed()));
        }
        None
    }

    /// Told at the second failure in a row: a server that is restarted is not worth a word.
    fn failed(&self, before: Option<Failing>, obstacle: &Obstacle, wait: Duration) -> Failing {
        let gone = matches!(obstacle, Obstacle::RunGone(_));
        let retry = Instant::now() + if gone { RUN_GONE_RETRY } else { wait };
        let told = before.as_ref().is_some_and(|before| before.told);
        let tell = !told && (before.is_some() || gone || matches!(obstacle, Obstacle::Journal(_)));
        if tell {
            (self.listener)(&match obstacle {
                Obstacle::Away(error) => Event::Away(error),
                Obstacle::RunGone(error) => Event::RunGone(error),
                Obstacle::Journal(error) => Event::JournalFails(error),
            });
        }
        self.shared.lock().obstacle = Some(obstacle.error().clone());
        Failing { since: before.map_or_else(Instant::now, |before| before.since), retry, told: told || tell, gone }
    }

    fn report(&mut self, failing: Option<&Failing>) {
        self.shared.delivery_nanoseconds.store(thread_cpu_nanoseconds(), Ordering::Relaxed);
        let refused = self.delivery.take_refused();
        let mut state = self.shared.lock();
        state.delivered = self.delivery.offset();
        state.waiting_artifacts = self.delivery.waiting_artifacts();
        state.refused.extend(refused);
        if failing.is_none() {
            state.obstacle = None;
        }
        drop(state);
        self.shared.notify();
    }
}
