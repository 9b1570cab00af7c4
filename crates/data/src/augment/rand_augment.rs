//! RandAugment (Cubuk et al., 2019): a few operations per image, all of one magnitude.
//!
//! Operations and magnitudes are `torchvision.transforms.RandAugment`'s for uint8 tensors: 31 magnitudes, nearest
//! neighbour, black where nothing is. A tie of the nearest neighbour can fall differently, because torchvision works out
//! the place in normalised float32 coordinates.

use anmok_random::Stream;

use super::colour;
use crate::dataset::Shape;

/// The largest magnitude.
pub(super) const LARGEST_MAGNITUDE: usize = 30;

/// torchvision's 14 operations, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

use Operation::*;

const OPERATIONS: [Operation; 14] = [
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
];

/// Applies `count` drawn operations to `image`, `[h, w, c]`; `scratch` is a buffer that is used again.
pub(super) fn rand_augment(stream: &mut Stream, image: &mut [u8], shape: Shape, count: usize, magnitude: usize, scratch: &mut Vec<u8>) {
    for _ in 0..count {
        let operation = OPERATIONS[stream.below(OPERATIONS.len() as u64) as usize];
        let negative = stream.uniform() < 0.5;
        operation.apply(image, shape, magnitude, negative, scratch);
    }
}

impl Operation {
    /// `magnitude` is 0 to 30; `negative` counts where an operation has two directions.
    pub fn apply(self, image: &mut [u8], shape: Shape, magnitude: usize, negative: bool, scratch: &mut Vec<u8>) {
        let sign = if negative { -1.0 } else { 1.0 };
        let up_to = |most: f32| sign * f64::from(linspace(0.0, most, magnitude));
        match self {
            Identity => {}
            ShearX => {
                let slope = up_to(0.3);
                affine(image, shape, scratch, |x, y| (x + slope * y, y));
            }
            ShearY => {
                let slope = up_to(0.3);
                affine(image, shape, scratch, |x, y| (x, y + slope * x));
            }
            TranslateX => {
                let columns = up_to(150.0 / 331.0 * shape.width as f32).trunc();
                affine(image, shape, scratch, |x, y| (x - columns, y));
            }
            TranslateY => {
                let rows = up_to(150.0 / 331.0 * shape.height as f32).trunc();
                affine(image, shape, scratch, |x, y| (x, y - rows));
            }
            Rotate => {
                let (sin, cos) = up_to(30.0).to_radians().sin_cos();
                let (cx, cy) = (shape.width as f64 / 2.0, shape.height as f64 / 2.0);
                affine(image, shape, scratch, |x, y| (cos * (x - cx) - sin * (y - cy) + cx, sin * (x - cx) + cos * (y - cy) + cy));
            }
            Brightness => colour::brightness(image, 1.0 + up_to(0.9)),
            Color => colour::saturation(image, shape, 1.0 + up_to(0.9)),
            Contrast => colour::contrast(image, shape, 1.0 + up_to(0.9)),
            Sharpness => colour::sharpness(image, shape, 1.0 + up_to(0.9), scratch),
            Posterize => colour::posterize(image, 8 - (magnitude as f64 / 7.5).round_ties_even() as u32),
            Solarize => colour::solarize(image, linspace(255.0, 0.0, magnitude)),
            AutoContrast => colour::auto_contrast(image, shape.channels),
            Equalize => colour::equalize(image, shape.channels),
        }
    }
}

/// `torch.linspace(start, end, 31)[index]`, which counts from the nearer end.
fn linspace(start: f32, end: f32, index: usize) -> f32 {
    let step = (end - start) / LARGEST_MAGNITUDE as f32;
    if 2 * index < LARGEST_MAGNITUDE + 1 { start + step * index as f32 } else { end - step * (LARGEST_MAGNITUDE - index) as f32 }
}

/// Each pixel is the one whose square holds `source(x, y)` of its own centre; black outside.
fn affine(image: &mut [u8], shape: Shape, scratch: &mut Vec<u8>, source: impl Fn(f64, f64) -> (f64, f64)) {
    let Shape { height, width, channels } = shape;
    scratch.clear();
    scratch.extend_from_slice(image);
    for (place, pixel) in image.chunks_exact_mut(channels).enumerate() {
        let (x, y) = source((place % width) as f64 + 0.5, (place / width) as f64 + 0.5);
        let (x, y) = ((x - 0.5).round_ties_even(), (y - 0.5).round_ties_even());
        if (0.0..width as f64).contains(&x) && (0.0..height as f64).contains(&y) {
            pixel.copy_from_slice(&scratch[(y as usize * width + x as usize) * channels..][..channels]);
        } else {
            pixel.fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `tests/golden/make/rand_augment.py` with torchvision: for 3 channels and for 1, every operation, with
    /// magnitude 9 and with -30.
    static GOLDEN: &[u8] = include_bytes!("../../tests/golden/rand_augment.bin");

    #[test]
    fn every_operation_equals_torchvisions() {
        let mut golden = GOLDEN;
        for channels in [3, 1] {
            let shape = Shape { height: 18, width: 16, channels };
            // A gradient with noise on it, so that neighbours differ and histograms have gaps.
            let noise = |i: usize| (anmok_random::bits(channels as u64, i as u64) % 60) as usize;
            let image: Vec<u8> = (0..shape.len()).map(|i| (20 + i % 7 * 11 + i * 40 / shape.len() + noise(i)) as u8).collect();
            for (operation, magnitude, negative) in OPERATIONS.iter().flat_map(|&op| [(op, 9, false), (op, 30, true)]) {
                let (expected, rest) = golden.split_at(shape.len());
                golden = rest;
                let mut out = image.clone();
                operation.apply(&mut out, shape, magnitude, negative, &mut vec![]);
                let different = out.iter().zip(expected).filter(|(a, b)| a != b).count();
                assert_eq!(different, 0, "{operation:?} {magnitude} {negative} {channels}");
            }
        }
        assert!(golden.is_empty());
    }

    #[test]
    fn draws_reach_every_operation() {
        let shape = Shape { height: 18, width: 16, channels: 3 };
        let image: Vec<u8> = (0..shape.len()).map(|i| (i * 7 % 200 + 20) as u8).collect();
        let outcomes: std::collections::BTreeSet<Vec<u8>> = (0..2000)
            .map(|seed| {
                let mut out = image.clone();
                rand_augment(&mut Stream::new(&[seed]), &mut out, shape, 1, 20, &mut vec![]);
                out
            })
            .collect();
        // Nine operations have two directions, five have one.
        assert_eq!(outcomes.len(), 9 * 2 + 5);
    }
}
