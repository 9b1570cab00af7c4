//! Batches: which images, in which order, augmented how.

use std::sync::{Arc, PoisonError, RwLock};

use anmok_random::Stream;

use crate::augment::{Augmentation, Augmenter, Draw, Scratch};
use crate::dataset::Dataset;
use crate::error::DataError;

/// A batch of more images than this is a mistake (and an allocation that no machine here has).
pub const LARGEST_BATCH: usize = 65_536;

/// Parts that a batch is made in, so that several threads can share it; a batch of fewer images has one for each.
const PARTS: usize = 32;

/// Calls the given function once for every index below the given number, on whatever threads it likes, and returns when all are done.
pub type Spread<'a> = &'a mut dyn FnMut(usize, &(dyn Fn(usize) + Sync));

/// The [`Spread`] of whoever has no threads: one part after the other.
pub fn one_thread(parts: usize, part: &(dyn Fn(usize) + Sync)) {
    (0..parts).for_each(part);
}

/// How a training set is walked.
#[derive(Debug, Clone, PartialEq)]
pub struct LoaderOptions {
    /// Images per batch, 1 to [`LARGEST_BATCH`].
    pub batch_size: usize,
    /// Leave out the last, smaller batch of an epoch.
    pub drop_last: bool,
    /// Names order and augmentation.
    pub seed: u64,
    /// What happens to the images.
    pub augmentation: Augmentation,
}

/// One pass's order of images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Order {
    epoch: u64,
    /// Indices in the data set.
    images: Vec<u32>,
}

/// A batch, ready for an engine. Its buffers are used again from batch to batch.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The pass it belongs to.
    pub epoch: u64,
    /// Its number within the pass.
    pub number: usize,
    /// `[n, h, w, c]`, normalised.
    pub images: Vec<f32>,
    /// One class per image.
    pub labels: Vec<u32>,
    /// Each image's index in the data set.
    pub indices: Vec<u32>,
    is_mixed: bool,
    second_labels: Vec<u32>,
    first_weights: Vec<f32>,
    /// One for each part.
    scratch: Vec<Scratch>,
    last: Vec<f32>,
}

impl Batch {
    /// The second labels of mixup and CutMix, and the weight of each image's first label; `None` where neither is on.
    pub fn mix(&self) -> Option<(&[u32], &[f32])> {
        self.is_mixed.then_some((&self.second_labels, &self.first_weights))
    }
}

/// Makes batches of a part of a data set. Batch `b` of epoch `e` depends on nothing but the options, `e` and `b`.
#[derive(Debug, Clone)]
pub struct Loader {
    dataset: Arc<Dataset>,
    indices: Arc<[u32]>,
    batch_size: usize,
    drop_last: bool,
    /// `None`: in the order of the indices, as they are.
    shuffle_seed: Option<u64>,
    augmenter: Augmenter,
}

impl Loader {
    /// Shuffled and augmented batches of the images at `indices`.
    pub fn training(dataset: Arc<Dataset>, indices: impl Into<Arc<[u32]>>, options: &LoaderOptions) -> Result<Self, DataError> {
        let mut loader = Self::evaluation(dataset, indices, options.batch_size)?;
        let shape = loader.dataset.shape();
        options.augmentation.check(shape)?;
        if options.drop_last && loader.indices.len() < options.batch_size {
            return Err(DataError::setting(
                "batch_size",
                options.batch_size,
                format!("with drop_last at most {}, the number of training images", loader.indices.len()),
            ));
        }
        loader.drop_last = options.drop_last;
        loader.shuffle_seed = Some(options.seed);
        loader.augmenter = Augmenter::new(shape, loader.dataset.normalisation(), options.augmentation.clone());
        Ok(loader)
    }

    /// Batches of the images at `indices` in their order, normalised and otherwise untouched.
    pub fn evaluation(dataset: Arc<Dataset>, indices: impl Into<Arc<[u32]>>, batch_size: usize) -> Result<Self, DataError> {
        let indices = indices.into();
        assert!(indices.iter().all(|&index| (index as usize) < dataset.len()), "an index lies beyond the data set");
        if !(1..=LARGEST_BATCH).contains(&batch_size) {
            return Err(DataError::setting("batch_size", batch_size, format!("1 to {LARGEST_BATCH}")));
        }
        let augmenter = Augmenter::new(dataset.shape(), dataset.normalisation(), Augmentation::NONE);
        Ok(Self { dataset, indices, batch_size, drop_last: false, shuffle_seed: None, augmenter })
    }

    /// The data set.
    pub fn dataset(&self) -> &Arc<Dataset> {
        &self.dataset
    }

    /// Batches per epoch.
    pub fn batches(&self) -> usize {
        if self.drop_last { self.indices.len() / self.batch_size } else { self.indices.len().div_ceil(self.batch_size) }
    }

    /// Images per epoch.
    pub fn images(&self) -> usize {
        if self.drop_last { self.batches() * self.batch_size } else { self.indices.len() }
    }

    /// The order of an epoch: positions shuffled by `Stream::new(&[seed, "shuffle.", epoch])`, then looked up.
    pub(crate) fn order(&self, epoch: u64) -> Order {
        let mut order = Order::default();
        self.reorder(epoch, &mut order);
        order
    }

    /// [`Loader::order`] into a buffer that is used again.
    pub(crate) fn reorder(&self, epoch: u64, order: &mut Order) {
        order.epoch = epoch;
        order.images.clear();
        order.images.extend_from_slice(&self.indices);
        if let Some(seed) = self.shuffle_seed {
            Stream::new(&[seed, u64::from_be_bytes(*b"shuffle."), epoch]).shuffle(&mut order.images);
        }
    }

    /// Makes batch `number` of the epoch of `order` in `batch`'s buffers; once they have grown nothing is allocated. The images are
    /// made in parts, which `spread` runs; the bits do not depend on how. Panics where the epoch has no such batch.
    pub(crate) fn fill(&self, order: &Order, number: usize, batch: &mut Batch, spread: Spread<'_>) {
        assert!(number < self.batches(), "batch {number} of {}", self.batches());
        let members = &order.images[number * self.batch_size..];
        let members = &members[..members.len().min(self.batch_size)];
        let length = self.dataset.shape().len();
        (batch.epoch, batch.number) = (order.epoch, number);
        batch.indices.clear();
        batch.indices.extend_from_slice(members);
        batch.labels.clear();
        batch.labels.extend(members.iter().map(|&index| self.dataset.labels()[index as usize]));
        batch.images.resize(members.len() * length, 0.0);
        batch.scratch.resize_with(PARTS, Scratch::default);
        let draw = Draw { seed: self.shuffle_seed.unwrap_or(0), epoch: order.epoch, item: number as u64 };

        let share = members.len().div_ceil(PARTS);
        let parts = members.chunks(share).zip(batch.images.chunks_mut(share * length)).zip(&mut batch.scratch);
        // Not a Mutex: on a Mac it allocates.
        let parts = RwLock::new(parts);
        spread(members.len().div_ceil(share), &|_| {
            let part = parts.write().unwrap_or_else(PoisonError::into_inner).next();
            let Some(((members, images), scratch)) = part else { return };
            for (&index, out) in members.iter().zip(images.chunks_exact_mut(length)) {
                let draw = Draw { item: u64::from(index), ..draw };
                self.augmenter.image(self.dataset.image(index as usize), draw, scratch, out);
            }
        });

        let weight = self.augmenter.mix(draw, &mut batch.last, &mut batch.images);
        batch.is_mixed = weight.is_some();
        if let Some(weight) = weight {
            batch.second_labels.clone_from(&batch.labels);
            batch.second_labels.rotate_right(1);
            batch.first_weights.clear();
            batch.first_weights.resize(members.len(), weight);
        }
    }

    /// One batch in buffers of its own.
    pub fn batch(&self, epoch: u64, number: usize) -> Batch {
        let mut batch = Batch::default();
        self.fill(&self.order(epoch), number, &mut batch, &mut one_thread);
        batch
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::open::{OpenOptions, open};

    pub(crate) fn sample() -> Arc<Dataset> {
        open("FashionMNIST-sample", &OpenOptions::new("")).unwrap().test
    }

    pub(crate) fn options(augmentation: Augmentation) -> LoaderOptions {
        LoaderOptions { batch_size: 64, drop_last: false, seed: 7, augmentation }
    }

    pub(crate) fn assert_same(a: &Batch, b: &Batch) {
        assert_eq!((a.epoch, a.number, &a.labels, &a.indices, a.mix()), (b.epoch, b.number, &b.labels, &b.indices, b.mix()));
        assert!(a.images == b.images, "images of batch {} of epoch {}", a.number, a.epoch);
    }

    /// Everything on at once.
    pub(crate) const FULL: Augmentation = Augmentation {
        crop_padding: 4,
        flip: 0.5,
        cutout: 8,
        random_erasing: 0.5,
        mixup: 0.2,
        cutmix: 1.0,
        rand_augment: 2,
        rand_augment_magnitude: 9,
    };

    pub(crate) fn everything(dataset: &Dataset) -> Vec<u32> {
        (0..dataset.len() as u32).collect()
    }

    #[test]
    fn an_epoch_shows_every_image_once_in_an_order_of_its_own() {
        let dataset = sample();
        let loader = Loader::training(dataset.clone(), everything(&dataset), &options(Augmentation::STANDARD)).unwrap();
        assert_eq!((loader.batches(), loader.images()), (16, 1000));
        let epoch = |epoch| (0..16).flat_map(|number| loader.batch(epoch, number).indices).collect::<Vec<_>>();
        let (first, second) = (epoch(0), epoch(1));
        assert_ne!(first, second);
        for mut order in [first, second] {
            order.sort_unstable();
            assert_eq!(order, everything(&dataset));
        }
        assert_eq!(loader.batch(0, 15).labels.len(), 1000 - 15 * 64);
    }

    #[test]
    fn a_batch_alone_equals_the_batch_in_sequence() {
        let dataset = sample();
        let loader = Loader::training(dataset.clone(), everything(&dataset), &options(FULL)).unwrap();
        let (order, mut batch) = (loader.order(3), Batch::default());
        for number in 0..loader.batches() {
            loader.fill(&order, number, &mut batch, &mut one_thread);
            assert_same(&batch, &loader.batch(3, number));
        }
    }

    #[test]
    fn a_batch_is_the_same_however_its_parts_are_run() {
        let dataset = sample();
        for batch_size in [1, 31, 64, 100] {
            let options = LoaderOptions { batch_size, ..options(FULL) };
            let loader = Loader::training(dataset.clone(), everything(&dataset), &options).unwrap();
            let (order, mut batch) = (loader.order(1), Batch::default());
            for number in [0, loader.batches() - 1] {
                loader.fill(&order, number, &mut batch, &mut |parts, part| {
                    std::thread::scope(|scope| {
                        for first in 0..3 {
                            scope.spawn(move || (first..parts).step_by(3).for_each(part));
                        }
                    });
                });
                assert_same(&batch, &loader.batch(1, number));
            }
        }
    }

    #[test]
    fn an_image_is_augmented_alike_whatever_the_batch_size() {
        let dataset = sample();
        let loader = |batch_size| {
            Loader::training(dataset.clone(), everything(&dataset), &LoaderOptions { batch_size, ..options(Augmentation::STANDARD) })
                .unwrap()
        };
        let images = |loader: Loader| (0..loader.batches()).flat_map(|number| loader.batch(2, number).images).collect::<Vec<_>>();
        assert!(images(loader(64)) == images(loader(9)));
    }

    #[test]
    fn evaluation_is_the_normalised_bytes_in_order() {
        let dataset = sample();
        let batch = Loader::evaluation(dataset.clone(), vec![5, 3], 100).unwrap().batch(9, 0);
        assert_eq!(batch.indices, [5, 3]);
        assert_eq!(batch.labels, [dataset.labels()[5], dataset.labels()[3]]);
        let expected: Vec<f32> = [5, 3].iter().flat_map(|&i| dataset.image(i)).map(|&v| (f32::from(v) / 255.0 - 0.2860) / 0.3530).collect();
        assert_eq!(batch.images, expected);
    }

    #[test]
    fn mixed_batches_have_the_labels_of_the_image_before() {
        let dataset = sample();
        let augmentation = Augmentation { mixup: 0.4, ..Augmentation::NONE };
        let loader = Loader::training(dataset.clone(), everything(&dataset), &options(augmentation)).unwrap();
        let plain = Loader::training(dataset.clone(), everything(&dataset), &options(Augmentation::NONE)).unwrap();
        let (mixed, plain) = (loader.batch(1, 2), plain.batch(1, 2));
        let (second, weights) = mixed.mix().unwrap();
        assert!(plain.mix().is_none());
        assert_eq!((second[0], &second[1..]), (plain.labels[63], &plain.labels[..63]));
        let (length, weight) = (dataset.shape().len(), weights[0]);
        let expected: Vec<f32> =
            (0..length).map(|i| weight * plain.images[5 * length + i] + (1.0 - weight) * plain.images[4 * length + i]).collect();
        assert_eq!(mixed.images[5 * length..][..length], expected);
    }

    #[test]
    fn drop_last_leaves_out_the_smaller_batch() {
        let dataset = sample();
        let loader =
            Loader::training(dataset.clone(), everything(&dataset), &LoaderOptions { drop_last: true, ..options(Augmentation::NONE) })
                .unwrap();
        assert_eq!((loader.batches(), loader.images()), (15, 960));
    }

    #[test]
    fn a_batch_of_none_or_of_too_many_is_refused() {
        for batch_size in [0, LARGEST_BATCH + 1] {
            let message = Loader::evaluation(sample(), vec![0], batch_size).unwrap_err().to_string();
            assert_eq!(message, format!("batch_size is {batch_size}; allowed: 1 to 65536"));
        }
    }
}
