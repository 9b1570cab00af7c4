//! A panel of curves over epochs or steps.

use super::axis::{Axis, Unit};
use super::drawing::{Anchor, Drawing, Frame, Stroke};
use super::theme;

/// One curve. Where `y` is not finite the curve has a gap.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// In the panel's legend; empty for none.
    pub(super) name: String,
    /// From left to right.
    pub(super) points: Vec<(f64, f64)>,
    pub(super) stroke: Stroke,
}

/// A place worth pointing at: a vertical line, a ring on a curve, a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mark {
    pub(super) x: f64,
    pub(super) ring: Option<(f64, Stroke)>,
    pub(super) text: String,
}

/// Curves over a common horizontal axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) x_label: String,
    pub(super) unit: Unit,
    pub(super) lines: Vec<Line>,
    pub(super) mark: Option<Mark>,
}

/// Room under the plot for tick texts and the axis label, and above it for the title.
const BELOW: f64 = 44.0;
const ABOVE: f64 = 26.0;
/// A curve of more points is thinned: an SVG of every step of a long run would take a browser seconds.
const MAX_POINTS: usize = 1_500;
/// Up to this many points and curves each point is shown as a dot.
const MAX_DOTS: usize = 40;
const MAX_DOTTED_LINES: usize = 3;

impl Panel {
    /// Draws the panel, its texts included, inside `frame`.
    pub(super) fn draw(&self, drawing: &mut Drawing, frame: Frame) {
        let values = || self.lines.iter().flat_map(|line| line.points.iter().map(|point| point.1));
        let (top, bottom) = (frame.y + ABOVE, frame.bottom() - BELOW);
        let logarithmic = self.unit == Unit::Number && spans_orders_of_magnitude(values());
        let y = if logarithmic { Axis::logarithmic(values(), bottom, top) } else { Axis::around(values(), self.unit, bottom, top, 5) };
        let widest = y.ticks.iter().map(|(_, text)| theme::TICK.width(text)).fold(0.0, f64::max);
        let plot = Frame::new(frame.x + widest + 8.0, top, frame.width - widest - 8.0 - 10.0, bottom - top);
        // By the frame, not the plot: panels side by side get the same ticks, however wide their tick texts are.
        let x = self.horizontal(&plot, ((frame.width - 50.0) / 45.0).clamp(2.0, 8.0) as usize);

        self.heading(drawing, &frame, logarithmic);
        for (value, text) in &y.ticks {
            let at = y.at(*value);
            drawing.line((plot.x, at), (plot.right(), at), Stroke::new(theme::GRID, 1.0));
            drawing.text(plot.x - 8.0, at, text, theme::TICK.anchored(Anchor::End).centered());
        }
        drawing.line((plot.x, plot.bottom()), (plot.right(), plot.bottom()), Stroke::new(theme::AXIS, 1.0));
        for (value, text) in &x.ticks {
            let at = x.at(*value);
            drawing.line((at, plot.bottom()), (at, plot.bottom() + 4.0), Stroke::new(theme::AXIS, 1.0));
            drawing.text(at, plot.bottom() + 17.0, text, theme::TICK.anchored(Anchor::Middle));
        }
        drawing.text(plot.center().0, plot.bottom() + 36.0, &self.x_label, theme::TICK.anchored(Anchor::Middle));

        if let Some(mark) = &self.mark {
            let at = x.at(mark.x);
            drawing.line((at, plot.y), (at, plot.bottom()), Stroke::new(theme::FAINT, 1.0).dashed(4.0, 3.0));
        }
        for line in &self.lines {
            curve(drawing, line, &x, &y, self.lines.len() <= MAX_DOTTED_LINES);
        }
        if let Some(mark) = &self.mark {
            self.point_out(drawing, mark, &plot, &x, &y);
        }
        if !values().any(f64::is_finite) {
            let (middle_x, middle_y) = plot.center();
            drawing.text(middle_x, middle_y, "no values", theme::LABEL.colored(theme::MUTED).anchored(Anchor::Middle).centered());
        }
    }

    fn horizontal(&self, plot: &Frame, count: usize) -> Axis {
        let positions = || self.lines.iter().flat_map(|line| line.points.iter().map(|point| point.0)).filter(|x| x.is_finite());
        let (low, high) = positions().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        if low < high {
            Axis::exactly(low, high, Unit::Whole, plot.x, plot.right(), count)
        } else {
            // One epoch, or none: its tick stands in the middle.
            let only = if low.is_finite() { low } else { 0.0 };
            Axis::exactly(only - 0.5, only + 0.5, Unit::Whole, plot.x, plot.right(), 1)
        }
    }

    /// Title on the left, names of the curves on the right of the same line.
    fn heading(&self, drawing: &mut Drawing, frame: &Frame, logarithmic: bool) {
        let baseline = frame.y + 10.0;
        let mut right = frame.right() - 10.0;
        for line in self.lines.iter().rev().filter(|line| !line.name.is_empty()) {
            let name = theme::TICK.fitted(&line.name, frame.width / 3.0);
            drawing.text(right, baseline, &name, theme::TICK.anchored(Anchor::End).colored(theme::INK));
            right -= theme::TICK.width(&name) + 6.0;
            drawing.line((right - 18.0, baseline - 4.0), (right, baseline - 4.0), line.stroke);
            right -= 18.0 + 14.0;
        }
        let title = if logarithmic { format!("{} (logarithmic)", self.title) } else { self.title.clone() };
        drawing.text(frame.x, baseline, &theme::HEADING.fitted(&title, right - frame.x), theme::HEADING);
    }

    /// The text stands on the emptier side of the marked line, low in the plot unless the ring is there.
    fn point_out(&self, drawing: &mut Drawing, mark: &Mark, plot: &Frame, x: &Axis, y: &Axis) {
        let at = x.at(mark.x);
        if let Some((value, stroke)) = mark.ring {
            drawing.circle((at, y.at(value)), 4.5, theme::WHITE, Some(stroke));
        }
        let style = theme::TICK.colored(theme::INK).bold();
        let (anchor, shift) = if at > plot.center().0 { (Anchor::End, -7.0) } else { (Anchor::Start, 7.0) };
        let ring = mark.ring.map_or(f64::NAN, |(value, _)| y.at(value));
        let baseline = if ring > plot.bottom() - 32.0 { plot.y + 16.0 } else { plot.bottom() - 10.0 };
        drawing.text(at + shift, baseline, &style.fitted(&mark.text, plot.width * 0.6), style.anchored(anchor));
    }
}

/// A loss that explodes, or falls by factors of ten, would be a flat line on a linear axis.
fn spans_orders_of_magnitude(values: impl Iterator<Item = f64>) -> bool {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    match (values.first(), values.get(values.len() / 2), values.last()) {
        (Some(&least), Some(&median), Some(&greatest)) => least > 0.0 && greatest > 30.0 * median,
        _ => false,
    }
}

fn curve(drawing: &mut Drawing, line: &Line, x: &Axis, y: &Axis, dotted: bool) {
    let finite = |point: &(f64, f64)| point.0.is_finite() && point.1.is_finite();
    let dots = dotted && line.points.len() <= MAX_DOTS;
    for stretch in line.points.split(|point| !finite(point)).filter(|stretch| !stretch.is_empty()) {
        let points: Vec<_> = thinned(stretch).into_iter().map(|(px, py)| (x.at(px), y.at(py))).collect();
        if dots || points.len() == 1 {
            let radius = if points.len() == 1 { 3.0 } else { 2.2 };
            points.iter().for_each(|&center| drawing.circle(center, radius, line.stroke.color, None));
        }
        if points.len() > 1 {
            // A long noisy curve is lighter, so that those under it stay visible.
            let width = if points.len() > 100 { line.stroke.width.min(1.5) } else { line.stroke.width };
            drawing.polyline(points, Stroke { width, ..line.stroke });
        }
    }
}

/// The least and the greatest value of each of `MAX_POINTS / 2` stretches, in their order: no peak is lost.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= MAX_POINTS {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(MAX_POINTS + 2);
    for stretch in points.chunks(points.len().div_ceil(MAX_POINTS / 2)) {
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let (Some(&low), Some(&high)) = (stretch.iter().min_by(by_value), stretch.iter().max_by(by_value)) else { continue };
        let (first, second) = if low.0 <= high.0 { (low, high) } else { (high, low) };
        kept.push(first);
        if second != first {
            kept.push(second);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_peaks_and_the_order() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|i| (f64::from(i), f64::from(i % 7))).collect();
        points[54_321].1 = 1e6;
        let kept = thinned(&points);
        assert!(kept.len() <= MAX_POINTS + 2);
        assert!(kept.contains(&(54_321.0, 1e6)));
        assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
