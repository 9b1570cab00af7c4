//! Augmentation: every draw is a function of (seed, epoch, image), so that a batch can be made alone, in any thread, and
//! again after a resume, with the same bits.

mod crop_flip;

use anmok_random::Stream;

use crate::dataset::{Normalisation, Shape};
use crate::error::DataError;

/// What happens to a training image. The fields are the recipe's.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmentation {
    /// Zeros (black, before normalisation) around the image before a random crop of its own size:
    /// `torchvision.transforms.RandomCrop(size, padding)`.
    pub crop_padding: usize,
    /// Probability of a horizontal flip.
    pub flip: f64,
}

impl Augmentation {
    /// Images as they are.
    pub const NONE: Self = Self { crop_padding: 0, flip: 0.0 };

    /// What nearly every CIFAR recipe has: a crop with padding 4 and a flip of every other image.
    pub const STANDARD: Self = Self { crop_padding: 4, flip: 0.5 };

    /// Refuses what makes no sense for images of this shape.
    pub fn check(&self, shape: Shape) -> Result<(), DataError> {
        let side = shape.height.min(shape.width);
        if self.crop_padding > side {
            return Err(DataError::setting("crop_padding", self.crop_padding, format!("0 to {side}, the side of the images")));
        }
        probability("flip", self.flip)
    }
}

fn probability(setting: &'static str, value: f64) -> Result<(), DataError> {
    if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(DataError::setting(setting, value, "0 to 1")) }
}

/// Which image in which pass of which run: all that a draw may depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw {
    pub seed: u64,
    pub epoch: u64,
    /// Index in the data set.
    pub image: u64,
}

impl Draw {
    /// The draws for one purpose. Each has its own sequence, so that switching one on leaves the others as they were.
    fn stream(self, purpose: &[u8; 8]) -> Stream {
        Stream::new(&[self.seed, u64::from_be_bytes(*purpose), self.epoch, self.image])
    }
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
    pub fn image(&self, image: &[u8], draw: Draw, out: &mut [f32]) {
        let Augmentation { crop_padding, flip } = self.augmentation;
        let mut window = crop_flip::Window { down: 0, right: 0, flipped: false };
        if crop_padding > 0 {
            let mut stream = draw.stream(b"randcrop");
            let mut offset = || stream.below(2 * crop_padding as u64 + 1) as isize - crop_padding as isize;
            (window.down, window.right) = (offset(), offset());
        }
        if flip > 0.0 {
            window.flipped = draw.stream(b"horzflip").uniform_f64() < flip;
        }
        self.normalised(image, window, out);
    }

    fn normalised(&self, image: &[u8], window: crop_flip::Window, out: &mut [f32]) {
        match self.tables.as_slice() {
            [grey] => crop_flip::copy::<1, f32>(image, self.shape, window, |_, value| grey[usize::from(value)], out),
            tables => crop_flip::copy::<3, f32>(image, self.shape, window, |channel, value| tables[channel][usize::from(value)], out),
        }
    }
}
