//! A run in progress: epochs of steps, validation, checkpoints, the test.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anmok_data::{Dataset, Walk};
use anmok_engine::{Engine, Targets, TrainPass, Update, Weights};
use anmok_graph::NamedTensor;

use super::evaluate::evaluate;
use super::preflight::{self, Batches};
use super::reporting::{Window, datasets, parameters, per_second};
use super::{Cadence, Ending, Job, Outcome, TestOutcome};
use crate::checkpoint::writer::{Files, Writer, Written};
use crate::checkpoint::{Best, Checkpoint, CheckpointError, CheckpointState, EpochSums, FORMAT_VERSION, LAST, Position};
use crate::error::TrainError;
use crate::evaluation::EvaluationReport;
use crate::history::{EpochRecord, History};
use crate::live::LiveFigures;
use crate::metered_log::MeteredLog;
use crate::model::ModelDescription;
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::run_log::RunLog;
use crate::schedule::{Plateau, learning_rate};

/// Where the last checkpoint lies among the run's artifacts.
const CHECKPOINT_ARTIFACT: &str = "checkpoints/last.safetensors";

pub struct Run<'a> {
    engine: &'a mut dyn Engine,
    pub(super) recipe: &'a Recipe,
    pub(super) log: MeteredLog<'a>,
    pub(super) progress: &'a mut dyn Progress,
    pub(super) live: &'a LiveFigures,
    stop: &'a AtomicBool,
    pub(super) batches: Batches,
    weights: Weights,
    pub(super) state: CheckpointState,
    best: Option<Arc<Vec<NamedTensor>>>,
    pub(super) window: Window,
    /// When the time that no epoch has yet begins.
    clock: Instant,
    checkpoints: &'a Path,
    writer: Writer,
    cadence: Cadence,
    last_checkpoint: Instant,
    checkpoint_error: Option<TrainError>,
}

/// The outcome of one optimizer step: one batch, or several accumulated.
#[derive(Default)]
pub(super) struct Step {
    pub passes: u64,
    pub loss_sum: f64,
    pub correct: u64,
    pub images: u64,
    pub gradient_norm: Option<f32>,
    pub learning_rate: f64,
}

impl<'a> Run<'a> {
    pub fn start(job: Job<'a>, cadence: Cadence) -> Result<Self, TrainError> {
        let Job { engine, data, recipe, log, progress, live, stop, checkpoints, run_id, resume } = job;
        let batches = preflight::check(recipe, engine.graph(), data)?;
        data.warnings.iter().for_each(|warning| progress.warning(warning));
        live.name_run(run_id, &recipe.model_name, data.train.name(), recipe.epochs as u64);
        let mut log = MeteredLog::new(log);
        let level = engine.info().level;
        let (state, best) = match resume {
            None => {
                log.params(&parameters(recipe, engine, &data.train)?);
                datasets(&batches).iter().for_each(|record| log.dataset(record));
                (new_state(run_id, recipe, level, &data.train), None)
            }
            Some(checkpoint) => {
                let warnings = checkpoint.check(engine.graph(), &engine.info(), recipe, &data.train)?;
                warnings.iter().for_each(|warning| progress.warning(warning));
                check_position(&checkpoint, batches.training.batches() as u64)?;
                checkpoint.restore(engine)?;
                let state = CheckpointState { run_id: run_id.to_owned(), recipe: recipe.clone(), level, ..checkpoint.state };
                (state, checkpoint.best)
            }
        };
        let weights = if recipe.ema_decay > 0.0 { Weights::Ema } else { Weights::Live };
        let mut files = Files::create(checkpoints, ModelDescription::new(recipe, &data.train))?;
        // Before the first step, and not in the background: a folder that cannot be written is found out now, and from
        // here on the run can be resumed whenever it is killed.
        log.flush()?;
        let first = files.write(snapshot(engine, &state, &best)?, false);
        first.result?;
        if let Err(error) = first.best {
            progress.warning(&error.to_string());
        }
        live.checkpoint_saved();
        Ok(Self {
            engine,
            recipe,
            log,
            progress,
            live,
            stop,
            batches,
            weights,
            state,
            best,
            window: Window::default(),
            clock: Instant::now(),
            checkpoints,
            writer: Writer::start(files)?,
            cadence,
            last_checkpoint: Instant::now(),
            checkpoint_error: None,
        })
    }

    /// Trains to the end, tests, and gives out what there is.
    pub fn finish(mut self) -> Result<Outcome, TrainError> {
        let ending = self.epochs()?;
        let last_model = self.engine.model_state(self.weights)?;
        if ending == Ending::Interrupted {
            self.checkpoint(false)?;
            return self.interrupted(last_model);
        }
        let reports = self.writer.settle();
        self.take_reports(reports);
        // Interrupted here, the run is safe since the end of its last epoch.
        let Some(test) = self.test()? else { return self.interrupted(last_model) };
        self.log_test(&test);
        // The record ends here; one that cannot be stored is told like a checkpoint's.
        if let Err(error) = self.log.flush() {
            self.checkpoint_failed(error.into());
        }
        Ok(self.outcome(ending, last_model, Some(test)))
    }

    fn epochs(&mut self) -> Result<Ending, TrainError> {
        let epochs = self.recipe.epochs as u64;
        let Position { epoch, batch, .. } = self.state.position;
        let mut batches = Walk::new(self.batches.training.clone(), epoch..epochs, batch as usize);
        loop {
            if self.stopped() {
                return Ok(Ending::Interrupted);
            }
            let patience = self.recipe.early_stopping as u64;
            if self.state.position.epoch >= epochs {
                return Ok(Ending::Completed);
            }
            if patience > 0 && self.state.epochs_without_improvement() >= patience {
                return Ok(Ending::StoppedEarly);
            }
            if !self.epoch(&mut batches)? {
                return Ok(Ending::Interrupted);
            }
        }
    }

    /// One epoch, or the rest of one. False when stopped on the way.
    pub(super) fn epoch(&mut self, batches: &mut Walk) -> Result<bool, TrainError> {
        self.progress.epoch_started(self.state.position.epoch + 1, self.recipe.epochs as u64);
        self.window = Window::default();
        // What followed the last epoch: its record and checkpoint.
        self.state.sums.other_seconds += self.lap();
        while self.state.position.batch < self.batches.training.batches() as u64 {
            let step = self.step(batches)?;
            let seconds = self.lap();
            self.state.sums.seconds += seconds;
            self.window.images += step.images;
            self.window.seconds += seconds;
            self.report_step(&step);
            self.checkpoint_if_due()?;
            if self.stopped() {
                return Ok(false);
            }
        }
        let validation = match &self.batches.validation {
            None => None,
            Some(questions) => match evaluate(self.engine, self.weights, questions, self.progress, self.stop)? {
                None => return Ok(false),
                some => some,
            },
        };
        self.state.sums.other_seconds += self.lap();
        self.end_epoch(validation)?;
        Ok(true)
    }

    /// Seconds since the last call, which the run's own have now.
    fn lap(&mut self) -> f64 {
        let seconds = std::mem::replace(&mut self.clock, Instant::now()).elapsed().as_secs_f64();
        self.state.seconds += seconds;
        seconds
    }

    /// One optimizer step. The state moves only when all of it has succeeded.
    fn step(&mut self, batches: &mut Walk) -> Result<Step, TrainError> {
        let Position { epoch, batch, pass, step } = self.state.position;
        let passes = (self.recipe.accumulate as u64).min(self.batches.training.batches() as u64 - batch);
        let mut engine_time = Duration::ZERO;
        let mut done = Step { passes, learning_rate: self.learning_rate(step), ..Step::default() };
        for i in 0..passes {
            // The walk and the position go through the same batches.
            let next = batches.next(&mut |parts, part| self.engine.spread(parts, part));
            let Some(images) = next else { return Err(TrainError::NoBatch { epoch: epoch + 1, batch: batch + i + 1 }) };
            let n = images.labels.len() as u64;
            let begin = Instant::now();
            let outcome = self.engine.train_pass(
                &images.images,
                Targets { labels: &images.labels, mix: images.mix() },
                TrainPass {
                    label_smoothing: self.recipe.label_smoothing as f32,
                    seed: self.recipe.seed,
                    pass: pass + i,
                    accumulate: i > 0,
                    loss_scale: 1.0 / passes as f32,
                },
            )?;
            engine_time += begin.elapsed();
            if !outcome.loss.is_finite() {
                return Err(self.not_finite(format!("the loss ({})", outcome.loss), i));
            }
            done.loss_sum += outcome.loss * n as f64;
            done.correct += outcome.correct as u64;
            done.images += n;
        }
        let clip_norm = (self.recipe.clip_norm > 0.0).then_some(self.recipe.clip_norm as f32);
        let begin = Instant::now();
        let updated = self.engine.update(Update { learning_rate: done.learning_rate, clip_norm })?;
        engine_time += begin.elapsed();
        if let Some(norm) = updated.gradient_norm.filter(|norm| !norm.is_finite()) {
            return Err(self.not_finite(format!("the gradient norm ({norm})"), passes - 1));
        }
        done.gradient_norm = updated.gradient_norm;
        let position = &mut self.state.position;
        (position.batch, position.pass, position.step) = (batch + passes, pass + passes, step + 1);
        let sums = &mut self.state.sums;
        sums.loss += done.loss_sum;
        sums.correct += done.correct;
        sums.images += done.images;
        sums.engine_seconds += engine_time.as_secs_f64();
        Ok(done)
    }

    fn steps_per_epoch(&self) -> u64 {
        (self.batches.training.batches() as u64).div_ceil(self.recipe.accumulate as u64)
    }

    fn learning_rate(&self, step: u64) -> f64 {
        learning_rate(self.recipe, step, self.steps_per_epoch(), &self.state.plateau)
    }

    fn not_finite(&self, what: String, batches_since: u64) -> TrainError {
        let Position { epoch, batch, step, .. } = self.state.position;
        let learning_rate = self.learning_rate(step);
        TrainError::NotFinite { what, epoch: epoch + 1, batch: batch + batches_since + 1, step, learning_rate }
    }

    /// Takes the epoch's numbers into the state, the log and a checkpoint.
    fn end_epoch(&mut self, validation: Option<EvaluationReport>) -> Result<(), TrainError> {
        let sums = std::mem::take(&mut self.state.sums);
        let (val_loss, val_accuracy) = (validation.as_ref().map(|v| v.loss), validation.as_ref().map(|v| v.accuracy));
        let record = EpochRecord {
            epoch: self.state.position.epoch + 1,
            train_loss: sums.loss / sums.images.max(1) as f64,
            train_accuracy: sums.correct as f64 / sums.images.max(1) as f64,
            val_loss,
            val_accuracy,
            learning_rate: self.learning_rate(self.state.position.step.saturating_sub(1)),
            epoch_seconds: sums.seconds + sums.other_seconds,
            engine_seconds: sums.engine_seconds,
            images_per_second: per_second(sums.images, sums.seconds),
        };
        let mut is_best = false;
        if let Some(report) = validation {
            self.state.plateau.observe(self.recipe, report.loss);
            is_best = self.state.best.as_ref().is_none_or(|best| report.accuracy > best.val_accuracy);
            if is_best {
                self.best = Some(Arc::new(self.engine.model_state(self.weights)?));
                self.state.best = Some(Best { epoch: record.epoch, val_accuracy: report.accuracy, val_loss: report.loss });
            }
        }
        self.state.position.epoch += 1;
        self.state.position.batch = 0;
        self.log_epoch(&record);
        self.state.history.epochs.push(record.clone());
        self.progress.epoch_finished(&record, is_best);
        self.checkpoint(true)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn checkpoint_if_due(&mut self) -> Result<(), TrainError> {
        let reports = self.writer.reports();
        self.take_reports(reports);
        match self.cadence {
            Cadence::Every(interval) if self.last_checkpoint.elapsed() >= interval => self.checkpoint(false),
            _ => Ok(()),
        }
    }

    /// Hands a snapshot to the writer, once the log is safe up to here. Only weights that are not finite are an error.
    fn checkpoint(&mut self, epoch_end: bool) -> Result<(), TrainError> {
        self.last_checkpoint = Instant::now();
        let snapshot = snapshot(self.engine, &self.state, &self.best)?;
        if let Some(tensor) = snapshot.not_finite() {
            return Err(self.not_finite(format!("a number in `{tensor}`"), 0));
        }
        match self.log.flush() {
            Ok(()) => self.writer.submit(snapshot, epoch_end),
            Err(error) => {
                // The earlier snapshots first: one of them that is saved only now must not pass for this one.
                let reports = self.writer.settle();
                self.take_reports(reports);
                self.checkpoint_failed(error.into());
            }
        }
        Ok(())
    }

    fn take_reports(&mut self, reports: Vec<Written>) {
        for report in reports {
            if let Err(error) = report.best {
                self.progress.warning(&error.to_string());
            }
            match report.result {
                Err(error) => self.checkpoint_failed(error.into()),
                Ok(()) => {
                    self.checkpoint_error = None;
                    self.live.checkpoint_saved();
                    self.progress.checkpoint_saved();
                    if report.epoch_end {
                        self.log.artifact(CHECKPOINT_ARTIFACT, &self.checkpoints.join(LAST));
                    }
                }
            }
        }
    }

    fn checkpoint_failed(&mut self, error: TrainError) {
        self.live.checkpoint_failed();
        self.progress.warning(&format!("{error}; training goes on, and the next checkpoint will be tried"));
        self.checkpoint_error = Some(error);
    }

    /// The way out when stopped: this moment must be safe before the process may end.
    fn interrupted(mut self, last_model: Vec<NamedTensor>) -> Result<Outcome, TrainError> {
        let reports = self.writer.settle();
        self.take_reports(reports);
        if let Some(error) = self.checkpoint_error.take() {
            return Err(error);
        }
        Ok(self.outcome(Ending::Interrupted, last_model, None))
    }

    /// The one look at the test set; `None` when stopped on the way. The engine may end with other weights
    /// than the run's last: no checkpoint is taken after this.
    fn test(&mut self) -> Result<Option<TestOutcome>, TrainError> {
        let Some(last) = evaluate(self.engine, self.weights, &self.batches.test, self.progress, self.stop)? else { return Ok(None) };
        let best = match (&self.best, &self.state.best) {
            (Some(weights), Some(best)) if best.epoch != self.state.position.epoch => weights.clone(),
            _ => return Ok(Some(TestOutcome { model: last.clone(), last })),
        };
        self.engine.load_model_state(&best)?;
        let model = evaluate(self.engine, Weights::Live, &self.batches.test, self.progress, self.stop)?;
        Ok(model.map(|model| TestOutcome { model, last }))
    }

    fn outcome(self, ending: Ending, last_model: Vec<NamedTensor>, test: Option<TestOutcome>) -> Outcome {
        let history = self.state.history;
        let images = (history.epochs.len() * self.batches.training.images()) as u64 + self.state.sums.images;
        let epoch_seconds = |record: &EpochRecord| self.batches.training.images() as f64 / record.images_per_second.max(1e-9);
        let training_seconds = history.epochs.iter().map(epoch_seconds).sum::<f64>() + self.state.sums.seconds;
        Outcome {
            ending,
            best: self.state.best,
            model: self.best.map_or_else(|| last_model.clone(), Arc::unwrap_or_clone),
            last_model,
            test,
            steps: self.state.position.step,
            seconds: self.state.seconds,
            images_per_second: per_second(images, training_seconds),
            tracking: self.log.cost,
            checkpoint_error: self.checkpoint_error,
            history,
        }
    }
}

fn new_state(run_id: &str, recipe: &Recipe, level: String, data: &Dataset) -> CheckpointState {
    CheckpointState {
        version: FORMAT_VERSION,
        run_id: run_id.to_owned(),
        recipe: recipe.clone(),
        classes: data.classes().len(),
        data_digest: data.digest().to_owned(),
        level,
        position: Position::default(),
        sums: EpochSums::default(),
        plateau: Plateau::default(),
        history: History::default(),
        best: None,
        seconds: 0.0,
    }
}

fn snapshot(engine: &mut dyn Engine, state: &CheckpointState, best: &Option<Arc<Vec<NamedTensor>>>) -> Result<Checkpoint, TrainError> {
    Ok(Checkpoint {
        state: state.clone(),
        model: engine.model_state(Weights::Live)?,
        training: engine.training_state(),
        best: best.clone(),
    })
}

/// A digest does not keep anyone from writing nonsense with a digest: what the loop counts on is checked.
fn check_position(checkpoint: &Checkpoint, batches: u64) -> Result<(), CheckpointError> {
    let CheckpointState { position, history, best, .. } = &checkpoint.state;
    let possible =
        position.batch <= batches && history.epochs.len() as u64 == position.epoch && best.is_some() == checkpoint.best.is_some();
    match possible {
        true => Ok(()),
        false => Err(CheckpointError::Damaged {
            path: LAST.into(),
            problem: format!("batch {} of {batches} in epoch {} is no place to go on from", position.batch, position.epoch + 1),
        }),
    }
}
