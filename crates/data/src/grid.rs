//! A picture of samples.

use anmok_random::{bits, key};

use crate::dataset::Dataset;

/// White between the samples.
const GAP: usize = 4;

/// Samples laid out in rows, as stored (not augmented), with room for a caption below each.
#[derive(Debug, Clone)]
pub struct Grid {
    /// Width of the picture in pixels.
    pub width: usize,
    /// Height of the picture in pixels.
    pub height: usize,
    /// `[height, width, 3]`
    pub rgb: Vec<u8>,
    /// The samples.
    pub cells: Vec<Cell>,
}

/// One sample of a [`Grid`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Index in the data set.
    pub index: usize,
    /// Its class.
    pub label: u32,
    /// Left edge of image and caption.
    pub x: usize,
    /// Upper edge of the image.
    pub y: usize,
    /// Upper edge of the caption.
    pub caption_y: usize,
    /// Width of image and caption.
    pub width: usize,
}

/// How a [`Grid`] is laid out.
#[derive(Debug, Clone, Copy)]
pub struct GridOptions {
    /// Number of samples; fewer if the data set has fewer.
    pub count: usize,
    /// Samples per row.
    pub columns: usize,
    /// Side of a square on the picture for each pixel of a sample.
    pub scale: usize,
    /// White rows below each sample.
    pub caption_height: usize,
    /// Names the choice.
    pub seed: u64,
}

/// Chooses samples, one class after the other, and lays them out.
pub fn grid(dataset: &Dataset, options: GridOptions) -> Grid {
    let GridOptions { count, columns, scale, caption_height, seed } = options;
    let (columns, scale, shape) = (columns.max(1), scale.max(1), dataset.shape());
    let (cell_width, image_height) = (shape.width * scale, shape.height * scale);
    let (step_x, step_y) = (cell_width + GAP, image_height + caption_height + GAP);
    let chosen = choose(dataset, count, seed);
    let (width, height) = (GAP + columns * step_x, GAP + chosen.len().div_ceil(columns) * step_y);
    let mut rgb = vec![255; width * height * 3];
    let mut cells = vec![];
    for (place, index) in chosen.into_iter().enumerate() {
        let (x, y) = (GAP + place % columns * step_x, GAP + place / columns * step_y);
        let image = dataset.image(index);
        for row in 0..image_height {
            let source = &image[row / scale * shape.width * shape.channels..][..shape.width * shape.channels];
            let target = &mut rgb[((y + row) * width + x) * 3..][..cell_width * 3];
            for (pixel, column) in target.chunks_exact_mut(3).zip(0..) {
                let value = &source[column / scale * shape.channels..][..shape.channels];
                pixel.iter_mut().enumerate().for_each(|(channel, out)| *out = value[channel.min(shape.channels - 1)]);
            }
        }
        cells.push(Cell { index, label: dataset.labels()[index], x, y, caption_y: y + image_height, width: cell_width });
    }
    Grid { width, height, rgb, cells }
}

/// In turn from each class, by rank.
fn choose(dataset: &Dataset, count: usize, seed: u64) -> Vec<usize> {
    let rank_key = key(&[seed, u64::from_be_bytes(*b"samples.")]);
    let mut members: Vec<Vec<usize>> = vec![vec![]; dataset.classes().len()];
    dataset.labels().iter().enumerate().for_each(|(index, &label)| members[label as usize].push(index));
    // The lowest rank last, so that it is popped first.
    members.iter_mut().for_each(|members| members.sort_unstable_by_key(|&index| std::cmp::Reverse(bits(rank_key, index as u64))));
    let mut chosen = vec![];
    while chosen.len() < count.min(dataset.len()) {
        chosen.extend(members.iter_mut().filter_map(Vec::pop));
    }
    chosen.truncate(count);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::tests::sample;

    #[test]
    fn samples_come_from_each_class_in_turn_and_lie_where_the_cells_say() {
        let dataset = sample();
        let grid = grid(&dataset, GridOptions { count: 23, columns: 10, scale: 2, caption_height: 12, seed: 1 });
        assert_eq!(grid.cells.iter().map(|cell| cell.label).collect::<Vec<_>>(), (0..23).map(|i| i % 10).collect::<Vec<_>>());
        assert_eq!((grid.width, grid.height), (4 + 10 * 68, 4 + 3 * 80));
        for cell in &grid.cells {
            let pixel = |x: usize, y: usize| &grid.rgb[(y * grid.width + x) * 3..][..3];
            let image = dataset.image(cell.index);
            for (y, x) in [(0, 0), (13, 17), (31, 31)] {
                assert_eq!(pixel(cell.x + 2 * x + 1, cell.y + 2 * y), &image[(y * 32 + x) * 3..][..3]);
            }
            assert_eq!(pixel(cell.x, cell.caption_y), [255; 3]);
        }
    }

    #[test]
    fn the_choice_follows_the_seed_and_ends_with_the_data_set() {
        let dataset = sample();
        assert_eq!(choose(&dataset, 30, 1), choose(&dataset, 30, 1));
        assert_ne!(choose(&dataset, 30, 1), choose(&dataset, 30, 2));
        assert_eq!(choose(&dataset, 5000, 1).len(), 1000);
    }
}
