//! Once its buffers have grown, making batches allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use anmok_data::{Augmentation, Loader, LoaderOptions, OpenOptions, Walk, one_thread, open};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn walking_allocates_nothing_in_steady_state() {
    let test = open("FashionMNIST-sample", &OpenOptions::new("")).unwrap().test;
    let augmentation = Augmentation {
        cutout: 8,
        random_erasing: 0.5,
        mixup: 0.2,
        cutmix: 1.0,
        rand_augment: 2,
        rand_augment_magnitude: 9,
        ..Augmentation::STANDARD
    };
    let options = LoaderOptions { batch_size: 64, drop_last: false, seed: 0, augmentation };
    let loader = Loader::training(test, (0..1000).collect::<Vec<u32>>(), &options).unwrap();
    let mut walk = Walk::new(loader, 0..6, 0);
    let mut seen = 0;
    let mut before = 0;
    while let Some(batch) = walk.next(&mut one_thread) {
        assert_eq!(batch.images.len(), batch.labels.len() * 32 * 32 * 3);
        seen += 1;
        if seen == 2 * 16 {
            before = ALLOCATIONS.load(Ordering::Relaxed);
        }
    }
    assert_eq!((seen, ALLOCATIONS.load(Ordering::Relaxed) - before), (6 * 16, 0));
}
