//! Batches made ahead by a thread of their own, so that the engine never waits for them.

use std::cell::Cell;
use std::ops::{Deref, Range};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use crate::error::DataError;
use crate::loader::{Batch, Loader, Order};

/// Walks over epochs and batches in order. The batches' buffers go round: once they have grown, nothing is allocated.
/// Dropping it stops the thread at the end of the batch in progress.
#[derive(Debug)]
pub struct Prefetcher {
    ready: Option<Receiver<Batch>>,
    used: Option<SyncSender<Batch>>,
    remaining: Cell<usize>,
    worker: Option<JoinHandle<()>>,
}

/// A batch on loan: dropping it gives its buffers back.
#[derive(Debug)]
pub struct Prefetched<'a> {
    /// `Some` until dropped.
    batch: Option<Batch>,
    used: Option<&'a SyncSender<Batch>>,
}

impl Prefetcher {
    /// Starts with batch `first_batch` of `epochs.start` and ends with the last one before `epochs.end`.
    /// `depth` batches are made ahead (2 to 4 make sense); up to that many may be held at once besides.
    pub fn start(loader: Loader, epochs: Range<u64>, first_batch: usize, depth: usize) -> Result<Self, DataError> {
        let depth = depth.max(1);
        let (buffers, whole_epochs) = (2 * depth, epochs.end.saturating_sub(epochs.start) as usize);
        let remaining = (whole_epochs * loader.batches()).saturating_sub(first_batch);
        let (to_reader, ready) = sync_channel(depth);
        let (used, from_reader) = sync_channel(buffers);
        for _ in 0..buffers {
            used.try_send(Batch::default()).unwrap_or_else(|_| unreachable!("the channel holds all buffers"));
        }
        let work = move || walk(&loader, epochs, first_batch, &from_reader, &to_reader);
        let worker = Builder::new()
            .name("anmok-batches".into())
            .spawn(work)
            .map_err(DataError::io("start the thread", PathBuf::from("anmok-batches")))?;
        Ok(Self { ready: Some(ready), used: Some(used), remaining: Cell::new(remaining), worker: Some(worker) })
    }

    /// The next batch; `None` after the last one. Waits only if the thread has fallen behind.
    pub fn next(&self) -> Option<Prefetched<'_>> {
        let remaining = self.remaining.get().checked_sub(1)?;
        let batch = self.ready.as_ref().and_then(|ready| ready.recv().ok());
        assert!(batch.is_some(), "the thread that makes batches has panicked (its message is above)");
        self.remaining.set(remaining);
        Some(Prefetched { batch, used: self.used.as_ref() })
    }
}

/// Stops when either channel is closed.
fn walk(loader: &Loader, epochs: Range<u64>, first_batch: usize, buffers: &Receiver<Batch>, ready: &SyncSender<Batch>) {
    let mut order = Order::default();
    let start = epochs.start;
    for epoch in epochs {
        loader.reorder(epoch, &mut order);
        for number in if epoch == start { first_batch } else { 0 }..loader.batches() {
            let Ok(mut batch) = buffers.recv() else { return };
            loader.fill(&order, number, &mut batch);
            if ready.send(batch).is_err() {
                return;
            }
        }
    }
}

impl Drop for Prefetcher {
    fn drop(&mut self) {
        self.ready = None;
        self.used = None;
        if let Some(worker) = self.worker.take() {
            // A panic of the worker was already reported by its hook, and by `next`.
            let _ = worker.join();
        }
    }
}

impl Deref for Prefetched<'_> {
    type Target = Batch;

    fn deref(&self) -> &Batch {
        self.batch.as_ref().unwrap_or_else(|| unreachable!("present until dropped"))
    }
}

impl Drop for Prefetched<'_> {
    fn drop(&mut self) {
        if let (Some(batch), Some(used)) = (self.batch.take(), self.used) {
            // Fails only if the thread has ended, and then nobody needs the buffers.
            let _ = used.try_send(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::tests::{FULL, assert_same, everything, options, sample};

    fn loader() -> Loader {
        let dataset = sample();
        Loader::training(dataset.clone(), everything(&dataset), &options(FULL)).unwrap()
    }

    #[test]
    fn the_batches_are_the_loaders_from_the_middle_of_an_epoch_on() {
        let loader = loader();
        let prefetcher = Prefetcher::start(loader.clone(), 4..6, 13, 3).unwrap();
        for (epoch, number) in (13..16).map(|number| (4, number)).chain((0..16).map(|number| (5, number))) {
            assert_same(&prefetcher.next().unwrap(), &loader.batch(epoch, number));
        }
        assert!(prefetcher.next().is_none());
        assert!(prefetcher.next().is_none());
    }

    #[test]
    fn buffers_go_round() {
        let prefetcher = Prefetcher::start(loader(), 0..3, 0, 2).unwrap();
        let mut places = std::collections::BTreeSet::new();
        while let Some(batch) = prefetcher.next() {
            places.insert(batch.images.as_ptr() as usize);
        }
        assert!(places.len() <= 4, "{}", places.len());
    }

    #[test]
    fn several_batches_can_be_held_and_dropping_it_early_stops_the_thread() {
        let prefetcher = Prefetcher::start(loader(), 0..1_000_000, 0, 2).unwrap();
        let held = (prefetcher.next().unwrap(), prefetcher.next().unwrap());
        assert_eq!((held.0.number, held.1.number), (0, 1));
        drop(held);
        drop(prefetcher);
    }
}
