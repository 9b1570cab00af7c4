//! RandAugment's operations on values, as `torchvision.transforms.functional` computes them on uint8 tensors.

use crate::dataset::Shape;

/// `ratio * value + (1 - ratio) * other`, cut off to a byte the way torchvision does (clamped, then truncated).
fn blend(value: u8, other: f32, ratio: f64) -> u8 {
    (ratio as f32 * f32::from(value) + (1.0 - ratio) as f32 * other).clamp(0.0, 255.0) as u8
}

/// The grey value of a pixel of one or three channels (ITU-R 601-2, truncated).
fn grey(pixel: &[u8]) -> u8 {
    match *pixel {
        [red, green, blue] => (0.2989 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue)) as u8,
        ref grey => grey[0],
    }
}

/// `adjust_brightness`: blended with black.
pub(super) fn brightness(image: &mut [u8], ratio: f64) {
    image.iter_mut().for_each(|value| *value = blend(*value, 0.0, ratio));
}

/// `adjust_saturation`: blended with its grey version. Grey images stay.
pub(super) fn saturation(image: &mut [u8], shape: Shape, ratio: f64) {
    if shape.channels == 1 {
        return;
    }
    for pixel in image.chunks_exact_mut(shape.channels) {
        let grey = f32::from(grey(pixel));
        pixel.iter_mut().for_each(|value| *value = blend(*value, grey, ratio));
    }
}

/// `adjust_contrast`: blended with its mean grey.
pub(super) fn contrast(image: &mut [u8], shape: Shape, ratio: f64) {
    let sum: u64 = image.chunks_exact(shape.channels).map(|pixel| u64::from(grey(pixel))).sum();
    let mean = (sum as f64 / (shape.height * shape.width) as f64) as f32;
    image.iter_mut().for_each(|value| *value = blend(*value, mean, ratio));
}

/// `adjust_sharpness`: blended with a version smoothed by a 3 x 3 kernel except at its border.
pub(super) fn sharpness(image: &mut [u8], shape: Shape, ratio: f64, scratch: &mut Vec<u8>) {
    let Shape { height, width, channels } = shape;
    if height <= 2 || width <= 2 {
        return;
    }
    scratch.clear();
    scratch.extend_from_slice(image);
    let row = width * channels;
    for (place, value) in image.iter_mut().enumerate() {
        let (y, x) = (place / row, place % row / channels);
        let inside = (1..height - 1).contains(&y) && (1..width - 1).contains(&x);
        let near = |at: usize| u32::from(scratch[at - channels]) + u32::from(scratch[at]) + u32::from(scratch[at + channels]);
        let smooth = if inside {
            let sum = near(place - row) + near(place) + near(place + row) + 4 * u32::from(*value);
            (sum as f32 / 13.0).round_ties_even()
        } else {
            f32::from(*value)
        };
        *value = blend(*value, smooth, ratio);
    }
}

/// `posterize`: the upper `bits` of every value.
pub(super) fn posterize(image: &mut [u8], bits: u32) {
    let mask = !(0xff_u32 >> bits) as u8;
    image.iter_mut().for_each(|value| *value &= mask);
}

/// `solarize`: values from `threshold` on are inverted.
pub(super) fn solarize(image: &mut [u8], threshold: f32) {
    image.iter_mut().filter(|value| f32::from(**value) >= threshold).for_each(|value| *value = 255 - *value);
}

/// `autocontrast`: each channel stretched to 0 to 255.
pub(super) fn auto_contrast(image: &mut [u8], channels: usize) {
    for channel in 0..channels {
        let values = || image[channel..].iter().step_by(channels).copied();
        let (Some(low), Some(high)) = (values().min(), values().max()) else { return };
        if low < high {
            // PyTorch divides a number by a tensor in these two steps.
            let scale = 1.0 / f32::from(high - low) * 255.0;
            through_table(image, channel, channels, |value| (f32::from(value.saturating_sub(low)) * scale).clamp(0.0, 255.0) as u8);
        }
    }
}

/// `equalize`: each channel's histogram made even.
pub(super) fn equalize(image: &mut [u8], channels: usize) {
    for channel in 0..channels {
        let mut histogram = [0_usize; 256];
        image[channel..].iter().step_by(channels).for_each(|&value| histogram[usize::from(value)] += 1);
        let total: usize = histogram.iter().sum();
        let last = histogram.iter().rev().copied().find(|&count| count > 0).unwrap_or(0);
        let step = (total - last) / 255;
        if step > 0 {
            let mut below = 0;
            let table: [u8; 256] = std::array::from_fn(|value| {
                let level = ((below + step / 2) / step).min(255) as u8;
                below += histogram[value];
                level
            });
            through_table(image, channel, channels, |value| table[usize::from(value)]);
        }
    }
}

fn through_table(image: &mut [u8], channel: usize, channels: usize, map: impl Fn(u8) -> u8) {
    let table: [u8; 256] = std::array::from_fn(|value| map(value as u8));
    image[channel..].iter_mut().step_by(channels).for_each(|value| *value = table[usize::from(*value)]);
}
