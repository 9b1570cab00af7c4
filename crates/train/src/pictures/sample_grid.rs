//! Samples of a data set with their labels.

use super::image_grid::{self, Cell, SIDE};
use super::{ImageView, Picture, theme};

/// One image and the name of its class.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// The pixels.
    pub image: ImageView<'a>,
    /// The class's name.
    pub label: &'a str,
}

const COLUMNS: usize = 10;
const MAX_CELLS: usize = 200;

/// A grid of images, ten in a row in the order given (at most 200), each with its label. Ten samples of a class one after
/// another make a row of that class.
pub fn sample_grid(title: &str, subtitle: &str, samples: &[Sample<'_>]) -> Picture {
    let style = theme::TICK.colored(theme::INK);
    let cells = samples.iter().take(MAX_CELLS).map(|sample| {
        let label = style.fitted(sample.label, SIDE + 8.0);
        Cell { image: sample.image, lines: vec![(label, style)] }
    });
    let cells: Vec<_> = cells.collect();
    Picture::new("samples", image_grid::sheet(title, subtitle, &cells, COLUMNS, "no images"))
}
