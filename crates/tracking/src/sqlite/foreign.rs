//! Another program's database, in which nothing is made or prepared: only what is asked is done.

use std::path::Path;

use rusqlite::OpenFlags;

use super::connection::Session;
use super::failure::{At, failure};
use crate::error::TrackingError;
use crate::sql::{Connection, Failure};
use crate::uri::StoreOptions;

/// Another program's file.
pub(crate) struct Foreign {
    at: At,
    connection: rusqlite::Connection,
}

impl Foreign {
    /// Opens a file that is there.
    pub fn open(path: &Path, writing: bool, options: &StoreOptions) -> Result<Self, TrackingError> {
        let at = At::new(path, options.busy_timeout);
        if !path.is_file() {
            let why = "there is no such file".into();
            return Err(TrackingError::Uri { uri: format!("sqlite:///{}", path.display()), why });
        }
        let how = if writing { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
        let opened = rusqlite::Connection::open_with_flags(path, how | OpenFlags::SQLITE_OPEN_NO_MUTEX).and_then(|connection| {
            connection.busy_timeout(options.busy_timeout)?;
            Ok(connection)
        });
        match opened {
            Ok(connection) => Ok(Self { at, connection }),
            Err(error) => Err(at.error("opening the database", failure(error))),
        }
    }

    pub fn name(&self) -> String {
        self.at.path.display().to_string()
    }

    /// Does work in one transaction, which leaves no trace if the work fails.
    pub fn transaction<T>(
        &mut self,
        doing: &str,
        writing: bool,
        work: impl FnOnce(&mut dyn Connection) -> Result<T, Failure>,
    ) -> Result<T, TrackingError> {
        let begun = self.connection.execute_batch(if writing { "BEGIN IMMEDIATE" } else { "BEGIN" });
        let done = begun.map_err(failure).and_then(|()| {
            let done = work(&mut Session { connection: &self.connection, keys: None })?;
            self.connection.execute_batch("COMMIT").map_err(failure)?;
            Ok(done)
        });
        if done.is_err() && !self.connection.is_autocommit() {
            // The first failure is the one to tell.
            self.connection.execute_batch("ROLLBACK").ok();
        }
        self.at.result(doing, done)
    }
}
