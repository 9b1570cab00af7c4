//! Values that MLflow would not have written.

use anmok_protocol::{LifecycleStage, RunStatus};

use super::database::{MlflowDatabase, V3};
use super::{import, ours, ours_in, postgres};

/// Whatever the file holds: named, and the rest is there.
#[test]
fn odd_values_are_named_and_stop_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let source = MlflowDatabase::sqlite(folder.path(), V3);
    source.fill(1);
    let plain = format!("{:032x}", 0);
    source.sql(&format!(
        "INSERT INTO params (key, value, run_uuid) VALUES ('broken', CAST(x'61ff62' AS TEXT), '{plain}');
         INSERT INTO params (key, value, run_uuid) VALUES (CAST(x'ff' AS TEXT), 'x', '{plain}');
         INSERT INTO params (key, value, run_uuid) VALUES ('blob', x'616263', '{plain}');
         INSERT INTO params (key, value, run_uuid) VALUES ('{}', 'x', '{plain}');
         INSERT INTO metrics (key, value, timestamp, step, run_uuid, is_nan) VALUES ('text', 'many', 1, 1, '{plain}', 0);
         INSERT INTO metrics (key, value, timestamp, step, run_uuid, is_nan) VALUES ('when', 1.0, 'then', 1, '{plain}', 0);
         INSERT INTO metrics (key, value, timestamp, step, run_uuid, is_nan) VALUES ('infinite', 9e999, 1, 1, '{plain}', 0);
         INSERT INTO latest_metrics (key, value, timestamp, step, run_uuid, is_nan) VALUES ('infinite', 9e999, 1, 1, '{plain}', 0);
         INSERT INTO runs (run_uuid, experiment_id, status, lifecycle_stage, artifact_uri) VALUES ('strange', 3, 'WEIRD', NULL, './mlruns/3/x');
         INSERT INTO runs (run_uuid, experiment_id, status, lifecycle_stage, start_time) VALUES ('orphan', 99, 'RUNNING', 'active', 1);
         INSERT INTO params (key, value, run_uuid) VALUES ('p', 'x', 'orphan');
         INSERT INTO runs (run_uuid, experiment_id) VALUES (CAST(x'fe' AS TEXT), 3);
         INSERT INTO experiments (experiment_id, name, workspace) VALUES (50, 'elsewhere', 'other');
         INSERT INTO runs (run_uuid, experiment_id, status, lifecycle_stage, start_time) VALUES ('elsewhere', 50, 'RUNNING', 'active', 1);",
        "k".repeat(2001)
    ));
    let store = ours(folder.path(), "anmok.db");
    let copied = import(&*store, &source);
    assert_eq!(copied.differences, Vec::<String>::new());
    let named = |words: &str, lost: bool, count: u64| {
        let found = copied.problems.iter().find(|problem| problem.what.starts_with(words));
        let found = found.unwrap_or_else(|| panic!("{words:?} is not in {:#?}", copied.problems));
        assert_eq!((found.lost, found.count, found.examples.len()), (lost, count, count as usize), "{found:?}");
    };
    named("params.value is not UTF-8", false, 1);
    named("params.key is not UTF-8", false, 1);
    named("params.key has more than 2000 bytes", true, 1);
    named("metrics.value is no number", true, 1);
    named("metrics.timestamp is no whole number", true, 1);
    named("metrics.value is infinite", false, 1);
    named("runs.status is \"WEIRD\"", false, 1);
    named("runs.lifecycle_stage is NULL", false, 1);
    named("runs.start_time is NULL", false, 1);
    named("runs.artifact_uri is a relative path", false, 1);
    named("runs belongs to experiment 99", true, 1);
    named("runs belongs to experiment 50", true, 1);
    named("params belongs to run orphan", true, 1);
    named("runs.run_id is not UTF-8", true, 1);
    assert_eq!(copied.not_copied[1], ("experiments of other workspaces".to_string(), 1));
    let data = store.run(&plain).unwrap().unwrap().data;
    assert_eq!((data.param("broken"), data.param("\u{fffd}"), data.param("blob")), (Some("a\u{fffd}b"), Some("x"), Some("abc")));
    assert_eq!((data.metric("infinite"), data.metric("loss")), (Some(f64::MAX), Some(9.0)));
    let strange = store.run("strange").unwrap().unwrap().info;
    assert_eq!((strange.status, strange.lifecycle_stage), (RunStatus::Failed, LifecycleStage::Active));
    assert_eq!(strange.artifact_uri, format!("file://{}/mlruns/3/x", folder.path().display()));
}

/// PostgreSQL cannot store NUL, SQLite can.
#[test]
fn nul_characters_are_replaced_where_they_cannot_be() {
    let Some(server) = postgres::shared("mlflow::nul_characters_are_replaced_where_they_cannot_be") else { return };
    let folder = tempfile::tempdir().unwrap();
    let source = MlflowDatabase::sqlite(folder.path(), V3);
    source.fill(1);
    let run = format!("{:032x}", 0);
    source.sql(&format!("INSERT INTO params (key, value, run_uuid) VALUES ('nul', CAST(x'610062' AS TEXT), '{run}')"));
    let store = ours_in(&server.database(), folder.path());
    let copied = import(&*store, &source);
    assert_eq!((copied.differences.len(), copied.problems.len()), (0, 1), "{copied:?}");
    assert!(copied.problems[0].what.contains("NUL"), "{copied:?}");
    assert_eq!(store.run(&run).unwrap().unwrap().data.param("nul"), Some("a\u{fffd}b"));
}
