//! Random crop with zero padding and horizontal flip, in one pass over the image.

use crate::dataset::Shape;

/// Where the crop lies: the image's own size, moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Rows by which the crop lies lower than the image.
    pub down: isize,
    /// Columns by which the crop lies further right than the image.
    pub right: isize,
    /// Mirrored after cropping.
    pub flipped: bool,
}

impl Window {
    /// The image as it is.
    pub const WHOLE: Self = Self { down: 0, right: 0, flipped: false };
}

/// Copies the window on an image of `C` channels to `out`, value by value through `map(channel, value)`; outside the
/// image the value is 0.
#[inline(always)]
pub(super) fn copy<const C: usize, T: Copy>(image: &[u8], shape: Shape, window: Window, map: impl Fn(usize, u8) -> T, out: &mut [T]) {
    let Shape { height, width, .. } = shape;
    let zero: [T; C] = std::array::from_fn(|channel| map(channel, 0));
    let (image, _) = image.as_chunks::<C>();
    let (out, _) = out.as_chunks_mut::<C>();
    // Output columns whose source column lies inside the image, before the flip.
    let inside = |offset: isize, size: usize| ((-offset).max(0) as usize).min(size)..(size as isize - offset.max(0)).max(0) as usize;
    let (rows, columns) = (inside(window.down, height), inside(window.right, width));
    for (y, row) in out.chunks_exact_mut(width).enumerate() {
        if !rows.contains(&y) || columns.is_empty() {
            row.fill(zero);
            continue;
        }
        let source = (y as isize + window.down) as usize * width + (columns.start as isize + window.right) as usize;
        let source = &image[source..][..columns.len()];
        let start = if window.flipped { width - columns.end } else { columns.start };
        let (before, rest) = row.split_at_mut(start);
        let (middle, after) = rest.split_at_mut(source.len());
        before.fill(zero);
        after.fill(zero);
        let pixel = |pixel: &[u8; C]| std::array::from_fn(|channel| map(channel, pixel[channel]));
        if window.flipped {
            middle.iter_mut().zip(source.iter().rev()).for_each(|(out, value)| *out = pixel(value));
        } else {
            middle.iter_mut().zip(source).for_each(|(out, value)| *out = pixel(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixel by pixel, as one would say it.
    fn reference(image: &[u8], shape: Shape, window: Window) -> Vec<u8> {
        let Shape { height, width, channels } = shape;
        let mut out = vec![];
        for y in 0..height as isize {
            for x in 0..width as isize {
                let x = if window.flipped { width as isize - 1 - x } else { x };
                let (sy, sx) = (y + window.down, x + window.right);
                let is_inside = (0..height as isize).contains(&sy) && (0..width as isize).contains(&sx);
                out.extend((0..channels).map(|c| if is_inside { image[(sy as usize * width + sx as usize) * channels + c] } else { 0 }));
            }
        }
        out
    }

    #[test]
    fn every_window_equals_the_plain_reference() {
        for channels in [1, 3] {
            let shape = Shape { height: 5, width: 4, channels };
            let image: Vec<u8> = (1..=shape.len() as u8).collect();
            for (down, right, flipped) in
                (-6..=6).flat_map(|down| (-6..=6).flat_map(move |right| [(down, right, false), (down, right, true)]))
            {
                let (window, mut out) = (Window { down, right, flipped }, vec![255; shape.len()]);
                match channels {
                    1 => copy::<1, u8>(&image, shape, window, |_, value| value, &mut out),
                    _ => copy::<3, u8>(&image, shape, window, |_, value| value, &mut out),
                }
                assert_eq!(out, reference(&image, shape, window), "{window:?}");
            }
        }
    }
}
