//! What a run tells its log and its watchers, and when.

use std::time::Duration;

use anmok_data::{Dataset, Loader};
use anmok_engine::Engine;

use super::TestOutcome;
use super::preflight::Batches;
use super::run::{Run, Step};
use crate::error::TrainError;
use crate::history::EpochRecord;
use crate::progress::StepProgress;
use crate::recipe::{ParameterCounts, Recipe};
use crate::run_log::{DatasetRecord, RunLog};

/// What the throughput of the batch metrics is measured over: since the last of them, or the epoch's or sitting's start.
#[derive(Default)]
pub(super) struct Window {
    pub images: u64,
    pub seconds: f64,
}

impl Run<'_> {
    pub(super) fn report_step(&mut self, step: &Step) {
        let (position, sums) = (self.state.position, &self.state.sums);
        let images_per_second = per_second(sums.images, sums.seconds);
        let progress = StepProgress {
            epoch: position.epoch + 1,
            epochs: self.recipe.epochs as u64,
            batch: position.batch,
            batches: self.batches.training.batches() as u64,
            step: position.step,
            loss: sums.loss / sums.images.max(1) as f64,
            accuracy: sums.correct as f64 / sums.images.max(1) as f64,
            learning_rate: step.learning_rate,
            images_per_second,
            remaining: remaining(
                (self.recipe.epochs as u64).saturating_sub(position.epoch),
                self.batches.training.images() as u64,
                sums.images,
                images_per_second,
                self.state.history.epochs.last(),
            ),
        };
        let images = position.epoch * self.batches.training.images() as u64 + sums.images;
        self.live.step(&progress, images);
        self.progress.step(&progress);

        // By the count of passes over the whole run, so that a resumed run logs at the same steps.
        let every = self.recipe.log_every as u64;
        if every > 0 && position.pass / every > (position.pass - step.passes) / every {
            let n = step.images.max(1) as f64;
            let mut metrics = vec![
                ("batch_loss", step.loss_sum / n),
                ("batch_accuracy", step.correct as f64 / n),
                ("batch_learning_rate", step.learning_rate),
                ("batch_images_per_second", per_second(self.window.images, self.window.seconds)),
            ];
            metrics.extend(step.gradient_norm.map(|norm| ("batch_gradient_norm", f64::from(norm))));
            self.log.metrics(position.step, &metrics);
            self.window = Window::default();
        }
    }

    pub(super) fn log_epoch(&mut self, record: &EpochRecord) {
        let mut metrics = vec![
            ("train_loss", record.train_loss),
            ("train_accuracy", record.train_accuracy),
            ("learning_rate", record.learning_rate),
            ("epoch_seconds", record.epoch_seconds),
            ("images_per_second", record.images_per_second),
        ];
        if let (Some(loss), Some(accuracy), Some(best)) = (record.val_loss, record.val_accuracy, &self.state.best) {
            metrics.extend([("val_loss", loss), ("val_accuracy", accuracy), ("best_val_accuracy", best.val_accuracy)]);
            self.live.validation(loss, accuracy, best.val_accuracy);
        }
        self.log.metrics(record.epoch, &metrics);
    }

    pub(super) fn log_test(&mut self, test: &TestOutcome) {
        let TestOutcome { model, last } = test;
        let metrics = [
            ("test_loss", model.loss),
            ("test_accuracy", model.accuracy),
            ("test_top5_accuracy", model.top5_accuracy),
            ("test_precision", model.macro_precision),
            ("test_recall", model.macro_recall),
            ("test_f1", model.macro_f1),
            ("test_calibration_error", model.calibration.expected_calibration_error),
            ("test_loss_last", last.loss),
            ("test_accuracy_last", last.accuracy),
        ];
        self.log.metrics(self.state.position.epoch, &metrics);
    }
}

/// The images of `epochs` (the one in progress among them) that are still to come, at this epoch's rate, and as often what the last
/// epoch had besides: a validation, a checkpoint.
fn remaining(epochs: u64, images_per_epoch: u64, seen: u64, images_per_second: f64, last: Option<&EpochRecord>) -> Duration {
    let at_rate = |images: f64, rate: f64| images / rate.max(1e-9);
    let images = (epochs as f64 * images_per_epoch as f64 - seen as f64).max(0.0);
    let besides = last.map_or(0.0, |record| (record.epoch_seconds - at_rate(images_per_epoch as f64, record.images_per_second)).max(0.0));
    Duration::try_from_secs_f64(at_rate(images, images_per_second) + epochs as f64 * besides).unwrap_or(Duration::MAX)
}

pub(super) fn per_second(images: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { images as f64 / seconds } else { 0.0 }
}

pub(super) fn parameters(recipe: &Recipe, engine: &dyn Engine, data: &Dataset) -> Result<Vec<(String, String)>, TrainError> {
    let counts = ParameterCounts::of(engine.graph(), &recipe.train_options(engine.graph())?);
    let info = engine.info();
    let mut parameters = recipe.parameters();
    parameters.extend(
        [
            ("num_classes", data.classes().len().to_string()),
            ("total_parameters", counts.total.to_string()),
            ("trainable_parameters", counts.trainable.to_string()),
            ("frozen_parameters", counts.frozen.to_string()),
            ("device", info.device),
            ("simd_level", info.level),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    Ok(parameters)
}

pub(super) fn datasets(batches: &Batches) -> Vec<DatasetRecord> {
    let record = |context: &str, loader: &Loader, digest: &str| {
        let (data, images) = (loader.dataset(), loader.images());
        let shape = data.shape();
        DatasetRecord {
            name: data.name().to_owned(),
            digest: digest.to_owned(),
            context: context.to_owned(),
            source: data.source().to_owned(),
            profile: serde_json::json!({
                "images": images,
                "height": shape.height,
                "width": shape.width,
                "channels": shape.channels,
                "classes": data.classes().len(),
            })
            .to_string(),
        }
    };
    let mut records = vec![record("train", &batches.training, &batches.training_digest)];
    records.extend(batches.validation.iter().map(|questions| record(&questions.split, &questions.loader, &batches.validation_digest)));
    records.push(record(&batches.test.split, &batches.test.loader, batches.test.loader.dataset().digest()));
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_remaining_is_that_of_images_and_validations_to_come() {
        let record = EpochRecord {
            epoch: 1,
            train_loss: 0.0,
            train_accuracy: 0.0,
            val_loss: None,
            val_accuracy: None,
            learning_rate: 0.0,
            epoch_seconds: 12.0,
            engine_seconds: 9.0,
            images_per_second: 100.0,
        };
        // Three epochs of 1000 images, 500 of them seen, at 50 a second; a validation took 12 - 10 seconds.
        assert_eq!(remaining(3, 1000, 500, 50.0, Some(&record)), Duration::from_secs(50 + 6));
        assert_eq!(remaining(3, 1000, 500, 50.0, None), Duration::from_secs(50));
        assert_eq!(remaining(1, 1000, 1000, 50.0, Some(&record)), Duration::from_secs(2));
        assert_eq!(remaining(0, 1000, 0, 50.0, Some(&record)), Duration::ZERO);
        // No image is timed yet: very long, not a panic.
        assert!(remaining(1_000_000, 1 << 40, 0, 0.0, None) > Duration::from_secs(1 << 40));
    }
}
