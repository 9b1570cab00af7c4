//! FashionMNIST (Xiao, Rasul and Vollgraf, 2017) and the sample of it that is compiled in.
//!
//! The images are 28 x 28 grey; they get a border of two zeros, so that networks made for 32 x 32 fit, and by default
//! three equal channels, so that weights and recipes of colour networks fit. The sample in `sample/` was made by
//! `sample/make.py` from the Debian package dataset-fashion-mnist (MIT licence, copyright 2017 Zalando SE).

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use crate::dataset::{Contents, Dataset, Normalisation, Shape};
use crate::error::DataError;
use crate::idx;

const SIDE: usize = 28;
/// Zeros on each side.
pub(crate) const BORDER: usize = 2;
const PADDED: usize = SIDE + 2 * BORDER;

/// The classes, by label.
pub(crate) const CLASSES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// A data set of IDX contents; the paths are for messages.
pub(crate) fn dataset(
    name: &str,
    source: &str,
    images: (&Path, &[u8]),
    labels: (&Path, &[u8]),
    channels: usize,
) -> Result<Dataset, DataError> {
    let grey = idx::images(images.0, images.1, SIDE)?;
    let parsed = idx::labels(labels.0, labels.1, CLASSES.len() as u32)?;
    if grey.len() != parsed.len() * SIDE * SIDE {
        let problem = format!(
            "{} labels, but {} has {} images: the files do not belong together",
            parsed.len(),
            images.0.display(),
            grey.len() / (SIDE * SIDE)
        );
        return Err(DataError::Corrupt { path: labels.0.into(), offset: 4, problem });
    }
    Ok(Dataset::new(Contents {
        name: name.into(),
        shape: Shape { height: PADDED, width: PADDED, channels },
        images: padded(grey, channels),
        labels: parsed,
        classes: CLASSES.map(String::from).to_vec(),
        normalisation: Normalisation::new(&vec![0.2860; channels], &vec![0.3530; channels]),
        source: source.into(),
    }))
}

fn padded(grey: &[u8], channels: usize) -> Vec<u8> {
    let mut images = vec![0; grey.len() / (SIDE * SIDE) * PADDED * PADDED * channels];
    for (image, grey) in images.chunks_exact_mut(PADDED * PADDED * channels).zip(grey.chunks_exact(SIDE * SIDE)) {
        for (y, row) in grey.chunks_exact(SIDE).enumerate() {
            let start = ((y + BORDER) * PADDED + BORDER) * channels;
            for (pixel, &value) in image[start..].chunks_exact_mut(channels).zip(row) {
                pixel.fill(value);
            }
        }
    }
    images
}

/// Whose the compiled-in images are, and under which licence.
pub const SAMPLE_LICENCE: &str = include_str!("../sample/LICENSE");

static SAMPLE: [(&str, &[u8]); 4] = [
    ("train-images-idx3-ubyte", include_bytes!("../sample/train-images-idx3-ubyte.gz")),
    ("train-labels-idx1-ubyte", include_bytes!("../sample/train-labels-idx1-ubyte.gz")),
    ("t10k-images-idx3-ubyte", include_bytes!("../sample/t10k-images-idx3-ubyte.gz")),
    ("t10k-labels-idx1-ubyte", include_bytes!("../sample/t10k-labels-idx1-ubyte.gz")),
];

/// The compiled-in sample: 6,000 training and 1,000 test images, as many of each class.
pub(crate) fn sample(name: &str, channels: usize) -> Result<(Dataset, Dataset), DataError> {
    let unpack = |part: usize| {
        let (path, mut bytes) = (Path::new(SAMPLE[part].0), Vec::new());
        GzDecoder::new(SAMPLE[part].1).read_to_end(&mut bytes).map_err(DataError::io("unpack the built-in", path))?;
        Ok::<_, DataError>((path, bytes))
    };
    let part = |images: (&Path, Vec<u8>), labels: (&Path, Vec<u8>)| {
        dataset(name, "built in", (images.0, &images.1), (labels.0, &labels.1), channels)
    };
    Ok((part(unpack(0)?, unpack(1)?)?, part(unpack(2)?, unpack(3)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_whole_and_balanced() {
        let (train, test) = sample("FashionMNIST-sample", 3).unwrap();
        for (set, per_class) in [(&train, 600), (&test, 100)] {
            let mut counts = [0; 10];
            set.labels().iter().for_each(|&label| counts[label as usize] += 1);
            assert_eq!(counts, [per_class; 10]);
        }
        assert!(SAMPLE.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() < 4 << 20);
        // The mean of the real images, with its border of zeros: 0.2860 * 28^2 / 32^2.
        let mean = train.images().iter().map(|&v| f64::from(v)).sum::<f64>() / (train.images().len() as f64 * 255.0);
        assert!((mean - 0.2860 * 0.765_625).abs() < 0.003, "{mean}");
    }

    #[test]
    fn grey_images_get_a_border_and_channels() {
        let image = padded(&[7; SIDE * SIDE], 3);
        let pixel = |y: usize, x: usize| &image[(y * PADDED + x) * 3..][..3];
        assert_eq!([pixel(2, 2), pixel(29, 29)], [[7; 3]; 2]);
        assert_eq!([pixel(1, 2), pixel(2, 1), pixel(30, 29), pixel(29, 30)], [[0; 3]; 4]);
        assert_eq!(image.iter().filter(|&&v| v == 7).count(), 28 * 28 * 3);
    }
}
