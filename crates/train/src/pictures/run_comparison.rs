//! The curves of several runs, one over the other, with a table of their values.

use super::axis::{self, Unit};
use super::chart::{Line, Panel};
use super::drawing::{Anchor, Drawing, Frame, Stroke};
use super::{Picture, theme};

/// What a metric's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A share in `[0, 1]`, shown as a percentage; higher is better: an accuracy.
    Share,
    /// Any number, lower is better: a loss.
    Loss,
    /// Any other number.
    Number,
}

/// One run's values of one metric: `(step, value)`, from left to right. Values that are not finite leave gaps.
pub type Curve = Vec<(f64, f64)>;

/// One metric of all runs.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricPanel<'a> {
    /// Its name, for example `val_accuracy`.
    pub metric: &'a str,
    /// What its values are.
    pub kind: MetricKind,
    /// What its steps are: `epoch` or `step`.
    pub step_label: &'a str,
    /// One curve for each of [`Comparison::runs`], in that order; empty for a run that lacks the metric.
    pub curves: Vec<Curve>,
}

/// The runs to compare.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison<'a> {
    /// Names of the runs.
    pub runs: Vec<&'a str>,
    /// The metrics, in the order in which they are drawn.
    pub metrics: Vec<MetricPanel<'a>>,
}

/// More lines than this cannot be told apart; the subtitle says that there were more.
const MAX_RUNS: usize = 21;
const MAX_METRICS: usize = 6;
const SHEET: f64 = 1120.0;
const PANEL_HEIGHT: f64 = 300.0;
const ROW: f64 = 20.0;
const VALUE_COLUMN: f64 = 124.0;

/// The curves of several runs: a panel for each metric, one colour for each run, and a table with each run's best value
/// (its last where better has no direction). Draws the first 21 runs and 6 metrics.
pub fn run_comparison(comparison: &Comparison<'_>) -> Picture {
    let runs = &comparison.runs[..comparison.runs.len().min(MAX_RUNS)];
    let metrics = &comparison.metrics[..comparison.metrics.len().min(MAX_METRICS)];
    let per_row = if metrics.len() == 4 { 2 } else { metrics.len().clamp(1, 3) };
    let rows = metrics.len().div_ceil(per_row);
    let table_top = theme::TOP + rows as f64 * (PANEL_HEIGHT + 16.0) + 14.0;
    let height = table_top + (runs.len() + 1) as f64 * ROW + theme::MARGIN;
    let mut drawing = Drawing::new(SHEET, height, "Runs compared", &subtitle(comparison, runs.len(), metrics.len()));
    let width = (SHEET - 2.0 * theme::MARGIN - (per_row - 1) as f64 * 24.0) / per_row as f64;
    for (i, metric) in metrics.iter().enumerate() {
        let x = theme::MARGIN + (i % per_row) as f64 * (width + 24.0);
        let y = theme::TOP + (i / per_row) as f64 * (PANEL_HEIGHT + 16.0);
        panel(metric, runs.len()).draw(&mut drawing, Frame::new(x, y, width, PANEL_HEIGHT));
    }
    table(&mut drawing, runs, metrics, table_top);
    Picture::new("run_comparison", drawing)
}

fn subtitle(comparison: &Comparison<'_>, runs: usize, metrics: usize) -> String {
    let count = |shown: usize, all: usize, noun: &str| match (shown, all) {
        (1, 1) => format!("1 {noun}"),
        (shown, all) if shown < all => format!("the first {shown} of {all} {noun}s"),
        (_, all) => format!("{all} {noun}s"),
    };
    format!("{} · {}", count(runs, comparison.runs.len(), "run"), count(metrics, comparison.metrics.len(), "metric"))
}

/// Seven colours solid, then dashed, then dotted.
fn stroke(run: usize) -> Stroke {
    let solid = Stroke::new(theme::SERIES[run % theme::SERIES.len()], 2.0);
    match run / theme::SERIES.len() {
        0 => solid,
        1 => solid.dashed(7.0, 3.0),
        _ => solid.dashed(2.0, 2.5),
    }
}

fn panel(metric: &MetricPanel<'_>, runs: usize) -> Panel {
    let lines = metric.curves.iter().take(runs).enumerate();
    let lines = lines.map(|(run, points)| Line { name: String::new(), points: points.clone(), stroke: stroke(run) }).collect();
    let unit = if metric.kind == MetricKind::Share { Unit::Share } else { Unit::Number };
    Panel { title: metric.metric.into(), x_label: metric.step_label.into(), unit, lines, mark: None }
}

/// The value by which a run is judged, and the step at which it was reached.
fn judged(curve: &Curve, kind: MetricKind) -> Option<(f64, f64)> {
    let mut finite = curve.iter().copied().filter(|(_, value)| value.is_finite());
    match kind {
        MetricKind::Share => finite.reduce(|best, point| if point.1 > best.1 { point } else { best }),
        MetricKind::Loss => finite.reduce(|best, point| if point.1 < best.1 { point } else { best }),
        MetricKind::Number => finite.next_back(),
    }
}

fn table(drawing: &mut Drawing, runs: &[&str], metrics: &[MetricPanel<'_>], top: f64) {
    let right = SHEET - theme::MARGIN;
    let column = |i: usize| right - (metrics.len() - 1 - i) as f64 * VALUE_COLUMN;
    drawing.text(theme::MARGIN + 34.0, top, "run", theme::TICK);
    for (i, metric) in metrics.iter().enumerate() {
        let heading = format!("{} {}", if metric.kind == MetricKind::Number { "last" } else { "best" }, metric.metric);
        drawing.text(column(i), top, &theme::TICK.fitted(&heading, VALUE_COLUMN - 10.0), theme::TICK.anchored(Anchor::End));
    }
    drawing.line((theme::MARGIN, top + 6.0), (right, top + 6.0), Stroke::new(theme::AXIS, 1.0));
    let best: Vec<_> = metrics.iter().map(|metric| best_run(metric, runs.len())).collect();
    for (run, name) in runs.iter().enumerate() {
        let baseline = top + (run + 1) as f64 * ROW;
        drawing.line((theme::MARGIN, baseline - 4.0), (theme::MARGIN + 24.0, baseline - 4.0), stroke(run));
        let room = right - metrics.len() as f64 * VALUE_COLUMN - theme::MARGIN - 34.0;
        drawing.text(theme::MARGIN + 34.0, baseline, &theme::LABEL.fitted(name, room), theme::LABEL);
        for (i, metric) in metrics.iter().enumerate() {
            let value = metric.curves.get(run).and_then(|curve| judged(curve, metric.kind)).map_or(f64::NAN, |(_, value)| value);
            let text = if metric.kind == MetricKind::Share { axis::percent(value, 2) } else { axis::figures(value) };
            let style = if best[i] == Some(run) { theme::LABEL.bold() } else { theme::LABEL };
            drawing.text(column(i), baseline, &text, style.anchored(Anchor::End));
        }
    }
}

/// The run that stands out in bold; none where better has no direction or there is nothing to compare.
fn best_run(metric: &MetricPanel<'_>, runs: usize) -> Option<usize> {
    let values = metric.curves.iter().take(runs).enumerate().filter_map(|(run, curve)| Some((run, judged(curve, metric.kind)?.1)));
    match metric.kind {
        _ if runs < 2 => None,
        MetricKind::Share => values.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(run, _)| run),
        MetricKind::Loss => values.reduce(|best, next| if next.1 < best.1 { next } else { best }).map(|(run, _)| run),
        MetricKind::Number => None,
    }
}
