//! The binary version of CIFAR-10 and CIFAR-100 (Krizhevsky, 2009): records of label bytes and three 32 x 32 planes.

use std::path::Path;

use crate::dataset::Shape;
use crate::error::DataError;

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
const PIXELS: usize = 3 * PLANE;

/// What a record looks like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Bytes before the pixels; the last of them is the label in use (CIFAR-100: coarse, then fine).
    pub label_bytes: usize,
    /// Labels are below this.
    pub classes: usize,
}

/// CIFAR-10's records.
pub(crate) const CIFAR10: Layout = Layout { label_bytes: 1, classes: 10 };
/// CIFAR-100's records.
pub(crate) const CIFAR100: Layout = Layout { label_bytes: 2, classes: 100 };

/// The shape of the images.
pub(crate) const SHAPE: Shape = Shape { height: SIDE, width: SIDE, channels: 3 };

/// Appends the records of one file to `images` (`[n, h, w, c]`) and `labels`. `path` is for messages.
pub(crate) fn parse(path: &Path, bytes: &[u8], layout: Layout, images: &mut Vec<u8>, labels: &mut Vec<u32>) -> Result<(), DataError> {
    let corrupt = |offset: usize, problem: String| DataError::Corrupt { path: path.into(), offset: offset as u64, problem };
    let record = layout.label_bytes + PIXELS;
    let whole = bytes.len() - bytes.len() % record;
    if whole != bytes.len() || whole == 0 {
        let problem = format!(
            "a record of {record} bytes starts here, but only {} are left: the file is truncated; fetch it again",
            bytes.len() - whole
        );
        return Err(corrupt(whole, problem));
    }
    images.reserve_exact(whole / record * PIXELS);
    labels.reserve_exact(whole / record);
    for (index, record_bytes) in bytes.chunks_exact(record).enumerate() {
        let (label_bytes, pixels) = record_bytes.split_at(layout.label_bytes);
        let label = label_bytes[layout.label_bytes - 1];
        if usize::from(label) >= layout.classes {
            let offset = index * record + layout.label_bytes - 1;
            return Err(corrupt(
                offset,
                format!("label {label}, but there are {} classes: the file is damaged; fetch it again", layout.classes),
            ));
        }
        labels.push(u32::from(label));
        let (red, rest) = pixels.split_at(PLANE);
        let (green, blue) = rest.split_at(PLANE);
        images.extend(red.iter().zip(green).zip(blue).flat_map(|((&r, &g), &b)| [r, g, b]));
    }
    Ok(())
}

/// CIFAR-10's classes, by label.
pub(crate) const CIFAR10_CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// CIFAR-100's fine classes, by label.
#[rustfmt::skip]
pub(crate) const CIFAR100_CLASSES: [&str; 100] = [
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
    "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
    "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur",
    "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard",
    "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain",
    "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
    "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket",
    "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider",
    "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor",
    "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], layout: Layout) -> Result<(Vec<u8>, Vec<u32>), String> {
        let (mut images, mut labels) = (vec![], vec![]);
        parse(Path::new("x.bin"), bytes, layout, &mut images, &mut labels).map_err(|e| e.to_string())?;
        Ok((images, labels))
    }

    fn record(label: &[u8]) -> Vec<u8> {
        label.iter().copied().chain((0..PIXELS).map(|i| (i / PLANE * 100 + i % PLANE % 100) as u8)).collect()
    }

    #[test]
    fn planes_become_pixels_and_the_fine_label_counts() {
        let (images, labels) = check(&[record(&[19, 11]), record(&[0, 99])].concat(), CIFAR100).unwrap();
        assert_eq!(labels, [11, 99]);
        assert_eq!(images.len(), 2 * PIXELS);
        assert_eq!(images[..6], [0, 100, 200, 1, 101, 201]);
        assert_eq!(images[PIXELS..], images[..PIXELS]);
    }

    #[test]
    fn a_partial_record_is_named_with_its_offset() {
        let message = check(&[record(&[3]), vec![1; 10]].concat(), CIFAR10).unwrap_err();
        assert_eq!(
            message,
            "x.bin: at byte 3073: a record of 3073 bytes starts here, but only 10 are left: the file is truncated; fetch it again"
        );
        assert!(check(&[], CIFAR10).unwrap_err().contains("at byte 0"));
    }

    #[test]
    fn a_label_out_of_range_is_named_with_its_offset() {
        let message = check(&[record(&[1, 2]), record(&[1, 100])].concat(), CIFAR100).unwrap_err();
        assert_eq!(message, "x.bin: at byte 3075: label 100, but there are 100 classes: the file is damaged; fetch it again");
    }
}
