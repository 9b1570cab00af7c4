//! How far a journal is delivered, kept in a small file that is replaced as a whole.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::TrackingError;

/// Of each store that a journal has been delivered to, how far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Positions {
    /// One for each store.
    pub targets: Vec<Position>,
}

/// How far a journal is delivered to one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The store, without passwords.
    pub tracking_uri: String,
    /// The run there.
    pub run_id: String,
    /// Everything before this place of the journal is delivered, but for the artifacts below.
    pub offset: u64,
    /// Where the records of artifacts lie that have been passed over, because their upload failed.
    #[serde(default)]
    pub artifacts: Vec<u64>,
    /// Records that were refused for good.
    #[serde(default)]
    pub refused: u64,
}

impl Positions {
    /// Reads the file. One that is missing or damaged is one that says nothing: everything is then delivered once more, which
    /// changes nothing where it has arrived already.
    pub fn read(path: &Path) -> Self {
        fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Replaces the file. Without waiting for the disk: what a power cut takes is delivered once more.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), TrackingError> {
        let temporary = path.with_extension("part");
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
        written.map_err(|error| TrackingError::io("writing how far the journal is delivered,", path, error))
    }

    /// The position for a store.
    pub fn of(&self, tracking_uri: &str) -> Option<&Position> {
        self.targets.iter().find(|position| position.tracking_uri == tracking_uri)
    }

    /// Takes a position in.
    pub fn set(&mut self, position: Position) {
        self.targets.retain(|other| other.tracking_uri != position.tracking_uri);
        self.targets.push(position);
    }
}
