//! Rows of images, each with a few lines of text under it.

use super::drawing::{Anchor, Drawing, Frame, ImageView, TextStyle};
use super::theme;

/// Side of an image in points: three times 32 pixels, six in the PNG.
pub(super) const SIDE: f64 = 96.0;
/// From one image to the next.
pub(super) const PITCH: f64 = SIDE + 18.0;
const LINE: f64 = 15.0;

/// One image and its texts, already cut to [`SIDE`].
pub(super) struct Cell<'a> {
    pub(super) image: ImageView<'a>,
    pub(super) lines: Vec<(String, TextStyle)>,
}

/// A sheet as wide as the grid (at least as wide as the titles need), with the cells in rows of `columns`.
pub(super) fn sheet(title: &str, subtitle: &str, cells: &[Cell<'_>], columns: usize, nothing: &str) -> Drawing {
    let columns = columns.clamp(1, cells.len().max(1));
    let lines = cells.iter().map(|cell| cell.lines.len()).max().unwrap_or(0);
    let row_height = SIDE + 5.0 + lines as f64 * LINE + 14.0;
    let rows = cells.len().div_ceil(columns).max(1);
    let width = (2.0 * theme::MARGIN + columns as f64 * PITCH - (PITCH - SIDE)).max(620.0);
    let mut drawing = Drawing::new(width, theme::TOP + rows as f64 * row_height + 8.0, title, subtitle);
    for (i, cell) in cells.iter().enumerate() {
        let x = theme::MARGIN + (i % columns) as f64 * PITCH;
        let y = theme::TOP + (i / columns) as f64 * row_height;
        drawing.image(Frame::new(x, y, SIDE, SIDE), &cell.image);
        for (line, (text, style)) in cell.lines.iter().enumerate() {
            drawing.text(x, y + SIDE + 15.0 + line as f64 * LINE, text, *style);
        }
    }
    if cells.is_empty() {
        let style = theme::LABEL.colored(theme::MUTED).anchored(Anchor::Middle);
        drawing.text(width / 2.0, theme::TOP + row_height / 2.0, nothing, style);
    }
    drawing
}
