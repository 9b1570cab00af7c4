//! The accuracy of each class as bars, the best first.

use super::axis;
use super::drawing::{Anchor, Drawing, Frame, Stroke};
use super::{Picture, Subject, theme};
use crate::EvaluationReport;
use crate::evaluation::report::ClassReport;

/// More classes than this are not read as bars: the lowest are shown, and the subtitle says so.
const MAX_CLASSES: usize = 200;
const ROWS_PER_COLUMN: usize = 50;
const MAX_NAME: f64 = 150.0;
const GUTTER: f64 = 28.0;
const VALUE_ROOM: f64 = 50.0;

/// The share of each class's images that were found (its recall), sorted, with the mean over the classes as a line.
/// A class without images stands last and has no bar.
pub fn class_accuracy(subject: &Subject<'_>, report: &EvaluationReport) -> Picture {
    let mut classes: Vec<_> = report.classes.iter().collect();
    let rate = |class: &ClassReport| if class.support > 0 && class.recall.is_finite() { class.recall } else { -1.0 };
    // Stable: equals stay in the data set's order.
    classes.sort_by(|a, b| rate(b).total_cmp(&rate(a)));
    let shown = &classes[classes.len().saturating_sub(MAX_CLASSES)..];

    let columns = shown.len().div_ceil(ROWS_PER_COLUMN).max(1);
    let rows = shown.len().div_ceil(columns).max(1);
    let row_height = if rows <= 25 { 24.0 } else { 17.0 };
    let style = if rows <= 25 { theme::LABEL } else { theme::LABEL.sized(10.5) };
    let bar_room = [480.0, 270.0, 210.0, 180.0][columns.min(4) - 1];
    let name_room = shown.iter().map(|class| style.width(&class.name)).fold(24.0, f64::max).min(MAX_NAME);
    let column_width = name_room + 10.0 + bar_room + VALUE_ROOM;
    let width = 2.0 * theme::MARGIN + columns as f64 * (column_width + GUTTER) - GUTTER;
    let plot_height = rows as f64 * row_height;
    let top = theme::TOP + 22.0;

    let all = axis::grouped(classes.len() as u64);
    let which = match classes.len() {
        1 => "1 class".into(),
        n if n > shown.len() => format!("the {} lowest of {all} classes", shown.len()),
        _ => format!("{all} classes"),
    };
    let line = subject.line(report, &which);
    let mut drawing = Drawing::new(width, top + plot_height + 52.0, "Accuracy of each class", &line);
    for (column, classes) in shown.chunks(rows).enumerate() {
        let left = theme::MARGIN + column as f64 * (column_width + GUTTER) + name_room + 10.0;
        let plot = Frame::new(left, top, bar_room, plot_height);
        axes(&mut drawing, &plot);
        for (row, class) in classes.iter().enumerate() {
            bar(&mut drawing, class, &plot, top + row as f64 * row_height, row_height, name_room, style);
        }
        mean_line(&mut drawing, &plot, report.macro_recall);
    }
    if shown.is_empty() {
        drawing.text(width / 2.0, top + 20.0, "no classes", theme::LABEL.colored(theme::MUTED).anchored(Anchor::Middle));
    }
    Picture::new("class_accuracy", drawing)
}

fn axes(drawing: &mut Drawing, plot: &Frame) {
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        let x = plot.x + share * plot.width;
        drawing.line((x, plot.y), (x, plot.bottom() + 4.0), Stroke::new(if quarter == 0 { theme::AXIS } else { theme::GRID }, 1.0));
        drawing.text(x, plot.bottom() + 18.0, &axis::percent(share, 0), theme::TICK.anchored(Anchor::Middle));
    }
}

fn bar(
    drawing: &mut Drawing,
    class: &ClassReport,
    plot: &Frame,
    y: f64,
    row_height: f64,
    name_room: f64,
    style: super::drawing::TextStyle,
) {
    let middle = y + row_height / 2.0;
    drawing.text(plot.x - 10.0, middle, &style.fitted(&class.name, name_room), style.anchored(Anchor::End).centered());
    if class.support == 0 {
        drawing.text(plot.x + 6.0, middle, "no images", style.centered().colored(theme::MUTED));
        return;
    }
    let share = if class.recall.is_finite() { class.recall.clamp(0.0, 1.0) } else { 0.0 };
    let thickness = row_height * 0.68;
    drawing.rect(Frame::new(plot.x, middle - thickness / 2.0, share * plot.width, thickness), theme::BLUE_TINT);
    // In a column of their own: beside the bars they would meet the line of the mean.
    drawing.text(plot.right() + VALUE_ROOM, middle, &axis::percent(class.recall, 1), style.anchored(Anchor::End).centered());
}

fn mean_line(drawing: &mut Drawing, plot: &Frame, mean: f64) {
    if !mean.is_finite() {
        return;
    }
    let x = plot.x + mean.clamp(0.0, 1.0) * plot.width;
    drawing.line((x, plot.y - 6.0), (x, plot.bottom()), Stroke::new(theme::VERMILLION, 1.5).dashed(5.0, 3.0));
    let style = theme::TICK.colored(theme::VERMILLION).bold().anchored(Anchor::Middle);
    drawing.text(x, plot.y - 11.0, &format!("mean {}", axis::percent(mean, 1)), style);
}
