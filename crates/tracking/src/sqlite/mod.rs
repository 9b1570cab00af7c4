//! The embedded store: one SQLite file in our own schema, with a folder of artifacts beside it.
//!
//! WAL: readers never wait for a writer. Several processes may use one file at once; writes take turns, each waiting up to
//! [`StoreOptions::busy_timeout`] for the others.
//!
//! - [`schema`]: tables, migrations, whose database it is
//! - [`commit`]: the one writing connection, and group commit
//! - [`foreign`]: another program's database
//! - [`connection`]: a connection as the statements of [`crate::sql`] see it

mod commit;
mod connection;
mod failure;
mod foreign;
mod schema;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anmok_protocol::{DEFAULT_EXPERIMENT_ID, DEFAULT_EXPERIMENT_NAME, LifecycleStage};
use rusqlite::{OpenFlags, TransactionBehavior};

use self::commit::Committer;
use self::connection::Session;
use self::failure::{At, failure};
pub(crate) use self::foreign::Foreign;
use crate::artifact::Artifacts;
use crate::error::TrackingError;
use crate::maintenance::SchemaVersion;
use crate::sql::{Connection, Database, Failure, Locations, SqlStore};
use crate::store::now_ms;
use crate::uri::{Durability, StoreOptions};

/// Reading connections that are kept open when nobody uses them.
const IDLE_READERS: usize = 8;

/// What each of them keeps of the file, in KiB: the pages of one query. Between queries the system's cache is as good, and there are
/// many connections (SQLite's own default is 2000).
const READER_CACHE_KIB: i64 = 500;

/// One SQLite file.
pub(crate) struct Sqlite {
    at: At,
    committer: Committer,
    readers: Mutex<Vec<rusqlite::Connection>>,
}

/// Opens the store in a file, making it if there is none.
///
/// # Errors
/// A missing folder, no permission, a lock, a full disk, a file that is not our database (it is left as it is).
pub(crate) fn open(path: &Path, options: &StoreOptions) -> Result<SqlStore<Sqlite>, TrackingError> {
    let path = std::path::absolute(path).map_err(|error| TrackingError::io("finding the folder of", path, error))?;
    let at = At::new(&path, options.busy_timeout);
    let folder = path.parent().unwrap_or(Path::new("/"));
    let refuse = |why: String| Err(TrackingError::Uri { uri: format!("sqlite:///{}", path.display()), why });
    if !folder.is_dir() {
        return refuse(format!("the folder {} does not exist; make it with `mkdir -p`", folder.display()));
    }
    if path.is_dir() {
        return refuse("it is a folder; name a file in it".into());
    }
    let locations = Locations::beside(&path, options.artifact_root.as_deref())?;
    let mut connection = connect(&at, options.durability)?;
    let default_location = locations.of_experiment(0);
    schema::prepare(&mut connection, &at, schema::MIGRATIONS, |connection| {
        let insert = "INSERT INTO anmok_experiments (experiment, name, artifact_location, lifecycle_stage, creation_time, last_update_time)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?5)";
        let row = (DEFAULT_EXPERIMENT_ID, DEFAULT_EXPERIMENT_NAME, &default_location, LifecycleStage::Active.name(), now_ms());
        connection.execute(insert, row).map_err(failure)?;
        Ok(())
    })?;
    write_ahead(&connection, &at)?;
    let database = Sqlite { at, committer: Committer::new(connection), readers: Mutex::new(vec![]) };
    Ok(SqlStore { database, locations, artifacts: Artifacts::new(options.artifacts.clone()), search: options.search })
}

/// The version of the schema in a file, which is there.
pub(crate) fn schema_version(path: &Path, options: &StoreOptions) -> Result<SchemaVersion, TrackingError> {
    let at = At::new(path, options.busy_timeout);
    if !path.is_file() {
        let why = "there is no such file".into();
        return Err(TrackingError::Uri { uri: format!("sqlite:///{}", path.display()), why });
    }
    schema::version(&mut connect(&at, options.durability)?, &at)
}

impl Database for Sqlite {
    fn read<T>(&self, doing: &str, mut work: impl FnMut(&mut dyn Connection) -> Result<T, Failure>) -> Result<T, TrackingError> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => {
                let connection = connect(&self.at, Durability::Normal)?;
                let configure = || {
                    connection.pragma_update(None, "query_only", true)?;
                    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)
                };
                self.at.result(doing, configure().map_err(failure))?;
                connection
            }
        };
        let result = (|| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred).map_err(failure)?;
            let result = work(&mut Session { connection: &transaction, keys: None })?;
            transaction.finish().map_err(failure)?;
            Ok(result)
        })();
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < IDLE_READERS && connection.is_autocommit() {
            readers.push(connection);
        }
        drop(readers);
        self.at.result(doing, result)
    }

    fn write<T: Send + 'static>(
        &self,
        doing: &str,
        work: impl FnMut(&mut dyn Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, TrackingError> {
        self.committer.write(&self.at, doing, work)
    }
}

fn connect(at: &At, durability: Durability) -> Result<rusqlite::Connection, TrackingError> {
    let doing = "opening the tracking database";
    // Never a URI: a path with '?' or '%' is a path.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = rusqlite::Connection::open_with_flags(&at.path, flags).map_err(|error| at.error(doing, failure(error)))?;
    let configure = || {
        connection.busy_timeout(at.busy_timeout)?;
        connection.set_prepared_statement_cache_capacity(64);
        // MLflow's LIKE minds case.
        connection.pragma_update(None, "case_sensitive_like", true)?;
        connection.pragma_update(
            None,
            "synchronous",
            match durability {
                Durability::Normal => "NORMAL",
                Durability::Full => "FULL",
            },
        )?;
        Ok(())
    };
    at.result(doing, configure().map_err(failure))?;
    Ok(connection)
}

/// Switches to write-ahead logging; once done it is a property of the file.
fn write_ahead(connection: &rusqlite::Connection, at: &At) -> Result<(), TrackingError> {
    let doing = "switching the tracking database to write-ahead logging";
    let deadline = std::time::Instant::now() + at.busy_timeout;
    loop {
        // The busy timeout does not cover this switch: with several processes starting at once it can fail at once.
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)) {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(mode) => {
                let detail = format!("the file system allows only journal mode {mode:?}; choose a local disk with the tracking URI");
                return Err(TrackingError::Database { doing: doing.into(), path: at.path.clone(), detail });
            }
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) && std::time::Instant::now() < deadline => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            Err(error) => return Err(at.error(doing, failure(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use anmok_protocol::{Batch, Metric, RunTag};

    use super::*;
    use crate::{NewRun, RunStore};

    /// SQLite's own limit on the file's size stands for the full disk: it fails in the same place with the same code.
    #[test]
    fn a_full_disk_takes_a_write_wholly_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder.path().join("anmok.db"), &StoreOptions::default()).unwrap();
        let run_id = store.create_run(&NewRun::default()).unwrap().info.run_id;
        let limit = |pages: i64| {
            let pragma = format!("PRAGMA max_page_count = {pages}");
            store.database.write("limiting", move |connection| connection.query(&pragma, &[], &mut |_| Ok(()))).unwrap();
        };
        limit(60);
        let batch = |number: usize| Batch {
            metrics: vec![Metric::new(format!("key {number}"), 1.0, 1, 1)],
            tags: vec![RunTag::new(format!("tag {number}"), "x".repeat(5000))],
            ..Batch::default()
        };
        let mut stored = 0;
        let error = loop {
            match store.log_batch(&run_id, &batch(stored)) {
                Ok(()) => stored += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, TrackingError::DiskFull { .. }), "{error:?}");
        assert!(error.to_string().starts_with("logging to a run: the disk that holds "), "{error}");
        let data = store.run(&run_id).unwrap().unwrap().data;
        assert_eq!((data.metrics.len(), data.tags.len()), (stored, stored + 1));
        limit(10_000);
        store.log_batch(&run_id, &batch(stored)).unwrap();
        assert_eq!(store.run(&run_id).unwrap().unwrap().data.metric(&format!("key {stored}")), Some(1.0));
    }
}
