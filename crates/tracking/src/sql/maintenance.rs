//! [`Maintenance`] of any SQL database.

use super::store::{Database, SqlStore};
use crate::error::TrackingError;
use crate::maintenance::{CollectEvent, CollectRequest, Collected, Maintenance};

impl<D: Database> Maintenance for SqlStore<D> {
    fn collect(&self, request: &CollectRequest, report: &mut dyn FnMut(&CollectEvent)) -> Result<Collected, TrackingError> {
        self.collect_garbage(request, report)
    }
}
