//! The schema, its migrations, and whose database this is.
//!
//! The schema is our own and lean: integer ids, and every key of a metric, param or tag stored once. Its tables are named
//! `anmok_*` and the file carries an application id, so that it cannot be taken for MLflow's.

use rusqlite::{Connection, TransactionBehavior};

use super::failure::{At, failure};
use crate::error::TrackingError;
use crate::maintenance::SchemaVersion;
use crate::sql::Failure;

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
    // 2. What runs read and made of logged models, logged models themselves, and the model registry.
    "
    CREATE TABLE anmok_model_inputs (
        input INTEGER PRIMARY KEY, run INTEGER NOT NULL, model_id TEXT NOT NULL,
        UNIQUE (run, model_id)
    );
    CREATE TABLE anmok_model_outputs (
        output INTEGER PRIMARY KEY, run INTEGER NOT NULL, model_id TEXT NOT NULL, step INTEGER NOT NULL,
        UNIQUE (run, model_id)
    );

    CREATE TABLE anmok_logged_models (
        model INTEGER PRIMARY KEY,
        model_id TEXT NOT NULL UNIQUE,
        experiment INTEGER NOT NULL,
        name TEXT NOT NULL,
        model_type TEXT,
        source_run_id TEXT,
        status TEXT NOT NULL,
        creation_time INTEGER NOT NULL,
        last_update_time INTEGER NOT NULL,
        lifecycle_stage TEXT NOT NULL,
        artifact_uri TEXT NOT NULL
    );
    CREATE INDEX anmok_logged_models_by_creation ON anmok_logged_models (experiment, lifecycle_stage, creation_time DESC, model_id);
    CREATE INDEX anmok_logged_models_by_run ON anmok_logged_models (source_run_id);
    CREATE TABLE anmok_logged_model_tags (
        model INTEGER NOT NULL, key INTEGER NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (model, key)
    ) WITHOUT ROWID;
    CREATE TABLE anmok_logged_model_params (
        model INTEGER NOT NULL, key INTEGER NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (model, key)
    ) WITHOUT ROWID;
    CREATE TABLE anmok_logged_model_metrics (
        model INTEGER NOT NULL, key INTEGER NOT NULL, timestamp INTEGER NOT NULL, step INTEGER NOT NULL,
        run INTEGER NOT NULL, value REAL NOT NULL, is_nan INTEGER NOT NULL,
        dataset_name TEXT, dataset_digest TEXT,
        PRIMARY KEY (model, key, timestamp, step, run, value, is_nan)
    ) WITHOUT ROWID;

    CREATE TABLE anmok_registered_models (
        registered_model INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        description TEXT,
        creation_time INTEGER NOT NULL,
        last_update_time INTEGER NOT NULL,
        last_version INTEGER NOT NULL
    );
    CREATE INDEX anmok_registered_models_by_update ON anmok_registered_models (last_update_time);
    CREATE TABLE anmok_registered_model_tags (
        registered_model INTEGER NOT NULL, key INTEGER NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (registered_model, key)
    ) WITHOUT ROWID;
    CREATE TABLE anmok_registered_model_aliases (
        registered_model INTEGER NOT NULL, alias TEXT NOT NULL, version INTEGER NOT NULL,
        PRIMARY KEY (registered_model, alias)
    ) WITHOUT ROWID;
    CREATE TABLE anmok_model_versions (
        model_version INTEGER PRIMARY KEY,
        registered_model INTEGER NOT NULL,
        version INTEGER NOT NULL,
        creation_time INTEGER NOT NULL,
        last_update_time INTEGER NOT NULL,
        stage TEXT NOT NULL,
        status TEXT NOT NULL,
        description TEXT,
        source TEXT NOT NULL,
        storage_location TEXT,
        run_id TEXT,
        run_link TEXT,
        model_id TEXT,
        UNIQUE (registered_model, version)
    );
    CREATE INDEX anmok_model_versions_by_stage ON anmok_model_versions (registered_model, stage, version);
    CREATE INDEX anmok_model_versions_by_run ON anmok_model_versions (run_id);
    CREATE INDEX anmok_model_versions_by_update ON anmok_model_versions (last_update_time);
    CREATE TABLE anmok_model_version_tags (
        model_version INTEGER NOT NULL, key INTEGER NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (model_version, key)
    ) WITHOUT ROWID;
    ",
    // 3. What `anmok gc` has begun to delete for good: it cannot be restored any more.
    "
    ALTER TABLE anmok_experiments ADD COLUMN collected INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE anmok_runs ADD COLUMN collected INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE anmok_logged_models ADD COLUMN collected INTEGER NOT NULL DEFAULT 0;
    ",
    // 4. Users, what they may do, and their tokens. `revision` is another one after each change to any of the three.
    "
    CREATE TABLE anmok_accounts (
        account INTEGER PRIMARY KEY AUTOINCREMENT,
        username TEXT NOT NULL UNIQUE,
        password_hash TEXT NOT NULL,
        is_admin INTEGER NOT NULL,
        creation_time INTEGER NOT NULL,
        revision INTEGER NOT NULL
    );
    CREATE TABLE anmok_account_grants (
        account INTEGER NOT NULL, resource_type TEXT NOT NULL, resource TEXT NOT NULL, permission TEXT NOT NULL,
        PRIMARY KEY (account, resource_type, resource)
    ) WITHOUT ROWID;
    CREATE INDEX anmok_account_grants_by_resource ON anmok_account_grants (resource_type, resource);
    CREATE TABLE anmok_account_tokens (
        account INTEGER NOT NULL, name TEXT NOT NULL,
        token_hash TEXT NOT NULL UNIQUE,
        creation_time INTEGER NOT NULL,
        expiration_time INTEGER,
        PRIMARY KEY (account, name)
    ) WITHOUT ROWID;
    ",
    // 5. Webhooks. A secret is encrypted with a key that is not in here.
    "
    CREATE TABLE anmok_webhooks (
        webhook INTEGER PRIMARY KEY,
        webhook_id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        description TEXT,
        url TEXT NOT NULL,
        status TEXT NOT NULL,
        secret TEXT,
        creation_time INTEGER NOT NULL,
        last_update_time INTEGER NOT NULL
    );
    CREATE TABLE anmok_webhook_events (
        webhook INTEGER NOT NULL, place INTEGER NOT NULL, entity TEXT NOT NULL, action TEXT NOT NULL,
        PRIMARY KEY (entity, action, webhook)
    ) WITHOUT ROWID;
    CREATE INDEX anmok_webhook_events_by_webhook ON anmok_webhook_events (webhook);
    ",
    // 6. What searches among many runs ask first: runs by a metric's latest value, by a param's or tag's (as much of it as
    // PostgreSQL's indexes can hold), and by name without reading the rows.
    "
    CREATE INDEX anmok_latest_metrics_by_value ON anmok_latest_metrics (key, is_nan, value);
    CREATE INDEX anmok_params_by_value ON anmok_params (key, substr(value, 1, 64));
    CREATE INDEX anmok_tags_by_value ON anmok_tags (key, substr(value, 1, 64));
    DROP INDEX anmok_runs_by_start;
    CREATE INDEX anmok_runs_by_start ON anmok_runs (experiment, lifecycle_stage, start_time DESC, run_id, run_name);
    ",
];

/// Makes sure that the database is ours and new enough, before anything is changed in it; brings it up to date.
///
/// `first` fills a new database, in the same transaction. Several processes can do this at once: the first holds the write
/// lock until it is done, and the others find nothing left to do.
pub(super) fn prepare(
    connection: &mut Connection,
    at: &At,
    migrations: &[&str],
    first: impl FnOnce(&Connection) -> Result<(), Failure>,
) -> Result<(), TrackingError> {
    let doing = "opening the tracking database";
    let newest = migrations.len() as i64;
    // In a transaction, so that it is one state that is judged: another process may be making the schema.
    let before = connection.transaction().and_then(|transaction| ownership(&transaction));
    if at.result(doing, before.map_err(failure))?.check(at, newest)? == newest {
        return Ok(());
    }
    let transaction = at.result(doing, connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failure))?;
    // Another process may have been faster while this one waited for the lock.
    let found = at.result(doing, ownership(&transaction).map_err(failure))?.check(at, newest)?;
    let done = migrate(&transaction, migrations, found).and_then(|()| if found == 0 { first(&transaction) } else { Ok(()) });
    at.result("bringing the tracking database up to date", done)?;
    at.result(doing, transaction.commit().map_err(failure))
}

/// The version of the schema, which is left as it is.
pub(super) fn version(connection: &mut Connection, at: &At) -> Result<SchemaVersion, TrackingError> {
    let doing = "opening the tracking database";
    let newest = MIGRATIONS.len() as i64;
    let ownership = connection.transaction().and_then(|transaction| ownership(&transaction));
    Ok(SchemaVersion { found: at.result(doing, ownership.map_err(failure))?.check(at, newest)?, newest })
}

fn migrate(connection: &Connection, migrations: &[&str], found: i64) -> Result<(), Failure> {
    for migration in migrations.iter().skip(usize::try_from(found).unwrap_or(0)) {
        connection.execute_batch(migration).map_err(failure)?;
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(failure)?;
    connection.pragma_update(None, "user_version", migrations.len() as i64).map_err(failure)
}

/// What a database says of itself.
struct Ownership {
    application_id: i64,
    schema: i64,
    tables: Vec<String>,
}

fn ownership(connection: &Connection) -> rusqlite::Result<Ownership> {
    let application_id = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let schema = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut statement =
        connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name")?;
    let tables = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(Ownership { application_id, schema, tables })
}

impl Ownership {
    /// The schema's version, 0 for an empty file; an error if it is not ours.
    fn check(&self, at: &At, known: i64) -> Result<i64, TrackingError> {
        let database = at.path.display().to_string();
        if self.application_id == APPLICATION_ID {
            return if self.schema > known {
                Err(TrackingError::NewerSchema { database, found: self.schema, known })
            } else {
                Ok(self.schema.max(0))
            };
        }
        if self.tables.is_empty() && self.application_id == 0 {
            return Ok(0);
        }
        if self.tables.iter().any(|table| table == "alembic_version") && self.tables.iter().any(|table| table == "experiments") {
            return Err(TrackingError::MlflowDatabase { database });
        }
        let mut tables = self.tables.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        if self.tables.len() > 5 {
            tables += ", ...";
        }
        Err(TrackingError::ForeignDatabase { database, tables })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A database of an older anmok gets the steps that it lacks, all or none, and keeps what it has.
    #[test]
    fn steps_are_done_once_in_order_and_wholly() {
        let folder = tempfile::tempdir().unwrap();
        let at = At::new(&folder.path().join("anmok.db"), Duration::from_secs(1));
        let mut connection = Connection::open(&at.path).unwrap();
        let one = "CREATE TABLE anmok_a (x INTEGER)";
        let two = "ALTER TABLE anmok_a ADD COLUMN y INTEGER NOT NULL DEFAULT 7; UPDATE anmok_a SET x = x + 1";
        let broken = "UPDATE anmok_a SET x = 100; SELECT nonsense";
        let fill = |connection: &Connection| connection.execute_batch("INSERT INTO anmok_a VALUES (1)").map_err(failure);
        let rows = |connection: &Connection, sql: &str| -> Vec<i64> {
            connection.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
        };

        prepare(&mut connection, &at, &[one], fill).unwrap();
        prepare(&mut connection, &at, &[one], fill).unwrap();
        assert_eq!(rows(&connection, "SELECT x FROM anmok_a"), [1], "filled once");
        prepare(&mut connection, &at, &[one, two], fill).unwrap();
        prepare(&mut connection, &at, &[one, two], fill).unwrap();
        assert_eq!(rows(&connection, "SELECT x * 10 + y FROM anmok_a"), [27], "the second step alone, once");
        let error = prepare(&mut connection, &at, &[one, two, broken], fill).unwrap_err();
        assert!(error.to_string().starts_with("bringing the tracking database up to date: "), "{error}");
        assert_eq!(rows(&connection, "SELECT x * 10 + y FROM anmok_a"), [27], "a broken step leaves no trace");
        assert_eq!(rows(&connection, "PRAGMA user_version"), [2]);
        let error = prepare(&mut connection, &at, &[one], fill).unwrap_err();
        assert!(matches!(error, TrackingError::NewerSchema { found: 2, known: 1, .. }), "{error:?}");
    }
}
