//! The embedded store: one SQLite file in our own schema, with a folder of artifacts beside it.
//!
//! WAL: readers never wait for a writer. Several processes may use one file at once; writes take turns, each waiting up to
//! [`StoreOptions::busy_timeout`] for the others.
//!
//! - [`schema`]: tables, migrations, whose database it is
//! - [`commit`]: the one writing connection, and group commit
//! - [`read`], [`write`], [`search`]: the statements
//! - [`location`]: artifact locations relative to the database's folder

mod commit;
mod failure;
mod location;
mod page;
mod read;
mod schema;
mod search;
mod write;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anmok_protocol::{
    ApiError, Batch, DEFAULT_EXPERIMENT_ID, DEFAULT_EXPERIMENT_NAME, ErrorCode, Experiment, LifecycleStage, Metric, Run, RunInfo,
    RunInputs, RunTag, validate,
};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use self::commit::Committer;
use self::failure::{At, Failure};
use self::location::Locations;
use crate::artifact::ArtifactStore;
use crate::error::TrackingError;
use crate::store::{ExperimentQuery, NewExperiment, NewRun, Page, PageRequest, RunQuery, RunStore, RunUpdate, now_ms};
use crate::uri::{Durability, StoreOptions};

/// Reading connections that are kept open when nobody uses them.
const IDLE_READERS: usize = 8;

/// A [`RunStore`] in one SQLite file.
pub(crate) struct SqliteStore {
    at: At,
    locations: Locations,
    committer: Committer,
    readers: Mutex<Vec<Connection>>,
}

impl SqliteStore {
    /// Opens the database, making it if there is none.
    ///
    /// # Errors
    /// A missing folder, no permission, a lock, a full disk, a file that is not our database (it is left as it is).
    pub fn open(path: &Path, options: &StoreOptions) -> Result<Self, TrackingError> {
        let path = std::path::absolute(path).map_err(|error| TrackingError::io("finding the folder of", path, error))?;
        let at = At::new(&path, options.busy_timeout);
        let folder = path.parent().unwrap_or(Path::new("/"));
        if !folder.is_dir() {
            return Err(TrackingError::Uri {
                uri: format!("sqlite:///{}", path.display()),
                why: format!("the folder {} does not exist; make it with `mkdir -p`", folder.display()),
            });
        }
        if path.is_dir() {
            return Err(TrackingError::Uri {
                uri: format!("sqlite:///{}", path.display()),
                why: "it is a folder; name a file in it".into(),
            });
        }
        let locations = Locations::new(&path, options.artifact_root.as_deref())?;
        let mut connection = connect(&at, options.durability)?;
        let default_location = locations.of_experiment(0);
        schema::prepare(&mut connection, &at, schema::MIGRATIONS, |connection| {
            connection.execute(
                "INSERT INTO anmok_experiments (experiment, name, artifact_location, lifecycle_stage, creation_time, last_update_time)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
                (DEFAULT_EXPERIMENT_ID, DEFAULT_EXPERIMENT_NAME, &default_location, LifecycleStage::Active.name(), now_ms()),
            )?;
            Ok(())
        })?;
        write_ahead(&connection, &at)?;
        Ok(Self { at, locations, committer: Committer::new(connection), readers: Mutex::new(vec![]) })
    }

    fn write<T: Send + 'static>(
        &self,
        doing: &str,
        work: impl FnMut(&mut commit::Write) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, TrackingError> {
        self.committer.write(&self.at, doing, work)
    }

    /// Reads one state of the database, whatever is written meanwhile.
    fn read<T>(&self, doing: &str, work: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<T, TrackingError> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => {
                let connection = connect(&self.at, Durability::Normal)?;
                self.at.result(doing, connection.pragma_update(None, "query_only", true).map_err(Failure::from))?;
                connection
            }
        };
        let result = (|| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
            let result = work(&transaction)?;
            transaction.finish()?;
            Ok(result)
        })();
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < IDLE_READERS && connection.is_autocommit() {
            readers.push(connection);
        }
        drop(readers);
        self.at.result(doing, result)
    }
}

fn connect(at: &At, durability: Durability) -> Result<Connection, TrackingError> {
    let doing = "opening the tracking database";
    // Never a URI: a path with '?' or '%' is a path.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&at.path, flags).map_err(|error| at.error(doing, error.into()))?;
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
    at.result(doing, configure())?;
    Ok(connection)
}

/// Switches to write-ahead logging; once done it is a property of the file.
fn write_ahead(connection: &Connection, at: &At) -> Result<(), TrackingError> {
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
            Err(error) => return Err(at.error(doing, error.into())),
        }
    }
}

impl RunStore for SqliteStore {
    fn create_experiment(&self, new: &NewExperiment) -> Result<String, TrackingError> {
        validate::experiment_name(&new.name)?;
        for tag in &new.tags {
            validate::experiment_tag(&tag.key, &tag.value)?;
        }
        let location = new
            .artifact_location
            .as_deref()
            .filter(|location| !location.is_empty())
            .map(|location| self.locations.stored(location))
            .transpose()?;
        let (new, locations) = (new.clone(), self.locations.clone());
        self.write("making an experiment", move |write| write::create_experiment(write, &new, location.as_deref(), &locations))
    }

    fn experiment(&self, experiment_id: &str) -> Result<Option<Experiment>, TrackingError> {
        let id = validate::experiment_id(experiment_id)?;
        self.read("reading an experiment", |connection| read::experiment(connection, &self.locations, "experiment = ?1", id))
    }

    fn experiment_by_name(&self, name: &str) -> Result<Option<Experiment>, TrackingError> {
        self.read("reading an experiment", |connection| read::experiment(connection, &self.locations, "name = ?1", name))
    }

    fn search_experiments(&self, query: &ExperimentQuery) -> Result<Page<Experiment>, TrackingError> {
        validate::max_results(query.max_results)?;
        self.read("searching experiments", |connection| search::experiments(connection, &self.locations, query))
    }

    fn delete_experiment(&self, experiment_id: &str) -> Result<(), TrackingError> {
        let id = validate::experiment_id(experiment_id)?;
        self.write("deleting an experiment", move |write| write::set_experiment_stage(write, id, LifecycleStage::Deleted))
    }

    fn restore_experiment(&self, experiment_id: &str) -> Result<(), TrackingError> {
        let id = validate::experiment_id(experiment_id)?;
        self.write("restoring an experiment", move |write| write::set_experiment_stage(write, id, LifecycleStage::Active))
    }

    fn create_run(&self, new: &NewRun) -> Result<Run, TrackingError> {
        let run = write::CheckedRun::new(new)?;
        let locations = self.locations.clone();
        self.write("starting a run", move |write| write::create_run(write, &run, &locations))
    }

    fn run(&self, run_id: &str) -> Result<Option<Run>, TrackingError> {
        self.read("reading a run", |connection| read::run(connection, &self.locations, run_id))
    }

    fn update_run(&self, run_id: &str, update: &RunUpdate) -> Result<RunInfo, TrackingError> {
        let (run_id, update, locations) = (run_id.to_string(), update.clone(), self.locations.clone());
        self.write("updating a run", move |write| write::update_run(write, &run_id, &update, &locations))
    }

    fn delete_run(&self, run_id: &str) -> Result<(), TrackingError> {
        let run_id = run_id.to_string();
        self.write("deleting a run", move |write| write::set_run_stage(write, &run_id, LifecycleStage::Deleted))
    }

    fn restore_run(&self, run_id: &str) -> Result<(), TrackingError> {
        let run_id = run_id.to_string();
        self.write("restoring a run", move |write| write::set_run_stage(write, &run_id, LifecycleStage::Active))
    }

    fn log_batch(&self, run_id: &str, batch: &Batch) -> Result<(), TrackingError> {
        validate::run_id(run_id)?;
        validate::batch(batch)?;
        let (run_id, batch) = (run_id.to_string(), write::BatchRows::new(batch));
        self.write("logging to a run", move |write| write::log_batch(write, &run_id, &batch))
    }

    fn set_tag(&self, run_id: &str, tag: &RunTag) -> Result<(), TrackingError> {
        validate::tag(tag, "")?;
        let batch = write::BatchRows::new(&Batch { tags: vec![tag.clone()], ..Batch::default() });
        let run_id = run_id.to_string();
        self.write("setting a tag", move |write| write::log_batch(write, &run_id, &batch))
    }

    fn delete_tag(&self, run_id: &str, key: &str) -> Result<(), TrackingError> {
        let (run_id, key) = (run_id.to_string(), key.to_string());
        self.write("deleting a tag", move |write| write::delete_tag(write, &run_id, &key))
    }

    fn log_inputs(&self, run_id: &str, inputs: &RunInputs) -> Result<(), TrackingError> {
        validate::run_id(run_id)?;
        inputs.dataset_inputs.iter().try_for_each(validate::dataset_input)?;
        let (run_id, inputs) = (run_id.to_string(), inputs.clone());
        self.write("logging a run's inputs", move |write| write::log_inputs(write, &run_id, &inputs))
    }

    fn metric_history(&self, run_id: &str, key: &str, page: &PageRequest) -> Result<Page<Metric>, TrackingError> {
        if page.max_results == Some(0) {
            validate::max_results(0)?;
        }
        self.read("reading a metric's history", |connection| read::metric_history(connection, run_id, key, page))
    }

    fn search_runs(&self, query: &RunQuery) -> Result<Page<Run>, TrackingError> {
        validate::max_results(query.max_results)?;
        self.read("searching runs", |connection| search::runs(connection, &self.locations, query))
    }

    fn artifacts(&self, artifact_uri: &str) -> Result<ArtifactStore, TrackingError> {
        ArtifactStore::open(artifact_uri)
    }
}

fn already_exists(name: &str) -> ApiError {
    ApiError::new(ErrorCode::ResourceAlreadyExists, format!("Experiment(name={name}) already exists."))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SQLite's own limit on the file's size stands for the full disk: it fails in the same place with the same code.
    #[test]
    fn a_full_disk_takes_a_write_wholly_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("anmok.db"), &StoreOptions::default()).unwrap();
        let run_id = store.create_run(&NewRun::default()).unwrap().info.run_id;
        let limit = |pages: i64| {
            store
                .write("limiting", move |write| Ok(write.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?))
                .unwrap();
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
