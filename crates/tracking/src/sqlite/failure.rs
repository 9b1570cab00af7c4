//! From SQLite's errors to ours.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::ErrorCode;

use crate::error::TrackingError;
use crate::sql::{Failure, Fault};

pub(super) fn failure(error: rusqlite::Error) -> Failure {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Fault::Locked,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => Fault::ReadOnly,
        Some(ErrorCode::DiskFull) => Fault::DiskFull,
        Some(ErrorCode::NotADatabase) => Fault::NotADatabase,
        Some(ErrorCode::DatabaseCorrupt) => Fault::Corrupt,
        Some(ErrorCode::ConstraintViolation) => Fault::Duplicate,
        _ => Fault::Other,
    };
    Failure::new(kind, error.to_string())
}

/// Which database, for messages.
#[derive(Debug, Clone)]
pub(super) struct At {
    pub path: PathBuf,
    pub busy_timeout: Duration,
}

impl At {
    pub fn new(path: &Path, busy_timeout: Duration) -> Self {
        Self { path: path.into(), busy_timeout }
    }

    pub fn result<T>(&self, doing: &str, result: Result<T, Failure>) -> Result<T, TrackingError> {
        result.map_err(|failure| self.error(doing, failure))
    }

    pub fn error(&self, doing: &str, failure: Failure) -> TrackingError {
        let (kind, detail) = match failure.trouble() {
            Ok(trouble) => trouble,
            Err(refused) => return refused,
        };
        let (doing, path) = (doing.to_string(), self.path.clone());
        match kind {
            Fault::Locked => TrackingError::Locked { doing, path, waited: self.busy_timeout },
            Fault::ReadOnly => TrackingError::ReadOnly { doing, path },
            Fault::DiskFull => TrackingError::DiskFull { doing, path },
            Fault::NotADatabase => TrackingError::NotADatabase { path },
            Fault::Corrupt => TrackingError::Corrupt { doing, path, detail },
            Fault::Duplicate | Fault::Conflict | Fault::Unavailable | Fault::Other => TrackingError::Database { doing, path, detail },
        }
    }
}
