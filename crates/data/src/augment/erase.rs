//! Erasing a part of a normalised image: 0 is the mean colour there.

use anmok_random::Stream;

use crate::dataset::Shape;

/// Shares of the area, from and to; `torchvision.transforms.RandomErasing`'s default.
const AREA: [f64; 2] = [0.02, 0.33];
/// Height over width, from and to; the same.
const RATIO: [f64; 2] = [0.3, 3.3];
/// Rectangles drawn before the image is left as it is; the same.
const ATTEMPTS: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rectangle {
    pub top: usize,
    pub left: usize,
    pub height: usize,
    pub width: usize,
}

/// Cutout (DeVries and Taylor, 2017): a square whose centre is any pixel; what lies outside the image is lost.
pub(super) fn cutout(stream: &mut Stream, shape: Shape, side: usize) -> Rectangle {
    let mut span = |size: usize| {
        let centre = stream.below(size as u64) as usize;
        let (start, end) = (centre.saturating_sub(side / 2), (centre + side - side / 2).min(size));
        (start, end - start)
    };
    let ((top, height), (left, width)) = (span(shape.height), span(shape.width));
    Rectangle { top, left, height, width }
}

/// Random erasing (Zhong et al., 2017) with torchvision's way of drawing the rectangle.
pub(super) fn random_erasing(stream: &mut Stream, shape: Shape) -> Option<Rectangle> {
    let mut between = |from: f64, to: f64| from + (to - from) * stream.uniform_f64();
    for _ in 0..ATTEMPTS {
        let area = (shape.height * shape.width) as f64 * between(AREA[0], AREA[1]);
        let ratio = between(RATIO[0].ln(), RATIO[1].ln()).exp();
        let (height, width) = ((area * ratio).sqrt().round() as usize, (area / ratio).sqrt().round() as usize);
        if height < shape.height && width < shape.width {
            let mut start = |room: usize| ((room + 1) as f64 * between(0.0, 1.0)) as usize;
            return Some(Rectangle { top: start(shape.height - height), left: start(shape.width - width), height, width });
        }
    }
    None
}

/// Sets the rectangle of `image`, `[h, w, c]`, to 0.
pub(super) fn erase(image: &mut [f32], shape: Shape, rectangle: Rectangle) {
    let rows = image.chunks_exact_mut(shape.width * shape.channels).skip(rectangle.top).take(rectangle.height);
    rows.for_each(|row| row[rectangle.left * shape.channels..][..rectangle.width * shape.channels].fill(0.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { height: 32, width: 24, channels: 3 };

    #[test]
    fn only_the_rectangle_is_erased() {
        let mut image = vec![1.0; SHAPE.len()];
        let r = Rectangle { top: 3, left: 20, height: 5, width: 4 };
        erase(&mut image, SHAPE, r);
        for (i, &value) in image.iter().enumerate() {
            let (y, x) = (i / 3 / SHAPE.width, i / 3 % SHAPE.width);
            let inside = (3..8).contains(&y) && (20..24).contains(&x);
            assert_eq!(value, if inside { 0.0 } else { 1.0 }, "{y} {x}");
        }
    }

    #[test]
    fn cutout_is_a_square_cut_off_at_the_border() {
        let mut sizes = std::collections::BTreeSet::new();
        for seed in 0..2000 {
            let r = cutout(&mut Stream::new(&[seed]), SHAPE, 9);
            assert!(r.top + r.height <= 32 && r.left + r.width <= 24, "{r:?}");
            sizes.insert((r.height, r.width));
        }
        assert_eq!((sizes.first(), sizes.last()), (Some(&(5, 5)), Some(&(9, 9))));
    }

    #[test]
    fn random_erasing_has_torchvisions_areas_and_ratios() {
        let (mut area, mut count) = (0.0, 0.0);
        for seed in 0..4000 {
            let Some(r) = random_erasing(&mut Stream::new(&[seed]), SHAPE) else { continue };
            assert!(r.top + r.height <= 32 && r.left + r.width <= 24 && r.height > 0 && r.width > 0, "{r:?}");
            let share = (r.height * r.width) as f64 / (32.0 * 24.0);
            assert!((0.01..0.36).contains(&share), "{r:?}");
            (area, count) = (area + share, count + 1.0);
        }
        // The mean of uniform shares is 0.175; the largest rectangles are the ones that do not fit.
        assert!(count > 3900.0 && (0.16..0.176).contains(&(area / count)), "{count} {}", area / count);
    }
}
