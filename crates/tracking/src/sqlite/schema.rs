//! The schema, its migrations, and whose database this is.
//!
//! The schema is our own and lean: integer ids, and every key of a metric, param or tag stored once. Its tables are named
//! `anmok_*` and the file carries an application id, so that it cannot be taken for MLflow's.

use rusqlite::{Connection, TransactionBehavior};

use super::failure::{At, Failure};
use crate::error::TrackingError;

/// "Anmk", in the header of every database of ours.
pub(super) const APPLICATION_ID: i64 = 0x416e_6d6b;

/// The steps from an empty file to the newest schema; `PRAGMA user_version` counts those done. A step that was released
/// never changes: a change is a new step.
pub(super) const MIGRATIONS: &[&str] = &[
    // 1. Experiments, runs, and what is logged to runs.
    //
    // A metric's whole point is its primary key: that drops exact duplicates, and lays a metric's history down in the order
    // in which it is read. NaN is stored as 0 with is_nan, because SQLite turns NaN into NULL. The latest points are kept
    // apart, because every list of runs shows them.
    "
    CREATE TABLE anmok_keys (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

    CREATE TABLE anmok_experiments (
        experiment INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        artifact_location TEXT NOT NULL,
        lifecycle_stage TEXT NOT NULL,
        creation_time INTEGER NOT NULL,
        last_update_time INTEGER NOT NULL
    );
    CREATE TABLE anmok_experiment_tags (
        experiment INTEGER NOT NULL, key INTEGER NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (experiment, key)
    ) WITHOUT ROWID;

    CREATE TABLE anmok_runs (
        run INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE,
        experiment INTEGER NOT NULL,
        run_name TEXT NOT NULL,
        user_id TEXT NOT NULL,
        status TEXT NOT NULL,
        start_time INTEGER NOT NULL,
        end_time INTEGER,
        lifecycle_stage TEXT NOT NULL,
        deleted_time INTEGER,
        artifact_uri TEXT NOT NULL
    );
    CREATE INDEX anmok_runs_by_start ON anmok_runs (experiment, lifecycle_stage, start_time DESC, run_id);

    CREATE TABLE anmok_metrics (
        run INTEGER NOT NULL, key INTEGER NOT NULL, timestamp INTEGER NOT NULL, step INTEGER NOT NULL,
        value REAL NOT NULL, is_nan INTEGER NOT NULL,
        PRIMARY KEY (run, key, timestamp, step, value, is_nan)
    ) WITHOUT ROWID;
    CREATE TABLE anmok_latest_metrics (
        run INTEGER NOT NULL, key INTEGER NOT NULL, step INTEGER NOT NULL, timestamp INTEGER NOT NULL,
        value REAL NOT NULL, is_nan INTEGER NOT NULL,
        PRIMARY KEY (run, key)
    ) WITHOUT ROWID;
    CREATE TABLE anmok_params (
        run INTEGER NOT NULL, key INTEGER NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (run, key)
    ) WITHOUT ROWID;
    CREATE TABLE anmok_tags (
        run INTEGER NOT NULL, key INTEGER NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (run, key)
    ) WITHOUT ROWID;

    CREATE TABLE anmok_datasets (
        dataset INTEGER PRIMARY KEY,
        experiment INTEGER NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL,
        source_type TEXT NOT NULL, source TEXT NOT NULL, schema TEXT, profile TEXT,
        UNIQUE (experiment, name, digest)
    );
    CREATE TABLE anmok_inputs (
        input INTEGER PRIMARY KEY,
        run INTEGER NOT NULL, dataset INTEGER NOT NULL,
        UNIQUE (run, dataset)
    );
    CREATE TABLE anmok_input_tags (
        input INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (input, key)
    ) WITHOUT ROWID;
    ",
];

/// Makes sure that the database is ours and new enough, before anything is changed in it; brings it up to date.
///
/// `first` fills a new database, in the same transaction. Several processes can do this at once: the first holds the write
/// lock until it is done, and the others find nothing left to do.
pub(super) fn prepare(
    connection: &mut Connection,
    at: &At,
    first: impl FnOnce(&Connection) -> Result<(), Failure>,
) -> Result<(), TrackingError> {
    let doing = "opening the tracking database";
    if at.result(doing, ownership(connection))?.check(at)? == MIGRATIONS.len() as i64 {
        return Ok(());
    }
    let transaction = at.result(doing, connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(Failure::from))?;
    // Another process may have been faster while this one waited for the lock.
    let found = at.result(doing, ownership(&transaction))?.check(at)?;
    let done = migrate(&transaction, found).and_then(|()| if found == 0 { first(&transaction) } else { Ok(()) });
    at.result("bringing the tracking database up to date", done)?;
    at.result(doing, transaction.commit().map_err(Failure::from))
}

fn migrate(connection: &Connection, found: i64) -> Result<(), Failure> {
    for step in &MIGRATIONS[usize::try_from(found).unwrap_or(0).min(MIGRATIONS.len())..] {
        connection.execute_batch(step)?;
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    Ok(())
}

/// What a database says of itself.
struct Ownership {
    application_id: i64,
    schema: i64,
    tables: Vec<String>,
}

fn ownership(connection: &Connection) -> Result<Ownership, Failure> {
    let application_id = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let schema = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut statement =
        connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name")?;
    let tables = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(Ownership { application_id, schema, tables })
}

impl Ownership {
    /// The schema's version, 0 for an empty file; an error if it is not ours.
    fn check(&self, at: &At) -> Result<i64, TrackingError> {
        let path = at.path.to_path_buf();
        let known = MIGRATIONS.len() as i64;
        if self.application_id == APPLICATION_ID {
            return if self.schema > known {
                Err(TrackingError::NewerSchema { path, found: self.schema, known })
            } else {
                Ok(self.schema.max(0))
            };
        }
        if self.tables.is_empty() && self.application_id == 0 {
            return Ok(0);
        }
        if self.tables.iter().any(|table| table == "alembic_version") && self.tables.iter().any(|table| table == "experiments") {
            return Err(TrackingError::MlflowDatabase { path });
        }
        let mut tables = self.tables.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        if self.tables.len() > 5 {
            tables += ", ...";
        }
        Err(TrackingError::ForeignDatabase { path, tables })
    }
}
