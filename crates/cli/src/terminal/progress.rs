//! A training run on the terminal: a bar while an epoch goes on, a line when it ends. Piped, the lines alone.

use super::style::Style;
use super::units;
use anmok_train::history::EpochRecord;
use anmok_train::progress::{Progress, StepProgress};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// Redrawn at most this often: a step takes a millisecond or two, and nobody reads faster.
const REDRAW: Duration = Duration::from_millis(100);

/// The bars of the terminal; none where standard error is not one, or where log lines are JSON.
pub fn bars(visible: bool) -> MultiProgress {
    MultiProgress::with_draw_target(if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() })
}

/// Shows a training run.
pub struct TrainingProgress {
    bar: ProgressBar,
    style: Style,
    epochs: u64,
    drawn: Instant,
}

impl TrainingProgress {
    /// With a bar among `bars`.
    pub fn new(bars: &MultiProgress, style: Style) -> Self {
        let bar = bars.add(ProgressBar::new(0));
        let template =
            if style == Style::PLAIN { "{prefix} {bar:24} {pos}/{len}  {msg}" } else { "{prefix} {bar:24.green} {pos}/{len}  {msg}" };
        let looks = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(looks.progress_chars("━╸─"));
        Self { bar, style, epochs: 0, drawn: Instant::now() }
    }

    fn is_due(&mut self) -> bool {
        let due = self.drawn.elapsed() >= REDRAW;
        if due {
            self.drawn = Instant::now();
        }
        due
    }

    /// `epoch  3/20`, as wide for the first epoch as for the last.
    fn epoch(&self, epoch: u64) -> String {
        let digits = self.epochs.to_string().len();
        format!("epoch {epoch:>digits$}/{}", self.epochs)
    }
}

impl Drop for TrainingProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for TrainingProgress {
    fn epoch_started(&mut self, epoch: u64, epochs: u64) {
        self.epochs = epochs;
        self.bar.set_prefix(self.epoch(epoch));
        self.bar.set_message("");
    }

    fn step(&mut self, step: &StepProgress) {
        if !self.is_due() {
            return;
        }
        self.bar.set_length(step.batches);
        self.bar.set_message(format!(
            "loss {:.3}  accuracy {}  {} images/s  {} left",
            step.loss,
            units::percent(step.accuracy),
            units::grouped(step.images_per_second as u64),
            units::duration(step.remaining),
        ));
        self.bar.set_position(step.batch);
    }

    fn evaluating(&mut self, split: &str, done: u64, total: u64) {
        if !self.is_due() {
            return;
        }
        self.bar.set_prefix(split.to_owned());
        self.bar.set_length(total);
        self.bar.set_message("images");
        self.bar.set_position(done);
    }

    fn epoch_finished(&mut self, record: &EpochRecord, is_best: bool) {
        let validation = match (record.val_loss, record.val_accuracy) {
            (Some(loss), Some(accuracy)) => {
                let accuracy = format!("{:>7}", units::percent(accuracy));
                let accuracy = if is_best { self.style.green(&accuracy) } else { accuracy };
                format!("  val loss {loss:.4}  val accuracy {accuracy}{}", if is_best { " best" } else { "     " })
            }
            _ => String::new(),
        };
        tracing::info!(
            epoch = record.epoch,
            train_loss = record.train_loss,
            train_accuracy = record.train_accuracy,
            val_loss = record.val_loss,
            val_accuracy = record.val_accuracy,
            learning_rate = record.learning_rate,
            images_per_second = record.images_per_second,
            epoch_seconds = record.epoch_seconds,
            "{}  loss {:.4}  accuracy {:>7}{validation}  lr {:.2e}  {} images/s  {}",
            self.epoch(record.epoch),
            record.train_loss,
            units::percent(record.train_accuracy),
            record.learning_rate,
            units::grouped(record.images_per_second as u64),
            units::duration(Duration::from_secs_f64(record.epoch_seconds.max(0.0))),
        );
    }

    fn warning(&mut self, message: &str) {
        tracing::warn!("{message}");
    }
}
