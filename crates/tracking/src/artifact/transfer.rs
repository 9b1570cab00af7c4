//! What goes in and out of an artifact store, piece by piece.

use std::ops::Range;
use std::pin::Pin;
use std::time::SystemTime;

use bytes::Bytes;
use futures_core::Stream;

use crate::error::TrackingError;

/// A part of a file, as HTTP's `Range` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ByteRange {
    /// From one byte to before another.
    Bounded(Range<u64>),
    /// From a byte to the end.
    From(u64),
    /// This many bytes at the end.
    Last(u64),
}

impl ByteRange {
    /// The bytes of a file of `size` bytes that are meant; `None` if there are none.
    pub fn within(&self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::Bounded(range) => range.start..range.end.min(size),
            Self::From(start) => *start..size,
            Self::Last(count) => size.saturating_sub(*count)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

/// The pieces of a file, in order.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, TrackingError>> + Send>>;

/// A file, or a part of one, on its way out.
pub struct Download {
    /// Bytes of the whole file.
    pub size: u64,
    /// The part that [`Self::bytes`] carries.
    pub range: Range<u64>,
    /// When it was last written.
    pub modified: SystemTime,
    /// The pieces; a small number of them is in memory at any time.
    pub bytes: ByteStream,
}

/// Why there is no [`Download`].
#[derive(Debug)]
pub enum NoDownload {
    /// No such file.
    Absent,
    /// The path is a folder's.
    IsFolder,
    /// The file has this many bytes, and none of those asked for.
    OutOfRange(u64),
    /// The store failed.
    Failed(TrackingError),
}

impl From<TrackingError> for NoDownload {
    fn from(error: TrackingError) -> Self {
        Self::Failed(error)
    }
}
