//! An MLflow database of our own making: the tables as MLflow's own databases report them, and rows as MLflow writes them.
//!
//! Other crates' tests use this file too (`#[path = ".../tracking/tests/mlflow/database.rs"] mod database;`).
#![allow(dead_code, reason = "not every test needs every part")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::postgres;

/// A version of MLflow.
#[derive(Debug, Clone, Copy)]
pub struct Version {
    pub name: &'static str,
    schema: &'static str,
    has_logged_models: bool,
}

pub const V2: Version = Version { name: "2.22", schema: include_str!("schema-2.22.sql"), has_logged_models: false };
pub const V3: Version = Version { name: "3.17", schema: include_str!("schema-3.17.sql"), has_logged_models: true };

/// The run with a bit of everything.
pub const RUN: &str = "a0000000000000000000000000000000";
pub const DELETED_RUN: &str = "d0000000000000000000000000000000";

pub struct MlflowDatabase {
    pub uri: String,
    pub version: Version,
    place: Place,
}

enum Place {
    File(PathBuf),
    Server(Arc<postgres::Server>),
}

impl MlflowDatabase {
    /// `mlflow.db` in a folder, as MLflow makes it.
    pub fn sqlite(folder: &Path, version: Version) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let path = folder.join("mlflow.db");
        let this = Self { uri: format!("sqlite:///{}", path.display()), version, place: Place::File(path) };
        this.sql(version.schema);
        this
    }

    pub fn postgresql(server: &Arc<postgres::Server>, version: Version) -> Self {
        let this = Self { uri: server.database(), version, place: Place::Server(Arc::clone(server)) };
        // As MLflow declares it there: the database counts.
        let serial = "CREATE TABLE experiments (\n    experiment_id SERIAL NOT NULL";
        let schema = version.schema.replace("CREATE TABLE experiments (\n    experiment_id INTEGER NOT NULL", serial);
        assert!(schema.contains(serial));
        this.sql(&schema);
        this
    }

    pub fn sql(&self, sql: &str) {
        match &self.place {
            Place::File(path) => {
                let connection = rusqlite::Connection::open(path).unwrap();
                // As MLflow opens it.
                connection.pragma_update(None, "foreign_keys", false).unwrap();
                connection.execute_batch(sql).unwrap();
            }
            Place::Server(server) => drop(server.sql(&self.uri, sql)),
        }
    }

    /// A bit of everything, and `runs` runs with ten points each.
    pub fn fill(&self, runs: usize) {
        let long = "v".repeat(6500);
        self.sql(&format!(
            "BEGIN;
             INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time) VALUES
                 (3, '비전 vision', 's3://bucket/3', 'active', 1700000000001, 1700000000002),
                 (7, 'old', 'mlflow-artifacts:/7', 'deleted', 1700000000003, 1700000000004);
             INSERT INTO experiment_tags (experiment_id, key, value) VALUES (3, 'mlflow.note.content', 'a note');
             INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time,
                               source_version, lifecycle_stage, artifact_uri, experiment_id, deleted_time) VALUES
                 ('{RUN}', 'first run', 'UNKNOWN', '', '', 'jiwoo', 'FAILED', 1700000000100, 1700000000200, '', 'active',
                  's3://bucket/3/{RUN}/artifacts', 3, NULL),
                 ('{DELETED_RUN}', 'gone', 'UNKNOWN', '', '', '', 'RUNNING', 1700000000300, NULL, '', 'deleted',
                  'mlflow-artifacts:/7/{DELETED_RUN}/artifacts', 7, 1700000000400);
             INSERT INTO params (run_uuid, key, value) VALUES ('{RUN}', 'lr', '0.1'), ('{RUN}', 'long', '{long}');
             INSERT INTO tags (run_uuid, key, value) VALUES ('{RUN}', 'mlflow.runName', 'first run'), ('{RUN}', 'empty', '');
             INSERT INTO metrics (run_uuid, key, value, timestamp, step, is_nan) VALUES
                 ('{RUN}', 'loss', 0.5, 1, 1, false), ('{RUN}', 'loss', 0.25, 2, 2, false), ('{RUN}', 'loss', -0.125, 3, -1, false),
                 ('{RUN}', 'nan', 0, 1, 0, true), ('{RUN}', 'huge', 1.7976931348623157e308, 1, 0, false),
                 ('{RUN}', 'huge', -1.7976931348623157e308, 1, 0, false);
             INSERT INTO latest_metrics (run_uuid, key, value, timestamp, step, is_nan) VALUES
                 ('{RUN}', 'loss', 0.25, 2, 2, false), ('{RUN}', 'nan', 0, 1, 0, true),
                 ('{RUN}', 'huge', 1.7976931348623157e308, 1, 0, false);
             INSERT INTO datasets (dataset_uuid, experiment_id, name, digest, dataset_source_type, dataset_source, dataset_schema)
                 VALUES ('u1', 3, 'cifar', 'd1', 'local', '{{}}', '{{}}');
             INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, destination_id)
                 VALUES ('i1', 'DATASET', 'u1', 'RUN', '{RUN}');
             INSERT INTO input_tags (input_uuid, name, value) VALUES ('i1', 'mlflow.data.context', 'training');
             INSERT INTO registered_models (name, creation_time, last_updated_time, description)
                 VALUES ('iris', 1700000001000, 1700000002000, 'flowers');
             INSERT INTO registered_model_tags (name, key, value) VALUES ('iris', 'task', 'classification');
             INSERT INTO model_versions (name, version, creation_time, last_updated_time, current_stage, source, run_id, status,
                                         run_link, storage_location) VALUES
                 ('iris', 1, 1700000001001, 1700000001002, 'None', 'models:/m-1', NULL, 'READY', NULL, NULL),
                 ('iris', 2, 1700000001003, 1700000001004, 'Production', 's3://bucket/model', '{RUN}', 'READY', 'http://ci', 's3://copy');
             INSERT INTO model_versions (name, version, current_stage, source, run_id, run_link, status) VALUES
                 ('iris', 3, 'Deleted_Internal', 'REDACTED-SOURCE-PATH', 'REDACTED-RUN-ID', 'REDACTED-RUN-LINK', 'READY');
             INSERT INTO model_version_tags (name, version, key, value) VALUES ('iris', 2, 'checked', 'yes');
             INSERT INTO registered_model_aliases (name, alias, version) VALUES ('iris', 'champion', 2);
             INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, status) VALUES ('tr-1', 3, 1, 'OK');
             COMMIT;"
        ));
        if self.version.has_logged_models {
            self.sql(&logged_models());
        }
        for start in (0..runs).step_by(100) {
            let batch: Vec<usize> = (start..runs.min(start + 100)).collect();
            let rows = |row: &dyn Fn(usize) -> String| batch.iter().map(|number| row(*number)).collect::<Vec<_>>().join(", ");
            let id = |number: usize| format!("{number:032x}");
            self.sql(&format!(
                "BEGIN;
                 INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time,
                                   source_version, lifecycle_stage, artifact_uri, experiment_id) VALUES {};
                 INSERT INTO params (run_uuid, key, value) VALUES {};
                 INSERT INTO tags (run_uuid, key, value) VALUES {};
                 INSERT INTO latest_metrics (run_uuid, key, value, timestamp, step, is_nan) VALUES {};
                 INSERT INTO metrics (run_uuid, key, value, timestamp, step, is_nan) VALUES {};
                 COMMIT;",
                rows(&|n| format!(
                    "('{}', 'run {n}', 'UNKNOWN', '', '', 'u', 'FINISHED', {n}, {n}, '', 'active', 's3://bucket/3/{}/artifacts', 3)",
                    id(n),
                    id(n)
                )),
                rows(&|n| format!("('{}', 'lr', '{n}'), ('{}', 'p{n}', 'x')", id(n), id(n))),
                rows(&|n| format!(
                    "('{}', 'mlflow.runName', 'run {n}'), ('{}', 'team', 'A'), ('{}', '파라미터', '{n}')",
                    id(n),
                    id(n),
                    id(n)
                )),
                rows(&|n| format!("('{}', 'loss', 9, 9, 9, false)", id(n))),
                rows(&|n| (0..10)
                    .map(|step| format!("('{}', 'loss', {step}, {step}, {step}, false)", id(n)))
                    .collect::<Vec<_>>()
                    .join(", ")),
            ));
        }
    }

    /// All rows that are copied, as texts, but for ids that MLflow draws.
    pub fn dump(&self) -> Vec<String> {
        let Place::File(path) = &self.place else { panic!("only files are dumped") };
        let connection = rusqlite::Connection::open(path).unwrap();
        let mut lines = vec![];
        let mut tables = vec![
            ("experiments", "*"),
            ("experiment_tags", "*"),
            ("runs", "*"),
            ("params", "*"),
            ("tags", "*"),
            ("metrics", "*"),
            ("latest_metrics", "*"),
            ("datasets", "experiment_id, name, digest, dataset_source_type, dataset_source, dataset_schema, dataset_profile"),
            ("inputs LEFT JOIN datasets ON source_id = dataset_uuid", "source_type, name, digest, destination_type, destination_id"),
            ("input_tags JOIN inputs USING (input_uuid)", "destination_id, name, value"),
            ("registered_models", "*"),
            ("registered_model_tags", "*"),
            ("registered_model_aliases", "*"),
            ("model_versions", "*"),
            ("model_version_tags", "*"),
        ];
        if self.version.has_logged_models {
            tables.extend([
                ("logged_models", "*"),
                ("logged_model_tags", "*"),
                ("logged_model_params", "*"),
                ("logged_model_metrics", "*"),
                ("inputs WHERE source_type <> 'DATASET'", "source_type, source_id, destination_type, destination_id, step"),
            ]);
        }
        for (table, columns) in tables {
            let mut statement = connection.prepare(&format!("SELECT {columns} FROM {table}")).unwrap();
            let count = statement.column_count();
            let rows = statement.query_map([], |row| {
                let cells = (0..count).map(|place| row.get::<_, rusqlite::types::Value>(place));
                Ok(format!("{table}: {:?}", cells.collect::<Result<Vec<_>, _>>()?))
            });
            lines.extend(rows.unwrap().map(Result::unwrap));
        }
        lines.sort();
        lines
    }
}

fn logged_models() -> String {
    format!(
        "BEGIN;
         INSERT INTO logged_models (model_id, experiment_id, name, artifact_location, creation_timestamp_ms, last_updated_timestamp_ms,
                                    status, lifecycle_stage, model_type, source_run_id) VALUES
             ('m-1', 3, 'net', 's3://bucket/3/models/m-1/artifacts', 1700000000500, 1700000000501, 2, 'active', NULL, '{RUN}'),
             ('m-2', 3, 'base', 's3://bucket/3/models/m-2/artifacts', 1700000000502, 1700000000503, 1, 'deleted', 'Agent', NULL);
         INSERT INTO logged_model_tags (model_id, experiment_id, tag_key, tag_value) VALUES ('m-1', 3, 'team', 'a');
         INSERT INTO logged_model_params (model_id, experiment_id, param_key, param_value) VALUES ('m-1', 3, 'depth', '8');
         INSERT INTO logged_model_metrics (model_id, metric_name, metric_timestamp_ms, metric_step, metric_value, experiment_id, run_id,
                                           dataset_name, dataset_digest) VALUES
             ('m-1', 'accuracy', 6, 5, 0.75, 3, '{RUN}', 'cifar', 'd1');
         INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, destination_id, step) VALUES
             ('i2', 'RUN_INPUT', '{RUN}', 'MODEL_INPUT', 'm-2', 0), ('i3', 'RUN_OUTPUT', '{RUN}', 'MODEL_OUTPUT', 'm-1', 4);
         COMMIT;"
    )
}
