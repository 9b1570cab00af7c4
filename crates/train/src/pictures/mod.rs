//! Report pictures: confusion matrix, per-class accuracy, training curves, reliability diagram, the worst mistakes, the
//! samples of a data set, and the curves of several runs.
//!
//! Each function lays one figure out as a [`Drawing`](drawing::Drawing), a short list of rectangles, lines, texts and
//! images in points. [`Picture`] turns that one list into an SVG text and, at two pixels a point, into a PNG. The layout
//! and the SVG are the same bytes on every machine. So is the PNG, as long as every letter is in the built-in font (Latin
//! script); for others (Korean class names) the PNG takes the machine's own fonts, and a machine that has none draws a box.
//!
//! What was weighed, in seconds of CPU for a build from nothing (two cores, release profile): rendering the PNG from the
//! SVG with `resvg` 76, because it brings a shaper, two font readers and a CSS engine; `tiny-skia` (the rasteriser inside
//! `resvg`) with `ttf-parser` and `fontdb` 22, of which the PNG coder is shared with the image folder. The default build is
//! to stay under five minutes, so the second, with a writer of some 150 lines for each of the two formats. The price:
//! scripts that need shaping (Arabic, Devanagari) are drawn letter by letter in the PNG; in the SVG the viewer shapes them.
//! `plotters` and `kuva` were refused for the look: neither has these figures, and both decide typography themselves.
//!
//! `cargo run -p anmok-train --example pictures -- FOLDER` draws every figure with made-up numbers: look at them after a change.

mod axis;
mod chart;
mod class_accuracy;
mod colormap;
mod confusion_matrix;
mod drawing;
mod font;
mod image_grid;
mod picture;
mod raster;
mod reliability;
mod run_comparison;
mod sample_grid;
mod svg;
#[cfg(test)]
mod tests;
mod theme;
mod training_curves;
mod worst_mistakes;

pub use class_accuracy::class_accuracy;
pub use confusion_matrix::confusion_matrix;
pub use drawing::ImageView;
pub use picture::{Picture, PictureError};
pub use reliability::reliability_diagram;
pub use run_comparison::{Comparison, Curve, MetricKind, MetricPanel, run_comparison};
pub use sample_grid::{Sample, sample_grid};
pub use training_curves::training_curves;
pub use worst_mistakes::worst_mistakes;

/// What a picture is about; it stands in the line under the title.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The network, for example `mobilenet_v3_small`.
    pub model: &'a str,
    /// The data set, for example `CIFAR10`.
    pub dataset: &'a str,
}

impl Subject<'_> {
    /// `mobilenet_v3_small on CIFAR10 · test, n = 10,000 · what`.
    fn line(&self, report: &crate::EvaluationReport, what: &str) -> String {
        let images = axis::grouped(report.images);
        format!("{} on {} · {}, n = {images} · {what}", self.model, self.dataset, report.split)
    }
}
