//! Augmentation: every draw is a function of (seed, epoch, image) or, for mixing, of (seed, epoch, batch), so that a
//! batch can be made alone, in any thread, and again after a resume, with the same bits.
//!
//! The order is torchvision's: crop, flip, RandAugment on bytes; normalisation; cutout, random erasing; mixup or CutMix
//! on the batch. Crop, flip and normalisation are one pass over the image.

mod colour;
mod crop_flip;
mod erase;
mod mix;
mod rand_augment;

use anmok_random::Stream;

use crate::dataset::{Normalisation, Shape};
use crate::error::DataError;
use crop_flip::Window;

/// What happens to a training image. The fields are the recipe's.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmentation {
    /// Zeros (black, before normalisation) around the image before a random crop of its own size:
    /// `torchvision.transforms.RandomCrop(size, padding)`.
    pub crop_padding: usize,
    /// Probability of a horizontal flip.
    pub flip: f64,
    /// Side of the square set to the mean colour (cutout); 0 is off.
    pub cutout: usize,
    /// Probability of `torchvision.transforms.RandomErasing`, with its default areas and ratios, to the mean colour.
    pub random_erasing: f64,
    /// Parameter of mixup's Beta distribution; 0 is off.
    pub mixup: f64,
    /// Parameter of CutMix's Beta distribution; 0 is off. With both, one of the two is drawn per batch.
    pub cutmix: f64,
    /// Number of RandAugment operations per image; 0 is off.
    pub rand_augment: usize,
    /// RandAugment's magnitude, 0 to 30.
    pub rand_augment_magnitude: usize,
}

impl Augmentation {
    /// Images as they are.
    pub const NONE: Self = Self {
        crop_padding: 0,
        flip: 0.0,
        cutout: 0,
        random_erasing: 0.0,
        mixup: 0.0,
        cutmix: 0.0,
        rand_augment: 0,
        rand_augment_magnitude: 0,
    };

    /// What nearly every CIFAR recipe has: a crop with padding 4 and a flip of every other image.
    pub const STANDARD: Self = Self { crop_padding: 4, flip: 0.5, ..Self::NONE };

    /// Refuses what makes no sense for images of this shape.
    pub fn check(&self, shape: Shape) -> Result<(), DataError> {
        let side = shape.height.min(shape.width);
        in_range("crop_padding", self.crop_padding, side, ", the side of the images")?;
        in_range("cutout", self.cutout, 2 * side, ", twice the side of the images")?;
        in_range("rand_augment", self.rand_augment, 16, "")?;
        in_range("rand_augment_magnitude", self.rand_augment_magnitude, rand_augment::LARGEST_MAGNITUDE, "")?;
        for (setting, value, most) in [
            ("flip", self.flip, 1.0),
            ("random_erasing", self.random_erasing, 1.0),
            ("mixup", self.mixup, 100.0),
            ("cutmix", self.cutmix, 100.0),
        ] {
            if !(0.0..=most).contains(&value) {
                return Err(DataError::setting(setting, value, format!("0 to {most}")));
            }
        }
        Ok(())
    }
}

fn in_range(setting: &'static str, value: usize, most: usize, what: &str) -> Result<(), DataError> {
    if value <= most { Ok(()) } else { Err(DataError::setting(setting, value, format!("0 to {most}{what}"))) }
}

/// Which image in which pass of which run: all that a draw may depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw {
    pub seed: u64,
    pub epoch: u64,
    /// Index in the data set; for mixing, the number of the batch.
    pub item: u64,
}

impl Draw {
    /// The draws for one purpose. Each has its own sequence, so that switching one on leaves the others as they were.
    fn stream(self, purpose: &[u8; 8]) -> Stream {
        Stream::new(&[self.seed, u64::from_be_bytes(*purpose), self.epoch, self.item])
    }
}

/// Buffers that are used again from image to image.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scratch {
    image: Vec<u8>,
    operation: Vec<u8>,
}

/// Turns stored bytes into the network's input.
#[derive(Debug, Clone)]
pub(crate) struct Augmenter {
    shape: Shape,
    augmentation: Augmentation,
    tables: Vec<[f32; 256]>,
}

impl Augmenter {
    pub fn new(shape: Shape, normalisation: &Normalisation, augmentation: Augmentation) -> Self {
        Self { shape, augmentation, tables: normalisation.tables() }
    }

    /// Writes one image, `[h, w, c]`, augmented and normalised, to `out`.
    pub fn image(&self, image: &[u8], draw: Draw, scratch: &mut Scratch, out: &mut [f32]) {
        let Augmentation { cutout, random_erasing, rand_augment, rand_augment_magnitude, .. } = self.augmentation;
        let window = self.window(draw);
        if rand_augment > 0 {
            scratch.image.resize(self.shape.len(), 0);
            self.cropped(image, window, &mut scratch.image);
            let mut stream = draw.stream(b"randaugm");
            rand_augment::rand_augment(
                &mut stream,
                &mut scratch.image,
                self.shape,
                rand_augment,
                rand_augment_magnitude,
                &mut scratch.operation,
            );
            self.normalised(&scratch.image, Window::WHOLE, out);
        } else {
            self.normalised(image, window, out);
        }
        if cutout > 0 {
            erase::erase(out, self.shape, erase::cutout(&mut draw.stream(b"cutout.."), self.shape, cutout));
        }
        if random_erasing > 0.0 {
            let mut stream = draw.stream(b"erasing.");
            let chosen = stream.uniform_f64() < random_erasing;
            if let Some(rectangle) = chosen.then(|| erase::random_erasing(&mut stream, self.shape)).flatten() {
                erase::erase(out, self.shape, rectangle);
            }
        }
    }

    /// Mixes a batch of normalised images; returns the weight of each image's own label, if there was anything to do.
    /// The second label is that of the image before (of the first: of the last). `last` is a buffer that is used again.
    pub fn mix(&self, draw: Draw, last: &mut Vec<f32>, images: &mut [f32]) -> Option<f32> {
        let Augmentation { mixup, cutmix, .. } = self.augmentation;
        let mix = mix::Mix::draw(&mut draw.stream(b"mixbatch"), mixup, cutmix, self.shape)?;
        mix.apply(images, self.shape, last);
        Some(mix.first_weight(self.shape))
    }

    fn window(&self, draw: Draw) -> Window {
        let Augmentation { crop_padding, flip, .. } = self.augmentation;
        let mut window = Window::WHOLE;
        if crop_padding > 0 {
            let mut stream = draw.stream(b"randcrop");
            let mut offset = || stream.below(2 * crop_padding as u64 + 1) as isize - crop_padding as isize;
            (window.down, window.right) = (offset(), offset());
        }
        window.flipped = flip > 0.0 && draw.stream(b"horzflip").uniform_f64() < flip;
        window
    }

    fn cropped(&self, image: &[u8], window: Window, out: &mut [u8]) {
        match self.shape.channels {
            1 => crop_flip::copy::<1, u8>(image, self.shape, window, |_, value| value, out),
            _ => crop_flip::copy::<3, u8>(image, self.shape, window, |_, value| value, out),
        }
    }

    fn normalised(&self, image: &[u8], window: Window, out: &mut [f32]) {
        match self.tables.as_slice() {
            [grey] => crop_flip::copy::<1, f32>(image, self.shape, window, |_, value| grey[usize::from(value)], out),
            [red, green, blue] => {
                let tables = [red, green, blue];
                crop_flip::copy::<3, f32>(image, self.shape, window, |channel, value| tables[channel][usize::from(value)], out);
            }
            other => unreachable!("images of {} channels", other.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { height: 8, width: 6, channels: 3 };

    fn augmented(augmentation: Augmentation, draw: Draw) -> Vec<f32> {
        let normalisation = Normalisation::new(&[0.0; 3], &[1.0 / 255.0; 3]);
        let image: Vec<u8> = (0..SHAPE.len()).map(|i| i as u8 + 60).collect();
        let mut out = vec![f32::NAN; SHAPE.len()];
        Augmenter::new(SHAPE, &normalisation, augmentation).image(&image, draw, &mut Scratch::default(), &mut out);
        out
    }

    fn draw(item: u64) -> Draw {
        Draw { seed: 1, epoch: 2, item }
    }

    #[test]
    fn switching_one_on_leaves_the_draws_of_the_others() {
        for item in 0..50 {
            let plain = augmented(Augmentation { crop_padding: 2, flip: 0.5, ..Augmentation::NONE }, draw(item));
            let cut = augmented(Augmentation { crop_padding: 2, flip: 0.5, cutout: 3, ..Augmentation::NONE }, draw(item));
            let changed: Vec<f32> = cut.iter().zip(&plain).filter(|(a, b)| a != b).map(|(a, _)| *a).collect();
            assert!(changed.len() <= 27 && changed.iter().all(|&value| value == 0.0), "{changed:?}");
        }
    }

    #[test]
    fn crops_are_uniform_and_flips_as_often_as_said() {
        let normalisation = Normalisation::new(&[0.0; 3], &[1.0; 3]);
        let augmenter = Augmenter::new(SHAPE, &normalisation, Augmentation { crop_padding: 1, flip: 0.25, ..Augmentation::NONE });
        let (mut places, mut flips, n) = ([[0; 3]; 3], 0, 18_000);
        for item in 0..n {
            let window = augmenter.window(draw(item));
            places[(window.down + 1) as usize][(window.right + 1) as usize] += 1;
            flips += u32::from(window.flipped);
        }
        assert!(places.iter().flatten().all(|count| (1800..2200).contains(count)), "{places:?}");
        assert!((4300..4700).contains(&flips), "{flips}");
    }

    #[test]
    fn an_images_draws_follow_seed_epoch_and_image() {
        let all = Augmentation {
            crop_padding: 2,
            flip: 0.5,
            cutout: 2,
            random_erasing: 0.5,
            rand_augment: 2,
            rand_augment_magnitude: 15,
            ..Augmentation::NONE
        };
        let first = augmented(all.clone(), draw(3));
        assert_eq!(first, augmented(all.clone(), draw(3)));
        for other in [draw(4), Draw { epoch: 3, ..draw(3) }, Draw { seed: 2, ..draw(3) }] {
            assert_ne!(first, augmented(all.clone(), other), "{other:?}");
        }
    }

    #[test]
    fn settings_outside_their_range_are_named() {
        let message = |augmentation: Augmentation| augmentation.check(SHAPE).unwrap_err().to_string();
        let none = Augmentation::NONE;
        assert_eq!(message(Augmentation { crop_padding: 7, ..none }), "crop_padding is 7; allowed: 0 to 6, the side of the images");
        assert_eq!(message(Augmentation { flip: 1.5, ..none }), "flip is 1.5; allowed: 0 to 1");
        assert_eq!(message(Augmentation { mixup: f64::NAN, ..none }), "mixup is NaN; allowed: 0 to 100");
        assert_eq!(message(Augmentation { rand_augment_magnitude: 31, ..none }), "rand_augment_magnitude is 31; allowed: 0 to 30");
    }
}
