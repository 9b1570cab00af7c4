//! Data sets in memory, their files, splits, augmentation and batches.
//!
//! - Images stay bytes, `[n, h, w, c]`; a batch is augmented, normalised and written as float32 in one pass.
//! - Every random draw is a function of (seed, epoch, image) or (seed, epoch, batch): any batch can be made alone, in any
//!   thread, with the same bits. A loader with a state was refused, because it cannot resume in the middle of an epoch.
//! - Published files are read as they lie in DATA_DIR, unpacked or not, and checked against their publishers' digests.

mod augment;
mod checksum;
mod cifar;
mod dataset;
mod error;
mod fashion_mnist;
mod fetch;
mod files;
mod folder;
mod grid;
mod idx;
mod loader;
mod name;
mod official;
mod open;
mod picture;
#[cfg(test)]
mod properties;
mod split;
mod verify;
mod walk;

pub use augment::Augmentation;
pub use dataset::{Dataset, Normalisation, Shape};
pub use error::DataError;
pub use fashion_mnist::SAMPLE_LICENCE;
pub use fetch::{FetchEvent, FetchOptions, Patience, Progress, fetch};
pub use grid::{Cell, Grid, GridOptions, grid};
pub use loader::{Batch, LARGEST_BATCH, Loader, LoaderOptions, Spread, one_thread};
pub use name::{DatasetName, NAMES};
pub use open::{OpenOptions, Splits, open};
pub use picture::{decode_picture, png, read_picture};
pub use split::{Split, stratified_split};
pub use verify::{CheckedFile, Verification, verify};
pub use walk::Walk;
