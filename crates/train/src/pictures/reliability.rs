//! How far the model's confidence can be trusted.

use super::axis::{self, Axis, Unit};
use super::drawing::{Anchor, Drawing, Frame, Stroke};
use super::{Picture, Subject, theme};
use crate::EvaluationReport;
use crate::evaluation::report::CalibrationBin;

const SIDE: f64 = 440.0;
const HISTOGRAM: f64 = 120.0;

/// The reliability diagram (Guo et al., 2017): the accuracy in each bin of confidence, its gap to the bin's mean
/// confidence, and below it how many images fall into each bin. The expected calibration error stands in the title.
pub fn reliability_diagram(subject: &Subject<'_>, report: &EvaluationReport) -> Picture {
    let calibration = &report.calibration;
    let title = format!("Reliability: expected calibration error {}", axis::percent(calibration.expected_calibration_error, 2));
    let images: u64 = calibration.bins.iter().map(|bin| bin.count).sum();
    let mean_confidence =
        calibration.bins.iter().filter(|bin| bin.count > 0).map(|bin| bin.confidence * bin.count as f64).sum::<f64>() / images as f64;
    let mut drawing = Drawing::new(600.0, 804.0, &title, &subject.line(report, &format!("accuracy {}", axis::percent(report.accuracy, 1))));
    let plot = Frame::new(92.0, theme::TOP + 28.0, SIDE, SIDE);
    let histogram = Frame::new(plot.x, plot.bottom() + 54.0, SIDE, HISTOGRAM);
    let x = Axis::exactly(0.0, 1.0, Unit::Share, plot.x, plot.right(), 5);

    diagram(&mut drawing, &plot, &x, &calibration.bins);
    counts(&mut drawing, &histogram, &x, &calibration.bins, images);
    if images > 0 {
        means(&mut drawing, &histogram, &x, report.accuracy, mean_confidence);
    } else {
        let (middle, _) = plot.center();
        drawing.text(middle, plot.y + 60.0, "no images", theme::LABEL.colored(theme::MUTED).anchored(Anchor::Middle));
    }
    Picture::new("reliability", drawing)
}

fn diagram(drawing: &mut Drawing, plot: &Frame, x: &Axis, bins: &[CalibrationBin]) {
    let y = Axis::exactly(0.0, 1.0, Unit::Share, plot.bottom(), plot.y, 5);
    legend(drawing, plot);
    for (value, text) in &y.ticks {
        drawing.line((plot.x, y.at(*value)), (plot.right(), y.at(*value)), Stroke::new(theme::GRID, 1.0));
        drawing.text(plot.x - 8.0, y.at(*value), text, theme::TICK.anchored(Anchor::End).centered());
    }
    drawing.text(40.0, plot.center().1, "accuracy", theme::TICK.turned(-90.0).anchored(Anchor::Middle));
    for bin in bins.iter().filter(|bin| bin.count > 0 && bin.accuracy.is_finite() && bin.confidence.is_finite()) {
        let (left, right) = (x.at(bin.lower) + 1.0, x.at(bin.upper) - 1.0);
        let (accuracy, confidence) = (y.at(bin.accuracy.clamp(0.0, 1.0)), y.at(bin.confidence.clamp(0.0, 1.0)));
        let width = (right - left).max(0.5);
        drawing.rect(Frame::new(left, accuracy, width, plot.bottom() - accuracy), theme::BLUE);
        // Narrower than the bar, so that its top stays visible when confidence lies below accuracy.
        let (top, bottom) = (accuracy.min(confidence), accuracy.max(confidence));
        drawing.rect(Frame::new(left + width * 0.22, top, width * 0.56, bottom - top), theme::ORANGE_TINT);
        drawing.line((left, confidence), (right, confidence), Stroke::new(theme::VERMILLION, 2.0));
    }
    drawing.line((plot.x, plot.bottom()), (plot.right(), plot.y), Stroke::new(theme::INK, 1.25).dashed(5.0, 4.0));
    drawing.line((plot.x, plot.bottom()), (plot.right(), plot.bottom()), Stroke::new(theme::AXIS, 1.0));
    horizontal_ticks(drawing, plot, x);
}

fn legend(drawing: &mut Drawing, plot: &Frame) {
    let baseline = plot.y - 12.0;
    let mut x = plot.x;
    for (name, color) in [("accuracy", theme::BLUE), ("gap", theme::ORANGE_TINT)] {
        drawing.rect(Frame::new(x, baseline - 9.0, 12.0, 10.0), color);
        drawing.text(x + 17.0, baseline, name, theme::TICK.colored(theme::INK));
        x += 17.0 + theme::TICK.width(name) + 18.0;
    }
    for (name, stroke) in
        [("mean confidence", Stroke::new(theme::VERMILLION, 2.0)), ("perfectly calibrated", Stroke::new(theme::INK, 1.25).dashed(5.0, 4.0))]
    {
        drawing.line((x, baseline - 4.0), (x + 20.0, baseline - 4.0), stroke);
        drawing.text(x + 25.0, baseline, name, theme::TICK.colored(theme::INK));
        x += 25.0 + theme::TICK.width(name) + 18.0;
    }
}

fn horizontal_ticks(drawing: &mut Drawing, plot: &Frame, x: &Axis) {
    for (value, text) in &x.ticks {
        drawing.line((x.at(*value), plot.bottom()), (x.at(*value), plot.bottom() + 4.0), Stroke::new(theme::AXIS, 1.0));
        drawing.text(x.at(*value), plot.bottom() + 17.0, text, theme::TICK.anchored(Anchor::Middle));
    }
}

fn counts(drawing: &mut Drawing, plot: &Frame, x: &Axis, bins: &[CalibrationBin], images: u64) {
    let share = |bin: &CalibrationBin| if images == 0 { 0.0 } else { bin.count as f64 / images as f64 };
    let y = Axis::around(bins.iter().map(share).chain([0.0]), Unit::Share, plot.bottom(), plot.y, 3);
    for (value, text) in &y.ticks {
        drawing.line((plot.x, y.at(*value)), (plot.right(), y.at(*value)), Stroke::new(theme::GRID, 1.0));
        drawing.text(plot.x - 8.0, y.at(*value), text, theme::TICK.anchored(Anchor::End).centered());
    }
    drawing.text(40.0, plot.center().1, "share of images", theme::TICK.turned(-90.0).anchored(Anchor::Middle));
    for bin in bins.iter().filter(|bin| bin.count > 0) {
        let (left, right, top) = (x.at(bin.lower) + 1.0, x.at(bin.upper) - 1.0, y.at(share(bin)));
        drawing.rect(Frame::new(left, top, (right - left).max(0.5), plot.bottom() - top), theme::FAINT);
    }
    drawing.line((plot.x, plot.bottom()), (plot.right(), plot.bottom()), Stroke::new(theme::AXIS, 1.0));
    horizontal_ticks(drawing, plot, x);
    drawing.text(plot.center().0, plot.bottom() + 36.0, "confidence", theme::TICK.anchored(Anchor::Middle));
}

/// Mean accuracy and mean confidence over the histogram; their texts stand on the outer sides, so that they never meet.
fn means(drawing: &mut Drawing, plot: &Frame, x: &Axis, accuracy: f64, confidence: f64) {
    let left_is_accuracy = accuracy <= confidence;
    for (name, value, color, is_left) in
        [("accuracy", accuracy, theme::BLUE, left_is_accuracy), ("confidence", confidence, theme::VERMILLION, !left_is_accuracy)]
    {
        if !value.is_finite() {
            continue;
        }
        let at = x.at(value.clamp(0.0, 1.0));
        drawing.line((at, plot.y - 8.0), (at, plot.bottom()), Stroke::new(color, 1.5).dashed(5.0, 3.0));
        let text = format!("mean {name} {}", axis::percent(value, 1));
        let style = theme::TICK.colored(color).bold();
        let width = style.width(&text);
        // Beyond the left edge of the plot there is no room: then on the other side, one line higher.
        let fits = if is_left { at - 6.0 - width >= plot.x - 60.0 } else { at + 6.0 + width <= plot.right() + 56.0 };
        let (anchor, shift) = if is_left == fits { (Anchor::End, -6.0) } else { (Anchor::Start, 6.0) };
        let baseline = if fits { plot.y } else { plot.y - 13.0 };
        drawing.text(at + shift, baseline, &text, style.anchored(anchor));
    }
}
