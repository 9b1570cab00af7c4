//! The batches of epochs, one after the other.

use std::ops::Range;

use crate::loader::{Batch, Loader, Order, Spread};

/// Walks over epochs and batches in order. One batch's buffers are used for all: once they have grown, nothing is allocated. A batch is
/// made when it is asked for, by whoever computes with it.
#[derive(Debug)]
pub struct Walk {
    loader: Loader,
    epochs: Range<u64>,
    number: usize,
    order: Order,
    batch: Batch,
}

impl Walk {
    /// Starts with batch `first_batch` of `epochs.start` and ends with the last one before `epochs.end`.
    pub fn new(loader: Loader, epochs: Range<u64>, first_batch: usize) -> Self {
        let mut order = Order::default();
        loader.reorder(epochs.start, &mut order);
        Self { loader, epochs, number: first_batch, order, batch: Batch::default() }
    }

    /// The next batch, whose parts `spread` runs; `None` after the last one.
    pub fn next(&mut self, spread: Spread<'_>) -> Option<&Batch> {
        if self.number >= self.loader.batches() {
            self.epochs.next()?;
            self.number = 0;
            self.loader.reorder(self.epochs.start, &mut self.order);
        }
        if self.epochs.is_empty() || self.loader.batches() == 0 {
            return None;
        }
        self.loader.fill(&self.order, self.number, &mut self.batch, spread);
        self.number += 1;
        Some(&self.batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::one_thread;
    use crate::loader::tests::{FULL, assert_same, everything, options, sample};

    fn loader() -> Loader {
        let dataset = sample();
        Loader::training(dataset.clone(), everything(&dataset), &options(FULL)).unwrap()
    }

    #[test]
    fn the_batches_are_the_loaders_from_the_middle_of_an_epoch_on() {
        let loader = loader();
        let mut walk = Walk::new(loader.clone(), 4..6, 13);
        for (epoch, number) in (13..16).map(|number| (4, number)).chain((0..16).map(|number| (5, number))) {
            assert_same(walk.next(&mut one_thread).unwrap(), &loader.batch(epoch, number));
        }
        assert!(walk.next(&mut one_thread).is_none());
        assert!(walk.next(&mut one_thread).is_none());
    }

    /// A checkpoint at the end of an epoch's batches, before its validation.
    #[test]
    fn past_the_last_batch_the_next_epoch_begins() {
        let loader = loader();
        let mut walk = Walk::new(loader.clone(), 0..2, 16);
        assert_same(walk.next(&mut one_thread).unwrap(), &loader.batch(1, 0));
        assert!(Walk::new(loader, 1..2, 16).next(&mut one_thread).is_none());
    }

    #[test]
    fn no_epoch_has_no_batch() {
        assert!(Walk::new(loader(), 3..3, 0).next(&mut one_thread).is_none());
    }

    #[test]
    fn no_images_make_no_batch() {
        let none = Loader::evaluation(sample(), vec![], 64).unwrap();
        assert!(Walk::new(none, 0..u64::MAX, 0).next(&mut one_thread).is_none());
    }
}
