//! From SQLite's errors to ours.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anmok_protocol::ApiError;
use rusqlite::ErrorCode;

use crate::error::TrackingError;

/// Why a piece of work on a connection failed: by SQLite, or because it was refused.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    Sqlite { code: Option<ErrorCode>, detail: String },
    Refused(TrackingError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite { code: error.sqlite_error_code(), detail: error.to_string() }
    }
}

impl From<TrackingError> for Failure {
    fn from(error: TrackingError) -> Self {
        Self::Refused(error)
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Refused(error.into())
    }
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
        let (code, detail) = match failure {
            Failure::Refused(error) => return error,
            Failure::Sqlite { code, detail } => (code, detail),
        };
        let (doing, path) = (doing.to_string(), self.path.clone());
        match code {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => TrackingError::Locked { doing, path, waited: self.busy_timeout },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => TrackingError::ReadOnly { doing, path },
            Some(ErrorCode::DiskFull) => TrackingError::DiskFull { doing, path },
            Some(ErrorCode::NotADatabase) => TrackingError::NotADatabase { path },
            Some(ErrorCode::DatabaseCorrupt) => TrackingError::Corrupt { doing, path, detail },
            _ => TrackingError::Database { doing, path, detail },
        }
    }
}
