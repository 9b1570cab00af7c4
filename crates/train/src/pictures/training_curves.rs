//! Loss, accuracy and learning rate over the epochs.

use super::axis::{self, Unit};
use super::chart::{Line, Mark, Panel};
use super::drawing::{Anchor, Drawing, Frame, Stroke};
use super::{Picture, Subject, theme};
use crate::{EpochRecord, History};

const TRAINING: Stroke = Stroke::new(theme::BLUE, 2.0);
const VALIDATION: Stroke = Stroke::new(theme::VERMILLION, 2.0);
const LEARNING_RATE: Stroke = Stroke::new(theme::GREEN, 2.0);

/// The training curves of a run: loss and accuracy on training and validation images, the learning rate, and the epoch
/// with the best validation accuracy. Values that are not finite leave gaps, which the subtitle counts.
pub fn training_curves(subject: &Subject<'_>, history: &History) -> Picture {
    let epochs = &history.epochs;
    let mut drawing = Drawing::new(1160.0, 424.0, "Training curves", &subtitle(subject, history));
    if epochs.is_empty() {
        drawing.text(580.0, 240.0, "no finished epoch yet", theme::LABEL.colored(theme::MUTED).anchored(Anchor::Middle));
        return Picture::new("training_curves", drawing);
    }
    let line = |name: &str, stroke, value: &dyn Fn(&EpochRecord) -> Option<f64>| {
        let points: Vec<_> = epochs.iter().filter_map(|record| Some((record.epoch as f64, value(record)?))).collect();
        Line { name: name.into(), points, stroke }
    };
    let panel = |title: &str, unit, lines: Vec<Line>, mark| {
        let lines = lines.into_iter().filter(|line| !line.points.is_empty()).collect();
        Panel { title: title.into(), x_label: "epoch".into(), unit, lines, mark }
    };
    let best = history.best();
    let mark =
        |ring: Option<f64>, text: String| best.map(|best| Mark { x: best.epoch as f64, ring: ring.map(|value| (value, VALIDATION)), text });
    let best_text = best.map(|best| format!("best {} at epoch {}", axis::percent(best.val_accuracy.unwrap_or(f64::NAN), 2), best.epoch));
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());

    let loss = vec![line("training", TRAINING, &|r| Some(r.train_loss)), line("validation", VALIDATION, &|r| r.val_loss)];
    let loss_mark = mark(best.and_then(|best| finite(best.val_loss)), String::new());
    panel("Loss", Unit::Number, loss, loss_mark).draw(&mut drawing, Frame::new(28.0, theme::TOP, 390.0, 320.0));

    let accuracy = vec![line("training", TRAINING, &|r| Some(r.train_accuracy)), line("validation", VALIDATION, &|r| r.val_accuracy)];
    let accuracy_mark = mark(best.and_then(|best| finite(best.val_accuracy)), best_text.unwrap_or_default());
    panel("Accuracy", Unit::Share, accuracy, accuracy_mark).draw(&mut drawing, Frame::new(442.0, theme::TOP, 390.0, 320.0));

    let rate = vec![line("", LEARNING_RATE, &|r| Some(r.learning_rate))];
    panel("Learning rate", Unit::Number, rate, None).draw(&mut drawing, Frame::new(856.0, theme::TOP, 286.0, 320.0));
    Picture::new("training_curves", drawing)
}

fn subtitle(subject: &Subject<'_>, history: &History) -> String {
    let epochs = &history.epochs;
    let plural = if epochs.len() == 1 { "epoch" } else { "epochs" };
    let mut text = format!("{} on {} · {} {plural}", subject.model, subject.dataset, epochs.len());
    let values =
        epochs.iter().flat_map(|r| [Some(r.train_loss), Some(r.train_accuracy), r.val_loss, r.val_accuracy, Some(r.learning_rate)]);
    let gaps = values.flatten().filter(|value| !value.is_finite()).count();
    if gaps > 0 {
        text += &format!(" · {gaps} values are not finite and left out");
    }
    text
}
