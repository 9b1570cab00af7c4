//! What a store refuses for good: it is recorded and told, and does not hold up the rest.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anmok_protocol::{Batch, ErrorCode};
use serde::Serialize;

use crate::error::TrackingError;
use crate::store::now_ms;

/// Where the list of refusals lies among a run's artifacts.
pub const ARTIFACT: &str = "logs/refused.jsonl";

/// One thing that cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// What, by name.
    pub what: String,
    /// The store's words.
    pub why: String,
    /// Milliseconds since 1970.
    pub time: i64,
}

/// Whether trying again can never help: the store has understood the request and says no. A server that is broken, busy or does
/// not know the caller (its token may be renewed) is waited for.
pub fn is_refusal(error: &TrackingError) -> bool {
    let TrackingError::Refused(error) = error else { return false };
    matches!(
        error.code,
        ErrorCode::InvalidParameterValue | ErrorCode::BadRequest | ErrorCode::ResourceDoesNotExist | ErrorCode::ResourceAlreadyExists
    )
}

impl Refusal {
    /// Something with a name.
    pub fn new(what: String, error: &TrackingError) -> Self {
        Self { what, why: error.to_string(), time: now_ms() }
    }

    /// The one thing in a batch.
    pub fn of(batch: &Batch, error: &TrackingError) -> Self {
        let metric = batch.metrics.first().map(|metric| format!("metric {} at step {} = {}", metric.key, metric.step, metric.value));
        let param = || batch.params.first().map(|param| format!("param {} = {:?}", param.key, param.value));
        let tag = || batch.tags.first().map(|tag| format!("tag {} = {:?}", tag.key, tag.value));
        Self::new(metric.or_else(param).or_else(tag).unwrap_or_default(), error)
    }

    /// Appends it to the list.
    pub(crate) fn record(&self, path: &Path) -> Result<(), TrackingError> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        let written = File::options().create(true).append(true).open(path).and_then(|mut file| file.write_all(&line));
        written.map_err(|error| TrackingError::io("recording a refusal in", path, error))
    }
}
