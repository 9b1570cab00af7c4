//! The live figures of a run for Prometheus: written by the training thread, read by whoever serves `--metrics-addr`.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// One number, shared without a lock. It stands alone: no order with the others is promised.
#[derive(Debug, Default)]
struct Figure(AtomicU64);

impl Figure {
    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// Names the run in the figures' labels.
#[derive(Debug, Default, Clone)]
struct Labels {
    run_id: String,
    model: String,
    dataset: String,
}

/// The figures. Share them by reference or `Arc`.
#[derive(Debug, Default)]
pub struct LiveFigures {
    labels: Mutex<Labels>,
    epoch: Figure,
    epochs: Figure,
    steps: Figure,
    images: Figure,
    loss: Figure,
    accuracy: Figure,
    learning_rate: Figure,
    images_per_second: Figure,
    remaining_seconds: Figure,
    val_loss: Figure,
    val_accuracy: Figure,
    best_val_accuracy: Figure,
    checkpoint_time: Figure,
    checkpoint_failures: Figure,
}

impl LiveFigures {
    /// All zero, but for the validation's, which are NaN until there is one.
    pub fn new() -> Self {
        let figures = Self::default();
        for figure in [&figures.val_loss, &figures.val_accuracy, &figures.best_val_accuracy] {
            figure.set(f64::NAN);
        }
        figures
    }

    pub(crate) fn name_run(&self, run_id: &str, model: &str, dataset: &str, epochs: u64) {
        *self.labels.lock().unwrap_or_else(PoisonError::into_inner) =
            Labels { run_id: run_id.into(), model: model.into(), dataset: dataset.into() };
        self.epochs.set(epochs as f64);
    }

    pub(crate) fn step(&self, progress: &crate::progress::StepProgress, images: u64) {
        self.epoch.set(progress.epoch as f64);
        self.steps.set(progress.step as f64);
        self.images.set(images as f64);
        self.loss.set(progress.loss);
        self.accuracy.set(progress.accuracy);
        self.learning_rate.set(progress.learning_rate);
        self.images_per_second.set(progress.images_per_second);
        self.remaining_seconds.set(progress.remaining.as_secs_f64());
    }

    pub(crate) fn validation(&self, loss: f64, accuracy: f64, best: f64) {
        self.val_loss.set(loss);
        self.val_accuracy.set(accuracy);
        self.best_val_accuracy.set(best);
    }

    pub(crate) fn checkpoint_saved(&self) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.checkpoint_time.set(now.as_secs_f64());
    }

    pub(crate) fn checkpoint_failed(&self) {
        self.checkpoint_failures.set(self.checkpoint_failures.get() + 1.0);
    }

    /// The figures in Prometheus' text format, version 0.0.4 (`Content-Type: text/plain; version=0.0.4`).
    pub fn render_prometheus(&self) -> String {
        let labels = self.labels.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut text = String::new();
        let mut sample = |name: &str, kind: &str, help: &str, labels: &str, value: f64| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{labels} {}", number(value));
        };
        let Labels { run_id, model, dataset } = labels;
        let info = format!("{{run_id=\"{}\",model=\"{}\",dataset=\"{}\"}}", escape(&run_id), escape(&model), escape(&dataset));
        sample("anmok_training_info", "gauge", "The run in progress.", &info, 1.0);
        for (name, kind, help, figure) in [
            ("anmok_training_epoch", "gauge", "Epoch in progress, from 1.", &self.epoch),
            ("anmok_training_epochs", "gauge", "Epochs of the run.", &self.epochs),
            ("anmok_training_steps_total", "counter", "Optimizer steps done.", &self.steps),
            ("anmok_training_images_total", "counter", "Images trained on.", &self.images),
            ("anmok_training_loss", "gauge", "Mean training loss of the epoch so far.", &self.loss),
            ("anmok_training_accuracy", "gauge", "Training accuracy of the epoch so far, 0 to 1.", &self.accuracy),
            ("anmok_training_learning_rate", "gauge", "Learning rate of the last step.", &self.learning_rate),
            ("anmok_training_images_per_second", "gauge", "Training throughput of the epoch so far.", &self.images_per_second),
            ("anmok_training_remaining_seconds", "gauge", "Estimated time to the end of the last epoch.", &self.remaining_seconds),
            ("anmok_validation_loss", "gauge", "Validation loss of the last epoch.", &self.val_loss),
            ("anmok_validation_accuracy", "gauge", "Validation accuracy of the last epoch, 0 to 1.", &self.val_accuracy),
            ("anmok_validation_best_accuracy", "gauge", "Best validation accuracy so far, 0 to 1.", &self.best_val_accuracy),
            ("anmok_checkpoint_timestamp_seconds", "gauge", "When the last checkpoint was saved; 0 is never.", &self.checkpoint_time),
            ("anmok_checkpoint_failures_total", "counter", "Checkpoints that could not be saved.", &self.checkpoint_failures),
        ] {
            sample(name, kind, help, "", figure.get());
        }
        text
    }
}

/// Prometheus' spelling of numbers.
fn number(value: f64) -> String {
    if value == f64::INFINITY {
        "+Inf".into()
    } else if value == f64::NEG_INFINITY {
        "-Inf".into()
    } else {
        value.to_string()
    }
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let figures = LiveFigures::new();
        figures.name_run("ab\"c", "resnet18", "my\\folder", 3);
        figures.validation(f64::INFINITY, 0.25, 0.5);
        let text = figures.render_prometheus();
        assert!(text.contains("anmok_training_info{run_id=\"ab\\\"c\",model=\"resnet18\",dataset=\"my\\\\folder\"} 1\n"), "{text}");
        assert!(text.contains("# TYPE anmok_training_steps_total counter\nanmok_training_steps_total 0\n"), "{text}");
        assert!(text.contains("\nanmok_validation_loss +Inf\n"), "{text}");
        assert!(text.contains("\nanmok_validation_best_accuracy 0.5\n"), "{text}");
        for line in text.lines() {
            assert!(
                line.starts_with("# ") || line.rsplit_once(' ').is_some_and(|(_, v)| v.trim_start_matches('+').parse::<f64>().is_ok()),
                "{line}"
            );
        }
    }
}
