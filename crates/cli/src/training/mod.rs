//! A training run from settings to its end in the tracking store; `train` and `quickstart` are its commands.
//!
//! Everything that can be refused is refused before the run exists: settings, data, network, memory, store. From then on
//! whatever happens ends in the run's status: FINISHED, FAILED, or KILLED by a signal.
//!
//! - [`record`]: where a run is recorded
//! - [`claim`]: one process trains a run
//! - [`resume`]: the run to go on with, and its checkpoint
//! - [`drift`]: parameters that a resumed run has otherwise
//! - [`provenance`]: the tags that tell where a run came from
//! - [`results`]: what a finished run leaves among its artifacts

pub mod claim;
mod drift;
pub mod provenance;
mod record;
pub mod results;
pub mod resume;

use crate::failure::{Interrupted, Told};
use crate::logging::{self, TrainingLog};
use crate::recorder::Recorder;
use crate::settings::output::LogFormat;
use crate::settings::{Problem, Problems, Resolved, Settings};
use crate::signals::Stop;
use crate::terminal::progress::{self, TrainingProgress};
use crate::terminal::style::Style;
use crate::terminal::units;
use crate::{machine, metrics_endpoint, system_metrics};
use anmok_data::Splits;
use anmok_engine::Engine;
use anmok_engine::native::{NativeEngine, NativeOptions};
use anmok_protocol::{Run, RunStatus};
use anmok_tracking::writer::Closed;
use anmok_train::checkpoint::{self, CheckpointError};
use anmok_train::{Checkpoint, Ending, Job, LiveFigures, Outcome};
use anyhow::Context;
use claim::Claim;
use indicatif::MultiProgress;
use record::{Attempt, Record};
use resume::Resumption;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A run that has come to its end.
pub struct Finished {
    pub run: Run,
    pub outcome: Outcome,
    pub artifacts: results::Places,
    pub cost: Cost,
    /// Whether part of the record is still to be delivered.
    pub pending: bool,
}

/// What is there before a run is.
struct Prepared<'a> {
    settings: &'a Settings,
    bars: MultiProgress,
    log_file: TrainingLog,
    stop: Stop,
    record: Record,
    data: Splits,
    engine: Box<dyn Engine>,
    live: Arc<LiveFigures>,
}

/// A run that has been made, or taken up again.
struct Begun {
    run: Run,
    claim: Claim,
    recorder: Recorder,
    resume: Option<Checkpoint>,
    /// Samples until it is dropped.
    system_metrics: Option<system_metrics::Sampler>,
}

/// Trains by `resolved`, as a new run or as the one that `resumption` names.
pub fn train(resolved: &Resolved, resumption: Option<Resumption>, command: &str) -> anyhow::Result<Finished> {
    let mut prepared = prepare(resolved, resumption.as_ref())?;
    let mut begun = begin(&prepared, resumption, command)?;
    say_what_begins(&prepared, &begun);
    let worked = caught(|| work(&mut prepared, &mut begun));
    conclude(prepared, begun, worked)
}

fn prepare<'a>(resolved: &'a Resolved, resumption: Option<&Resumption>) -> anyhow::Result<Prepared<'a>> {
    let settings = &resolved.settings;
    let bars = progress::bars(settings.log_format == LogFormat::Human);
    let log_file = TrainingLog::open(&settings.log_dir)?;
    logging::start(settings, &bars, Some(log_file.clone()));
    resolved.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let stop = Stop::on_signals("stopping after this step, with a checkpoint")?;

    let record = Record::open(settings)?;
    let data = anmok_data::open(&settings.recipe.dataset, &settings.recipe.open_options(&settings.data_dir))?;
    let mut engine = engine(settings, &data)?;
    match resumption {
        Some(resumption) => {
            check_resumable(resumption, engine.as_ref(), &data, resolved)?;
            drift::check(resumption, settings)?;
        }
        None => {
            let initial = settings.recipe.initial_weights(engine.graph())?;
            if !initial.replaced.is_empty() {
                tracing::warn!("{} had another shape in the weights file and start anew", initial.replaced.join(", "));
            }
            engine.load_model_state(&initial.state)?;
        }
    }
    let live = Arc::new(LiveFigures::new());
    if let Some(address) = settings.metrics_addr {
        let bound = metrics_endpoint::serve(address, live.clone())?;
        tracing::info!("metrics for Prometheus at http://{bound}/metrics");
    }
    Ok(Prepared { settings, bars, log_file, stop, record, data, engine, live })
}

fn begin(prepared: &Prepared<'_>, resumption: Option<Resumption>, command: &str) -> anyhow::Result<Begun> {
    let Prepared { settings, record, .. } = prepared;
    let (run, claim, resume) = match resumption {
        Some(Resumption { run, claim, checkpoint }) => {
            record.take_up(&run, Attempt::after(&run, checkpoint.state.position.step))?;
            (run, claim, Some(checkpoint))
        }
        None => {
            let run = record.new_run(settings, command)?;
            let claim = Claim::take(&settings.checkpoint_dir.join(&run.info.run_id), &run.info.run_id);
            (run.clone(), claim.inspect_err(|_| record.mark(&run.info.run_id, RunStatus::Failed))?, None)
        }
    };
    let writer = record.writer(&run).inspect_err(|_| record.mark(&run.info.run_id, RunStatus::Failed))?;
    let (last_record, run_id) = (record.clone(), run.info.run_id.clone());
    prepared.stop.set_last_words(Some(Box::new(move || last_record.mark(&run_id, RunStatus::Killed))));
    let mut recorder = Recorder::new(writer);
    if let Some(checkpoint) = &resume {
        recorder.tags(&drift::tags(&run, &settings.recipe));
        // In the journal too, which must tell whether a later sitting has gone on since.
        let attempt = Attempt::after(&run, checkpoint.state.position.step);
        recorder.tags(&attempt.tags().into_iter().map(|tag| (tag.key, tag.value)).collect::<Vec<_>>());
    }
    let interval = settings.system_metrics.then(|| std::time::Duration::from_secs(settings.system_metrics_interval));
    let system_metrics = interval.map(|interval| system_metrics::Sampler::start(&recorder, interval)).transpose()?;
    Ok(Begun { run, claim, recorder, resume, system_metrics })
}

/// A panic as an error, so that it too ends in the run's status. What it may have left half-done is not used again: after
/// this only the record is ended.
fn caught<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(anyhow::anyhow!("a fault in anmok itself: {}", text.unwrap_or("a panic without a message")))
    })
}

fn work(prepared: &mut Prepared<'_>, begun: &mut Begun) -> anyhow::Result<Outcome> {
    let Prepared { settings, bars, log_file, stop, data, engine, live, .. } = prepared;
    let Begun { run, claim, recorder, resume, .. } = begun;
    log_file.copy_to(&claim.folder.join(results::LOG))?;
    results::save_recipe(&settings.recipe, &claim.folder, recorder)?;
    let mut progress = TrainingProgress::new(bars, Style::new(settings.color, &std::io::stderr()));
    let outcome = anmok_train::train(Job {
        engine: engine.as_mut(),
        data,
        recipe: &settings.recipe,
        log: recorder,
        progress: &mut progress,
        live,
        stop: &stop.asked,
        checkpoints: &claim.folder,
        run_id: &run.info.run_id,
        resume: resume.take(),
    })?;
    drop(progress);
    results::save(&outcome, &settings.recipe, data, &claim.folder, recorder)?;
    Ok(outcome)
}

/// Ends the record with the status that fits, whatever happened.
fn conclude(prepared: Prepared<'_>, begun: Begun, worked: anyhow::Result<Outcome>) -> anyhow::Result<Finished> {
    let Begun { run, claim, mut recorder, system_metrics, .. } = begun;
    drop(system_metrics);
    let (run_id, run_name) = (&run.info.run_id, &run.info.run_name);
    let worked = worked.map_err(|e| {
        let kept = claim.folder.join(checkpoint::LAST).exists();
        let remedy = if kept { format!("; its last checkpoint is kept: anmok train --resume {run_id}") } else { String::new() };
        // Told here, so that the log among the run's artifacts has it.
        Told::now(&e.context(format!("run {run_name} ({run_id}) failed{remedy}")))
    });
    let status = match &worked {
        Ok(outcome) if outcome.ending == Ending::Interrupted => RunStatus::Killed,
        Ok(_) => RunStatus::Finished,
        Err(_) => RunStatus::Failed,
    };
    let cost = worked.as_ref().ok().map(|outcome| Cost::now(outcome, &recorder));
    recorder.growing_artifact(&format!("logs/{}", results::LOG), &claim.folder.join(results::LOG));
    let recorded = recorder.finish(status);
    prepared.stop.set_last_words(None);
    let (outcome, cost) = (worked?, cost.unwrap_or_default());
    let closed = recorded
        .with_context(|| format!("the record of run {run_id} could not be completed; checkpoints are in {}", claim.folder.display()))?;
    say_what_waits(&closed, run_id);
    if outcome.ending == Ending::Interrupted {
        let message = format!("run {run_name} ({run_id}) is stopped and its checkpoint saved\n  go on with: anmok train --resume {run_id}");
        return Err(Interrupted { signal: prepared.stop.signal().unwrap_or(signal_hook::consts::SIGTERM), message }.into());
    }
    if let Some(refusal) = closed.refused.first() {
        anyhow::bail!(
            "run {run_name} ({run_id}) is finished, but {} of what it logged could not be stored, the first of it {}: {}; its results are in {}",
            closed.refused.len(),
            refusal.what,
            refusal.why,
            claim.folder.display()
        );
    }
    let artifacts = match (&prepared.record.store, &closed.pending) {
        (Some(store), None) => {
            results::remove_staged(&claim.folder);
            results::Places::of(store.as_ref(), &run)?
        }
        _ => results::Places::staged(&claim.folder),
    };
    Ok(Finished { run, outcome, artifacts, cost, pending: closed.pending.is_some() })
}

fn say_what_waits(closed: &Closed, run_id: &str) {
    let Some(pending) = &closed.pending else { return };
    let why = match &pending.obstacle {
        Some(error) => format!("the tracking store could not take it ({error})"),
        None if pending.artifacts > 0 => format!("{} artifacts could not be uploaded", pending.artifacts),
        None => "the run was recorded offline".to_owned(),
    };
    tracing::warn!("part of the record waits in {}: {why}\n  deliver it with: anmok sync {run_id}", pending.folder.display());
}

/// The engine that trains, its weights still to be loaded.
fn engine(settings: &Settings, data: &Splits) -> anyhow::Result<Box<dyn Engine>> {
    let graph = settings.recipe.graph(&data.train)?;
    machine::check_batch_fits(&graph, settings.recipe.batch_size)?;
    let train = settings.recipe.train_options(&graph)?;
    let options = NativeOptions {
        threads: settings.threads,
        max_batch: settings.recipe.batch_size,
        level: Some(settings.simd_level().map_err(crate::failure::Usage)?),
        train: Some(train),
    };
    Ok(Box::new(NativeEngine::new(graph, options)?))
}

/// Whether the run can go on with these settings: found out before its status is touched.
fn check_resumable(resumption: &Resumption, engine: &dyn Engine, data: &Splits, resolved: &Resolved) -> anyhow::Result<()> {
    let checked = resumption.checkpoint.check(engine.graph(), &engine.info(), &resolved.settings.recipe, &data.train);
    match checked {
        // What there is to warn of is told when the run goes on.
        Ok(_) => Ok(()),
        Err(CheckpointError::OtherSettings(problems)) => {
            let problems = problems.into_iter().map(|problem| Problem {
                subject: format!("{} = {}", problem.setting, problem.value),
                source: resolved.source(problem.setting),
                message: format!("{}, it was {}", problem.message, problem.allowed),
            });
            Err(Problems(problems.collect()).into())
        }
        Err(e) => Err(e).with_context(|| format!("run {} cannot go on", resumption.run.info.run_id)),
    }
}

fn say_what_begins(prepared: &Prepared<'_>, begun: &Begun) {
    let Prepared { record, engine, data, .. } = prepared;
    let (info, graph, run) = (engine.info(), engine.graph(), &begun.run.info);
    let experiment = record.experiment_of(&begun.run);
    tracing::info!(
        run_id = run.run_id,
        run_name = run.run_name,
        "{} run {} ({}) in experiment {}",
        if begun.resume.is_some() { "resuming" } else { "starting" },
        run.run_name,
        run.run_id,
        experiment
    );
    tracing::info!(
        model = graph.name,
        dataset = data.train.name(),
        device = info.device,
        simd_level = info.level,
        threads = info.threads,
        "{} with {} parameters on {} ({} images), {} threads, {}",
        graph.name,
        units::grouped(graph.parameter_count() as u64),
        data.train.name(),
        units::grouped(data.train.len() as u64),
        info.threads,
        info.level
    );
}

/// CPU time inside the record against the CPU time of the whole process, this sitting alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    pub tracking_cpu_seconds: f64,
    pub cpu_seconds: f64,
}

impl Cost {
    fn now(outcome: &Outcome, recorder: &Recorder) -> Self {
        let process = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let cpu_seconds = process.tv_sec as f64 + process.tv_nsec as f64 * 1e-9;
        let tracking_cpu_seconds = outcome.tracking.cpu.as_secs_f64() + recorder.cpu_seconds();
        let share = tracking_cpu_seconds / cpu_seconds.max(1e-9);
        tracing::debug!(tracking_cpu_seconds, cpu_seconds, "tracking took {:.2} % of the CPU time", share * 100.0);
        Self { tracking_cpu_seconds, cpu_seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_of_the_run() {
        let error = caught::<()>(|| panic!("index {} of 3", 7)).unwrap_err();
        assert_eq!(error.to_string(), "a fault in anmok itself: index 7 of 3");
        assert_eq!(crate::failure::exit_code(&error), 1);
        assert_eq!(caught(|| Ok(7)).unwrap(), 7);
    }
}
