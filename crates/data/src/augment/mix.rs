//! Mixup (Zhang et al., 2017) and CutMix (Yun et al., 2019), as `torchvision.transforms.v2` has them: one draw per batch,
//! each image mixed with the one before it (the first with the last); the batch is shuffled already.

use anmok_random::Stream;

use crate::dataset::Shape;

/// What is drawn for one batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mix {
    /// `first_weight * image + (1 - first_weight) * other`
    Up { first_weight: f32 },
    /// The other image's pixels in a rectangle.
    Cut { top: usize, bottom: usize, left: usize, right: usize },
}

impl Mix {
    /// `mixup` and `cutmix` are the parameters of the Beta distributions; 0 is off, with both one is drawn.
    pub fn draw(stream: &mut Stream, mixup: f64, cutmix: f64, shape: Shape) -> Option<Self> {
        let cut = match (mixup > 0.0, cutmix > 0.0) {
            (false, false) => return None,
            (true, true) => stream.uniform() < 0.5,
            (_, cut) => cut,
        };
        if !cut {
            return Some(Self::Up { first_weight: stream.beta(mixup) as f32 });
        }
        let half = 0.5 * (1.0 - stream.beta(cutmix)).sqrt();
        let mut span = |size: usize| {
            let (centre, half) = (stream.below(size as u64) as usize, (half * size as f64) as usize);
            (centre.saturating_sub(half), (centre + half).min(size))
        };
        let ((top, bottom), (left, right)) = (span(shape.height), span(shape.width));
        Some(Self::Cut { top, bottom, left, right })
    }

    /// The weight of an image's own label; of CutMix, its share of the area.
    pub fn first_weight(self, shape: Shape) -> f32 {
        match self {
            Self::Up { first_weight } => first_weight,
            Self::Cut { top, bottom, left, right } => 1.0 - ((bottom - top) * (right - left)) as f32 / (shape.height * shape.width) as f32,
        }
    }

    /// Mixes `images`, `[n, h, w, c]`, in place; `last` is a buffer that is used again.
    pub fn apply(self, images: &mut [f32], shape: Shape, last: &mut Vec<f32>) {
        let length = shape.len();
        last.clear();
        last.extend_from_slice(&images[images.len() - length..]);
        // From the end, so that the image before is still as it was.
        for index in (0..images.len() / length).rev() {
            let (before, from) = images.split_at_mut(index * length);
            let other = if index == 0 { last.as_slice() } else { &before[(index - 1) * length..] };
            self.apply_to(&mut from[..length], other, shape);
        }
    }

    fn apply_to(self, image: &mut [f32], other: &[f32], shape: Shape) {
        match self {
            Self::Up { first_weight } => {
                let second_weight = 1.0 - first_weight;
                image.iter_mut().zip(other).for_each(|(value, other)| *value = first_weight * *value + second_weight * other);
            }
            Self::Cut { top, bottom, left, right } => {
                for y in top..bottom {
                    let row = (y * shape.width + left) * shape.channels..(y * shape.width + right) * shape.channels;
                    image[row.clone()].copy_from_slice(&other[row]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { height: 4, width: 6, channels: 2 };

    fn batch(n: usize) -> Vec<f32> {
        (0..n * SHAPE.len()).map(|i| i as f32).collect()
    }

    #[test]
    fn mixup_mixes_each_image_with_the_one_before() {
        let (mut images, original, length) = (batch(3), batch(3), SHAPE.len());
        Mix::Up { first_weight: 0.75 }.apply(&mut images, SHAPE, &mut vec![]);
        for i in 0..images.len() {
            let other = original[(i + 2 * length) % (3 * length)];
            assert_eq!(images[i], 0.75 * original[i] + 0.25 * other, "{i}");
        }
    }

    #[test]
    fn cutmix_pastes_the_rectangle_and_weighs_by_area() {
        let (mut images, original, length) = (batch(3), batch(3), SHAPE.len());
        let mix = Mix::Cut { top: 1, bottom: 3, left: 2, right: 6 };
        mix.apply(&mut images, SHAPE, &mut vec![]);
        assert_eq!(mix.first_weight(SHAPE), 1.0 - 8.0 / 24.0);
        for i in 0..images.len() {
            let (y, x) = (i % length / 12, i % 12 / 2);
            let inside = (1..3).contains(&y) && (2..6).contains(&x);
            assert_eq!(images[i], if inside { original[(i + 2 * length) % (3 * length)] } else { original[i] }, "{i}");
        }
    }

    #[test]
    fn one_image_is_mixed_with_itself() {
        let mut images = batch(1);
        Mix::Up { first_weight: 0.5 }.apply(&mut images, SHAPE, &mut vec![]);
        assert_eq!(images, batch(1));
    }

    #[test]
    fn draws_follow_the_settings() {
        let draws = |mixup, cutmix| (0..1000).map(move |seed| Mix::draw(&mut Stream::new(&[seed]), mixup, cutmix, SHAPE));
        assert!(draws(0.0, 0.0).all(|mix| mix.is_none()));
        assert!(draws(0.2, 0.0).all(|mix| matches!(mix, Some(Mix::Up { first_weight }) if (0.0..=1.0).contains(&first_weight))));
        assert!(draws(0.0, 1.0).all(
            |mix| matches!(mix, Some(Mix::Cut { top, bottom, left, right }) if top <= bottom && bottom <= 4 && left <= right && right <= 6)
        ));
        let cuts = draws(0.2, 1.0).filter(|mix| matches!(mix, Some(Mix::Cut { .. }))).count();
        assert!((450..550).contains(&cuts), "{cuts}");
    }
}
