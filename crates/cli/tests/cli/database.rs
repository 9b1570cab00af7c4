//! The care of a database: import and kill -9, export, check, upgrade, gc.

use super::mlflow::{MlflowDatabase, RUN, V3};
use super::sandbox::{Sandbox, wait};
use serde_json::json;
use std::time::Duration;

#[test]
fn an_import_that_was_killed_is_finished_by_the_next() {
    let sandbox = Sandbox::new();
    let source = MlflowDatabase::sqlite(&sandbox.path("."), V3);
    source.fill(3000);
    let whole = sandbox.run("db import sqlite:///mlflow.db --json --backend-store-uri sqlite:///whole.db").ok().json();
    assert_eq!((&whole["rows"]["metrics"], &whole["verified"]), (&json!(30_006), &json!(true)));
    for (number, pause) in [30, 120, 300, 700].into_iter().enumerate() {
        let mut child = sandbox.start(&format!("db import sqlite:///mlflow.db --backend-store-uri sqlite:///cut{number}.db"));
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().expect("it is there, or was");
        wait(child);
        let again = sandbox.run(&format!("db import sqlite:///mlflow.db --json --backend-store-uri sqlite:///cut{number}.db")).ok().json();
        assert_eq!((&again["rows"], &again["differences"]), (&whole["rows"], &json!([])), "killed after {pause} ms");
        sandbox.run(&format!("db check --backend-store-uri sqlite:///cut{number}.db")).ok();
    }
    let runs = sandbox.run("runs list --json --limit 50000 --tracking-uri sqlite:///cut0.db").ok().json();
    assert_eq!(runs.as_array().map(Vec::len), Some(3001), "all that are active");
}

#[test]
fn import_and_export_say_what_they_did() {
    let sandbox = Sandbox::new();
    let source = MlflowDatabase::sqlite(&sandbox.path("."), V3);
    source.fill(2);
    let said = sandbox.run("db import sqlite:///mlflow.db").ok();
    for words in ["26  metrics", "not copied, since the other side has none: 1 traces", "counts and digests of both sides are the same"] {
        assert!(said.out.contains(words), "{words:?} is not in\n{}", said.out);
    }
    std::fs::create_dir(sandbox.path("back")).expect("a folder");
    MlflowDatabase::sqlite(&sandbox.path("back"), V3);
    let said = sandbox.run("db export sqlite:///back/mlflow.db").ok();
    assert!(said.out.contains("Exported; counts and digests of both sides are the same"), "{}", said.out);
    sandbox.run("db export sqlite:///back/mlflow.db").fails(1, &["nothing was copied", "already holds 2 experiments, 4 runs"]);
    source.sql("INSERT INTO runs (run_uuid, experiment_id) VALUES ('orphan', 99)");
    let said = sandbox.run("db import sqlite:///mlflow.db").fails_with_out(1, &["all but 1 rows were copied"]);
    assert!(said.contains("LEFT OUT: runs belongs to experiment 99"), "{said}");

    sandbox.run("db import mlflow.db").fails(1, &["bare path"]);
    sandbox.run("db import sqlite:///none.db --backend-store-uri sqlite:///new.db").fails(2, &["there is no database none.db"]);
    assert!(!sandbox.path("new.db").exists());
    sandbox.run("db import sqlite:///anmok.db").fails(2, &["the two databases are the same"]);
    sandbox.run("db export sqlite:///back/mlflow.db --backend-store-uri sqlite:///new.db").fails(2, &["there is no database new.db"]);
    // The database of MLflow's is not opened by mistake.
    sandbox.run("runs list --tracking-uri sqlite:///mlflow.db").fails(1, &["anmok db import"]);
}

#[test]
fn damage_is_found_and_named() {
    let sandbox = Sandbox::new();
    let source = MlflowDatabase::sqlite(&sandbox.path("."), V3);
    source.fill(2);
    sandbox.run("db import sqlite:///mlflow.db").ok();
    let said = sandbox.run("db check --json").ok().json();
    assert_eq!((&said["ok"], said["checks"].as_array().map(Vec::len)), (&json!(true), Some(5)));
    let connection = rusqlite::Connection::open(sandbox.path("anmok.db")).expect("the database");
    connection
        .execute_batch(
            "UPDATE anmok_latest_metrics SET step = 0 WHERE key = (SELECT key FROM anmok_keys WHERE name = 'loss');
             DELETE FROM anmok_keys WHERE name = 'lr';
             DELETE FROM anmok_latest_metrics WHERE key = (SELECT key FROM anmok_keys WHERE name = 'nan');
             UPDATE anmok_runs SET status = 'ASLEEP' WHERE run_name = 'run 1';
             UPDATE anmok_registered_model_aliases SET version = 9;",
        )
        .expect("damage");
    let said = sandbox.run("db check").fails_with_out(1, &["problems were found"]);
    for words in [
        "ok   the file's pages and indexes",
        "BAD  rows belong to something that is there",
        "params: key ",
        "has a later point in its history",
        "has a latest point that is not in its history",
        "and 2 more",
        "has the status \"ASLEEP\"",
        "alias champion of registered model iris names version 9",
    ] {
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
    sandbox.run("db check --backend-store-uri sqlite:///none.db").fails(2, &["there is no database none.db"]);
    sandbox.run("db check --backend-store-uri sqlite:///mlflow.db").fails(1, &["MLflow's own server"]);
}

#[test]
fn an_older_schema_is_brought_up_to_date() {
    let sandbox = Sandbox::new();
    sandbox.run("runs list").ok();
    let said = sandbox.run("db upgrade").ok();
    assert!(said.out.contains("is up to date (schema "), "{}", said.out);
    let newest: i64 = sandbox.run("db upgrade --json").ok().json()["to"].as_i64().expect("a number");
    let connection = rusqlite::Connection::open(sandbox.path("anmok.db")).expect("the database");
    // As the second step left it.
    connection
        .execute_batch(
            "ALTER TABLE anmok_experiments DROP COLUMN collected; ALTER TABLE anmok_runs DROP COLUMN collected;
             ALTER TABLE anmok_logged_models DROP COLUMN collected;
             DROP TABLE anmok_account_grants; DROP TABLE anmok_account_tokens; DROP TABLE anmok_accounts;
             DROP TABLE anmok_webhook_events; DROP TABLE anmok_webhooks;
             DROP INDEX anmok_latest_metrics_by_value; DROP INDEX anmok_params_by_value; DROP INDEX anmok_tags_by_value;
             PRAGMA user_version = 2",
        )
        .expect("the older schema");
    sandbox.run("db check").fails(1, &["an older anmok (2; this one has", "anmok db upgrade"]);
    let said = sandbox.run("db upgrade").ok();
    assert!(said.out.contains(&format!("schema 2 -> {newest}")), "{}", said.out);
    sandbox.run("db check").ok();
    connection.execute_batch("PRAGMA user_version = 999").expect("a newer schema");
    sandbox.run("db upgrade").fails(1, &["was written by a newer anmok"]);
    sandbox.run("db upgrade --backend-store-uri sqlite:///none.db").fails(2, &["there is no database none.db"]);
}

#[test]
fn gc_deletes_what_is_marked_and_says_so() {
    let sandbox = Sandbox::new();
    let source = MlflowDatabase::sqlite(&sandbox.path("."), V3);
    source.fill(2);
    sandbox.run("db import sqlite:///mlflow.db").ok();
    let file = "files/7/d0000000000000000000000000000000/artifacts/model.bin";
    sandbox.write(file, "x");
    sandbox.write("files/0/other/artifacts/model.bin", "x");
    let gc = "gc --artifacts-destination files";
    let dry = sandbox.run(&format!("{gc} --dry-run --json")).ok().json();
    assert_eq!((&dry["dry_run"], dry["deleted"].as_array().map(Vec::len), &dry["kept"]), (&json!(true), Some(3), &json!([])), "{dry:#}");
    assert!(sandbox.path(file).exists());
    sandbox.run(&format!("{gc} --older-than 40000d --json")).ok();
    assert!(sandbox.path(file).exists());
    sandbox.run(&format!("{gc} --run-ids {RUN}")).fails(1, &["nothing was deleted", "is not marked deleted"]);
    sandbox.run_args(&["gc", "--run-ids", ""]).fails(2, &["--run-ids has an empty id"]);
    sandbox.run(&format!("{gc} --older-than soon")).fails(2, &["#d#h#m#s"]);
    let said = sandbox.run("gc --experiment-ids 7").fails_with_out(1, &["2 of what was named was kept"]);
    assert!(said.contains("which does not exist here; name the server's with --artifacts-destination"), "{said}");
    let said = sandbox.run(&format!("{gc} --experiment-ids 7")).ok();
    assert!(said.out.contains("Run with ID d0000000000000000000000000000000 has been permanently deleted."), "{}", said.out);
    assert!(said.out.contains("Experiment with ID 7 has been permanently deleted."), "{}", said.out);
    assert!(!sandbox.path("files/7").exists() && sandbox.path("files/0/other/artifacts/model.bin").exists());
    sandbox.run("db check").ok();
    sandbox.run("gc --backend-store-uri sqlite:///none.db").fails(2, &["there is no database none.db"]);
}
