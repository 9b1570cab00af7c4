//! MLflow's own Python client tells one story to MLflow's server and to `anmok server`, and every field of the answers is
//! compared (`scripts/mlflow-compare`, which can be run by hand too).
//!
//! Without a Python with MLflow these tests say so by name and end; with CI=true that is a failure.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "CI is a variable, and a skipped test says so")]

#[path = "cli/mlflow_python.rs"]
mod mlflow_python;

use mlflow_python::{python, root, skip};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// What `scripts/mlflow-compare` ends with where a part of the comparison is not installed.
const MISSING: i32 = 77;

#[test]
fn sqlite() {
    compare("mlflow::sqlite", &[]);
}

#[test]
fn postgresql() {
    compare("mlflow::postgresql", &["--postgresql"]);
}

#[test]
fn s3() {
    compare("mlflow::s3", &["--s3"]);
}

fn compare(test: &str, options: &[&str]) {
    // MLflow's server and client take a GB of memory and both cores: one comparison after the other.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(python) = python(test) else { return };
    let output = Command::new(root().join("scripts/mlflow-compare"))
        .arg("--python")
        .arg(&python)
        .args(options)
        .env("ANMOK", env!("CARGO_BIN_EXE_anmok"))
        .output()
        .expect("scripts/mlflow-compare can be run: it needs python3");
    let (told, trouble) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => println!("{told}"),
        Some(MISSING) => skip(test, trouble.trim()),
        _ => panic!("scripts/mlflow-compare {}: {}\n{told}{trouble}", options.join(" "), output.status),
    }
}
