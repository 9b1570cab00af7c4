//! Images in memory.

use sha2::{Digest, Sha256};

/// Mean and standard deviation per channel, of values in `[0, 1]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalisation {
    /// One mean per channel.
    pub mean: Vec<f32>,
    /// One standard deviation per channel, not 0.
    pub std: Vec<f32>,
}

impl Normalisation {
    pub(crate) fn new(mean: &[f32], std: &[f32]) -> Self {
        Self { mean: mean.to_vec(), std: std.to_vec() }
    }

    /// What every byte becomes, per channel: `(byte / 255 - mean) / std` in float32, which is what torchvision's
    /// `ToTensor` and `Normalize` compute. A table gives PyTorch's bits, which a fused multiply-add would not.
    pub fn tables(&self) -> Vec<[f32; 256]> {
        let table = |(mean, std): (&f32, &f32)| std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std);
        self.mean.iter().zip(&self.std).map(table).collect()
    }

    /// Normalises `pixels`, `[.., c]`, to `out` of the same length (for a picture from outside; batches do it themselves).
    pub fn apply(&self, pixels: &[u8], out: &mut [f32]) {
        let tables = self.tables();
        let values = pixels.iter().zip(tables.iter().cycle());
        out.iter_mut().zip(values).for_each(|(out, (&pixel, table))| *out = table[usize::from(pixel)]);
    }
}

/// The shape of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 3 (red, green, blue) or 1 (grey).
    pub channels: usize,
}

impl Shape {
    /// Values per image.
    pub fn len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Whether an image has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Labelled images, one byte per value. It is large, so it is shared as an `Arc<Dataset>`.
#[derive(Debug)]
pub struct Dataset {
    contents: Contents,
    digest: String,
}

/// What [`Dataset::new`] is made from.
#[derive(Debug)]
pub(crate) struct Contents {
    pub name: String,
    pub shape: Shape,
    /// `[n, h, w, c]`
    pub images: Vec<u8>,
    pub labels: Vec<u32>,
    pub classes: Vec<String>,
    pub normalisation: Normalisation,
    pub source: String,
}

impl Dataset {
    /// The parsers have checked labels and lengths with file and offset; what is asserted here is their promise.
    pub(crate) fn new(contents: Contents) -> Self {
        let Contents { name, shape, images, labels, normalisation, .. } = &contents;
        assert_eq!(images.len(), labels.len() * shape.len(), "{name}: images and labels");
        assert_eq!((normalisation.mean.len(), normalisation.std.len()), (shape.channels, shape.channels), "{name}: normalisation");
        let digest = digest(*shape, images, labels);
        Self { contents, digest }
    }

    /// For example `CIFAR10`.
    pub fn name(&self) -> &str {
        &self.contents.name
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.contents.labels.len()
    }

    /// Whether there are no images. The loaders refuse empty files, so a loaded data set never is.
    pub fn is_empty(&self) -> bool {
        self.contents.labels.is_empty()
    }

    /// The shape of every image.
    pub fn shape(&self) -> Shape {
        self.contents.shape
    }

    /// All images, `[n, h, w, c]`.
    pub fn images(&self) -> &[u8] {
        &self.contents.images
    }

    /// One image, `[h, w, c]`. Panics where there is none at `index`.
    pub fn image(&self, index: usize) -> &[u8] {
        &self.contents.images[index * self.contents.shape.len()..][..self.contents.shape.len()]
    }

    /// One class per image, below `classes().len()`.
    pub fn labels(&self) -> &[u32] {
        &self.contents.labels
    }

    /// The classes' names, by label.
    pub fn classes(&self) -> &[String] {
        &self.contents.classes
    }

    /// What the network's input is normalised with.
    pub fn normalisation(&self) -> &Normalisation {
        &self.contents.normalisation
    }

    /// The first 32 hexadecimal digits of a SHA-256 over shape, labels and images as they are in memory.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Where the images came from: a folder, an archive, or `built in`.
    pub fn source(&self) -> &str {
        &self.contents.source
    }

    /// Shapes and counts as JSON, for a run's record.
    pub fn profile(&self) -> String {
        let Shape { height, width, channels } = self.contents.shape;
        let (images, classes) = (self.len(), self.contents.classes.len());
        format!(r#"{{"images":{images},"height":{height},"width":{width},"channels":{channels},"classes":{classes}}}"#)
    }
}

fn digest(shape: Shape, images: &[u8], labels: &[u32]) -> String {
    let mut hash = Sha256::new();
    for size in [labels.len(), shape.height, shape.width, shape.channels] {
        hash.update((size as u64).to_le_bytes());
    }
    labels.iter().for_each(|label| hash.update(label.to_le_bytes()));
    hash.update(images);
    crate::checksum::hex(&hash.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny(images: Vec<u8>, labels: Vec<u32>) -> Dataset {
        Dataset::new(Contents {
            name: "tiny".into(),
            shape: Shape { height: 1, width: 2, channels: 1 },
            images,
            labels,
            classes: vec!["a".into(), "b".into()],
            normalisation: Normalisation::new(&[0.5], &[0.25]),
            source: "test".into(),
        })
    }

    #[test]
    fn the_digest_follows_images_and_labels() {
        let digest = tiny(vec![1, 2, 3, 4], vec![0, 1]).digest().to_owned();
        assert_eq!(digest.len(), 32);
        assert_eq!(digest, tiny(vec![1, 2, 3, 4], vec![0, 1]).digest());
        assert_ne!(digest, tiny(vec![1, 2, 3, 5], vec![0, 1]).digest());
        assert_ne!(digest, tiny(vec![1, 2, 3, 4], vec![1, 0]).digest());
    }

    #[test]
    fn the_tables_are_pytorchs_to_tensor_and_normalize() {
        let table = &Normalisation::new(&[0.4914], &[0.2470]).tables()[0];
        // torchvision.transforms.Normalize([.4914], [.2470])(ToTensor()(...)) of 0, 1, 128, 255
        assert_eq!([table[0], table[1], table[128], table[255]], [-1.989_473_7, -1.973_596_9, 0.042_756_32, 2.059_109_4]);
    }
}
