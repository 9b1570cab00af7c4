//! What the user should know while a journal is written and delivered.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::refusal::Refusal;
use crate::error::TrackingError;

/// What the user should know while it happens. Each is told once, not at every try.
#[derive(Debug)]
pub enum Event<'a> {
    /// The store does not answer; what is logged waits in the journal.
    Away(&'a TrackingError),
    /// The run was deleted in the store.
    RunGone(&'a TrackingError),
    /// The store has answered again after this long.
    Back(Duration),
    /// Something can never be stored, and is left out.
    Refused(&'a Refusal),
    /// An artifact waits in the journal, and what follows overtakes it.
    ArtifactWaits(&'a str, &'a TrackingError),
    /// The journal cannot be written: nothing is safe until it can.
    JournalFails(&'a TrackingError),
    /// It can be written again, and nothing was lost.
    JournalWorks,
    /// So much could not be written for so long that something had to be dropped: from here on the record has a gap.
    RecordLost,
    /// Bytes at the journal's end that were no whole record were cut off.
    Cut(u64, &'a Path),
}

/// Who is told.
pub type Listener = Arc<dyn Fn(&Event<'_>) + Send + Sync>;
