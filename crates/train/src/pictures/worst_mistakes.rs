//! The images that the model got most wrong.

use super::drawing::TextStyle;
use super::image_grid::{self, Cell, SIDE};
use super::{ImageView, Picture, Subject, axis, theme};
use crate::EvaluationReport;

const COLUMNS: usize = 8;
const MAX_CELLS: usize = 40;

/// The worst mistakes, highest loss first: under each image its class, then what was predicted and how surely.
/// `images` belong to `report.worst_mistakes`, in that order; the shorter of the two decides, and at most 40 are drawn.
pub fn worst_mistakes(subject: &Subject<'_>, report: &EvaluationReport, images: &[ImageView<'_>]) -> Picture {
    let name = |class: u32| report.classes.get(class as usize).map_or_else(|| format!("class {class}"), |class| class.name.clone());
    let (truth, prediction) = (theme::TICK.colored(theme::INK), theme::TICK.colored(theme::VERMILLION).bold());
    let cells: Vec<_> = report
        .worst_mistakes
        .iter()
        .zip(images)
        .take(MAX_CELLS)
        .map(|(mistake, &image)| {
            let fitted = |text: &str, style: TextStyle| (style.fitted(text, SIDE + 8.0), style);
            let lines = vec![
                fitted(&name(mistake.label), truth),
                fitted(&format!("→ {}", name(mistake.predicted)), prediction),
                fitted(&format!("confidence {}", axis::percent(mistake.confidence, 1)), theme::TICK.sized(10.0)),
            ];
            Cell { image, lines }
        })
        .collect();
    let right = (report.accuracy.clamp(0.0, 1.0) * report.images as f64).round() as u64;
    let wrong = report.images.saturating_sub(right);
    let which = match (cells.len() as u64, wrong) {
        (0, 0) => "none wrong".into(),
        (shown, wrong) => format!("{} of {} mistakes, true class → predicted class", axis::grouped(shown), axis::grouped(wrong.max(shown))),
    };
    let line = subject.line(report, &which);
    let nothing = if wrong == 0 { "no mistakes" } else { "no images" };
    Picture::new("worst_mistakes", image_grid::sheet("The worst mistakes", &line, &cells, COLUMNS, nothing))
}
