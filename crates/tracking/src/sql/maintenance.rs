//! [`Maintenance`] of any SQL database.

use super::store::{Database, SqlStore};
use super::{check, mlflow};
use crate::error::TrackingError;
use crate::maintenance::{Check, CollectEvent, CollectRequest, Collected, Copied, CopyProgress, Maintenance};

impl<D: Database> Maintenance for SqlStore<D> {
    fn collect(&self, request: &CollectRequest, report: &mut dyn FnMut(&CollectEvent)) -> Result<Collected, TrackingError> {
        self.collect_garbage(request, report)
    }

    fn check(&self) -> Result<Vec<Check>, TrackingError> {
        self.database.read("checking the tracking database", |connection| check::all(connection))
    }

    fn import_mlflow(&self, source: &str, report: &mut dyn FnMut(&CopyProgress)) -> Result<Copied, TrackingError> {
        mlflow::import(self, source, report)
    }

    fn export_mlflow(&self, target: &str, report: &mut dyn FnMut(&CopyProgress)) -> Result<Copied, TrackingError> {
        mlflow::export(self, target, report)
    }
}
